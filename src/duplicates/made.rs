//! Pairs made on the spot from the words of labelled ones, for what these show too little of.
//!
//! The articles they are made from are those of the pairs that are trained on, so that a judge
//! that is scored on other pairs has seen nothing of them.

use std::collections::BTreeSet;

use super::alignment::align;
use super::counts::{Counts, STORY_COUNT_MAX, counted_as, others_by_word};
use super::features::{Evidence, FeatureVector, is_figure};
use super::pairs::Label;
use super::probe::{Knowledge, Probe};
use super::shingles::shingles;
use super::sketch::{Sketch, WordCode};
use crate::random::SplitMix64;

/// A way to make pairs, what these are, what collections may know of them, and how much they weigh
/// in either forest.
pub(super) struct Recipe {
    make: fn(&mut Maker) -> Option<Made>,
    settings: &'static [Setting],
    pub(super) label: Label,
    pub(super) near_weight: f64,
    pub(super) partial_weight: f64,
}

/// What the collection that a pair meets in knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// Nothing of anything.
    Empty,
    /// A lot, and the frame of neither: theirs are the first articles of their sites.
    NewSite,
    /// A lot, and the frame too.
    KnownSite,
}

use Setting::{Empty, KnownSite, NewSite};

pub(super) const RECIPES: [Recipe; 11] = [
    Recipe {
        make: short_frame,
        settings: &[Empty],
        label: Label::No,
        near_weight: 4.0,
        partial_weight: 8.0,
    },
    Recipe {
        make: long_frame,
        settings: &[KnownSite],
        label: Label::No,
        near_weight: 3.0,
        partial_weight: 6.0,
    },
    Recipe {
        make: framed_copies,
        settings: &[Empty, Empty, NewSite, KnownSite],
        label: Label::Yes,
        near_weight: 7.0,
        partial_weight: 6.0,
    },
    Recipe {
        make: long_quotation,
        settings: &[Empty, NewSite, KnownSite],
        label: Label::Partial,
        near_weight: 1.0,
        partial_weight: 5.0,
    },
    Recipe {
        make: short_quotation,
        settings: &[Empty, NewSite, KnownSite],
        label: Label::No,
        near_weight: 1.0,
        partial_weight: 2.0,
    },
    Recipe {
        make: filled_template,
        settings: &[Empty, NewSite, KnownSite],
        label: Label::No,
        near_weight: 5.0,
        partial_weight: 4.0,
    },
    Recipe {
        make: brief_copies,
        settings: &[Empty, NewSite],
        label: Label::Yes,
        near_weight: 1.0,
        partial_weight: 1.0,
    },
    Recipe {
        make: long_passage,
        settings: &[NewSite],
        label: Label::Partial,
        near_weight: 1.0,
        partial_weight: 4.0,
    },
    Recipe {
        make: local_leads,
        settings: &[Empty, Empty, NewSite, KnownSite],
        label: Label::Yes,
        near_weight: 5.0,
        partial_weight: 6.0,
    },
    Recipe {
        make: teaser,
        settings: &[Empty, NewSite],
        label: Label::Yes,
        near_weight: 0.5,
        partial_weight: 1.0,
    },
    Recipe {
        make: scattered_frame,
        settings: &[KnownSite],
        label: Label::No,
        near_weight: 2.0,
        partial_weight: 4.0,
    },
];

/// Two texts, and what in them is frame.
struct Made {
    a: Sketch,
    b: Sketch,
    frame: Vec<Vec<WordCode>>,
}

/// Makes pairs from articles that all have words; there must be at least one.
pub(super) struct Maker<'a> {
    articles: Vec<&'a Sketch>,
    random: Random,
}

impl<'a> Maker<'a> {
    pub(super) fn new(articles: Vec<&'a Sketch>) -> Self {
        Maker { articles, random: Random::new(7) }
    }

    /// `None` if the articles drawn do not lend themselves to it.
    pub(super) fn features(&mut self, recipe: &Recipe) -> Option<FeatureVector> {
        let setting = recipe.settings[self.random.below(recipe.settings.len())];
        let made = (recipe.make)(self)?;
        let frame_count = match setting {
            KnownSite => self.random.between(2, usize::from(STORY_COUNT_MAX) + 1) as u8,
            Empty | NewSite => 0,
        };
        let frame: BTreeSet<u64> = made.frame.iter().flat_map(|piece| shingles(piece)).collect();
        let nothing = Counts::default();
        let salt = self.random.next();
        let others = |sketch: &Sketch| {
            let count = |shingle: u64| match setting {
                Empty => 0,
                _ if frame.contains(&shingle) => frame_count,
                _ => chance_count(shingle ^ salt),
            };
            others_by_word(sketch.text().len(), &counted_as(sketch.text(), count))
        };
        let knowledge = Knowledge {
            stories: match setting {
                Empty => self.random.below(20) as u64,
                _ => self.random.log_between(200, 100_000) as u64,
            },
            probe_others: others(&made.a),
            other_others: others(&made.b),
        };
        let probe = Probe::new(&made.a, &nothing);
        let alignment = align(&probe, &made.b)?;
        Some(Evidence::new(&probe, &made.b, &alignment).features(&knowledge))
    }

    fn article(&mut self) -> &'a Sketch {
        self.articles[self.random.below(self.articles.len())]
    }

    fn title(&mut self) -> Vec<WordCode> {
        self.article().title().to_vec()
    }

    /// Consecutive words of an article, at most so many.
    fn passage(&mut self, word_count: usize) -> &'a [WordCode] {
        let text = self.article().text();
        let word_count = word_count.min(text.len());
        let start = self.random.below(text.len() - word_count + 1);
        &text[start..start + word_count]
    }

    /// As many words as asked for: the head of an article, and if that is too short, of the next.
    fn running_text(&mut self, word_count: usize) -> Vec<WordCode> {
        let mut text = Vec::with_capacity(word_count);
        while text.len() < word_count {
            text.extend_from_slice(head(self.article(), word_count - text.len()));
        }
        text
    }
}

/// How many others have a shingle of running text: mostly none, and of a phrase several.
fn chance_count(shingle: u64) -> u8 {
    match Random::new(shingle).below(100) {
        0..88 => 0,
        88..94 => 1,
        94..97 => 2,
        _ => STORY_COUNT_MAX / 2,
    }
}

fn head(article: &Sketch, word_count: usize) -> &[WordCode] {
    &article.text()[..word_count.min(article.text().len())]
}

/// A frame that shows by itself. With more of it, a pair without a collection looks like a copy
/// under two leads.
fn short_frame(maker: &mut Maker) -> Option<Made> {
    same_frame(maker, 240)
}

fn long_frame(maker: &mut Maker) -> Option<Made> {
    same_frame(maker, 1500)
}

/// Articles that share nothing but a site's navigation, footer or picture captions, or only the
/// notice that stands in for the text.
fn same_frame(maker: &mut Maker, bottom_len_end: usize) -> Option<Made> {
    const FRAME_WORDS_MIN: usize = 30;
    let random = &mut maker.random;
    let (top_len, own_len_end, bottom_len) = if random.below(4) == 0 {
        (0, random.between(12, 45), random.log_between(40, bottom_len_end.min(320)))
    } else {
        let bottom_len =
            if random.below(4) == 0 { 0 } else { random.log_between(20, bottom_len_end) };
        (random.below(90), random.log_between(30, 1200), bottom_len)
    };
    let (top, bottom) = (maker.passage(top_len), maker.running_text(bottom_len));
    if top.len() + bottom.len() < FRAME_WORDS_MIN {
        return None;
    }
    let mut framed = || {
        let own_len = maker.random.between(8, own_len_end);
        let own = maker.running_text(own_len);
        Sketch::of_words(maker.title(), [top, &own, &bottom].concat())
    };
    let (a, b) = (framed(), framed());
    Some(Made { a, b, frame: vec![top.to_vec(), bottom] })
}

/// What two outlets make of one agency's text: another headline, another end, a line of their own
/// before it, within it or instead of a part of it, and their footer.
fn framed_copies(maker: &mut Maker) -> Option<Made> {
    let body_len = maker.random.log_between(50, 1000);
    let body = maker.running_text(body_len);
    let (title, other_title) = (maker.title(), maker.title());
    let is_retitled = maker.random.below(2) == 0;
    let mut frame = Vec::new();
    let mut framed = |title: Vec<WordCode>| {
        let random = &mut maker.random;
        let kept = if random.below(2) == 0 {
            body.len()
        } else {
            body.len() * random.between(60, 100) / 100
        };
        let place = random.below(kept);
        let top_len = random.below(2) * random.between(1, (kept / 8).clamp(4, 40));
        let inset_len = if random.below(3) == 0 { random.between(2, 40) } else { 0 };
        let replaced = (random.below(2) * inset_len).min(kept - place);
        let footer_len_end = (kept * 2 / 3).clamp(40, 150);
        let footer_len = if random.below(3) == 0 { 0 } else { random.between(5, footer_len_end) };
        let top = maker.passage(top_len);
        let inset = maker.passage(inset_len);
        let footer = maker.passage(footer_len);
        let text = [top, &body[..place], inset, &body[place + replaced..kept], footer].concat();
        frame.push(footer.to_vec());
        Sketch::of_words(title, text)
    };
    let a = framed(if is_retitled { other_title } else { title.clone() });
    let b = framed(title);
    Some(Made { a, b, frame })
}

/// An article that carries about half of another one between words of its own.
fn long_quotation(maker: &mut Maker) -> Option<Made> {
    let percent = maker.random.between(45, 75);
    Some(quotation(maker, percent, usize::MAX))
}

/// An article that carries no more of another one than some statements or a paragraph.
fn short_quotation(maker: &mut Maker) -> Option<Made> {
    let percent = maker.random.between(10, 28);
    Some(quotation(maker, percent, QUOTED_WORDS_MAX))
}

/// What is quoted at one place is no longer than that: more of one piece is a part of an article.
const QUOTED_WORDS_MAX: usize = 70;

/// So much of an article in some pieces, in order, between words of another article. Both may stand
/// in frames of their own.
fn quotation(maker: &mut Maker, percent: usize, piece_words_max: usize) -> Made {
    const PIECE_WORDS_MIN: usize = 15;
    let article_len = maker.random.log_between(80, 1200);
    let article = maker.running_text(article_len);
    let quoted_len = article.len() * percent / 100;
    let own_len = quoted_len * maker.random.between(50, 300) / 100;
    let own = maker.running_text(own_len);
    let piece_count = maker.random.between(1, 7).min(quoted_len / PIECE_WORDS_MIN).max(1);
    let piece_count = piece_count.max(quoted_len.div_ceil(piece_words_max));
    let (step, own_step) = (article.len() / piece_count, own.len() / (piece_count + 1));
    let piece_len = (quoted_len / piece_count).min(step);
    let mut text = Vec::with_capacity(own.len() + quoted_len);
    for piece in 0..piece_count {
        let start = piece * step + maker.random.below(step - piece_len + 1);
        text.extend_from_slice(&own[piece * own_step..(piece + 1) * own_step]);
        text.extend_from_slice(&article[start..start + piece_len]);
    }
    text.extend_from_slice(&own[piece_count * own_step..]);
    let mut frame = Vec::new();
    let mut framed = |text: Vec<WordCode>| {
        let footer_len = maker.random.below(2) * maker.random.log_between(10, 300);
        frame.push(maker.running_text(footer_len));
        let text = [text, frame.last().cloned().unwrap_or_default()].concat();
        Sketch::of_words(maker.title(), text)
    };
    let (a, b) = (framed(text), framed(article));
    Made { a, b, frame }
}

/// One long passage in two articles that have little else in common.
fn long_passage(maker: &mut Maker) -> Option<Made> {
    let passage_len = maker.random.between(110, 400);
    let passage = maker.running_text(passage_len);
    let mut around = || {
        let own_len = passage_len * maker.random.between(110, 700) / 100;
        let own = maker.running_text(own_len);
        let place = match maker.random.below(3) {
            0 => 0,
            1 => own_len,
            _ => maker.random.below(own_len),
        };
        let text = [&own[..place], &passage, &own[place..]].concat();
        Sketch::of_words(maker.title(), text)
    };
    let (a, b) = (around(), around());
    Some(Made { a, b, frame: Vec::new() })
}

/// A paper's own lead over an agency's text is a paragraph or two. More is an article of its own.
const LEAD_WORDS_MAX: usize = 70;

/// One agency's text under leads that the papers wrote for their town, and over their credits.
fn local_leads(maker: &mut Maker) -> Option<Made> {
    let body_len = maker.random.log_between(100, 800);
    let body = maker.running_text(body_len);
    let mut frame = Vec::new();
    let mut led = || {
        let is_led = maker.random.below(3) > 0;
        let lead_len = usize::from(is_led) * body_len * maker.random.between(4, 32) / 100;
        let credit_len = maker.random.below(2) * body_len * maker.random.between(2, 15) / 100;
        let (lead_len, credit_len) = (lead_len.min(LEAD_WORDS_MAX), credit_len.min(LEAD_WORDS_MAX));
        let (lead, credit) = (maker.running_text(lead_len), maker.running_text(credit_len));
        let text = [&lead[..], &body, &credit].concat();
        frame.push(credit);
        Sketch::of_words(maker.title(), text)
    };
    let (a, b) = (led(), led());
    Some(Made { a, b, frame })
}

/// The first words of an article, and how many characters are missing.
fn teaser(maker: &mut Maker) -> Option<Made> {
    let article = maker.article();
    let words = head(article, maker.random.between(22, 70));
    if article.text().len() < 3 * words.len() {
        return None;
    }
    let mut text = words.to_vec();
    let other = maker.article().text();
    if let Some(number) = other.iter().find(|word| word.is_number())
        && maker.random.below(2) == 0
    {
        text.extend([*number, other[0]]);
    }
    let title = if maker.random.below(3) > 0 { article.title().to_vec() } else { maker.title() };
    Some(Made { a: Sketch::of_words(title, text), b: article.clone(), frame: Vec::new() })
}

/// Articles of one site that has its captions, or its links to others, all over the text.
fn scattered_frame(maker: &mut Maker) -> Option<Made> {
    let piece_count = maker.random.between(3, 14);
    let piece_len_end = maker.random.between(12, 90);
    let pieces: Vec<Vec<WordCode>> = (0..piece_count)
        .map(|_| {
            let len = maker.random.between(8, piece_len_end);
            maker.passage(len).to_vec()
        })
        .collect();
    let mut scattered = || {
        let own_len_end = maker.random.between(10, 200);
        let mut text = Vec::new();
        for piece in &pieces {
            let own_len = maker.random.between(4, own_len_end);
            text.extend(maker.running_text(own_len));
            if maker.random.below(6) > 0 {
                text.extend_from_slice(piece);
            }
        }
        Sketch::of_words(maker.title(), text)
    };
    let (a, b) = (scattered(), scattered());
    Some(Made { a, b, frame: pieces })
}

/// One notice filled in twice: most numbers are others, and here and there a few words.
fn filled_template(maker: &mut Maker) -> Option<Made> {
    let template = maker.article();
    let words = head(template, maker.random.between(18, 160));
    let numbers: Vec<WordCode> =
        maker.article().text().iter().copied().filter(|&word| is_figure(word)).collect();
    let fillings = maker.article().text();
    let random = &mut maker.random;
    let words_a_blank = random.between(15, 50);
    let (mut number_count, mut blank_count) = (0, 0);
    let mut filled = Vec::with_capacity(words.len());
    let mut rest = words;
    while let [word, others @ ..] = rest {
        rest = others;
        if is_figure(*word) && !numbers.is_empty() && random.below(10) > 0 {
            let number = numbers[random.below(numbers.len())];
            number_count += usize::from(number != *word);
            filled.push(number);
        } else if random.below(words_a_blank) == 0 {
            blank_count += 1;
            for _ in 0..random.between(1, 4) {
                filled.push(fillings[random.below(fillings.len())]);
            }
            rest = &rest[random.below(3).min(rest.len())..];
        } else {
            filled.push(*word);
        }
    }
    // With fewer changes it would be a correction.
    if words.len() < 18 || number_count < 2 || 25 * (number_count + blank_count) < words.len() {
        return None;
    }
    let mut title = template.title().to_vec();
    if !title.is_empty() && random.below(2) == 0 {
        let place = random.below(title.len());
        title[place] = fillings[random.below(fillings.len())];
    }
    let original = Sketch::of_words(template.title().to_vec(), words.to_vec());
    let frame = vec![words.to_vec()];
    Some(Made { a: original, b: Sketch::of_words(title, filled), frame })
}

/// A sentence or two as two agencies' feeds have it: another name before it, another headline, a
/// word exchanged, the end cut off.
fn brief_copies(maker: &mut Maker) -> Option<Made> {
    const WORDS_MIN: usize = 18;
    let article = maker.article();
    let words = head(article, maker.random.between(WORDS_MIN, 60));
    if words.len() < WORDS_MIN {
        return None;
    }
    let tag_len = maker.random.below(5);
    let tag = maker.passage(tag_len);
    let other = maker.article();
    let random = &mut maker.random;
    let start = random.below(2) * random.below(4);
    let kept = if random.below(2) == 0 {
        words.len()
    } else {
        words.len() * random.between(75, 100) / 100
    };
    let mut body = words[start..kept].to_vec();
    for _ in 0..random.below(4) {
        let place = random.below(body.len());
        if !body[place].is_number() {
            body[place] = other.text()[random.below(other.text().len())];
        }
    }
    let title = if random.below(2) == 0 { other.title() } else { article.title() };
    let copy = Sketch::of_words(title.to_vec(), [tag, &body].concat());
    let original = Sketch::of_words(article.title().to_vec(), words.to_vec());
    Some(Made { a: original, b: copy, frame: Vec::new() })
}

/// Lengths and places by chance.
struct Random(SplitMix64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(SplitMix64(seed))
    }

    fn next(&mut self) -> u64 {
        self.0.next()
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.below(end as u64) as usize
    }

    fn between(&mut self, min: usize, end: usize) -> usize {
        min + self.below(end - min)
    }

    /// The same with short lengths as likely as long ones: every doubling of `min` that is below
    /// `end` has the same chance.
    fn log_between(&mut self, min: usize, end: usize) -> usize {
        let doubling = self.below((end / min).ilog2() as usize + 1);
        let start = min << doubling;
        self.between(start, (2 * start).min(end).max(start + 1))
    }
}
