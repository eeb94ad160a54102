//! The log, the metrics and the traces of the process. None ever holds an article's text.

mod metrics;
#[cfg_attr(not(feature = "otlp"), path = "no_traces.rs")]
mod traces;

pub use self::metrics::{Metrics, metrics};
pub use self::traces::{CallSpan, Traces};

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use ::metrics::counter;
use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{Config, LogFormat};

/// The commit that this was built from, where whoever built it has said so.
pub const REVISION: &str = match option_env!("NEWSPRINT_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

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
        std::panic::set_hook(Box::new(log_panic));
        Ok(Log { level: handle })
    }

    /// Follows the log level of another configuration from now on.
    pub fn reload(&self, config: &Config) -> Result<(), TelemetryError> {
        let level = level(config)?;
        self.level.reload(level).map_err(|error| TelemetryError::Twice(error.to_string()))
    }
}

/// Tells where the program has panicked. What a panic says may quote a text, so that is left out.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    counter!("newsprint_panics_total").increment(1);
    let thread = std::thread::current();
    tracing::error!(
        place = panic.location().map(tracing::field::display),
        thread = thread.name().unwrap_or("unnamed"),
        "a thread has panicked: this is a bug"
    );
}

fn level(config: &Config) -> Result<EnvFilter, TelemetryError> {
    let refused = |_| TelemetryError::Level(config.log_level.clone());
    // Who was let in and who was not is written whatever else is, unless it is turned off by name.
    let audit = if config.log_level.contains(AUDIT) { "" } else { ",audit=info" };
    // The store tells once that a cluster is away; its client library would tell of every try.
    let client = if config.log_level.contains("redis") { "" } else { ",redis=off" };
    EnvFilter::try_new(format!("{}{audit}{client}", config.log_level)).map_err(refused)
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
            counter!("newsprint_log_lines_dropped_total").increment(1);
        }
        is_let_through
    }
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
