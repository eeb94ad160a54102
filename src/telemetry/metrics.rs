//! The metrics of the process: every one that there is, and how they are given out.
//! `docs/metrics.md` says what each means; a test holds the two together.

use std::sync::OnceLock;

use metrics::{
    Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::kernel::Kernel;
use crate::simhash;

/// Upper bounds of the buckets of every histogram of seconds.
const SECONDS: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0,
    2.5, 10.0,
];

/// Upper bounds of the buckets of every other histogram: counts.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// A metric, with the values of its label if it has one. Those whose labels come from elsewhere
/// have none here and are begun there: methods and reasons are the contract's, topics the model's.
struct Metric {
    kind: Kind,
    name: &'static str,
    help: &'static str,
    label: Option<(&'static str, &'static [&'static str])>,
    is_begun_elsewhere: bool,
}

const fn metric(kind: Kind, name: &'static str, help: &'static str) -> Metric {
    Metric { kind, name, help, label: None, is_begun_elsewhere: false }
}

const fn by(
    kind: Kind,
    name: &'static str,
    label: &'static str,
    values: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { kind, name, help, label: Some((label, values)), is_begun_elsewhere: false }
}

const fn begun_elsewhere(kind: Kind, name: &'static str, help: &'static str) -> Metric {
    Metric { kind, name, help, label: None, is_begun_elsewhere: true }
}

const VERDICTS: &[&str] = &[
    "unique",
    "exact_duplicate",
    "near_duplicate",
    "partial_duplicate",
    "insufficient_text",
    "replayed",
];

/// Every metric but those of the process, which have a collector of their own.
const METRICS: &[Metric] = &[
    begun_elsewhere(Counter, "grpc_server_started_total", "Calls that began"),
    begun_elsewhere(Counter, "grpc_server_handled_total", "Calls that ended, by code"),
    begun_elsewhere(
        Histogram,
        "grpc_server_handling_seconds",
        "Time from a call's headers to the end of its answer",
    ),
    begun_elsewhere(Counter, "newsprint_refusals_total", "Calls that failed, by reason"),
    begun_elsewhere(
        Counter,
        "newsprint_item_refusals_total",
        "Articles of batches and streams that failed, by reason",
    ),
    metric(Counter, "newsprint_calls_cut_total", "Calls ended because the answer was not taken"),
    metric(Gauge, "newsprint_ready", "Whether articles can be submitted: what /readyz says"),
    by(
        Gauge,
        "newsprint_not_ready",
        "reason",
        &["starting", "draining", "stuck", "store_closed", "store_unreachable", "disk_full"],
        "Why not: 1 for the reason that holds",
    ),
    metric(Gauge, "newsprint_overloaded", "Whether calls are being refused for want of room"),
    metric(Gauge, "newsprint_in_flight_articles", "Articles and reads in work"),
    metric(Gauge, "newsprint_in_flight_articles_max", "The most that may be"),
    metric(Gauge, "newsprint_in_flight_bytes", "Bytes of requests and answers that are there"),
    metric(Gauge, "newsprint_in_flight_bytes_max", "The most that may be"),
    metric(Gauge, "newsprint_connections", "Connections open"),
    metric(Gauge, "newsprint_connections_max", "The most that may be"),
    metric(Counter, "newsprint_connections_accepted_total", "Connections taken in"),
    metric(Counter, "newsprint_connections_refused_total", "Connections over the limit"),
    by(
        Counter,
        "newsprint_connections_closed_total",
        "reason",
        &["handshake", "untaken", "left", "age"],
        "Connections closed by the server, by reason",
    ),
    metric(Counter, "newsprint_accept_errors_total", "Failures to take a connection in"),
    by(
        Counter,
        "newsprint_verdicts_total",
        "verdict",
        VERDICTS,
        "Submissions answered, by verdict",
    ),
    begun_elsewhere(Counter, "newsprint_topics_total", "Articles analysed, by topic assigned"),
    by(
        Counter,
        "newsprint_reliability_total",
        "reliability",
        &["reliable", "unsupported_language", "insufficient_text"],
        "Articles analysed, by how far their topics can be relied on",
    ),
    metric(Histogram, "newsprint_prepare_seconds", "Time to analyse an article by itself"),
    metric(Histogram, "newsprint_lookup_seconds", "Time to look for articles like one"),
    metric(Histogram, "newsprint_lookup_candidates", "Articles that were found to compare it with"),
    metric(
        Counter,
        "newsprint_lookups_truncated_total",
        "Look-ups that left candidates out to stay within their bounds",
    ),
    metric(Histogram, "newsprint_commit_seconds", "Time to commit a group of submissions"),
    metric(Histogram, "newsprint_commit_commands", "Commands that were committed together"),
    metric(Counter, "newsprint_commit_failures_total", "Commits that failed and closed the store"),
    metric(Counter, "newsprint_damaged_records_total", "Records passed over as unreadable"),
    metric(Gauge, "newsprint_articles", "Articles remembered"),
    metric(Gauge, "newsprint_stories", "Stories they belong to"),
    metric(Gauge, "newsprint_collections", "Collections"),
    metric(Gauge, "newsprint_disk_used_bytes", "Bytes of the store on disk"),
    metric(Gauge, "newsprint_disk_journal_bytes", "Bytes of them in journals"),
    metric(Gauge, "newsprint_disk_available_bytes", "Bytes that the disk has left"),
    metric(
        Gauge,
        "newsprint_disk_reserve_bytes",
        "Bytes with fewer of which left submissions are refused",
    ),
    metric(Gauge, "newsprint_candidate_cache_bytes", "Memory for candidates read lately"),
    metric(Gauge, "newsprint_counts_bytes", "Memory for what the collections' stories share"),
    metric(
        Gauge,
        "newsprint_backup_last_timestamp_seconds",
        "When the latest backup was begun, in seconds since 1970; 0 if there is none",
    ),
    by(Counter, "newsprint_backups_total", "result", &["ok", "failed"], "Backups, by result"),
    by(
        Counter,
        "newsprint_model_reloads_total",
        "result",
        &["ok", "failed"],
        "Reloads of the model, by result",
    ),
    begun_elsewhere(
        Counter,
        "newsprint_file_reloads_total",
        "Certificates and identities read again, by what and outcome",
    ),
    begun_elsewhere(
        Counter,
        "newsprint_tls_handshakes_failed_total",
        "TLS handshakes that failed, by reason",
    ),
    begun_elsewhere(
        Gauge,
        "newsprint_tls_certificate_expiry_timestamp_seconds",
        "When the first of the server's certificates expires, in seconds since 1970",
    ),
    metric(Counter, "newsprint_log_lines_dropped_total", "Lines left out of the log for number"),
    metric(Counter, "newsprint_panics_total", "Panics: bugs, every one"),
    begun_elsewhere(Gauge, "newsprint_build_info", "What this program is; always 1"),
];

/// Begins to record, at first use. What counts before that is lost.
pub fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::new)
}

/// Whatever is recorded, to be given out.
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

impl Metrics {
    fn new() -> Self {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder has the metrics; /metrics will be empty");
        }
        let process = Collector::default();
        process.describe();
        METRICS.iter().for_each(begin);
        gauge!(
            "newsprint_build_info",
            "version" => env!("CARGO_PKG_VERSION"),
            "revision" => super::REVISION,
            "fingerprint_scheme" => simhash::SCHEME,
            "kernel" => Kernel::active().name(),
        )
        .set(1.0);
        Metrics { handle, process }
    }

    /// Everything as it is now, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Does what has to be done now and then, or what is recorded takes more and more room.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
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

/// Describes a metric and has it there from the start: the first of what an alert waits for would
/// not be seen as an increase if there was nothing before it.
fn begin(metric: &Metric) {
    let Metric { kind, name, help, label, is_begun_elsewhere } = metric;
    let label = label.map(|(label, values)| {
        values.iter().map(|value| vec![Label::from_static_parts(label, value)]).collect()
    });
    let series: Vec<Vec<Label>> = match is_begun_elsewhere {
        true => Vec::new(),
        false => label.unwrap_or_else(|| vec![Vec::new()]),
    };
    match kind {
        Counter => {
            describe_counter!(*name, *help);
            series.into_iter().for_each(|labels| counter!(*name, labels).increment(0));
        }
        Gauge => {
            describe_gauge!(*name, *help);
            series.into_iter().for_each(|labels| gauge!(*name, labels).increment(0.0));
        }
        Histogram => {
            describe_histogram!(*name, *help);
            series.into_iter().for_each(|labels| drop(histogram!(*name, labels)));
        }
    }
}
