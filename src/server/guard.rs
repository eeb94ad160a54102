//! Who may make which call: checked when its headers are there, and of each message, whose
//! collection may be one that the caller has no business with. What is refused, and whatever is
//! done through `AdminService`, is written to the log under the target `audit`.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use tonic::codegen::http::{HeaderMap, header};
use tonic::{Code, Status};

use super::calls::code_name;
use super::connection::Peer;
use super::contract::Method;
use super::ids::Ids;
use super::watched::{Contents, Watched};
use crate::access::{Credential, Identities, Identity, NotKnown, Role};
use crate::api::{
    collection_forbidden, credentials_missing, credentials_unknown, malformed_message, role_missing,
};
use crate::article::CollectionName;
use crate::config::{Limits, Security};
use crate::telemetry;

/// What a call of a method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: health is asked by whoever routes calls, and the schema is no secret.
    Nothing,
    /// To be known. What is answered is about no collection.
    AnyRole,
    Role(Role),
}

/// What each method takes. One that is missing here is not served, and a test fails.
pub fn need_of(service: &str, method: &str) -> Option<Need> {
    use Role::{Admin, Read, Write};
    Some(match (service, method) {
        (
            "grpc.health.v1.Health"
            | "grpc.reflection.v1.ServerReflection"
            | "grpc.reflection.v1alpha.ServerReflection",
            _,
        ) => Need::Nothing,
        ("newsprint.v1.ArticleService", method) => Need::Role(match method {
            "SubmitArticle" | "BatchSubmitArticles" | "SubmitArticleStream" | "DeleteArticle" => {
                Write
            }
            "AnalyzeArticle" | "GetArticle" | "ListArticles" | "GetStory" | "FindSimilar" => Read,
            _ => return None,
        }),
        ("newsprint.v1.AdminService", method) => match method {
            // Clients look up the limits.
            "GetServerInfo" => Need::AnyRole,
            "ReloadModel" | "CreateBackup" | "ListCollections" | "UpdateCollection"
            | "DeleteCollection" => Need::Role(Admin),
            _ => return None,
        },
        _ => return None,
    })
}

/// What stands at the door.
pub struct Guard {
    /// None lets everybody in.
    identities: Option<Watched<Identities>>,
}

impl Guard {
    pub fn load(settings: &Security) -> Result<Arc<Guard>, String> {
        let watch = |file: &std::path::PathBuf| {
            Watched::new("identities", vec![file.clone()], |contents: &Contents| {
                // A text that is none has no identities either, and is told so.
                let text = contents.first().map(|content| String::from_utf8_lossy(content));
                Identities::parse(&text.unwrap_or_default()).inspect(|known| {
                    tracing::info!(identities = known.count(), "callers are asked who they are");
                })
            })
        };
        Ok(Arc::new(Guard { identities: settings.tokens.as_ref().map(watch).transpose()? }))
    }

    pub fn look(&self, is_at_once: bool) {
        if let Some(identities) = &self.identities {
            identities.look(is_at_once);
        }
    }

    /// Lets a call in, or tells why not.
    pub fn admit(
        self: &Arc<Self>,
        method: &'static Method,
        headers: &HeaderMap,
        peer: &Peer,
        ids: &Arc<Ids>,
        is_traced: bool,
    ) -> Result<Caller, Status> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter().map(|value| value.as_bytes());
        let authorization = match (given.next(), given.next()) {
            // Of two it could not be told which one counts.
            (Some(_), Some(_)) => Some(&b""[..]),
            (first, _) => first,
        };
        let caller = Caller(Arc::new(Inner {
            guard: Arc::clone(self),
            credential: Credential::of(authorization, &peer.names),
            method,
            ids: Arc::clone(ids),
            peer: peer.clone(),
            is_traced,
            collection: Mutex::default(),
        }));
        caller.may_go_on()?;
        Ok(caller)
    }
}

/// Whoever makes a call.
#[derive(Clone)]
pub struct Caller(Arc<Inner>);

struct Inner {
    guard: Arc<Guard>,
    credential: Option<Credential>,
    method: &'static Method,
    ids: Arc<Ids>,
    peer: Peer,
    is_traced: bool,
    /// Of a call that is written to the log or traced.
    collection: Mutex<String>,
}

impl Caller {
    /// Whether the call may be made, still: what was granted may be taken back while a stream lasts.
    pub fn may_go_on(&self) -> Result<(), Status> {
        self.identity().map(|_| ())
    }

    /// Whether the caller may ask for what a message of the call asks for. To be called with every
    /// message, whatever the method: here is the only place where grants of collections are kept.
    pub fn may_send(&self, message: &Bytes) -> Result<(), Status> {
        let Inner { method, .. } = &*self.0;
        let identity = self.identity()?;
        let is_limited = identity.as_ref().is_some_and(|identity| identity.is_limited());
        if !is_limited && !method.is_admin {
            if let Some(field) = method.collection.filter(|_| self.0.is_traced)
                && let Ok(Ok(collection)) = collection_of(message, field)
            {
                collection.as_str().clone_into(&mut self.0.collection.lock());
            }
            return Ok(());
        }
        let collection = match method.collection {
            Some(field) => Some(collection_of(message, field)?),
            None => None,
        };
        if let Some(Ok(collection)) = &collection {
            collection.as_str().clone_into(&mut self.0.collection.lock());
        }
        let Some(identity) = identity.filter(|_| is_limited) else { return Ok(()) };
        let may = match (&collection, method.need) {
            (_, Some(Need::Nothing | Need::AnyRole)) => true,
            // What is about no collection in particular is about all.
            (None, _) => false,
            (Some(Ok(collection)), _) => identity.may_touch(collection),
            // What is no name is refused as such.
            (Some(Err(_)), _) => true,
        };
        if may {
            return Ok(());
        }
        Err(self.refused(collection_forbidden(), &identity.name))
    }

    /// The collection that the call is about, where that was looked at.
    pub fn collection(&self) -> String {
        self.0.collection.lock().clone()
    }

    /// Who the caller is; None if nobody asks.
    fn identity(&self) -> Result<Option<Arc<Identity>>, Status> {
        let Inner { guard, credential, method, .. } = &*self.0;
        let Some(identities) = &guard.identities else { return Ok(None) };
        let role = match method.need {
            Some(Need::Nothing) => return Ok(None),
            Some(Need::AnyRole) => None,
            Some(Need::Role(role)) => Some(role),
            // Nobody has thought of it.
            None => return Err(Status::permission_denied("the method is not open to anybody")),
        };
        let Some(credential) = credential else {
            return Err(self.refused(credentials_missing(), ""));
        };
        let identities = identities.get();
        let identity = match identities.of(credential) {
            Ok(identity) => identity,
            Err(error) => {
                let is_expired = error == NotKnown::Expired;
                return Err(self.refused(credentials_unknown(is_expired), ""));
            }
        };
        match role {
            Some(role) if !identity.has(role) => {
                Err(self.refused(role_missing(role.name()), &identity.name))
            }
            _ => Ok(Some(Arc::clone(identity))),
        }
    }

    /// Writes down that a call was refused.
    fn refused(&self, status: Status, who: &str) -> Status {
        let Inner { method, ids, peer, collection, .. } = &*self.0;
        let code = code_name(status.code());
        tracing::warn!(
            target: "audit",
            who = self.who_or(who),
            method = method.path,
            collection = *collection.lock(),
            code,
            reason = status.message(),
            request_id = ids.request(),
            trace_id = ids.trace(),
            peer = %peer.address,
            "call refused"
        );
        status
    }

    /// Writes down what became of a call of `AdminService`.
    pub fn audit(&self, code: Code) {
        let Inner { guard, credential, method, ids, peer, collection, .. } = &*self.0;
        if !method.is_admin {
            return;
        }
        let identities = guard.identities.as_ref().map(Watched::get);
        let identity = match (&identities, credential) {
            (Some(identities), Some(credential)) => identities.of(credential).ok(),
            _ => None,
        };
        macro_rules! write_down {
            ($name:expr, $who:expr) => {
                tracing::info!(
                    name: $name,
                    target: "audit",
                    who = $who,
                    method = method.path,
                    collection = *collection.lock(),
                    code = code_name(code),
                    request_id = ids.request(),
                    trace_id = ids.trace(),
                    peer = %peer.address,
                    "admin call"
                )
            };
        }
        match identity {
            Some(identity) => write_down!(telemetry::ALWAYS_WRITTEN, identity.name),
            // Of those whom nobody asks who they are there may be too many.
            None => write_down!("admin call", self.who_or("")),
        }
    }

    /// A name for the log: the identity's, or else the first in his certificate.
    fn who_or<'a>(&'a self, identity: &'a str) -> &'a str {
        match (identity, self.0.peer.names.first()) {
            ("", Some(name)) => name,
            ("", None) => "unknown",
            _ => identity,
        }
    }
}

/// Fields that a message may have: no more are looked through. It is as many as a batch of articles
/// may have, see `api::items`.
const FIELDS_MAX: usize = Limits::BATCH_ARTICLES_MAX + 200;

/// The collection that a request names, in this field. It is read as whoever answers reads it, or
/// one might be asked for past the guard: the last one counts, and none is the default one.
fn collection_of(
    message: &Bytes,
    field: u32,
) -> Result<Result<CollectionName, &'static str>, Status> {
    let mut buf = message.clone();
    let mut name = Bytes::new();
    for _ in 0..FIELDS_MAX {
        if !buf.has_remaining() {
            let Ok(name) = String::from_utf8(name.into()) else { return Ok(Err("is no text")) };
            return Ok(CollectionName::new(name));
        }
        let context = DecodeContext::default();
        decode_key(&mut buf)
            .and_then(|(tag, wire_type)| match tag == field {
                true => prost::encoding::bytes::merge(wire_type, &mut name, &mut buf, context),
                false => skip_field(wire_type, tag, &mut buf, context),
            })
            .map_err(|error| malformed_message(&error.to_string()))?;
    }
    Err(malformed_message("the request has more fields than there can be"))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::contract::methods;
    use super::*;
    use crate::api::pb::{Article, DeleteArticleRequest, SubmitArticleRequest};

    #[test]
    fn every_method_of_the_contract_takes_something() {
        let mut count = 0;
        for method in methods().values() {
            count += 1;
            let need = method.need.unwrap_or_else(|| panic!("{} has no role", method.path));
            assert_eq!(need == Need::Nothing, method.is_aside, "{}", method.path);
            // What is about no collection is for those who may have all, or for anybody.
            let is_of_admin = matches!(need, Need::AnyRole | Need::Role(Role::Admin));
            assert!(method.collection.is_some() || method.is_aside || is_of_admin);
        }
        assert!(count >= 19, "{count}");
    }

    #[test]
    fn a_collection_is_read_as_it_will_be_understood() {
        let check = |message: Vec<u8>, expected: Option<&str>| {
            let read = collection_of(&message.clone().into(), 1).unwrap().ok();
            assert_eq!(read.as_ref().map(CollectionName::as_str), expected);
            let understood = DeleteArticleRequest::decode(&message[..]).unwrap().collection;
            assert_eq!(read, CollectionName::new(understood).ok());
        };
        let named = |name: &str| {
            let article = Some(Article { title: "A title".into(), ..Article::default() });
            SubmitArticleRequest { collection: name.into(), article, options: None }
        };
        check(Vec::new(), Some("default"));
        for (name, expected) in [("wire", Some("wire")), ("", Some("default")), ("A b", None)] {
            let message = DeleteArticleRequest { collection: name.into(), article_id: "a".into() };
            check(message.encode_to_vec(), expected);
            // Whatever comes before or after it.
            let mut twice =
                DeleteArticleRequest { collection: "other".into(), article_id: "b".into() }
                    .encode_to_vec();
            let mut last = message.encode_to_vec();
            if name.is_empty() {
                // A field that is there and empty counts as well.
                last.splice(0..0, [0x0a, 0x00]);
            }
            twice.extend(last);
            check(twice, expected);
        }
        let read = collection_of(&named("wire").encode_to_vec().into(), 1).unwrap().unwrap();
        assert_eq!(read.as_str(), "wire");
        assert!(collection_of(&Bytes::from_static(b"\x08\x01"), 1).is_err(), "it is no text");
        assert!(collection_of(&Bytes::from_static(b"\x0a\x05ab"), 1).is_err(), "it is cut short");
        assert!(collection_of(&[0x10, 0x01].repeat(FIELDS_MAX + 1).into(), 1).is_err());
    }
}
