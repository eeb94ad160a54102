//! Keeps, for every call, the promises that the framework does not: nothing is received that there
//! is no room for, the client's deadline ends in DEADLINE_EXCEEDED, errors carry details, answers
//! weigh until they are taken, and calls have an id by which they are found again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use prost::Message;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, header};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;

use super::calls::{CallCount, Meters, Overload, begin_refusals};
use super::connection::{Ongoing, Port, STREAM_WINDOW_BYTES};
use super::grpc_web::{self, Protocol};
use super::guard::{Caller, Guard, Need, need_of};
use super::ids::Ids;
use super::origins::Origins;
use super::receive::{Encoding, Messages, RequestBody};
use super::tls::Tls;
use crate::admission::{Admission, Amount, Budget, Overloaded, Share};
use crate::api::pb::served::admin_service_server::AdminServiceServer;
use crate::api::{
    AdminApi, Call, DESCRIPTORS, Deadline, deadline_exceeded, framework_status, overloaded,
    unknown_method, with_request_id,
};
use crate::config::{ConnectionLimits, Limits};
use crate::telemetry::Traces;

/// What a call takes beside its message: headers, tasks, the framework's part.
const CALL_BYTES: usize = 8 << 10;

/// Answers are handed to HTTP/2 in pieces of this size, so that it can be told whether the client
/// takes them.
const PIECE_BYTES: usize = 64 << 10;

/// What the framework gets of a message that is handed on past it.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

/// The most that a request without articles may have: a longer one says nothing, and takes long to
/// read.
const OTHER_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// What the server has for all connections.
pub struct Edge {
    pub admission: Admission,
    /// A small budget for health and reflection, which are to answer whatever else goes on.
    pub aside: Budget,
    pub limits: Limits,
    pub connections: ConnectionLimits,
    pub draining: watch::Receiver<bool>,
    pub origins: Origins,
    /// Where the console is.
    pub console: Option<SocketAddr>,
    pub routes: Routes,
    /// The methods of services that are none of the server's own.
    pub guests: &'static Methods,
    pub guard: Arc<Guard>,
    pub tls: Option<Arc<Tls>>,
    /// Whether `AdminService` is served on a listener of its own, and only there.
    pub has_admin_port: bool,
    pub overload: Overload,
    pub traces: Traces,
}

/// A method that the server has.
pub struct Method {
    pub path: String,
    meters: Meters,
    /// Whether requests are streams.
    is_stream: bool,
    /// Whether it is one of the framework's services rather than of ours.
    pub is_aside: bool,
    /// Whether it is one of a guest's services.
    is_guest: bool,
    /// Whether it is one of `AdminService`.
    pub is_admin: bool,
    /// What it takes to call it; None if nobody has thought of it, which closes it.
    pub need: Option<Need>,
    /// The number of the field of its requests that names their collection.
    pub collection: Option<u32>,
    /// Whether its requests bring articles. They are handed on past the framework, and refused
    /// before they are read when too many are in work; streams wait.
    is_submission: bool,
}

impl Method {
    /// Whether the framework is to be handed its messages.
    fn is_others(&self) -> bool {
        self.is_aside || self.is_guest
    }
}

/// Methods by their paths. Only these become labels of metrics.
pub type Methods = HashMap<String, Method>;

/// Every method of the server's own. Their metrics begin with the first call of this.
pub fn methods() -> &'static Methods {
    static METHODS: OnceLock<Methods> = OnceLock::new();
    METHODS.get_or_init(|| {
        Meters::of_unknown();
        let aside = [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let sets = aside.into_iter().map(|set| (set, true)).chain([(DESCRIPTORS, false)]);
        described_methods(sets).map(|method| (method.path.clone(), method)).collect()
    })
}

/// The methods of a guest's services: open to everybody.
pub fn guest_methods(descriptors: &'static [u8]) -> Methods {
    let methods = described_methods([(descriptors, false)]).map(|method| Method {
        is_guest: true,
        need: Some(Need::Nothing),
        collection: None,
        is_submission: false,
        ..method
    });
    methods.map(|method| (method.path.clone(), method)).collect()
}

fn described_methods(
    sets: impl IntoIterator<Item = (&'static [u8], bool)>,
) -> impl Iterator<Item = Method> {
    sets.into_iter().flat_map(|(set, is_aside)| {
        let set = prost_types::FileDescriptorSet::decode(set).unwrap_or_default();
        set.file.into_iter().flat_map(move |file| {
            let package = file.package().to_owned();
            let collections = collection_fields(&file);
            file.service.into_iter().flat_map(move |service| {
                let service_name = format!("{package}.{}", service.name());
                let collections = collections.clone();
                service.method.into_iter().map(move |method| Method {
                    path: format!("/{service_name}/{}", method.name()),
                    meters: Meters::new(
                        &service_name,
                        method.name(),
                        method.client_streaming(),
                        method.server_streaming(),
                    ),
                    is_stream: method.client_streaming(),
                    is_aside,
                    is_guest: false,
                    is_admin: service_name == <AdminServiceServer<AdminApi> as NamedService>::NAME,
                    need: need_of(&service_name, method.name()),
                    collection: collections.get(method.input_type()).copied(),
                    is_submission: method.input_type().contains("Submit")
                        || method.input_type().contains("Analyze"),
                })
            })
        })
    })
}

/// The field that names the collection, of each message of a file that has one, by its type.
fn collection_fields(file: &prost_types::FileDescriptorProto) -> HashMap<String, u32> {
    let field = |message: &prost_types::DescriptorProto| {
        let field = message.field.iter().find(|field| field.name() == "collection")?;
        Some((format!(".{}.{}", file.package(), message.name()), field.number() as u32))
    };
    file.message_type.iter().filter_map(field).collect()
}

/// Answers one call.
pub async fn answer(
    edge: Arc<Edge>,
    ongoing: Arc<Ongoing>,
    protocol: Protocol,
    request: Request<RequestBody>,
) -> Response<Answer> {
    let peer = ongoing.peer();
    let mut ids = Ids::of(request.headers());
    let path = request.uri().path();
    let method = methods().get(path).or_else(|| edge.guests.get(path));
    let method = method.filter(|method| edge.serves(method, peer.port));
    let meters = method.map_or_else(Meters::of_unknown, |method| &method.meters);
    let span = meters.span(&edge.traces, &mut ids, peer.address);
    let (ids, is_traced) = (Arc::new(ids), span.is_traced());
    let mut count = CallCount::begin(meters, peer.address, Arc::clone(&ids), &edge.overload, span);
    let (client, aside) = ongoing.clients();
    let mut held = None;
    let admitted = match method {
        None => Err(unknown_method()),
        Some(method) => {
            let admitted = edge.guard.admit(method, request.headers(), peer, &ids, is_traced);
            admitted.map(|caller| (method, caller))
        }
    };
    let answered = match admitted {
        Err(status) => Err(status),
        Ok((method, caller)) => {
            count.caller = Some(caller.clone());
            let client = if method.is_aside { aside } else { client };
            let call = Call::new(client.clone());
            let answered = edge.call(method, protocol, &ongoing, &call, caller, request).await;
            held = call.answered();
            answered
        }
    };
    // What is beside a guest's errors is the guest's to say.
    let told = edge.guests.is_empty().then(|| Arc::clone(&ids));
    let answered = answered.unwrap_or_else(|status| match told {
        Some(_) => status.into_http(),
        None => bare(status).into_http(),
    });
    let mut response = with_contract(answered, told.as_deref());
    ids.tell(response.headers_mut());
    let web = protocol.writer();
    let last = web.and_then(|web| {
        response.headers_mut().insert(header::CONTENT_TYPE, web.content_type());
        grpc_web::take_status(response.headers_mut()).map(|status| web.trailers(&status))
    });
    response.map(|(body, status)| {
        // What ends in trailers after a body is counted when they are there.
        let mut count = Some(count);
        if let Some(status) = status
            && let Some(count) = count.take()
        {
            count.end(&status);
        }
        let rest = last.unwrap_or_default();
        Answer { body, call: Some(ongoing), rest, held, count, ids: told, web }
    })
}

impl Edge {
    /// Begins what is counted of calls.
    pub fn begin_metrics() {
        methods();
        begin_refusals();
    }

    /// Whether a method is served on a listener.
    fn serves(&self, method: &Method, port: Port) -> bool {
        match port {
            Port::Service => !method.is_admin || !self.has_admin_port,
            Port::Admin => method.is_admin || method.is_aside,
        }
    }

    async fn call(
        &self,
        method: &'static Method,
        protocol: Protocol,
        ongoing: &Ongoing,
        call: &Call,
        caller: Caller,
        request: Request<RequestBody>,
    ) -> Result<Response<Body>, Status> {
        let deadline = grpc_timeout(request.headers()).map(|timeout| Instant::now() + timeout);
        *ongoing.deadline.lock() = deadline;
        let answer = self.answer(method, protocol, ongoing, call, caller, request);
        match deadline {
            None => answer.await,
            Some(deadline) if deadline <= Instant::now() => Err(deadline_exceeded()),
            Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
                .await
                .unwrap_or_else(|_| Err(deadline_exceeded())),
        }
    }

    /// Receives the request, has it answered by the service it is for, and keeps its share in the
    /// budget meanwhile.
    async fn answer(
        &self,
        method: &'static Method,
        protocol: Protocol,
        ongoing: &Ongoing,
        call: &Call,
        caller: Caller,
        request: Request<RequestBody>,
    ) -> Result<Response<Body>, Status> {
        let client = call.client();
        let deadline = *ongoing.deadline.lock();
        if method.is_submission && !method.is_stream && !client.has_room(Amount::ARTICLE) {
            return Err(overloaded(Overloaded));
        }
        let window = if method.is_stream { STREAM_WINDOW_BYTES as usize } else { 0 };
        let base = client.try_take(Amount::bytes(CALL_BYTES + window)).map_err(overloaded)?;
        ongoing.hold(base);
        let encoding = Encoding::of(request.headers())?;
        let (mut parts, body) = request.into_parts();
        compress_in_kind(&mut parts.headers);
        // What is handed on is not compressed.
        parts.headers.remove("grpc-encoding");
        if let Some(deadline) = deadline {
            parts.extensions.insert(Deadline(deadline.into()));
        }
        parts.extensions.insert(call.clone());
        let message_bytes_max = match method.is_submission || method.is_guest {
            true => self.limits.message_bytes_max,
            false => OTHER_MESSAGE_BYTES_MAX.min(self.limits.message_bytes_max),
        };
        let messages = Messages::new(
            body,
            protocol,
            encoding,
            self.admission.clone(),
            message_bytes_max,
            self.connections.receive_max(),
        );
        let body = if method.is_stream {
            let draining = method.is_others().then(|| self.draining.clone());
            Body::new(StreamBody::new(received(messages, call.clone(), caller, draining)))
        } else {
            let mut share = client.charge(Amount::default());
            let message = messages.only(&mut share).await?;
            caller.may_send(&message)?;
            if method.is_submission {
                call.receive(message, share, None);
                Body::new(Full::new(Bytes::from_static(&EMPTY_MESSAGE)))
            } else {
                call.receive(Bytes::new(), share, None);
                Body::new(Full::new(framed(&message)))
            }
        };
        let mut routes = self.routes.clone();
        let request = Request::from_parts(parts, body);
        // The router is always ready, and knows no errors but statuses.
        Ok(routes.call(request).await.unwrap_or_else(|never| match never {}))
    }
}

/// A message as the framework reads it: not compressed, so long, and this.
fn framed(message: &[u8]) -> Bytes {
    let len = (message.len() as u32).to_be_bytes();
    [&[0], &len[..], message].concat().into()
}

/// The messages of a stream, each with its share handed to the call. One that the caller may not
/// send is handed on with why not; if the caller may not go on at all, the stream ends. The
/// framework's own streams end when the server drains; ours end themselves, with a status.
fn received(
    messages: Messages,
    call: Call,
    caller: Caller,
    draining: Option<watch::Receiver<bool>>,
) -> impl stream::Stream<Item = Result<Frame<Bytes>, Status>> + Send {
    stream::unfold(Some((messages, draining)), move |state| {
        let (call, caller) = (call.clone(), caller.clone());
        async move {
            let (mut messages, mut draining) = state?;
            let drained = async {
                match &mut draining {
                    Some(draining) => {
                        let _ = draining.wait_for(|draining| *draining).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                next = messages.next(call.client()) => next,
                () = drained => return None,
            };
            match next {
                Ok(None) => None,
                Ok(Some((message, share))) => {
                    if let Err(status) = caller.may_go_on() {
                        return Some((Err(status), None));
                    }
                    let frame = if draining.is_some() {
                        framed(&message)
                    } else {
                        let refusal = caller.may_send(&message).err();
                        call.receive(message, share, refusal);
                        Bytes::from_static(&EMPTY_MESSAGE)
                    };
                    Some((Ok(Frame::data(frame)), Some((messages, draining))))
                }
                Err(status) => Some((Err(status), None)),
            }
        }
    })
}

/// Has answers compressed only for clients that compress what they send. Many say by default that
/// they could unpack, and would pay for it in time on every call without wanting to.
fn compress_in_kind(headers: &mut HeaderMap) {
    let encoding = headers.get("grpc-encoding").map(|encoding| encoding.as_bytes());
    if matches!(encoding, None | Some(b"identity")) {
        headers.remove("grpc-accept-encoding");
    }
}

/// Completes an error's details, and tells the status if it is known already: of an answer with a
/// body it is in the trailers.
fn with_contract(response: Response<Body>, ids: Option<&Ids>) -> Response<(Body, Option<Status>)> {
    match Status::from_header_map(response.headers()) {
        None => response.map(|body| (body, None)),
        Some(status) if status.code() == Code::Ok => response.map(|body| (body, Some(status))),
        Some(status) => {
            let status = completed(status, ids);
            let mut response: Response<Body> = status.clone().into_http();
            if status.code() == Code::Unimplemented {
                let encodings = HeaderValue::from_static("identity,gzip,zstd");
                response.headers_mut().insert("grpc-accept-encoding", encodings);
            }
            response.map(|body| (body, Some(status)))
        }
    }
}

/// The body of an answer, on its way to the client.
pub struct Answer {
    body: Body,
    call: Option<Arc<Ongoing>>,
    /// What is left of the piece that the service gave.
    rest: Bytes,
    /// What the answer weighs before it is made.
    held: Option<Share>,
    count: Option<CallCount>,
    ids: Option<Arc<Ids>>,
    /// What writes the body, if not the framework alone.
    web: Option<grpc_web::Writer>,
}

impl Default for Answer {
    fn default() -> Self {
        Answer::text("")
    }
}

impl Answer {
    /// An answer to what is no call.
    pub fn text(text: &str) -> Self {
        Answer {
            body: Body::empty(),
            call: None,
            rest: Bytes::copy_from_slice(text.as_bytes()),
            held: None,
            count: None,
            ids: None,
            web: None,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        Frame::data(match &self.call {
            Some(call) => call.piece(piece),
            None => piece,
        })
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(status)) => {
                if let Some(count) = self.count.take() {
                    count.end(&status);
                }
                return Poll::Ready(Some(Err(status)));
            }
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => {
                self.rest = match self.web {
                    Some(web) => web.data(data),
                    None => data,
                };
                let piece = self.piece();
                // The pieces weigh for themselves; before the last, what is left weighs as before.
                if self.rest.is_empty() {
                    self.held = None;
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Err(frame) => {
                self.held = None;
                let Ok(trailers) = frame.into_trailers() else { return Poll::Ready(None) };
                let (trailers, status) = trailers_with_contract(trailers, self.ids.as_deref());
                if let Some(count) = self.count.take() {
                    count.end(&status);
                }
                if let Some(web) = self.web {
                    self.rest = web.trailers(&trailers);
                    return Poll::Ready(Some(Ok(self.piece())));
                }
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// An error with the code and details of the contract; with the code alone where guests are.
fn completed(status: Status, ids: Option<&Ids>) -> Status {
    match ids {
        Some(ids) => with_request_id(framework_status(status), ids.request()),
        None if status.details().is_empty() => bare(framework_status(status)),
        None => status,
    }
}

/// A status without its details.
fn bare(status: Status) -> Status {
    Status::with_metadata(status.code(), status.message(), status.metadata().clone())
}

/// Completes the details of an error at the end of a body.
fn trailers_with_contract(trailers: HeaderMap, ids: Option<&Ids>) -> (HeaderMap, Status) {
    match Status::from_header_map(&trailers) {
        None => (trailers, Status::unknown("the answer ended without a status")),
        Some(status) if status.code() == Code::Ok => (trailers, status),
        Some(status) => {
            let status = completed(status, ids);
            let mut trailers_completed = HeaderMap::new();
            match status.add_header(&mut trailers_completed) {
                Ok(()) => (trailers_completed, status),
                Err(_) => (trailers, status),
            }
        }
    }
}

/// The client's deadline: at most eight digits and a unit,
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>.
///
/// The framework keeps it too, but calls it CANCELLED. So that ours comes first it is a little
/// shorter; the client has given up by then anyway.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Some(timeout.saturating_sub(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let check = |value: &str, expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().unwrap());
            let expected = expected.map(|ms| Duration::from_millis(ms.saturating_sub(1)));
            assert_eq!(grpc_timeout(&headers), expected, "{value}");
        };
        check("2S", Some(2000));
        check("1H", Some(3_600_000));
        check("250m", Some(250));
        check("3000u", Some(3));
        check("0n", Some(0));
        check("123456789S", None);
        check("S", None);
        check("", None);
        check("5x", None);
    }
}
