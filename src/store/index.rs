//! What a collection keeps in memory to find candidates by: fingerprints, posting lists, and which
//! articles belong together. It can be rebuilt from what is on disk, and is at every start.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::postings::{Key, PostingLists};
use crate::article::Timestamp;
use crate::hamming::{HammingIndex, Slot};
use crate::simhash::hamming_distance;

/// The number of a submission within its collection, ascending from 1. A restart counts on from the
/// last that is still there, so only the numbers of articles deleted from the end come again.
pub type Seq = u64;

/// At most so many candidates of one article are compared with it. Real articles have five on
/// average and forty at the 99th percentile, and the best come first.
pub const CANDIDATES_MAX: usize = 32;

/// So many fingerprints within the radius are looked at to find the nearest ones.
const HAMMING_VISITS_MAX: usize = 1024;

/// Submissions of one segment of the index.
const SEGMENT_SLOTS_MAX: Seq = 1 << 20;

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
    shared_stories: HashMap<Seq, Vec<Seq>>,
    len: usize,
}

/// Consecutive submissions; a slot is a submission's distance from the first.
#[derive(Debug)]
struct Segment {
    first: Seq,
    entries: Vec<Option<Entry>>,
    /// Entries that are there.
    len: usize,
    fingerprints: HammingIndex,
    postings: PostingLists,
}

impl Segment {
    fn new(first: Seq) -> Self {
        Segment {
            first,
            entries: Vec::new(),
            len: 0,
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

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    /// Posts an article under the keys under which no article of its story stands yet: a story
    /// told fifty times must not make its own shingles look like boilerplate.
    fn post(&mut self, slot: Slot, story: Seq, keys: &[Key]) {
        for &key in keys {
            let is_told = |other| self.entry(other).is_some_and(|entry| entry.story == story);
            if !self.postings.get(key).is_some_and(|mut list| list.any(is_told)) {
                self.postings.insert(key, slot);
            }
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

    pub fn entry(&self, seq: Seq) -> Option<&Entry> {
        let (segment, slot) = self.locate(seq)?;
        self.segments[segment].entry(slot)
    }

    /// The articles of the story that a submission began, in the order of their submissions. The
    /// first is the canonical one.
    pub fn story_members(&self, story: Seq) -> Vec<Seq> {
        match self.shared_stories.get(&story) {
            Some(members) => members.clone(),
            None => self.entry(story).map(|_| story).into_iter().collect(),
        }
    }

    fn locate(&self, seq: Seq) -> Option<(usize, Slot)> {
        let segment =
            self.segments.partition_point(|segment| segment.first <= seq).checked_sub(1)?;
        let slot = seq - self.segments[segment].first;
        Some((segment, Slot::try_from(slot).ok()?))
    }

    /// Adds an article. Submissions come in ascending order, gaps allowed.
    pub fn insert(&mut self, seq: Seq, entry: Entry, keys: &[Key]) {
        let is_full = |segment: &Segment| seq - segment.first >= SEGMENT_SLOTS_MAX;
        if self.segments.last().is_none_or(is_full) {
            self.segments.push(Segment::new(seq));
        }
        let Some(segment) = self.segments.last_mut() else { return };
        let slot = (seq - segment.first) as Slot;
        debug_assert!(seq >= segment.end(), "submissions come in order");
        segment.entries.resize(slot as usize, None);
        segment.entries.push(Some(entry));
        segment.len += 1;
        if let Some(fingerprint) = entry.fingerprint {
            segment.fingerprints.insert(fingerprint, slot);
        }
        segment.post(slot, entry.story, keys);
        self.len += 1;
        if entry.story != seq {
            let mut members = self.story_members(entry.story);
            members.push(seq);
            if members.len() > 1 || members[0] != entry.story {
                self.shared_stories.insert(entry.story, members);
            }
        }
    }

    /// Removes an article that was posted under these keys. `keys_of` tells the keys of the other
    /// articles of its story, some of which may have to be posted in its stead.
    pub fn remove(&mut self, seq: Seq, keys: &[Key], mut keys_of: impl FnMut(Seq) -> Vec<Key>) {
        let Some((number, slot)) = self.locate(seq) else { return };
        let segment = &mut self.segments[number];
        let Some(entry) = segment.entries.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        if let Some(fingerprint) = entry.fingerprint {
            segment.fingerprints.remove(fingerprint, slot);
        }
        for &key in keys {
            segment.postings.remove(key, slot);
        }
        segment.len -= 1;
        self.len -= 1;

        let (first, end) = (segment.first, segment.end());
        if let Some(members) = self.shared_stories.get_mut(&entry.story) {
            members.retain(|&member| member != seq);
            for &member in members.iter().filter(|&&member| (first..end).contains(&member)) {
                let mut shared = keys_of(member);
                shared.retain(|key| keys.contains(key));
                segment.post((member - first) as Slot, entry.story, &shared);
            }
            if members.is_empty() || members[..] == [entry.story] {
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
            let slots = segment.entries.iter().zip(segment.first..);
            slots.filter_map(|(entry, seq)| entry.map(|entry| (entry, seq)))
        });
        seqs.take_while(|(entry, _)| entry.submit_time < moment)
            .map(|(_, seq)| seq)
            .take(max)
            .collect()
    }

    /// The articles most worth a second look: those that share posted keys, those with a
    /// fingerprint within the radius, and the others of their stories.
    pub fn candidates(&self, fingerprint: Option<u64>, radius: u32, keys: &[Key]) -> Candidates {
        let mut truncated = false;
        // One entry per key or fingerprint found, so that equal ones can be counted.
        let mut hits: Vec<Seq> = Vec::new();
        for segment in &self.segments {
            let lists = keys.iter().filter_map(|&key| segment.postings.get(key));
            hits.extend(lists.flatten().map(|slot| segment.seq(slot)));
            let Some(fingerprint) = fingerprint else { continue };
            let mut visits = 0;
            truncated |= segment
                .fingerprints
                .search(fingerprint, radius, |slot, _| {
                    hits.push(segment.seq(slot));
                    visits += 1;
                    if visits < HAMMING_VISITS_MAX {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                })
                .is_break();
        }
        hits.sort_unstable();
        let mut ranked: Vec<(i64, Seq)> = hits
            .chunk_by(|a, b| a == b)
            .map(|found| (self.distance(fingerprint, found[0]) - 2 * found.len() as i64, found[0]))
            .collect();
        ranked.sort_unstable();

        let mut seqs: Vec<Seq> = Vec::with_capacity(ranked.len().min(CANDIDATES_MAX));
        let mut add = |seq: Seq| {
            if seqs.len() < CANDIDATES_MAX {
                if !seqs.contains(&seq) {
                    seqs.push(seq);
                }
            } else {
                truncated |= !seqs.contains(&seq);
            }
        };
        ranked.iter().for_each(|&(_, seq)| add(seq));
        for &(_, seq) in ranked.iter().take(CANDIDATES_MAX) {
            let story = self.entry(seq).and_then(|entry| self.shared_stories.get(&entry.story));
            // One more than can be added tells whether any had to be left out.
            story.into_iter().flatten().take(CANDIDATES_MAX + 1).for_each(|&member| add(member));
        }
        Candidates { seqs, truncated }
    }

    fn distance(&self, fingerprint: Option<u64>, seq: Seq) -> i64 {
        let other = self.entry(seq).and_then(|entry| entry.fingerprint);
        match (fingerprint, other) {
            (Some(fingerprint), Some(other)) => i64::from(hamming_distance(fingerprint, other)),
            _ => 32,
        }
    }

    /// The `max` articles nearest to a fingerprint within the radius that `accept` takes, nearest
    /// first, then earliest; and whether there are more.
    pub fn nearest(
        &self,
        fingerprint: u64,
        radius: u32,
        max: usize,
        accept: impl Fn(Seq, &Entry) -> bool,
    ) -> (Vec<Near>, bool) {
        let mut nearest = std::collections::BinaryHeap::with_capacity(max + 2);
        for segment in &self.segments {
            let _ = segment.fingerprints.search(fingerprint, radius, |slot, distance| {
                let seq = segment.seq(slot);
                if segment.entry(slot).is_some_and(|entry| accept(seq, entry)) {
                    nearest.push(Near { distance, seq });
                    if nearest.len() > max + 1 {
                        nearest.pop();
                    }
                }
                ControlFlow::Continue(())
            });
        }
        let mut nearest = nearest.into_sorted_vec();
        let truncated = nearest.len() > max;
        nearest.truncate(max);
        (nearest, truncated)
    }

    /// The submissions before `end` that were made within these times, latest first.
    pub fn latest(
        &self,
        end: Seq,
        from: Option<Timestamp>,
        before: Option<Timestamp>,
    ) -> impl Iterator<Item = Seq> {
        let in_time = move |entry: &Entry| {
            from.is_none_or(|from| entry.submit_time >= from)
                && before.is_none_or(|before| entry.submit_time < before)
        };
        self.segments.iter().rev().flat_map(move |segment| {
            (0..segment.entries.len() as Slot)
                .rev()
                .filter(move |&slot| segment.seq(slot) < end)
                .filter(move |&slot| segment.entry(slot).is_some_and(in_time))
                .map(move |slot| segment.seq(slot))
        })
    }
}
