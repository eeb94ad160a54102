//! What a collection keeps in memory to find candidates by: fingerprints, posting lists, and which
//! articles belong together. It can be rebuilt from what is on disk, and is at every start.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::ops::ControlFlow;

use parking_lot::RwLock;

use super::postings::{Key, PostingLists};
use crate::article::Timestamp;
use crate::hamming::{HammingIndex, SLOT_MAX, Search, Slot};
use crate::simhash::hamming_distance;

/// The number of a submission within its collection, ascending from 1. A restart counts on from the
/// last that is still there, so only the numbers of articles deleted from the end come again.
pub type Seq = u64;

/// So many fingerprints within the radius are looked at to find the nearest ones.
const HAMMING_VISITS_MAX: usize = 256;

/// After a removal so many articles of the story are read at most, to be posted in its stead.
const STAND_INS_MAX: usize = 64;

/// Submissions of one segment of the index, as many as there are slots. Every look-up visits every
/// segment, so there should be few.
const SEGMENT_SLOTS_MAX: Seq = SLOT_MAX as Seq + 1;

/// What the index knows about one article.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub fingerprint: Option<u64>,
    /// The submission that began the story the article belongs to.
    pub story: Seq,
    pub submit_time: Timestamp,
}

/// Articles worth a second look, most promising first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    pub seqs: Vec<Seq>,
    /// Whether some were left out.
    pub truncated: bool,
}

/// An article within a Hamming distance of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Near {
    pub distance: u32,
    pub seq: Seq,
}

/// The index of one collection.
#[derive(Debug, Default)]
pub struct Index {
    /// In the order of their submissions. Retention drops them from the front.
    segments: Vec<Segment>,
    /// Stories of more than one article, by the submission that began them: their articles.
    shared_stories: HashMap<Seq, VecDeque<Seq>>,
    len: usize,
}

/// Consecutive submissions; a slot is a submission's distance from the first.
#[derive(Debug)]
struct Segment {
    first: Seq,
    entries: Entries,
    /// Entries that are there.
    len: usize,
    /// No entry before this slot is: retention removes them from the front.
    from: Slot,
    fingerprints: HammingIndex,
    postings: PostingLists,
}

impl Segment {
    fn new(first: Seq) -> Self {
        Segment {
            first,
            entries: Entries::default(),
            len: 0,
            from: 0,
            fingerprints: HammingIndex::default(),
            postings: PostingLists::default(),
        }
    }

    fn seq(&self, slot: Slot) -> Seq {
        self.first + Seq::from(slot)
    }

    fn end(&self) -> Seq {
        self.first + self.entries.len() as Seq
    }

    fn entry(&self, slot: Slot) -> Option<Entry> {
        self.entries.get(slot)
    }

    /// Posts an article under the keys under which no article of its story stands yet: a story
    /// told fifty times must not make its own shingles look like boilerplate.
    fn post(&mut self, slot: Slot, story: Seq, keys: &[Key]) {
        self.postings.touch(keys);
        for &key in keys {
            self.postings.insert(key, slot, |other| {
                self.entries.get(other).is_some_and(|entry| entry.story == story)
            });
        }
    }
}

impl Index {
    pub fn article_count(&self) -> usize {
        self.len
    }

    pub fn story_count(&self) -> usize {
        let extra: usize = self.shared_stories.values().map(|members| members.len() - 1).sum();
        self.len - extra
    }

    pub fn entry(&self, seq: Seq) -> Option<Entry> {
        let (segment, slot) = self.locate(seq)?;
        self.segments[segment].entry(slot)
    }

    /// The articles of the story that a submission began, in the order of their submissions. The
    /// first is the canonical one.
    pub fn story_members(&self, story: Seq) -> impl DoubleEndedIterator<Item = Seq> {
        let shared = self.shared_stories.get(&story);
        let alone = shared.is_none() && self.entry(story).is_some();
        shared.into_iter().flatten().copied().chain(alone.then_some(story))
    }

    fn locate(&self, seq: Seq) -> Option<(usize, Slot)> {
        let segment =
            self.segments.partition_point(|segment| segment.first <= seq).checked_sub(1)?;
        let slot = seq - self.segments[segment].first;
        Some((segment, Slot::try_from(slot).ok()?))
    }

    /// Adds an article. Submissions come in ascending order, gaps allowed.
    pub fn insert(&mut self, seq: Seq, entry: Entry, keys: &[Key]) {
        self.insert_entry(seq, entry);
        let Some(segment) = self.segments.last_mut() else { return };
        let slot = (seq - segment.first) as Slot;
        if let Some(fingerprint) = entry.fingerprint {
            segment.fingerprints.insert(fingerprint, slot);
        }
        segment.post(slot, entry.story, keys);
    }

    /// Adds an article that cannot be found until [`Self::settle`] is called. Many articles are
    /// added so in a small part of the time.
    pub fn append(&mut self, seq: Seq, entry: Entry, keys: &[Key]) {
        self.insert_entry(seq, entry);
        let Some(segment) = self.segments.last_mut() else { return };
        let slot = (seq - segment.first) as Slot;
        keys.iter().for_each(|&key| segment.postings.append(key, slot));
    }

    /// Makes of an index that was appended to what inserting would have made.
    pub fn settle(&mut self) {
        for segment in &mut self.segments {
            let Segment { entries, fingerprints, postings, .. } = segment;
            let entries = &*entries;
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let codes = (0..entries.len() as Slot)
                        .filter_map(|slot| Some((entries.get(slot)?.fingerprint?, slot)));
                    *fingerprints = HammingIndex::from_codes(codes);
                });
                let story = |slot| entries.get(slot).map(|entry| entry.story);
                postings.settle(|earlier, slot| story(earlier) == story(slot));
            });
        }
    }

    fn insert_entry(&mut self, seq: Seq, entry: Entry) {
        let is_full = |segment: &Segment| seq - segment.first >= SEGMENT_SLOTS_MAX;
        if self.segments.last().is_none_or(is_full) {
            self.segments.push(Segment::new(seq));
        }
        let Some(segment) = self.segments.last_mut() else { return };
        let slot = (seq - segment.first) as Slot;
        debug_assert!(seq >= segment.end(), "submissions come in order");
        segment.entries.put(slot, entry);
        segment.len += 1;
        self.len += 1;
        if entry.story != seq {
            let began = self.entry(entry.story).map(|_| entry.story);
            let members = self.shared_stories.entry(entry.story);
            members.or_insert_with(|| began.into_iter().collect()).push_back(seq);
        }
    }

    /// Removes an article that was posted under these keys. `keys_of` tells the keys of the other
    /// articles of its story, some of which may have to be posted in its stead.
    pub fn remove(&mut self, seq: Seq, keys: &[Key], mut keys_of: impl FnMut(Seq) -> Vec<Key>) {
        let Some((number, slot)) = self.locate(seq) else { return };
        let segment = &mut self.segments[number];
        let Some(entry) = segment.entries.take(slot) else { return };
        if let Some(fingerprint) = entry.fingerprint {
            segment.fingerprints.remove(fingerprint, slot);
        }
        let mut vacant: Vec<Key> = keys.to_vec();
        vacant.retain(|&key| segment.postings.remove(key, slot));
        segment.len -= 1;
        self.len -= 1;
        while segment.from < segment.entries.len() as Slot && segment.entry(segment.from).is_none()
        {
            segment.from += 1;
        }

        let (first, end) = (segment.first, segment.end());
        if let Some(members) = self.shared_stories.get_mut(&entry.story) {
            if let Ok(place) = members.binary_search(&seq) {
                members.remove(place);
            }
            let stand_ins = members.iter().filter(|&&member| (first..end).contains(&member));
            for &member in stand_ins.take(STAND_INS_MAX) {
                if vacant.is_empty() {
                    break;
                }
                let keys = keys_of(member);
                let (shared, still_vacant) =
                    vacant.into_iter().partition::<Vec<Key>, _>(|key| keys.contains(key));
                segment.post((member - first) as Slot, entry.story, &shared);
                vacant = still_vacant;
            }
            if members.is_empty() || (members.len() == 1 && members[0] == entry.story) {
                self.shared_stories.remove(&entry.story);
            }
        }
        if segment.len == 0 {
            self.segments.remove(number);
        }
    }

    /// The earliest articles submitted before a moment, at most so many.
    pub fn oldest_before(&self, moment: Timestamp, max: usize) -> Vec<Seq> {
        let seqs = self.segments.iter().flat_map(|segment| {
            let slots = segment.from..segment.entries.len() as Slot;
            slots.filter_map(|slot| Some((segment.entry(slot)?, segment.seq(slot))))
        });
        seqs.take_while(|(entry, _)| entry.submit_time < moment)
            .map(|(_, seq)| seq)
            .take(max)
            .collect()
    }

    /// The articles most worth a second look, at most so many: those that share posted keys, those
    /// with a fingerprint within the radius, and the others of their stories.
    pub fn candidates(
        &self,
        fingerprint: Option<u64>,
        radius: u32,
        keys: &[Key],
        max: usize,
    ) -> Candidates {
        let mut truncated = false;
        // One entry per key or fingerprint found, so that equal ones can be counted.
        let mut hits: Vec<Seq> = Vec::new();
        let mut slots: Vec<Slot> = Vec::new();
        for segment in &self.segments {
            segment.postings.touch(keys);
            keys.iter().for_each(|&key| segment.postings.find(key, &mut slots));
            if let Some(fingerprint) = fingerprint {
                let mut visits = 0;
                let search = segment.fingerprints.search(fingerprint, radius, |slot, _| {
                    slots.push(slot);
                    visits += 1;
                    if visits < HAMMING_VISITS_MAX {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                });
                truncated |= search.is_break();
            }
            hits.extend(slots.drain(..).map(|slot| segment.seq(slot)));
        }
        hits.sort_unstable();
        let mut ranked: Vec<(i64, Seq)> = hits
            .chunk_by(|a, b| a == b)
            .map(|found| (self.rank(fingerprint, found[0], found.len()), found[0]))
            .collect();
        ranked.sort_unstable();

        let mut seqs: Vec<Seq> = Vec::with_capacity(ranked.len().min(max));
        let mut add = |seq: Seq| {
            if seqs.len() < max {
                if !seqs.contains(&seq) {
                    seqs.push(seq);
                }
            } else {
                truncated |= !seqs.contains(&seq);
            }
        };
        ranked.iter().for_each(|&(_, seq)| add(seq));
        for &(_, seq) in ranked.iter().take(max) {
            let story = self.entry(seq).and_then(|entry| self.shared_stories.get(&entry.story));
            // One more than can be added tells whether any had to be left out.
            story.into_iter().flatten().take(max + 1).for_each(|&member| add(member));
        }
        Candidates { seqs, truncated }
    }

    /// How far down the list of candidates an article belongs that was found so many times: equal
    /// fingerprints first, then those with few different bits and many shared keys.
    fn rank(&self, fingerprint: Option<u64>, seq: Seq, found: usize) -> i64 {
        let other = self.entry(seq).and_then(|entry| entry.fingerprint);
        let distance = match (fingerprint, other) {
            (Some(fingerprint), Some(other)) => i64::from(hamming_distance(fingerprint, other)),
            _ => 32,
        };
        if distance == 0 { i64::MIN } else { distance - 2 * found as i64 }
    }

    /// The submissions before `end` that were made within these times, latest first.
    pub fn latest(
        &self,
        end: Seq,
        from: Option<Timestamp>,
        before: Option<Timestamp>,
    ) -> impl Iterator<Item = Seq> {
        let in_time = move |entry: Entry| {
            from.is_none_or(|from| entry.submit_time >= from)
                && before.is_none_or(|before| entry.submit_time < before)
        };
        self.segments.iter().rev().flat_map(move |segment| {
            (segment.from..segment.entries.len() as Slot)
                .rev()
                .filter(move |&slot| segment.seq(slot) < end)
                .filter(move |&slot| segment.entry(slot).is_some_and(in_time))
                .map(move |slot| segment.seq(slot))
        })
    }
}

/// The `max` articles nearest to a fingerprint within the radius that `accept` takes, nearest
/// first, then earliest; and whether there are more. The writer gets its turn between the parts of
/// a long search.
pub fn nearest(
    index: &RwLock<Index>,
    fingerprint: u64,
    radius: u32,
    max: usize,
    accept: impl Fn(Seq, Entry) -> bool,
) -> (Vec<Near>, bool) {
    let mut nearest = BinaryHeap::with_capacity(max + 2);
    let mut from = 0;
    let mut search = Search::new(fingerprint, radius);
    loop {
        let index = index.read();
        let Some(segment) = index.segments.iter().find(|segment| segment.first >= from) else {
            break;
        };
        let _ = segment.fingerprints.resume(&mut search, |slot, distance| {
            let seq = segment.seq(slot);
            if segment.entry(slot).is_some_and(|entry| accept(seq, entry)) {
                nearest.push(Near { distance, seq });
                if nearest.len() > max + 1 {
                    nearest.pop();
                }
            }
            ControlFlow::Continue(())
        });
        if search.is_done() {
            from = segment.first + 1;
            search = Search::new(fingerprint, radius);
        }
    }
    let mut nearest = nearest.into_sorted_vec();
    let truncated = nearest.len() > max;
    nearest.truncate(max);
    (nearest, truncated)
}

/// The entries of a segment by slot, 24 bytes each. They never move, so adding one never takes
/// long.
#[derive(Debug, Default)]
struct Entries {
    chunks: Vec<Vec<PackedEntry>>,
}

const CHUNK_LEN: usize = 1 << 14;

/// An [`Entry`], or none.
#[derive(Debug, Clone, Copy)]
struct PackedEntry {
    fingerprint: u64,
    /// 0 for none: submissions are counted from 1. The highest bit: there is a fingerprint.
    story: u64,
    submit_micros: i64,
}

impl PackedEntry {
    const NONE: Self = PackedEntry { fingerprint: 0, story: 0, submit_micros: 0 };
    const HAS_FINGERPRINT: u64 = 1 << 63;

    fn new(entry: Entry) -> Self {
        let flag = if entry.fingerprint.is_some() { Self::HAS_FINGERPRINT } else { 0 };
        PackedEntry {
            fingerprint: entry.fingerprint.unwrap_or_default(),
            story: entry.story | flag,
            submit_micros: entry.submit_time.micros(),
        }
    }

    fn get(self) -> Option<Entry> {
        let has_fingerprint = self.story & Self::HAS_FINGERPRINT != 0;
        (self.story != 0).then(|| Entry {
            fingerprint: has_fingerprint.then_some(self.fingerprint),
            story: self.story & !Self::HAS_FINGERPRINT,
            submit_time: Timestamp::from_micros(self.submit_micros),
        })
    }
}

impl Entries {
    fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1);
        full * CHUNK_LEN + self.chunks.last().map_or(0, Vec::len)
    }

    fn get(&self, slot: Slot) -> Option<Entry> {
        let slot = slot as usize;
        self.chunks.get(slot / CHUNK_LEN)?.get(slot % CHUNK_LEN)?.get()
    }

    /// Adds an entry behind all others; slots left out have none.
    fn put(&mut self, slot: Slot, entry: Entry) {
        while self.len() < slot as usize {
            self.push(PackedEntry::NONE);
        }
        self.push(PackedEntry::new(entry));
    }

    fn push(&mut self, entry: PackedEntry) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_LEN => chunk.push(entry),
            _ => self.chunks.push(vec![entry]),
        }
    }

    fn take(&mut self, slot: Slot) -> Option<Entry> {
        let slot = slot as usize;
        let entry = self.chunks.get_mut(slot / CHUNK_LEN)?.get_mut(slot % CHUNK_LEN)?;
        std::mem::replace(entry, PackedEntry::NONE).get()
    }
}
