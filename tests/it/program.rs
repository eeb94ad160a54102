//! The program itself, in a process of its own: what it writes to its log, and what it says over
//! HTTP.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use newsprint::api::pb::article_service_client::ArticleServiceClient;
use serde_json::Value;
use tonic::transport::Channel;

use crate::metrics::Scrape;
use crate::server::{connect, wait_until_serving};

/// Longer than anything takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Program {
    child: Child,
    lines: mpsc::Receiver<Value>,
    /// What the log has said so far.
    pub said: Vec<Value>,
    pub address: SocketAddr,
    pub http: SocketAddr,
    _data: Option<tempfile::TempDir>,
}

impl Program {
    /// Starts it with these flags beside those that it needs, and waits until it is ready.
    pub async fn start(flags: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("data").display().to_string();
        let flags = [&["--data", folder.as_str()], flags].concat();
        let mut program = Self::start_in(&flags).await;
        program._data = Some(data);
        program
    }

    /// The same in a data folder that the flags name.
    pub async fn start_in(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_newsprint"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
        Self::run(command).await
    }

    /// The same by a command of one's own.
    pub async fn run(mut command: Command) -> Self {
        let mut child = command
            .args(["--http", "127.0.0.1:0", "--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut program = Program {
            child,
            lines,
            said: Vec::new(),
            address: nowhere,
            http: nowhere,
            _data: None,
        };
        let address = |line: &Value| line["address"].as_str().unwrap().parse().unwrap();
        program.http = address(program.wait_for("serving /metrics and /healthz"));
        program.address = address(program.wait_for("listening"));
        wait_until_serving(connect(program.address).await).await;
        program
    }

    pub async fn articles(&self) -> ArticleServiceClient<Channel> {
        ArticleServiceClient::new(connect(self.address).await)
    }

    /// Waits for a line of the log with this message, which may have been written before.
    pub fn wait_for(&mut self, message: &str) -> &Value {
        let deadline = Instant::now() + PATIENCE;
        let is_it = |line: &Value| line["message"] == message;
        while !self.said.iter().any(is_it) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(error) => panic!("it does not say '{message}': {error}; {:?}", self.said),
            }
        }
        self.said.iter().find(|line| is_it(line)).unwrap()
    }

    /// The lines of the log with this message until now.
    pub fn lines_of(&mut self, message: &str) -> Vec<&Value> {
        self.said.extend(self.lines.try_iter());
        self.said.iter().filter(|line| line["message"] == message).collect()
    }

    pub async fn scrape(&self) -> Scrape {
        let response = get(self.http, "/metrics").await;
        Scrape::parse(response.split_once("\r\n\r\n").unwrap().1)
    }

    pub async fn scrape_until(&self, is_enough: impl Fn(&Scrape) -> bool) -> Scrape {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let scrape = self.scrape().await;
            if is_enough(&scrape) {
                return scrape;
            }
            assert!(Instant::now() < deadline, "the metrics do not come to it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until `/readyz` answers this.
    pub async fn wait_until_readyz(&self, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = get(self.http, "/readyz").await;
            if response.ends_with(&format!("\r\n\r\n{expected}\n")) {
                return;
            }
            assert!(Instant::now() < deadline, "/readyz says {response}, not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end, and returns everything that it has written to its log.
    pub fn ended(mut self) -> Vec<Value> {
        assert!(self.child.wait().unwrap().success());
        let mut said = std::mem::take(&mut self.said);
        said.extend(self.lines.iter());
        said
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole response to a GET.
pub async fn get(address: SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    response
}
