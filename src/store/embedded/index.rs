//! What a collection keeps in memory to find candidates by: fingerprints, posting lists, and which
//! articles belong together. It can be built from what is on disk at any time, and written out.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::lines::{LINE_BYTES, Line, List};
use super::postings::{Outline, PostingLists, Reading};
use crate::analysis::Fingerprint;
use crate::article::Timestamp;
use crate::duplicates::PostingKey;
use crate::hamming::{HammingIndex, SLOT_MAX, Search, Slot};

/// The number of a submission within its collection, ascending from 1; never given twice.
pub type Seq = u64;

/// The submission that began a story. A story goes on when that is deleted, under the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoryNumber(pub Seq);

/// So many remembered fingerprints within the radius are looked at to find the nearest ones, and
/// so many in all.
const HAMMING_LIVE_MAX: usize = 256;
const HAMMING_VISITS_MAX: usize = 4096;

/// So many articles of one fingerprint are looked at to find those of the same content.
const SAME_CODE_MAX: usize = 4096;

/// After a removal so many articles of the story are read at most, to be posted in its stead.
const STAND_INS_MAX: usize = 64;

/// Submissions of one segment of the index, as many as there are slots. Every look-up visits every
/// segment, so there should be few; tests have many.
const SEGMENT_SLOTS_MAX: Seq = if cfg!(test) { 32 } else { SLOT_MAX as Seq + 1 };

/// What the index knows about one article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub fingerprint: Option<Fingerprint>,
    pub story: StoryNumber,
    pub submit_time: Timestamp,
    /// Some bits of a hash of title and body: articles of the same content have the same.
    pub content_tag: u16,
    /// Whether it took the place of an earlier revision.
    pub is_revised: bool,
}

/// The tag of an article's content.
pub fn content_tag(content: u64) -> u16 {
    (content >> 48) as u16
}

/// What candidates are looked for by.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    pub fingerprint: Option<Fingerprint>,
    pub radius: u32,
    pub keys: &'w [PostingKey],
    pub content_tag: u16,
    /// At most so many.
    pub max: usize,
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
    stories: Stories,
    len: usize,
    /// Searches that are being done in parts, and what was removed meanwhile.
    searches: AtomicUsize,
    removed: Vec<(Seq, Entry)>,
}

/// Which articles belong together.
#[derive(Debug, Default)]
struct Stories {
    /// The articles of every story but those whose only article is the one that began it.
    members: HashMap<StoryNumber, VecDeque<Seq>>,
    count: usize,
}

impl Stories {
    /// Adds an article that is later than all others of its story. `is_begun` tells whether the one
    /// that began the story is there.
    fn add(&mut self, seq: Seq, story: StoryNumber, is_begun: bool) {
        if story.0 == seq {
            self.count += 1;
            return;
        }
        let first = || is_begun.then_some(story.0).into_iter().collect();
        let members = self.members.entry(story).or_insert_with(first);
        self.count += usize::from(members.is_empty());
        members.push_back(seq);
    }

    fn remove(&mut self, seq: Seq, story: StoryNumber) {
        let Some(members) = self.members.get_mut(&story) else {
            self.count -= 1;
            return;
        };
        if let Ok(place) = members.binary_search(&seq) {
            members.remove(place);
        }
        if members.is_empty() {
            self.count -= 1;
        }
        if members.is_empty() || (members.len() == 1 && members[0] == story.0) {
            self.members.remove(&story);
        }
    }
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

    /// Moves on to the first entry that is there.
    fn skip_removed(&mut self) {
        while self.from < self.entries.len() as Slot && self.entry(self.from).is_none() {
            self.from += 1;
        }
    }

    /// The slots of submissions from one on, before another.
    fn slots(&self, from: Seq, before: Seq) -> std::ops::Range<Slot> {
        let slot = |seq: Seq| (seq.clamp(self.first, self.end()) - self.first) as Slot;
        slot(from).max(self.from)..slot(before).max(self.from)
    }

    /// Posts an article under the keys under which no article of its story stands yet: a story
    /// told fifty times must not make its own shingles look like boilerplate.
    fn post(&mut self, slot: Slot, story: StoryNumber, keys: &[PostingKey]) {
        self.postings.fetch(keys);
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
        self.stories.count
    }

    /// A submission that is later than all that are here.
    pub fn end(&self) -> Seq {
        self.segments.last().map_or(1, Segment::end)
    }

    pub fn entry(&self, seq: Seq) -> Option<Entry> {
        let (segment, slot) = self.locate(seq)?;
        self.segments[segment].entry(slot)
    }

    /// The articles of a story, in the order of their submissions.
    pub fn story_members(&self, story: StoryNumber) -> impl DoubleEndedIterator<Item = Seq> {
        let members = self.stories.members.get(&story);
        let alone = (members.is_none() && self.is_begun(story)).then_some(story.0);
        members.into_iter().flatten().copied().chain(alone)
    }

    /// Whether the article that began a story is there.
    fn is_begun(&self, story: StoryNumber) -> bool {
        self.entry(story.0).is_some_and(|entry| entry.story == story)
    }

    fn locate(&self, seq: Seq) -> Option<(usize, Slot)> {
        let segment =
            self.segments.partition_point(|segment| segment.first <= seq).checked_sub(1)?;
        let slot = seq - self.segments[segment].first;
        Some((segment, Slot::try_from(slot).ok()?))
    }

    /// Adds an article. Submissions come in ascending order, gaps allowed.
    pub fn insert(&mut self, seq: Seq, entry: Entry, keys: &[PostingKey]) {
        self.insert_entry(seq, entry);
        let Some(segment) = self.segments.last_mut() else { return };
        let slot = (seq - segment.first) as Slot;
        if let Some(fingerprint) = entry.fingerprint {
            segment.fingerprints.insert(fingerprint.0, slot);
        }
        segment.post(slot, entry.story, keys);
    }

    /// Adds an article that cannot be found until [`Self::settle`] is called. Many articles are
    /// added so in a small part of the time.
    pub fn append(&mut self, seq: Seq, entry: Entry, keys: &[PostingKey]) {
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
                scope.spawn(|| *fingerprints = entries.fingerprints());
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
        let is_begun = self.is_begun(entry.story);
        self.stories.add(seq, entry.story, is_begun);
    }

    /// Writes the index out, piece by piece: all segments with their entries, then their posting
    /// lists. What else there is follows from these.
    pub fn write(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        for Segment { first, entries, postings, .. } in &self.segments {
            let outline = postcard::to_stdvec(&postings.outline()).map_err(io::Error::other)?;
            write(&[&[Piece::SEGMENT][..], &first.to_le_bytes(), &outline].concat())?;
            for chunk in &entries.chunks {
                let entries = chunk.iter().flat_map(|entry| entry.to_bytes());
                write(&Piece::bytes(Piece::ENTRIES, entries))?;
            }
        }
        for Segment { postings, .. } in &self.segments {
            let (buckets, lines) = postings.parts();
            for buckets in buckets.chunks(PIECE_BYTES / size_of::<List>()) {
                let buckets = buckets.iter().flat_map(|bucket| bucket.to_bytes());
                write(&Piece::bytes(Piece::BUCKETS, buckets))?;
            }
            for lines in lines.chunks(PIECE_BYTES / LINE_BYTES) {
                write(&Piece::bytes(Piece::LINES, lines.iter().flat_map(Line::bytes)))?;
            }
        }
        Ok(())
    }

    /// The index that was written in these pieces; `None` if they are of none.
    pub fn from_pieces(pieces: impl Iterator<Item = Piece>) -> Option<Self> {
        let mut index = Index::default();
        let mut outlines = Vec::new();
        let mut pieces = pieces.peekable();
        let is_of_postings = |piece: &Piece| matches!(piece, Piece::Buckets(_) | Piece::Lines(_));
        while let Some(piece) = pieces.next_if(|piece| !is_of_postings(piece)) {
            match piece {
                Piece::Segment { first, postings } => {
                    index.segments.push(Segment::new(first));
                    outlines.push(postings);
                }
                Piece::Entries(chunk) => index.segments.last_mut()?.entries.chunks.push(chunk),
                Piece::Buckets(_) | Piece::Lines(_) => return None,
            }
        }
        // Most of the time goes into memory that is touched for the first time: three threads
        // wait for it side by side.
        let mut postings = Vec::new();
        let (fingerprints, stories) = std::thread::scope(|scope| {
            let index = &index;
            let entries = || index.segments.iter().map(|segment| &segment.entries);
            let fingerprints =
                scope.spawn(move || entries().map(Entries::fingerprints).collect::<Vec<_>>());
            let stories = scope.spawn(|| index.found_stories());
            for outline in outlines {
                let mut reading = Reading::new(outline);
                while reading.needs_more() {
                    match pieces.next()? {
                        Piece::Buckets(buckets) => reading.add_buckets(&buckets),
                        Piece::Lines(lines) => reading.add_lines(&lines),
                        Piece::Segment { .. } | Piece::Entries(_) => return None,
                    }
                }
                postings.push(reading.finish()?);
            }
            Some((fingerprints.join().ok()?, stories.join().ok()?))
        })?;
        index.stories = stories;
        for (segment, (fingerprints, postings)) in
            index.segments.iter_mut().zip(fingerprints.into_iter().zip(postings))
        {
            (segment.fingerprints, segment.postings) = (fingerprints, postings);
            segment.skip_removed();
            segment.len = segment.slots(0, Seq::MAX).filter_map(|slot| segment.entry(slot)).count();
            index.len += segment.len;
        }
        Some(index)
    }

    /// The stories of all articles.
    fn found_stories(&self) -> Stories {
        let mut stories = Stories::default();
        for segment in &self.segments {
            for slot in segment.slots(0, Seq::MAX) {
                if let Some(entry) = segment.entry(slot) {
                    stories.add(segment.seq(slot), entry.story, self.is_begun(entry.story));
                }
            }
        }
        stories
    }

    /// Under which of these keys an article is posted.
    pub fn posted_keys(&self, seq: Seq, keys: &[PostingKey]) -> Vec<PostingKey> {
        let Some((segment, slot)) = self.locate(seq) else { return Vec::new() };
        let postings = &self.segments[segment].postings;
        keys.iter().copied().filter(|&key| postings.contains(key, slot)).collect()
    }

    /// The other articles of its story, some of which have to be posted in an article's stead when
    /// it is removed.
    pub fn stand_ins(&self, seq: Seq) -> Vec<Seq> {
        let Some((number, slot)) = self.locate(seq) else { return Vec::new() };
        let segment = &self.segments[number];
        let Some(entry) = segment.entry(slot) else { return Vec::new() };
        self.story_members(entry.story)
            .filter(|member| *member != seq && (segment.first..segment.end()).contains(member))
            .take(STAND_INS_MAX)
            .collect()
    }

    /// Removes an article that was posted under these keys. Its [`Self::stand_ins`] come with the
    /// keys that they share with it.
    pub fn remove(&mut self, seq: Seq, keys: &[PostingKey], stand_ins: &[(Seq, Vec<PostingKey>)]) {
        let Some((number, slot)) = self.locate(seq) else { return };
        let segment = &mut self.segments[number];
        let Some(entry) = segment.entries.take(slot) else { return };
        if let Some(fingerprint) = entry.fingerprint {
            segment.fingerprints.remove(fingerprint.0, slot);
        }
        let mut vacant: Vec<PostingKey> = keys.to_vec();
        vacant.retain(|&key| segment.postings.remove(key, slot));
        for (member, keys) in stand_ins {
            let (shared, still_vacant) =
                vacant.into_iter().partition::<Vec<PostingKey>, _>(|key| keys.contains(key));
            segment.post((member - segment.first) as Slot, entry.story, &shared);
            vacant = still_vacant;
        }
        segment.len -= 1;
        self.len -= 1;
        segment.skip_removed();
        if segment.len == 0 {
            self.segments.remove(number);
        }

        self.stories.remove(seq, entry.story);

        if *self.searches.get_mut() == 0 {
            self.removed.clear();
        } else {
            self.removed.push((seq, entry));
        }
    }

    /// The earliest articles submitted before a moment, at most so many.
    pub fn oldest_before(&self, moment: Timestamp, max: usize) -> Vec<Seq> {
        let seqs = self.segments.iter().flat_map(|segment| {
            let slots = segment.slots(0, Seq::MAX);
            slots.filter_map(|slot| Some((segment.entry(slot)?, segment.seq(slot))))
        });
        seqs.take_while(|(entry, _)| entry.submit_time < moment)
            .map(|(_, seq)| seq)
            .take(max)
            .collect()
    }

    /// The articles most worth a second look, most promising first: those that share posted keys,
    /// those with a fingerprint within the radius, and the others of their stories. Only those that
    /// `is_wanted` are counted.
    pub fn candidates(&self, wanted: Wanted, is_wanted: impl Fn(Seq, Entry) -> bool) -> Candidates {
        let mut truncated = false;
        // One entry per key or fingerprint found, so that equal ones can be counted.
        let mut hits: Vec<Seq> = Vec::new();
        let mut slots: Vec<Slot> = Vec::new();
        for segment in &self.segments {
            segment.postings.fetch(wanted.keys);
            if let Some(fingerprint) = wanted.fingerprint {
                let (mut live, mut visits) = (0, 0);
                let search =
                    segment.fingerprints.search(fingerprint.0, wanted.radius, |slot, _| {
                        let entry = segment.entry(slot);
                        live += usize::from(
                            entry.is_some_and(|entry| is_wanted(segment.seq(slot), entry)),
                        );
                        visits += 1;
                        slots.push(slot);
                        if live < HAMMING_LIVE_MAX && visits < HAMMING_VISITS_MAX {
                            ControlFlow::Continue(())
                        } else {
                            ControlFlow::Break(())
                        }
                    });
                if search.is_break() {
                    truncated = true;
                    // Of the same content must be found whatever else is near.
                    let same = segment.fingerprints.slots_of(fingerprint.0).take(SAME_CODE_MAX);
                    let same = same.filter(|&slot| {
                        let entry = segment.entry(slot);
                        entry.is_some_and(|entry| entry.content_tag == wanted.content_tag)
                    });
                    slots.extend(same.take(HAMMING_LIVE_MAX));
                }
            }
            // They had the time of the search to come from memory.
            wanted.keys.iter().for_each(|&key| segment.postings.find(key, &mut slots));
            hits.extend(slots.drain(..).map(|slot| segment.seq(slot)));
        }
        hits.sort_unstable();
        let mut ranked: Vec<(i64, Seq)> = hits
            .chunk_by(|a, b| a == b)
            .filter_map(|found| Some((rank(&wanted, self.entry(found[0])?, found.len()), found[0])))
            .collect();
        ranked.sort_unstable();

        let mut seqs: Vec<Seq> = Vec::with_capacity(ranked.len().min(wanted.max));
        let mut add = |seq: Seq, entry: Option<Entry>| {
            if entry.is_some_and(|entry| is_wanted(seq, entry)) && !seqs.contains(&seq) {
                if seqs.len() < wanted.max {
                    seqs.push(seq);
                } else {
                    truncated = true;
                }
            }
        };
        ranked.iter().for_each(|&(_, seq)| add(seq, self.entry(seq)));
        // A story is posted under its first article that has a key. When that is forgotten the
        // others are found through it until it is removed.
        let mut stories: Vec<StoryNumber> = Vec::new();
        for &(_, seq) in ranked.iter().take(wanted.max) {
            let Some(entry) = self.entry(seq) else { continue };
            if stories.contains(&entry.story) {
                continue;
            }
            stories.push(entry.story);
            let members = self.stories.members.get(&entry.story).into_iter().flatten();
            let members = members.map(|&member| (member, self.entry(member)));
            let members = members
                .filter(|&(member, entry)| entry.is_some_and(|entry| is_wanted(member, entry)));
            // One more than can be added tells whether any had to be left out.
            members.take(wanted.max + 1).for_each(|(member, entry)| add(member, entry));
        }
        Candidates { seqs, truncated }
    }

    /// The submissions before `end` that were made within these times, latest first.
    pub fn latest(
        &self,
        end: Seq,
        from: Option<Timestamp>,
        before: Option<Timestamp>,
    ) -> impl Iterator<Item = Seq> {
        self.segments.iter().rev().flat_map(move |segment| {
            let is_in_time = move |&slot: &Slot| {
                segment.entry(slot).is_some_and(|entry| entry.is_within(from, before))
            };
            segment.slots(0, end).rev().filter(is_in_time).map(|slot| segment.seq(slot))
        })
    }

    /// The revisions submitted from `begin` on that took the place of earlier ones, in order.
    pub fn revised_since(
        &self,
        begin: Seq,
        from: Option<Timestamp>,
        before: Option<Timestamp>,
    ) -> impl Iterator<Item = Seq> {
        self.segments.iter().flat_map(move |segment| {
            segment.slots(begin, Seq::MAX).filter_map(move |slot| {
                let entry = segment.entry(slot)?;
                (entry.is_revised && entry.is_within(from, before)).then(|| segment.seq(slot))
            })
        })
    }
}

/// A part of an index as it is written out by [`Index::write`].
pub enum Piece {
    /// A segment begins, with this submission.
    Segment {
        first: Seq,
        postings: Outline,
    },
    /// A chunk of its entries.
    Entries(Vec<PackedEntry>),
    /// Some buckets of its postings, and some of the lines that these are in, in order.
    Buckets(Vec<List>),
    Lines(Vec<[u8; LINE_BYTES]>),
}

/// A piece is about so large, or holds a chunk of entries.
const PIECE_BYTES: usize = 1 << 20;

impl Piece {
    const SEGMENT: u8 = 1;
    const ENTRIES: u8 = 2;
    const BUCKETS: u8 = 3;
    const LINES: u8 = 4;

    fn bytes(kind: u8, content: impl Iterator<Item = u8>) -> Vec<u8> {
        std::iter::once(kind).chain(content).collect()
    }

    /// `None` if the bytes are no piece.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, bytes) = bytes.split_first()?;
        Some(match kind {
            Self::SEGMENT => {
                let (first, outline) = bytes.split_first_chunk()?;
                Piece::Segment {
                    first: Seq::from_le_bytes(*first),
                    postings: postcard::from_bytes(outline).ok()?,
                }
            }
            Self::ENTRIES => {
                let (entries, []) = bytes.as_chunks() else { return None };
                Piece::Entries(entries.iter().copied().map(PackedEntry::from_bytes).collect())
            }
            Self::BUCKETS => {
                let (buckets, []) = bytes.as_chunks() else { return None };
                Piece::Buckets(buckets.iter().copied().map(List::from_bytes).collect())
            }
            Self::LINES => {
                let (lines, []) = bytes.as_chunks() else { return None };
                Piece::Lines(lines.to_vec())
            }
            _ => return None,
        })
    }
}

impl Entry {
    /// Whether it was submitted within these times.
    pub fn is_within(&self, from: Option<Timestamp>, before: Option<Timestamp>) -> bool {
        from.is_none_or(|from| self.submit_time >= from)
            && before.is_none_or(|before| self.submit_time < before)
    }
}

/// How far down the list of candidates an article belongs that was found so many times: those of
/// the same content first, then those with the same fingerprint, then those with few different
/// bits and many shared keys.
fn rank(wanted: &Wanted, entry: Entry, found: usize) -> i64 {
    let distance = match (wanted.fingerprint, entry.fingerprint) {
        (Some(fingerprint), Some(other)) => i64::from(fingerprint.distance(other)),
        _ => 32,
    };
    match distance {
        0 if entry.content_tag == wanted.content_tag => i64::MIN,
        0 => i64::MIN + 1,
        _ => distance - 2 * found as i64,
    }
}

/// A search for the articles nearest to a fingerprint, which is done in parts, so that nobody waits
/// for the whole of it. It shows the index as it was when the search began: what is removed
/// meanwhile is found, what is added is not.
pub struct NearestSearch {
    fingerprint: Fingerprint,
    radius: u32,
    max: usize,
    /// Submissions before this one are searched.
    end: Seq,
    /// How much had been removed when the search began.
    removed: usize,
    /// The segment to go on with begins here or later.
    from: Seq,
    search: Search,
    nearest: BinaryHeap<Near>,
}

impl NearestSearch {
    /// Every search that is begun has to be brought to its end.
    pub fn begin(index: &Index, fingerprint: Fingerprint, radius: u32, max: usize) -> Self {
        index.searches.fetch_add(1, Ordering::Relaxed);
        NearestSearch {
            fingerprint,
            radius,
            max,
            end: index.end(),
            removed: index.removed.len(),
            from: 0,
            search: Search::new(fingerprint.0, radius),
            nearest: BinaryHeap::with_capacity(max + 2),
        }
    }

    /// Does a part of the search; tells whether that was the last.
    pub fn step(&mut self, index: &Index, accept: impl Fn(Seq, Entry) -> bool) -> bool {
        let next = index.segments.iter().find(|segment| segment.end() > self.from);
        let Some(segment) = next.filter(|segment| segment.first < self.end) else {
            for &(seq, entry) in &index.removed[self.removed..] {
                let distance = entry.fingerprint.map(|code| code.distance(self.fingerprint));
                if let Some(distance) = distance.filter(|&distance| distance <= self.radius)
                    && accept(seq, entry)
                    // It may have been visited before it was removed.
                    && !self.nearest.iter().any(|near| near.seq == seq)
                {
                    self.add(Near { distance, seq });
                }
            }
            index.searches.fetch_sub(1, Ordering::Relaxed);
            return true;
        };
        // The segment of the part before may be gone by now.
        if segment.first > self.from {
            self.from = segment.first;
            self.search = Search::new(self.fingerprint.0, self.radius);
        }
        let mut search = std::mem::replace(&mut self.search, Search::new(0, 0));
        let _ = segment.fingerprints.resume(&mut search, |slot, distance| {
            let seq = segment.seq(slot);
            if segment.entry(slot).is_some_and(|entry| accept(seq, entry)) {
                self.add(Near { distance, seq });
            }
            ControlFlow::Continue(())
        });
        if search.is_done() {
            self.from = segment.end();
            search = Search::new(self.fingerprint.0, self.radius);
        }
        self.search = search;
        false
    }

    fn add(&mut self, near: Near) {
        if near.seq < self.end {
            self.nearest.push(near);
            if self.nearest.len() > self.max + 1 {
                self.nearest.pop();
            }
        }
    }

    /// The nearest articles, nearest first, then earliest; and whether there are more.
    pub fn finish(self) -> (Vec<Near>, bool) {
        let mut nearest = self.nearest.into_sorted_vec();
        let truncated = nearest.len() > self.max;
        nearest.truncate(self.max);
        (nearest, truncated)
    }
}

/// The entries of a segment by slot, 24 bytes each. They never move, so adding one never takes
/// long.
#[derive(Debug, Default)]
struct Entries {
    chunks: Vec<Vec<PackedEntry>>,
}

const CHUNK_LEN: usize = 1 << 14;

const PACKED_BYTES: usize = size_of::<PackedEntry>();

/// An [`Entry`], or none.
#[derive(Debug, Clone, Copy)]
pub struct PackedEntry {
    fingerprint: u64,
    /// The story's number in the lower 40 bits, 0 for no entry: submissions are counted from 1.
    /// Then two flags, and the content tag in the upper 16 bits.
    story: u64,
    submit_micros: i64,
}

impl PackedEntry {
    const NONE: Self = PackedEntry { fingerprint: 0, story: 0, submit_micros: 0 };
    const STORY: u64 = (1 << 40) - 1;
    const HAS_FINGERPRINT: u64 = 1 << 40;
    const IS_REVISED: u64 = 1 << 41;
    const TAG_SHIFT: u32 = 48;

    fn new(entry: Entry) -> Self {
        let mut story =
            entry.story.0 & Self::STORY | u64::from(entry.content_tag) << Self::TAG_SHIFT;
        if entry.fingerprint.is_some() {
            story |= Self::HAS_FINGERPRINT;
        }
        if entry.is_revised {
            story |= Self::IS_REVISED;
        }
        PackedEntry {
            fingerprint: entry.fingerprint.map_or(0, |fingerprint| fingerprint.0),
            story,
            submit_micros: entry.submit_time.micros(),
        }
    }

    fn to_bytes(self) -> [u8; PACKED_BYTES] {
        let PackedEntry { fingerprint, story, submit_micros } = self;
        let mut bytes = [0; PACKED_BYTES];
        bytes[..8].copy_from_slice(&fingerprint.to_le_bytes());
        bytes[8..16].copy_from_slice(&story.to_le_bytes());
        bytes[16..].copy_from_slice(&submit_micros.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; PACKED_BYTES]) -> Self {
        let [fingerprint, story, micros] = *bytes.as_chunks().0 else { return Self::NONE };
        PackedEntry {
            fingerprint: u64::from_le_bytes(fingerprint),
            story: u64::from_le_bytes(story),
            submit_micros: i64::from_le_bytes(micros),
        }
    }

    fn get(self) -> Option<Entry> {
        (self.story != 0).then(|| Entry {
            fingerprint: (self.story & Self::HAS_FINGERPRINT != 0)
                .then_some(Fingerprint(self.fingerprint)),
            story: StoryNumber(self.story & Self::STORY),
            submit_time: Timestamp::from_micros(self.submit_micros),
            content_tag: (self.story >> Self::TAG_SHIFT) as u16,
            is_revised: self.story & Self::IS_REVISED != 0,
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

    /// All fingerprints, to be searched.
    fn fingerprints(&self) -> HammingIndex {
        let code = |slot| Some((self.get(slot)?.fingerprint?.0, slot));
        HammingIndex::from_codes((0..self.len() as Slot).filter_map(code))
    }

    fn take(&mut self, slot: Slot) -> Option<Entry> {
        let slot = slot as usize;
        let entry = self.chunks.get_mut(slot / CHUNK_LEN)?.get_mut(slot % CHUNK_LEN)?;
        std::mem::replace(entry, PackedEntry::NONE).get()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// An article, as a plain model remembers it.
    #[derive(Debug, Clone)]
    struct Known {
        entry: Entry,
        keys: Vec<PostingKey>,
    }

    fn entry(code: u64, story: Seq, seconds: i64) -> Entry {
        Entry {
            fingerprint: (code != 0).then_some(Fingerprint(code)),
            story: StoryNumber(story),
            submit_time: Timestamp { seconds, nanos: 0 },
            content_tag: code as u16,
            is_revised: code.is_multiple_of(3),
        }
    }

    fn remove(index: &mut Index, known: &mut BTreeMap<Seq, Known>, seq: Seq) {
        let Some(Known { keys, .. }) = known.remove(&seq) else { return };
        let stand_ins = index.stand_ins(seq).into_iter();
        let stand_ins: Vec<_> =
            stand_ins.map(|member| (member, known[&member].keys.clone())).collect();
        index.remove(seq, &keys, &stand_ins);
    }

    fn members(known: &BTreeMap<Seq, Known>, story: Seq) -> Vec<Seq> {
        let is_member = |(_, known): &(&Seq, &Known)| known.entry.story.0 == story;
        known.iter().filter(is_member).map(|(&seq, _)| seq).collect()
    }

    /// Checks everything that the index answers.
    fn check(index: &Index, known: &BTreeMap<Seq, Known>) {
        let seqs: Vec<Seq> = known.keys().copied().collect();
        assert_eq!(index.article_count(), known.len());
        let mut stories: Vec<Seq> = known.values().map(|known| known.entry.story.0).collect();
        stories.sort_unstable();
        stories.dedup();
        assert_eq!(index.story_count(), stories.len());
        for &story in &stories {
            let found: Vec<Seq> = index.story_members(StoryNumber(story)).collect();
            assert_eq!(found, members(known, story));
        }
        for (&seq, known) in known {
            assert_eq!(index.entry(seq), Some(known.entry));
        }
        let latest: Vec<Seq> = index.latest(Seq::MAX, None, None).collect();
        assert!(latest.iter().eq(seqs.iter().rev()));
        let middle = index.end() / 2;
        let revised: Vec<Seq> = index.revised_since(middle, None, None).collect();
        let is_revised = |seq: &Seq| *seq >= middle && known[seq].entry.is_revised;
        assert!(revised.iter().eq(seqs.iter().filter(|seq| is_revised(seq))));
        for code in 1..8 {
            for radius in [0, 1, 64] {
                let mut search = NearestSearch::begin(index, Fingerprint(code), radius, 1000);
                while !search.step(index, |_, _| true) {}
                let (found, truncated) = search.finish();
                let near = |(&seq, known): (&Seq, &Known)| {
                    let distance = known.entry.fingerprint?.distance(Fingerprint(code));
                    (distance <= radius).then_some(Near { distance, seq })
                };
                let mut expected: Vec<Near> = known.iter().filter_map(near).collect();
                expected.sort_unstable();
                assert_eq!((found, truncated), (expected, false));
            }
        }
    }

    /// Every article that shares a key with a wanted one is a candidate, or another of its story
    /// is; and so is every one of the same content.
    fn check_candidates(index: &Index, known: &BTreeMap<Seq, Known>) {
        for wanted_key in 0..12 {
            let keys = [wanted_key];
            let wanted = Wanted {
                fingerprint: Some(Fingerprint(5)),
                radius: 0,
                keys: &keys,
                content_tag: 5,
                max: 1000,
            };
            let found = index.candidates(wanted, |_, _| true).seqs;
            let sharing = known.values().filter(|known| known.keys.contains(&wanted_key));
            let mut stories: Vec<StoryNumber> = sharing.map(|known| known.entry.story).collect();
            stories.sort_unstable();
            stories.dedup();
            // Longer lists are of phrases that say nothing.
            if stories.len() < crate::store::LIST_LEN_MAX / 2 {
                for story in stories {
                    assert!(found.iter().any(|seq| known[seq].entry.story == story));
                }
            }
            let is_same = |known: &&Known| known.entry.fingerprint == Some(Fingerprint(5));
            let same = known.values().filter(is_same).count();
            let found_same = |seq: &&Seq| known[seq].entry.fingerprint == Some(Fingerprint(5));
            assert_eq!(found.iter().filter(found_same).count(), same);
            assert!(found.iter().take(same).all(|seq| found_same(&seq)), "they come first");
        }
    }

    fn written_and_read(index: &Index) -> Index {
        let mut pieces = Vec::new();
        let write = |bytes: &[u8]| {
            pieces.push(Piece::from_bytes(bytes).unwrap());
            Ok(())
        };
        index.write(write).unwrap();
        Index::from_pieces(pieces.into_iter()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_index_of_many_segments_is_what_a_plain_map_would_be(
            steps in prop::collection::vec((0..10_u32, 0..40_u64, 0..8_u64, prop::collection::vec(0..12_u32, 0..4)), 1..300),
        ) {
            let (mut index, mut appended) = (Index::default(), Index::default());
            let mut known: BTreeMap<Seq, Known> = BTreeMap::new();
            let mut next = 1;
            for (kind, pick, code, mut keys) in steps {
                keys.sort_unstable();
                keys.dedup();
                let picked = known.keys().copied().nth(pick as usize % known.len().max(1));
                match (kind, picked) {
                    (0..3, Some(seq)) => remove(&mut index, &mut known, seq),
                    // A gap, as a deletion at the end of what is on disk leaves.
                    (3, _) => next += pick,
                    (4..6, Some(seq)) => {
                        let entry = entry(code, known[&seq].entry.story.0, next as i64);
                        index.insert(next, entry, &keys);
                        known.insert(next, Known { entry, keys });
                        next += 1;
                    }
                    _ => {
                        let entry = entry(code, next, next as i64);
                        index.insert(next, entry, &keys);
                        known.insert(next, Known { entry, keys });
                        next += 1;
                    }
                }
            }
            check(&index, &known);
            check_candidates(&index, &known);
            for (&seq, Known { entry, keys }) in &known {
                appended.append(seq, *entry, keys);
            }
            appended.settle();
            check(&appended, &known);
            check_candidates(&appended, &known);
            let mut read = written_and_read(&index);
            check(&read, &known);
            check_candidates(&read, &known);
            for seq in known.keys().copied().step_by(2).collect::<Vec<_>>() {
                remove(&mut read, &mut known, seq);
            }
            check(&read, &known);
        }
    }

    #[test]
    fn a_search_in_parts_shows_the_moment_of_its_beginning() {
        let mut index = Index::default();
        let mut known = BTreeMap::new();
        for seq in 1..=200 {
            let entry = entry(1 + seq % 7, seq, seq as i64);
            index.insert(seq, entry, &[]);
            known.insert(seq, Known { entry, keys: Vec::new() });
        }
        let before: Vec<Seq> = known.keys().copied().collect();
        let mut search = NearestSearch::begin(&index, Fingerprint(1), 64, 1000);
        for seq in (10..=200).step_by(10) {
            assert!(!search.step(&index, |_, _| true) || seq > 60);
            if seq > 60 {
                break;
            }
            remove(&mut index, &mut known, seq);
            remove(&mut index, &mut known, 201 - seq);
            index.insert(300 + seq, entry(1, 300 + seq, 300), &[]);
        }
        while !search.step(&index, |_, _| true) {}
        let mut found: Vec<Seq> = search.finish().0.iter().map(|near| near.seq).collect();
        found.sort_unstable();
        assert_eq!(found, before);
    }
}
