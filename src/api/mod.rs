//! The contract of `proto/newsprint/v1` in Rust, and our side of it. The only module that knows
//! protobuf: it translates to the engine's types and back, and holds no logic of its own.

mod admin_service;
mod article_service;
mod convert;
mod error;
mod items;

pub use admin_service::AdminApi;
pub use article_service::ArticleApi;
pub use error::{
    DOMAIN, collection_forbidden, credentials_missing, credentials_unknown, deadline_exceeded,
    framework_status, malformed_message, message_too_large, overloaded, reason_name, reason_named,
    reason_of, reasons, role_missing, slow_request, unknown_method, unsupported_encoding,
    with_request_id,
};
#[cfg(any(fuzzing, test))]
pub use items::check_request;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::{Request, Status};

use crate::admission::{Amount, Client, Share};
use crate::engine::{Engine, EngineError};

/// What the compiler made of the contract.
#[expect(clippy::large_enum_variant, reason = "generated from the contract")]
pub mod pb {
    tonic::include_proto!("newsprint.v1");

    /// The services as the server implements them: what holds articles comes with the [`super::Call`]
    /// and is decoded by [`super::items`].
    pub mod served {
        include!(concat!(env!("OUT_DIR"), "/served/newsprint.v1.rs"));
    }
}

/// The contract as a `google.protobuf.FileDescriptorSet`, comments included.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/newsprint.bin"));

/// The moment the client gives up, among a request's extensions. Streams, which go on after their
/// call was answered, end themselves by it.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub tokio::time::Instant);

/// What comes with a call past the framework, among a request's extensions: the messages that hold
/// articles, which the framework would copy and keep, and what is held for the call while it goes on.
#[derive(Clone)]
pub struct Call(Arc<Held>);

struct Held {
    client: Client,
    received: Mutex<VecDeque<Received>>,
    answered: Mutex<Option<Share>>,
}

struct Received {
    message: Bytes,
    share: Share,
    /// Why the caller may not send it, if so.
    refusal: Option<Status>,
}

impl Call {
    pub fn new(client: Client) -> Self {
        Call(Arc::new(Held { client, received: Mutex::default(), answered: Mutex::default() }))
    }

    fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let call = request.extensions().get().cloned();
        call.ok_or_else(|| Status::internal("the call came past the admission"))
    }

    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Hands a message on, with what it weighs. Of one that the framework is to decode only the
    /// weight is handed on here. One of a stream may be refused for itself; a call that has only
    /// one is refused before it is handed on.
    pub fn receive(&self, message: Bytes, share: Share, refusal: Option<Status>) {
        self.0.received.lock().push_back(Received { message, share, refusal });
    }

    /// The message that was handed on first, and its share.
    fn received(&self) -> (Bytes, Share) {
        let Received { message, share, .. } = self.received_of_stream();
        (message, share)
    }

    /// The message of a stream that was handed on first.
    fn received_of_stream(&self) -> Received {
        let received = self.0.received.lock().pop_front();
        received.unwrap_or_else(|| Received {
            message: Bytes::new(),
            share: self.client().charge(Amount::default()),
            refusal: None,
        })
    }

    /// Holds the share of the answer until it is on its way.
    fn answer(&self, share: Share) {
        *self.0.answered.lock() = Some(share);
    }

    /// The share of the answer, which whoever sends it has to hold.
    pub fn answered(&self) -> Option<Share> {
        self.0.answered.lock().take()
    }
}

/// The engine, once it is there. The server listens before it is.
#[derive(Clone, Default)]
pub struct EngineSlot(Arc<OnceLock<Engine>>);

impl EngineSlot {
    /// Puts the engine in; the first one stays.
    pub fn fill(&self, engine: Engine) {
        let _ = self.0.set(engine);
    }

    pub fn get(&self) -> Option<&Engine> {
        self.0.get()
    }

    fn ready(&self) -> Result<&Engine, Status> {
        self.get().ok_or_else(|| error::unavailable("the server is starting"))
    }

    /// Has something read, which may take long, when it is the client's turn. It comes with the
    /// share that whatever was read is held on: as much as a message may hold, until it is known.
    async fn read<T: Send + 'static, F>(
        &self,
        call: &Call,
        read: impl FnOnce(EngineSlot) -> F + Send + 'static,
    ) -> Result<(T, Share), Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let engine = self.ready()?;
        let (_, mut share) = call.received();
        share.grow(Amount::ARTICLE).map_err(overloaded)?;
        let (slot, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let page = Amount::bytes(engine.limits().message_bytes_max);
        let read = move || {
            share.grow(page).map_err(overloaded)?;
            let read = runtime.block_on(read(slot))?;
            share.give_back_articles();
            Ok((read, share))
        };
        let read = engine.admission().blocking(call.client(), read).await;
        read.map_err(|_| EngineError::Panicked)?
    }
}
