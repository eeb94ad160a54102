//! Pairs made on the spot from the words of labelled ones, for what these show too little of.
//!
//! The articles they are made from are those of the pairs that are trained on, so that a judge
//! that is scored on other pairs has seen nothing of them.

use super::sketch::{Sketch, WordCode};
use super::train::Label;

/// A way to make pairs, what these are, and how much they weigh in either forest.
pub(super) struct Recipe {
    make: fn(&mut Maker) -> Option<(Sketch, Sketch)>,
    pub(super) label: Label,
    pub(super) near_weight: f64,
    pub(super) partial_weight: f64,
}

pub(super) const RECIPES: [Recipe; 6] = [
    Recipe { make: same_frame, label: Label::No, near_weight: 4.0, partial_weight: 8.0 },
    Recipe { make: framed_copies, label: Label::Yes, near_weight: 4.0, partial_weight: 4.0 },
    Recipe { make: long_quotation, label: Label::Partial, near_weight: 1.0, partial_weight: 5.0 },
    Recipe { make: short_quotation, label: Label::No, near_weight: 1.0, partial_weight: 2.0 },
    Recipe { make: filled_template, label: Label::No, near_weight: 3.0, partial_weight: 3.0 },
    Recipe { make: brief_copies, label: Label::Yes, near_weight: 1.0, partial_weight: 1.0 },
];

/// Makes pairs from articles that all have words; there must be at least one.
pub(super) struct Maker<'a> {
    articles: Vec<&'a Sketch>,
    random: Random,
}

impl<'a> Maker<'a> {
    pub(super) fn new(articles: Vec<&'a Sketch>) -> Self {
        Maker { articles, random: Random(7) }
    }

    /// `None` if the articles drawn do not lend themselves to it.
    pub(super) fn pair(&mut self, recipe: &Recipe) -> Option<(Sketch, Sketch)> {
        (recipe.make)(self)
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

fn head(article: &Sketch, word_count: usize) -> &[WordCode] {
    &article.text()[..word_count.min(article.text().len())]
}

/// Articles that share nothing but a site's navigation, footer or picture captions, or only the
/// notice that stands in for the text.
fn same_frame(maker: &mut Maker) -> Option<(Sketch, Sketch)> {
    const FRAME_WORDS_MIN: usize = 30;
    let random = &mut maker.random;
    let (top_len, own_len_end, bottom_len) = if random.below(4) == 0 {
        (0, random.between(12, 45), random.log_between(40, 320))
    } else {
        let bottom_len = if random.below(4) == 0 { 0 } else { random.log_between(20, 1500) };
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
    Some((framed(), framed()))
}

/// What two outlets make of one agency's text: another headline, another end, a line of their own
/// before it, within it or instead of a part of it, and their footer.
fn framed_copies(maker: &mut Maker) -> Option<(Sketch, Sketch)> {
    let body_len = maker.random.log_between(50, 1000);
    let body = maker.running_text(body_len);
    let (title, other_title) = (maker.title(), maker.title());
    let is_retitled = maker.random.below(2) == 0;
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
        Sketch::of_words(title, text)
    };
    let other = framed(if is_retitled { other_title } else { title.clone() });
    Some((framed(title), other))
}

/// An article that carries about half of another one between words of its own.
fn long_quotation(maker: &mut Maker) -> Option<(Sketch, Sketch)> {
    let percent = maker.random.between(45, 75);
    Some(quotation(maker, percent))
}

/// An article that carries no more of another one than some statements or a paragraph.
fn short_quotation(maker: &mut Maker) -> Option<(Sketch, Sketch)> {
    let percent = maker.random.between(12, 30);
    Some(quotation(maker, percent))
}

/// So much of an article in up to six pieces, in order, between words of another article.
fn quotation(maker: &mut Maker, percent: usize) -> (Sketch, Sketch) {
    const PIECE_WORDS_MIN: usize = 15;
    let article_len = maker.random.log_between(80, 1200);
    let article = maker.running_text(article_len);
    let quoted_len = article.len() * percent / 100;
    let own_len = quoted_len * maker.random.between(50, 300) / 100;
    let own = maker.running_text(own_len);
    let piece_count = maker.random.between(1, 7).min(quoted_len / PIECE_WORDS_MIN).max(1);
    let (step, own_step) = (article.len() / piece_count, own.len() / (piece_count + 1));
    let piece_len = (quoted_len / piece_count).min(step);
    let mut text = Vec::with_capacity(own.len() + quoted_len);
    for piece in 0..piece_count {
        let start = piece * step + maker.random.below(step - piece_len + 1);
        text.extend_from_slice(&own[piece * own_step..(piece + 1) * own_step]);
        text.extend_from_slice(&article[start..start + piece_len]);
    }
    text.extend_from_slice(&own[piece_count * own_step..]);
    (Sketch::of_words(maker.title(), text), Sketch::of_words(maker.title(), article))
}

/// One notice filled in twice: most numbers are others, and here and there a few words.
fn filled_template(maker: &mut Maker) -> Option<(Sketch, Sketch)> {
    let template = maker.article();
    let words = head(template, maker.random.between(18, 160));
    let numbers: Vec<WordCode> =
        maker.article().text().iter().copied().filter(|word| word.is_number()).collect();
    let fillings = maker.article().text();
    let random = &mut maker.random;
    let words_a_blank = random.between(15, 50);
    let (mut number_count, mut blank_count) = (0, 0);
    let mut filled = Vec::with_capacity(words.len());
    let mut rest = words;
    while let [word, others @ ..] = rest {
        rest = others;
        if word.is_number() && !numbers.is_empty() && random.below(10) > 0 {
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
    Some((original, Sketch::of_words(title, filled)))
}

/// A sentence or two as two agencies' feeds have it: another name before it, another headline, a
/// word exchanged, the end cut off.
fn brief_copies(maker: &mut Maker) -> Option<(Sketch, Sketch)> {
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
    Some((Sketch::of_words(article.title().to_vec(), words.to_vec()), copy))
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
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
