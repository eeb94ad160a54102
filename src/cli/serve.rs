//! `newsprint serve`.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use clap::ArgMatches;
use futures_util::{Stream, StreamExt, stream};
use newsprint::config::Config;
use newsprint::server::{self, Event};
use newsprint::telemetry::Log;
use tokio::net::{TcpListener, TcpSocket};

use super::output::{self, Verbosity};

/// Connections that may wait to be taken in, while the server is busy or many come at once.
const BACKLOG: u32 = 1024;

pub fn run(matches: &ArgMatches) -> Result<()> {
    let config = load(matches)?;
    let log = Log::start(&config)?;
    // Every connection and every file of the store takes a descriptor, and the soft limit is often
    // 1,024 for the sake of programs that use select().
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) => tracing::info!(descriptors, "descriptors available"),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
    spare_memory();
    tracing::info!(?config, "settings");
    // One worker thread per processor is what Tokio does by itself.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    runtime.block_on(async {
        let listener =
            listen(config.listen).map_err(|error| cannot_listen(config.listen, &error))?;
        let events = signals()?.inspect(|event| {
            if *event == Event::Reload {
                reload_log(&log, matches);
            }
        });
        Ok(server::run(listener, config, server::engine, events).await?)
    })
}

/// Has memory touched in pages of 4 KiB. The allocator asks for huge ones, and a buffer of which a
/// little is used then takes 2 MiB.
fn spare_memory() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages cannot be done without");
    }
}

/// The settings. Unless they say what to log, --quiet and --verbose do.
fn load(matches: &ArgMatches) -> Result<Config> {
    let mut config = Config::load(matches)?;
    if config.log_level == Config::default().log_level {
        let level = match output::verbosity() {
            Verbosity::Quiet => "warn",
            Verbosity::Normal => return Ok(config),
            Verbosity::Verbose => "debug",
        };
        config.log_level = config.log_level.replacen("info", level, 1);
    }
    Ok(config)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that was just stopped does not keep the next one from the address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Reads flags, variables and file again, for the level of the log.
fn reload_log(log: &Log, matches: &ArgMatches) {
    match load(matches).and_then(|config| Ok(log.reload(&config)?)) {
        Ok(()) => tracing::info!("asked to reload"),
        Err(error) => tracing::error!(%error, "the settings cannot be read again"),
    }
}

/// What signals ask for: SIGTERM and Ctrl-C to stop, SIGHUP to reload.
#[cfg(unix)]
fn signals() -> Result<impl Stream<Item = Event>> {
    use tokio::signal::unix::{SignalKind, signal};
    let on = |kind, event| {
        let received = signal(kind).context("cannot listen for signals")?;
        anyhow::Ok(stream::unfold(received, move |mut received| async move {
            received.recv().await?;
            Some((event, received))
        }))
    };
    let stop = [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| on(kind, Event::Stop));
    let [terminate, interrupt] = stop;
    let reload = on(SignalKind::hangup(), Event::Reload)?;
    let stop = stream::select(Box::pin(terminate?), Box::pin(interrupt?));
    Ok(stream::select(stop, Box::pin(reload)))
}

/// What the console asks for: Ctrl-C to stop.
#[cfg(not(unix))]
fn signals() -> Result<impl Stream<Item = Event>> {
    Ok(stream::unfold((), |()| async {
        tokio::signal::ctrl_c().await.ok()?;
        Some((Event::Stop, ()))
    }))
}

fn cannot_listen(addr: SocketAddr, error: &io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; end it, or choose another address with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose another with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "that needs more rights; choose a port from 1024 on with --listen"
        }
        _ => return anyhow!("cannot listen on {addr}: {error}"),
    };
    anyhow!("cannot listen on {addr}: {hint}")
}
