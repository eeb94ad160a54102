//! Takes requests off the wire: frames, sizes, compression, and what they weigh in the budget.
//!
//! The framework would read and unpack whatever comes; here nothing is kept that nobody answers
//! for. What leaves are whole messages, unpacked.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use super::grpc_web::{Protocol, TextReader};
use crate::admission::{Admission, Amount, Client, Share};
use crate::api::{
    malformed_message, message_too_large, overloaded, slow_request, unsupported_encoding,
};

/// A message has one byte that says whether it is compressed, and four of its length.
const HEADER_LEN: usize = 5;

/// What a message weighs against its length: it is there as it came, as it is understood, and as it
/// is written to disk.
pub const WEIGHT: usize = 3;

/// What is unpacked on a thread that serves. More takes more than a millisecond.
const UNPACK_INLINE_BYTES: usize = 64 << 10;

/// A frame of zstd may demand a window of up to 8 MiB of everybody, RFC 8878 section 3.1.1.1.2.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// The encoding that a request names.
    pub fn of(headers: &HeaderMap) -> Result<Self, Status> {
        match headers.get("grpc-encoding").map(|encoding| encoding.as_bytes()) {
            None | Some(b"identity") => Ok(Encoding::Identity),
            Some(b"gzip") => Ok(Encoding::Gzip),
            Some(b"zstd") => Ok(Encoding::Zstd),
            Some(other) => Err(unsupported_encoding(&String::from_utf8_lossy(other))),
        }
    }

    fn unpacker(self, packed: Bytes) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Encoding::Identity => Box::new(packed.reader()),
            Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(packed.reader())),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed.reader())?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

/// The body of a request. What is not read of it is left to whoever has the other end.
pub struct RequestBody {
    body: Option<Incoming>,
    left: Left,
}

/// Where a body is left that was not read to its end.
#[derive(Clone, Default)]
pub struct Left(Arc<Mutex<Leaving>>);

#[derive(Default)]
enum Leaving {
    /// It is still being read, or was read to its end.
    #[default]
    Nothing,
    Body(Incoming),
    /// The answer has begun: a stream that leaves its body later is too late to tell of it.
    Answered,
}

/// What is read of a request that is refused, to throw it away.
const LEFT_BYTES_MAX: usize = 1 << 20;
const LEFT_TIME_MAX: Duration = Duration::from_secs(1);

impl RequestBody {
    pub fn new(body: Incoming, left: &Left) -> Self {
        RequestBody { body: Some(body), left: left.clone() }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let mut left = self.left.0.lock();
        match &*left {
            Leaving::Answered => {
                // Without a runtime the server is gone, and its connections with it.
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(read_to_end(body));
                }
            }
            _ => *left = Leaving::Body(body),
        }
    }
}

impl Left {
    /// Reads what was left and forgets it, within bounds, and tells whether all of it was read. What
    /// is left later is read so behind the answer.
    pub async fn read(&self) -> bool {
        let left = std::mem::replace(&mut *self.0.lock(), Leaving::Answered);
        match left {
            Leaving::Body(body) => read_to_end(body).await,
            Leaving::Nothing | Leaving::Answered => true,
        }
    }
}

/// Tells whether it came to the end, within bounds.
async fn read_to_end(mut body: Incoming) -> bool {
    let mut bytes = 0;
    let reading = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > LEFT_BYTES_MAX {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(LEFT_TIME_MAX, reading).await.unwrap_or(false)
}

/// The messages of one request.
pub struct Messages {
    body: RequestBody,
    /// What reads the body, where it is text.
    text: Option<TextReader>,
    encoding: Encoding,
    admission: Admission,
    message_bytes_max: usize,
    /// How long a message may take from its first byte to its last.
    time_max: Duration,
    /// What has come and is not looked at yet.
    have: Bytes,
}

/// The start of a message.
struct Header {
    is_compressed: bool,
    len: usize,
}

impl Messages {
    pub fn new(
        body: RequestBody,
        protocol: Protocol,
        encoding: Encoding,
        admission: Admission,
        message_bytes_max: usize,
        time_max: Duration,
    ) -> Self {
        let text = (protocol == Protocol::WebText).then(TextReader::default);
        Messages {
            body,
            text,
            encoding,
            admission,
            message_bytes_max,
            time_max,
            have: Bytes::new(),
        }
    }

    /// The message of a request that has only one. The share grows by what it weighs.
    pub async fn only(mut self, share: &mut Share) -> Result<Bytes, Status> {
        let received = tokio::time::timeout(self.time_max, async {
            if !self.fill(HEADER_LEN, Some(share)).await? {
                return Err(malformed_message("the request has no message"));
            }
            let header = self.header()?;
            if !self.fill(HEADER_LEN + header.len, Some(share)).await? {
                return Err(malformed_message("the request ends within its message"));
            }
            self.have.advance(HEADER_LEN);
            let message = self.have.split_to(header.len);
            if !self.have.is_empty() || self.fill(1, Some(share)).await? {
                return Err(malformed_message("the request has more than one message"));
            }
            Ok((header, message))
        });
        let (header, message) = received.await.map_err(|_| slow_request())??;
        if !header.is_compressed {
            share.set_bytes(share.bytes().max(WEIGHT * message.len())).map_err(overloaded)?;
            return Ok(message);
        }
        let before = share.bytes();
        share.grow(Amount::bytes(WEIGHT * self.message_bytes_max)).map_err(overloaded)?;
        let message = self.unpack(message, share.client()).await?;
        share.set_bytes(before + WEIGHT * message.len()).map_err(overloaded)?;
        Ok(message)
    }

    /// The next message of a stream, with a share of one article and of what the message weighs:
    /// it is waited for before the message is read. None at the end.
    pub async fn next(&mut self, client: &Client) -> Result<Option<(Bytes, Share)>, Status> {
        let mut nothing = None;
        if !self.fill(1, nothing.as_mut()).await? {
            return Ok(None);
        }
        let time_max = self.time_max;
        let header = async {
            match self.fill(HEADER_LEN, nothing.as_mut()).await? {
                true => self.header(),
                false => Err(malformed_message("the stream ends within a message")),
            }
        };
        let header = tokio::time::timeout(time_max, header).await.map_err(|_| slow_request())??;
        let len_max = if header.is_compressed { self.message_bytes_max } else { header.len };
        let mut share =
            client.take(Amount { articles: 1, bytes: WEIGHT * (header.len + len_max) }).await;
        let content = self.fill(HEADER_LEN + header.len, nothing.as_mut());
        if !tokio::time::timeout(time_max, content).await.map_err(|_| slow_request())?? {
            return Err(malformed_message("the stream ends within a message"));
        }
        self.have.advance(HEADER_LEN);
        let mut message = self.have.split_to(header.len);
        if header.is_compressed {
            message = self.unpack(message, client).await?;
        }
        share.set_bytes(WEIGHT * message.len()).map_err(overloaded)?;
        Ok(Some((message, share)))
    }

    fn header(&self) -> Result<Header, Status> {
        let mut start = &self.have[..];
        let (flag, len) = (start.get_u8(), start.get_u32() as usize);
        if len > self.message_bytes_max {
            return Err(message_too_large(self.message_bytes_max));
        }
        match (flag, self.encoding) {
            (0, _) => Ok(Header { is_compressed: false, len }),
            (1, Encoding::Identity) => Err(malformed_message(
                "a message is compressed, and grpc-encoding does not say how",
            )),
            (1, _) => Ok(Header { is_compressed: true, len }),
            _ => Err(malformed_message("a message begins with neither 0 nor 1")),
        }
    }

    /// Reads until so many bytes are there, and tells whether they are. What comes is added to the
    /// share, if it is not paid for already.
    async fn fill(&mut self, len: usize, mut share: Option<&mut Share>) -> Result<bool, Status> {
        if self.have.len() >= len {
            return Ok(true);
        }
        // What is not whole is copied: a small piece may keep much alive that came with it. Room is
        // made for twice of what has come, for a header may tell of far more than ever comes, and
        // with huge pages room that is hardly touched takes memory all the same.
        let mut joined = Vec::new();
        let have = std::mem::take(&mut self.have);
        join(&mut joined, &have, len);
        while joined.len() < len {
            let Some(chunk) = self.chunk().await? else { break };
            if let Some(share) = &mut share {
                share.grow(Amount::bytes(WEIGHT * chunk.len())).map_err(overloaded)?;
            }
            if joined.is_empty() && chunk.len() >= len {
                self.have = chunk;
                return Ok(true);
            }
            join(&mut joined, &chunk, len);
        }
        self.have = joined.into();
        Ok(self.have.len() >= len)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            let frame = match self.body.body.as_mut() {
                Some(body) => body.frame().await,
                None => None,
            };
            let frame = match frame {
                Some(frame) => frame.map_err(|_| malformed_message("the request broke off"))?,
                None if self.text.as_ref().is_none_or(TextReader::is_done) => return Ok(None),
                None => return Err(malformed_message("its base64 breaks off")),
            };
            let Ok(mut data) = frame.into_data() else { continue };
            if let Some(text) = &mut self.text {
                let broken = |error| malformed_message(&format!("it is no base64: {error}"));
                data = text.read(&data).map_err(broken)?;
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// Unpacks a message.
    async fn unpack(&self, packed: Bytes, client: &Client) -> Result<Bytes, Status> {
        let broken =
            |error: std::io::Error| malformed_message(&format!("cannot unpack it: {error}"));
        let mut unpacker = self.encoding.unpacker(packed).map_err(broken)?;
        let mut message = Vec::new();
        let limit = self.message_bytes_max;
        if !unpack_some(&mut unpacker, &mut message, UNPACK_INLINE_BYTES.min(limit + 1))
            .map_err(broken)?
        {
            let rest = self.admission.blocking(client, move || {
                let room = limit + 1 - message.len();
                // Growing step by step would touch, and leave behind, as much again, and the share is
                // of all of it.
                message.reserve_exact(room);
                unpack_some(&mut unpacker, &mut message, room).map(|_| message)
            });
            message = rest.await.map_err(overloaded)?.map_err(broken)?;
        }
        if message.len() > limit {
            return Err(message_too_large(limit));
        }
        Ok(message.into_boxed_slice().into())
    }
}

/// Adds a piece to what has come of so many bytes.
fn join(joined: &mut Vec<u8>, piece: &[u8], len: usize) {
    let needed = joined.len() + piece.len();
    if needed > joined.capacity() {
        let room = len.min(needed.saturating_mul(2)).max(needed);
        joined.reserve_exact(room - joined.len());
    }
    joined.extend_from_slice(piece);
}

/// Unpacks at most so many bytes more, and tells whether that was all.
fn unpack_some(
    unpacker: &mut (dyn Read + Send),
    message: &mut Vec<u8>,
    bytes_max: usize,
) -> std::io::Result<bool> {
    let read = unpacker.take(bytes_max as u64).read_to_end(message)?;
    Ok(read < bytes_max)
}
