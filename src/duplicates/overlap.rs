//! Which passages two texts share, to be shown to people.

use std::ops::Range;

use std::collections::HashMap;

use crate::text::{Document, Word, bigram_hash};

/// A passage that stands in both bodies, as byte ranges of the two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    pub a: Range<usize>,
    pub b: Range<usize>,
}

/// Shorter passages are coincidence.
pub const OVERLAP_WORDS_MIN: usize = 8;

/// Of the places where a passage of `a` begins in `b` this many are tried: more would let a text
/// that repeats itself make the work quadratic.
const PLACES_TRIED_MAX: usize = 8;

const NOWHERE: u32 = u32::MAX;

/// The passages that two bodies share, by their place in `a`. No word of either text is in two
/// of them. Read from left to right: where several passages of `b` match, the longest is taken.
pub fn overlaps(a: &Document, b: &Document) -> Vec<Overlap> {
    let (a, b) = (&a.body[..], &b.body[..]);
    let index = PlaceIndex::new(b);
    let mut is_taken = vec![false; b.len()];
    let mut overlaps = Vec::new();
    let mut at = 0;
    while at + OVERLAP_WORDS_MIN <= a.len() {
        let longest = index
            .places(&a[at..at + OVERLAP_WORDS_MIN])
            .take(PLACES_TRIED_MAX)
            .map(|place| (shared_prefix_len(&a[at..], &b[place..], &is_taken[place..]), place))
            .max_by_key(|&(len, place)| (len, std::cmp::Reverse(place)));
        match longest {
            Some((len, place)) if len >= OVERLAP_WORDS_MIN => {
                is_taken[place..place + len].fill(true);
                overlaps.push(Overlap {
                    a: a[at].span().start..a[at + len - 1].span().end,
                    b: b[place].span().start..b[place + len - 1].span().end,
                });
                at += len;
            }
            _ => at += 1,
        }
    }
    overlaps
}

fn shared_prefix_len(a: &[Word], b: &[Word], b_is_taken: &[bool]) -> usize {
    a.iter()
        .zip(b)
        .zip(b_is_taken)
        .take_while(|((a, b), taken)| a.hash == b.hash && !**taken)
        .count()
}

/// Where in a text the shingles of [`OVERLAP_WORDS_MIN`] words begin.
struct PlaceIndex {
    first: HashMap<u64, u32>,
    /// The next place of the same shingle.
    next: Vec<u32>,
}

impl PlaceIndex {
    fn new(text: &[Word]) -> Self {
        let shingles: Vec<u64> = text.windows(OVERLAP_WORDS_MIN).map(shingle_hash).collect();
        let mut first = HashMap::with_capacity(shingles.len());
        let mut next = vec![NOWHERE; shingles.len()];
        for (place, shingle) in shingles.into_iter().enumerate().rev() {
            next[place] = first.insert(shingle, place as u32).unwrap_or(NOWHERE);
        }
        PlaceIndex { first, next }
    }

    fn places(&self, words: &[Word]) -> impl Iterator<Item = usize> {
        std::iter::successors(self.first.get(&shingle_hash(words)).copied(), |&place| {
            Some(self.next[place as usize]).filter(|&next| next != NOWHERE)
        })
        .map(|place| place as usize)
    }
}

fn shingle_hash(words: &[Word]) -> u64 {
    words.iter().fold(0, |hash, word| bigram_hash(hash, word.hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, expected: &[(&str, &str)]) {
        let found = overlaps(&Document::new("", a), &Document::new("", b));
        let found: Vec<(&str, &str)> =
            found.iter().map(|overlap| (&a[overlap.a.clone()], &b[overlap.b.clone()])).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn passages_are_found_by_their_place_in_the_first_text() {
        let (first, second) = ("one two three four five six seven eight", "a b c d e f g h i");
        check(first, first, &[(first, first)]);
        check(first, second, &[]);
        check("one two three four five six seven", "one two three four five six seven", &[]);
        check(
            &format!("{first}, x {second}"),
            &format!("{second} y; {first}"),
            &[(first, first), (second, second)],
        );
        check(
            "so <b>One</b>, two three FOUR five six seven eight!",
            first,
            &[("One</b>, two three FOUR five six seven eight", first)],
        );
    }

    #[test]
    fn the_longest_of_several_passages_is_taken() {
        let passage = "one two three four five six seven eight";
        check(
            &format!("{passage} nine"),
            &format!("{passage} ten {passage} nine"),
            &[(&format!("{passage} nine"), &format!("{passage} nine"))],
        );
        check(&format!("{passage} x {passage}"), passage, &[(passage, passage)]);
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        let repeated = Document::new("", &"spam ".repeat(200_000));
        assert_eq!(overlaps(&repeated, &repeated).len(), 1);
        let halves = Document::new("", &("spam ".repeat(999) + "egg ").repeat(200));
        assert!(!overlaps(&halves, &repeated).is_empty());
        assert!(!overlaps(&repeated, &halves).is_empty());
    }

    proptest! {
        #[test]
        fn passages_are_equal_and_apart(a in "[ab ]{0,300}", b in "[ab ]{0,300}") {
            let (a, b) = (Document::new("", &a), Document::new("", &b));
            let found = overlaps(&a, &b);
            let words = |document: &Document, range: &Range<usize>| -> Vec<u64> {
                let within = |word: &&Word| range.start <= word.span().start && word.span().end <= range.end;
                document.body.iter().filter(within).map(|word| word.hash).collect()
            };
            for overlap in &found {
                prop_assert_eq!(words(&a, &overlap.a), words(&b, &overlap.b));
                prop_assert!(words(&a, &overlap.a).len() >= OVERLAP_WORDS_MIN);
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].a.end <= pair[1].a.start));
            let mut in_b: Vec<&Range<usize>> = found.iter().map(|overlap| &overlap.b).collect();
            in_b.sort_by_key(|range| range.start);
            prop_assert!(in_b.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }
    }
}
