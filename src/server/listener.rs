//! Takes connections in: not more than there may be, and without losing its head when the process
//! runs out of something.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection;
use super::contract::Edge;

/// How long no connection is taken in after one could not be, at first and at most.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Serves what comes in until the server drains, and then what is there until it has ended.
pub async fn serve(listener: TcpListener, edge: Arc<Edge>, draining: watch::Receiver<bool>) {
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
        let (stream, peer) = match accepted {
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
        let serving = connection::serve(stream, Some(peer), Arc::clone(&edge), draining.clone());
        connections.spawn(async move {
            serving.await;
            drop(count);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One open connection.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        gauge!("newsprint_connections").set(open.fetch_add(1, Ordering::Relaxed) as f64 + 1.0);
        Counted(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!("newsprint_connections").set(self.0.fetch_sub(1, Ordering::Relaxed) as f64 - 1.0);
    }
}
