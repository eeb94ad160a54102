//! What was answered OK is there, whatever happens to the process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::api::pb::*;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::server::{article, wait_until_serving};

/// A small generator, so that a failure can be repeated from its seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The program itself, in a process that can be killed.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    async fn start(data: &Path) -> (Process, Channel) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_newsprint"))
            .args(["serve", "--http", "off", "--log-level", "error"])
            .args(["--listen", &address.to_string()])
            .arg("--data")
            .arg(data)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let mut process = Process { child, address };
        let channel = process.connect().await;
        wait_until_serving(channel.clone()).await;
        (process, channel)
    }

    async fn connect(&mut self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(channel) = endpoint.connect().await {
                return channel;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the program ended");
            assert!(Instant::now() < deadline, "the program does not listen");
            tokio::task::yield_now().await;
        }
    }

    /// SIGKILL: the process has no say in it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client knows of one article.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    Absent,
    /// The version of the text, and what was answered.
    Present {
        version: u64,
        answer: Box<SubmitArticleResponse>,
    },
}

/// What a client knows, and what it does not: calls that were not answered may have been done.
#[derive(Debug, Default)]
struct Memory {
    known: BTreeMap<String, Known>,
    unanswered: BTreeMap<String, Option<u64>>,
}

fn text(id: &str, version: u64) -> Article {
    let seed = id.bytes().fold(version, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    let mut random = Random(seed);
    let words: Vec<String> = (0..40).map(|_| format!("word{}", random.below(5000))).collect();
    article(id, &format!("Version {version} of {id}"), &words.join(" "))
}

/// Submits, revises, batches and deletes articles of its own until the server is gone.
async fn work(
    mut client: ArticleServiceClient<Channel>,
    worker: u64,
    memory: Arc<Mutex<Memory>>,
    mut random: Random,
) {
    loop {
        let ids: Vec<String> = match random.below(4) {
            0 => (0..10).map(|_| format!("{worker}-{}", random.below(60))).collect(),
            _ => vec![format!("{worker}-{}", random.below(60))],
        };
        let version = random.below(3);
        if ids.len() == 1 && random.below(4) == 0 {
            memory.lock().unwrap().unanswered.insert(ids[0].clone(), None);
            let request = DeleteArticleRequest { article_id: ids[0].clone(), ..Default::default() };
            match client.delete_article(request).await {
                Ok(_) => {}
                Err(status) if status.code() == Code::NotFound => {}
                Err(_) => return,
            }
            let mut memory = memory.lock().unwrap();
            memory.unanswered.remove(&ids[0]);
            memory.known.insert(ids[0].clone(), Known::Absent);
            continue;
        }
        {
            let mut memory = memory.lock().unwrap();
            memory.unanswered.extend(ids.iter().map(|id| (id.clone(), Some(version))));
        }
        let articles: Vec<Article> = ids.iter().map(|id| text(id, version)).collect();
        let request = BatchSubmitArticlesRequest { articles, ..Default::default() };
        let Ok(response) = client.batch_submit_articles(request).await else { return };
        let mut memory = memory.lock().unwrap();
        for (id, result) in ids.iter().zip(response.into_inner().results) {
            use batch_submit_articles_result::Result as Item;
            let Some(Item::Outcome(outcome)) = result.result else { panic!("{id} was refused") };
            let answer = Box::new(SubmitArticleResponse { replayed: false, ..outcome });
            memory.unanswered.remove(id);
            memory.known.insert(id.clone(), Known::Present { version, answer });
        }
    }
}

/// Checks every article of a worker against what was answered, and settles what was not.
async fn verify(client: &mut ArticleServiceClient<Channel>, memory: &mut Memory, round: &str) {
    let unanswered = std::mem::take(&mut memory.unanswered);
    let ids: Vec<String> = memory.known.keys().chain(unanswered.keys()).cloned().collect();
    for id in ids {
        let request = GetArticleRequest { article_id: id.clone(), ..Default::default() };
        let found = match client.get_article(request).await {
            Ok(response) => {
                let stored = response.into_inner().stored.unwrap();
                let article = stored.article.unwrap();
                let version = (0..3).find(|&version| text(&id, version) == article);
                let version =
                    version.unwrap_or_else(|| panic!("{round}: {id} is torn: {article:?}"));
                let answer = Box::new(SubmitArticleResponse {
                    collection: "default".into(),
                    article_id: id.clone(),
                    revision: stored.revision,
                    replayed: false,
                    submit_time: stored.submit_time,
                    analysis: stored.analysis,
                });
                Known::Present { version, answer }
            }
            Err(status) if status.code() == Code::NotFound => Known::Absent,
            Err(status) => panic!("{round}: {id}: {status:?}"),
        };
        let before = memory.known.get(&id).cloned().unwrap_or(Known::Absent);
        let is_expected = found == before
            || match (unanswered.get(&id), &found) {
                (Some(Some(tried)), Known::Present { version, .. }) => tried == version,
                (Some(None), Known::Absent) => true,
                _ => false,
            };
        assert!(is_expected, "{round}: {id} was {before:?}\nnow is {found:?}");
        if let Known::Present { version, answer } = &found {
            let request =
                SubmitArticleRequest { article: Some(text(&id, *version)), ..Default::default() };
            let replay = client.submit_article(request).await.unwrap().into_inner();
            assert!(replay.replayed, "{round}: {id}");
            assert_eq!(replay.analysis, answer.analysis, "{round}: {id}");
        }
        memory.known.insert(id, found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_is_lost_by_kill_9() {
    const ROUNDS: u64 = 50;
    const WORKERS: u64 = 3;
    let seed = std::env::var("NEWSPRINT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    println!("seed {seed}: repeat with NEWSPRINT_SEED={seed}");
    let mut random = Random(seed);
    let data = tempfile::tempdir().unwrap();
    let memories: Vec<Arc<Mutex<Memory>>> = (0..WORKERS).map(|_| Arc::default()).collect();
    let mut answered = 0;
    for round in 0..ROUNDS {
        let (process, channel) = Process::start(data.path()).await;
        let mut client = ArticleServiceClient::new(channel);
        for memory in &memories {
            let mut settled = std::mem::take(&mut *memory.lock().unwrap());
            verify(&mut client, &mut settled, &format!("seed {seed}, round {round}")).await;
            answered += settled.known.len();
            *memory.lock().unwrap() = settled;
        }
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let memory = Arc::clone(&memories[worker as usize]);
                tokio::spawn(work(client.clone(), worker, memory, Random(random.below(u64::MAX))))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.below(120))).await;
        process.kill();
        for worker in workers {
            worker.await.unwrap();
        }
    }
    assert!(answered > 0, "no call was ever answered: the test shows nothing");
    let report = newsprint::store::check(data.path(), |_| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}
