//! A Redis cluster on loopback: three masters, each with a replica. It ends with the test program,
//! however that ends.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Masters, and as many replicas.
const MASTERS: usize = 3;

/// A node whose master is silent for so long takes over for it.
const NODE_TIMEOUT: Duration = Duration::from_millis(3000);

pub struct Nodes {
    pub nodes: Vec<Node>,
    _folder: TempDir,
}

/// How nodes are started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The address of each.
    pub hosts: [String; 2 * MASTERS],
    /// More lines of their configuration.
    pub settings: String,
    /// Where they take connections: `port`, or `tls-port`.
    pub port_setting: &'static str,
    /// What `redis-cli` is called with to reach them.
    pub cli: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            hosts: std::array::from_fn(|_| "127.0.0.1".to_owned()),
            settings: String::new(),
            port_setting: "port",
            cli: Vec::new(),
        }
    }
}

/// A node, kept by a shell that ends it when we are gone.
pub struct Node {
    pub host: String,
    pub port: u16,
    cli: Vec<String>,
    folder: PathBuf,
    pid: u32,
    _shell: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

impl Node {
    fn start(folder: &Path, setup: &Setup, host: &str, port: u16) -> Self {
        let folder = folder.join(port.to_string());
        fs::create_dir(&folder).unwrap();
        let mut settings = format!(
            "{} {port}\nbind {host}\ncluster-announce-ip {host}\nprotected-mode no\ndir {}\ncluster-enabled yes\n\
             cluster-node-timeout {}\ncluster-replica-validity-factor 0\n\
             appendonly yes\nappendfsync everysec\nsave \"\"\nrepl-diskless-sync-delay 0\n\
             pidfile {}/pid\ndaemonize no\nlogfile {}/log\nmaxmemory-policy noeviction\n",
            setup.port_setting,
            folder.display(),
            NODE_TIMEOUT.as_millis(),
            folder.display(),
            folder.display(),
        );
        settings.push_str(&setup.settings);
        fs::write(folder.join("redis.conf"), settings).unwrap();
        Node::run(folder, &setup.cli, host, port)
    }

    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The same node once more, after it was killed.
    pub fn restarted(&self) -> Self {
        Node::run(self.folder.clone(), &self.cli, &self.host, self.port)
    }

    fn run(folder: PathBuf, cli: &[String], host: &str, port: u16) -> Self {
        let file = folder.join("redis.conf");
        // The shell reads from us, and so learns of our end.
        let shell = "server=${REDIS_SERVER:-redis-server}; \"$server\" \"$1\" </dev/null & pid=$!; \
                     echo $pid > \"$2\"; read -r _; kill -9 $pid";
        let written = folder.join("started");
        let _ = fs::remove_file(&written);
        let child = Command::new("sh")
            .args(["-c", shell, "sh"])
            .args([&file, &written])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = wait_for("the node's process", || {
            fs::read_to_string(&written).ok()?.trim().parse().ok()
        });
        Node { host: host.to_owned(), port, cli: cli.to_vec(), folder, pid, _shell: child }
    }

    /// Sends a signal to the node's process.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill")
            .args([format!("-{name}"), self.pid.to_string()])
            .stderr(Stdio::null())
            .status();
    }

    pub fn is_master(&self) -> bool {
        self.ask(&["role"]).starts_with("master")
    }

    /// What the node answers to a command of `redis-cli`; empty if it does not.
    pub fn ask(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let cli = std::env::var("REDIS_CLI").unwrap_or_else(|_| "redis-cli".to_owned());
        let mut asked = Command::new("timeout");
        asked.args(["5", &cli, "-h", &self.host, "-p", &port]).args(&self.cli).args(command);
        asked.stderr(Stdio::null());
        String::from_utf8_lossy(&asked.output().unwrap().stdout).into_owned()
    }
}

impl Nodes {
    pub fn start() -> Self {
        Nodes::start_as(&Setup::default())
    }

    pub fn start_as(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = |(port, host): (u16, &String)| Node::start(folder.path(), setup, host, port);
        let nodes: Vec<Node> = ports().into_iter().zip(&setup.hosts).map(start).collect();
        for node in &nodes {
            wait_for("a node", || node.ask(&["ping"]).starts_with("PONG").then_some(()));
        }
        let nodes = Nodes { nodes, _folder: folder };
        let addresses: Vec<String> = nodes.nodes.iter().map(Node::address).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(addresses.iter().map(String::as_str));
        create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        let cli = std::env::var("REDIS_CLI").unwrap_or_else(|_| "redis-cli".to_owned());
        let mut created = Command::new("timeout");
        let created = created.args(["60", &cli]).args(&setup.cli).args(create).output().unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        nodes.wait_until_whole();
        nodes
    }

    /// Waits until every slot is served, and every master has its replica.
    pub fn wait_until_whole(&self) {
        wait_for("the cluster", || {
            let all = self.nodes.iter().all(|node| {
                let replication = node.ask(&["info", "replication"]);
                let is_replicated = if replication.contains("role:master") {
                    replication.contains("state=online")
                } else {
                    replication.contains("master_link_status:up")
                };
                is_replicated && node.ask(&["cluster", "info"]).contains("cluster_state:ok")
            });
            all.then_some(())
        });
    }

    /// Where newsprint finds it, with options.
    pub fn url(&self, options: &str) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(Node::address).collect();
        format!("redis://{}?{options}", hosts.join(","))
    }

    /// The cluster that tests share which do it no harm.
    pub fn shared() -> &'static Nodes {
        static SHARED: LazyLock<Nodes> = LazyLock::new(Nodes::start);
        &SHARED
    }
}

/// Ports that are free, and so are those of the cluster's own traffic, 10,000 above.
fn ports() -> Vec<u16> {
    let mut ports = Vec::new();
    while ports.len() < 2 * MASTERS {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let low = 20_000 + port % 20_000;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if !ports.contains(&low) && is_free(low) && is_free(low + 10_000) {
            ports.push(low);
        }
    }
    ports
}

pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}
