//! The contract of `proto/newsprint/v1` in Rust, and our side of it. The only module that knows
//! protobuf: it translates to the engine's types and back, and holds no logic of its own.

mod admin_service;
mod article_service;
mod convert;
mod error;

pub use admin_service::AdminApi;
pub use article_service::ArticleApi;
pub use error::{DOMAIN, deadline_exceeded, framework_status, reason_name, reason_named};

use std::sync::{Arc, OnceLock};

use tonic::Status;

use crate::engine::Engine;

/// What the compiler made of the contract.
#[expect(clippy::large_enum_variant, reason = "generated from the contract")]
pub mod pb {
    tonic::include_proto!("newsprint.v1");
}

/// The contract as a `google.protobuf.FileDescriptorSet`, comments included.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/newsprint.bin"));

/// The moment the client gives up, among a request's extensions. Streams, which go on after their
/// call was answered, end themselves by it.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub tokio::time::Instant);

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
}
