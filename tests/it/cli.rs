//! The command line, run as people run it: what the samples of the documentation do not show.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use newsprint::api::pb::*;
use newsprint::config::Limits;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::server::TestServer;

/// A folder and a server to run the program with.
struct Prompt {
    server: TestServer,
    folder: TempDir,
}

struct Ended {
    code: Option<i32>,
    out: String,
    told: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), out: text(&output.stdout), told: text(&output.stderr) }
    }
}

async fn run(folder: &Path, addr: String, command: &str) -> Ended {
    let mut program = Command::new(env!("CARGO_BIN_EXE_newsprint"));
    program.args(command.split_whitespace()).current_dir(folder).env("NEWSPRINT_ADDR", addr);
    let output = tokio::task::spawn_blocking(move || program.output());
    output.await.unwrap().unwrap().into()
}

impl Prompt {
    async fn new() -> Self {
        Prompt { server: TestServer::start().await, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    async fn run(&self, command: &str) -> Ended {
        run(self.folder.path(), self.server.address.to_string(), command).await
    }

    /// The ids of all articles, first submission first.
    async fn ids(&self) -> Vec<String> {
        let request = ListArticlesRequest { page_size: 1000, ..Default::default() };
        let answer = self.server.articles.clone().list_articles(request).await.unwrap();
        let articles = answer.into_inner().articles.into_iter().rev();
        articles.map(|stored| stored.article.unwrap().article_id).collect()
    }

    async fn get(&self, id: &str) -> StoredArticle {
        let request = GetArticleRequest { article_id: id.to_owned(), ..Default::default() };
        let answer = self.server.articles.clone().get_article(request).await.unwrap();
        answer.into_inner().stored.unwrap()
    }
}

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn lines(name: &str, count: usize) -> String {
    let line = |n| {
        format!("{{\"id\": \"{name}-{n}\", \"title\": \"{name} item {n} of {}\"}}\n", n * n % 9973)
    };
    (0..count).map(line).collect()
}

#[tokio::test]
async fn ids_beyond_64_bits_are_two_ids() {
    let prompt = Prompt::new().await;
    prompt.file(
        "big.jsonl",
        r#"{"id":123456789012345678901,"title":"First big id","body":"Grain ships left the harbour at dawn on Monday."}
{"id":123456789012345678902,"title":"Second big id","body":"The museum opened a new room on Tuesday."}
"#,
    );
    assert_eq!(prompt.run("import big.jsonl").await.code, Some(0));
    assert_eq!(prompt.ids().await, ["123456789012345678901", "123456789012345678902"]);
}

#[tokio::test]
async fn half_an_emoji_is_replaced_and_told() {
    let prompt = Prompt::new().await;
    prompt.file("half.jsonl", r#"{"id":"s1","title":"Storm hits coast \ud83d","body":"Rain fell all day long on the islands."}"#);
    let ended = prompt.run("import half.jsonl").await;
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.told.contains("half of a character is replaced by U+FFFD (1 line)"),
        "{}",
        ended.told
    );
    assert_eq!(prompt.get("s1").await.article.unwrap().title, "Storm hits coast \u{fffd}");
}

#[tokio::test]
async fn fields_that_are_not_understood_are_told_once() {
    let prompt = Prompt::new().await;
    let line = |n| {
        format!(
            r#"{{"id":"{n}","title":"Tide table {n}","contnet":"High tide.","byline":"Ada","date":"the other day"}}"#
        )
    };
    prompt.file("odd.jsonl", (0..300).map(|n| line(n) + "\n").collect::<String>());
    let ended = prompt.run("import odd.jsonl").await;
    assert_eq!(ended.code, Some(0));
    for expected in [
        "'contnet' is not understood and left out; is it 'content'? (300 lines)",
        "'byline' is not understood and left out (300 lines)",
        "'date' is no time that is understood, as in 'the other day', and left out (300 lines)",
    ] {
        assert_eq!(ended.told.matches(expected).count(), 1, "{}", ended.told);
    }
    let ended =
        prompt.run("import --json --map body=contnet,attributes.author=byline odd.jsonl").await;
    assert!(!ended.out.contains("contnet") && ended.out.contains("the other day"), "{}", ended.out);
    let article = prompt.get("7").await.article.unwrap();
    assert_eq!(
        (article.body.as_str(), article.attributes["author"].as_str()),
        ("High tide.", "Ada")
    );
}

#[tokio::test]
async fn a_damaged_gzip_file_gives_all_that_is_good() {
    let prompt = Prompt::new().await;
    let whole = gzip(&lines("cut", 350));
    prompt.file("cut.jsonl.gz", &whole[..whole.len() - 9]);
    let ended = prompt.run("import cut.jsonl.gz").await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("cannot be read on behind line 350"), "{}", ended.told);
    assert_eq!(prompt.ids().await.len(), 350);

    prompt.file("padded.jsonl.gz", [gzip(&lines("pad", 1)), vec![0; 512]].concat());
    let ended = prompt.run("import padded.jsonl.gz").await;
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert_eq!(prompt.ids().await.len(), 351);
}

#[tokio::test]
async fn a_resumed_import_knows_its_file_by_the_content() {
    let prompt = Prompt::new().await;
    // A broken file leaves an import behind that can go on.
    let monday = gzip(&lines("mon", 400));
    prompt.file("feed.jsonl.gz", &monday[..monday.len() - 9]);
    assert_eq!(prompt.run("import feed.jsonl.gz").await.code, Some(1));
    prompt.file("feed.jsonl.gz", &monday);
    let ended = prompt.run("import feed.jsonl.gz").await;
    assert!(ended.told.contains("400 lines are done already"), "{}", ended.told);
    assert_eq!((ended.code, prompt.ids().await.len()), (Some(0), 400));

    // The next day's file is another one of that name, and larger.
    prompt.file("feed.jsonl.gz", &monday[..monday.len() - 9]);
    assert_eq!(prompt.run("import feed.jsonl.gz").await.code, Some(1));
    prompt.file("feed.jsonl.gz", gzip(&lines("tue", 420)));
    let ended = prompt.run("import feed.jsonl.gz").await;
    assert!(
        ended.told.contains("an earlier import of another file under this name"),
        "{}",
        ended.told
    );
    assert_eq!((ended.code, prompt.ids().await.len()), (Some(0), 820));
    assert!(!prompt.path("feed.jsonl.gz.newsprint-resume").exists());
}

#[tokio::test]
async fn what_was_not_imported_is_told_with_its_place() {
    let prompt = Prompt::new().await;
    prompt.file("odd.csv", "id,title\n1,Tide table\n2\n3,\"\"\n");
    let ended = prompt.run("import odd.csv").await;
    assert_eq!((ended.code, prompt.ids().await), (Some(1), vec!["1".to_owned()]));
    assert!(ended.told.contains("2 rows were not imported; odd.csv.errors.jsonl says why"));
    let errors = fs::read_to_string(prompt.path("odd.csv.errors.jsonl")).unwrap();
    let expected = [
        r#"{"row":2,"reason":"the row has 1 cells, and there are 2 columns","input":"2"}"#,
        r#"{"row":3,"reason":"title must not be blank if the body is"#,
    ];
    for (line, expected) in errors.lines().zip(expected) {
        assert!(line.starts_with(expected), "{errors}");
    }
}

#[tokio::test]
async fn lines_without_ids_are_the_same_articles_again() {
    let prompt = Prompt::new().await;
    prompt.file("bare.jsonl", "{\"title\": \"Tide table\"}\n{\"title\": \"Ebb table\"}\n");
    for _ in 0..2 {
        assert_eq!(prompt.run("import bare.jsonl").await.code, Some(0));
        assert_eq!(prompt.ids().await.len(), 2);
    }
}

#[tokio::test]
async fn a_file_of_another_kind_is_one_error() {
    let prompt = Prompt::new().await;
    let noise: Vec<u8> =
        (0..8_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    prompt.file("dump.jsonl.zst", &noise);
    prompt.file("dump.zip", b"PK\x03\x04\x14\0\0\0\x08\0");
    prompt.file("notes.jsonl", "Ships came in.\n".repeat(9999));
    for (name, expected) in [
        ("dump.jsonl.zst", "is no text"),
        ("dump.zip", "is a zip archive: unpack it first"),
        ("notes.jsonl", "none of its first 100 lines is an article (the first: not a JSON object)"),
    ] {
        let ended = prompt.run(&format!("import {name}")).await;
        assert_eq!(ended.code, Some(1));
        assert_eq!(ended.told.lines().count(), 1, "{}", ended.told);
        assert!(ended.told.contains(expected), "{}", ended.told);
        assert!(!prompt.path(&format!("{name}.errors.jsonl")).exists());
    }
}

#[tokio::test]
async fn a_folder_and_its_files_have_the_same_names() {
    let prompt = Prompt::new().await;
    fs::create_dir(prompt.path("news")).unwrap();
    prompt.file("news/tide.txt", "Tide table\n\nHigh tide comes at noon on Sunday.");
    prompt.file(
        "news/ebb.html",
        "<html><head><title>Ebb table</title></head><body>Low tide comes at six.",
    );
    assert_eq!(prompt.run("import news/").await.code, Some(0));
    assert_eq!(prompt.ids().await, ["news/ebb.html", "news/tide.txt"]);
    let ended = prompt.run("submit --json ./news/tide.txt news/missing.txt news/ebb.html").await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.out.matches("\"replayed\":true").count(), 2, "{}", ended.out);
    assert!(ended.told.contains("cannot read news/missing.txt"), "{}", ended.told);
    assert!(ended.told.contains("1 of 3 files failed"), "{}", ended.told);
    assert_eq!(prompt.get("news/ebb.html").await.article.unwrap().title, "Ebb table");
    assert_eq!(prompt.ids().await.len(), 2);
}

#[tokio::test]
async fn a_server_that_is_being_started_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tide.txt"), "Tide table\n\nHigh tide comes at noon.").unwrap();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let submitting = run(folder.path(), address.to_string(), "submit tide.txt");
    let serving = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        TestServer::start_at(address, Limits::default()).await
    };
    let (ended, _server) = tokio::join!(submitting, serving);
    assert_eq!(ended.code, Some(0), "{}", ended.told);
}

#[tokio::test]
async fn a_bench_waits_until_its_server_serves() {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let bench = "bench --seconds 1 --calls unary --stored 10 --json";
    let command = format!("{bench} --wait 1 --addr {address}");
    let ended = run(folder.path(), address.to_string(), &command).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.told.contains("cannot reach a server at"), "{}", ended.told);

    let command = format!("{bench} --addr {address}");
    let measuring = run(folder.path(), address.to_string(), &command);
    let serving = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        TestServer::start_at(address, Limits::default()).await
    };
    let (ended, _server) = tokio::join!(measuring, serving);
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert!(ended.out.contains(r#""errors":0"#), "{}", ended.out);
}

#[tokio::test]
async fn health_is_an_exit_code() {
    let Prompt { server, folder } = Prompt::new().await;
    let address = server.address.to_string();
    let ended =
        run(folder.path(), address.clone(), "health --service newsprint.v1.ArticleService").await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "SERVING\n"));
    assert_eq!(run(folder.path(), address.clone(), "health --service no.such").await.code, Some(1));
    server.stop().await.unwrap();
    let ended = run(folder.path(), address, "health").await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("cannot reach a server at"), "{}", ended.told);
}

#[tokio::test]
async fn watching_shows_what_comes() {
    let prompt = Prompt::new().await;
    prompt.file(
        "tide.txt",
        "Tide table\n\nHigh tide comes at noon on Sunday, the harbour master says.",
    );
    let submitting = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        prompt.run("submit tide.txt").await
    };
    let (watched, submitted) =
        tokio::join!(prompt.run("watch --count 1 --interval 0.1"), submitting);
    assert_eq!((submitted.code, watched.code), (Some(0), Some(0)));
    assert!(watched.out.contains("UNIQUE") && watched.out.contains("tide.txt"), "{}", watched.out);
}
