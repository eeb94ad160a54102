//! How the server is set up: built once, validated once, handed on by value.
//!
//! Flags win over `NEWSPRINT_*` variables, those over the TOML file, that over the defaults. Every
//! setting stands here once: its field is the flag, the variable and the key, and its value in
//! `default` is the one that the help tells.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, FromArgMatches, ValueEnum};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;
use serde::{Deserialize, Serialize};
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::Authority;

use crate::admission::{Admission, Amount};

/// Everything the server needs to know: the flags of `newsprint serve`.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Read settings from this TOML file; its keys are the names of these flags
    #[arg(long, env = "NEWSPRINT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address to serve gRPC on: 127.0.0.1:50051, localhost:50051, or :50051 for every address of
    /// this machine (IPv4; [::]:50051 for both kinds)
    #[arg(long, env = "NEWSPRINT_LISTEN", value_name = "ADDR", default_value_t = Config::default().listen, value_parser = parse_addr)]
    #[serde(deserialize_with = "deserialize_addr")]
    pub listen: SocketAddr,

    /// Folder of the embedded store, made if it is not there
    #[arg(long, env = "NEWSPRINT_DATA", value_name = "DIR", default_value_os_t = Config::default().data)]
    pub data: PathBuf,

    /// Cluster to keep everything in instead, shared by any number of servers:
    /// redis://host,host or rediss:// for TLS, see docs/cluster.md
    #[arg(long, env = "NEWSPRINT_STORE", value_name = "URL", hide_env_values = true)]
    pub store: Option<StoreUrl>,

    /// Address to serve /metrics, /livez, /readyz, /version, health over gRPC and the console on, or
    /// 'off'
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

    /// What to log: error, warn, info, debug, trace, or a filter such as newsprint=debug. Without it
    /// --quiet stands for warn and --verbose for debug
    #[arg(long, env = "NEWSPRINT_LOG_LEVEL", value_name = "LEVEL", default_value_t = Config::default().log_level)]
    pub log_level: String,

    /// How long calls are still taken after SIGTERM or Ctrl-C, in seconds, while health says
    /// NOT_SERVING: as long as whoever routes calls needs to hear of it
    #[arg(long, env = "NEWSPRINT_DRAIN_DELAY_SECONDS", value_name = "SECONDS", default_value_t = Config::default().drain_delay_seconds)]
    pub drain_delay_seconds: u64,

    /// How long calls in work may go on after SIGTERM or Ctrl-C, in seconds
    #[arg(long, env = "NEWSPRINT_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = Config::default().drain_seconds)]
    pub drain_seconds: u64,

    #[command(flatten)]
    #[serde(flatten)]
    pub limits: Limits,

    #[command(flatten)]
    #[serde(flatten)]
    pub connections: ConnectionLimits,

    #[command(flatten)]
    #[serde(flatten)]
    pub security: Security,

    #[command(flatten)]
    #[serde(flatten)]
    pub web: Web,

    #[command(flatten)]
    #[serde(flatten)]
    pub tracing: Tracing,
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

    /// How long a new connection may take to say that it speaks HTTP/2, or over HTTP/1.1 to send the
    /// headers of a request
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

    /// How long calls of a connection that got too old may go on
    #[arg(long, env = "NEWSPRINT_CONNECTION_AGE_GRACE_SECONDS_MAX", value_name = "SECONDS", default_value_t = ConnectionLimits::default().connection_age_grace_seconds_max)]
    pub connection_age_grace_seconds_max: u64,
}

/// Whom the server talks to, and how. The variables of the certificates have names of their own,
/// because those of the commands that call a server say what to show to it.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Security {
    /// Talk TLS, with the certificate in this PEM file, followed by those between it and its
    /// authority; read again when it changes
    #[arg(long, env = "NEWSPRINT_SERVER_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate, a PEM file
    #[arg(long, env = "NEWSPRINT_SERVER_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Ask clients for certificates of the authorities in this PEM file
    #[arg(long, env = "NEWSPRINT_SERVER_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Refuse the certificates that the lists in this PEM file name as revoked: one list of each of
    /// those authorities; read again when it changes
    #[arg(long, env = "NEWSPRINT_SERVER_TLS_CLIENT_CRL", value_name = "FILE")]
    pub tls_client_crl: Option<PathBuf>,

    /// Whether clients without a certificate are refused, or may show a token instead
    #[arg(long, env = "NEWSPRINT_SERVER_TLS_CLIENT_AUTH", value_name = "WHEN", value_enum, default_value_t = Security::default().tls_client_auth)]
    pub tls_client_auth: ClientAuth,

    /// Let only those call whom this TOML file knows by a token or certificate, and each only what
    /// it says; read again when it changes. 'newsprint token create' makes entries for it
    #[arg(long, env = "NEWSPRINT_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Serve AdminService on this address, and only there
    #[arg(long, env = "NEWSPRINT_ADMIN_LISTEN", value_name = "ADDR", value_parser = parse_addr)]
    pub admin_listen: Option<SocketAddr>,

    /// Whether whoever asks is told the schema: server reflection
    #[arg(long, env = "NEWSPRINT_REFLECTION", value_name = "BOOL", action = clap::ArgAction::Set, default_value_t = Security::default().reflection)]
    pub reflection: bool,
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    Required,
    Optional,
}

/// What browsers find, and whose pages may call.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Web {
    /// Serve the console on the address of --http: a page to try the service with and to look
    /// around. It calls by gRPC-Web, which is then served there too
    #[arg(long, env = "NEWSPRINT_CONSOLE", value_name = "BOOL", action = ArgAction::Set, default_value_t = Web::default().console)]
    pub console: bool,

    /// Origins whose pages may call by gRPC-Web, such as https://desk.example, or '*' for all. The
    /// console needs to be allowed only where it is reached under a name other than localhost
    #[arg(long, env = "NEWSPRINT_ALLOWED_ORIGINS", value_name = "ORIGIN,…", value_delimiter = ',')]
    pub allowed_origins: Vec<AllowedOrigin>,
}

/// Where traces of calls go.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tracing {
    /// Send traces of calls to a collector of OpenTelemetry, by OTLP over gRPC, such as
    /// http://127.0.0.1:4317; takes a program that was built with the feature 'otlp'
    #[arg(long, env = "NEWSPRINT_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Which part of the calls is traced, from 0 to 1, of those whose clients do not say whether
    /// theirs are
    #[arg(long, env = "NEWSPRINT_OTLP_SAMPLE_RATIO", value_name = "RATIO", default_value_t = Tracing::default().otlp_sample_ratio)]
    pub otlp_sample_ratio: f64,

    /// What the server is called in traces
    #[arg(long, env = "NEWSPRINT_OTLP_SERVICE_NAME", value_name = "NAME", default_value_t = Tracing::default().otlp_service_name)]
    pub otlp_service_name: String,
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
            drain_delay_seconds: 0,
            drain_seconds: 10,
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
            security: Security::default(),
            web: Web::default(),
            tracing: Tracing::default(),
        }
    }
}

impl Default for Tracing {
    fn default() -> Self {
        Tracing {
            otlp_endpoint: None,
            otlp_sample_ratio: 0.01,
            otlp_service_name: "newsprint".to_owned(),
        }
    }
}

impl Default for Web {
    fn default() -> Self {
        Web { console: true, allowed_origins: Vec::new() }
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
            connection_age_grace_seconds_max: 60,
        }
    }
}

impl Default for Security {
    fn default() -> Self {
        Security {
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            tls_client_crl: None,
            tls_client_auth: ClientAuth::Required,
            tokens: None,
            admin_listen: None,
            reflection: true,
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

    pub fn age_grace(&self) -> Duration {
        Duration::from_secs(self.connection_age_grace_seconds_max)
    }
}

impl Tracing {
    fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.otlp_sample_ratio) {
            return Err(ConfigError::NoShare("otlp-sample-ratio", self.otlp_sample_ratio));
        }
        let is_url = |url: &String| {
            url.parse::<Uri>().is_ok_and(|url| {
                matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some()
            })
        };
        match &self.otlp_endpoint {
            Some(url) if !is_url(url) => Err(ConfigError::NoUrl("otlp-endpoint", url.clone())),
            _ => Ok(()),
        }
    }
}

impl Security {
    fn check(&self) -> Result<(), ConfigError> {
        let is_optional = self.tls_client_auth == ClientAuth::Optional;
        for (is_there, name, needs, is_met) in [
            (self.tls_cert.is_some(), "tls-cert", "tls-key", self.tls_key.is_some()),
            (self.tls_key.is_some(), "tls-key", "tls-cert", self.tls_cert.is_some()),
            (self.tls_client_ca.is_some(), "tls-client-ca", "tls-cert", self.tls_cert.is_some()),
            (
                self.tls_client_crl.is_some(),
                "tls-client-crl",
                "tls-client-ca",
                self.tls_client_ca.is_some(),
            ),
            // Otherwise certificates would be asked for and nobody would have to have one.
            (is_optional, "tls-client-auth = optional", "tokens", self.tokens.is_some()),
        ] {
            if is_there && !is_met {
                return Err(ConfigError::Needs { name, needs });
            }
        }
        Ok(())
    }

    /// Whether nothing but a certificate tells who calls. Whoever comes in by another way than TLS,
    /// as the console's page does, would be let in unasked.
    pub fn asks_for_certificates_alone(&self) -> bool {
        self.tls_client_ca.is_some() && self.tokens.is_none()
    }

    /// What is to be said of listening at an address without more.
    pub fn warning(&self, address: SocketAddr) -> Option<&'static str> {
        let asks = self.tokens.is_some() || self.tls_client_ca.is_some();
        match (address.ip().is_loopback(), self.tls_cert.is_some(), asks) {
            (true, _, _) | (_, true, true) => None,
            (_, false, false) => Some(
                "ANYBODY who reaches this address can read, write and delete everything, and listen \
                 in: set --tls-cert and --tokens, or see that only a proxy reaches it that asks",
            ),
            (_, true, false) => Some(
                "ANYBODY who reaches this address can read, write and delete everything: set \
                 --tokens or --tls-client-ca",
            ),
            (_, false, true) => Some(
                "tokens and articles come to this address IN THE CLEAR: set --tls-cert, or see that \
                 only a proxy reaches it that talks TLS",
            ),
        }
    }
}

/// Reads an address to listen on. Of a name with several addresses the first is taken, IPv4 before
/// IPv6, as the default has it.
fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if port.parse::<u16>().is_err() {
        return Err(format!("'{text}' is no address such as 127.0.0.1:50051 or localhost:50051"));
    }
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let found = format!("{host}:{port}").to_socket_addrs();
    let mut found: Vec<SocketAddr> = found.into_iter().flatten().collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| format!("'{host}' is no address or name of this machine"))
}

fn deserialize_addr<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    parse_addr(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// Where `/metrics`, `/readyz` and their like and, for whoever asks by gRPC, the health of the server
/// are served.
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
        parse_addr(text).map(HttpAddr::At).map_err(|error| format!("{error}; 'off' for none"))
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

/// An origin of pages as browsers write it, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    Any,
    One(String),
}

impl AllowedOrigin {
    pub fn covers(&self, origin: &str) -> bool {
        match self {
            AllowedOrigin::Any => true,
            AllowedOrigin::One(one) => one == origin,
        }
    }
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(AllowedOrigin::Any);
        }
        // Browsers write neither a path nor capitals.
        let is_origin = |rest: &str| {
            rest.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@'))
                && !rest.contains(char::is_uppercase)
        };
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match rest.is_some_and(is_origin) {
            true => Ok(AllowedOrigin::One(text.to_owned())),
            false => Err(format!(
                "'{text}' is neither an origin such as https://desk.example, without a path, nor '*'"
            )),
        }
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AllowedOrigin::Any => "*",
            AllowedOrigin::One(one) => one,
        })
    }
}

impl Serialize for AllowedOrigin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AllowedOrigin {
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

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {0} is not there")]
    NoFile(PathBuf),
    #[error("{}: {reason}", place(file, *line))]
    Unreadable { file: PathBuf, line: Option<usize>, reason: String },
    #[error(transparent)]
    Flags(#[from] clap::Error),
    #[error("{name} must be between {min} and {max}, not {value}")]
    OutOfRange { name: &'static str, min: usize, max: usize, value: usize },
    #[error("{0} must be between 0 and 1, not {1}")]
    NoShare(&'static str, f64),
    #[error("{0} must be a URL such as http://127.0.0.1:4317, not '{1}'")]
    NoUrl(&'static str, String),
    #[error("{name} makes sense together with {needs} only")]
    Needs { name: &'static str, needs: &'static str },
}

fn place(file: &Path, line: Option<usize>) -> String {
    let file = file.display();
    line.map_or_else(|| file.to_string(), |line| format!("{file} line {line}"))
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
        config.security.check()?;
        config.tracing.check()?;
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
        let settings: BTreeMap<String, Value> = Figment::from(Toml::file_exact(file))
            .extract()
            .map_err(|error| unreadable(file, None, &error))?;
        check_known(file, settings.keys())?;
        for (key, value) in &settings {
            let alone = Figment::from(Serialized::defaults(Config::default()))
                .merge(Serialized::default(key, value));
            // Each by itself: of all together the error does not say in which it is.
            alone.extract::<Config>().map_err(|error| unreadable(file, Some(key), &error))?;
        }
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
        let completed: Config =
            figment.extract().map_err(|error| unreadable(file, None, &error))?;
        Ok(Config { config: self.config, ..completed })
    }
}

/// The names of all settings, as a file has them.
fn names() -> Vec<String> {
    match serde_json::to_value(Config::default()) {
        Ok(serde_json::Value::Object(settings)) => settings.into_iter().map(|it| it.0).collect(),
        _ => Vec::new(),
    }
}

fn check_known<'a>(
    file: &Path,
    mut keys: impl Iterator<Item = &'a String>,
) -> Result<(), ConfigError> {
    let names = names();
    let Some(key) = keys.find(|key| !names.contains(key)) else { return Ok(()) };
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(name, key), name));
    let near = near.filter(|(edits, _)| *edits <= 3).min();
    let near = near.map_or(String::new(), |(_, name)| format!(" (is it '{name}'?)"));
    let names = names.join(", ");
    Err(ConfigError::Unreadable {
        file: file.to_owned(),
        line: line_of(file, key),
        reason: format!("there is no setting '{key}'{near}; there are {names}"),
    })
}

fn unreadable(file: &Path, key: Option<&str>, error: &figment::Error) -> ConfigError {
    let reason = match key {
        Some(key) => format!("{key}: {}", error.kind),
        // Of a file that is no TOML, the parser tells where.
        None => error.kind.to_string(),
    };
    let line = key.and_then(|key| line_of(file, key));
    ConfigError::Unreadable { file: file.to_owned(), line, reason }
}

/// The line on which a setting stands: a name, and then an equals sign.
fn line_of(file: &Path, key: &str) -> Option<usize> {
    let text = std::fs::read_to_string(file).ok()?;
    let is_it = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        name.trim_matches(['"', '\'']) == key
    };
    text.lines().position(is_it).map(|line| line + 1)
}

fn check(name: &'static str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange { name, min, max, value })
    }
}

/// A file of settings is refused, or can be worked with: the limits hold together, and the settings
/// are the same when they are written down and read again.
#[cfg(any(fuzzing, test))]
#[expect(clippy::unwrap_used, reason = "an oracle says no by a panic")]
pub fn check_file(text: &str) {
    // Names are not looked up: that would ask other machines.
    let is_literal = |value: &Value| {
        value.as_str().is_none_or(|text| text == "off" || text.parse::<SocketAddr>().is_ok())
    };
    let settings = Figment::from(Toml::string(text)).extract::<BTreeMap<String, Value>>();
    let addresses = ["listen", "http", "admin-listen"];
    if settings.is_ok_and(|it| !addresses.iter().all(|key| it.get(*key).is_none_or(is_literal))) {
        return;
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let command = Config::augment_args(clap::Command::new("serve").no_binary_name(true));
    let flags = [std::ffi::OsStr::new("--config"), file.path().as_os_str()];
    let Ok(config) = Config::load(&command.try_get_matches_from(flags).unwrap()) else { return };
    config.limits.admission();
    config.connections.age_max();
    assert!(config.limits.batch_articles_max() > 0);
    let written = Figment::from(Serialized::defaults(&config)).extract::<Config>().unwrap();
    assert_eq!(Config { config: None, ..config }, written);
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
        check("connection-age-seconds-max", age, 0, SECONDS_MAX)?;
        let grace = self.connection_age_grace_seconds_max as usize;
        check("connection-age-grace-seconds-max", grace, 0, SECONDS_MAX)
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
        let origins = |config: Config| {
            config.web.allowed_origins.iter().map(|o| o.to_string()).collect::<Vec<_>>()
        };
        let toml = "console = false\nallowed-origins = ['https://desk.example']";
        assert!(!load(toml, &[]).unwrap().web.console);
        assert_eq!(origins(load(toml, &[]).unwrap()), ["https://desk.example"]);
        let flag = ["--allowed-origins", "http://localhost:3000,https://a.example"];
        assert_eq!(
            origins(load(toml, &flag).unwrap()),
            ["http://localhost:3000", "https://a.example"]
        );
        // A flag that says the default wins too.
        let config = load("drain-seconds = 3", &["--drain-seconds", "10"]).unwrap();
        assert_eq!(config.drain_seconds, 10);
    }

    /// A comment is what is between a '#' and a blank; a setting stands right after its '#'.
    #[test]
    fn the_sample_has_every_setting_with_its_default() {
        let sample = include_str!("../deploy/newsprint.toml");
        assert_eq!(load(sample, &[]).unwrap(), Config::default(), "as it is it changes nothing");
        let settings = sample.lines().filter_map(|line| line.strip_prefix('#'));
        let settings: Vec<&str> = settings.filter(|line| !line.starts_with(' ')).collect();
        let value = |config: &Config| serde_json::to_value(config).unwrap();
        let defaults = value(&Config::default());
        let mut known: Vec<&String> = defaults.as_object().unwrap().keys().collect();
        let mut shown: Vec<&str> =
            settings.iter().filter_map(|line| line.split(' ').next()).collect();
        known.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, known);
        let mut loaded = value(&load(&settings.join("\n"), &[]).unwrap());
        for (name, default) in defaults.as_object().unwrap() {
            // What is not set unless somebody sets it has an example.
            if default.is_null() {
                assert!(!loaded[name].is_null(), "{name}");
                loaded[name] = serde_json::Value::Null;
            }
        }
        assert_eq!(loaded, defaults);
    }

    #[test]
    fn an_address_may_be_a_name() {
        let addr = |text: &str| parse_addr(text).map(|addr| addr.to_string());
        assert_eq!(addr("localhost:50051").as_deref(), Ok("127.0.0.1:50051"));
        assert_eq!(addr(":50051").as_deref(), Ok("0.0.0.0:50051"));
        assert_eq!(addr("[::]:50051").as_deref(), Ok("[::]:50051"));
        for wrong in ["", "50051", "localhost", "localhost:http", "no.such.name.invalid:1"] {
            assert!(addr(wrong).is_err(), "{wrong}");
        }
        assert_eq!(load("listen = 'localhost:7'", &[]).unwrap().listen.port(), 7);
        assert_eq!(load("", &["--http", ":7"]).unwrap().http.to_string(), "0.0.0.0:7");
    }

    #[test]
    fn settings_of_security_come_from_everywhere() {
        let toml = "tls-cert = 'a.crt'\ntls-key = 'a.key'\nreflection = false";
        let config = load(toml, &["--tls-key", "b.key", "--tokens", "tokens.toml"]).unwrap();
        let expected = Security {
            tls_cert: Some("a.crt".into()),
            tls_key: Some("b.key".into()),
            tokens: Some("tokens.toml".into()),
            reflection: false,
            ..Security::default()
        };
        assert_eq!(config.security, expected);
    }

    #[test]
    fn an_open_door_is_warned_of() {
        let open = Security::default();
        let tls = Security { tls_cert: Some("a".into()), ..open.clone() };
        let tokens = Security { tokens: Some("a".into()), ..open.clone() };
        let both = Security { tokens: Some("a".into()), ..tls.clone() };
        let mutual = Security { tls_client_ca: Some("a".into()), ..tls.clone() };
        for loopback in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1"] {
            assert_eq!(open.warning(loopback.parse().unwrap()), None);
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            let warning = |security: &Security| security.warning(address.parse().unwrap());
            assert!(warning(&open).unwrap().contains("--tls-cert and --tokens"));
            assert!(warning(&tls).unwrap().contains("--tokens or --tls-client-ca"));
            assert!(warning(&tokens).unwrap().contains("IN THE CLEAR"));
            assert_eq!((warning(&both), warning(&mutual)), (None, None));
        }
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
        check("allowed-origins = ['https://desk.example/page']", "without a path");
        check("allowed-origins = ['Desk.example']", "desk.example");
        let told =
            load("drain-seconds = 3\n\nlissten = '127.0.0.1:1'", &[]).unwrap_err().to_string();
        assert!(
            told.contains("newsprint.toml line 3: there is no setting 'lissten' (is it 'listen'?)"),
            "{told}"
        );
        assert!(
            told.contains("; there are ")
                && told.contains(", backups, ")
                && told.contains(", title-bytes-max"),
            "{told}"
        );
        check("drain-seconds = 'long'", "newsprint.toml line 1: drain-seconds: ");
        check("\nin-flight-max = 'many'", "newsprint.toml line 2: in-flight-max: ");
        check("drain-seconds = ", "newsprint.toml: ");
        check("memory-bytes-max = 4194304", "memory-bytes-max");
        check("body-bytes-max = 8388608", "message-bytes-max");
        check("receive-seconds-max = 0", "receive-seconds-max");
        check("tls-cert = 'server.crt'", "tls-key");
        check("tls-client-ca = 'ca.crt'", "tls-cert");
        check("tls-client-crl = 'ca.crl'", "tls-client-ca");
        check("tls-client-auth = 'optional'", "tokens");
        check("tls-client-auth = 'maybe'", "tls-client-auth");
        check("reflection = 'no'", "reflection");
        check("otlp-sample-ratio = 1.5", "otlp-sample-ratio must be between 0 and 1");
        check("otlp-endpoint = 'collector:4317'", "otlp-endpoint must be a URL");
        let missing = load_flags(["--config", "missing.toml"].map(String::from));
        assert!(missing.unwrap_err().to_string().contains("missing.toml"));
    }
}
