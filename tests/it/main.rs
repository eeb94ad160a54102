//! The promises of the contract, kept by the real server and asked for by a real client. All tests
//! are one program: linking one is slow enough.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should panic"
)]

mod admin;
mod browser;
mod cli;
mod client;
#[cfg(feature = "redis")]
mod cluster;
mod damage;
mod disk;
mod durability;
mod edge;
mod errors;
mod lifecycle;
mod mesh;
mod metrics;
mod moments;
mod operations;
mod program;
mod security;
mod server;
mod store;
mod submit;
mod texts;
#[cfg(feature = "otlp")]
mod traces;
mod upgrade;
mod wire;
