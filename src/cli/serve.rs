//! `newsprint serve`.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use newsprint::config::{Config, ServeArgs};
use tokio::net::TcpListener;

use super::asked_to_stop;

pub fn run(args: &ServeArgs) -> Result<()> {
    let config = Config::load(args)?;
    newsprint::telemetry::init(&config)?;
    // One worker thread per processor is what Tokio does by itself.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| cannot_listen(config.listen, &error))?;
        Ok(newsprint::server::run(listener, config, asked_to_stop()).await?)
    })
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
