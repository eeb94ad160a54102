//! What is counted and told of every call: that it began, how it ended and how long it took, and a
//! line in the log if it failed. Never what was in it.
//!
//! The names are those that the ecosystem has for gRPC servers since go-grpc-prometheus, so that
//! its dashboards fit. A stream is one call: it is timed as a whole.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram, counter, gauge, histogram};
use parking_lot::Mutex;
use tonic::{Code, Status};

use super::guard::Caller;
use super::ids::Ids;
use crate::api::pb::ErrorReason;
use crate::api::{reason_name, reason_of, reasons};
use crate::telemetry::{CallSpan, Traces};

/// The codes of gRPC, by number, as metrics and logs name them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

pub fn code_name(code: Code) -> &'static str {
    CODES.get(code as usize).copied().unwrap_or("Unknown")
}

/// Overload is over when nothing was refused for so long.
const QUIET: Duration = Duration::from_secs(10);

/// The counters of a method, at zero from the start.
pub struct Meters {
    /// Its name in the log.
    method: String,
    /// Whether it is one of ours rather than of the framework's.
    is_own: bool,
    started: Counter,
    handled: Vec<Counter>,
    seconds: Histogram,
}

impl Meters {
    /// Those of a method, whether its requests and its answers are streams.
    pub fn new(service: &str, method: &str, is_stream: bool, streams_answers: bool) -> Self {
        let kind = match (is_stream, streams_answers) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        };
        Self::with(service, method, kind)
    }

    /// Those of all methods that the server does not have. What a client calls them is no label.
    pub fn of_unknown() -> &'static Self {
        static UNKNOWN: OnceLock<Meters> = OnceLock::new();
        UNKNOWN.get_or_init(|| Self::with("unknown", "unknown", "unknown"))
    }

    /// Begins the span of a call, if calls of the method are traced: the framework's are not, for
    /// every probe of health would be one.
    pub fn span(&self, traces: &Traces, ids: &mut Ids, peer: SocketAddr) -> CallSpan {
        if !self.is_own {
            return CallSpan::default();
        }
        let span = traces.begin(&self.method, ids.parent(), ids.request(), peer);
        if let Some((trace, span)) = span.ids() {
            ids.trace_as(trace, span);
        }
        span
    }

    fn with(service: &str, method: &str, kind: &'static str) -> Self {
        let labels = || {
            [("grpc_service", service), ("grpc_method", method), ("grpc_type", kind)]
                .map(|(label, value)| metrics::Label::new(label, value.to_owned()))
                .to_vec()
        };
        let handled = CODES.map(|code| {
            let mut labels = labels();
            labels.push(metrics::Label::from_static_parts("grpc_code", code));
            counter!("grpc_server_handled_total", labels)
        });
        Meters {
            method: format!("{service}/{method}"),
            is_own: service.starts_with("newsprint."),
            started: counter!("grpc_server_started_total", labels()),
            handled: handled.into(),
            seconds: histogram!("grpc_server_handling_seconds", labels()),
        }
    }
}

/// A call that is going on. One that is dropped before its end is known was cancelled.
pub struct CallCount {
    meters: &'static Meters,
    began: Instant,
    peer: SocketAddr,
    ids: Arc<Ids>,
    /// Whoever makes it, once he was let in.
    pub caller: Option<Caller>,
    span: CallSpan,
    overload: Overload,
    is_ended: bool,
}

impl CallCount {
    pub fn begin(
        meters: &'static Meters,
        peer: SocketAddr,
        ids: Arc<Ids>,
        overload: &Overload,
        span: CallSpan,
    ) -> Self {
        meters.started.increment(1);
        CallCount {
            meters,
            began: Instant::now(),
            peer,
            ids,
            caller: None,
            span,
            overload: overload.clone(),
            is_ended: false,
        }
    }

    /// Ends with this status.
    pub fn end(mut self, status: &Status) {
        self.count(status);
    }

    fn count(&mut self, status: &Status) {
        self.is_ended = true;
        let took = self.began.elapsed();
        if let Some(handled) = self.meters.handled.get(status.code() as usize) {
            handled.increment(1);
        }
        self.meters.seconds.record(took.as_secs_f64());
        let caller = self.caller.take();
        if let Some(caller) = &caller {
            caller.audit(status.code());
        }
        let collection = caller.map(|caller| caller.collection()).unwrap_or_default();
        if status.code() == Code::Ok {
            self.span.end(Code::Ok, None, &collection);
            return;
        }
        let reason = reason_of(status);
        self.span.end(status.code(), Some(reason_name(reason)), &collection);
        counter!("newsprint_refusals_total", "reason" => reason_name(reason)).increment(1);
        if reason == ErrorReason::Overloaded {
            self.overload.refused();
        }
        // Whoever watches the health of the server ends that by leaving.
        if self.meters.is_own || status.code() != Code::Cancelled {
            self.log(status, reason, took);
        }
    }

    fn log(&self, status: &Status, reason: ErrorReason, took: Duration) {
        // The three kinds are limited in number apart, so that clients who are wrong do not hide
        // that the server is.
        macro_rules! line {
            ($level:ident, $($message:tt)*) => {
                tracing::$level!(
                    method = self.meters.method,
                    code = code_name(status.code()),
                    reason = reason_name(reason),
                    request_id = self.ids.request(),
                    trace_id = self.ids.trace(),
                    peer = %self.peer,
                    duration_ms = took.as_secs_f64() * 1e3,
                    $($message)*
                )
            };
        }
        match status.code() {
            Code::Internal | Code::Unknown | Code::DataLoss => {
                line!(error, error = status.message(), "a call failed")
            }
            Code::Unavailable | Code::ResourceExhausted => {
                line!(warn, error = status.message(), "a call was refused")
            }
            // What is wrong with a request is said in terms of what is in it.
            _ => line!(info, "a call failed"),
        }
    }
}

impl Drop for CallCount {
    fn drop(&mut self) {
        if !self.is_ended {
            self.count(&Status::cancelled("the client has left, or the call was cut off"));
        }
    }
}

/// Has failures counted by reason from now on.
pub fn begin_refusals() {
    for reason in reasons() {
        for name in ["newsprint_refusals_total", "newsprint_item_refusals_total"] {
            counter!(name, "reason" => reason_name(reason)).increment(0);
        }
    }
}

/// Whether calls are refused for want of room: from the first on, until none was for a while.
#[derive(Clone, Default)]
pub struct Overload(Arc<Mutex<Option<Refused>>>);

/// Calls refused since overload began.
struct Refused {
    began: Instant,
    latest: Instant,
    count: u64,
}

impl Overload {
    fn refused(&self) {
        let now = Instant::now();
        let mut overload = self.0.lock();
        match &mut *overload {
            Some(refused) => {
                refused.latest = now;
                refused.count += 1;
            }
            None => {
                *overload = Some(Refused { began: now, latest: now, count: 1 });
                gauge!("newsprint_overloaded").set(1.0);
                tracing::warn!("overload begins: calls are refused for want of room");
            }
        }
    }

    /// Ends it if it is over. To be called now and then.
    pub fn look(&self, now: Instant) {
        let mut overload = self.0.lock();
        if let Some(refused) = &*overload
            && now.saturating_duration_since(refused.latest) >= QUIET
        {
            let lasted = refused.latest.duration_since(refused.began);
            tracing::warn!(
                refused = refused.count,
                duration_s = lasted.as_secs_f64(),
                "overload is over"
            );
            gauge!("newsprint_overloaded").set(0.0);
            *overload = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_at_their_numbers() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from_i32(number as i32);
            let expected = match code {
                Code::Ok => "OK".to_owned(),
                Code::Cancelled => "Canceled".to_owned(),
                code => format!("{code:?}"),
            };
            assert_eq!(*name, expected);
        }
    }

    #[test]
    fn overload_lasts_from_the_first_refusal_to_some_time_after_the_last() {
        let overload = Overload::default();
        overload.refused();
        overload.refused();
        overload.look(Instant::now() + QUIET / 2);
        assert_eq!(overload.0.lock().as_ref().map(|refused| refused.count), Some(2));
        overload.look(Instant::now() + QUIET);
        assert!(overload.0.lock().is_none());
    }
}
