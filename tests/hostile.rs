//! What hostile and careless clients can do to a server, measured on the program itself: how much
//! memory it takes, how long a question after its health waits, and how others fare meanwhile.
//! `scripts/hostile` runs it and `docs/reliability.md` has what came out. It needs a machine to
//! itself and some minutes, so `cargo test` does not run it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot go on should panic"
)]

#[path = "it/wire.rs"]
#[expect(dead_code, reason = "shared with the tests of the promises")]
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::api::pb::*;
use prost::Message;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use wire::*;

/// The bounds that are promised with the default settings.
const MEMORY_MIB_MAX: u64 = 700;
const HEALTH_MS_MAX: f64 = 20.0;

/// What fails a run on a machine that is busy with other things as well: so many milliseconds, and
/// so many times as long as a thread took that does nothing else. On the port of its own, and on that
/// of the service, whose threads have much to do.
const APART: (f64, f64) = (100.0, 10.0);
const SERVICE: (f64, f64) = (500.0, 20.0);

/// Longer than `--drain-seconds`.
const STOP_MAX: Duration = Duration::from_secs(14);

/// How long an attack lasts at most in a short run.
const SHORT_SECONDS: u64 = 5;

fn is_short() -> bool {
    std::env::args().any(|arg| arg == "--short")
}

/// The program as a server, on free ports and a store of its own.
struct Server {
    process: Child,
    address: SocketAddr,
    http: SocketAddr,
    log: std::path::PathBuf,
    _data: TempDir,
}

impl Server {
    async fn start() -> Server {
        Self::start_with(&[]).await
    }

    async fn start_with(flags: &[&str]) -> Server {
        Self::start_under(&[], flags).await
    }

    /// Starts it by another program, which becomes it.
    async fn start_under(starter: &[&str], flags: &[&str]) -> Server {
        let data = tempfile::Builder::new().prefix("newsprint-hostile-").tempdir_in(".").unwrap();
        let log = data.path().join("log");
        let program = std::env::var("NEWSPRINT_PROGRAM");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_newsprint").to_owned());
        let command: Vec<&str> = starter.iter().copied().chain([program.as_str()]).collect();
        let process = Command::new(command[0])
            .args(&command[1..])
            .args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--log-format", "json", "--data"])
            .arg(data.path().join("data"))
            .args(flags)
            .stderr(std::fs::File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (address, http) = within(30, async {
            loop {
                let text = std::fs::read_to_string(&log).unwrap();
                let at = |message: &str| logged(&text, message).map(|at| at.parse().unwrap());
                let both = at("listening").zip(at("serving /metrics and /healthz"));
                match both.filter(|_| text.contains("\"message\":\"serving\"")) {
                    Some(both) => break both,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await;
        Server { process, address, http, log, _data: data }
    }

    /// A line of `/proc/PID/status`.
    fn status(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    }

    /// The most memory that it ever had.
    fn memory_mib(&self) -> u64 {
        self.status("VmHWM") >> 10
    }

    /// Processor time that it has used.
    fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// How long it takes to end when it is asked to.
    async fn stop(&mut self) -> Duration {
        let asked = Instant::now();
        self.signal("-TERM");
        while self.process.try_wait().unwrap().is_none() {
            assert!(asked.elapsed() < Duration::from_secs(30), "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        asked.elapsed()
    }

    async fn client(&self) -> ArticleServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let channel = endpoint.connect().await.unwrap();
        ArticleServiceClient::new(channel).max_decoding_message_size(64 << 20)
    }

    async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut connection = tokio::net::TcpStream::connect(self.http).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.http);
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Has it remember so many short articles.
    async fn fill(&self, count: usize) {
        let mut client = self.client().await;
        let articles: Vec<Article> = (0..count).map(|n| article(n as u64, 600)).collect();
        for batch in articles.chunks(500) {
            let request =
                BatchSubmitArticlesRequest { articles: batch.to_vec(), ..Default::default() };
            client.batch_submit_articles(request).await.unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn logged<'a>(log: &'a str, message: &str) -> Option<&'a str> {
    let message = format!("\"message\":\"{message}\"");
    let line = log.lines().find(|line| line.contains(&message))?;
    line.split_once("\"address\":\"")?.1.split('"').next()
}

const WORDS: [&str; 24] = [
    "harbour",
    "minister",
    "tariff",
    "storm",
    "council",
    "steel",
    "ferry",
    "election",
    "border",
    "grain",
    "strike",
    "court",
    "bridge",
    "treaty",
    "school",
    "market",
    "convoy",
    "budget",
    "island",
    "museum",
    "railway",
    "harvest",
    "senate",
    "lighthouse",
];

/// An article of about so many bytes that is like no other.
fn article(number: u64, bytes: usize) -> Article {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut body = String::with_capacity(bytes + 16);
    while body.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.push_str(WORDS[(state % WORDS.len() as u64) as usize]);
        body.push_str(&format!("{} ", state >> 32 & 0xfff));
    }
    Article { title: format!("Report {number}"), body, ..Article::default() }
}

fn submission(article: Article) -> SubmitArticleRequest {
    SubmitArticleRequest { article: Some(article), ..Default::default() }
}

fn framed(message: &impl Message) -> Vec<u8> {
    frame(false, &message.encode_to_vec())
}

/// How long things took, in milliseconds.
#[derive(Default, Clone)]
struct Times(Vec<f64>);

impl Times {
    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() as f64 * share) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// What others saw of the server meanwhile.
struct Watched {
    health: Times,
    health_apart: Times,
    /// What the machine alone takes for a question and an answer.
    machine: Times,
    submissions: Times,
    refused: usize,
}

/// A thread that answers every byte with a byte, and does nothing else: how long that takes is the
/// machine's doing, which has more threads than processors.
fn echo() -> SocketAddr {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
    address
}

/// Asks for health on both ports and submits an article now and then, on a thread of its own, until
/// told to end.
fn watch(server: &Server, end: Arc<AtomicBool>) -> std::thread::JoinHandle<Watched> {
    let (address, http, echo) = (server.address, server.http, echo());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let connect = async |address: SocketAddr| {
                let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
                endpoint.connect().await.unwrap()
            };
            let ask = async |address: SocketAddr| {
                let mut health = HealthClient::new(connect(address).await);
                let mut times = Times::default();
                while !end.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    health.check(HealthCheckRequest::default()).await.unwrap();
                    times.0.push(asked.elapsed().as_secs_f64() * 1000.0);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                times
            };
            let ask_nobody = async {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut stream = tokio::net::TcpStream::connect(echo).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut times = Times::default();
                while !end.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    stream.write_all(&[0]).await.unwrap();
                    stream.read_exact(&mut [0]).await.unwrap();
                    times.0.push(asked.elapsed().as_secs_f64() * 1000.0);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                times
            };
            let submit = async {
                let mut client = ArticleServiceClient::new(connect(address).await);
                let (mut times, mut refused) = (Times::default(), 0);
                let mut number = 1 << 40;
                while !end.load(Ordering::Relaxed) {
                    number += 1;
                    let request = submission(article(number, 3000));
                    let asked = Instant::now();
                    match client.submit_article(request).await {
                        Ok(_) => times.0.push(asked.elapsed().as_secs_f64() * 1000.0),
                        Err(_) => refused += 1,
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                (times, refused)
            };
            let (health, health_apart, machine, (submissions, refused)) =
                tokio::join!(ask(address), ask(http), ask_nobody, submit);
            Watched { health, health_apart, machine, submissions, refused }
        })
    })
}

/// Runs an attack for so long while others are served, asks the server to stop while it goes on, and
/// says what came of it.
async fn attack(name: &str, server: &mut Server, seconds: u64, attack: impl Future<Output = ()>) {
    let seconds = if is_short() { seconds.min(SHORT_SECONDS) } else { seconds };
    attack_for(name, server, seconds, attack).await;
}

/// The same, in a short run too: it takes some time until there is as much as there will ever be.
async fn attack_for(
    name: &str,
    server: &mut Server,
    seconds: u64,
    attack: impl Future<Output = ()>,
) {
    let before = server.memory_mib();
    let end = Arc::new(AtomicBool::new(false));
    let watching = watch(server, Arc::clone(&end));
    let mut attack = pin!(attack);
    let attacked = Duration::from_secs(seconds);
    let is_over = tokio::time::timeout(attacked, attack.as_mut()).await.is_ok();
    end.store(true, Ordering::Relaxed);
    let watched = tokio::task::spawn_blocking(|| watching.join()).await.unwrap().unwrap();
    let memory = server.memory_mib();
    let goes_on = async {
        if !is_over {
            attack.await;
        }
        std::future::pending::<()>().await;
    };
    let stopped = tokio::select! {
        stopped = server.stop() => stopped,
        () = goes_on => Duration::MAX,
    };
    let Watched { health, health_apart, machine, submissions, refused } = watched;
    println!(
        "| {name} | {before} → {memory} | {:.1} / {:.1} | {:.1} / {:.1} | {:.1} / {:.1} | {:.1} / {:.1} | {} of {} | {:.1} |",
        health.at(0.5),
        health.at(0.99),
        health_apart.at(0.5),
        health_apart.at(0.99),
        machine.at(0.5),
        machine.at(0.99),
        submissions.at(0.5),
        submissions.at(0.99),
        refused,
        refused + submissions.0.len(),
        stopped.as_secs_f64(),
    );
    assert!(!submissions.0.is_empty(), "{name}: nobody else was served");
    assert!(memory <= MEMORY_MIB_MAX, "{name}: {memory} MiB");
    for (health, (ms_max, times_max)) in [(health_apart, APART), (health, SERVICE)] {
        let bound = ms_max.max(times_max * machine.at(0.99));
        let took = health.at(0.99);
        if took > HEALTH_MS_MAX {
            println!("  health took {took:.1} ms, over the {HEALTH_MS_MAX} of a machine to itself");
        }
        assert!(took <= bound, "{name}: health took {took:.1} ms, and may take {bound:.1}");
    }
    assert!(stopped <= STOP_MAX, "{name}: it took {stopped:?} to stop");
}

/// Waits for ever, holding something.
async fn hold<T>(what: T) {
    std::future::pending::<()>().await;
    drop(what);
}

/// So many workers that do something over and over.
async fn over_and_over<F: Future<Output = ()> + Send + 'static>(
    workers: usize,
    work: impl Fn(usize) -> F,
) {
    let mut set = JoinSet::new();
    for worker in 0..workers {
        set.spawn(work(worker));
    }
    while set.join_next().await.is_some() {}
}

async fn unread_streams() {
    let mut server = Server::start().await;
    let wire = Wire::connect(server.address, 0).await;
    attack("16 streams of 300 articles, answers never read", &mut server, 10, async {
        let mut calls = Vec::new();
        for stream in 0..16 {
            let mut call = wire.begin(SUBMIT_STREAM, &[]).await;
            let requests =
                (0..300).flat_map(|n| framed(&submission(article(stream * 300 + n, 3000))));
            call.request.send_data(requests.collect::<Vec<u8>>().into(), false).unwrap();
            calls.push(call);
        }
        hold(calls).await;
    })
    .await;
}

async fn large_articles() {
    let mut server = Server::start().await;
    let clients = join_all((0..4).map(|_| server.client())).await;
    attack_for("1,200 articles of 1 MiB in flight", &mut server, 12, async {
        let article = Arc::new(article(7, (1 << 20) - 100));
        over_and_over(1200, |worker| {
            let (mut client, article) = (clients[worker % 4].clone(), Arc::clone(&article));
            async move {
                loop {
                    let article = Article { article_id: worker.to_string(), ..(*article).clone() };
                    let _ = client.submit_article(submission(article)).await;
                }
            }
        })
        .await;
    })
    .await;
}

/// Sends as much of a body as the server lets us.
async fn send_slowly(call: &mut WireCall, mut body: bytes::Bytes) {
    while !body.is_empty() {
        call.request.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| call.request.poll_capacity(context)).await;
        let Some(Ok(room)) = room else { return };
        let part = body.split_to(body.len().min(room));
        if call.request.send_data(part, false).is_err() {
            return;
        }
    }
}

async fn half_messages() {
    let mut server = Server::start().await;
    let address = server.address;
    attack("250 messages one byte short of 4 MiB", &mut server, 15, async {
        let body = bytes::Bytes::from(frame(false, &vec![0; 4 << 20]));
        over_and_over(250, |_| {
            let body = body.slice(..body.len() - 1);
            async move {
                let wire = Wire::connect(address, 1 << 20).await;
                let mut call = wire.begin(SUBMIT, &[]).await;
                send_slowly(&mut call, body).await;
                hold(call).await;
            }
        })
        .await;
    })
    .await;
}

async fn waiting_bombs() {
    let mut server = Server::start().await;
    let address = server.address;
    // As much as fits into a message, and packs well.
    let attributes = (0..64).map(|n| (n.to_string(), "harbour ".repeat(512))).collect();
    let large = Article { attributes, ..article(9, 16 << 10) };
    let large = Article { body: large.body.repeat(63), ..large };
    let request = SubmitArticleStreamRequest { article: Some(large), ..Default::default() };
    let packed = frame(true, &zstd::encode_all(&request.encode_to_vec()[..], 19).unwrap());
    attack("600 streams of 20 packed articles of 1 MiB", &mut server, 12, async {
        over_and_over(600, |_| {
            let body = bytes::Bytes::from(packed.repeat(20));
            async move {
                let wire = Wire::connect(address, 0).await;
                let mut call = wire.begin(SUBMIT_STREAM, &[("grpc-encoding", "zstd")]).await;
                send_slowly(&mut call, body).await;
                hold(call).await;
            }
        })
        .await;
    })
    .await;
}

async fn unread_pages() {
    for window in [0, 1] {
        let mut server = Server::start().await;
        server.fill(3000).await;
        let mut wires = Vec::new();
        for _ in 0..8 {
            wires.push(Wire::connect(server.address, window).await);
        }
        let name = format!("4,000 pages asked for and not read, window {window}");
        attack(&name, &mut server, 12, async {
            let request = framed(&ListArticlesRequest { page_size: 1000, ..Default::default() });
            let mut calls = Vec::new();
            for number in 0..4000 {
                calls.push(wires[number % 8].call(LIST, &[], request.clone()).await);
            }
            hold(calls).await;
        })
        .await;
    }
}

async fn empty_articles() {
    let mut server = Server::start().await;
    let address = server.address;
    let packed = zstd::encode_all(&[0x12, 0].repeat(2_000_000)[..], 19).unwrap();
    attack("batches of 2 M empty articles in 400 bytes", &mut server, 8, async {
        over_and_over(16, |_| {
            let body = frame(true, &packed);
            async move {
                let wire = Wire::connect(address, 1 << 20).await;
                while wire.is_open().await {
                    let headers = [("grpc-encoding", "zstd")];
                    let _ = wire.call(SUBMIT_BATCH, &headers, body.clone()).await.end().await;
                }
            }
        })
        .await;
    })
    .await;
}

async fn departed_clients() {
    let mut server = Server::start().await;
    let address = server.address;
    let body = bytes::Bytes::from(framed(&submission(article(11, 200 << 10))));
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    attack("3,000 articles of 200 KB whose clients left", &mut server, 10, async {
        over_and_over(30, |_| {
            let (body, sent) = (body.clone(), Arc::clone(&counted));
            async move {
                let wire = Wire::connect(address, 1 << 20).await;
                for _ in 0..100 {
                    let mut call = wire.begin(SUBMIT, &[]).await;
                    send_slowly(&mut call, body.clone()).await;
                    let _ = call.request.send_data(Default::default(), true);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
        .await;
    })
    .await;
    println!("  sent and left: {}", sent.load(Ordering::Relaxed));
}

async fn busy(name: &str, fill: usize, workers: usize, request: Request) {
    let mut server = Server::start().await;
    server.fill(fill).await;
    let clients = join_all((0..4).map(|_| server.client())).await;
    let (answered, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let request = Arc::new(request);
    attack(name, &mut server, 10, async {
        over_and_over(workers, |worker| {
            let (mut client, request) = (clients[worker % 4].clone(), Arc::clone(&request));
            let (answered, refused) = (Arc::clone(&answered), Arc::clone(&refused));
            async move {
                let mut number = (worker as u64) << 20;
                loop {
                    number += 1;
                    let ended = match &*request {
                        Request::Submit(bytes) => {
                            let request = submission(article(number, *bytes));
                            client.submit_article(request).await.map(drop)
                        }
                        Request::Analyze(request) => {
                            client.analyze_article(request.clone()).await.map(drop)
                        }
                        Request::Batch(request) => {
                            client.batch_submit_articles(request.clone()).await.map(drop)
                        }
                        Request::Similar(request) => {
                            client.find_similar((**request).clone()).await.map(drop)
                        }
                        Request::List(request) => {
                            client.list_articles(request.clone()).await.map(drop)
                        }
                    };
                    let count = if ended.is_ok() { &answered } else { &refused };
                    count.fetch_add(1, Ordering::Relaxed);
                    if ended.is_err() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        })
        .await;
    })
    .await;
    println!(
        "  answered {}, refused {}",
        answered.load(Ordering::Relaxed),
        refused.load(Ordering::Relaxed)
    );
}

enum Request {
    Submit(usize),
    Analyze(AnalyzeArticleRequest),
    Batch(BatchSubmitArticlesRequest),
    Similar(Box<FindSimilarRequest>),
    List(ListArticlesRequest),
}

async fn loads() {
    busy("3 KB × 512 in flight", 0, 512, Request::Submit(3000)).await;
    busy("3 KB × 8,000 in flight", 0, 8000, Request::Submit(3000)).await;
    let options = Some(AnalysisOptions { explain: true, max_matches: 100 });
    let article_of = |body: String| Article { body, ..article(1, 10) };
    let large = article(13, (1 << 20) - 100);
    let explained = AnalyzeArticleRequest { article: Some(large), options, ..Default::default() };
    busy("4 explained analyses of 1 MiB", 0, 4, Request::Analyze(explained)).await;
    let forms = "\u{fdfa} ".repeat((128 << 10) / 4);
    let batch =
        BatchSubmitArticlesRequest { articles: vec![article_of(forms); 30], ..Default::default() };
    busy("4 batches of 30 × 128 KiB of U+FDFA", 0, 4, Request::Batch(batch)).await;
    let similar = FindSimilarRequest {
        query: Some(find_similar_request::Query::Simhash(0x0123_4567_89ab_cdef)),
        max_hamming_distance: 64,
        max_matches: 1000,
        ..Default::default()
    };
    busy("FindSimilar, radius 64 × 64", 20_000, 64, Request::Similar(Box::new(similar))).await;
    let list = ListArticlesRequest { topic: "nothing".into(), ..Default::default() };
    busy("ListArticles by a topic nothing has × 64", 20_000, 64, Request::List(list)).await;
}

/// Ten times as much as is taken on, for a minute: what is taken on is answered as fast as without.
async fn overload() {
    const TAKEN_ON: usize = 512;
    let per_second = |answered: u64, seconds: u64| answered / seconds;
    let alone = {
        let server = Server::start().await;
        let address = server.address;
        answers(address, TAKEN_ON / 2, Duration::from_secs(5)).await
    };
    let mut server = Server::start_with(&["--in-flight-max", &TAKEN_ON.to_string()]).await;
    let clients = join_all((0..16).map(|_| server.client())).await;
    let (answered, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    const SECONDS: u64 = 60;
    attack_for("ten times as much as is taken on, for a minute", &mut server, SECONDS, async {
        over_and_over(10 * TAKEN_ON, |worker| {
            let mut client = clients[worker % clients.len()].clone();
            let (answered, refused) = (Arc::clone(&answered), Arc::clone(&refused));
            async move {
                for number in (worker as u64) << 24.. {
                    match client.submit_article(submission(article(number, 3000))).await {
                        Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
                        Err(_) => {
                            // Whoever is refused comes back much sooner than he was told.
                            tokio::time::sleep(Duration::from_millis(200)).await;
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            }
        })
        .await;
    })
    .await;
    let (answered, refused) = (answered.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    let (alone, overloaded) = (per_second(alone, 5), per_second(answered, SECONDS));
    println!(
        "  {overloaded} answers and {} refusals a second; {alone} answers a second without overload",
        per_second(refused, SECONDS)
    );
    // Attackers that are built for tests hardly get ahead of the server.
    let refused = refused * if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(refused > answered, "it was no overload");
    assert!(overloaded * 10 > alone, "under overload hardly anything gets done");
}

/// How two clients fare that want different amounts.
async fn fairness() {
    let server = Server::start().await;
    // Each on a thread of its own: within one client the tasks of the greedy one would be served
    // before those of the other.
    let count = |workers: usize| {
        let address = server.address;
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(answers(address, workers, Duration::from_secs(8)))
        })
    };
    let (greedy, modest) = (count(1000), count(32));
    let joined = tokio::task::spawn_blocking(|| (greedy.join(), modest.join())).await.unwrap();
    let (greedy, modest) = (joined.0.unwrap(), joined.1.unwrap());
    println!(
        "\nfairness: 1,000 calls in flight got {greedy} answers, 32 on another connection {modest}"
    );
    assert!(modest * 4 > greedy, "who asks for more takes it from others");
}

/// How many articles one connection gets answered with so many calls in flight.
async fn answers(address: SocketAddr, workers: usize, time: Duration) -> u64 {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let client = ArticleServiceClient::new(endpoint.connect().await.unwrap());
    let done = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&done);
    let work = over_and_over(workers, |worker| {
        let (mut client, done) = (client.clone(), Arc::clone(&counted));
        async move {
            let mut number = ((workers * 10_000 + worker) as u64) << 24;
            loop {
                number += 1;
                if client.submit_article(submission(article(number, 3000))).await.is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let _ = tokio::time::timeout(time, work).await;
    done.load(Ordering::Relaxed)
}

async fn metrics() {
    let server = Server::start().await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    let before = server.get("/metrics").await.len();
    for number in 0..20_000 {
        let path = format!("/newsprint.v1.ArticleService/M{number:x}");
        let call = wire.call(&path, &[("grpc-timeout", "1n")], frame(false, &[])).await;
        assert_eq!(call.end().await.unwrap().1.code(), Code::Unimplemented);
    }
    let asked = Instant::now();
    let metrics = server.get("/metrics").await;
    println!(
        "\n20,000 paths that nobody has: /metrics was {} KB and is {} KB, in {:.1} ms",
        before >> 10,
        metrics.len() >> 10,
        asked.elapsed().as_secs_f64() * 1000.0
    );
    assert!(metrics.len() < before + (10 << 10));
}

/// Connections of a peer that breaks the rules, and what is written of it.
async fn log_lines() {
    let server = Server::start().await;
    let lines = |log: &Path| std::fs::read_to_string(log).unwrap().lines().count();
    let before = lines(&server.log);
    for _ in 0..2000 {
        let wire = Wire::connect(server.address, 1 << 20).await;
        let mut calls = Vec::new();
        for _ in 0..300 {
            calls.push(wire.begin(SUBMIT, &[]).await);
        }
        drop(calls);
        let _ = wire.is_open().await;
    }
    let written = lines(&server.log) - before;
    println!("\n2,000 connections of 300 calls cancelled at once: {written} lines in the log");
    assert!(written < 200);
}

/// A server that may have few descriptors, and a client that takes them all.
async fn descriptors() {
    let server = Server::start_with(&[]).await;
    let pid = server.process.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--nofile=64:64"]).status();
    if !limited.is_ok_and(|limited| limited.success()) {
        println!("\ndescriptors: prlimit is missing");
        return;
    }
    let mut connections = Vec::new();
    for _ in 0..100 {
        connections.push(tokio::net::TcpStream::connect(server.address).await.unwrap());
    }
    let before = server.processor();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let used = server.processor() - before;
    let log = std::fs::read_to_string(&server.log).unwrap();
    let lines = log.lines().filter(|line| line.contains("no connection can be taken in")).count();
    println!("\nout of descriptors for 5 s: {used:?} of processor, {lines} lines in the log");
    assert!(used < Duration::from_millis(500) && lines <= 20);
    drop(connections);
    let mut client = within(10, server.client()).await;
    within(10, client.submit_article(submission(article(1, 3000)))).await.unwrap();
}

/// A server that may open few files from the start: connections do not take those of the store.
async fn files_of_the_store() {
    let server = Server::start_under(&["prlimit", "--nofile=96:96"], &[]).await;
    let mut connections = Vec::new();
    for _ in 0..140 {
        connections.push(tokio::net::TcpStream::connect(server.address).await.unwrap());
    }
    // Its own connection has to get in between.
    connections.truncate(20);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut client = within(10, server.client()).await;
    for number in 0..40 {
        let request = submission(article(number, (1 << 20) - 100));
        within(30, client.submit_article(request)).await.unwrap();
    }
    for _ in 0..140 {
        connections.push(tokio::net::TcpStream::connect(server.address).await.unwrap());
    }
    for number in 40..80 {
        let request = submission(article(number, (1 << 20) - 100));
        within(30, client.submit_article(request)).await.unwrap();
    }
    println!("\n96 files, 160 connections: 80 articles of 1 MiB were remembered");
}

/// Signals to a server that has something to do.
async fn signals() {
    let mut server = Server::start().await;
    server.signal("-HUP");
    within(5, async {
        while !std::fs::read_to_string(&server.log).unwrap().contains("asked to reload") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    let mut call = wire.begin(SUBMIT, &[]).await;
    call.request.send_data(frame(false, &[0; 100])[..50].to_vec().into(), false).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.signal("-TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.process.try_wait().unwrap().is_none(), "a call in work is waited for");
    println!("\nasked to stop a second time: {:.2} s", server.stop().await.as_secs_f64());
}

#[tokio::main]
async fn main() {
    // A short run has the same attacks, most of them for a shorter time: --short.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|want| name.contains(want));
    println!(
        "| what | most memory before and after, MiB | health, ms: p50 / p99 | on the other port | a thread \
         that does nothing | another's submissions | refused to him | SIGTERM, s \
         |\n|---|---|---|---|---|---|---|---|"
    );
    macro_rules! run {
        ($($name:ident),*) => {
            $(if is_wanted(stringify!($name)) {
                $name().await;
            })*
        };
    }
    run!(
        unread_streams,
        large_articles,
        half_messages,
        waiting_bombs,
        unread_pages,
        empty_articles,
        departed_clients,
        loads,
        overload,
        fairness,
        metrics,
        log_lines,
        descriptors,
        files_of_the_store,
        signals
    );
}
