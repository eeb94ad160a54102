//! A disk that is full, and one that cannot be written to. They need a small file system of their
//! own: a tmpfs in a user namespace, which Linux lets anybody have unless it was told not to.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use newsprint::article::{ArticleId, CollectionName};
use newsprint::config::Limits;
use newsprint::engine::{Engine, EngineError};
use newsprint::store::{CollectionSettings, EmbeddedStore, StoreError, StoreOptions, check};
use tempfile::TempDir;

use crate::store::{submission, untitled, words};

pub const MIB: usize = 1 << 20;

/// A file system of 64 MiB that is there as long as this is.
pub struct SmallDisk {
    holder: Child,
    said: BufReader<std::process::ChildStdout>,
    mount: TempDir,
}

impl SmallDisk {
    pub fn new() -> Self {
        const SCRIPT: &str = "mount -t tmpfs -o size=64m tmpfs \"$0\" && echo mounted && \
             read -r _ && mount -o remount,ro \"$0\" && echo read-only && read -r _";
        let mount = tempfile::tempdir().unwrap();
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
            .arg(mount.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux) starts");
        let said = BufReader::new(holder.stdout.take().unwrap());
        let mut disk = SmallDisk { holder, said, mount };
        disk.wait_for("mounted\n");
        disk
    }

    fn wait_for(&mut self, expected: &str) {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line, expected, "a user namespace with a tmpfs in it can be had");
    }

    fn make_read_only(&mut self) {
        self.holder.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.wait_for("read-only\n");
    }

    /// Where we, who are not in its namespace, see it.
    pub fn path(&self) -> PathBuf {
        let inside = self.mount.path().strip_prefix("/").unwrap();
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside)
    }

    fn open(&self, disk_reserve_bytes: usize) -> Result<Engine, StoreError> {
        let disk_reserve_bytes = disk_reserve_bytes as u64;
        let options = StoreOptions { disk_reserve_bytes, ..StoreOptions::default() };
        let store = EmbeddedStore::open(&self.path().join("data"), options)?;
        let backups = self.path().join("backups");
        Ok(Engine::new(store, None, backups, Limits::default()).unwrap())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Submits large articles, several at once, until one is refused. Tells which are remembered, and
/// why the first was not.
async fn fill(engine: &Engine, numbers: std::ops::Range<u64>) -> (Vec<u64>, Option<EngineError>) {
    let mut remembered = Vec::new();
    let numbers: Vec<u64> = numbers.collect();
    for group in numbers.chunks(8) {
        let name = CollectionName::default();
        let submissions = group.iter().map(|&number| {
            let text = untitled(&words(number, 20_000));
            engine.submit(submission(&name, &number.to_string(), text))
        });
        let results = futures_util::future::join_all(submissions).await;
        let mut refused = None;
        for (&number, result) in group.iter().zip(results) {
            match result {
                Ok(_) => remembered.push(number),
                Err(error) => refused = Some(error),
            }
        }
        if refused.is_some() {
            return (remembered, refused);
        }
    }
    (remembered, None)
}

async fn assert_remembered(engine: &Engine, numbers: &[u64]) {
    for number in numbers {
        let id = newsprint::article::ArticleId::new(number.to_string()).unwrap();
        let stored = engine.get(&CollectionName::default(), &id).await.unwrap();
        assert_eq!(stored.article, untitled(&words(*number, 20_000)), "article {number}");
    }
}

#[tokio::test]
async fn with_too_little_room_reads_go_on_and_writes_come_back_by_themselves() {
    let disk = SmallDisk::new();
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 24 * MIB]).unwrap();
    let engine = disk.open(16 * MIB).unwrap();
    let (remembered, refused) = fill(&engine, 0..1000).await;
    assert!(!remembered.is_empty());
    let Some(EngineError::Store(StoreError::DiskFull { reserve_mib: 16, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_remembered(&engine, &remembered).await;

    fs::remove_file(&ballast).unwrap();
    let (more, refused) = fill(&engine, 1000..1016).await;
    assert_eq!(more.len(), 16, "{refused:?}");
    assert_remembered(&engine, &remembered).await;
    drop(engine);
    let report = check(&disk.path().join("data"), |_| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_write_that_fails_loses_nothing_and_the_store_opens_again_by_itself() {
    let disk = SmallDisk::new();
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 40 * MIB]).unwrap();
    let engine = disk.open(0).unwrap();
    let (remembered, refused) = fill(&engine, 0..1000).await;
    assert!(!remembered.is_empty());
    let Some(EngineError::Store(StoreError::Closed(_))) = refused else {
        panic!("{refused:?}");
    };

    // Nothing is changed while it is closed, in memory as little as on disk, and it says so.
    let name = CollectionName::default();
    let closed = |result: Result<(), EngineError>| {
        assert!(matches!(result, Err(EngineError::Store(StoreError::Closed(_)))), "{result:?}");
    };
    let (none, refused) = fill(&engine, 1000..1001).await;
    assert!(none.is_empty());
    closed(Err(refused.unwrap()));
    closed(engine.readiness());
    closed(engine.delete(&name, &ArticleId::new(remembered[0].to_string()).unwrap()).await);
    closed(engine.delete_collection(&name).await);
    let settings = CollectionSettings { keep_bodies: false, ..CollectionSettings::default() };
    closed(engine.update_collection(&name, settings).await.map(drop));
    let info = engine.collections().await.unwrap().remove(0);
    assert!(info.settings.keep_bodies);
    assert_eq!(info.article_count, remembered.len());
    assert_remembered(&engine, &remembered).await;

    fs::remove_file(&ballast).unwrap();
    let mut more = Vec::new();
    for attempt in 0.. {
        let (taken, refused) = fill(&engine, 1000..1016).await;
        more.extend(taken);
        match refused {
            None => break,
            Some(error) => assert!(attempt < 300, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    engine.readiness().unwrap();
    assert_remembered(&engine, &remembered).await;
    assert_remembered(&engine, &more).await;
    drop(engine);
    let report = check(&disk.path().join("data"), |_| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let engine = disk.open(0).unwrap();
    assert_remembered(&engine, &remembered).await;
    assert_remembered(&engine, &more).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_refused() {
    let mut disk = SmallDisk::new();
    drop(disk.open(0).unwrap());
    disk.make_read_only();
    let refused = disk.open(0).map(drop).unwrap_err().to_string();
    assert!(refused.contains("cannot be written to"), "{refused}");
    assert!(refused.contains("Read-only file system"), "{refused}");
}
