//! How the server is set up: built once, validated once, handed on by value.
//!
//! Flags win over `NEWSPRINT_*` variables, those over the TOML file, that over the defaults. Flags
//! and keys have the same names.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

/// Everything the server needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    pub listen: SocketAddr,
    pub data: PathBuf,
    pub http: HttpAddr,
    pub model: Option<PathBuf>,
    pub backups: PathBuf,
    pub disk_reserve_bytes: u64,
    pub log_format: LogFormat,
    pub log_level: String,
    pub drain_seconds: u64,
    #[serde(flatten)]
    pub limits: Limits,
}

/// What the server accepts. Sizes in bytes, after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    pub message_bytes_max: usize,
    pub title_bytes_max: usize,
    pub body_bytes_max: usize,
    pub in_flight_max: usize,
    pub collections_max: usize,
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
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes_max: 4 << 20,
            title_bytes_max: 4 << 10,
            body_bytes_max: 1 << 20,
            in_flight_max: 4096,
            collections_max: 20_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            data: PathBuf::from("newsprint-data"),
            http: HttpAddr::At(SocketAddr::from(([127, 0, 0, 1], 9464))),
            model: None,
            backups: PathBuf::from("newsprint-backups"),
            disk_reserve_bytes: 256 << 20,
            log_format: LogFormat::Text,
            log_level: "info,fjall=warn,lsm_tree=warn".to_owned(),
            drain_seconds: 10,
            limits: Limits::default(),
        }
    }
}

/// Where `/metrics` and `/healthz` are served.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The flags of `newsprint serve`.
#[derive(Debug, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServeArgs {
    /// Read settings from this TOML file; its keys are the names of these flags
    #[arg(long, env = "NEWSPRINT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address to serve gRPC on [default: 127.0.0.1:50051]
    #[arg(long, env = "NEWSPRINT_LISTEN", value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,

    /// Folder of the embedded store, made if it is not there [default: newsprint-data]
    #[arg(long, env = "NEWSPRINT_DATA", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,

    /// Address to serve /metrics and /healthz on, or 'off' [default: 127.0.0.1:9464]
    #[arg(long, env = "NEWSPRINT_HTTP", value_name = "ADDR|off")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAddr>,

    /// Model file to use instead of the built-in model
    #[arg(long, env = "NEWSPRINT_MODEL", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,

    /// Folder that CreateBackup makes its backups in [default: newsprint-backups]
    #[arg(long, env = "NEWSPRINT_BACKUPS", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups: Option<PathBuf>,

    /// Room to leave on the disk: with less, submissions are answered UNAVAILABLE until there is
    /// more again [default: 268435456]
    #[arg(long, env = "NEWSPRINT_DISK_RESERVE_BYTES", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_reserve_bytes: Option<u64>,

    /// How to write the log [default: text]
    #[arg(long, env = "NEWSPRINT_LOG_FORMAT", value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,

    /// What to log: error, warn, info, debug, trace, or a filter such as newsprint=debug
    /// [default: info, and only warnings of the storage engine]
    #[arg(long, env = "NEWSPRINT_LOG_LEVEL", value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,

    /// How long calls in work may go on after SIGTERM or Ctrl-C, in seconds [default: 10]
    #[arg(long, env = "NEWSPRINT_DRAIN_SECONDS", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<u64>,

    /// Largest message, either way, after decompression [default: 4194304]
    #[arg(long, env = "NEWSPRINT_MESSAGE_BYTES_MAX", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_bytes_max: Option<usize>,

    /// Longest title [default: 4096]
    #[arg(long, env = "NEWSPRINT_TITLE_BYTES_MAX", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_bytes_max: Option<usize>,

    /// Longest body [default: 1048576]
    #[arg(long, env = "NEWSPRINT_BODY_BYTES_MAX", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<usize>,

    /// Most articles in work at the same time; more are refused at once [default: 4096]
    #[arg(long, env = "NEWSPRINT_IN_FLIGHT_MAX", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_max: Option<usize>,

    /// Most collections; one more is refused [default: 20000]
    #[arg(long, env = "NEWSPRINT_COLLECTIONS_MAX", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collections_max: Option<usize>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {0} is not there")]
    NoFile(PathBuf),
    #[error("the configuration cannot be read: {0}")]
    Unreadable(#[from] Box<figment::Error>),
    #[error("{name} must be between {min} and {max}, not {value}")]
    OutOfRange { name: &'static str, min: usize, max: usize, value: usize },
}

impl Config {
    /// Puts the configuration together from flags and variables, the file they name, and defaults.
    pub fn load(args: &ServeArgs) -> Result<Config, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        if let Some(file) = &args.config {
            if !file.is_file() {
                return Err(ConfigError::NoFile(file.clone()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Config =
            figment.merge(Serialized::defaults(args)).extract().map_err(Box::new)?;
        config.limits.check()?;
        Ok(config)
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        // Positions within a text are kept in 30 bits.
        const TEXT_MAX: usize = 1 << 28;
        let check = |name, value, min, max| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { name, min, max, value })
            }
        };
        check("message-bytes-max", self.message_bytes_max, 1024, 1 << 30)?;
        check("title-bytes-max", self.title_bytes_max, 1, TEXT_MAX)?;
        check("body-bytes-max", self.body_bytes_max, 1, TEXT_MAX)?;
        check("in-flight-max", self.in_flight_max, 1, 1 << 20)?;
        check("collections-max", self.collections_max, 1, 1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, args: ServeArgs) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("newsprint.toml");
        std::fs::write(&file, toml).unwrap();
        Config::load(&ServeArgs { config: Some(file), ..args })
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let args = ServeArgs { http: Some(HttpAddr::Off), ..ServeArgs::default() };
        let config = load("http = '127.0.0.1:1'\ntitle-bytes-max = 99", args).unwrap();
        let expected = Config {
            http: HttpAddr::Off,
            limits: Limits { title_bytes_max: 99, ..Limits::default() },
            ..Config::default()
        };
        assert_eq!(config, expected);
        assert_eq!(Config::load(&ServeArgs::default()).unwrap(), Config::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let check = |toml: &str, name: &str| {
            let error = load(toml, ServeArgs::default()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        };
        check("in-flight-max = 0", "in-flight-max");
        check("listen = 'here'", "listen");
        check("lissten = '127.0.0.1:1'", "lissten");
        check("log-format = 'xml'", "log-format");
        check("http = 'on'", "off");
        let missing = ServeArgs { config: Some("missing.toml".into()), ..ServeArgs::default() };
        assert!(Config::load(&missing).unwrap_err().to_string().contains("missing.toml"));
    }
}
