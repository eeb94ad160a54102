//! What the judge must say of articles as they come in, with the weights as shipped.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::alignment::{SHARED_ENOUGH, align, share_hardly_anything};
use super::counts::STORY_COUNT_MAX;
use super::features::{Evidence, FEATURES, Sense};
use super::probe::Knowledge;
use super::*;
use crate::model::Model;
use crate::text::Document;

static JUDGE: LazyLock<Judge> = LazyLock::new(|| {
    let model = Model::from_bytes(include_bytes!("../../models/topics.bin")).unwrap();
    serde_json::from_slice(&model.judge.unwrap()).unwrap()
});

const HARBOUR: &str = "\
The port authority of Velmouth will deepen its main channel by two metres so that larger \
container ships can call at any tide, its chairwoman said on Tuesday.\n\
Work is due to begin in March and to last nineteen months. The authority has set aside 214 \
million crowns, a third of it from a loan of the regional development bank, and expects the \
dredging to raise traffic by a fifth within four years.\n\
Fishermen from the villages along the estuary have opposed the plan since it was first shown \
to the public two years ago. They fear that the dredged mud, which holds heavy metals from a \
closed tannery upstream, will settle on the mussel beds.\n\
\"We were promised a study of the sediment before a single shovel goes in,\" said Aldo Brenner, \
who speaks for forty boats. \"What we have been given is a brochure.\"\n\
The authority says that mud from the upper reach will be taken to a lined basin inland, and \
that divers will check the beds every second week while the dredgers are at work.\n\
A court in the county town will hear a complaint by two of the villages next month. Lawyers on \
both sides said they did not expect a ruling before the summer.";

const SCHOOLS: &str = "\
Every primary school in the district of Oberlund will serve a warm meal from next autumn, after \
councillors voted late on Thursday to pay for kitchens in the last eleven buildings without one.\n\
The vote was closer than expected. Four members of the governing party stayed away, and the \
motion passed only because a former mayor, now sitting as an independent, raised her hand.\n\
Parents will pay about half of what a meal costs. Families who live on benefits pay nothing, \
and the head teachers have been asked to make sure that no child can tell who does.\n\
The largest of the new kitchens will be built into a disused gymnasium in the old town, where \
caterers can cook for six schools at once and send the food out in heated vans.\n\
Critics on the council called the scheme a luxury while roofs are leaking. The treasurer \
answered that the roofs were paid for in last year's budget and that most are already mended.";

/// Some two hundred words that a site puts under every article.
const FOOTER: &str = "\
Sign up for our morning briefing and get the stories that matter in your inbox every weekday. \
You can unsubscribe at any time with one click. By signing up you agree to our terms of use and \
acknowledge that you have read our privacy notice. This site is protected and the terms of the \
provider apply. Read more: our pick of the best long reads of the month. Follow us on all the \
usual channels or download the app for your phone and tablet. Subscribers can comment on this \
article; please keep to the rules of the house and stay on the topic. Comments are checked \
before they appear, which may take a few hours at weekends. If you have found an error, write \
to the corrections desk and name the headline and the date. All content on this site is \
protected by copyright. No part of it may be copied, stored or passed on without permission in \
writing from the publisher. Figures from the exchanges are delayed by at least fifteen minutes. \
Weather data come from the national service. The publisher is a member of the press council and \
follows its code. Imprint, contact, careers, advertise with us, privacy settings, accessibility, \
help and frequently asked questions, terms and conditions, archive, newsletters, podcasts, shop.";

fn dividend(company: &str, cents: u32, payable: u32, record: u32) -> Document {
    let title = format!("{company} declares quarterly dividend");
    let body = format!(
        "{company} said its board declared a regular quarterly dividend of {cents} cents a share, \
         payable April {payable} to shareholders of record on March {record}."
    );
    Document::new(&title, &body)
}

fn compare(a: &Document, b: &Document) -> Comparison {
    let (a, b) = (Sketch::new(a), Sketch::new(b));
    JUDGE.compare(&Probe::new(&a, &Counts::default()), &b)
}

#[track_caller]
fn check(a: &Document, b: &Document, expected: Option<MatchKind>) {
    let comparison = compare(a, b);
    assert_eq!(comparison.kind, expected, "{comparison:?}");
    assert_eq!(compare(b, a), comparison, "depends on the order");
}

/// A feature of a pair, by its name.
#[track_caller]
fn feature(name: &str, a: &str, b: &str) -> f32 {
    let sketch = |body: &str| Sketch::new(&Document::new("", body));
    let (a, b) = (sketch(a), sketch(b));
    let nothing = Counts::default();
    let probe = Probe::new(&a, &nothing);
    let alignment = align(&probe, &b).expect("the two share enough");
    let place = FEATURES.iter().position(|(feature, _)| *feature == name).expect("a feature");
    Evidence::new(&probe, &b, &alignment).features(&probe.knowledge(&b, &alignment))[place]
}

/// The logarithm that features take of counts.
fn log(count: f32) -> f32 {
    libm::logf(1.0 + count)
}

/// So many words that no other text has.
fn own_words(prefix: &str, count: usize) -> String {
    (0..count).map(|word| format!("{prefix}{word} ")).collect()
}

#[test]
fn a_reply_that_quotes_all_of_a_post_is_no_copy_of_it() {
    let quoted = HARBOUR.replace('\n', "\n> ");
    let reply = |own: &str| format!("A reader writes:\n> {quoted}\n\n{own}");
    let post = Document::new("The harbour of Velmouth", HARBOUR);
    let ours = Document::new("Re: The harbour of Velmouth", &reply(SCHOOLS));
    let other = "I was at that hearing, and nobody there said a word about the mussels. The \
        basin inland is three kilometres from my door, and I should like to know who guards it.";
    let theirs = Document::new("Re: The harbour of Velmouth", &reply(other));
    check(&post, &ours, None);
    check(&post, &theirs, None);
    check(&ours, &theirs, None);
    // Nothing but a quotation is what it quotes.
    check(&post, &Document::new("The harbour of Velmouth", &reply("")), Some(MatchKind::Near));
}

#[test]
fn a_swap_is_what_both_texts_say_differently_at_one_place() {
    let (head, tail) = (own_words("head", 40), own_words("tail", 40));
    let text = |middle: &str| format!("{head} {middle} {tail}");
    let check = |a: &str, b: &str, longest: f32, share: f32| {
        assert_eq!(feature("longest_swap_log", a, b), log(longest), "{a} | {b}");
        assert_eq!(feature("longest_swap_log", b, a), log(longest), "{b} | {a}");
        assert!((feature("swapped", a, b) - share).abs() < 1e-6, "{a} | {b}");
    };
    check(&text(&own_words("a", 20)), &text(&own_words("b", 30)), 20.0, 20.0 / 100.0);
    // Cuts, insertions, and own words at either end are none.
    check(&text(&own_words("a", 20)), &text(""), 0.0, 0.0);
    check(
        &format!("{} {head}", own_words("a", 9)),
        &format!("{} {head}", own_words("b", 9)),
        0.0,
        0.0,
    );
    check(
        &format!("{head} {}", own_words("a", 9)),
        &format!("{head} {}", own_words("b", 9)),
        0.0,
        0.0,
    );
}

#[test]
fn an_inner_gap_lies_between_two_long_shared_runs() {
    let (head, tail) = (own_words("head", 40), own_words("tail", 40));
    let short = format!("{head} {tail}");
    let inserted = format!("{head} {} {tail}", own_words("a", 25));
    assert_eq!(feature("longer_inner_gap_log", &short, &inserted), log(25.0));
    // A phrase that happens to be shared closes no gap.
    let phrase_after = format!("{short} {} tail0 tail1 tail2 tail3 tail4", own_words("a", 25));
    assert_eq!(feature("longer_inner_gap_log", &short, &phrase_after), 0.0);
}

#[test]
fn words_beside_the_longest_run_tell_many_passages_from_one_block() {
    let (head, tail) = (own_words("head", 40), own_words("tail", 30));
    let block = format!("{} {head} {tail}", own_words("a", 9));
    assert_eq!(feature("beside_longest_run_log", &format!("{head} {tail}"), &block), 0.0);
    let passages = format!("{head} {} {tail}", own_words("a", 9));
    assert_eq!(feature("beside_longest_run_log", &format!("{head} {tail}"), &passages), 0.0);
    let both_apart = format!("{head} {} {tail}", own_words("b", 7));
    assert_eq!(feature("beside_longest_run_log", &both_apart, &passages), log(30.0));
}

#[test]
fn equal_words_are_an_exact_copy() {
    let article = Document::new("Velmouth to deepen its port", HARBOUR);
    check(&article, &article, Some(MatchKind::Exact));
    let shouted = Document::new("VELMOUTH TO DEEPEN ITS PORT!", &HARBOUR.replace(' ', " \u{a0} "));
    check(&article, &shouted, Some(MatchKind::Exact));
    let retitled = Document::new("Fishermen fight dredging plan", HARBOUR);
    check(&article, &retitled, Some(MatchKind::Near));
    check(
        &Document::new("", "Mayor resigns"),
        &Document::new("", "mayor resigns"),
        Some(MatchKind::Exact),
    );
    check(&Document::default(), &Document::default(), None);
}

#[test]
fn the_words_of_title_and_body_are_not_mixed_up() {
    let a = Document::new("one two three", "four five six seven eight nine ten");
    let b = Document::new("one two three four", "five six seven eight nine ten");
    assert_ne!(compare(&a, &b).kind, Some(MatchKind::Exact));
}

#[test]
fn different_articles_are_unique() {
    let harbour = Document::new("Velmouth to deepen its port", HARBOUR);
    let schools = Document::new("Oberlund pays for school meals", SCHOOLS);
    check(&harbour, &schools, None);
    assert_eq!(compare(&harbour, &schools), Comparison::NONE);
}

#[test]
fn edited_copies_are_near() {
    let original = Document::new("Velmouth to deepen its port", HARBOUR);
    let paragraphs: Vec<&str> = HARBOUR.lines().collect();
    let trimmed = paragraphs[..3].join("\n");
    let corrected = HARBOUR.replace("214 million", "241 million").replace("Aldo", "Aldous");
    let without_middle = [&paragraphs[..2], &paragraphs[3..]].concat().join("\n");
    let extended = format!("{HARBOUR}\nThe harbour master declined to comment on the complaint.");
    let framed = format!("VELMOUTH, Jan 14 (Agency) - {HARBOUR}\n{FOOTER}");
    for body in [trimmed, corrected, without_middle, extended, framed] {
        check(
            &original,
            &Document::new("Velmouth to deepen its port", &body),
            Some(MatchKind::Near),
        );
        check(&original, &Document::new("Dredging splits estuary", &body), Some(MatchKind::Near));
    }
}

#[test]
fn an_agency_copy_with_other_title_end_and_footer_is_surely_near() {
    let words: Vec<&str> = HARBOUR.split_whitespace().collect();
    let kept = words[..words.len() * 2 / 3].join(" ");
    let original = Document::new("Velmouth to deepen its port", HARBOUR);
    let footer: Vec<&str> = FOOTER.split_whitespace().take(60).collect();
    let body = format!("{kept}\n{}", footer.join(" "));
    let copy = Document::new("Fishermen fear the mud of Velmouth", &body);
    check(&original, &copy, Some(MatchKind::Near));
    assert!(compare(&original, &copy).probability > 0.65, "{:?}", compare(&original, &copy));
}

#[test]
fn briefs_are_near_for_the_same_sentence_only() {
    const BRIEF: &str = "VELMOUTH (Agency) - Dockers ended a walkout at the country's second \
        largest port on Monday after employers agreed to hire 140 temporary workers for good, a \
        union leader said.";
    let brief = Document::new("Dockers end walkout", BRIEF);
    let same_sentence = [
        BRIEF.replace("VELMOUTH (Agency) - ", ""),
        BRIEF.replace("VELMOUTH (Agency)", "Newswire"),
        BRIEF.replace(", a union leader said", ""),
        BRIEF.replace("a union leader", "one of their leaders"),
    ];
    for text in same_sentence {
        check(
            &brief,
            &Document::new("Port of Velmouth back at work", &text),
            Some(MatchKind::Near),
        );
    }
    let other_news = BRIEF
        .replace("second largest port", "largest airport")
        .replace("Monday", "Friday")
        .replace("140", "65")
        .replace("Dockers", "Porters");
    check(&brief, &Document::new("Porters end walkout", &other_news), None);
}

#[test]
fn boilerplate_makes_no_duplicate() {
    let with_footer = |title: &str, body: &str| Document::new(title, &format!("{body}\n{FOOTER}"));
    let short = |body: &str| body.lines().next().unwrap_or_default().to_owned();
    let harbour = with_footer("Velmouth to deepen its port", &short(HARBOUR));
    let schools = with_footer("Oberlund pays for school meals", &short(SCHOOLS));
    check(&harbour, &schools, None);
    check(
        &with_footer("Velmouth to deepen its port", HARBOUR),
        &with_footer("Oberlund pays for school meals", SCHOOLS),
        None,
    );
}

#[test]
fn templates_with_other_figures_are_no_duplicates() {
    let brake = dividend("Norland Brake Co", 22, 15, 31);
    check(&brake, &dividend("Norland Brake Co", 22, 15, 31), Some(MatchKind::Exact));
    check(&brake, &dividend("Harmon Glass Inc", 7, 30, 12), None);
    check(&brake, &dividend("Harmon Glass Inc", 22, 30, 14), None);
}

#[test]
fn one_long_passage_in_another_article_is_partial_at_most() {
    let report = Document::new("Velmouth to deepen its port", HARBOUR);
    let passage: Vec<&str> = HARBOUR.lines().skip(2).take(2).collect();
    let comment =
        Document::new("What Oberlund can learn", &format!("{SCHOOLS}\n{}", passage.join("\n")));
    assert_ne!(compare(&report, &comment).kind, Some(MatchKind::Near));
}

/// A collection that has seen many stories, none of them twice.
fn well_read() -> Counts {
    let counts = Counts::default();
    for story in 0..1200 {
        let text = own_words(&format!("s{story}x"), 60);
        counts.add(&Sketch::new(&Document::new("", &text)), None);
    }
    counts
}

#[track_caller]
fn check_in(counts: &Counts, a: &Document, b: &Document, expected: Option<MatchKind>) {
    let (a, b) = (Sketch::new(a), Sketch::new(b));
    counts.add(&b, None);
    let comparison = JUDGE.compare(&Probe::new(&a, counts), &b);
    assert_eq!(comparison.kind, expected, "{comparison:?}");
}

/// A wire story as two papers have it: one with a lead of its own, both with credits.
const LOCAL_LEAD: &str = "Shoppers in Millbrook may soon pay more for fruit. Grocers on Main Street \
    said on Monday that they had ordered what they could, and that prices would go up by the \
    weekend.";

#[test]
fn a_local_lead_and_a_credit_make_no_other_article() {
    let bare = Document::new("Velmouth to deepen its port", HARBOUR);
    let led = |lead: &str, credit: &str| {
        Document::new("What it means for Millbrook", &format!("{lead}\n{HARBOUR}\n{credit}"))
    };
    let credit = "Aldo Crane of the Harren Courier contributed to this report.";
    for counts in [Counts::default(), well_read()] {
        let near = |a: &Document, b: &Document| {
            check_in(&counts.clone(), a, b, Some(MatchKind::Near));
        };
        near(&led(LOCAL_LEAD, ""), &bare);
        near(&led(LOCAL_LEAD, credit), &bare);
        near(&led(LOCAL_LEAD, ""), &led("", credit));
    }
}

#[test]
fn a_credit_that_grows_by_a_word_never_turns_the_answer() {
    let led = Document::new("Millbrook waits for fruit", &format!("{LOCAL_LEAD}\n{HARBOUR}"));
    let mut before: Option<f32> = None;
    for words in 0..60 {
        let body = format!("{HARBOUR}\n{}", own_words("credit", words));
        let comparison = compare(&led, &Document::new("Velmouth to deepen its port", &body));
        assert_eq!(comparison.kind, Some(MatchKind::Near), "{words} words: {comparison:?}");
        let change = before.map_or(0.0, |before| (before - comparison.probability).abs());
        assert!(change < 0.12, "{words} words: by {change} to {comparison:?}");
        before = Some(comparison.probability);
    }
}

#[test]
fn a_frame_that_many_stories_have_makes_no_duplicate() {
    let framed = |own: &str| Document::new("", &format!("{own}\n{FOOTER}\n{FOOTER}"));
    let first = |body: &str| body.lines().next().unwrap_or_default().to_owned();
    let counts = well_read();
    for story in 0..12 {
        let article = framed(&own_words(&format!("t{story}x"), 40));
        counts.add(&Sketch::new(&article), None);
    }
    check_in(&counts, &framed(&first(HARBOUR)), &framed(&first(SCHOOLS)), None);
    // The same frame does not hide that two are one.
    let cut: Vec<&str> = HARBOUR.lines().take(4).collect();
    check_in(&counts, &framed(HARBOUR), &framed(&cut.join("\n")), Some(MatchKind::Near));
}

#[test]
fn a_story_that_everybody_has_stays_a_story() {
    let counts = well_read();
    let original = Sketch::new(&Document::new("Velmouth to deepen its port", HARBOUR));
    counts.add(&original, None);
    for paper in 0..50 {
        let credit = own_words(&format!("p{paper}x"), 8);
        let copy = Document::new("Dredging splits estuary", &format!("{HARBOUR}\n{credit}"));
        let copy = Sketch::new(&copy);
        let comparison = JUDGE.compare(&Probe::new(&copy, &counts), &original);
        assert_eq!(comparison.kind, Some(MatchKind::Near), "{paper} before: {comparison:?}");
        counts.add(&copy, Some(Known::new(&original)));
    }
}

#[test]
fn a_long_passage_that_nobody_else_has_is_partial_whatever_stands_around_it() {
    let passage: Vec<&str> = HARBOUR.split_whitespace().take(140).collect();
    let passage = passage.join(" ");
    for around in [150, 400, 900, 2500] {
        let article = |name: &str| {
            let (before, after) = (own_words(name, around / 3), own_words(name, around));
            Document::new(name, &format!("{before} {passage} {after}"))
        };
        check_in(&well_read(), &article("north"), &article("south"), Some(MatchKind::Partial));
    }
}

#[test]
fn figures_between_shared_words_tell_notices_apart_and_others_do_not() {
    let ships = |loading: &str, waiting: &str, day: &str| {
        let body = format!(
            "There were {loading} ships loading and {waiting} waiting to load at the grain berths \
             of Velmouth on {day}, the port authority said. No delays were reported at the locks."
        );
        Document::new("Velmouth grain ships", &body)
    };
    check(&ships("six", "eight", "Tuesday"), &ships("five", "eleven", "Friday"), None);
    let words: Vec<&str> = HARBOUR.split_whitespace().take(45).collect();
    let teaser = format!("{} … [+1579 chars]", words.join(" "));
    let title = "Velmouth to deepen its port";
    let comparison = compare(&Document::new(title, &teaser), &Document::new(title, HARBOUR));
    assert!(comparison.kind.is_some(), "{comparison:?}");
}

/// Situations of the trade: what is remembered, what comes then, and what may be said of it.
#[test]
fn situations_of_the_trade_are_judged_as_expected() {
    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        remember_first: Vec<Article>,
        then_submit: Article,
        expected: Vec<String>,
    }
    #[derive(serde::Deserialize)]
    struct Article {
        #[serde(default)]
        title: String,
        #[serde(default)]
        body: String,
    }
    let sketch = |article: &Article| Sketch::new(&Document::new(&article.title, &article.body));
    let judge = &*JUDGE;
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/cases/duplicates.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let counts = Counts::default();
        let remembered: Vec<Sketch> = case.remember_first.iter().map(sketch).collect();
        remembered.iter().for_each(|sketch| counts.add(sketch, None));
        let submitted = sketch(&case.then_submit);
        let probe = Probe::new(&submitted, &counts);
        let kinds = remembered.iter().filter_map(|other| judge.compare(&probe, other).kind);
        let verdict = match kinds.min_by_key(|&kind| kind as u8) {
            Some(MatchKind::Exact) => "EXACT_DUPLICATE",
            Some(MatchKind::Near) => "NEAR_DUPLICATE",
            Some(MatchKind::Partial) => "PARTIAL_DUPLICATE",
            None => "UNIQUE",
        };
        if !case.expected.iter().any(|expected| expected == verdict) {
            wrong.push((case.name, verdict));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn too_few_words_are_never_near() {
    check(
        &Document::new("", "Markets close higher today"),
        &Document::new("", "Markets close higher"),
        None,
    );
    check(
        &Document::new("Markets", "close higher"),
        &Document::new("", "Markets close higher"),
        None,
    );
    assert!(posting_keys(&Document::new("Markets", "close higher today")).is_empty());
    assert_eq!(posting_keys(&Document::new("Markets", "close higher today again")).len(), 1);
}

#[test]
fn a_title_stands_in_for_a_missing_body() {
    let a = Document::new("Central bank of Norland leaves its key rate at four percent", "");
    let b =
        Document::new("Central bank of Norland leaves its key rate at four percent", "More soon.");
    assert!(compare(&a, &b).similarity > 0.5);
    assert!(!posting_keys(&a).is_empty());
}

#[test]
fn scripts_without_blanks_are_compared_too() {
    let text = "市政府星期二宣布将在明年春天开始疏浚主航道以便更大的集装箱船可以随时进港工程预计持续十九个月";
    let a = Document::new("港口将加深航道", text);
    check(&a, &Document::new("港口将加深航道", &format!("{text}。")), Some(MatchKind::Exact));
    let edited = format!("{text}，当地渔民对此表示反对");
    assert!(compare(&a, &Document::new("", &edited)).containment > 0.9);
}

#[test]
fn hostile_texts_are_compared_in_bounded_time() {
    let repeated = Document::new("", &"spam ".repeat(200_000));
    let counted: String = (0..150_000).map(|number| format!("{number} ")).collect();
    let counted = Document::new("", &counted);
    assert_eq!(posting_keys(&repeated).len(), 1);
    check(&repeated, &counted, None);
    check(&counted, &counted, Some(MatchKind::Exact));
    assert!(Sketch::new(&counted).to_bytes().len() < 2 * (TEXT_WORDS_MAX + TITLE_WORDS_MAX) + 64);
}

#[test]
fn a_judge_that_does_not_fit_is_refused() {
    type Change<'a> = &'a dyn Fn(&mut serde_json::Value);
    let good = serde_json::to_value(&*JUDGE).unwrap();
    let broken = |change: Change| {
        let mut value = good.clone();
        change(&mut value);
        serde_json::from_value::<Judge>(value)
    };
    assert_eq!(broken(&|_| ()).ok(), Some(JUDGE.clone()));
    let refused: [(Change, JudgeError); 4] = [
        (&|judge| judge["features"][0] = "colour".into(), JudgeError::OtherFeatures),
        (&|judge| judge["near_threshold"] = 1.5.into(), JudgeError::BadThreshold),
        (
            &|judge| judge["near"]["trees"][0]["leaves"] = [0.5, 0.5].into(),
            JudgeError::MalformedTree,
        ),
        (&|judge| judge["near"]["trees"][0]["splits"][0][0] = 99.into(), JudgeError::MalformedTree),
    ];
    for (change, reason) in refused {
        let error = broken(change).unwrap_err();
        assert_eq!(error.to_string(), reason.to_string());
    }
}

proptest! {
    /// More of what speaks for a duplicate never makes the judge doubt it, nor less of what
    /// speaks against.
    #[test]
    fn the_judge_is_monotone(
        features in prop::collection::vec(0.0f32..8.0, FEATURES.len()),
        changed in 0..FEATURES.len(),
        change in 0.0f32..8.0,
    ) {
        let judge = &*JUDGE;
        let mut stronger = features.clone();
        match FEATURES[changed].1 {
            Sense::For => stronger[changed] += change,
            Sense::Against => stronger[changed] -= change,
        }
        for forest in [&judge.near, &judge.partial] {
            prop_assert!(forest.probability(&stronger) >= forest.probability(&features));
        }
    }
}

/// Texts that often share stretches of words.
fn any_text() -> impl Strategy<Value = String> {
    let stretch = (0..HARBOUR.len(), 0..400usize)
        .prop_map(|(start, len)| HARBOUR.chars().skip(start).take(len).collect::<String>());
    prop::collection::vec(prop_oneof![stretch, "\\PC{0,40}", "[a-c0-2 ]{0,60}"], 0..5)
        .prop_map(|parts| parts.join(" "))
}

proptest! {
    #[test]
    fn answers_are_symmetric_and_in_range(
        titles in (any_text(), any_text()), bodies in (any_text(), any_text()),
    ) {
        let a = Document::new(&titles.0, &bodies.0);
        let b = Document::new(&titles.1, &bodies.1);
        let comparison = compare(&a, &b);
        prop_assert_eq!(comparison, compare(&b, &a));
        for value in [comparison.probability, comparison.similarity, comparison.containment] {
            prop_assert!((0.0..=1.0).contains(&value));
        }
        prop_assert!(comparison.similarity <= comparison.containment);
        if a.word_count() > 0 {
            prop_assert_eq!(compare(&a, &a).kind, Some(MatchKind::Exact));
        }
    }
}

proptest! {
    /// Whatever is known of the words, it never speaks more for a duplicate than was allowed for.
    #[test]
    fn no_knowledge_is_better_than_the_best(
        titles in (any_text(), any_text()),
        bodies in (any_text(), any_text()),
        known in prop::collection::vec((1..40usize, 0..=STORY_COUNT_MAX), 1..60),
        stories in 0..5000u64,
    ) {
        let a = Sketch::new(&Document::new(&titles.0, &bodies.0));
        let b = Sketch::new(&Document::new(&titles.1, &bodies.1));
        let nothing = Counts::default();
        let probe = Probe::new(&a, &nothing);
        if let Some(alignment) = align(&probe, &b) {
            let evidence = Evidence::new(&probe, &b, &alignment);
            let spread = |skipped: usize, len: usize| -> Vec<u8> {
                let known = known.iter().cycle().skip(skipped);
                known.flat_map(|&(words, others)| vec![others; words]).take(len).collect()
            };
            let knowledge = Knowledge {
                stories,
                probe_others: spread(0, a.text().len()),
                other_others: spread(1, b.text().len()),
            };
            let best = evidence.features_at_best(stories);
            let true_ones = evidence.features(&knowledge);
            for (((name, sense), best), found) in FEATURES.iter().zip(best).zip(true_ones) {
                let surplus = match sense {
                    Sense::For => best - found,
                    Sense::Against => found - best,
                };
                prop_assert!(surplus >= -1e-4, "{name}: {found} beside {best} at best");
            }
        }
    }

    /// To be sparing with candidates changes no answer.
    #[test]
    fn a_candidate_is_of_the_kind_that_the_pair_is(
        titles in (any_text(), any_text()), bodies in (any_text(), any_text()),
        filed in prop::collection::vec(any_text(), 0..6),
    ) {
        let sketch = |title: &str, body: &str| Sketch::new(&Document::new(title, body));
        let (a, b) = (sketch(&titles.0, &bodies.0), sketch(&titles.1, &bodies.1));
        let counts = Counts::default();
        counts.add(&b, None);
        filed.iter().for_each(|body| counts.add(&sketch("", body), None));
        let probe = Probe::new(&a, &counts);
        let (pair, candidate) = (JUDGE.compare(&probe, &b), JUDGE.compare_candidate(&probe, &b));
        prop_assert_eq!(candidate.kind, pair.kind);
        match pair.kind {
            Some(_) => prop_assert_eq!(candidate, pair),
            None => prop_assert!(
                candidate.containment == 0.0 || candidate.probability >= pair.probability
            ),
        }
    }
}

#[test]
fn a_passage_is_found_wherever_it_stands() {
    // Two long texts that share hardly more than the least that is looked into.
    let words = |name: &str, count: usize| -> String {
        (0..count).map(|word| format!("{name}{word} ")).collect()
    };
    for before in 0..8 {
        let text = |name: &str| {
            let passage = words("shared", SHARED_ENOUGH + SHINGLE_WORDS - 1);
            words(name, 700 + before) + &passage + &words(&format!("{name}end"), 900)
        };
        let (a, b) = (text("here"), text("there"));
        let (a, b) = (Document::new("", &a), Document::new("", &b));
        let (a, b) = (Sketch::new(&a), Sketch::new(&b));
        let nothing = Counts::default();
        let probe = Probe::new(&a, &nothing);
        assert!(!share_hardly_anything(&probe, &b), "{before}");
        assert!(align(&probe, &b).is_some(), "{before}");
        let other = Sketch::new(&Document::new("", &words("other", 1500)));
        assert!(share_hardly_anything(&probe, &other));
    }
}
