//! What the commands that talk to a server share: how to reach it, and how to tell its errors.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// The largest answer that is taken: a batch of 1,000 with all their matches is well below.
const ANSWER_BYTES_MAX: usize = 64 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// Where the server is; http:// may be left out
    #[arg(
        long,
        env = "NEWSPRINT_ADDR",
        value_name = "ADDR",
        default_value = "http://127.0.0.1:50051",
        help_heading = "Connection"
    )]
    pub addr: String,

    /// How long a call may take, in seconds
    #[arg(
        long,
        env = "NEWSPRINT_TIMEOUT",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = clap::value_parser!(u32).range(1..=86_400),
        help_heading = "Connection"
    )]
    pub timeout: u32,
}

impl Connection {
    pub async fn connect(&self) -> Result<Channel> {
        endpoint(&self.addr)?.connect().await.map_err(|error| {
            anyhow!(
                "cannot reach a server at {}: {}; start one with 'newsprint serve', or say where \
                 it is with --addr",
                self.addr,
                last_cause(&error)
            )
        })
    }

    pub async fn articles(&self) -> Result<ArticleServiceClient<Channel>> {
        Ok(articles(self.connect().await?))
    }

    /// A request that ends after the timeout, on either side.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(Duration::from_secs(self.timeout.into()));
        request
    }
}

pub fn articles(channel: Channel) -> ArticleServiceClient<Channel> {
    ArticleServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

fn endpoint(addr: &str) -> Result<Endpoint> {
    let with_scheme = if addr.contains("://") { addr.to_owned() } else { format!("http://{addr}") };
    if with_scheme.starts_with("https://") {
        bail!("this version connects without TLS only; use http:// in --addr, not {addr}");
    }
    let endpoint = Endpoint::from_shared(with_scheme);
    let endpoint = endpoint.with_context(|| {
        format!("--addr {addr} is no address such as 127.0.0.1:50051 or http://news.example:50051")
    })?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).http2_adaptive_window(true))
}

fn last_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An error of the server as one line: what is wrong, with every field at fault, then code and
/// reason to look up or branch on.
pub fn describe(status: &Status) -> String {
    let details = status.get_error_details();
    let violations: Vec<String> = (details.bad_request().into_iter())
        .flat_map(|bad_request| &bad_request.field_violations)
        .map(|violation| format!("{} {}", violation.field, violation.description))
        .collect();
    let what = match (&violations[..], status.message()) {
        ([], "") => "no message".to_owned(),
        ([], message) => message.to_owned(),
        _ => violations.join("; "),
    };
    let code = code_name(status.code());
    match details.error_info() {
        Some(info) => format!("{what} ({code}, {})", info.reason),
        None => format!("{what} ({code})"),
    }
}

/// An error of the server as an error of the program.
pub fn refusal(status: &Status) -> anyhow::Error {
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => {
            anyhow!("no answer in time: {}; --timeout allows for more", describe(status))
        }
        _ if status.source().is_some() => {
            anyhow!("the connection to the server broke: {}", last_cause(status))
        }
        _ => anyhow!("the server says: {}", describe(status)),
    }
}

/// Whether the same call may well succeed a little later.
pub fn is_passing(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => true,
        // What the server answers has no source: this is a broken connection.
        Code::Unknown | Code::Internal => status.source().is_some(),
        Code::ResourceExhausted => {
            let details = status.get_error_details();
            details.error_info().is_none_or(|info| info.reason != "MESSAGE_TOO_LARGE")
        }
        _ => false,
    }
}

/// The canonical name: INVALID_ARGUMENT rather than InvalidArgument.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for char in format!("{code:?}").chars() {
        if char.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(char.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, FieldViolation};

    #[test]
    fn every_field_at_fault_is_told() {
        let fields = [("article.title", "is too long"), ("article.url", "is too long")];
        let violations = fields.map(|(field, what)| FieldViolation::new(field, what));
        let mut details = ErrorDetails::with_bad_request(violations);
        details.set_error_info("INVALID_FIELDS", "newsprint", []);
        let status = Status::with_error_details(Code::InvalidArgument, "two things", details);
        assert_eq!(
            describe(&status),
            "article.title is too long; article.url is too long (INVALID_ARGUMENT, INVALID_FIELDS)"
        );
        assert_eq!(describe(&Status::not_found("no such article")), "no such article (NOT_FOUND)");
    }

    #[test]
    fn what_passes_is_tried_again() {
        let exhausted = |reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "newsprint", []);
            Status::with_error_details(Code::ResourceExhausted, "", details)
        };
        assert!(is_passing(&exhausted("OVERLOADED")));
        assert!(!is_passing(&exhausted("MESSAGE_TOO_LARGE")));
        assert!(is_passing(&Status::unavailable("starting")));
        assert!(!is_passing(&Status::invalid_argument("no")));
    }

    #[test]
    fn an_address_needs_no_scheme() {
        for addr in ["127.0.0.1:1", "http://127.0.0.1:1", "localhost:50051", "[::1]:50051"] {
            assert!(endpoint(addr).is_ok(), "{addr}");
        }
        for addr in ["https://news.example", "news example", ""] {
            assert!(endpoint(addr).is_err(), "{addr}");
        }
    }
}
