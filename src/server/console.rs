//! The console: a page to try the service with, and to look around in what it remembers. It is in
//! the program, needs nothing from elsewhere, and knows nothing but the public contract, which it
//! calls by gRPC-Web.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use xxhash_rust::xxh3::xxh3_64;

struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

macro_rules! files {
    ($($path:literal, $name:literal, $content_type:literal;)*) => {
        &[$(File {
            path: $path,
            content_type: $content_type,
            content: include_bytes!(concat!("../../console/", $name)),
        }),*]
    };
}

static FILES: &[File] = files! {
    "/", "index.html", "text/html; charset=utf-8";
    "/console/console.css", "console.css", "text/css; charset=utf-8";
    "/console/console.js", "console.js", "text/javascript; charset=utf-8";
    "/console/views.js", "views.js", "text/javascript; charset=utf-8";
    "/console/parts.js", "parts.js", "text/javascript; charset=utf-8";
    "/console/passages.js", "passages.js", "text/javascript; charset=utf-8";
    "/console/client.js", "client.js", "text/javascript; charset=utf-8";
    "/console/icon.svg", "icon.svg", "image/svg+xml";
};

/// What every file is sent with. The page may load and call what is the server's own, and nothing
/// else; nobody may put it into a page of his; nothing in it is run or styled from within the text.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    // Asked for again each time, and sent again only when the program is another.
    (header::CACHE_CONTROL, "no-cache"),
];

/// The files of the console.
pub fn routes() -> Router {
    FILES.iter().fold(Router::new(), |router, file| {
        let etag = format!("\"{:016x}\"", xxh3_64(file.content));
        let answer = async move |request: Request| send(file, &etag, request.headers());
        router.route(file.path, get(answer))
    })
}

fn send(file: &'static File, etag: &str, asked: &HeaderMap) -> Response {
    let is_known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known == etag);
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => file.content.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
