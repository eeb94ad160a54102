//! What two articles have in common, as numbers for the judge.

use std::cell::OnceCell;
use std::sync::LazyLock;

use super::counts::{Counts, others_by_word};
use super::shingles::{Shingles, shingles};
use super::sketch::{SHINGLE_WORDS, Sketch, WordCode};
use crate::simhash::WORDS_MIN;
use crate::text::word_hash;

/// A sketch to be compared with many others, those of one collection.
#[derive(Debug)]
pub struct Probe<'s> {
    sketch: &'s Sketch,
    counts: &'s Counts,
    /// How often the counts have the article itself already: once if it is revised.
    counted_before: u8,
    /// Its shingles, if they are numbered already; if not they are when they are first needed.
    known_shingles: Option<&'s Shingles>,
    shingles: OnceCell<Shingles>,
    /// Its words, put into a set when they are first needed.
    words: OnceCell<WordSet>,
    /// Its shingles that are counted, read when they are first needed.
    counted: OnceCell<Vec<(u32, u8)>>,
}

impl<'s> Probe<'s> {
    /// `counts` are those of the collection that the others are from.
    pub fn new(sketch: &'s Sketch, counts: &'s Counts) -> Self {
        Probe {
            sketch,
            counts,
            counted_before: 0,
            known_shingles: None,
            shingles: OnceCell::new(),
            words: OnceCell::new(),
            counted: OnceCell::new(),
        }
    }

    /// The same with the sketch's shingles, if they are at hand.
    pub fn with_shingles(self, shingles: Option<&'s Shingles>) -> Self {
        Probe { known_shingles: shingles, ..self }
    }

    /// The next revision of an article that the collection has counted.
    pub fn revised(self) -> Self {
        Probe { counted_before: 1, ..self }
    }

    pub(super) fn sketch(&self) -> &Sketch {
        self.sketch
    }

    fn shingles(&self) -> &Shingles {
        self.known_shingles
            .unwrap_or_else(|| self.shingles.get_or_init(|| Shingles::new(self.sketch.text())))
    }

    fn words(&self) -> &WordSet {
        self.words.get_or_init(|| WordSet::new(self.sketch.text()))
    }

    /// What the collection knows of the words of this article and of one that it holds, leaving
    /// out that one itself.
    pub(super) fn knowledge(&self, other: &Sketch, alignment: &Alignment) -> Knowledge {
        let counted_here = self.counted.get_or_init(|| self.counts.of(self.sketch.text()));
        let without_other = |&(place, count): &(u32, u8)| {
            let is_shared = alignment.shared_places[place as usize];
            (place, count.saturating_sub(u8::from(is_shared) + self.counted_before))
        };
        let counted_here: Vec<_> = counted_here.iter().map(without_other).collect();
        let mut counted_there = self.counts.of(other.text());
        let known = 1 + self.counted_before;
        counted_there.iter_mut().for_each(|(_, count)| *count = count.saturating_sub(known));
        Knowledge {
            stories: self.counts.stories(),
            probe_others: others_by_word(self.sketch.text().len(), &counted_here),
            other_others: others_by_word(other.text().len(), &counted_there),
        }
    }
}

/// What a collection knows of the words of two articles.
pub(super) struct Knowledge {
    /// Stories it has counted.
    pub(super) stories: u64,
    /// For every word of either text, how many further stories have what stands there.
    pub(super) probe_others: Vec<u8>,
    pub(super) other_others: Vec<u8>,
}

/// Which shingles two texts share, and which of their words stand in a shared one.
pub(super) struct Alignment {
    pub(super) jaccard: f32,
    pub(super) containment: f32,
    /// Whether the shingle at a place of the probe is shared.
    shared_places: Vec<bool>,
    probe_covered: Vec<bool>,
    other_covered: Vec<bool>,
    swaps: Swaps,
}

/// Below this containment nothing is left to be judged: the least of the labelled duplicates has
/// three times as much, and most candidates have less.
const CONTAINMENT_MIN: f32 = 0.1;

/// But so many shared shingles are a passage, however long the texts are.
const SHARED_ENOUGH: usize = 60;

/// No place of a text: it has at most [`super::TEXT_WORDS_MAX`] words.
const NOWHERE: u16 = u16::MAX;

/// `None` if the two have next to nothing in common, or one of them says next to nothing.
pub(super) fn align(probe: &Probe, other: &Sketch) -> Option<Alignment> {
    if probe.sketch.text().len().min(other.text().len()) < WORDS_MIN {
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
    let mut probe_covered = vec![false; probe.sketch.text().len()];
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
        let shingle = shingles(&other.text()[place..place + SHINGLE_WORDS]).next()?;
        Some(probe_shingles.first_place(probe_shingles.number(shingle)?))
    });
    let swaps = swaps_of_probe.max(swaps_of_other);
    Some(Alignment { jaccard, containment, shared_places, probe_covered, other_covered, swaps })
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
pub(super) const FEATURES: [(&str, Sense); 38] = [
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
    ("shorter_figure_gaps", Sense::Against),
    ("shorter_figure_gaps_log", Sense::Against),
    ("shorter_new_words", Sense::Against),
    ("longer_new_words", Sense::Against),
    ("shorter_figures_shared", Sense::For),
    ("longer_figures_shared", Sense::For),
    ("shorter_figures_missing_log", Sense::Against),
    ("title_jaccard", Sense::For),
    ("title_containment", Sense::For),
    ("rare_containment_higher", Sense::For),
    ("rare_containment_lower", Sense::For),
    ("rare_lowest_third", Sense::For),
    ("rare_shared_log", Sense::For),
    ("rare_longest_run_log", Sense::For),
    ("shared_frame", Sense::Against),
    ("rare_solid_share", Sense::For),
    ("rare_unbroken_log", Sense::Against),
    ("rare_own_log", Sense::Against),
    ("headline_containment", Sense::For),
    ("shared_quotations", Sense::Against),
    ("shared_own_log", Sense::For),
    ("stories_log", Sense::For),
];

pub(super) type FeatureVector = [f32; FEATURES.len()];

/// The features of a pair; the same in whichever order the two are given.
pub(super) fn features(
    probe: &Probe,
    other: &Sketch,
    alignment: &Alignment,
    knowledge: &Knowledge,
) -> FeatureVector {
    let probe_words = probe.words();
    let other_words = WordSet::new(other.text());
    let (here, there) = (&alignment.probe_covered, &alignment.other_covered);
    let a = Side::new(probe.sketch, here, &knowledge.probe_others, &other_words);
    let b = Side::new(other, there, &knowledge.other_others, probe_words);
    let (shorter, longer) = Side::by_length(&a, &b);
    let mut titles = Titles::new(probe.sketch, other);
    let headline_containment = titles.containment;
    if shorter.covered_count >= SPEAKS_FOR_ITSELF_WORDS {
        titles = titles.not_against();
    }
    let rare_containments = [a.rare_covered / a.rare_words, b.rare_covered / b.rare_words];
    [
        alignment.jaccard,
        alignment.containment,
        shorter.first_third,
        shorter.lowest_third,
        shorter.middle_third,
        longer.first_third,
        log(shorter.mean_run),
        log(shorter.covered_count),
        log((a.covered_count - a.longest_run).min(b.covered_count - b.longest_run)),
        shorter.longest_gap / shorter.word_count,
        log(shorter.longest_gap),
        longer.longest_gap / longer.word_count,
        log(longer.inner_gap),
        log(a.head_gap.min(b.head_gap)),
        log(alignment.swaps.longest as f32),
        alignment.swaps.word_count as f32 / a.word_count.min(b.word_count),
        shorter.figure_gap_count / shorter.word_count,
        log(shorter.figure_gap_count),
        shorter.new_words,
        longer.new_words,
        shorter.figures_shared,
        longer.figures_shared,
        log(shorter.figures_missing),
        titles.jaccard,
        titles.containment,
        rare_containments[0].max(rare_containments[1]),
        rare_containments[0].min(rare_containments[1]),
        shorter.rare_lowest_third,
        log(a.rare_covered.min(b.rare_covered)),
        log(a.rare_longest_run.min(b.rare_longest_run)),
        1.0 - shorter.rare_covered / shorter.covered_count.max(1.0),
        (a.rare_solid / a.rare_words).max(b.rare_solid / b.rare_words),
        log(a.rare_longest_run.min(b.rare_longest_run)),
        log((a.rare_words - a.rare_covered).min(b.rare_words - b.rare_covered)),
        headline_containment,
        (a.covered_quoted / a.covered_count.max(1.0))
            .max(b.covered_quoted / b.covered_count.max(1.0)),
        log((a.covered_count - a.covered_quoted).min(b.covered_count - b.covered_quoted)),
        log(knowledge.stories.min(STORIES_ENOUGH) as f32),
    ]
}

/// A collection of so many stories knows its frames.
const STORIES_ENOUGH: u64 = 2000;

fn log(count: f32) -> f32 {
    libm::logf(1.0 + count)
}

fn ratio(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

/// The set of the words of one text: a bit for every possible code.
#[derive(Debug)]
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
}

/// Words that say how many or when, as a template's blanks do. Numbers in digits are told by their
/// code; these are those that English writes out.
static WRITTEN_FIGURES: LazyLock<WordSet> = LazyLock::new(|| {
    const WORDS: &str = "one two three four five six seven eight nine ten eleven twelve thirteen \
        fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty \
        seventy eighty ninety hundred thousand million billion first second third fourth fifth \
        monday tuesday wednesday thursday friday saturday sunday january february march april \
        june july august september october november december";
    let codes: Vec<WordCode> =
        WORDS.split(' ').map(|word| WordCode::of_hash(word_hash(word.as_bytes()))).collect();
    WordSet::new(&codes)
});

pub(super) fn is_figure(word: WordCode) -> bool {
    word.is_number() || WRITTEN_FIGURES.contains(word)
}

/// One of the two texts, seen from the other. A word is covered if it stands in a shared shingle.
#[derive(Clone, Copy)]
struct Side {
    word_count: f32,
    covered_count: f32,
    /// Covered words in quotation marks: two reports of one speech share what was said.
    covered_quoted: f32,
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
    /// Short gaps between two runs that hold a figure: what a template fills in.
    figure_gap_count: f32,
    /// The share of the words that the other text has nowhere.
    new_words: f32,
    /// Of the distinct figures in the shared part, the share that the other text has too; 1 if
    /// there are none.
    figures_shared: f32,
    figures_missing: f32,
    /// Words by how rare they are: all, those that are covered, those in the best covered run and
    /// in all runs of a paragraph, and the covered share of the least covered third of them.
    rare_words: f32,
    rare_covered: f32,
    rare_longest_run: f32,
    rare_solid: f32,
    rare_lowest_third: f32,
}

/// From so many words on a run is solid: shorter ones may be phrases that everybody uses.
const SOLID_RUN_WORDS: usize = 12;

/// A run of so many words is more than a quoted sentence.
const PARAGRAPH_WORDS: usize = 25;

/// A gap of so many words may be a blank in a template.
const BLANK_WORDS_MAX: usize = 4;

/// Up to so many words between two runs belong to what is shared.
const INNER_WORDS_MAX: usize = 12;

/// How much a word weighs that so many other stories have. Frame is weighed, not deleted.
fn rarity(others: u8) -> f32 {
    static RARITIES: [f32; 256] = {
        let mut rarities = [0.0; 256];
        let mut others = 0;
        while others < rarities.len() {
            rarities[others] = 1.0 / (1.0 + others as f32);
            others += 1;
        }
        rarities
    };
    RARITIES[usize::from(others)]
}

impl Side {
    fn new(sketch: &Sketch, covered: &[bool], others: &[u8], other_words: &WordSet) -> Self {
        let text = sketch.text();
        let thirds: [f32; 3] = std::array::from_fn(|third| {
            covered_share(&covered[covered.len() * third / 3..covered.len() * (third + 1) / 3])
        });
        let [lowest_third, middle_third, _] = sorted(thirds);
        let covered_count = covered.iter().filter(|&&covered| covered).count();
        let is_covered = |&place: &usize| covered[place];
        let covered_quoted = sketch.quotations().flatten().filter(is_covered).count();
        let stretches = Stretches::new(text, covered, others);
        let new_count = text.iter().filter(|&&word| !other_words.contains(word)).count();
        let mut figures = stretches.figures;
        figures.sort_unstable();
        figures.dedup();
        let missing = figures.iter().filter(|&&figure| !other_words.contains(figure)).count();
        let rare = RareThirds::new(covered, others);
        Side {
            word_count: text.len() as f32,
            covered_count: covered_count as f32,
            covered_quoted: covered_quoted as f32,
            first_third: thirds[0],
            lowest_third,
            middle_third,
            longest_run: stretches.longest_run as f32,
            mean_run: ratio(covered_count, stretches.run_count),
            longest_gap: stretches.longest_gap as f32,
            inner_gap: stretches.inner_gap as f32,
            head_gap: covered.iter().take_while(|&&covered| !covered).count() as f32,
            figure_gap_count: stretches.figure_gap_count as f32,
            new_words: ratio(new_count, text.len()),
            figures_shared: match figures.len() {
                0 => 1.0,
                len => ratio(len - missing, len),
            },
            figures_missing: missing as f32,
            rare_words: rare.words,
            rare_covered: rare.covered,
            rare_longest_run: stretches.rare_longest_run,
            rare_solid: stretches.rare_solid,
            rare_lowest_third: rare.lowest_third,
        }
    }

    /// The shorter and the longer one. Where both are about as long each is a bit of the other, so
    /// that a line more or less never swaps them.
    fn by_length(a: &Side, b: &Side) -> (Side, Side) {
        let (shorter, longer) = if a.word_count <= b.word_count { (a, b) } else { (b, a) };
        let apart = libm::logf(longer.word_count / shorter.word_count) / APART_LOG;
        let share = 0.5 + 0.5 * apart.min(1.0);
        (shorter.mixed(longer, share), longer.mixed(shorter, share))
    }

    /// So much of this one and the rest of the other.
    fn mixed(&self, other: &Side, share: f32) -> Side {
        let mix = |a: f32, b: f32| share * a + (1.0 - share) * b;
        macro_rules! mixed {
            ($($field:ident)*) => { Side { $($field: mix(self.$field, other.$field)),* } };
        }
        mixed!(word_count covered_count covered_quoted first_third lowest_third middle_third longest_run mean_run
            longest_gap inner_gap head_gap figure_gap_count new_words figures_shared
            figures_missing rare_words rare_covered rare_longest_run rare_solid
            rare_lowest_third)
    }
}

/// From this logarithm of the ratio of their lengths on, one text is the shorter: a fifth.
const APART_LOG: f32 = 0.182;

fn covered_share(covered: &[bool]) -> f32 {
    ratio(covered.iter().filter(|&&covered| covered).count(), covered.len())
}

fn sorted(mut values: [f32; 3]) -> [f32; 3] {
    values.sort_by(f32::total_cmp);
    values
}

/// A text cut into three of equal weight by what is rare in it.
struct RareThirds {
    words: f32,
    covered: f32,
    lowest_third: f32,
}

impl RareThirds {
    fn new(covered: &[bool], others: &[u8]) -> Self {
        let words: f32 = others.iter().map(|&others| rarity(others)).sum();
        let mut thirds = [0.0; 3];
        // The third at hand stays in a register: every sum waits for the one before.
        let (mut third, mut sum) = (0, 0.0);
        let mut at = 0.0;
        for (&covered, &others) in covered.iter().zip(others) {
            let weight = rarity(others);
            if covered {
                let own = ((at + weight / 2.0) / words * 3.0).min(2.0) as usize;
                if own != third {
                    thirds[third] = sum;
                    (third, sum) = (own, thirds[own]);
                }
                sum += weight;
            }
            at += weight;
        }
        thirds[third] = sum;
        let [lowest, ..] = sorted(thirds);
        let lowest_third = (3.0 * lowest / words).min(1.0);
        RareThirds { words, covered: thirds.iter().sum(), lowest_third }
    }
}

/// The runs of covered words of a text, and the gaps between them.
#[derive(Default)]
struct Stretches {
    run_count: usize,
    longest_run: usize,
    rare_longest_run: f32,
    rare_solid: f32,
    longest_gap: usize,
    /// The longest gap between two solid runs.
    inner_gap: usize,
    figure_gap_count: usize,
    /// All figures in runs and in short gaps between them.
    figures: Vec<WordCode>,
}

impl Stretches {
    fn new(text: &[WordCode], covered: &[bool], others: &[u8]) -> Self {
        let mut stretches = Stretches::default();
        // The longest gap since the last solid run, if there was any.
        let mut gap_after_solid = None;
        let mut start = 0;
        for stretch in covered.chunk_by(|a, b| a == b) {
            let (len, end) = (stretch.len(), start + stretch.len());
            let figures = || text[start..end].iter().copied().filter(|&word| is_figure(word));
            if stretch[0] {
                stretches.run_count += 1;
                stretches.longest_run = stretches.longest_run.max(len);
                let rare: f32 = others[start..end].iter().map(|&others| rarity(others)).sum();
                stretches.rare_longest_run = stretches.rare_longest_run.max(rare);
                if len >= PARAGRAPH_WORDS {
                    stretches.rare_solid += rare;
                }
                if len >= SOLID_RUN_WORDS {
                    let gap = gap_after_solid.replace(0).unwrap_or(0);
                    stretches.inner_gap = stretches.inner_gap.max(gap);
                }
                stretches.figures.extend(figures());
            } else {
                stretches.longest_gap = stretches.longest_gap.max(len);
                gap_after_solid = gap_after_solid.map(|longest: usize| longest.max(len));
                if start > 0 && end < text.len() && len <= INNER_WORDS_MAX {
                    let before = stretches.figures.len();
                    stretches.figures.extend(figures());
                    let is_blank = len <= BLANK_WORDS_MAX && stretches.figures.len() > before;
                    stretches.figure_gap_count += usize::from(is_blank);
                }
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
