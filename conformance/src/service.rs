//! The suite's service: answers as each request says it shall.

use std::pin::Pin;
use std::time::Duration;

use prost::{Message, Name};
use prost_types::Any;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::pb::conformance_payload::RequestInfo;
use crate::pb::conformance_service_server::ConformanceService;
use crate::pb::unary_response_definition::Response as Wanted;
use crate::pb::*;
use crate::trailers::Trailers;

pub struct Conformance;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Name for RequestInfo {
    const NAME: &'static str = "ConformancePayload.RequestInfo";
    const PACKAGE: &'static str = "connectrpc.conformance.v1";
}

macro_rules! named {
    ($($message:ident),*) => {$(
        impl Name for $message {
            const NAME: &'static str = stringify!($message);
            const PACKAGE: &'static str = "connectrpc.conformance.v1";
        }
    )*};
}
named!(UnaryRequest, IdempotentUnaryRequest, ServerStreamRequest, ClientStreamRequest);
named!(BidiStreamRequest);

fn any(message: &impl Name) -> Any {
    let name = message_name(message);
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn message_name<M: Name>(_: &M) -> String {
    M::full_name()
}

/// What was asked, without the messages.
fn info(metadata: &MetadataMap) -> RequestInfo {
    let headers = metadata.clone().into_headers();
    let request_headers = headers
        .keys()
        .map(|name| Header {
            name: name.to_string(),
            value: headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect(),
        })
        .collect();
    let timeout_ms =
        headers.get("grpc-timeout").and_then(|value| milliseconds(value.to_str().ok()?));
    RequestInfo { request_headers, timeout_ms, ..RequestInfo::default() }
}

fn milliseconds(timeout: &str) -> Option<i64> {
    let (count, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let count: i64 = count.parse().ok()?;
    Some(match unit {
        "H" => count * 3_600_000,
        "M" => count * 60_000,
        "S" => count * 1000,
        "m" => count,
        "u" => count / 1000,
        "n" => count / 1_000_000,
        _ => return None,
    })
}

fn header_map(headers: &[Header]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for header in headers {
        for value in &header.value {
            let name = HeaderName::try_from(header.name.as_str());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
                map.append(name, value);
            }
        }
    }
    map
}

/// google.rpc.Status, which details are sent in.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

fn status(error: &Error, info: Option<&RequestInfo>, metadata: HeaderMap) -> Status {
    let mut details = error.details.clone();
    details.extend(info.map(any));
    let (code, message) = (error.code, error.message().to_owned());
    let details = RpcStatus { code, message: message.clone(), details }.encode_to_vec();
    let metadata = MetadataMap::from_headers(metadata);
    Status::with_details_and_metadata(Code::from_i32(code), message, details.into(), metadata)
}

/// What the edge says of a stream. Its details are not asked about.
fn bare(status: Status) -> Status {
    Status::new(status.code(), status.message())
}

async fn wait(milliseconds: u32) {
    tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
}

fn answer<T>(message: T, headers: &[Header], trailers: &[Header]) -> Response<T> {
    let mut response = Response::new(message);
    *response.metadata_mut() = MetadataMap::from_headers(header_map(headers));
    response.extensions_mut().insert(Trailers(header_map(trailers)));
    response
}

/// Answers a call that has one answer.
async fn answer_once<T>(
    definition: Option<UnaryResponseDefinition>,
    info: RequestInfo,
    message: impl FnOnce(ConformancePayload) -> T,
) -> Result<Response<T>, Status> {
    let definition = definition.unwrap_or_default();
    wait(definition.response_delay_ms).await;
    let (headers, trailers) = (&definition.response_headers, &definition.response_trailers);
    let data = match definition.response {
        Some(Wanted::Error(error)) => {
            // An error has one place for both.
            let mut metadata = header_map(headers);
            metadata.extend(header_map(trailers));
            return Err(status(&error, Some(&info), metadata));
        }
        Some(Wanted::ResponseData(data)) => data,
        None => Vec::new(),
    };
    let payload = ConformancePayload { data, request_info: Some(info) };
    Ok(answer(message(payload), headers, trailers))
}

/// Answers a call that has many, each of which is made of the messages asked since the one before.
struct Streamed<T> {
    send: mpsc::Sender<Result<T, Status>>,
    definition: StreamResponseDefinition,
    info: RequestInfo,
    sent: usize,
    message: fn(ConformancePayload) -> T,
}

impl<T> Streamed<T> {
    fn is_done(&self) -> bool {
        self.sent >= self.definition.response_data.len()
    }

    async fn send(&mut self, request_info: Option<RequestInfo>) {
        wait(self.definition.response_delay_ms).await;
        let data = self.definition.response_data[self.sent].clone();
        self.sent += 1;
        // Who has left needs no answer.
        let _ = self.send.send(Ok((self.message)(ConformancePayload { data, request_info }))).await;
    }

    async fn send_rest(mut self) {
        while !self.is_done() {
            let info = (self.sent == 0).then(|| self.info.clone());
            self.send(info).await;
        }
        if let Some(error) = &self.definition.error {
            let info = (self.sent == 0).then_some(&self.info);
            let trailers = HeaderMap::new();
            let _ = self.send.send(Err(status(error, info, trailers))).await;
        }
    }
}

#[tonic::async_trait]
impl ConformanceService for Conformance {
    async fn unary(
        &self,
        request: Request<UnaryRequest>,
    ) -> Result<Response<UnaryResponse>, Status> {
        let mut info = info(request.metadata());
        let request = request.into_inner();
        info.requests.push(any(&request));
        answer_once(request.response_definition, info, |payload| UnaryResponse {
            payload: Some(payload),
        })
        .await
    }

    async fn idempotent_unary(
        &self,
        request: Request<IdempotentUnaryRequest>,
    ) -> Result<Response<IdempotentUnaryResponse>, Status> {
        let mut info = info(request.metadata());
        let request = request.into_inner();
        info.requests.push(any(&request));
        answer_once(request.response_definition, info, |payload| IdempotentUnaryResponse {
            payload: Some(payload),
        })
        .await
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<ClientStreamRequest>>,
    ) -> Result<Response<ClientStreamResponse>, Status> {
        let mut info = info(request.metadata());
        let mut requests = request.into_inner();
        let mut definition = None;
        while let Some(request) = requests.next().await {
            let request = request.map_err(bare)?;
            info.requests.push(any(&request));
            if info.requests.len() == 1 {
                definition = request.response_definition;
            }
        }
        answer_once(definition, info, |payload| ClientStreamResponse { payload: Some(payload) })
            .await
    }

    type ServerStreamStream = Answers<ServerStreamResponse>;

    async fn server_stream(
        &self,
        request: Request<ServerStreamRequest>,
    ) -> Result<Response<Self::ServerStreamStream>, Status> {
        let mut info = info(request.metadata());
        let request = request.into_inner();
        info.requests.push(any(&request));
        let definition = request.response_definition.unwrap_or_default();
        let (send, answers) = mpsc::channel(1);
        let answers: Answers<_> = Box::pin(ReceiverStream::new(answers));
        let (headers, trailers) = (&definition.response_headers, &definition.response_trailers);
        let response = answer(answers, headers, trailers);
        let message = |payload| ServerStreamResponse { payload: Some(payload) };
        let streamed = Streamed { send, definition, info, sent: 0, message };
        tokio::spawn(streamed.send_rest());
        Ok(response)
    }

    type BidiStreamStream = Answers<BidiStreamResponse>;

    async fn bidi_stream(
        &self,
        request: Request<Streaming<BidiStreamRequest>>,
    ) -> Result<Response<Self::BidiStreamStream>, Status> {
        let mut info = info(request.metadata());
        let mut requests = request.into_inner();
        let first = requests.next().await.transpose().map_err(bare)?.unwrap_or_default();
        info.requests.push(any(&first));
        let definition = first.response_definition.unwrap_or_default();
        let (send, answers) = mpsc::channel(1);
        let answers: Answers<_> = Box::pin(ReceiverStream::new(answers));
        let (headers, trailers) = (&definition.response_headers, &definition.response_trailers);
        let response = answer(answers, headers, trailers);
        let message = |payload| BidiStreamResponse { payload: Some(payload) };
        let mut streamed = Streamed { send, definition, info, sent: 0, message };
        let answering = async move {
            loop {
                if first.full_duplex {
                    if streamed.is_done() {
                        break;
                    }
                    let info = match streamed.sent {
                        0 => streamed.info.clone(),
                        _ => RequestInfo {
                            requests: streamed.info.requests.clone(),
                            ..RequestInfo::default()
                        },
                    };
                    streamed.info.requests.clear();
                    streamed.send(Some(info)).await;
                }
                match requests.next().await {
                    Some(Ok(request)) => streamed.info.requests.push(any(&request)),
                    Some(Err(status)) => {
                        let _ = streamed.send.send(Err(bare(status))).await;
                        return;
                    }
                    None => break,
                }
            }
            streamed.send_rest().await;
        };
        // Half a duplex answers when all is asked; over HTTP/1.1 there is no other.
        tokio::spawn(answering);
        Ok(response)
    }

    async fn unimplemented(
        &self,
        _: Request<UnimplementedRequest>,
    ) -> Result<Response<UnimplementedResponse>, Status> {
        Err(Status::unimplemented("it is not there"))
    }
}
