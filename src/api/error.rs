//! The error contract: one table from what can go wrong to a canonical code with details.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::admission::Overloaded;
use crate::engine::EngineError;
use crate::store::StoreError;

/// The `domain` of every ErrorInfo.
pub const DOMAIN: &str = "newsprint";

const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Fields of a request that are out of range, all of them.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation::new(field, description));
    }

    pub fn one(field: &str, description: impl Into<String>) -> Self {
        let mut violations = Violations::default();
        violations.add(field, description);
        violations
    }

    /// Unwraps a checked value, or notes what is wrong with it under its field's name.
    pub fn note<T>(&mut self, field: &str, checked: Result<T, impl Into<String>>) -> Option<T> {
        checked.map_err(|description| self.add(field, description)).ok()
    }

    pub fn check(self) -> Result<(), Violations> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Violations> for Status {
    fn from(violations: Violations) -> Self {
        let list =
            |violation: &FieldViolation| format!("{} {}", violation.field, violation.description);
        let message = violations.0.iter().map(list).collect::<Vec<_>>().join("; ");
        let mut details = error_info("INVALID_FIELDS");
        details.set_bad_request(violations.0);
        Status::with_error_details(Code::InvalidArgument, message, details)
    }
}

impl From<EngineError> for Status {
    fn from(error: EngineError) -> Self {
        use EngineError as E;
        use StoreError as S;
        let (code, reason) = match &error {
            E::Overloaded => (Code::ResourceExhausted, "OVERLOADED"),
            E::NoModelFile => (Code::FailedPrecondition, "NO_MODEL_FILE"),
            E::ModelRefused { .. } => (Code::FailedPrecondition, "MODEL_REFUSED"),
            E::Panicked => (Code::Internal, "INTERNAL"),
            E::Store(S::NoArticle(_)) => (Code::NotFound, "ARTICLE_NOT_FOUND"),
            E::Store(S::NoStory(_)) => (Code::NotFound, "STORY_NOT_FOUND"),
            E::Store(S::NoCollection(_)) => (Code::NotFound, "COLLECTION_NOT_FOUND"),
            E::Store(S::NoFingerprint(_)) => (Code::FailedPrecondition, "NO_FINGERPRINT"),
            E::Store(S::Unusable { .. }) => (Code::FailedPrecondition, "STORE_UNUSABLE"),
            E::Store(S::BackupExists(_)) => (Code::AlreadyExists, "BACKUP_EXISTS"),
            E::Store(S::DiskFull { .. }) => (Code::Unavailable, "DISK_FULL"),
            E::Store(S::Damaged(_)) => (Code::DataLoss, "DATA_DAMAGED"),
            E::Store(S::Io(_)) => (Code::Unavailable, "STORE_UNREACHABLE"),
            E::Store(S::Closed(_)) => (Code::Unavailable, "STORE_CLOSED"),
        };
        let mut details = error_info(reason);
        if matches!(code, Code::ResourceExhausted | Code::Unavailable) {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        Status::with_error_details(code, error.to_string(), details)
    }
}

/// The answer while the server starts or drains.
pub fn unavailable(message: &str) -> Status {
    let mut details = error_info("NOT_SERVING");
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::Unavailable, message, details)
}

pub fn deadline_exceeded() -> Status {
    let details = error_info("DEADLINE_EXCEEDED");
    Status::with_error_details(Code::DeadlineExceeded, "the client's deadline passed", details)
}

/// Gives a status that the framework made the code and details that our contract asks for. It is
/// told apart by having no details.
pub fn framework_status(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let message = status.message();
    let is_size = message.contains("message length too large") || message.contains("size limit");
    let (code, reason) = match status.code() {
        Code::OutOfRange | Code::ResourceExhausted if is_size => {
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
        }
        Code::Internal if is_malformed(message) => (Code::InvalidArgument, "MALFORMED_MESSAGE"),
        Code::Unimplemented if message.is_empty() => return unknown_method(),
        Code::Unimplemented => (Code::Unimplemented, "UNSUPPORTED_ENCODING"),
        _ => return status,
    };
    Status::with_error_details(code, message, error_info(reason))
}

/// What tonic says of requests that it cannot make a message of. All of it is the sender's doing,
/// though the code that comes with it is INTERNAL.
fn is_malformed(message: &str) -> bool {
    [
        "failed to decode Protobuf",
        "protocol error",
        "Error decompressing",
        "Unexpected EOF",
        "Missing request message",
    ]
    .iter()
    .any(|start| message.starts_with(start))
}

/// There is no room for the request or its answer.
pub fn overloaded(overloaded: Overloaded) -> Status {
    EngineError::from(overloaded).into()
}

/// The request is no message of the kind that the method takes.
pub fn malformed_message(what: &str) -> Status {
    let details = error_info("MALFORMED_MESSAGE");
    Status::with_error_details(Code::InvalidArgument, what, details)
}

pub fn message_too_large(bytes_max: usize) -> Status {
    let message =
        format!("the message is larger than {bytes_max} bytes, the most that is accepted");
    let details = error_info("MESSAGE_TOO_LARGE");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The batch could not be admitted even if nothing else were in work.
pub fn batch_too_large(articles: usize, articles_max: usize) -> Status {
    let description =
        format!("are {articles}; the server takes on no more than {articles_max} at a time");
    Violations::one("articles", description).into()
}

/// The request took longer to arrive than it may.
pub fn slow_request() -> Status {
    let message = "the request did not arrive in time";
    let details = error_info("REQUEST_TOO_SLOW");
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

pub fn unsupported_encoding(encoding: &str) -> Status {
    let encoding: String = encoding.chars().take(40).collect();
    let message = format!("'{encoding}' is no encoding that the server reads");
    let details = error_info("UNSUPPORTED_ENCODING");
    Status::with_error_details(Code::Unimplemented, message, details)
}

pub fn unknown_method() -> Status {
    let message = "the server knows no such method";
    Status::with_error_details(Code::Unimplemented, message, error_info("UNKNOWN_METHOD"))
}

fn error_info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new())
}
