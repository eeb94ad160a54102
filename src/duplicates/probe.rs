//! An article that others are compared with, and what its collection knows of the words of both.

use std::cell::OnceCell;

use super::alignment::Alignment;
use super::counts::{Counts, others_by_word};
use super::shingles::Shingles;
use super::sketch::{Sketch, WordCode};

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

    pub(super) fn shingles(&self) -> &Shingles {
        self.known_shingles
            .unwrap_or_else(|| self.shingles.get_or_init(|| Shingles::new(self.sketch.text())))
    }

    pub(super) fn words(&self) -> &WordSet {
        self.words.get_or_init(|| WordSet::new(self.sketch.text()))
    }

    /// Stories that the collection has counted.
    pub(super) fn stories(&self) -> u64 {
        self.counts.stories()
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
            stories: self.stories(),
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

/// The set of the words of one text: a bit for every possible code.
#[derive(Debug)]
pub(super) struct WordSet(Box<[u64; 1024]>);

impl WordSet {
    pub(super) fn new(words: &[WordCode]) -> Self {
        let mut bits = Box::new([0; 1024]);
        for word in words {
            let code = usize::from(word.bits());
            bits[code / 64] |= 1 << (code % 64);
        }
        WordSet(bits)
    }

    pub(super) fn contains(&self, word: WordCode) -> bool {
        let code = usize::from(word.bits());
        self.0[code / 64] >> (code % 64) & 1 == 1
    }
}
