//! What two articles have in common, as numbers for the judge.

use std::cell::OnceCell;

use super::shingles::{Shingles, shingles};
use super::sketch::{SHINGLE_WORDS, Sketch, WordCode};
use crate::simhash::WORDS_MIN;

/// A sketch to be compared with many others.
#[derive(Debug)]
pub struct Probe<'s> {
    sketch: &'s Sketch,
    /// Numbered when they are first needed.
    shingles: OnceCell<Shingles>,
}

impl<'s> Probe<'s> {
    pub fn new(sketch: &'s Sketch) -> Self {
        Probe { sketch, shingles: OnceCell::new() }
    }

    pub(super) fn sketch(&self) -> &Sketch {
        self.sketch
    }

    fn shingles(&self) -> &Shingles {
        self.shingles.get_or_init(|| Shingles::new(self.sketch.text()))
    }
}

/// Which shingles two texts share, and which of their words stand in a shared one.
pub(super) struct Alignment {
    pub(super) jaccard: f32,
    pub(super) containment: f32,
    probe_covered: Vec<bool>,
    other_covered: Vec<bool>,
    swaps: Swaps,
}

/// Below this containment nothing is left to be judged: the least of the labelled duplicates has
/// three times as much, and most candidates have less.
const CONTAINMENT_MIN: f32 = 0.1;

/// `None` if the two have next to nothing in common, or one of them says next to nothing.
pub(super) fn align(probe: &Probe, other: &Sketch) -> Option<Alignment> {
    if probe.sketch.text().len().min(other.text().len()) < WORDS_MIN {
        return None;
    }
    let probe_shingles = probe.shingles();
    // Where the other text has a shingle of the probe for the first time, by its number.
    let mut other_places: Vec<Option<u32>> = vec![None; probe_shingles.distinct_count()];
    let mut other_covered = vec![false; other.text().len()];
    let mut shared_count = 0;
    for (place, shingle) in shingles(other.text()).enumerate() {
        if let Some(number) = probe_shingles.number(shingle) {
            let first_place = &mut other_places[number];
            shared_count += usize::from(first_place.is_none());
            first_place.get_or_insert(place as u32);
            other_covered[place..place + SHINGLE_WORDS].fill(true);
        }
    }
    let (a, b) = (other_places.len(), other.shingle_count().max(shared_count));
    let containment = ratio(shared_count, a.min(b));
    if containment < CONTAINMENT_MIN {
        return None;
    }
    let mut probe_covered = vec![false; probe.sketch.text().len()];
    for (place, &number) in probe_shingles.numbers.iter().enumerate() {
        if other_places[usize::from(number)].is_some() {
            probe_covered[place..place + SHINGLE_WORDS].fill(true);
        }
    }
    let jaccard = ratio(shared_count, a + b - shared_count);
    let swaps_of_probe = Swaps::new(&probe_covered, &other_covered, |place| {
        other_places[usize::from(probe_shingles.numbers[place])]
    });
    let swaps_of_other = Swaps::new(&other_covered, &probe_covered, |place| {
        let shingle = shingles(&other.text()[place..place + SHINGLE_WORDS]).next()?;
        Some(probe_shingles.first_place(probe_shingles.number(shingle)?))
    });
    let swaps = swaps_of_probe.max(swaps_of_other);
    Some(Alignment { jaccard, containment, probe_covered, other_covered, swaps })
}

/// What two texts say differently at the same place: between two shared stretches, after the same
/// shared words, each goes on by words of its own. Copies that are cut, extended or framed have
/// none of that, edits have a little; two articles in one frame have it in full length.
#[derive(Debug, Clone, Copy)]
struct Swaps {
    /// Words in the longest such stretch and in all of them, by the shorter of the two wordings.
    longest: usize,
    word_count: usize,
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

/// What a feature says. The judge may only ever become surer of a duplicate if a feature for it
/// grows or one against it shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    For,
    Against,
}

/// Names and senses, in the order of [`features`]. None of them tells how long a text is, or a
/// judge could learn the sources of its training pairs by heart.
pub(super) const FEATURES: [(&str, Sense); 25] = [
    ("jaccard", Sense::For),
    ("containment", Sense::For),
    ("shorter_first_third", Sense::For),
    ("shorter_lowest_third", Sense::For),
    ("shorter_middle_third", Sense::For),
    ("longer_first_third", Sense::For),
    ("shorter_mean_run_log", Sense::For),
    ("shared_words_log", Sense::For),
    ("beside_longest_run_log", Sense::For),
    ("shorter_longest_gap", Sense::Against),
    ("shorter_longest_gap_log", Sense::Against),
    ("longer_longest_gap", Sense::Against),
    ("longer_inner_gap_log", Sense::Against),
    ("own_head_log", Sense::Against),
    ("longest_swap_log", Sense::Against),
    ("swapped", Sense::Against),
    ("shorter_number_gaps", Sense::Against),
    ("shorter_number_gaps_log", Sense::Against),
    ("shorter_new_words", Sense::Against),
    ("longer_new_words", Sense::Against),
    ("shorter_numbers_shared", Sense::For),
    ("longer_numbers_shared", Sense::For),
    ("shorter_numbers_missing_log", Sense::Against),
    ("title_jaccard", Sense::For),
    ("title_containment", Sense::For),
];

pub(super) type FeatureVector = [f32; FEATURES.len()];

/// The features of a pair; the same in whichever order the two are given.
pub(super) fn features(probe: &Probe, other: &Sketch, alignment: &Alignment) -> FeatureVector {
    let probe_words = WordSet::new(probe.sketch.text());
    let other_words = WordSet::new(other.text());
    let probe_side = Side::new(probe.sketch, &alignment.probe_covered, &probe_words, &other_words);
    let other_side = Side::new(other, &alignment.other_covered, &other_words, &probe_words);
    let (shorter, longer) = if probe.sketch.length_order() <= other.length_order() {
        (probe_side, other_side)
    } else {
        (other_side, probe_side)
    };
    let mut titles = Titles::new(probe.sketch, other);
    if shorter.covered_count >= SPEAKS_FOR_ITSELF_WORDS {
        titles = titles.not_against();
    }
    [
        alignment.jaccard,
        alignment.containment,
        shorter.first_third,
        shorter.lowest_third,
        shorter.middle_third,
        longer.first_third,
        log(shorter.mean_run),
        log(shorter.covered_count),
        log(shorter.covered_count - shorter.longest_run),
        shorter.longest_gap / shorter.word_count,
        log(shorter.longest_gap),
        longer.longest_gap / longer.word_count,
        log(longer.inner_gap),
        log(shorter.head_gap.min(longer.head_gap)),
        log(alignment.swaps.longest as f32),
        alignment.swaps.word_count as f32 / shorter.word_count,
        shorter.number_gap_count / shorter.word_count,
        log(shorter.number_gap_count),
        shorter.new_words,
        longer.new_words,
        shorter.numbers_shared,
        longer.numbers_shared,
        log(shorter.numbers_missing),
        titles.jaccard,
        titles.containment,
    ]
}

fn log(count: f32) -> f32 {
    libm::logf(1.0 + count)
}

fn ratio(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

/// The set of the words of one text: a bit for every possible code.
struct WordSet(Box<[u64; 1024]>);

impl WordSet {
    fn new(words: &[WordCode]) -> Self {
        let mut bits = Box::new([0; 1024]);
        for word in words {
            let code = usize::from(word.bits());
            bits[code / 64] |= 1 << (code % 64);
        }
        WordSet(bits)
    }

    fn contains(&self, word: WordCode) -> bool {
        let code = usize::from(word.bits());
        self.0[code / 64] >> (code % 64) & 1 == 1
    }

    /// Numbers are the upper half of the codes.
    fn numbers(&self) -> &[u64] {
        &self.0[512..]
    }
}

/// One of the two texts, seen from the other. A word is covered if it stands in a shared shingle.
struct Side {
    word_count: f32,
    covered_count: f32,
    /// The covered share of the first third, of the least covered third, and so on.
    first_third: f32,
    lowest_third: f32,
    middle_third: f32,
    /// Words in the longest stretch of covered words, and in the mean one.
    longest_run: f32,
    mean_run: f32,
    /// Words in the longest stretch of words that are not covered, in the longest one between
    /// solid runs, and in the one that begins the text.
    longest_gap: f32,
    inner_gap: f32,
    head_gap: f32,
    /// Short gaps between two runs that hold a number: what a template fills in.
    number_gap_count: f32,
    /// The share of the words that the other text has nowhere.
    new_words: f32,
    /// The share of the distinct numbers that the other text has too; 1 if there are none.
    numbers_shared: f32,
    numbers_missing: f32,
}

/// From so many words on a run is solid: shorter ones may be phrases that everybody uses.
const SOLID_RUN_WORDS: usize = 12;

/// A gap of so many words may be a blank in a template.
const BLANK_WORDS_MAX: usize = 4;

impl Side {
    fn new(sketch: &Sketch, covered: &[bool], words: &WordSet, other_words: &WordSet) -> Self {
        let text = sketch.text();
        let thirds: [f32; 3] = std::array::from_fn(|third| {
            covered_share(&covered[covered.len() * third / 3..covered.len() * (third + 1) / 3])
        });
        let [lowest_third, middle_third, _] = sorted(thirds);
        let covered_count = covered.iter().filter(|&&covered| covered).count();
        let stretches = Stretches::new(text, covered);
        let new_count = text.iter().filter(|&&word| !other_words.contains(word)).count();
        let number_count: u32 = words.numbers().iter().map(|bits| bits.count_ones()).sum();
        let both = words.numbers().iter().zip(other_words.numbers());
        let shared_number_count: u32 = both.map(|(a, b)| (a & b).count_ones()).sum();
        let numbers_shared = match number_count {
            0 => 1.0,
            _ => ratio(shared_number_count as usize, number_count as usize),
        };
        Side {
            word_count: text.len() as f32,
            covered_count: covered_count as f32,
            first_third: thirds[0],
            lowest_third,
            middle_third,
            longest_run: stretches.longest_run as f32,
            mean_run: ratio(covered_count, stretches.run_count),
            longest_gap: stretches.longest_gap as f32,
            inner_gap: stretches.inner_gap as f32,
            head_gap: covered.iter().take_while(|&&covered| !covered).count() as f32,
            number_gap_count: stretches.number_gap_count as f32,
            new_words: ratio(new_count, text.len()),
            numbers_shared,
            numbers_missing: (number_count - shared_number_count) as f32,
        }
    }
}

fn covered_share(covered: &[bool]) -> f32 {
    ratio(covered.iter().filter(|&&covered| covered).count(), covered.len())
}

fn sorted(mut values: [f32; 3]) -> [f32; 3] {
    values.sort_by(f32::total_cmp);
    values
}

/// The runs of covered words of a text, and the gaps between them.
#[derive(Default)]
struct Stretches {
    run_count: usize,
    longest_run: usize,
    longest_gap: usize,
    /// The longest gap between two solid runs.
    inner_gap: usize,
    number_gap_count: usize,
}

impl Stretches {
    fn new(text: &[WordCode], covered: &[bool]) -> Self {
        let mut stretches = Stretches::default();
        // The longest gap since the last solid run, if there was any.
        let mut gap_after_solid = None;
        let mut start = 0;
        for stretch in covered.chunk_by(|a, b| a == b) {
            let (len, end) = (stretch.len(), start + stretch.len());
            if stretch[0] {
                stretches.run_count += 1;
                stretches.longest_run = stretches.longest_run.max(len);
                if len >= SOLID_RUN_WORDS {
                    let gap = gap_after_solid.replace(0).unwrap_or(0);
                    stretches.inner_gap = stretches.inner_gap.max(gap);
                }
            } else {
                stretches.longest_gap = stretches.longest_gap.max(len);
                gap_after_solid = gap_after_solid.map(|longest: usize| longest.max(len));
                let is_inner = start > 0 && end < text.len();
                let is_number_gap = is_inner
                    && len <= BLANK_WORDS_MAX
                    && text[start..end].iter().any(|word| word.is_number());
                stretches.number_gap_count += usize::from(is_number_gap);
            }
            start = end;
        }
        stretches
    }
}

/// How far two headlines agree.
struct Titles {
    jaccard: f32,
    containment: f32,
}

/// Where neither article has a title, so many words of the text stand in for it: feeds without
/// titles mostly have them there.
const STAND_IN_WORDS: usize = 10;

/// Outlets change headlines first: where texts share so many words, another headline is no reason
/// to doubt that they are one. In shorter ones, such as market reports, it may be the only thing
/// that tells a template's fillings apart.
const SPEAKS_FOR_ITSELF_WORDS: f32 = 100.0;

impl Titles {
    fn not_against(self) -> Titles {
        Titles {
            jaccard: self.jaccard.max(Titles::UNKNOWN.jaccard),
            containment: self.containment.max(Titles::UNKNOWN.containment),
        }
    }

    /// A title that only one of the two has says neither yes nor no.
    const UNKNOWN: Titles = Titles { jaccard: 0.3, containment: 0.5 };

    fn new(a: &Sketch, b: &Sketch) -> Self {
        let head =
            |sketch: &Sketch| distinct(&sketch.text()[..sketch.text().len().min(STAND_IN_WORDS)]);
        let (a, b) = match (a.title(), b.title()) {
            ([], []) => (head(a), head(b)),
            ([], _) | (_, []) => return Titles::UNKNOWN,
            (a, b) => (distinct(a), distinct(b)),
        };
        let shared = a.iter().filter(|word| b.contains(word)).count();
        Titles {
            jaccard: ratio(shared, a.len() + b.len() - shared),
            containment: ratio(shared, a.len().min(b.len())),
        }
    }
}

fn distinct(words: &[WordCode]) -> Vec<WordCode> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words.dedup();
    words
}
