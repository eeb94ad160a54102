//! The error contract: one table from what can go wrong to a canonical code and a reason, and one
//! from reasons to when to try again. `proto/newsprint/v1/error.proto` tells clients the same.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::pb::ErrorReason;
use crate::admission::Overloaded;
use crate::engine::EngineError;
use crate::store::StoreError;

/// The `domain` of every ErrorInfo.
pub const DOMAIN: &str = "newsprint";

/// What the names of reasons begin with in the contract, but not in an ErrorInfo.
const REASON_PREFIX: &str = "ERROR_REASON_";

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
        let mut details = error_info(ErrorReason::InvalidFields);
        details.set_bad_request(violations.0);
        Status::with_error_details(Code::InvalidArgument, message, details)
    }
}

impl From<EngineError> for Status {
    fn from(error: EngineError) -> Self {
        use EngineError as E;
        use ErrorReason as R;
        use StoreError as S;
        let (code, reason) = match &error {
            E::Overloaded => (Code::ResourceExhausted, R::Overloaded),
            E::NoModelFile => (Code::FailedPrecondition, R::NoModelFile),
            E::ModelRefused { .. } => (Code::FailedPrecondition, R::ModelRefused),
            E::Panicked => (Code::Internal, R::Internal),
            E::Store(S::NoArticle(_)) => (Code::NotFound, R::ArticleNotFound),
            E::Store(S::NoStory(_)) => (Code::NotFound, R::StoryNotFound),
            E::Store(S::NoCollection(_)) => (Code::NotFound, R::CollectionNotFound),
            E::Store(S::NoFingerprint(_)) => (Code::FailedPrecondition, R::NoFingerprint),
            E::Store(S::Unusable { .. }) => (Code::FailedPrecondition, R::StoreUnusable),
            E::Store(S::BackupExists(_)) => (Code::AlreadyExists, R::BackupExists),
            E::Store(S::DiskFull { .. } | S::Full(_)) => (Code::Unavailable, R::DiskFull),
            E::Store(S::Damaged(_)) => (Code::DataLoss, R::DataDamaged),
            E::Store(S::BadPageToken) => {
                let description = "must be the next_page_token of an earlier answer to this query";
                return Violations::one("page_token", description).into();
            }
            E::Store(S::TooManyCollections(_)) => (Code::ResourceExhausted, R::TooManyCollections),
            E::NoBackups => (Code::FailedPrecondition, R::NoBackups),
            E::Store(S::Io { .. }) => (Code::Unavailable, R::StoreUnreachable),
            E::Store(S::Closed(_)) => (Code::Unavailable, R::StoreClosed),
        };
        refusal(code, reason, error.to_string())
    }
}

/// The answer while the server starts or drains.
pub fn unavailable(message: &str) -> Status {
    refusal(Code::Unavailable, ErrorReason::NotServing, message)
}

pub fn deadline_exceeded() -> Status {
    let message = "the client's deadline passed";
    refusal(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, message)
}

/// Gives a status that the framework made the code and details that our contract asks for. It is
/// told apart by having no details.
pub fn framework_status(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let message = status.message();
    let is_size = message.contains("message length too large") || message.contains("size limit");
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted if is_size => {
            refusal(Code::InvalidArgument, ErrorReason::MessageTooLarge, message)
        }
        Code::Internal if is_malformed(message) => {
            refusal(Code::InvalidArgument, ErrorReason::MalformedMessage, message)
        }
        Code::Unimplemented if message.is_empty() => unknown_method(),
        Code::Unimplemented => {
            refusal(Code::Unimplemented, ErrorReason::UnsupportedEncoding, message)
        }
        _ => status,
    }
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
    refusal(Code::InvalidArgument, ErrorReason::MalformedMessage, what)
}

pub fn message_too_large(bytes_max: usize) -> Status {
    let message =
        format!("the message is larger than {bytes_max} bytes, the most that is accepted");
    refusal(Code::InvalidArgument, ErrorReason::MessageTooLarge, message)
}

/// The request took longer to arrive than it may.
pub fn slow_request() -> Status {
    let message = "the request did not arrive in time";
    refusal(Code::DeadlineExceeded, ErrorReason::RequestTooSlow, message)
}

pub fn unsupported_encoding(encoding: &str) -> Status {
    let encoding: String = encoding.chars().take(40).collect();
    let message = format!("'{encoding}' is no encoding that the server reads");
    refusal(Code::Unimplemented, ErrorReason::UnsupportedEncoding, message)
}

pub fn unknown_method() -> Status {
    let message = "the server knows no such method";
    refusal(Code::Unimplemented, ErrorReason::UnknownMethod, message)
}

/// The call comes from nobody in particular, where only some may call.
pub fn credentials_missing() -> Status {
    let message = "the server asks who calls: send a bearer token in the header 'authorization', \
                   or show a certificate that it knows";
    refusal(Code::Unauthenticated, ErrorReason::CredentialsMissing, message)
}

/// The server knows nobody by this token or certificate, or not any more.
pub fn credentials_unknown(is_expired: bool) -> Status {
    match is_expired {
        true => {
            let message = "the token or certificate has expired";
            refusal(Code::Unauthenticated, ErrorReason::CredentialsExpired, message)
        }
        false => {
            let message = "the server knows nobody by this token or certificate";
            refusal(Code::Unauthenticated, ErrorReason::CredentialsUnknown, message)
        }
    }
}

/// The caller is known, and may not call this.
pub fn role_missing(role: &str) -> Status {
    let message = format!("the method takes the role '{role}', which the caller does not have");
    refusal(Code::PermissionDenied, ErrorReason::RoleMissing, message)
}

/// The caller may make the call, and not for this collection.
pub fn collection_forbidden() -> Status {
    let message = "the caller may not touch this collection";
    refusal(Code::PermissionDenied, ErrorReason::CollectionForbidden, message)
}

/// Puts the id of the request into the details of an error, for whoever is asked about it.
pub fn with_request_id(status: Status, request_id: &str) -> Status {
    let mut details = status.get_error_details();
    details.set_request_info(request_id, "");
    let (code, message) = (status.code(), status.message().to_owned());
    Status::with_error_details_and_metadata(code, message, details, status.metadata().clone())
}

fn refusal(code: Code, reason: ErrorReason, message: impl Into<String>) -> Status {
    let mut details = error_info(reason);
    if let Some(delay) = retry_after(reason) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code, message, details)
}

fn error_info(reason: ErrorReason) -> ErrorDetails {
    ErrorDetails::with_error_info(reason_name(reason), DOMAIN, HashMap::new())
}

/// A reason as an ErrorInfo has it.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

/// The reason of that name; unspecified if the contract has none.
pub fn reason_named(name: &str) -> ErrorReason {
    ErrorReason::from_str_name(&format!("{REASON_PREFIX}{name}")).unwrap_or_default()
}

/// Every reason of the contract, the unspecified one first.
pub fn reasons() -> impl Iterator<Item = ErrorReason> {
    (0..).map_while(|number| ErrorReason::try_from(number).ok())
}

/// Why a status is what it is; unspecified if it does not say.
pub fn reason_of(status: &Status) -> ErrorReason {
    let details = status.get_error_details();
    details.error_info().map(|info| reason_named(&info.reason)).unwrap_or_default()
}

/// When the same call may succeed; None if it will not.
fn retry_after(reason: ErrorReason) -> Option<Duration> {
    use ErrorReason as R;
    match reason {
        R::Overloaded => Some(Duration::from_millis(100)),
        R::NotServing | R::StoreUnreachable => Some(Duration::from_secs(1)),
        // It opens again by itself, as soon as its folder can be written to.
        R::StoreClosed => Some(Duration::from_secs(5)),
        // Somebody has to make room first.
        R::DiskFull | R::TooManyCollections => Some(Duration::from_secs(60)),
        R::Unspecified
        | R::InvalidFields
        | R::MalformedMessage
        | R::MessageTooLarge
        | R::ArticleNotFound
        | R::StoryNotFound
        | R::CollectionNotFound
        | R::BackupExists
        | R::NoBackups
        | R::NoFingerprint
        | R::NoModelFile
        | R::ModelRefused
        | R::StoreUnusable
        | R::DeadlineExceeded
        | R::RequestTooSlow
        | R::UnknownMethod
        | R::UnsupportedEncoding
        | R::CredentialsMissing
        | R::CredentialsUnknown
        | R::CredentialsExpired
        | R::RoleMissing
        | R::CollectionForbidden
        | R::DataDamaged
        | R::Internal => None,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::pb::Status as RpcStatus;

    use super::*;
    use crate::analysis::StoryId;
    use crate::article::{ArticleId, CollectionName};

    fn refusals() -> Vec<Status> {
        let id = ArticleId::new("tide-7").unwrap();
        let text = || "what happened".to_owned();
        let engine = [
            EngineError::Overloaded,
            EngineError::NoModelFile,
            EngineError::ModelRefused { path: "topics.bin".into(), reason: text() },
            EngineError::NoBackups,
            EngineError::Panicked,
        ];
        let store = [
            StoreError::NoArticle(id.clone()),
            StoreError::NoStory(StoryId(uuid::Uuid::nil())),
            StoreError::NoCollection(CollectionName::default()),
            StoreError::NoFingerprint(id),
            StoreError::BackupExists("backups/daily".into()),
            StoreError::Unusable { path: "data".into(), reason: text() },
            StoreError::Damaged(text()),
            StoreError::io("it")(std::io::ErrorKind::Other.into()),
            StoreError::TooManyCollections(3),
            StoreError::DiskFull { available_mib: 1, reserve_mib: 256 },
            StoreError::Full("it".into()),
            StoreError::Closed("it".into()),
        ];
        let framework = [
            Status::out_of_range("Error, decoded message length too large: found 5 bytes"),
            Status::resource_exhausted("size limit"),
            Status::internal("failed to decode Protobuf message: invalid wire type"),
            Status::unimplemented(""),
            Status::unimplemented("Content is compressed with `snappy` which isn't supported"),
        ];
        (engine.into_iter().map(Status::from))
            .chain(store.into_iter().map(|error| EngineError::Store(error).into()))
            .chain(framework.into_iter().map(framework_status))
            .chain([unavailable("the server is starting"), deadline_exceeded(), slow_request()])
            .chain([Violations::one("title", "is too long").into()])
            .chain([credentials_missing(), credentials_unknown(false), credentials_unknown(true)])
            .chain([role_missing("write"), collection_forbidden()])
            .collect()
    }

    #[test]
    fn every_refusal_has_a_reason_of_the_contract() {
        let mut told = std::collections::BTreeSet::new();
        for status in refusals() {
            let details = status.get_error_details();
            let info = details.error_info().expect("an ErrorInfo");
            assert_eq!(info.domain, DOMAIN);
            let reason = reason_named(&info.reason);
            assert_ne!(reason, ErrorReason::Unspecified, "{info:?}");
            told.insert(reason as i32);
        }
        let of_contract = (1..).take_while(|&number| ErrorReason::try_from(number).is_ok());
        assert_eq!(told.into_iter().collect::<Vec<_>>(), of_contract.collect::<Vec<_>>());
    }

    #[test]
    fn what_passes_and_what_is_final_share_no_code() {
        for status in refusals() {
            let is_passing = matches!(status.code(), Code::ResourceExhausted | Code::Unavailable);
            let retry = status.get_error_details().retry_info().cloned();
            assert_eq!(retry.is_some(), is_passing, "{status:?}");
        }
    }

    #[test]
    fn the_id_of_the_request_comes_to_the_other_details() {
        use prost::Message;
        for status in refusals() {
            let before = RpcStatus::decode(status.details()).unwrap();
            let status = with_request_id(status, "feed-4711");
            let info = status.get_error_details().request_info().cloned();
            assert_eq!(info.unwrap().request_id, "feed-4711");
            let mut after = RpcStatus::decode(status.details()).unwrap();
            after.details.retain(|detail| !detail.type_url.ends_with("RequestInfo"));
            assert_eq!(after, before);
        }
    }

    /// The details are a whole google.rpc.Status, or clients in other languages cannot read them.
    #[test]
    fn details_repeat_code_and_message() {
        use prost::Message;
        for status in refusals() {
            let details = RpcStatus::decode(status.details()).unwrap();
            assert_eq!(details.code, status.code() as i32);
            assert_eq!(details.message, status.message());
        }
    }
}
