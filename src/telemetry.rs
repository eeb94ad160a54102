//! The log and the metrics of the process. Neither ever holds an article's text.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{Config, LogFormat};

/// Upper bounds of the buckets of every histogram of seconds.
const SECONDS: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0,
    2.5, 10.0,
];

/// Upper bounds of the buckets of every other histogram: counts.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Lines that one place in the code may write in a period. What clients do decides how often most
/// places are come by; none may fill the disk.
const LINES_MAX: u32 = 20;
const LINES_PERIOD: Duration = Duration::from_secs(10);

/// The target of lines about who did what, and who was refused.
const AUDIT: &str = "audit";

/// The name of events that are never left out for their number.
pub const ALWAYS_WRITTEN: &str = "always written";

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log-level '{0}' is not a level such as info, nor a filter such as newsprint=debug")]
    Level(String),
    #[error("the log is already set up: {0}")]
    Twice(String),
}

/// The log of the process, to change its level while it is written.
pub struct Log {
    level: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Starts the log on standard error.
    pub fn start(config: &Config) -> Result<Log, TelemetryError> {
        let (level, handle) = reload::Layer::new(level(config)?);
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        let lines = match config.log_format {
            LogFormat::Text => lines.with_target(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let log =
            tracing_subscriber::registry().with(level).with(lines.with_filter(Rate::default()));
        log.try_init().map_err(|error| TelemetryError::Twice(error.to_string()))?;
        Ok(Log { level: handle })
    }

    /// Follows the log level of another configuration from now on.
    pub fn reload(&self, config: &Config) -> Result<(), TelemetryError> {
        let level = level(config)?;
        self.level.reload(level).map_err(|error| TelemetryError::Twice(error.to_string()))
    }
}

fn level(config: &Config) -> Result<EnvFilter, TelemetryError> {
    let refused = |_| TelemetryError::Level(config.log_level.clone());
    // Who was let in and who was not is written whatever else is, unless it is turned off by name.
    let audit = if config.log_level.contains(AUDIT) { "" } else { ",audit=info" };
    EnvFilter::try_new(format!("{}{audit}", config.log_level)).map_err(refused)
}

/// Lets through only so many lines from one place in the code, and counts the others.
#[derive(Default)]
struct Rate {
    places: Mutex<HashMap<Identifier, Place>>,
}

struct Place {
    began: Instant,
    lines: u32,
}

impl Rate {
    fn is_let_through(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.places.lock();
        let place = places.entry(place).or_insert(Place { began: now, lines: 0 });
        if now.duration_since(place.began) >= LINES_PERIOD {
            *place = Place { began: now, lines: 0 };
        }
        place.lines = place.lines.saturating_add(1);
        place.lines <= LINES_MAX
    }
}

impl<S: Subscriber> Filter<S> for Rate {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.name() == ALWAYS_WRITTEN {
            return true;
        }
        let is_let_through = self.is_let_through(metadata.callsite(), Instant::now());
        if !is_let_through {
            metrics::counter!("newsprint_log_lines_dropped_total").increment(1);
        }
        is_let_through
    }
}

/// The metrics of the process, recorded from the first call on.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder has the metrics; /metrics will be empty");
        }
        describe();
        handle
    })
}

fn builder() -> PrometheusBuilder {
    let is_seconds = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new();
    // Neither list of bounds is empty, the only thing that can be wrong with one.
    let builder = match builder.set_buckets_for_metric(is_seconds, &SECONDS) {
        Ok(builder) => builder,
        Err(_) => PrometheusBuilder::new(),
    };
    builder.set_buckets(&COUNTS).unwrap_or_else(|_| PrometheusBuilder::new())
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("newsprint_calls_total", "Calls answered, by method and code");
    describe_histogram!("newsprint_call_seconds", "Time from a call's headers to its answer's");
    describe_counter!("newsprint_verdicts_total", "Submissions remembered, by verdict");
    describe_counter!("newsprint_topics_total", "Topics assigned, by topic");
    describe_counter!("newsprint_overloaded_total", "Refusals because of overload");
    describe_counter!("newsprint_calls_cut_total", "Calls ended because the answer was not taken");
    describe_counter!("newsprint_connections_closed_total", "Connections closed here, by reason");
    describe_counter!("newsprint_connections_refused_total", "Connections over the limit");
    describe_counter!("newsprint_accept_errors_total", "Failures to take a connection in");
    describe_counter!("newsprint_log_lines_dropped_total", "Lines left out of the log for number");
    describe_counter!("newsprint_calls_refused_total", "Calls refused for who made them, by code");
    describe_counter!("newsprint_tls_handshakes_failed_total", "Failed TLS handshakes, by reason");
    describe_counter!(
        "newsprint_file_reloads_total",
        "Certificates and identities read again, by what and outcome"
    );
    describe_gauge!(
        "newsprint_tls_certificate_expiry_timestamp_seconds",
        "When the first of the server's certificates expires, in seconds since 1970"
    );
    describe_gauge!("newsprint_connections", "Connections open");
    describe_gauge!("newsprint_in_flight", "Calls and articles in work");
    describe_gauge!("newsprint_in_flight_max", "The most that may be");
    describe_gauge!("newsprint_memory_bytes", "Bytes of requests and answers that are there");
    describe_gauge!("newsprint_memory_bytes_max", "The most that may be");
    describe_histogram!("newsprint_prepare_seconds", "Time to analyse an article by itself");
    describe_histogram!("newsprint_commit_seconds", "Time to commit a group of submissions");
    describe_histogram!("newsprint_commit_commands", "Commands that were committed together");
    describe_gauge!("newsprint_articles", "Articles remembered");
    describe_gauge!("newsprint_stories", "Stories they belong to");
    describe_gauge!("newsprint_collections", "Collections");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_writes_too_much_is_heard_again_in_the_next_period() {
        use tracing::callsite::Callsite;
        use tracing::metadata;
        static META: Metadata<'static> = metadata! {
            name: "place", target: "newsprint", level: tracing::Level::WARN, fields: &[],
            callsite: &Nowhere, kind: tracing::metadata::Kind::EVENT,
        };
        struct Nowhere;
        impl Callsite for Nowhere {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                &META
            }
        }
        let rate = Rate::default();
        let now = Instant::now();
        let count = |now| (0..100).filter(|_| rate.is_let_through(META.callsite(), now)).count();
        assert_eq!(count(now), LINES_MAX as usize);
        assert_eq!(count(now + LINES_PERIOD / 2), 0);
        assert_eq!(count(now + LINES_PERIOD), LINES_MAX as usize);
    }
}
