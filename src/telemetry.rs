//! The log and the metrics of the process. Neither ever holds an article's text.

use std::io::IsTerminal;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Upper bounds of the buckets of every histogram of seconds.
const SECONDS: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0,
    2.5, 10.0,
];

/// Upper bounds of the buckets of every other histogram: counts.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log-level '{0}' is not a level such as info, nor a filter such as newsprint=debug")]
    Level(String),
    #[error("the log is already set up: {0}")]
    Twice(String),
}

/// Starts the log on standard error.
pub fn init(config: &Config) -> Result<(), TelemetryError> {
    let level = || TelemetryError::Level(config.log_level.clone());
    let filter = EnvFilter::try_new(&config.log_level).map_err(|_| level())?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .map_err(|error| TelemetryError::Twice(error.to_string()))
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
    describe_counter!("newsprint_overloaded_total", "Articles refused because of overload");
    describe_histogram!("newsprint_prepare_seconds", "Time to analyse an article by itself");
    describe_histogram!("newsprint_commit_seconds", "Time to commit a group of submissions");
    describe_histogram!("newsprint_commit_commands", "Commands that were committed together");
    describe_gauge!("newsprint_articles", "Articles remembered");
    describe_gauge!("newsprint_stories", "Stories they belong to");
    describe_gauge!("newsprint_collections", "Collections");
}
