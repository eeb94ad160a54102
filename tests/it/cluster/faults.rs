//! Nodes that are killed, paused, full or moved, and a replica of newsprint that is killed.
//!
//! Whatever happens, an article that was answered for is there, and its copies are found.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use newsprint::analysis::Verdict;
use newsprint::api::pb::{Article, BatchSubmitArticlesRequest, SubmitArticleRequest};
use newsprint::article::{ArticleId, CollectionName};
use newsprint::engine::{Engine, EngineError};
use newsprint::store::StoreError;
use tonic::Code;
use tonic_types::StatusExt;

use super::nodes::Setup;
use super::{Nodes, check, engine, settings};
use crate::program::Program;
use crate::server::article;
use crate::store::{submission, untitled, words};

/// One cluster at a time is in trouble: there are only so many processors.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What clients were answered.
#[derive(Default)]
struct Answered {
    /// Ids of originals, with the seeds of their texts.
    originals: Mutex<Vec<(String, u64)>>,
    refused: AtomicUsize,
    /// Whether clients are to stop.
    enough: AtomicBool,
}

impl Answered {
    fn count(&self) -> usize {
        self.originals.lock().unwrap().len()
    }
}

/// Submits articles and then copies of them, one after the other, as long as it is wanted. What is
/// refused is sent again under its id, as clients do.
async fn client(engine: &Engine, number: u64, answered: &Answered) {
    let name = CollectionName::default();
    for step in 0_u64.. {
        let seed = 1_000_000 * (number + 1) + step;
        let original = format!("{number}-{step}");
        for (id, expected) in
            [(original.clone(), Verdict::Unique), (format!("{original} copy"), Verdict::Exact)]
        {
            let submitted = loop {
                if answered.enough.load(Ordering::Relaxed) {
                    return;
                }
                let article = untitled(&words(seed, 80));
                match engine.submit(submission(&name, &id, article)).await {
                    Ok(submitted) => break submitted,
                    Err(EngineError::Store(
                        StoreError::Io { .. } | StoreError::Closed(_) | StoreError::Full(_),
                    )) => {
                        answered.refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => panic!("{id}: {error}"),
                }
            };
            assert_eq!(submitted.analysis.duplicates.verdict, expected, "{id}");
        }
        answered.originals.lock().unwrap().push((original, seed));
    }
}

/// Has eight clients go on while something is done, and until they get on again after it.
async fn under_load(engine: &Engine, answered: &Answered, trouble: impl Future<Output = ()>) {
    let clients = join_all((0..8).map(|number| client(engine, number, answered)));
    let trouble = async {
        wait_until("clients get on", || answered.count() > 40).await;
        trouble.await;
        let before = answered.count();
        wait_until("clients get on again", || answered.count() > before + 40).await;
        answered.enough.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, trouble);
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not in a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All that was answered for is there, and is found by a copy.
async fn nothing_is_lost(engine: &Engine, answered: &Answered) {
    let name = CollectionName::default();
    let originals = answered.originals.lock().unwrap().clone();
    println!("{} originals, {} refused", originals.len(), answered.refused.load(Ordering::Relaxed));
    for (id, seed) in originals {
        let stored = engine.get(&name, &ArticleId::new(id.as_str()).unwrap()).await.unwrap();
        assert_eq!(stored.article, untitled(&words(seed, 80)));
        let copy = submission(&name, "another", stored.article);
        let seen = engine.analyze(copy).await.unwrap().duplicates;
        assert_eq!(seen.verdict, Verdict::Exact, "{id}");
        assert_eq!(seen.story.unwrap().canonical.as_str(), id);
    }
}

async fn comes_in_order(engine: &Engine) -> u64 {
    let began = Instant::now();
    loop {
        let (articles, problems) = check(engine).await;
        if problems.is_empty() {
            return articles;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{problems:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_takes_nothing_along() {
    let _one = ONE_AT_A_TIME.lock().await;
    let nodes = Nodes::start();
    let engine = engine(settings(&nodes, "namespace=killed", 100));
    let answered = Answered::default();
    let restarted = std::sync::OnceLock::new();
    under_load(&engine, &answered, async {
        let master = nodes.nodes.iter().find(|node| node.is_master()).unwrap();
        let masters = masters(&nodes);
        master.signal("KILL");
        // Its replica takes over, and what was answered is there to read. Nothing is written to it
        // before it has a replica again: one is asked for by default.
        taken_over(&nodes, &masters).await;
        everything_is_read(&engine, &answered).await;
        let _ = restarted.set(master.restarted());
    })
    .await;
    nothing_is_lost(&engine, &answered).await;
    comes_in_order(&engine).await;
}

/// The ports of the masters.
fn masters(nodes: &Nodes) -> Vec<u16> {
    nodes.nodes.iter().filter(|node| node.is_master()).map(|node| node.port).collect()
}

/// Waits until a node has become a master.
async fn taken_over(nodes: &Nodes, before: &[u16]) {
    let began = Instant::now();
    wait_until("a replica takes over", || {
        let others = nodes.nodes.iter().filter(|node| !before.contains(&node.port));
        others.into_iter().any(|node| node.is_master())
    })
    .await;
    println!("taken over after {:?}", began.elapsed());
}

/// Everything that was answered for can be read, if not at once then in a while.
async fn everything_is_read(engine: &Engine, answered: &Answered) {
    let name = CollectionName::default();
    let originals = answered.originals.lock().unwrap().clone();
    let began = Instant::now();
    for (id, seed) in originals {
        let stored = loop {
            match engine.get(&name, &ArticleId::new(id.as_str()).unwrap()).await {
                Ok(stored) => break stored,
                Err(EngineError::Store(StoreError::Io { .. } | StoreError::Closed(_))) => {
                    assert!(began.elapsed() < Duration::from_secs(60), "{id} is not read");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{id}: {error}"),
            }
        };
        assert_eq!(stored.article, untitled(&words(seed, 80)));
    }
    println!("read after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_paused_is_noticed_like_a_killed_one() {
    let _one = ONE_AT_A_TIME.lock().await;
    let nodes = Nodes::start();
    let engine = engine(settings(&nodes, "namespace=paused", 100));
    let answered = Answered::default();
    let master = nodes.nodes.iter().find(|node| node.is_master()).unwrap();
    under_load(&engine, &answered, async {
        let masters = masters(&nodes);
        master.signal("STOP");
        taken_over(&nodes, &masters).await;
        everything_is_read(&engine, &answered).await;
        // What it wakes up with is old, and nobody listens to it.
        master.signal("CONT");
    })
    .await;
    nothing_is_lost(&engine, &answered).await;
    comes_in_order(&engine).await;
}

/// A master and its replica are silent: a part of the cluster cannot be reached at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_reached_is_said_to_be() {
    let _one = ONE_AT_A_TIME.lock().await;
    let nodes = Nodes::start();
    let engine = engine(settings(&nodes, "namespace=apart", 100));
    let answered = Answered::default();
    let master = nodes.nodes.iter().find(|node| node.is_master()).unwrap();
    let replica = nodes.nodes.iter().find(|node| {
        node.ask(&["role"]).split_whitespace().any(|word| word == master.port.to_string())
            && !node.is_master()
    });
    let apart = [master, replica.unwrap()];
    under_load(&engine, &answered, async {
        apart.iter().for_each(|node| node.signal("STOP"));
        let began = Instant::now();
        wait_until("the store is not ready", || engine.readiness().is_err()).await;
        println!("noticed after {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(15), "documented are ten");
        // From now on nobody waits for an answer.
        let began = Instant::now();
        let name = CollectionName::default();
        let refused = engine.submit(submission(&name, "no", untitled(&words(1, 80)))).await;
        assert!(matches!(refused, Err(EngineError::Store(StoreError::Closed(_)))), "{refused:?}");
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        apart.iter().for_each(|node| node.signal("CONT"));
        wait_until("the store is ready again", || engine.readiness().is_ok()).await;
    })
    .await;
    nothing_is_lost(&engine, &answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cluster_answers_like_a_full_disk() {
    let _one = ONE_AT_A_TIME.lock().await;
    let nodes = Nodes::start();
    let engine = engine(settings(&nodes, "namespace=full", 100));
    let answered = Answered::default();
    under_load(&engine, &answered, async {
        for node in nodes.nodes.iter().filter(|node| node.is_master()) {
            node.ask(&["config", "set", "maxmemory", "1mb"]);
        }
        wait_until("the store is full", || {
            matches!(engine.readiness(), Err(EngineError::Store(StoreError::Full(_))))
        })
        .await;
        let name = CollectionName::default();
        let refused = engine.submit(submission(&name, "no", untitled(&words(1, 80)))).await;
        assert!(matches!(refused, Err(EngineError::Store(StoreError::Full(_)))), "{refused:?}");
        // Everything else goes on.
        let (id, seed) = answered.originals.lock().unwrap()[0].clone();
        engine.get(&name, &ArticleId::new(id).unwrap()).await.unwrap();
        let seen = engine.analyze(submission(&name, "copy", untitled(&words(seed, 80)))).await;
        assert_eq!(seen.unwrap().duplicates.verdict, Verdict::Exact);
        for node in &nodes.nodes {
            node.ask(&["config", "set", "maxmemory", "0"]);
        }
    })
    .await;
    nothing_is_lost(&engine, &answered).await;
    comes_in_order(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_while_articles_come() {
    let _one = ONE_AT_A_TIME.lock().await;
    let nodes = Nodes::start();
    let engine = engine(settings(&nodes, "namespace=moved", 100));
    let answered = Answered::default();
    under_load(&engine, &answered, async {
        let masters: Vec<_> = nodes.nodes.iter().filter(|node| node.is_master()).collect();
        let id = |place: usize| masters[place].ask(&["cluster", "myid"]).trim().to_owned();
        let (from, to) = (id(0), id(1));
        let address = masters[0].address();
        let cli = std::env::var("REDIS_CLI").unwrap_or_else(|_| "redis-cli".to_owned());
        let reshard = tokio::task::spawn_blocking(move || {
            Command::new(cli)
                .args(["--cluster", "reshard", &address, "--cluster-from", &from])
                .args(["--cluster-to", &to, "--cluster-slots", "3000", "--cluster-yes"])
                .output()
        });
        let output = reshard.await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    })
    .await;
    nothing_is_lost(&engine, &answered).await;
    comes_in_order(&engine).await;
}

/// The program is killed with many articles in work: each is there or is not, and what is left
/// of the others is cleared away by another replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_in_the_middle_leaves_nothing_half_there() {
    let _one = ONE_AT_A_TIME.lock().await;
    let nodes = Nodes::start();
    let other = engine(settings(&nodes, "namespace=half", 100));
    let program = Program::start_in(&["--store", &nodes.url("namespace=half")]).await;
    let articles = program.articles().await;

    let acknowledged: Mutex<BTreeMap<String, Article>> = Mutex::default();
    let batches = (0..8_u64).map(|client| {
        let (mut articles, acknowledged) = (articles.clone(), &acknowledged);
        async move {
            for batch in 0_u64.. {
                let texts: Vec<Article> = (0..20)
                    .map(|number| {
                        // Every other article is a copy of one that another client sends.
                        let seed = if number % 2 == 0 { batch * 100 + number } else { client };
                        let body = words(9_000_000 + seed, 60).join(" ");
                        article(&format!("{client}-{batch}-{number}"), "", &body)
                    })
                    .collect();
                let request = BatchSubmitArticlesRequest {
                    articles: texts.clone(),
                    ..BatchSubmitArticlesRequest::default()
                };
                let Ok(_) = articles.batch_submit_articles(request).await else { return };
                let mut acknowledged = acknowledged.lock().unwrap();
                acknowledged
                    .extend(texts.into_iter().map(|article| (article.article_id.clone(), article)));
            }
        }
    });
    let kill = async {
        wait_until("articles are answered for", || acknowledged.lock().unwrap().len() > 400).await;
        program.signal("KILL");
    };
    tokio::join!(join_all(batches), kill);

    let name = CollectionName::default();
    let acknowledged = acknowledged.into_inner().unwrap();
    for (id, sent) in &acknowledged {
        let stored = other.get(&name, &ArticleId::new(id.as_str()).unwrap()).await.unwrap();
        assert_eq!(stored.article.body, sent.body);
    }
    // Whatever was on its way can be sent again at once, here.
    for client in 0..8 {
        let id = format!("{client}-100000-0");
        other.submit(submission(&name, &id, untitled(&words(client, 60)))).await.unwrap();
    }
    let count = comes_in_order(&other).await;
    println!("{} acknowledged, {count} there", acknowledged.len());
    assert!(count as usize >= acknowledged.len() + 8);
}

/// Two networks: one of the nodes, which is this machine's, and one of a newsprint of its own.
struct Network {
    name: String,
    second: u8,
}

impl Network {
    /// `None` if this process may not make networks.
    fn new() -> Option<Self> {
        let second = 16 + (std::process::id() % 200) as u8;
        let network = Network { name: format!("newsprint{second}"), second };
        let host = network.host_end();
        let (name, ours, theirs) = (&network.name, network.address(1), network.address(100));
        let made = ip(&["netns", "add", name])
            && ip(&["link", "add", &host, "type", "veth", "peer", "name", "veth0", "netns", name])
            && ip(&["addr", "add", &format!("{ours}/24"), "dev", &host])
            && ip(&["link", "set", &host, "up"])
            && ip(&["-n", name, "addr", "add", &format!("{theirs}/24"), "dev", "veth0"])
            && ip(&["-n", name, "link", "set", "veth0", "up"])
            && ip(&["-n", name, "link", "set", "lo", "up"]);
        let addresses = (0..6).map(|place| format!("{}/24", network.node(place)));
        let mut given = addresses.map(|address| ip(&["addr", "add", &address, "dev", &host]));
        (made && given.all(|given| given)).then_some(network)
    }

    fn host_end(&self) -> String {
        format!("npveth{}", self.second)
    }

    fn address(&self, last: u8) -> String {
        format!("10.77.{}.{last}", self.second)
    }

    /// The address of a node; none has the one that clients come from.
    fn node(&self, place: usize) -> String {
        self.address(11 + place as u8)
    }

    /// Lets nothing through to a node any more, or lets it again.
    fn cut(&self, node: &super::nodes::Node, is_cut: bool) {
        let what = if is_cut { "add" } else { "del" };
        let node = format!("{}/32", node.host);
        assert!(ip(&["-n", &self.name, "route", what, "blackhole", &node]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
        ip(&["link", "del", &self.host_end()]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let status = Command::new("ip").args(arguments).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The cluster is whole, but one newsprint cannot reach a part of it: that one says so, and the
/// others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_newsprint_cut_off_from_a_part_says_so_and_others_go_on() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(network) = Network::new() else {
        println!("SKIPPED: this process may not make networks (it needs root and ip)");
        return;
    };
    let hosts = std::array::from_fn(|place| network.node(place));
    let nodes = Nodes::start_as(&Setup { hosts, ..Setup::default() });
    let other = engine(settings(&nodes, "namespace=cut", 100));
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &network.name, env!("CARGO_BIN_EXE_newsprint"), "serve"]);
    command.args(["--listen", &format!("{}:0", network.address(100))]);
    command.args(["--store", &nodes.url("namespace=cut")]);
    let program = Program::run(command).await;
    let articles = program.articles().await;
    let mut number = 7_000_000;
    let mut submit = async || {
        number += 1;
        let article = article(&number.to_string(), "", &words(number, 60).join(" "));
        let request = SubmitArticleRequest { article: Some(article), ..Default::default() };
        articles.clone().submit_article(request).await
    };
    submit().await.unwrap();
    let master = nodes.nodes.iter().find(|node| node.is_master()).unwrap();
    network.cut(master, true);
    let began = Instant::now();
    let refused = loop {
        match submit().await {
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(30), "it takes articles"),
            Err(refused) => break refused,
        }
    };
    println!("refused after {:?}: {}", began.elapsed(), refused.message());
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.get_details_retry_info().is_some());
    // Nothing is the matter with the cluster.
    let name = CollectionName::default();
    for number in 0..20 {
        let id = format!("other {number}");
        other.submit(submission(&name, &id, untitled(&words(number, 60)))).await.unwrap();
    }
    network.cut(master, false);
    let began = Instant::now();
    while submit().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it takes no articles again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("taken again after {:?}", began.elapsed());
}
