//! Which words of two texts stand in what they share.

use super::features::ratio;
use super::probe::Probe;
use super::shingles::{shingle, shingles};
use super::sketch::{SHINGLE_WORDS, Sketch};
use crate::simhash::WORDS_MIN;

/// Which shingles two texts share, and which of their words stand in a shared one.
pub(super) struct Alignment {
    pub(super) jaccard: f32,
    pub(super) containment: f32,
    /// Whether the shingle at a place of the probe is shared.
    pub(super) shared_places: Vec<bool>,
    pub(super) probe_covered: Vec<bool>,
    pub(super) other_covered: Vec<bool>,
    pub(super) swaps: Swaps,
}

/// Below this containment nothing is left to be judged: the least of the labelled duplicates has
/// three times as much, and most candidates have less.
const CONTAINMENT_MIN: f32 = 0.1;

/// But so many shared shingles are a passage, however long the texts are.
pub(super) const SHARED_ENOUGH: usize = 60;

/// No place of a text: it has at most [`super::TEXT_WORDS_MAX`] words.
const NOWHERE: u16 = u16::MAX;

/// In texts of so many words a passage is told by every fourth of its shingles.
const SAMPLED_WORDS_MIN: usize = 128;
const SAMPLED_OF: usize = 4;

/// Whether a look at every fourth shingle finds far less in common than [`align`] asks for: less
/// than a third of it. It spares most candidates the look at all of them. A passage has a fourth of
/// its places among those that are looked at wherever it stands, so none is missed.
pub(super) fn share_hardly_anything(probe: &Probe, other: &Sketch) -> bool {
    let text = other.text();
    if probe.sketch().text().len().min(text.len()) < SAMPLED_WORDS_MIN {
        return false;
    }
    let probe_shingles = probe.shingles();
    let smaller = probe_shingles.distinct_count().min(other.shingle_count());
    let enough = (CONTAINMENT_MIN * smaller as f32).min(SHARED_ENOUGH as f32);
    let places = text.windows(SHINGLE_WORDS).step_by(SAMPLED_OF);
    let shared = places.filter(|words| probe_shingles.number(shingle(words)).is_some()).count();
    enough > (3 * SAMPLED_OF * shared) as f32
}

/// `None` if the two have next to nothing in common, or one of them says next to nothing.
pub(super) fn align(probe: &Probe, other: &Sketch) -> Option<Alignment> {
    if probe.sketch().text().len().min(other.text().len()) < WORDS_MIN {
        return None;
    }
    let probe_shingles = probe.shingles();
    let a = probe_shingles.distinct_count();
    // Where the other text has a shingle of the probe, and its number. Most texts have next to none.
    let mut shared: Vec<(u16, u16)> = Vec::with_capacity(SHARED_ENOUGH);
    for (place, shingle) in shingles(other.text()).enumerate() {
        if let Some(number) = probe_shingles.number(shingle) {
            shared.push((place as u16, number as u16));
        }
    }
    let is_too_little = |shared_count: usize| {
        let b = other.shingle_count().max(shared_count);
        ratio(shared_count, a.min(b)) < CONTAINMENT_MIN && shared_count < SHARED_ENOUGH
    };
    // Some may be there twice: if all of them are too little, the distinct ones are.
    if is_too_little(shared.len()) {
        return None;
    }
    // Where the other text has a shingle of the probe for the first time, by its number.
    let mut other_places: Vec<u16> = vec![NOWHERE; a];
    let mut other_covered = vec![false; other.text().len()];
    let mut shared_count = 0;
    for (place, number) in shared {
        let first_place = &mut other_places[usize::from(number)];
        if *first_place == NOWHERE {
            shared_count += 1;
            *first_place = place;
        }
        let place = usize::from(place);
        other_covered[place..place + SHINGLE_WORDS].fill(true);
    }
    if is_too_little(shared_count) {
        return None;
    }
    let b = other.shingle_count().max(shared_count);
    let containment = ratio(shared_count, a.min(b));
    let mut probe_covered = vec![false; probe.sketch().text().len()];
    let mut shared_places = vec![false; probe_shingles.numbers.len()];
    for (place, &number) in probe_shingles.numbers.iter().enumerate() {
        if other_places[usize::from(number)] != NOWHERE {
            shared_places[place] = true;
            probe_covered[place..place + SHINGLE_WORDS].fill(true);
        }
    }
    let jaccard = ratio(shared_count, a + b - shared_count);
    let swaps_of_probe = Swaps::new(&probe_covered, &other_covered, |place| {
        let place = other_places[usize::from(probe_shingles.numbers[place])];
        (place != NOWHERE).then_some(place.into())
    });
    let swaps_of_other = Swaps::new(&other_covered, &probe_covered, |place| {
        let shingle = shingle(&other.text()[place..place + SHINGLE_WORDS]);
        Some(probe_shingles.first_place(probe_shingles.number(shingle)?))
    });
    let swaps = swaps_of_probe.max(swaps_of_other);
    Some(Alignment { jaccard, containment, shared_places, probe_covered, other_covered, swaps })
}

/// What two texts say differently at the same place: between two shared stretches, after the same
/// shared words, each goes on by words of its own. Copies that are cut, extended or framed have
/// none of that, edits have a little; two articles in one frame have it in full length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Swaps {
    /// Words in the longest such stretch and in all of them, by the shorter of the two wordings.
    pub(super) longest: usize,
    pub(super) word_count: usize,
}

impl Swaps {
    /// As one of the texts has it. `their_place` tells where the other one has, for the first
    /// time, the shared shingle that stands at a place of this one.
    fn new(
        covered: &[bool],
        their_covered: &[bool],
        their_place: impl Fn(usize) -> Option<u32>,
    ) -> Self {
        let mut swaps = Swaps { longest: 0, word_count: 0 };
        let their_last = their_covered.iter().rposition(|&covered| covered).unwrap_or(0);
        let mut start = 0;
        for stretch in covered.chunk_by(|a, b| a == b) {
            let end = start + stretch.len();
            let is_inner_gap = !stretch[0] && start > 0 && end < covered.len();
            // The four words before a gap are a shared shingle.
            if is_inner_gap && let Some(place) = their_place(start - SHINGLE_WORDS) {
                let theirs = &their_covered[place as usize + SHINGLE_WORDS..];
                let len =
                    theirs.iter().take(stretch.len()).take_while(|&&covered| !covered).count();
                if place as usize + SHINGLE_WORDS < their_last {
                    swaps.longest = swaps.longest.max(len);
                    swaps.word_count += len;
                }
            }
            start = end;
        }
        swaps
    }

    fn max(self, other: Swaps) -> Swaps {
        Swaps {
            longest: self.longest.max(other.longest),
            word_count: self.word_count.max(other.word_count),
        }
    }
}
