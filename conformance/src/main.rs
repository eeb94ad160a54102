//! A server for Connect's conformance suite to ask: the suite's service, behind newsprint's own
//! edge. The suite's runner starts it, says on standard input what kind of server it wants, and
//! reads its address from standard output. Run by scripts/conformance.

mod service;
mod trailers;

/// The suite's contract.
#[allow(clippy::all)]
pub mod pb {
    tonic::include_proto!("connectrpc.conformance.v1");

    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/conformance.bin"));
}

use std::error::Error;
use std::io::{Read, Write};

use newsprint::config::{ClientAuth, Config, HttpAddr};
use newsprint::server::{self, Guests};
use prost::Message;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;

use crate::pb::conformance_service_server::ConformanceServiceServer;
use crate::pb::{ServerCompatRequest, ServerCompatResponse};
use crate::service::Conformance;
use crate::trailers::WithTrailers;

fn wanted() -> Result<ServerCompatRequest, Box<dyn Error>> {
    let mut stdin = std::io::stdin().lock();
    let mut len = [0; 4];
    stdin.read_exact(&mut len)?;
    let mut message = vec![0; u32::from_be_bytes(len) as usize];
    stdin.read_exact(&mut message)?;
    Ok(ServerCompatRequest::decode(&message[..])?)
}

fn tell(response: &ServerCompatResponse) -> std::io::Result<()> {
    let message = response.encode_to_vec();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&(message.len() as u32).to_be_bytes())?;
    stdout.write_all(&message)?;
    stdout.flush()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wanted = wanted()?;
    let folder = tempfile::tempdir()?;
    let mut config = Config {
        data: folder.path().join("data"),
        backups: folder.path().join("backups"),
        http: HttpAddr::Off,
        ..Config::default()
    };
    config.web.allowed_origins = vec!["*".parse()?];
    // A connection of HTTP/1.1 on which nothing was asked for this long is closed, and the suite has
    // no second try for a request that meets that.
    config.connections.handshake_seconds_max = 120;
    if wanted.message_receive_limit > 0 {
        config.limits.message_bytes_max = wanted.message_receive_limit as usize;
    }
    let mut pem_cert = Vec::new();
    if wanted.use_tls {
        let file = |name: &str, pem: &[u8]| -> std::io::Result<_> {
            let path = folder.path().join(name);
            std::fs::write(&path, pem)?;
            Ok(Some(path))
        };
        let creds = wanted.server_creds.unwrap_or_default();
        config.security.tls_cert = file("server.crt", &creds.cert)?;
        config.security.tls_key = file("server.key", &creds.key)?;
        if !wanted.client_tls_cert.is_empty() {
            config.security.tls_client_ca = file("clients.crt", &wanted.client_tls_cert)?;
            config.security.tls_client_auth = ClientAuth::Required;
        }
        pem_cert = creds.cert;
    }

    let guests = Guests::new(pb::DESCRIPTORS, |routes| {
        let service = ConformanceServiceServer::new(Conformance)
            .max_decoding_message_size(usize::MAX)
            .send_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Zstd);
        routes.add_service(WithTrailers(service))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tell(&ServerCompatResponse {
        host: address.ip().to_string(),
        port: address.port().into(),
        pem_cert,
    })?;
    // The runner ends it.
    let never = tokio_stream::pending();
    Ok(server::run_with(guests, listener, config, server::embedded_engine, never).await?)
}
