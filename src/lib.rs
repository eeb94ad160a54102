//! newsprint tells what news articles are about and whether they were seen before, and remembers
//! them.
//!
//! This is the map, in reading order. ARCHITECTURE.md follows one article through it and lists what
//! must never be.
//!
//! The core is pure, without I/O, async or a clock:
//!
//! * [`kernel`]: which bytes of a text are what, by the means of each instruction set.
//! * [`text`]: an article's title and body as hashed words. Everything else sees text through it.
//! * [`simhash`]: the fingerprint, 64 bits that change little when a text does.
//! * [`hamming`]: every stored code within a distance of another.
//! * [`duplicates`]: are two articles the same text? Sketch, posting keys, and the learned judge.
//! * [`topics`]: what an article is about, with the words that say so; also trains the model.
//! * [`model`]: the file that holds what was learnt.
//! * [`language`]: which language a text is in.
//! * [`random`]: chance that comes out the same everywhere.
//! * [`files`]: what trainers and commands read: plain or compressed, JSON line by JSON line.
//!
//! The service around it:
//!
//! * [`article`], [`analysis`]: the nouns. What is sent, and what is found out.
//! * [`analyser`]: a model at work: all that can be said of one article without looking at others.
//! * [`store`]: the memory. One writer, durable before it answers, candidates from an index in RAM.
//! * [`access`]: who may do what: identities, tokens, roles, grants.
//! * [`admission`]: who may have how much in work at the same time.
//! * [`engine`]: the use cases, whatever protocol asks for them.
//! * [`api`]: the gRPC contract and our side of it. The only module that knows protobuf.
//! * [`server`]: the service on a listener: health, limits, deadlines, drain.
//! * [`client`]: the other side: what a program needs that calls the service.
//! * [`config`], [`telemetry`]: settings, log, metrics.

#[cfg(fuzzing)]
extern crate self as newsprint;

pub mod access;
pub mod admission;
pub mod analyser;
pub mod analysis;
pub mod api;
pub mod article;
// The program's own part, for the target that reads files to import.
#[cfg(fuzzing)]
#[expect(dead_code, reason = "it is all that the program has")]
mod cli;
pub mod client;
pub mod config;
pub mod duplicates;
pub mod engine;
pub mod files;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
pub mod hamming;
pub mod kernel;
pub mod language;
pub mod model;
pub mod random;
pub mod server;
pub mod simhash;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod topics;
