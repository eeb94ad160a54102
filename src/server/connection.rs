//! One connection: its HTTP/2, its time limits, and the calls that are going on over it.
//!
//! The framework serves a connection for as long as its peer likes, and forgets a call once its
//! answer is handed to HTTP/2. Here every call is known until the last byte of its answer has left
//! the process: what a client does not take is cut off after a time, at its deadline, and when the
//! server drains.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::contract::{self, Edge};
use crate::admission::{Amount, Client, Share};

/// What the peer may send before it is read: of one call, and of all together.
pub const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

const CONCURRENT_CALLS_MAX: u32 = 1024;
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Calls that a client may cancel before they are looked at, and resets that its mistakes may make
/// us send: RUSTSEC-2023-0034 and RUSTSEC-2024-0003. The first is what h2 has for a default, but
/// above the fifty that a client may well cancel at once; the second hyper would set, if the
/// framework left it alone.
const PENDING_RESETS_MAX: usize = 256;
const OWN_RESETS_MAX: usize = 1024;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);

/// How often a connection looks at its clock.
const TICK: Duration = Duration::from_secs(1);
const TICK_DRAINING: Duration = Duration::from_millis(50);

/// How long a peer is given to act on being told to go, and an untaken answer while we drain.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// How long calls of a connection that got too old may go on.
const AGE_GRACE: Duration = Duration::from_secs(60);

/// The preface and an empty SETTINGS: no peer speaks HTTP/2 with less, RFC 9113 section 3.4.
const PREFACE_BYTES: u64 = 24 + 9;

/// Milliseconds since the first call of this function: an instant that fits into an atomic.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

/// A connection and its calls.
pub struct Connection {
    peer: Option<SocketAddr>,
    client: Client,
    aside: Client,
    calls: Mutex<HashMap<u64, Entry>>,
    next_call: AtomicU64,
    /// The call whose task is about to be started.
    starting: Mutex<Option<u64>>,
    /// When the latest call ended.
    idle_since: AtomicU64,
}

struct Entry {
    call: Weak<Ongoing>,
    /// Ends the call; gone once that was tried.
    task: Option<AbortHandle>,
}

/// A call, from its headers to the moment that the last of its answer has left.
pub struct Ongoing {
    id: u64,
    connection: Arc<Connection>,
    /// When the client has given up by its own account.
    pub deadline: Mutex<Option<Instant>>,
    /// Bytes of the answer that are made and not taken.
    untaken: AtomicUsize,
    moved: AtomicU64,
    /// What the call weighs beside its messages.
    base: Mutex<Option<Share>>,
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.connection.calls.lock().remove(&self.id);
        self.connection.idle_since.store(now_ms(), Ordering::Relaxed);
    }
}

impl Ongoing {
    /// Whose call it is, before the budget and before the one for health and reflection.
    pub fn clients(&self) -> (&Client, &Client) {
        (&self.connection.client, &self.connection.aside)
    }

    /// Who calls, as far as the connection knows: a proxy hides whom it speaks for.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.connection.peer
    }

    /// Holds a share until the call is gone.
    pub fn hold(&self, base: Share) {
        *self.base.lock() = Some(base);
    }

    /// A piece of the answer, which weighs in the budget until it has left.
    pub fn piece(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        if self.untaken.fetch_add(bytes.len(), Ordering::Relaxed) == 0 {
            self.moved.store(now_ms(), Ordering::Relaxed);
        }
        let share = self.connection.client.charge(Amount::bytes(bytes.len()));
        Bytes::from_owner(Piece { bytes, call: Arc::clone(self), _share: share })
    }

    /// Whether nothing of an answer that is there was taken for so long, or the client's deadline
    /// has passed.
    fn is_stuck(&self, now: u64, patience: Duration) -> bool {
        let untaken = self.untaken.load(Ordering::Relaxed) > 0;
        let waited = now.saturating_sub(self.moved.load(Ordering::Relaxed));
        let is_over = self.deadline.lock().is_some_and(|deadline| deadline + TICK < Instant::now());
        untaken && (is_over || Duration::from_millis(waited) > patience)
    }
}

struct Piece {
    bytes: Bytes,
    call: Arc<Ongoing>,
    _share: Share,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.call.untaken.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        self.call.moved.store(now_ms(), Ordering::Relaxed);
    }
}

impl Connection {
    fn new(edge: &Edge, peer: Option<SocketAddr>) -> Arc<Self> {
        let client = edge.admission.budget.client();
        Arc::new(Connection {
            peer,
            aside: edge.aside.same(&client),
            client,
            calls: Mutex::default(),
            next_call: AtomicU64::new(0),
            starting: Mutex::default(),
            idle_since: AtomicU64::new(now_ms()),
        })
    }

    fn begin_call(self: &Arc<Self>) -> Arc<Ongoing> {
        let id = self.next_call.fetch_add(1, Ordering::Relaxed);
        let call = Arc::new(Ongoing {
            id,
            connection: Arc::clone(self),
            deadline: Mutex::default(),
            untaken: AtomicUsize::new(0),
            moved: AtomicU64::new(now_ms()),
            base: Mutex::default(),
        });
        let entry = Entry { call: Arc::downgrade(&call), task: None };
        self.calls.lock().insert(id, entry);
        *self.starting.lock() = Some(id);
        call
    }

    fn is_idle(&self) -> bool {
        self.calls.lock().is_empty()
    }

    /// How long there has been no call.
    fn idle_for(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.idle_since.load(Ordering::Relaxed)))
    }

    /// Ends calls whose clients do not take their answers. If that does not help, because the
    /// answer lies in HTTP/2 already, it says so: then the connection has to go.
    fn cut_stuck_calls(&self, patience: Duration) -> bool {
        let now = now_ms();
        // A call leaves the map when it is dropped, so none may be dropped while that is locked.
        let calls: Vec<Arc<Ongoing>> =
            self.calls.lock().values().filter_map(|entry| entry.call.upgrade()).collect();
        let mut is_hopeless = false;
        for call in calls.iter().filter(|call| call.is_stuck(now, patience)) {
            let task = {
                let mut calls = self.calls.lock();
                calls.get_mut(&call.id).and_then(|entry| entry.task.take())
            };
            match task {
                Some(task) => {
                    task.abort();
                    counter!("newsprint_calls_cut_total").increment(1);
                }
                None => is_hopeless = true,
            }
        }
        is_hopeless
    }
}

/// Ends whatever calls a connection still has when it ends.
struct CallsEnd(Arc<Connection>);

impl Drop for CallsEnd {
    fn drop(&mut self) {
        let tasks: Vec<AbortHandle> =
            self.0.calls.lock().values_mut().filter_map(|entry| entry.task.take()).collect();
        tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Starts the task of each call, and notes how it can be ended.
#[derive(Clone)]
struct CallExecutor(Arc<Connection>);

impl<F> Executor<F> for CallExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        // A call's task is started right after the service was called with it.
        let id = self.0.starting.lock().take();
        let task = tokio::spawn(task);
        let Some(id) = id else { return };
        if let Some(entry) = self.0.calls.lock().get_mut(&id) {
            entry.task = Some(task.abort_handle());
        }
    }
}

/// Serves a connection until it ends, is too old, idle or stuck, or the server drains.
pub async fn serve<I>(
    io: I,
    peer: Option<SocketAddr>,
    edge: Arc<Edge>,
    mut draining: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = edge.connections;
    let connection = Connection::new(&edge, peer);
    let _calls_end = CallsEnd(Arc::clone(&connection));
    let is_heard = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Heard { io, read: 0, is_heard: Arc::clone(&is_heard) });
    let service = service_fn({
        let (edge, connection) = (Arc::clone(&edge), Arc::clone(&connection));
        move |request| contract::answer(Arc::clone(&edge), connection.begin_call(), request)
    });
    let mut http2 = http2::Builder::new(CallExecutor(Arc::clone(&connection)));
    http2
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CONCURRENT_CALLS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(OWN_RESETS_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL);
    let mut serving = pin!(http2.serve_connection(io, service));

    let began = Instant::now();
    let mut leaving: Option<Instant> = None;
    let mut is_draining = false;
    let mut tick = tokio::time::interval(TICK);
    let reason = loop {
        tokio::select! {
            _ = &mut serving => return,
            () = drained(&mut draining), if !is_draining => {
                is_draining = true;
                leaving = Some(Instant::now());
                serving.as_mut().graceful_shutdown();
                tick = tokio::time::interval(TICK_DRAINING);
                continue;
            }
            _ = tick.tick() => {}
        }
        if !is_heard.load(Ordering::Relaxed) && began.elapsed() > limits.handshake_max() {
            break "handshake";
        }
        let patience = if is_draining { LEAVE_TIME } else { limits.answer_max() };
        if connection.cut_stuck_calls(patience) {
            break "untaken";
        }
        if let Some(leaving) = leaving {
            // Who is told to go may have begun a call before he heard of it.
            let waited = if is_draining { TICK_DRAINING * 3 } else { LEAVE_TIME };
            if connection.is_idle() && connection.idle_for() > waited && leaving.elapsed() > waited
            {
                break "left";
            }
            if !is_draining && leaving.elapsed() > AGE_GRACE {
                break "age";
            }
            continue;
        }
        let is_idle = connection.is_idle() && connection.idle_for() > limits.idle_max();
        let is_old = limits.age_max().is_some_and(|age_max| began.elapsed() > age_max);
        if is_idle || is_old {
            leaving = Some(Instant::now());
            serving.as_mut().graceful_shutdown();
        }
    };
    counter!("newsprint_connections_closed_total", "reason" => reason).increment(1);
}

async fn drained(draining: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good a reason to stop.
    let _ = draining.wait_for(|draining| *draining).await;
}

/// A connection that notes whether its peer has said enough to be one.
struct Heard<I> {
    io: I,
    read: u64,
    is_heard: Arc<AtomicBool>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Heard<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buf);
        if self.read < PREFACE_BYTES {
            self.read += (buf.filled().len() - before) as u64;
            if self.read >= PREFACE_BYTES {
                self.is_heard.store(true, Ordering::Relaxed);
            }
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Heard<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
