//! What the commands that talk to a server share: how to reach it, and how to tell its errors.

use std::cell::Cell;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use backon::{ExponentialBuilder, Retryable};
use clap::Args;
use newsprint::api::pb;
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::client::{self, Client, ConnectError};
use prost::Message;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Code, Request, Response, Status};

use super::output;

#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// Where the server is; with https:// before it TLS is talked
    #[arg(
        long,
        env = "NEWSPRINT_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:50051",
        help_heading = "Connection"
    )]
    pub addr: String,

    /// How long a call may take, in seconds
    #[arg(
        long,
        env = "NEWSPRINT_TIMEOUT",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = clap::value_parser!(u32).range(1..=86_400),
        help_heading = "Connection"
    )]
    pub timeout: u32,

    /// Send the bearer token in this file, over TLS only
    #[arg(long, env = "NEWSPRINT_TOKEN_FILE", value_name = "FILE", help_heading = "Connection")]
    pub token_file: Option<PathBuf>,

    /// Trust the certificate authorities in this PEM file instead of the system's
    #[arg(long, env = "NEWSPRINT_TLS_CA", value_name = "FILE", help_heading = "Connection")]
    pub tls_ca: Option<PathBuf>,

    /// Show the server this certificate, a PEM file
    #[arg(
        long,
        env = "NEWSPRINT_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "Connection"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate, a PEM file
    #[arg(
        long,
        env = "NEWSPRINT_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Connection"
    )]
    pub tls_key: Option<PathBuf>,
}

impl Default for Connection {
    fn default() -> Self {
        Connection {
            addr: "127.0.0.1:50051".to_owned(),
            timeout: 30,
            token_file: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

/// A server that is being started does not listen yet.
const LISTENS_WITHIN: Duration = Duration::from_secs(2);

impl Connection {
    pub async fn connect(&self) -> Result<Client> {
        self.connect_within(LISTENS_WITHIN).await
    }

    /// Connects to a server that may take so long to listen.
    pub async fn connect_within(&self, wait: Duration) -> Result<Client> {
        let (began, told) = (Instant::now(), Cell::new(false));
        let connect = || async { self.builder()?.connect().await.map_err(anyhow::Error::from) };
        let is_absent = |error: &anyhow::Error| {
            matches!(error.downcast_ref(), Some(ConnectError::Transport(_)))
        };
        let waiting = |_: &anyhow::Error, _| {
            if began.elapsed() >= LISTENS_WITHIN && !told.replace(true) {
                output::print_note(&format!("waiting for a server at {}", self.addr));
            }
        };
        let client = connect.retry(patience(wait)).when(is_absent).notify(waiting).await;
        let client = client.map_err(|error| match error.downcast::<ConnectError>() {
            Ok(ConnectError::Transport(error)) => anyhow!(
                "cannot reach a server at {}: {}; start one with 'newsprint serve', or say where \
                 it is with --addr",
                self.addr,
                last_cause(&error)
            ),
            Ok(error) => anyhow!(error).context("--addr or --token-file cannot be used"),
            Err(error) => error,
        })?;
        output::print_detail(&format!("connected to {}", self.addr));
        Ok(client)
    }

    /// Makes a call, and again while the server starts or is busy, within the timeout.
    pub async fn call<Q: Clone, A, F>(
        &self,
        message: Q,
        method: impl Fn(Request<Q>) -> F,
    ) -> Result<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + Duration::from_secs(self.timeout.into());
        let left = || deadline.saturating_duration_since(Instant::now());
        let attempt = || {
            let mut request = Request::new(message.clone());
            request.set_timeout(left());
            method(request)
        };
        let (began, told) = (Instant::now(), Cell::new(false));
        let answer = attempt
            .retry(patience(left()))
            .when(|status| client::Error::from(status.clone()).is_passing())
            .adjust(|_, delay| delay.filter(|delay| *delay < left()))
            .notify(|status, _| {
                if began.elapsed() >= Duration::from_secs(1) && !told.replace(true) {
                    output::print_note(&format!("waiting for the server: {}", describe(status)));
                }
            })
            .await;
        answer.map(Response::into_inner).map_err(|status| refusal(&status))
    }

    pub async fn articles(&self) -> Result<ArticleServiceClient<client::Transport>> {
        Ok(self.connect().await?.articles())
    }

    /// A request that ends after the timeout, on either side.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(Duration::from_secs(self.timeout.into()));
        request
    }

    fn builder(&self) -> Result<client::Builder> {
        let mut builder = Client::builder(&self.addr).tls(self.tls()?);
        if let Some(file) = &self.token_file {
            builder = builder.token(read(file)?.trim());
        }
        Ok(builder)
    }

    fn tls(&self) -> Result<ClientTlsConfig> {
        let is_asked_for = self.tls_ca.is_some() || self.tls_cert.is_some();
        ensure!(
            !is_asked_for || self.addr.starts_with("https://"),
            "certificates are for TLS only: begin --addr with https://, not {}",
            self.addr
        );
        let mut tls = match &self.tls_ca {
            Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(file)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(tls)
    }
}

/// Tries again at growing intervals for so long.
fn patience(total: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_millis(250))
        .without_max_times()
        .with_total_delay(Some(total))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn last_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An error of the server as one line: what is wrong, with every field at fault, then code and
/// reason to look up or branch on.
pub fn describe(status: &Status) -> String {
    client::Error::from(status.clone()).to_string()
}

/// An error of the server as an error of the program.
pub fn refusal(status: &Status) -> anyhow::Error {
    match client::Error::from(status.clone()).code {
        Code::DeadlineExceeded | Code::Cancelled => {
            anyhow!("no answer in time: {}; --timeout allows for more", describe(status))
        }
        _ if status.source().is_some() => {
            anyhow!("the connection to the server broke: {}", last_cause(status))
        }
        _ => anyhow!("the server says: {}", describe(status)),
    }
}

/// An article's error is a status, with the same fields and numbers.
pub fn status_of(error: &pb::ItemError) -> Status {
    let details = error.encode_to_vec().into();
    Status::with_details(Code::from_i32(error.code), error.message.clone(), details)
}

/// Whether the same call may well succeed a little later.
pub fn is_passing(status: &Status) -> bool {
    let error = client::Error::from(status.clone());
    error.is_passing() || matches!(error.code, Code::DeadlineExceeded | Code::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again() {
        assert!(is_passing(&Status::unavailable("starting")));
        assert!(is_passing(&Status::resource_exhausted("busy")));
        assert!(is_passing(&Status::deadline_exceeded("late")));
        assert!(!is_passing(&Status::invalid_argument("no")));
    }

    #[test]
    fn certificates_are_for_tls_only() {
        let ca = Some(PathBuf::from("ca.crt"));
        let plain = Connection { tls_ca: ca.clone(), ..Connection::default() };
        assert!(plain.builder().unwrap_err().to_string().contains("begin --addr with https://"));
        let secure = Connection { addr: "https://news.example".to_owned(), ..plain };
        assert_eq!(secure.builder().unwrap_err().to_string(), "cannot read ca.crt");
    }
}
