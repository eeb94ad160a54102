//! Why the service refused something, decoded.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, StatusExt};

use crate::api::pb::{ErrorReason, ItemError};
use crate::api::{reason_name, reason_named};

/// Why a call was refused, or one article of a batch or stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub code: Code,
    /// What to do. Unspecified if the server did not say, as when it cannot be reached, or if its
    /// reason is newer than this client; go by the code then.
    pub reason: ErrorReason,
    /// In English, for people.
    pub message: String,
    /// Every field at fault.
    pub fields: Vec<FieldViolation>,
    /// When trying again makes sense; None if it does not or if the server did not say.
    pub retry_after: Option<Duration>,
}

/// A field at fault, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    pub field: String,
    pub description: String,
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::ResourceExhausted)
    }

    fn new(code: Code, message: &str, details: &ErrorDetails) -> Self {
        let info = details.error_info();
        let violations = details.bad_request().map(|bad_request| &bad_request.field_violations);
        Error {
            code,
            reason: info.map_or(ErrorReason::Unspecified, |info| reason_named(&info.reason)),
            message: message.to_owned(),
            fields: (violations.into_iter().flatten())
                .map(|violation| FieldViolation {
                    field: violation.field.clone(),
                    description: violation.description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Error::new(code_of(&status), status.message(), &status.get_error_details())
    }
}

/// The code of a status as other clients of gRPC tell it. What a server answers has no source; what
/// has one happened on the way: a deadline that passed, or a connection that broke.
fn code_of(status: &Status) -> Code {
    let Some(source) = std::error::Error::source(status) else { return status.code() };
    let mut causes = std::iter::successors(Some(source), |cause| cause.source());
    if causes.any(|cause| cause.is::<TimeoutExpired>()) {
        return Code::DeadlineExceeded;
    }
    match status.code() {
        Code::Cancelled | Code::Internal | Code::Unknown => Code::Unavailable,
        code => code,
    }
}

impl From<ItemError> for Error {
    fn from(item: ItemError) -> Self {
        // It has the fields of a google.rpc.Status, which is what a status takes for details.
        let details = prost::Message::encode_to_vec(&item).into();
        Status::with_details(Code::from(item.code), item.message, details).into()
    }
}

impl std::error::Error for Error {}

/// What is wrong, with every field at fault, then code and reason to look up or branch on.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.fields[..], self.message.as_str()) {
            ([], "") => f.write_str("no message")?,
            ([], message) => f.write_str(message)?,
            (fields, _) => {
                for (number, FieldViolation { field, description }) in fields.iter().enumerate() {
                    let separator = if number == 0 { "" } else { "; " };
                    write!(f, "{separator}{field} {description}")?;
                }
            }
        }
        write!(f, " ({}", code_name(self.code))?;
        if self.reason != ErrorReason::Unspecified {
            write!(f, ", {}", reason_name(self.reason))?;
        }
        f.write_str(")")
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

    #[test]
    fn every_field_at_fault_is_told() {
        let fields = [("article.title", "is too long"), ("article.url", "is too long")];
        let violations = fields.map(|(field, what)| tonic_types::FieldViolation::new(field, what));
        let mut details = ErrorDetails::with_bad_request(violations);
        details.set_error_info("INVALID_FIELDS", "newsprint", []);
        let status = Status::with_error_details(Code::InvalidArgument, "two things", details);
        let error = Error::from(status);
        assert_eq!(error.reason, ErrorReason::InvalidFields);
        assert_eq!(
            error.to_string(),
            "article.title is too long; article.url is too long (INVALID_ARGUMENT, INVALID_FIELDS)"
        );
        let bare = Error::from(Status::not_found("no such article"));
        assert_eq!(bare.to_string(), "no such article (NOT_FOUND)");
    }

    #[test]
    fn what_passes_is_told_from_what_is_final() {
        assert!(Error::from(Status::unavailable("starting")).is_passing());
        assert!(Error::from(Status::resource_exhausted("busy")).is_passing());
        assert!(!Error::from(Status::invalid_argument("no")).is_passing());
        assert!(!Error::from(Status::internal("a bug")).is_passing());
        let broken = std::io::Error::other("connection reset");
        assert!(Error::from(Status::from_error(broken.into())).is_passing());
        let late = Error::from(Status::from_error(TimeoutExpired(()).into()));
        assert_eq!(late.code, Code::DeadlineExceeded);
    }

    #[test]
    fn a_reason_of_a_newer_server_is_passed_over() {
        let details = ErrorDetails::with_error_info("NOT_YET_INVENTED", "newsprint", []);
        let status = Status::with_error_details(Code::Unavailable, "wait", details);
        assert_eq!(Error::from(status).reason, ErrorReason::Unspecified);
    }
}
