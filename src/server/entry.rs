//! Where every request comes in: calls are told from what is none, and pages that may call from
//! those that may not. What is refused here is answered by HTTP, in words.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use tonic::codegen::http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tower::{Layer, ServiceExt, service_fn};

use super::connection::Ongoing;
use super::contract::{self, Answer, Edge};
use super::grpc_web::Protocol;
use super::receive::{Left, RequestBody};

const ORIGIN_NOT_ALLOWED: &str =
    "pages of this origin may not call: --allowed-origins says which may\n";
const POST_ONLY: &str = "gRPC and gRPC-Web calls are sent by POST\n";
const NO_CALL: &str = "the content type must be application/grpc, application/grpc-web or \
    application/grpc-web-text, each with +proto or without\n";
const NO_HTTP2: &str = "gRPC needs HTTP/2; over HTTP/1.1 send gRPC-Web, with the content type \
    application/grpc-web\n";

/// Answers one request.
pub async fn answer(
    edge: Arc<Edge>,
    ongoing: Arc<Ongoing>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    // Only browsers say where a request comes from.
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return Ok(answer_admitted(edge, ongoing, request).await);
    };
    let cors = edge.origins.layer();
    let service = service_fn(async |request: Request<Incoming>| {
        let (parts, body) = request.into_parts();
        if !edge.origins.admit(&origin, &parts) {
            return Ok(refused(StatusCode::FORBIDDEN, ORIGIN_NOT_ALLOWED));
        }
        let request = Request::from_parts(parts, body);
        Ok(answer_admitted(Arc::clone(&edge), Arc::clone(&ongoing), request).await)
    });
    cors.layer(service).oneshot(request).await
}

/// Over HTTP/1.1 an answer ends the connection if it comes before the request is read, which its
/// client may not have known when it sent the next one, or what was left of this one. So that is
/// read first, or the answer says that the connection ends.
async fn answer_admitted(
    edge: Arc<Edge>,
    ongoing: Arc<Ongoing>,
    request: Request<Incoming>,
) -> Response<Answer> {
    let left = Left::default();
    let is_http1 = request.version() < Version::HTTP_2;
    let request = request.map(|body| RequestBody::new(body, &left));
    let mut response = answer_one(edge, ongoing, request).await;
    if is_http1 && !left.read().await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer_one(
    edge: Arc<Edge>,
    ongoing: Arc<Ongoing>,
    request: Request<RequestBody>,
) -> Response<Answer> {
    let protocol = Protocol::of(request.headers());
    match (request.method(), protocol) {
        (&Method::POST, Some(Protocol::Grpc)) if request.version() < Version::HTTP_2 => {
            refused(StatusCode::HTTP_VERSION_NOT_SUPPORTED, NO_HTTP2)
        }
        (&Method::POST, Some(protocol)) => contract::answer(edge, ongoing, protocol, request).await,
        (&Method::POST, None) => refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, NO_CALL),
        (&Method::GET | &Method::HEAD, None) => {
            let is_root = request.uri().path() == "/";
            let status = if is_root { StatusCode::OK } else { StatusCode::NOT_FOUND };
            refused(status, &what_is_here(&edge))
        }
        _ => {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, POST_ONLY);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            response
        }
    }
}

fn what_is_here(edge: &Edge) -> String {
    let console = match edge.console {
        Some(address) => format!("; the console is at http://{address}/"),
        None => String::new(),
    };
    format!("newsprint: gRPC and gRPC-Web are served here{console}\n")
}

fn refused(status: StatusCode, text: &str) -> Response<Answer> {
    let mut response = Response::new(Answer::text(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
