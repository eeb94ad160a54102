//! Takes connections in: not more than there may be, and without losing its head when the process
//! runs out of something.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{self, Peer, Port};
use super::contract::Edge;
use super::tls::{self, Tls};
use crate::config::ConnectionLimits;

/// How long no connection is taken in after one could not be, at first and at most.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Files that the store may have to open, of which connections must not keep it.
#[cfg(unix)]
const STORE_FILES: u64 = 1000;

/// These limits, or with fewer connections if the process may not open as many files: the store gets
/// what it needs, or half of what there is.
#[cfg(unix)]
pub fn within_descriptors(limits: ConnectionLimits) -> ConnectionLimits {
    let Ok((descriptors, _)) = rlimit::getrlimit(rlimit::Resource::NOFILE) else { return limits };
    let left = descriptors.saturating_sub(STORE_FILES).max(descriptors / 2);
    let connections_max = limits.connections_max.min(usize::try_from(left).unwrap_or(usize::MAX));
    if connections_max < limits.connections_max {
        tracing::warn!(
            descriptors,
            connections_max,
            "fewer connections are taken in than connections-max says: the store needs files too"
        );
    }
    ConnectionLimits { connections_max, ..limits }
}

#[cfg(not(unix))]
pub fn within_descriptors(limits: ConnectionLimits) -> ConnectionLimits {
    limits
}

/// Serves what comes in until the server drains, and then what is there until it has ended.
pub async fn serve(
    listener: TcpListener,
    port: Port,
    edge: Arc<Edge>,
    draining: watch::Receiver<bool>,
) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    let mut stopping = draining.clone();
    let mut pause = PAUSE;
    gauge!("newsprint_connections_max").set(edge.connections.connections_max as f64);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|draining| *draining) => break,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            // The peer has changed its mind.
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => {
                counter!("newsprint_accept_errors_total").increment(1);
                if pause == PAUSE {
                    tracing::error!(%error, "no connection can be taken in; trying again for as long as it takes");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
        };
        pause = PAUSE;
        if open.load(Ordering::Relaxed) >= edge.connections.connections_max {
            counter!("newsprint_connections_refused_total").increment(1);
            tracing::warn!(
                max = edge.connections.connections_max,
                "connection refused: there are as many as there may be"
            );
            continue;
        }
        counter!("newsprint_connections_accepted_total").increment(1);
        let _ = stream.set_nodelay(true);
        let count = Counted::new(&open);
        let serving = serve_one(stream, address, port, Arc::clone(&edge), draining.clone());
        connections.spawn(async move {
            serving.await;
            drop(count);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection, over TLS if the server has a certificate. The time that its handshake
/// takes is part of what the peer is given to say that it speaks HTTP/2.
async fn serve_one(
    stream: TcpStream,
    address: SocketAddr,
    port: Port,
    edge: Arc<Edge>,
    mut draining: watch::Receiver<bool>,
) {
    let began = Instant::now();
    let Some(tls) = edge.tls.clone() else {
        let peer = Peer { address, port, names: Arc::from([]) };
        return connection::serve(stream, edge, peer, began, draining).await;
    };
    let accepted = tokio::select! {
        accepted = accept(&tls, stream, edge.connections.handshake_max()) => accepted,
        _ = draining.wait_for(|draining| *draining) => return,
    };
    let (stream, names) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            let reason = match error.kind() {
                io::ErrorKind::InvalidData => "refused",
                io::ErrorKind::TimedOut => "time",
                _ => "broken",
            };
            counter!("newsprint_tls_handshakes_failed_total", "reason" => reason).increment(1);
            // A load balancer that looks whether the port is open breaks off as well.
            if reason == "refused" {
                tracing::warn!(target: "audit", peer = %address, %error, "connection refused");
            }
            return;
        }
    };
    let peer = Peer { address, port, names };
    connection::serve(stream, edge, peer, began, draining).await;
}

async fn accept(
    tls: &Tls,
    stream: TcpStream,
    time_max: Duration,
) -> io::Result<(tokio_rustls::server::TlsStream<TcpStream>, Arc<[String]>)> {
    let stream = tokio::time::timeout(time_max, tls.acceptor().accept(stream)).await??;
    let names = tls::names(stream.get_ref().1.peer_certificates());
    Ok((stream, names))
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One open connection.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        gauge!("newsprint_connections").increment(1.0);
        Counted(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        gauge!("newsprint_connections").decrement(1.0);
    }
}
