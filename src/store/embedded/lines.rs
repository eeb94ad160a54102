//! Very many short lists of keys and slots, each in a chain of cache lines. All lines are of one
//! pool: lists that grow and shrink leave no holes behind, and no list has room of its own but the
//! rest of its first line.

use serde::{Deserialize, Serialize};

use crate::hamming::Slot;
use crate::kernel::prefetch;

/// As many bytes as a processor fetches at once.
pub const LINE_BYTES: usize = 64;

/// The last bytes of a line: how many items it has, in the upper four bits, and the line that
/// follows it.
const LINK_BYTES: usize = 4;
const LINK_AT: usize = LINE_BYTES - LINK_BYTES;
const NEXT_BITS: u32 = 28;

/// Of a slot, and of a key at least.
const SLOT_BYTES: usize = 3;
const KEY_BYTES_MIN: usize = 2;

/// A list, by its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct List(u32);

impl List {
    pub const EMPTY: List = List((1 << NEXT_BITS) - 1);

    /// Whether it is empty or begins with one of so many lines.
    pub fn is_among(self, line_count: usize) -> bool {
        self == List::EMPTY || (self.0 as usize) < line_count
    }

    pub fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        List(u32::from_le_bytes(bytes))
    }
}

/// The lower 16 bits of all keys, all slots, the upper bits of all keys if they have more than 16,
/// and the link. So all keys are compared at once.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Line([u8; LINE_BYTES]);

impl Line {
    pub fn bytes(&self) -> [u8; LINE_BYTES] {
        self.0
    }

    fn link(&self) -> u32 {
        u32::from_le_bytes(self.0.as_chunks().0[LINK_AT / LINK_BYTES])
    }

    fn set_link(&mut self, next: List, len: usize) {
        let link = next.0 | (len as u32) << NEXT_BITS;
        self.0[LINK_AT..].copy_from_slice(&link.to_le_bytes());
    }

    fn len(&self) -> usize {
        (self.link() >> NEXT_BITS) as usize
    }

    /// What follows: a list like any other.
    fn next(&self) -> List {
        List(self.link() & List::EMPTY.0)
    }

    /// The places of the items whose keys have these lower bits, one bit for each.
    #[inline]
    fn places(&self, key: u16) -> u32 {
        // More than there are keys: so many are compared by one or two instructions.
        let keys = self.0.as_chunks::<2>().0.as_chunks::<16>().0[0];
        let mut places = [0u16; 16];
        for (at, (place, lower)) in places.iter_mut().zip(keys).enumerate() {
            *place = if u16::from_le_bytes(lower) == key { 1 << at } else { 0 };
        }
        let all = places.into_iter().fold(0, |all, place| all | place);
        u32::from(all) & ((1 << self.len()) - 1)
    }
}

/// How items lie in a line.
#[derive(Debug, Clone, Copy)]
struct Layout {
    key_bytes: usize,
    items_per_line: usize,
}

impl Layout {
    fn slots_at(self) -> usize {
        KEY_BYTES_MIN * self.items_per_line
    }

    fn upper_at(self) -> usize {
        (KEY_BYTES_MIN + SLOT_BYTES) * self.items_per_line
    }

    #[inline]
    fn slot(self, line: &Line, at: usize) -> Slot {
        let start = self.slots_at() + SLOT_BYTES * at;
        let bytes = &line.0[start..start + SLOT_BYTES];
        Slot::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
    }

    #[inline]
    fn key(self, line: &Line, at: usize) -> u32 {
        let lower = &line.0[KEY_BYTES_MIN * at..KEY_BYTES_MIN * (at + 1)];
        u32::from_le_bytes([lower[0], lower[1], self.upper(line, at), 0])
    }

    #[inline]
    fn upper(self, line: &Line, at: usize) -> u8 {
        if self.key_bytes > KEY_BYTES_MIN { line.0[self.upper_at() + at] } else { 0 }
    }

    fn put(self, line: &mut Line, at: usize, key: u32, slot: Slot) {
        let [first, second, upper, _] = key.to_le_bytes();
        line.0[KEY_BYTES_MIN * at..KEY_BYTES_MIN * (at + 1)].copy_from_slice(&[first, second]);
        let start = self.slots_at() + SLOT_BYTES * at;
        line.0[start..start + SLOT_BYTES].copy_from_slice(&slot.to_le_bytes()[..SLOT_BYTES]);
        if self.key_bytes > KEY_BYTES_MIN {
            line.0[self.upper_at() + at] = upper;
        }
    }

    /// The places in a line of the items that have a key.
    #[inline]
    fn places(self, line: &Line, key: u32) -> impl Iterator<Item = usize> {
        let mut places = line.places(key as u16);
        let places = std::iter::from_fn(move || {
            let place = places.trailing_zeros();
            places &= places.wrapping_sub(1);
            (place < u32::BITS).then_some(place as usize)
        });
        places.filter(move |&at| self.upper(line, at) == (key >> 16) as u8)
    }
}

/// The pool.
#[derive(Debug)]
pub struct Lines {
    layout: Layout,
    /// Each has room for twice as many lines as the one before. So no line is ever moved, and room
    /// that is not needed yet is not touched.
    pieces: Vec<Vec<Line>>,
    /// Lines of no list, which are empty.
    free: List,
}

/// So many lists are fetched at once at most.
pub const LISTS_FETCHED: usize = 16;

/// Lines of the first piece, as a power of two.
const FIRST_PIECE_LOG2: u32 = 5;

impl Lines {
    /// For items with keys of so many bytes, 2 or 3: a line has room for 12 or 10.
    pub fn new(key_bytes: usize) -> Self {
        debug_assert!((KEY_BYTES_MIN..=KEY_BYTES_MIN + 1).contains(&key_bytes));
        let layout = Layout { key_bytes, items_per_line: LINK_AT / (key_bytes + SLOT_BYTES) };
        Lines { layout, pieces: Vec::new(), free: List::EMPTY }
    }

    /// The keys and slots of a list, in no particular order.
    pub fn items(&self, list: List) -> impl Iterator<Item = (u32, Slot)> {
        let item = |line, at| (self.layout.key(line, at), self.layout.slot(line, at));
        self.chain(list).flat_map(move |line| (0..line.len()).map(move |at| item(line, at)))
    }

    /// The slots that a list has under a key.
    pub fn find(&self, list: List, key: u32) -> impl Iterator<Item = Slot> {
        self.chain(list).flat_map(move |line| {
            self.layout.places(line, key).map(move |at| self.layout.slot(line, at))
        })
    }

    /// Adds an item to a list.
    pub fn push(&mut self, list: &mut List, key: u32, slot: Slot) {
        let layout = self.layout;
        let has_room = *list != List::EMPTY && self.line(*list).len() < layout.items_per_line;
        if !has_room {
            let added = self.take_line();
            self.line_mut(added).set_link(*list, 0);
            *list = added;
        }
        let line = self.line_mut(*list);
        let len = line.len();
        layout.put(line, len, key, slot);
        line.set_link(line.next(), len + 1);
    }

    /// Removes an item from a list; tells whether it was there.
    pub fn remove(&mut self, list: &mut List, key: u32, slot: Slot) -> bool {
        let layout = self.layout;
        let mut here = *list;
        while here != List::EMPTY {
            let line = self.line(here);
            let next = line.next();
            let at = layout.places(line, key).find(|&at| layout.slot(line, at) == slot);
            if let Some(at) = at {
                self.fill_from_first(list, here, at);
                return true;
            }
            here = next;
        }
        false
    }

    /// Puts an item of the list's first line in a place that has become free.
    fn fill_from_first(&mut self, list: &mut List, line: List, at: usize) {
        let (layout, first) = (self.layout, *self.line(*list));
        let last = first.len() - 1;
        let (key, slot) = (layout.key(&first, last), layout.slot(&first, last));
        layout.put(self.line_mut(line), at, key, slot);
        self.line_mut(*list).set_link(first.next(), last);
        if last == 0 {
            self.give_back(*list);
            *list = first.next();
        }
    }

    /// Takes all items of a list.
    pub fn drain(&mut self, list: List, items: &mut Vec<(u32, Slot)>) {
        items.extend(self.items(list));
        let mut here = list;
        while here != List::EMPTY {
            let next = self.line(here).next();
            self.give_back(here);
            here = next;
        }
    }

    /// Has the lines of some lists fetched, the first few of each. Done side by side, the processor
    /// waits for memory a few times; done list by list, it would wait for each line.
    pub fn fetch(&self, lists: impl Iterator<Item = List>) {
        /// Most lists have no more lines.
        const DEPTH: usize = 4;
        let mut lines: [Option<&Line>; LISTS_FETCHED] = [None; LISTS_FETCHED];
        for (line, list) in lines.iter_mut().zip(lists) {
            *line = self.first(list);
        }
        for _ in 0..DEPTH {
            lines.iter().flatten().for_each(|line| prefetch(*line));
            lines.iter_mut().for_each(|line| *line = line.and_then(|line| self.first(line.next())));
        }
    }

    /// Lines there are, with those of no list.
    pub fn count(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    /// The first line that is of no list.
    pub fn free(&self) -> List {
        self.free
    }

    /// All lines in order, at most so many at once.
    pub fn chunks(&self, max: usize) -> impl Iterator<Item = &[Line]> {
        self.pieces.iter().flat_map(move |piece| piece.chunks(max))
    }

    /// Adds lines as they were written.
    pub fn extend(&mut self, lines: &[[u8; LINE_BYTES]]) {
        lines.iter().for_each(|&line| self.place().push(Line(line)));
    }

    /// The pool that has these lines and free ones; `None` if a line leads to none of them, or has
    /// more items than fit into it.
    pub fn with_free(self, free: List) -> Option<Self> {
        let lines = Lines { free, ..self };
        let (count, len_max) = (lines.count(), lines.layout.items_per_line);
        let is_sound = |line: &Line| line.len() <= len_max && line.next().is_among(count);
        let are_sound = free.is_among(count) && lines.pieces.iter().flatten().all(is_sound);
        are_sound.then_some(lines)
    }

    /// The lines of a list.
    fn chain(&self, list: List) -> impl Iterator<Item = &Line> {
        std::iter::successors(self.first(list), |here| self.first(here.next()))
    }

    fn first(&self, list: List) -> Option<&Line> {
        (list != List::EMPTY).then(|| self.line(list))
    }

    fn line(&self, list: List) -> &Line {
        let (piece, place) = locate(list);
        &self.pieces[piece][place]
    }

    fn line_mut(&mut self, list: List) -> &mut Line {
        let (piece, place) = locate(list);
        &mut self.pieces[piece][place]
    }

    /// A line for a list: one that is free, or a new one.
    fn take_line(&mut self) -> List {
        if self.free != List::EMPTY {
            let taken = self.free;
            self.free = self.line(taken).next();
            return taken;
        }
        let added = List(self.count() as u32);
        self.place().push(Line([0; LINE_BYTES]));
        added
    }

    fn give_back(&mut self, list: List) {
        let free = std::mem::replace(&mut self.free, list);
        self.line_mut(list).set_link(free, 0);
    }

    /// The piece that has room for another line.
    fn place(&mut self) -> &mut Vec<Line> {
        let piece_len = |number: usize| 1 << (FIRST_PIECE_LOG2 as usize + number);
        let is_full = |(number, piece): (usize, &Vec<Line>)| piece.len() == piece_len(number);
        if self.pieces.iter().enumerate().next_back().is_none_or(is_full) {
            self.pieces.push(Vec::with_capacity(piece_len(self.pieces.len())));
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }
}

/// The piece that has a line, and its place there.
fn locate(list: List) -> (usize, usize) {
    // Counted from one, the lines of a piece are those whose numbers have the same highest bit.
    let number = list.0 as usize + (1 << FIRST_PIECE_LOG2);
    let highest = number.ilog2();
    ((highest - FIRST_PIECE_LOG2) as usize, number - (1 << highest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hamming::SLOT_MAX;

    fn sorted(lines: &Lines, list: List) -> Vec<(u32, Slot)> {
        let mut items: Vec<_> = lines.items(list).collect();
        items.sort_unstable();
        items
    }

    proptest! {
        /// Whatever is done to lists, each has what an ordinary one would have, and so it is when
        /// they have been written and read.
        #[test]
        fn lists_are_what_was_put_into_them(
            key_bytes in 2..=3usize,
            steps in prop::collection::vec((0..5usize, 0..4u8, 0..6u32, 0..9u32), 0..600),
        ) {
            let mut lines = Lines::new(key_bytes);
            let mut lists = [List::EMPTY; 5];
            let mut model: [Vec<(u32, Slot)>; 5] = Default::default();
            // Some keys have the same lower bits.
            let key_of = |key: u32| (key / 2 + ((key % 2) << 20)) & ((1 << (8 * key_bytes)) - 1);
            for (list, what, key, slot) in steps {
                let item = (key_of(key), SLOT_MAX - slot);
                let (kept, list) = (&mut model[list], &mut lists[list]);
                match what {
                    0 => {
                        let at = kept.iter().position(|&other| other == item);
                        prop_assert_eq!(lines.remove(list, item.0, item.1), at.is_some());
                        at.map(|at| kept.swap_remove(at));
                    }
                    1 if slot == 0 => {
                        let mut drained = Vec::new();
                        lines.drain(std::mem::replace(list, List::EMPTY), &mut drained);
                        drained.sort_unstable();
                        kept.sort_unstable();
                        prop_assert_eq!(&drained, &*kept);
                        kept.clear();
                    }
                    _ => {
                        lines.push(list, item.0, item.1);
                        kept.push(item);
                    }
                }
            }
            lines.fetch(lists.into_iter());
            let mut read = Lines::new(key_bytes);
            for chunk in lines.chunks(7) {
                read.extend(&chunk.iter().map(Line::bytes).collect::<Vec<_>>());
            }
            let read = read.with_free(lines.free()).unwrap();
            for (list, mut kept) in lists.into_iter().zip(model) {
                kept.sort_unstable();
                prop_assert_eq!(&sorted(&lines, list), &kept);
                prop_assert_eq!(&sorted(&read, list), &kept);
                for key in (0..7).map(key_of) {
                    let mut found: Vec<Slot> = lines.find(list, key).collect();
                    found.sort_unstable();
                    let kept = kept.iter().filter(|&&(other, _)| other == key);
                    prop_assert_eq!(found, kept.map(|&(_, slot)| slot).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn lines_that_are_given_back_are_taken_again() {
        let mut lines = Lines::new(2);
        let mut list = List::EMPTY;
        for _ in 0..10 {
            (0..1000).for_each(|slot| lines.push(&mut list, slot % 7, slot));
            assert_eq!(lines.count(), 1000usize.div_ceil(12));
            assert!((0..1000).all(|slot| lines.remove(&mut list, slot % 7, slot)));
            assert_eq!(list, List::EMPTY);
        }
    }

    #[test]
    fn lines_that_lead_nowhere_are_refused() {
        let line = |next: u32, len: usize| {
            let mut line = Line([0; LINE_BYTES]);
            line.set_link(List(next), len);
            line.bytes()
        };
        let read = |bytes: [u8; LINE_BYTES], free: List| {
            let mut lines = Lines::new(3);
            lines.extend(&[bytes]);
            lines.with_free(free).is_some()
        };
        assert!(read(line(List::EMPTY.0, 10), List::EMPTY));
        assert!(!read(line(List::EMPTY.0, 11), List::EMPTY));
        assert!(!read(line(1, 3), List::EMPTY));
        assert!(!read(line(List::EMPTY.0, 3), List(1)));
    }
}
