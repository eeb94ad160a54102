//! How the server is set up: built once, validated once, handed on by value.
//!
//! Flags win over `NEWSPRINT_*` variables, those over the TOML file, that over the defaults. Every
//! setting stands here once: its field is the flag, the variable and the key, and its value in
//! `default` is the one that the help tells.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches, ValueEnum};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::admission::{Admission, Amount};

/// Everything the server needs to know: the flags of `newsprint serve`.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Read settings from this TOML file; its keys are the names of these flags
    #[arg(long, env = "NEWSPRINT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address to serve gRPC on
    #[arg(long, env = "NEWSPRINT_LISTEN", value_name = "ADDR", default_value_t = Config::default().listen)]
    pub listen: SocketAddr,

    /// Folder of the embedded store, made if it is not there
    #[arg(long, env = "NEWSPRINT_DATA", value_name = "DIR", default_value_os_t = Config::default().data)]
    pub data: PathBuf,

    /// Cluster to keep everything in instead, shared by any number of servers:
    /// redis://host,host or rediss:// for TLS, see docs/cluster.md
    #[arg(long, env = "NEWSPRINT_STORE", value_name = "URL", hide_env_values = true)]
    pub store: Option<StoreUrl>,

    /// Address to serve /metrics, /healthz and health over gRPC on, or 'off'
    #[arg(long, env = "NEWSPRINT_HTTP", value_name = "ADDR|off", default_value_t = Config::default().http)]
    pub http: HttpAddr,

    /// Model file to use instead of the built-in model
    #[arg(long, env = "NEWSPRINT_MODEL", value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// Folder that CreateBackup makes its backups in
    #[arg(long, env = "NEWSPRINT_BACKUPS", value_name = "DIR", default_value_os_t = Config::default().backups)]
    pub backups: PathBuf,

    /// Room to leave on the disk: with less, submissions are answered UNAVAILABLE until there is
    /// more again
    #[arg(long, env = "NEWSPRINT_DISK_RESERVE_BYTES", value_name = "BYTES", default_value_t = Config::default().disk_reserve_bytes)]
    pub disk_reserve_bytes: u64,

    /// How to write the log
    #[arg(long, env = "NEWSPRINT_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = Config::default().log_format)]
    pub log_format: LogFormat,

    /// What to log: error, warn, info, debug, trace, or a filter such as newsprint=debug
    #[arg(long, env = "NEWSPRINT_LOG_LEVEL", value_name = "LEVEL", default_value_t = Config::default().log_level)]
    pub log_level: String,

    /// How long calls in work may go on after SIGTERM or Ctrl-C, in seconds
    #[arg(long, env = "NEWSPRINT_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = Config::default().drain_seconds)]
    pub drain_seconds: u64,

    #[command(flatten)]
    #[serde(flatten)]
    pub limits: Limits,

    #[command(flatten)]
    #[serde(flatten)]
    pub connections: ConnectionLimits,
}

/// What the server accepts. Sizes in bytes, after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Largest message, either way, after decompression
    #[arg(long, env = "NEWSPRINT_MESSAGE_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().message_bytes_max)]
    pub message_bytes_max: usize,

    /// Longest title
    #[arg(long, env = "NEWSPRINT_TITLE_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().title_bytes_max)]
    pub title_bytes_max: usize,

    /// Longest body
    #[arg(long, env = "NEWSPRINT_BODY_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().body_bytes_max)]
    pub body_bytes_max: usize,

    /// Most calls and articles in work at the same time; more are refused at once
    #[arg(long, env = "NEWSPRINT_IN_FLIGHT_MAX", value_name = "COUNT", default_value_t = Limits::default().in_flight_max)]
    pub in_flight_max: usize,

    /// Most bytes of requests and answers that are there at the same time: received, in work or not
    /// yet sent; what is more is refused at once
    #[arg(long, env = "NEWSPRINT_MEMORY_BYTES_MAX", value_name = "BYTES", default_value_t = Limits::default().memory_bytes_max)]
    pub memory_bytes_max: usize,

    /// Most collections; one more is refused
    #[arg(long, env = "NEWSPRINT_COLLECTIONS_MAX", value_name = "COUNT", default_value_t = Limits::default().collections_max)]
    pub collections_max: usize,
}

/// What a connection may do. Times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConnectionLimits {
    /// Most connections at the same time; more are closed at once
    #[arg(long, env = "NEWSPRINT_CONNECTIONS_MAX", value_name = "COUNT", default_value_t = ConnectionLimits::default().connections_max)]
    pub connections_max: usize,

    /// How long a new connection may take to say that it speaks HTTP/2
    #[arg(long, env = "NEWSPRINT_HANDSHAKE_SECONDS_MAX", value_name = "SECONDS", default_value_t = ConnectionLimits::default().handshake_seconds_max)]
    pub handshake_seconds_max: u64,

    /// How long a connection without calls is kept
    #[arg(long, env = "NEWSPRINT_IDLE_SECONDS_MAX", value_name = "SECONDS", default_value_t = ConnectionLimits::default().idle_seconds_max)]
    pub idle_seconds_max: u64,

    /// How long a message may take to arrive, from its first byte to its last
    #[arg(long, env = "NEWSPRINT_RECEIVE_SECONDS_MAX", value_name = "SECONDS", default_value_t = ConnectionLimits::default().receive_seconds_max)]
    pub receive_seconds_max: u64,

    /// How long a client may leave an answer lying without taking any of it
    #[arg(long, env = "NEWSPRINT_ANSWER_SECONDS_MAX", value_name = "SECONDS", default_value_t = ConnectionLimits::default().answer_seconds_max)]
    pub answer_seconds_max: u64,

    /// How old a connection may get before its client is asked to make a new one; 0 for any age
    #[arg(long, env = "NEWSPRINT_CONNECTION_AGE_SECONDS_MAX", value_name = "SECONDS", default_value_t = ConnectionLimits::default().connection_age_seconds_max)]
    pub connection_age_seconds_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            config: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            data: PathBuf::from("newsprint-data"),
            store: None,
            http: HttpAddr::At(SocketAddr::from(([127, 0, 0, 1], 9464))),
            model: None,
            backups: PathBuf::from("newsprint-backups"),
            disk_reserve_bytes: 256 << 20,
            log_format: LogFormat::Text,
            log_level: "info,fjall=warn,lsm_tree=warn".to_owned(),
            drain_seconds: 10,
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes_max: 4 << 20,
            title_bytes_max: 4 << 10,
            body_bytes_max: 1 << 20,
            in_flight_max: 4096,
            memory_bytes_max: 512 << 20,
            collections_max: 20_000,
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits {
            connections_max: 4096,
            handshake_seconds_max: 10,
            idle_seconds_max: 900,
            receive_seconds_max: 60,
            answer_seconds_max: 60,
            connection_age_seconds_max: 0,
        }
    }
}

impl Limits {
    pub const URL_BYTES_MAX: usize = 2048;
    pub const SOURCE_BYTES_MAX: usize = 256;
    pub const LANGUAGE_BYTES_MAX: usize = 35;
    pub const ATTRIBUTES_MAX: usize = 64;
    pub const ATTRIBUTE_KEY_BYTES_MAX: usize = 128;
    pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 4096;
    pub const BATCH_ARTICLES_MAX: usize = 1000;
    pub const MATCHES_MAX: usize = 100;
    pub const SIMILAR_MAX: usize = 1000;
    pub const PAGE_SIZE_MAX: usize = 1000;

    /// A batch is taken on as a whole, so a larger one could never be.
    pub fn batch_articles_max(&self) -> usize {
        Self::BATCH_ARTICLES_MAX.min(self.in_flight_max)
    }

    /// What has to be passed to be worked on under these limits.
    pub fn admission(&self) -> Admission {
        Admission::new(Amount { articles: self.in_flight_max, bytes: self.memory_bytes_max })
    }
}

impl ConnectionLimits {
    pub fn handshake_max(&self) -> Duration {
        Duration::from_secs(self.handshake_seconds_max)
    }

    pub fn idle_max(&self) -> Duration {
        Duration::from_secs(self.idle_seconds_max)
    }

    pub fn receive_max(&self) -> Duration {
        Duration::from_secs(self.receive_seconds_max)
    }

    pub fn answer_max(&self) -> Duration {
        Duration::from_secs(self.answer_seconds_max)
    }

    pub fn age_max(&self) -> Option<Duration> {
        let seconds = self.connection_age_seconds_max;
        (seconds > 0).then_some(Duration::from_secs(seconds))
    }
}

/// Where `/metrics`, `/healthz` and, for whoever asks by gRPC, the health of the server are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpAddr {
    At(SocketAddr),
    Off,
}

impl FromStr for HttpAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(HttpAddr::Off);
        }
        text.parse()
            .map(HttpAddr::At)
            .map_err(|_| format!("'{text}' is neither an address such as 127.0.0.1:9464 nor 'off'"))
    }
}

impl fmt::Display for HttpAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpAddr::At(addr) => addr.fmt(f),
            HttpAddr::Off => f.write_str("off"),
        }
    }
}

impl Serialize for HttpAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HttpAddr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a cluster is that everything is kept in. It may hold a password, which is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreUrl(String);

impl StoreUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme)) {
            Ok(StoreUrl(text.to_owned()))
        } else {
            Err("must begin with redis:// or rediss://".to_owned())
        }
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StoreUrl> for String {
    fn from(url: StoreUrl) -> Self {
        url.0
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
        write!(f, "{scheme}://{hosts}")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {0} is not there")]
    NoFile(PathBuf),
    #[error("the configuration cannot be read: {0}")]
    Unreadable(#[from] Box<figment::Error>),
    #[error(transparent)]
    Flags(#[from] clap::Error),
    #[error("{name} must be between {min} and {max}, not {value}")]
    OutOfRange { name: &'static str, min: usize, max: usize, value: usize },
}

impl Config {
    /// Puts the configuration together from flags and variables, the file they name, and defaults.
    pub fn load(matches: &ArgMatches) -> Result<Config, ConfigError> {
        let given = Config::from_arg_matches(matches)?;
        let config = match &given.config {
            Some(file) => given.clone().completed_by(file, matches)?,
            None => given,
        };
        config.limits.check()?;
        config.connections.check()?;
        Ok(config)
    }

    /// Takes from a file what neither a flag nor a variable says.
    fn completed_by(self, file: &Path, matches: &ArgMatches) -> Result<Config, ConfigError> {
        if !file.is_file() {
            return Err(ConfigError::NoFile(file.to_owned()));
        }
        let is_given = |id: &str| {
            let source = matches.value_source(id);
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let given = serde_json::to_value(&self).unwrap_or_default();
        let given: serde_json::Map<String, serde_json::Value> = match given {
            serde_json::Value::Object(all) => {
                all.into_iter().filter(|(key, _)| is_given(&key.replace('-', "_"))).collect()
            }
            _ => serde_json::Map::new(),
        };
        let figment = Figment::from(Serialized::defaults(Config::default()))
            .merge(Toml::file_exact(file))
            .merge(Serialized::defaults(given));
        let completed: Config = figment.extract().map_err(Box::new)?;
        Ok(Config { config: self.config, ..completed })
    }
}

fn check(name: &'static str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange { name, min, max, value })
    }
}

impl Limits {
    /// What an article or an answer may have beside its texts.
    const OTHER_BYTES_MAX: usize = 512 << 10;

    fn check(&self) -> Result<(), ConfigError> {
        // Positions within a text are kept in 30 bits.
        const TEXT_MAX: usize = 1 << 28;
        const MESSAGE_MAX: usize = 1 << 30;
        check("title-bytes-max", self.title_bytes_max, 1, TEXT_MAX)?;
        check("body-bytes-max", self.body_bytes_max, 1, TEXT_MAX)?;
        // Whatever was accepted can be answered with.
        let article = self.title_bytes_max + self.body_bytes_max + Self::OTHER_BYTES_MAX;
        check("message-bytes-max", self.message_bytes_max, article, MESSAGE_MAX)?;
        check("in-flight-max", self.in_flight_max, 1, 1 << 20)?;
        check("collections-max", self.collections_max, 1, 1 << 20)?;
        // A message that was too heavy for the budget could never be received.
        check("memory-bytes-max", self.memory_bytes_max, 8 * self.message_bytes_max, usize::MAX)
    }
}

impl ConnectionLimits {
    fn check(&self) -> Result<(), ConfigError> {
        const SECONDS_MAX: usize = 365 * 86_400;
        check("connections-max", self.connections_max, 1, 1 << 20)?;
        for (name, seconds) in [
            ("handshake-seconds-max", self.handshake_seconds_max),
            ("idle-seconds-max", self.idle_seconds_max),
            ("receive-seconds-max", self.receive_seconds_max),
            ("answer-seconds-max", self.answer_seconds_max),
        ] {
            check(name, seconds as usize, 1, SECONDS_MAX)?;
        }
        let age = self.connection_age_seconds_max as usize;
        check("connection-age-seconds-max", age, 0, SECONDS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_the_store_is_not_shown() {
        let url: StoreUrl = "rediss://news:secret@one:7000,two?shards=4".parse().unwrap();
        assert_eq!(format!("{url:?}"), "rediss://one:7000,two?shards=4");
        assert_eq!(url.as_str(), "rediss://news:secret@one:7000,two?shards=4");
        assert!("http://one".parse::<StoreUrl>().is_err());
    }

    /// Loads as `newsprint serve` does with these flags, and a file of that content.
    fn load(toml: &str, flags: &[&str]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("newsprint.toml");
        std::fs::write(&file, toml).unwrap();
        let flags = flags.iter().map(|flag| flag.to_string());
        let file = [String::from("--config"), file.display().to_string()];
        let mut config = load_flags(flags.chain(file))?;
        config.config = None;
        Ok(config)
    }

    fn load_flags(flags: impl IntoIterator<Item = String>) -> Result<Config, ConfigError> {
        let command = Config::augment_args(clap::Command::new("serve").no_binary_name(true));
        Config::load(&command.try_get_matches_from(flags)?)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let toml = "http = '127.0.0.1:1'\ntitle-bytes-max = 99\nidle-seconds-max = 7";
        let config = load(toml, &["--http", "off"]).unwrap();
        let expected = Config {
            http: HttpAddr::Off,
            limits: Limits { title_bytes_max: 99, ..Limits::default() },
            connections: ConnectionLimits { idle_seconds_max: 7, ..ConnectionLimits::default() },
            ..Config::default()
        };
        assert_eq!(config, expected);
        assert_eq!(load_flags([]).unwrap(), Config::default());
        // A flag that says the default wins too.
        let config = load("drain-seconds = 3", &["--drain-seconds", "10"]).unwrap();
        assert_eq!(config.drain_seconds, 10);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let check = |toml: &str, name: &str| {
            let error = load(toml, &[]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        };
        check("in-flight-max = 0", "in-flight-max");
        check("listen = 'here'", "listen");
        check("lissten = '127.0.0.1:1'", "lissten");
        check("log-format = 'xml'", "log-format");
        check("http = 'on'", "off");
        check("memory-bytes-max = 4194304", "memory-bytes-max");
        check("body-bytes-max = 8388608", "message-bytes-max");
        check("receive-seconds-max = 0", "receive-seconds-max");
        let missing = load_flags(["--config", "missing.toml"].map(String::from));
        assert!(missing.unwrap_err().to_string().contains("missing.toml"));
    }
}
