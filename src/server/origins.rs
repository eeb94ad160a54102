//! Whose pages may call. A browser says of every call which origin it comes from, and asks first
//! whether it may make it (CORS). The server's own page is told by its origin being the server's
//! own address.
//!
//! A name in an address proves nothing: any name can be made to lead here, and a page of that name
//! would pass for our own. So only `localhost` and plain addresses are our own, and every other
//! name has to be allowed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderName, HeaderValue, Method, Uri, header, uri::Authority};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::AllowedOrigin;

/// What a page may read of an answer beside its body.
const EXPOSED_HEADERS: [&str; 5] = [
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "grpc-accept-encoding",
    "x-request-id",
];

/// How long a browser need not ask again. None remembers it for longer than two hours.
const MAX_AGE: Duration = Duration::from_secs(7200);

/// The origins whose pages may call, beside the server's own.
#[derive(Debug, Clone)]
pub struct Origins(Arc<[AllowedOrigin]>);

impl Origins {
    pub fn new(allowed: Vec<AllowedOrigin>) -> Self {
        Origins(allowed.into())
    }

    /// Whether a page of this origin may send the request.
    pub fn admit(&self, origin: &HeaderValue, request: &Parts) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.0.iter().any(|allowed| allowed.covers(origin)) || is_own(origin, request)
    }

    /// What tells browsers so.
    pub fn layer(&self) -> CorsLayer {
        let origins = self.clone();
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin, request| {
                origins.admit(origin, request)
            }))
            .allow_methods([Method::POST])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static))
            .max_age(MAX_AGE)
    }
}

/// Whether the origin is the address that the request was sent to.
fn is_own(origin: &str, request: &Parts) -> bool {
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(to) = request.uri.authority().map(Authority::as_str).or(host) else { return false };
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let Some(from) = origin.authority() else { return false };
    let name = from.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    from.as_str().eq_ignore_ascii_case(to)
        && (name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::codegen::http::Request;

    fn admits(allowed: &[&str], origin: &str, host: &str) -> bool {
        let allowed = allowed.iter().map(|origin| origin.parse().unwrap()).collect();
        let (request, ()) = Request::post("/").header("host", host).body(()).unwrap().into_parts();
        Origins::new(allowed).admit(&origin.parse().unwrap(), &request)
    }

    #[test]
    fn the_servers_own_page_may_call_it() {
        for host in ["127.0.0.1:9464", "localhost:9464", "[::1]:9464", "10.1.2.3"] {
            assert!(admits(&[], &format!("http://{host}"), host), "{host}");
        }
    }

    #[test]
    fn pages_of_others_may_not() {
        assert!(!admits(&[], "http://127.0.0.1:8000", "127.0.0.1:9464"), "another port");
        assert!(!admits(&[], "https://desk.example", "127.0.0.1:9464"));
        assert!(!admits(&[], "null", "127.0.0.1:9464"), "a file, or a page in a sandbox");
        // A name that was made to lead here.
        assert!(!admits(&[], "http://trap.example:9464", "trap.example:9464"));
        assert!(!admits(&[], "http://localhost.trap.example", "localhost.trap.example"));
    }

    #[test]
    fn those_that_are_allowed_may() {
        let allowed = ["https://desk.example", "http://localhost:3000"];
        assert!(admits(&allowed, "https://desk.example", "news.example:443"));
        assert!(admits(&allowed, "http://localhost:3000", "127.0.0.1:9464"));
        assert!(!admits(&allowed, "http://desk.example", "news.example:443"), "another scheme");
        assert!(!admits(&allowed, "https://desk.example.net", "news.example:443"));
        assert!(admits(&["*"], "https://anything.example", "news.example"));
    }
}
