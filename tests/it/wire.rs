//! A client that does what no library would: it sends what it likes and takes nothing it does not
//! want.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, Request, Response};

pub const SUBMIT: &str = "/newsprint.v1.ArticleService/SubmitArticle";
pub const SUBMIT_BATCH: &str = "/newsprint.v1.ArticleService/BatchSubmitArticles";
pub const SUBMIT_STREAM: &str = "/newsprint.v1.ArticleService/SubmitArticleStream";
pub const LIST: &str = "/newsprint.v1.ArticleService/ListArticles";

/// A gRPC frame: whether it is compressed, its length, its content.
pub fn frame(compressed: bool, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u32).to_be_bytes();
    [&[u8::from(compressed)], &len[..], content].concat()
}

/// A connection over which calls are made by hand.
#[derive(Clone)]
pub struct Wire {
    send: SendRequest<Bytes>,
    address: SocketAddr,
}

/// A call made by hand.
pub struct WireCall {
    pub answer: ResponseFuture,
    pub request: SendStream<Bytes>,
}

impl Wire {
    /// Connects; of each answer so many bytes are taken before any are asked for.
    pub async fn connect(address: SocketAddr, window: u32) -> Wire {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(1 << 30);
        let (send, connection) = builder.handshake(stream).await.expect("it speaks HTTP/2");
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Wire { send, address }
    }

    /// Begins a call whose request is still to be sent.
    pub async fn begin(&self, path: &str, headers: &[(&str, &str)]) -> WireCall {
        let mut request =
            Request::post(format!("http://{}{path}", self.address)).header("te", "trailers");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        let request = request.body(()).expect("a request");
        let (answer, request) = send.send_request(request, false).expect("a stream");
        WireCall { answer, request }
    }

    /// Whether the server takes more calls over this connection.
    pub async fn is_open(&self) -> bool {
        self.send.clone().ready().await.is_ok()
    }

    /// Makes a call with this body.
    pub async fn call(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> WireCall {
        let mut call = self.begin(path, headers).await;
        let _ = call.request.send_data(body.into(), true);
        call
    }
}

impl WireCall {
    pub async fn headers(self) -> Response<RecvStream> {
        self.answer.await.expect("an answer")
    }

    /// What the call ended with, and the messages before: an error of the stream is none of ours.
    pub async fn end(self) -> Result<(Vec<u8>, Status), h2::Error> {
        let response = self.answer.await?;
        if let Some(status) = Status::from_header_map(response.headers()) {
            return Ok((Vec::new(), status));
        }
        let mut body = response.into_body();
        let mut content = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            let _ = body.flow_control().release_capacity(data.len());
            content.extend_from_slice(&data);
        }
        let trailers: HeaderMap = body.trailers().await?.unwrap_or_default();
        let status = Status::from_header_map(&trailers).expect("a status at the end");
        Ok((content, status))
    }
}

/// Waits for something that has to come within so many seconds.
pub async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(seconds);
    tokio::time::timeout(limit, what).await.expect("it comes in time")
}

/// The messages of a body.
pub fn messages(mut body: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while body.len() >= 5 {
        let len = u32::from_be_bytes([body[1], body[2], body[3], body[4]]) as usize;
        messages.push(&body[5..5 + len]);
        body = &body[5 + len..];
    }
    messages
}
