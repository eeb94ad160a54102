//! How many stories of a collection have a shingle: what many have is frame, what few have is news.
//!
//! A count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update, which forgets.
//! Sixteen counters of four bits make a word, and a shingle has two counters in one word: reading
//! it is one load. Half of all shingles are counted, chosen by their hash.
//!
//! Only stories count. Whoever files an article that joins a story leaves out what the story's
//! canonical article has, or fifty copies of an agency's text would pass for a footer.
//!
//! The table begins with 16 KiB and doubles with what is counted, up to 16 MiB. It is made of
//! atomics: any number of threads read while one adds, and what they read is one or the other.
//! Nothing depends on the clock: the same articles in the same order give the same table.

use std::array;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shingles::{Shingles, shingle, shingles};
use super::sketch::{SHINGLE_WORDS, Sketch, WordCode};
use crate::kernel::prefetch;
use crate::text::bigram_hash;

/// The highest count that is told.
pub const STORY_COUNT_MAX: u8 = 15;

/// Counters of four bits in a word.
const COUNTERS: u64 = 16;

/// The lowest bit of every counter of a word.
const ONES: u64 = 0x1111_1111_1111_1111;

/// Words of the smallest table, as a power of two, and how often it may double.
const LEN_MIN_LOG: u32 = 11;
const DOUBLINGS: usize = 10;

/// So many shingles for every word: more would take each other's counters too often. A table of
/// that many doubles, and the largest one forgets.
const SHINGLES_A_WORD: u64 = 4;

/// Of so many shingles one is counted.
const SAMPLED_OF: u64 = 2;

/// Counts of one collection. An empty one knows nothing and says nothing.
#[derive(Debug)]
pub struct Counts {
    /// The table in pieces: the first is the smallest table, each further one doubles it.
    pieces: [OnceLock<Box<[AtomicU64]>>; DOUBLINGS + 1],
    /// How often the table has doubled.
    doublings: AtomicU64,
    /// Shingles counted since the table had its size.
    added: AtomicU64,
    stories: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            pieces: array::from_fn(|_| OnceLock::new()),
            doublings: AtomicU64::new(0),
            added: AtomicU64::new(0),
            stories: AtomicU64::new(0),
        }
    }
}

/// `to_bytes` begins with it.
const FORMAT: u8 = 2;

impl Counts {
    /// Counts the shingles of a newly filed article. One thread may add.
    ///
    /// `known` is what it repeats: the canonical article of the story that it joins, its own earlier
    /// revision, or one of another story that it has a part in common with. If one of the two stands
    /// nearly whole in the other, or they are of different outlets, only what is new is counted. If
    /// each goes on in its own way, what they share is counted too: it may be that the two were taken
    /// for one story because of their site's frame, and would be for ever.
    pub fn add(&self, sketch: &Sketch, known: Option<Known>) {
        let mut sampled = self.sampled(sketch.text());
        let repeated = known.and_then(|known| Repeated::new(sketch, &sampled, known));
        if repeated.is_none() || known.is_some_and(|known| known.is_of_another_story) {
            self.stories.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(repeated) = repeated {
            sampled.retain(|sampled| !repeated.has(sketch, sampled.place));
        }
        self.increment(&sampled);
    }

    /// Stories counted so far.
    pub fn stories(&self) -> u64 {
        self.stories.load(Ordering::Relaxed)
    }

    /// What the table takes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.pieces.iter().filter_map(OnceLock::get).map(|piece| size_of_val::<[_]>(piece)).sum()
    }

    /// How many stories have the shingles of a text, up to [`STORY_COUNT_MAX`]: place and count of
    /// those that are counted. Too high now and then, and too low for what was long ago.
    pub(super) fn of(&self, text: &[WordCode]) -> Vec<(u32, u8)> {
        let table = self.table();
        let count = |&Sampled { place, key }: &Sampled| (place, table.count(key));
        self.sampled(text).iter().map(count).collect()
    }

    /// The shingles of a text that are counted, in order. Their counters are being fetched: they
    /// lie all over a table that is larger than the processor's caches.
    fn sampled(&self, text: &[WordCode]) -> Vec<Sampled> {
        let table = self.table();
        sampled_and(text, |sampled| {
            if let Some(word) = table.word(sampled.key) {
                prefetch(word);
            }
        })
    }

    /// The table as it is now.
    fn table(&self) -> Table<'_> {
        let mask = self.len() - 1;
        let piece = |number: usize| self.pieces[number].get().map_or(&[][..], |piece| &piece[..]);
        Table { pieces: array::from_fn(piece), mask }
    }

    fn len(&self) -> u64 {
        1 << (u64::from(LEN_MIN_LOG) + self.doublings.load(Ordering::Relaxed))
    }

    fn is_largest(&self) -> bool {
        self.doublings.load(Ordering::Relaxed) == DOUBLINGS as u64
    }

    /// Counts every shingle once, however often it is given.
    fn increment(&self, sampled: &[Sampled]) {
        // All counts are read before any is changed. So what comes again changes nothing, and no
        // load waits for another.
        if sampled.is_empty() {
            return;
        }
        self.piece(self.doublings.load(Ordering::Relaxed) as usize);
        let table = self.table();
        let counts: Vec<u8> = sampled.iter().map(|sampled| table.count(sampled.key)).collect();
        let mut changed = 0;
        for (Sampled { key, .. }, count) in sampled.iter().zip(counts) {
            if count == STORY_COUNT_MAX {
                continue;
            }
            let Some(word) = table.word(*key) else { continue };
            let value = word.load(Ordering::Relaxed);
            let step = |shift| u64::from(value >> shift & 15 == u64::from(count)) << shift;
            let steps: u64 = key.shifts().into_iter().map(step).sum();
            word.store(value + steps, Ordering::Relaxed);
            changed += u64::from(steps > 0);
        }
        self.age(changed);
    }

    fn piece(&self, number: usize) -> &[AtomicU64] {
        let len = 1 << (LEN_MIN_LOG as usize + number.saturating_sub(1));
        self.pieces[number].get_or_init(|| (0..len).map(|_| AtomicU64::new(0)).collect())
    }

    /// Makes room: a table that is full doubles, and the largest one halves all its counters once
    /// for every filling, some with every article.
    fn age(&self, newly_added: u64) {
        let before = self.added.load(Ordering::Relaxed);
        let added = before + newly_added;
        if self.is_largest() {
            let len = self.len();
            for step in before / SHINGLES_A_WORD..added / SHINGLES_A_WORD {
                let (piece, place) = locate(step & (len - 1));
                change(&self.piece(piece)[place], |word| word >> 1 & (7 * ONES));
            }
            self.added.store(added, Ordering::Relaxed);
        } else if added >= SHINGLES_A_WORD * self.len() {
            self.double();
            self.added.store(0, Ordering::Relaxed);
        } else {
            self.added.store(added, Ordering::Relaxed);
        }
    }

    /// The word of a shingle is now one of two. Both begin as the one was, less one on every
    /// counter: most shingles occur once, and would fill both.
    fn double(&self) {
        let doublings = self.doublings.load(Ordering::Relaxed) as usize;
        let twins = self.piece(doublings + 1);
        let words = (0..=doublings).flat_map(|piece| self.piece(piece));
        for (word, twin) in words.zip(twins) {
            change(word, |word| word - ((word | word >> 1 | word >> 2 | word >> 3) & ONES));
            twin.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.doublings.store(doublings as u64 + 1, Ordering::Release);
    }

    /// Layout, all little-endian: the format's number (1 byte), how often the table has doubled
    /// (1), shingles counted since (8), stories (8), the words of the table (8 each).
    pub fn to_bytes(&self) -> Vec<u8> {
        let doublings = self.doublings.load(Ordering::Relaxed);
        let mut bytes = vec![FORMAT, doublings as u8];
        bytes.extend(self.added.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend(self.stories().to_le_bytes());
        for piece in 0..=doublings as usize {
            let words = self.piece(piece).iter();
            bytes.extend(words.flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()));
        }
        bytes
    }

    /// Reads what [`Counts::to_bytes`] wrote; `None` if these bytes cannot come from it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[format, doublings], rest) = bytes.split_first_chunk()?;
        let (added, rest) = rest.split_first_chunk()?;
        let (stories, rest) = rest.split_first_chunk()?;
        let (words, []) = rest.as_chunks() else { return None };
        let is_possible = format == FORMAT
            && usize::from(doublings) <= DOUBLINGS
            && words.len() == 1 << (LEN_MIN_LOG + u32::from(doublings));
        let counts = Counts {
            doublings: AtomicU64::new(doublings.into()),
            added: AtomicU64::new(u64::from_le_bytes(*added)),
            stories: AtomicU64::new(u64::from_le_bytes(*stories)),
            ..Counts::default()
        };
        if !is_possible {
            return None;
        }
        let places = (0..=usize::from(doublings)).flat_map(|piece| counts.piece(piece));
        for (place, word) in places.zip(words) {
            place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        Some(counts)
    }
}

impl Clone for Counts {
    fn clone(&self) -> Self {
        Counts::from_bytes(&self.to_bytes()).unwrap_or_default()
    }
}

/// What an article repeats.
#[derive(Debug, Clone, Copy)]
pub struct Known<'s> {
    pub sketch: &'s Sketch,
    /// Whether the two are known to be of different outlets, which share no frame.
    pub is_elsewhere: bool,
    /// Whether the article begins a story of its own all the same.
    pub is_of_another_story: bool,
}

impl<'s> Known<'s> {
    pub fn new(sketch: &'s Sketch) -> Self {
        Known { sketch, is_elsewhere: false, is_of_another_story: false }
    }
}

/// From this share of either of two texts on that the other has, one repeats the other.
const REPEATED_MIN: f32 = 0.9;

/// The shingles of a text that another one repeats, or that repeats it.
struct Repeated(Shingles);

impl Repeated {
    /// `None` if each goes on in its own way.
    fn new(sketch: &Sketch, sampled_here: &[Sampled], known: Known) -> Option<Self> {
        let Known { sketch: known, is_elsewhere, .. } = known;
        let repeated = Repeated(Shingles::new(known.text()));
        let mut is_shared = vec![false; repeated.0.distinct_count()];
        let mut shared_here = 0;
        for sampled in sampled_here {
            if let Some(number) = repeated.number(sketch, sampled.place) {
                is_shared[number] = true;
                shared_here += 1;
            }
        }
        let sampled_there = sampled(known.text());
        let number = |sampled: &Sampled| usize::from(repeated.0.numbers[sampled.place as usize]);
        let shared_there =
            sampled_there.iter().filter(|sampled| is_shared[number(sampled)]).count();
        let is_whole = |shared, all| shared as f32 >= REPEATED_MIN * all as f32;
        let is_repeated = is_elsewhere
            || is_whole(shared_here, sampled_here.len())
            || is_whole(shared_there, sampled_there.len());
        is_repeated.then_some(repeated)
    }

    fn number(&self, sketch: &Sketch, place: u32) -> Option<usize> {
        self.0.number(shingle(&sketch.text()[place as usize..][..SHINGLE_WORDS]))
    }

    fn has(&self, sketch: &Sketch, place: u32) -> bool {
        self.number(sketch, place).is_some()
    }
}

/// The words of all counters, as they are found by a key.
struct Table<'c> {
    pieces: [&'c [AtomicU64]; DOUBLINGS + 1],
    mask: u64,
}

impl<'c> Table<'c> {
    /// The word that has the counters of a shingle, if anything was counted there.
    #[inline(always)]
    fn word(&self, key: Key) -> Option<&'c AtomicU64> {
        let (piece, place) = locate(key.0 & self.mask);
        self.pieces[piece].get(place)
    }

    #[inline(always)]
    fn count(&self, key: Key) -> u8 {
        let word = self.word(key).map_or(0, |word| word.load(Ordering::Relaxed));
        let [first, second] = key.shifts().map(|shift| word >> shift & 15);
        first.min(second) as u8
    }
}

/// The piece of the table that has a word, and its place there.
fn locate(place: u64) -> (usize, usize) {
    let piece = u64::BITS - (place >> LEN_MIN_LOG).leading_zeros();
    let start = if piece == 0 { 0 } else { 1 << (LEN_MIN_LOG + piece - 1) };
    (piece as usize, (place - start) as usize)
}

fn change(word: &AtomicU64, change: impl Fn(u64) -> u64) {
    word.store(change(word.load(Ordering::Relaxed)), Ordering::Relaxed);
}

/// The hash of a shingle.
#[derive(Debug, Clone, Copy, Default)]
struct Key(u64);

impl Key {
    #[inline]
    fn new(shingle: u64) -> Self {
        Key(bigram_hash(shingle, 0))
    }

    /// Whether the shingle is counted.
    #[inline]
    fn is_sampled(self) -> bool {
        (self.0 >> 32).is_multiple_of(SAMPLED_OF)
    }

    /// Where its two counters lie in their word. They are never the same one.
    #[inline]
    fn shifts(self) -> [u64; 2] {
        let first = self.0 >> 60;
        let second = (first + 1 + (self.0 >> 40 & 0xffff) % (COUNTERS - 1)) % COUNTERS;
        [4 * first, 4 * second]
    }
}

/// A shingle of a text that is counted.
#[derive(Debug, Clone, Copy, Default)]
struct Sampled {
    place: u32,
    key: Key,
}

/// The shingles of a text that are counted, in order.
fn sampled(text: &[WordCode]) -> Vec<Sampled> {
    sampled_and(text, |_| ())
}

/// The same, and something is done with each of them.
fn sampled_and(text: &[WordCode], mut then: impl FnMut(&Sampled)) -> Vec<Sampled> {
    const SOME: usize = 32;
    let mut all = Vec::with_capacity(text.len() / 2 + SOME);
    let mut some = [Sampled::default(); SOME];
    let mut len = 0;
    let mut add = |some: &[Sampled]| {
        some.iter().for_each(&mut then);
        all.extend_from_slice(some);
    };
    for (place, shingle) in shingles(text).enumerate() {
        let key = Key::new(shingle);
        // Every second one is sampled, by chance: no processor could foresee a branch.
        some[len] = Sampled { place: place as u32, key };
        len += usize::from(key.is_sampled());
        if len == SOME {
            add(&some);
            len = 0;
        }
    }
    add(&some[..len]);
    all
}

/// For every word of a text, how many other stories have what stands there, by the counts of those
/// of its shingles that are counted, each with its place. Three neighbours have to agree by
/// majority: a phrase that everybody uses does not make frame of the news around it.
pub(super) fn others_by_word(word_count: usize, counted: &[(u32, u8)]) -> Vec<u8> {
    let mut others = vec![0; word_count];
    let mut start = 0;
    for (number, &(place, count)) in counted.iter().enumerate() {
        let before = counted[number.saturating_sub(1)].1;
        let (after_place, after) = *counted.get(number + 1).unwrap_or(&(u32::MAX, count));
        let median = before.max(after).min(before.min(after).max(count));
        let end = match after_place {
            u32::MAX => word_count,
            _ => (place as usize + after_place as usize + SHINGLE_WORDS).div_ceil(2),
        };
        others[start..end].fill(median);
        start = end;
    }
    others
}

/// Places and counts of those of a text's shingles that would be counted, by other counts.
pub(super) fn counted_as(text: &[WordCode], count: impl Fn(u64) -> u8) -> Vec<(u32, u8)> {
    let places = shingles(text).enumerate();
    let sampled = places.filter(|&(_, shingle)| Key::new(shingle).is_sampled());
    sampled.map(|(place, shingle)| (place as u32, count(shingle))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::text::Document;

    /// A text of so many words that no text of another name has.
    fn own_words(name: &str, count: usize) -> String {
        (0..count).map(|word| format!("{name}{word} ")).collect()
    }

    fn sketch(text: &str) -> Sketch {
        Sketch::new(&Document::new("", text))
    }

    /// The counts of a text's shingles, lowest first.
    fn read(counts: &Counts, text: &str) -> Vec<u8> {
        let read = counts.of(sketch(text).text());
        let mut read: Vec<u8> = read.into_iter().map(|(_, count)| count).collect();
        read.sort_unstable();
        read
    }

    /// All counts of a text are as expected, but for a few that share their counters with others.
    #[track_caller]
    fn check_all(counts: &Counts, text: &str, expected: u8) {
        let read = read(counts, text);
        let right = read.iter().filter(|&&count| count == expected).count();
        assert!(right > 0 && 20 * right >= 19 * read.len(), "{read:?}");
    }

    #[test]
    fn a_footer_is_in_every_story_and_a_story_in_one() {
        let counts = Counts::default();
        let footer = own_words("footer", 60);
        for story in 0..5 {
            counts.add(&sketch(&(own_words(&format!("story{story}x"), 200) + &footer)), None);
        }
        check_all(&counts, &footer, 5);
        check_all(&counts, &own_words("story3x", 200), 1);
        check_all(&counts, &own_words("other", 200), 0);
        assert_eq!(counts.stories(), 5);
    }

    #[test]
    fn a_text_that_repeats_itself_is_counted_once() {
        let counts = Counts::default();
        counts.add(&sketch(&own_words("verse", 30).repeat(20)), None);
        check_all(&counts, &own_words("verse", 30), 1);
    }

    #[test]
    fn a_copy_counts_for_what_is_new_in_it() {
        let counts = Counts::default();
        let (story, credit) = (own_words("story", 200), own_words("credit", 30));
        counts.add(&sketch(&story), None);
        counts.add(&sketch(&format!("{story} {credit}")), Some(Known::new(&sketch(&story))));
        counts.add(&sketch(&own_words("story", 120)), Some(Known::new(&sketch(&story))));
        check_all(&counts, &story, 1);
        check_all(&counts, &credit, 1);
        assert_eq!(counts.stories(), 1);
    }

    /// However few of a text's shingles are counted by chance, all of its copies are told.
    #[test]
    fn whole_copies_of_any_text_count_once() {
        let counts = Counts::default();
        for text in 0..40 {
            let text = sketch(&own_words(&format!("text{text}x"), 60));
            counts.add(&text, None);
            counts.add(&text, Some(Known::new(&text)));
        }
        assert_eq!(counts.stories(), 40);
    }

    #[test]
    fn a_story_that_outlets_dress_in_their_own_way_is_one() {
        let counts = Counts::default();
        let story = own_words("story", 300);
        let dressed = |outlet: usize, own: usize| {
            let (lead, credit) = (format!("lead{outlet}x"), format!("credit{outlet}x"));
            sketch(&(own_words(&lead, own) + &story + &own_words(&credit, own)))
        };
        let first = dressed(0, 12);
        counts.add(&first, None);
        for outlet in 1..20 {
            counts.add(&dressed(outlet, 12), Some(Known::new(&first)));
        }
        check_all(&counts, &story, 1);
        // If the outlets are known less in common will do.
        for outlet in 20..40 {
            let known = Known { is_elsewhere: true, ..Known::new(&first) };
            counts.add(&dressed(outlet, 200), Some(known));
        }
        assert_eq!(counts.stories(), 1);
        let counted = counts.of(sketch(&story).text());
        assert!(counted.iter().filter(|(_, count)| *count <= 1).count() * 10 >= counted.len() * 9);
    }

    /// Two short articles in one long frame may be taken for one story. A third one must not.
    #[test]
    fn what_two_articles_of_their_own_share_is_counted_for_both() {
        let counts = Counts::default();
        let frame = own_words("frame", 200);
        let framed = |name: &str| sketch(&format!("{} {frame}", own_words(name, 60)));
        counts.add(&framed("one"), None);
        counts.add(&framed("two"), Some(Known::new(&framed("one"))));
        check_all(&counts, &frame, 2);
    }

    #[test]
    fn a_full_table_doubles_and_a_full_largest_one_halves() {
        let counts = Counts::default();
        let (frame, story) = (own_words("frame", 300), own_words("story", 300));
        for _ in 0..9 {
            counts.add(&sketch(&frame), None);
        }
        counts.add(&sketch(&story), None);
        for doubling in 1..=DOUBLINGS {
            counts.age(SHINGLES_A_WORD * counts.len());
            check_all(&counts, &frame, 9_u8.saturating_sub(doubling as u8));
            check_all(&counts, &story, 0);
        }
        assert_eq!(counts.memory_bytes(), 16 << 20);
        for _ in 0..7 {
            counts.add(&sketch(&frame), None);
        }
        check_all(&counts, &frame, 7);
        for expected in [3, 1, 0] {
            counts.age(SHINGLES_A_WORD * counts.len());
            check_all(&counts, &frame, expected);
        }
        assert_eq!(counts.memory_bytes(), 16 << 20);
    }

    #[test]
    fn a_small_collection_takes_little() {
        let counts = Counts::default();
        assert_eq!(counts.memory_bytes(), 0);
        for story in 0..100 {
            counts.add(&sketch(&own_words(&format!("story{story}x"), 400)), None);
            assert!(story > 0 || counts.memory_bytes() == 16 << 10);
        }
        assert_eq!(counts.memory_bytes(), 32 << 10);
    }

    #[test]
    fn all_that_is_filled_is_told_apart() {
        // As full as a table gets: of other stories' shingles few seem to be known.
        let counts = Counts::default();
        let mut story = 0;
        while counts.added.load(Ordering::Relaxed) + 300 < SHINGLES_A_WORD * counts.len() {
            counts.add(&sketch(&own_words(&format!("story{story}x"), 400)), None);
            story += 1;
        }
        let read = read(&counts, &own_words("other", 8000));
        let wrong = read.iter().filter(|&&count| count > 0).count();
        assert!(wrong * 5 < read.len(), "{wrong} of {}", read.len());
    }

    #[test]
    fn what_no_counts_wrote_is_refused() {
        let counts = Counts::default();
        counts.add(&sketch(&own_words("story", 100)), None);
        let bytes = counts.to_bytes();
        assert!(Counts::from_bytes(&bytes[..bytes.len() - 1]).is_none());
        assert!(Counts::from_bytes(&[&bytes[..], &[0; 8]].concat()).is_none());
        for (place, value) in [(0, FORMAT + 1), (1, 1), (1, 255)] {
            let mut damaged = bytes.clone();
            damaged[place] = value;
            assert!(Counts::from_bytes(&damaged).is_none());
        }
    }

    proptest! {
        #[test]
        fn counts_are_never_too_low_and_come_back_from_bytes(
            texts in prop::collection::vec("([a-f]{1,2} ){0,60}", 1..20),
        ) {
            let counts = Counts::default();
            let mut expected: HashMap<u64, u8> = HashMap::new();
            for text in &texts {
                let sketch = sketch(text);
                counts.add(&sketch, None);
                let mut distinct: Vec<u64> = shingles(sketch.text()).collect();
                distinct.sort_unstable();
                distinct.dedup();
                for shingle in distinct {
                    let count = expected.entry(shingle).or_default();
                    *count = (*count + 1).min(STORY_COUNT_MAX);
                }
            }
            let again = Counts::from_bytes(&counts.to_bytes()).unwrap();
            for (shingle, expected) in expected {
                let key = Key::new(shingle);
                let read = counts.table().count(key);
                prop_assert!(!key.is_sampled() || read >= expected);
                prop_assert_eq!(again.table().count(key), read);
            }
            prop_assert_eq!(again.stories(), counts.stories());
        }
    }
}
