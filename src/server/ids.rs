//! By what a call is found again: the request's id, in the log, in the answer and in the details of
//! errors, and the trace it belongs to, if its client traces.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tonic::codegen::http::{HeaderMap, HeaderValue};

use crate::article::new_uuid;

pub const REQUEST_ID: &str = "x-request-id";
pub const TRACEPARENT: &str = "traceparent";

/// What is taken over as a request's id at most.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The names of a call.
#[derive(Debug)]
pub struct Ids {
    request: HeaderValue,
    trace: Option<Trace>,
    /// The id of the server's own span.
    span: String,
}

/// The trace that a call belongs to: <https://www.w3.org/TR/trace-context/#traceparent-header>.
#[derive(Debug)]
struct Trace {
    id: String,
    /// The span that it was called from.
    parent: String,
    flags: String,
}

impl Ids {
    /// As the client names them. A request without an id, or with one that is unfit for a log, gets
    /// one; nobody traces who does not say so.
    pub fn of(headers: &HeaderMap) -> Ids {
        let is_fit = |id: &&HeaderValue| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let request = headers.get(REQUEST_ID).filter(is_fit).cloned();
        let trace = headers.get(TRACEPARENT).and_then(|value| trace(value.to_str().ok()?));
        let span = format!("{:016x}", next_number() | 1);
        Ids { request: request.unwrap_or_else(new_request_id), trace, span }
    }

    /// Takes part in a trace with this span: the client's, or one that begins here.
    pub fn trace_as(&mut self, trace: String, span: String) {
        self.span = span;
        self.trace.get_or_insert_with(|| Trace {
            id: trace,
            parent: String::new(),
            flags: "01".to_owned(),
        });
    }

    /// What it was called from: the ids of trace and span, and flags.
    pub fn parent(&self) -> Option<(&str, &str, &str)> {
        self.trace.as_ref().map(|trace| (&*trace.id, &*trace.parent, &*trace.flags))
    }

    pub fn request(&self) -> &str {
        // It was made or checked to be ASCII.
        self.request.to_str().unwrap_or_default()
    }

    /// The trace's id, or nothing.
    pub fn trace(&self) -> &str {
        self.trace.as_ref().map_or("", |trace| &trace.id)
    }

    /// Tells them to the client.
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request.clone());
        if let Some(Trace { id, flags, .. }) = &self.trace {
            let parent = format!("00-{id}-{}-{flags}", self.span);
            if let Ok(parent) = HeaderValue::try_from(parent) {
                headers.insert(TRACEPARENT, parent);
            }
        }
    }
}

fn trace(value: &str) -> Option<Trace> {
    let mut parts = value.split('-');
    let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_known = is_hex(version, 2) && version != "ff";
    // Later versions may have more to say; this one has not.
    let is_whole = version != "00" || parts.next().is_none();
    let is_named = is_hex(id, 32) && is_set(id) && is_hex(parent, 16) && is_set(parent);
    (is_known && is_whole && is_named && is_hex(flags, 2)).then(|| Trace {
        id: id.to_owned(),
        parent: parent.to_owned(),
        flags: flags.to_owned(),
    })
}

/// An id that no other request has, of this process or another: a random number at the start, and
/// counting. Asking the system for each call would cost more than the call's other bookkeeping.
fn new_request_id() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(random);
    let id = format!("{:016x}{:016x}", *PROCESS, next_number());
    HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

fn next_number() -> u64 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(random()));
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Random bits, but for two of its version's.
pub fn random() -> u64 {
    new_uuid().as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(headers: &[(&'static str, &str)]) -> Ids {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Ids::of(&map)
    }

    #[test]
    fn a_request_keeps_its_id_or_gets_one() {
        assert_eq!(ids(&[(REQUEST_ID, "feed-4711")]).request(), "feed-4711");
        let unfit = ["", "two words", "sp\u{e4}t", &"x".repeat(129)];
        let mut given: Vec<String> =
            unfit.iter().map(|id| ids(&[(REQUEST_ID, id)]).request().to_owned()).collect();
        given.push(ids(&[]).request().to_owned());
        assert!(given.iter().all(|id| id.len() == 32), "{given:?}");
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 5, "all are different");
    }

    /// Cases of the W3C's test suite for traceparent.
    #[test]
    fn a_trace_is_read_as_its_specification_says() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let check = |value: &str, expected: &str| {
            assert_eq!(ids(&[(TRACEPARENT, value)]).trace(), expected, "{value}");
        };
        check(&format!("00-{id}-00f067aa0ba902b7-01"), id);
        check(&format!("00-{id}-00f067aa0ba902b7-00"), id);
        check(&format!("cc-{id}-00f067aa0ba902b7-01-what-the-future-will-be-like"), id);
        check(&format!("00-{id}-00f067aa0ba902b7-01-what"), "");
        check(&format!("ff-{id}-00f067aa0ba902b7-01"), "");
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), "");
        check(&format!("00-{id}-0000000000000000-01"), "");
        check(&format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()), "");
        check(&format!("00-{id}-00f067aa0ba902b7"), "");
        check("", "");

        let mut answer = HeaderMap::new();
        ids(&[(TRACEPARENT, &format!("00-{id}-00f067aa0ba902b7-01"))]).tell(&mut answer);
        let told = answer[TRACEPARENT].to_str().unwrap();
        assert!(told.starts_with(&format!("00-{id}-")) && told.ends_with("-01"), "{told}");
        assert!(!told.contains("00f067aa0ba902b7"), "the span is the server's own");
        assert!(trace(told).is_some());
    }
}
