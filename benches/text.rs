//! What it costs to read an article: `cargo bench --bench text`, on one core.
//!
//! Articles are put together from invented sentences, so that no two are alike. `text` is every
//! kernel of this machine on its own; the other figures are of the fastest.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use newsprint::engine::Serving;
use newsprint::kernel::Kernel;
use newsprint::simhash::fingerprint;
use newsprint::text::Document;
use newsprint::verify::{Sketch, posting_keys};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A brief, and an article of the usual length.
const SIZES: [usize; 2] = [770, 3400];

/// Enough that no branch predictor learns them by heart.
const ARTICLES: usize = 200;

const TITLE: &str = "Harbour board puts off vote on deeper port";

const SENTENCES: [&str; 16] = [
    "The harbour board of Velmouth put off its vote on the deeper port until the autumn.",
    "“We’d rather be late than wrong,” its chairwoman, Ada Oberlin, told reporters on Tuesday.",
    "Shares of the company that was to do the dredging fell 3.2 percent, to their lowest since 2019.",
    "Fishermen had counter-signed a petition of more than 4,000 names against the plan.",
    "The government said that tariffs on imported steel would be lowered from 12.5% to 8% by March.",
    "Talks between the two neighbours on fishing rights broke down last week over quotas.",
    "In the capital, lawmakers of the opposition demanded to see the figures before any decision.",
    "It was the third time in as many years that the project, worth £312 million, had been delayed.",
    "A spokesman for the ministry declined to comment – and wouldn't say when an answer might come.",
    "Exports through the port have grown by a fifth since the new railway was opened in 2016.",
    "The U.S. Coast Guard has been asked for its view of the matter, according to two officials.",
    "Environmental groups say silt from the channel would smother the oyster beds of the estuary.",
    "“It's our children who will pay,” said a councillor who isn't a member of the board.",
    "Analysts expect the central bank to leave its key rate unchanged at the meeting in June.",
    "The court is to hear the case on September 14, three days before the tender closes.",
    "Earlier this month soldiers had been sent to the border after shots were heard in the hills.",
];

fn main() {
    divan::main();
}

/// Bodies of about so many bytes, sentences in any order.
fn bodies(body_bytes: usize) -> Vec<String> {
    let mut state = 1u64;
    let mut sentence = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        SENTENCES[(state >> 60) as usize]
    };
    let mut body = || {
        let mut body = String::new();
        while body.len() + 40 < body_bytes {
            body.push_str(sentence());
            body.push(if body.len().is_multiple_of(3) { '\n' } else { ' ' });
        }
        body
    };
    (0..ARTICLES).map(|_| body()).collect()
}

/// Times one pass over all bodies; the rate is that of the bytes read.
fn pass<T>(bencher: Bencher, bodies: &[String], analyse: impl Fn(usize) -> T + Sync) {
    let bytes: usize = bodies.iter().map(|body| TITLE.len() + body.len()).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        for index in 0..bodies.len() {
            black_box(analyse(index));
        }
    });
}

fn documents(bodies: &[String]) -> Vec<Document> {
    bodies.iter().map(|body| Document::new(TITLE, body)).collect()
}

fn kernel_names() -> Vec<&'static str> {
    Kernel::available().into_iter().map(Kernel::name).collect()
}

#[divan::bench(args = kernel_names(), consts = SIZES)]
fn text<const BODY_BYTES: usize>(bencher: Bencher, kernel: &str) {
    let bodies = bodies(BODY_BYTES);
    let Ok(kernel) = Kernel::by_name(kernel) else { return };
    pass(bencher, &bodies, |index| Document::read_by(kernel, TITLE, &bodies[index]));
}

#[divan::bench(args = kernel_names(), consts = SIZES)]
fn text_and_fingerprint<const BODY_BYTES: usize>(bencher: Bencher, kernel: &str) {
    let bodies = bodies(BODY_BYTES);
    let Ok(kernel) = Kernel::by_name(kernel) else { return };
    pass(bencher, &bodies, |index| fingerprint(&Document::read_by(kernel, TITLE, &bodies[index])));
}

#[divan::bench(consts = SIZES)]
fn fingerprint_alone<const BODY_BYTES: usize>(bencher: Bencher) {
    let bodies = bodies(BODY_BYTES);
    let documents = documents(&bodies);
    pass(bencher, &bodies, |index| fingerprint(&documents[index]));
}

#[divan::bench(consts = SIZES)]
fn text_fingerprint_and_topics<const BODY_BYTES: usize>(bencher: Bencher) {
    let bodies = bodies(BODY_BYTES);
    let Ok(serving) = Serving::built_in() else { return };
    pass(bencher, &bodies, |index| {
        let document = Document::new(TITLE, &bodies[index]);
        (fingerprint(&document), serving.topics.classify(&document).known_share)
    });
}

#[divan::bench(consts = SIZES)]
fn all_analysis<const BODY_BYTES: usize>(bencher: Bencher) {
    let bodies = bodies(BODY_BYTES);
    let Ok(serving) = Serving::built_in() else { return };
    pass(bencher, &bodies, |index| {
        let document = Document::new(TITLE, &bodies[index]);
        let topics = serving.topics.classify(&document).known_share;
        (fingerprint(&document), posting_keys(&document), Sketch::new(&document), topics)
    });
}
