//! What two articles have in common, as numbers for the judge.

use std::sync::LazyLock;

use super::alignment::Alignment;
use super::counts::STORY_COUNT_MAX;
use super::probe::{Knowledge, Probe, WordSet};
use super::sketch::{Sketch, WordCode};
use crate::text::word_hash;

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

/// What a pair shows before anybody asks what the collection knows of its words.
pub(super) struct Evidence<'p> {
    alignment: &'p Alignment,
    sides: [Side; 2],
    titles: Titles,
}

impl<'p> Evidence<'p> {
    pub(super) fn new(probe: &Probe, other: &Sketch, alignment: &'p Alignment) -> Self {
        let (here, there) = (&alignment.probe_covered, &alignment.other_covered);
        let a = Side::new(probe.sketch(), here, &WordSet::new(other.text()));
        let b = Side::new(other, there, probe.words());
        let titles = Titles::new(probe.sketch(), other);
        Evidence { alignment, sides: [a, b], titles }
    }

    /// The features of the pair; the same in whichever order the two are given.
    pub(super) fn features(&self, knowledge: &Knowledge) -> FeatureVector {
        let Alignment { probe_covered, other_covered, .. } = self.alignment;
        let a = Rare::new(probe_covered, &knowledge.probe_others);
        let b = Rare::new(other_covered, &knowledge.other_others);
        self.features_with([&a, &b], knowledge.stories)
    }

    /// Features that speak at least as much for a duplicate as any knowledge of the words could
    /// have them speak, in a collection that has counted so many stories. Most pairs are no match
    /// even so, and to read what is known of their words is most of the work.
    pub(super) fn features_at_best(&self, stories: u64) -> FeatureVector {
        let [a, b] = self.sides.each_ref().map(Rare::at_best);
        self.features_with([&a, &b], stories)
    }

    fn features_with(&self, rare: [&Rare; 2], stories: u64) -> FeatureVector {
        let Evidence { alignment, sides: [a, b], titles } = self;
        let by_length = ByLength::new(a, b);
        let (shorter, longer) = by_length.mixed([a, b], Side::mixed);
        let (rare_shorter, _) = by_length.mixed(rare, Rare::mixed);
        let [rare_a, rare_b] = rare;
        let headline_containment = titles.containment;
        let titles = match shorter.covered_count >= SPEAKS_FOR_ITSELF_WORDS {
            true => titles.not_against(),
            false => *titles,
        };
        let rare_containments = [rare_a.covered / rare_a.words, rare_b.covered / rare_b.words];
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
            rare_shorter.lowest_third,
            log(rare_a.covered.min(rare_b.covered)),
            log(rare_a.longest_run.min(rare_b.longest_run)),
            1.0 - rare_shorter.covered / shorter.covered_count.max(1.0),
            rare_a.solid_share.max(rare_b.solid_share),
            log(rare_a.unbroken.min(rare_b.unbroken)),
            log((rare_a.words - rare_a.covered).min(rare_b.words - rare_b.covered)),
            headline_containment,
            (a.covered_quoted / a.covered_count.max(1.0))
                .max(b.covered_quoted / b.covered_count.max(1.0)),
            log((a.covered_count - a.covered_quoted).min(b.covered_count - b.covered_quoted)),
            log(stories.min(STORIES_ENOUGH) as f32),
        ]
    }
}

/// A collection of so many stories knows its frames.
const STORIES_ENOUGH: u64 = 2000;

fn log(count: f32) -> f32 {
    libm::logf(1.0 + count)
}

pub(super) fn ratio(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
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
    /// Words in all covered runs of a paragraph.
    solid: f32,
}

/// The words of one of the two texts by how rare they are.
#[derive(Clone, Copy)]
struct Rare {
    /// All words, and those that are covered.
    words: f32,
    covered: f32,
    /// Those in the best covered run: as what speaks for a duplicate, and as what speaks against.
    longest_run: f32,
    unbroken: f32,
    /// The share of all words that is in covered runs of a paragraph.
    solid_share: f32,
    /// The covered share of the least covered third of the words.
    lowest_third: f32,
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
    fn new(sketch: &Sketch, covered: &[bool], other_words: &WordSet) -> Self {
        let text = sketch.text();
        let thirds: [f32; 3] = std::array::from_fn(|third| {
            covered_share(&covered[covered.len() * third / 3..covered.len() * (third + 1) / 3])
        });
        let [lowest_third, middle_third, _] = sorted(thirds);
        let covered_count = covered.iter().filter(|&&covered| covered).count();
        let is_covered = |&place: &usize| covered[place];
        let covered_quoted = sketch.quotations().flatten().filter(is_covered).count();
        let stretches = Stretches::new(text, covered);
        let new_count = text.iter().filter(|&&word| !other_words.contains(word)).count();
        let mut figures = stretches.figures;
        figures.sort_unstable();
        figures.dedup();
        let missing = figures.iter().filter(|&&figure| !other_words.contains(figure)).count();
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
            solid: stretches.solid as f32,
        }
    }

    /// So much of this one and the rest of the other.
    fn mixed(&self, other: &Side, share: f32) -> Side {
        let mix = |a: f32, b: f32| share * a + (1.0 - share) * b;
        macro_rules! mixed {
            ($($field:ident)*) => { Side { $($field: mix(self.$field, other.$field)),* } };
        }
        mixed!(word_count covered_count covered_quoted first_third lowest_third middle_third longest_run mean_run
            longest_gap inner_gap head_gap figure_gap_count new_words figures_shared
            figures_missing solid)
    }
}

/// Which of two sides is the shorter one. Where both are about as long each is a bit of the other,
/// so that a line more or less never swaps them.
struct ByLength {
    is_first_shorter: bool,
    /// So much of the shorter one is the shorter one itself, in 0.5..=1; the rest is the longer one.
    share: f32,
}

impl ByLength {
    fn new(a: &Side, b: &Side) -> Self {
        let is_first_shorter = a.word_count <= b.word_count;
        let (shorter, longer) = if is_first_shorter { (a, b) } else { (b, a) };
        let apart = libm::logf(longer.word_count / shorter.word_count) / APART_LOG;
        ByLength { is_first_shorter, share: 0.5 + 0.5 * apart.min(1.0) }
    }

    /// The shorter and the longer one.
    fn mixed<T>(&self, [a, b]: [&T; 2], mix: impl Fn(&T, &T, f32) -> T) -> (T, T) {
        let (shorter, longer) = if self.is_first_shorter { (a, b) } else { (b, a) };
        (mix(shorter, longer, self.share), mix(longer, shorter, self.share))
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

impl Rare {
    fn new(covered: &[bool], others: &[u8]) -> Self {
        let words: f32 = others.iter().map(|&others| rarity(others)).sum();
        let Runs { longest: longest_run, solid } = Runs::new(covered, others);
        let thirds = rare_thirds(covered, others, words);
        let [lowest, ..] = sorted(thirds);
        Rare {
            words,
            covered: thirds.iter().sum(),
            longest_run,
            unbroken: longest_run,
            solid_share: solid / words,
            lowest_third: (3.0 * lowest / words).min(1.0),
        }
    }

    /// At least as much for a duplicate as anything that could be known of these words: those that
    /// are covered are news, and the others are frame, as far as counts can tell.
    fn at_best(side: &Side) -> Self {
        let least = rarity(STORY_COUNT_MAX);
        // All words if these are news and the others are frame.
        let words = |news: f32| news + (side.word_count - news) * least;
        Rare {
            words: words(side.covered_count),
            covered: side.covered_count,
            longest_run: side.longest_run,
            unbroken: side.longest_run * least,
            solid_share: side.solid / words(side.solid),
            lowest_third: side.covered_count / words(side.covered_count),
        }
    }

    fn mixed(&self, other: &Rare, share: f32) -> Rare {
        let mix = |a: f32, b: f32| share * a + (1.0 - share) * b;
        macro_rules! mixed {
            ($($field:ident)*) => { Rare { $($field: mix(self.$field, other.$field)),* } };
        }
        mixed!(words covered longest_run unbroken solid_share lowest_third)
    }
}

/// The covered words, by how rare they are, of each third of a text that is cut into three of equal
/// weight.
fn rare_thirds(covered: &[bool], others: &[u8], words: f32) -> [f32; 3] {
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
    thirds
}

/// Covered runs, by how rare their words are: the best one, and all of a paragraph.
#[derive(Default)]
struct Runs {
    longest: f32,
    solid: f32,
}

impl Runs {
    fn new(covered: &[bool], others: &[u8]) -> Self {
        let mut runs = Runs::default();
        let mut start = 0;
        for stretch in covered.chunk_by(|a, b| a == b) {
            let end = start + stretch.len();
            if stretch[0] {
                let rare: f32 = others[start..end].iter().map(|&others| rarity(others)).sum();
                runs.longest = runs.longest.max(rare);
                if stretch.len() >= PARAGRAPH_WORDS {
                    runs.solid += rare;
                }
            }
            start = end;
        }
        runs
    }
}

/// The runs of covered words of a text, and the gaps between them.
#[derive(Default)]
struct Stretches {
    run_count: usize,
    longest_run: usize,
    /// Words in all runs of a paragraph.
    solid: usize,
    longest_gap: usize,
    /// The longest gap between two solid runs.
    inner_gap: usize,
    figure_gap_count: usize,
    /// All figures in runs and in short gaps between them.
    figures: Vec<WordCode>,
}

impl Stretches {
    fn new(text: &[WordCode], covered: &[bool]) -> Self {
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
                if len >= PARAGRAPH_WORDS {
                    stretches.solid += len;
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
#[derive(Clone, Copy)]
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
    fn not_against(&self) -> Titles {
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
