//! Who comes in and who does not: TLS, tokens, certificates, roles, collections, and what is written
//! down about it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use newsprint::access::new_token;
use newsprint::api::pb::admin_service_client::AdminServiceClient;
use newsprint::api::pb::*;
use newsprint::api::{DESCRIPTORS, reason_named};
use newsprint::client::{Client, SubmitOptions};
use newsprint::config::{ClientAuth, Config, ConnectionLimits, Security};
use newsprint::server::{self, Event, ServerError};
use newsprint::telemetry;
use parking_lot::Mutex;
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::server::{article, test_config, wait_until_serving};
use crate::texts::*;
use crate::wire::{SUBMIT, Wire, frame, within};

const SECURITY_MD: &str = include_str!("../../docs/security.md");

/// An authority of the test's own.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for the server, that expires in this year.
    pub fn server(&self, year: i32) -> Pair {
        self.sign(|params| params.not_after = rcgen::date_time_ymd(year, 6, 30))
    }

    fn client(&self, uri: &str, name: &str) -> Pair {
        self.sign(|params| {
            params.distinguished_name.push(DnType::CommonName, name);
            if !uri.is_empty() {
                params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
            }
        })
    }

    /// What it has revoked.
    fn revoked(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// Somebody in a file of identities.
struct Entry {
    name: &'static str,
    credential: String,
    rest: &'static str,
}

/// An entry for a new token, and the token.
fn token(name: &'static str, rest: &'static str) -> (Entry, String) {
    let (token, hash) = new_token().unwrap();
    (Entry { name, credential: format!("token-sha256 = '{hash}'"), rest }, token)
}

/// A server with a folder for the files that its security is made of.
struct Secured {
    address: SocketAddr,
    events: mpsc::UnboundedSender<Event>,
    serving: JoinHandle<Result<(), ServerError>>,
    folder: TempDir,
}

impl Secured {
    fn folder() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    async fn start(folder: TempDir, security: Security) -> Secured {
        Self::start_as(Config { security, ..test_config(&folder.path().join("data")) }, folder)
            .await
    }

    async fn start_as(config: Config, folder: TempDir) -> Secured {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, asked) = mpsc::unbounded_channel();
        let asked = UnboundedReceiverStream::new(asked);
        let run = server::run(listener, config, server::embedded_engine, asked);
        Secured { address, events, serving: tokio::spawn(run), folder }
    }

    /// With tokens only, in the clear.
    async fn start_with_tokens(entries: &[&Entry]) -> Secured {
        let folder = Self::folder();
        let tokens = Some(write_tokens(&folder, entries));
        let server = Self::start(folder, Security { tokens, ..Security::default() }).await;
        wait_until_serving(crate::server::connect(server.address).await).await;
        server
    }

    fn reload(&self) {
        self.events.send(Event::Reload).unwrap();
    }

    async fn stop(self) {
        let _ = self.events.send(Event::Stop);
        self.serving.await.unwrap().unwrap();
    }
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

fn write_tokens(folder: &TempDir, entries: &[&Entry]) -> PathBuf {
    let entry = |entry: &&Entry| {
        let Entry { name, credential, rest } = entry;
        format!("[[identity]]\nname = '{name}'\n{credential}\n{rest}\n")
    };
    write(folder, "tokens.toml", &entries.iter().map(entry).collect::<String>())
}

/// The settings for TLS with this certificate.
fn tls(folder: &TempDir, pair: &Pair) -> Security {
    Security {
        tls_cert: Some(write(folder, "server.crt", &pair.certificate)),
        tls_key: Some(write(folder, "server.key", &pair.key)),
        ..Security::default()
    }
}

fn client_tls(authority: &Authority, pair: Option<&Pair>) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority.pem));
    match pair {
        Some(pair) => tls.identity(Identity::from_pem(&pair.certificate, &pair.key)),
        None => tls,
    }
}

async fn connect_tls(
    address: SocketAddr,
    tls: ClientTlsConfig,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        let header = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
    }
    request
}

fn submission(collection: &str, id: &str) -> SubmitArticleRequest {
    SubmitArticleRequest {
        collection: collection.to_owned(),
        article: Some(article(id, REGATTA_TITLE, REGATTA_BODY)),
        options: None,
    }
}

async fn articles(address: SocketAddr) -> article_service_client::ArticleServiceClient<Channel> {
    crate::server::TestServer::articles(address).await
}

fn reason(status: &Status) -> ErrorReason {
    let details = status.get_error_details();
    reason_named(&details.error_info().expect("an ErrorInfo").reason)
}

/// Every method that the server has, by its path.
fn paths() -> Vec<String> {
    let sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let sets = sets.map(|set| prost_types::FileDescriptorSet::decode(set).unwrap());
    let files = sets.into_iter().flat_map(|set| set.file);
    let services = files.flat_map(|file| {
        let package = file.package().to_owned();
        file.service.into_iter().map(move |service| (package.clone(), service))
    });
    services
        .flat_map(|(package, service)| {
            let name = format!("{package}.{}", service.name());
            service.method.into_iter().map(move |method| format!("/{name}/{}", method.name()))
        })
        .collect()
}

/// What each method takes, as docs/security.md tells operators.
fn documented() -> BTreeMap<String, String> {
    let cells = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (path, needs) = (cells.next()?.strip_suffix('`')?, cells.next()?);
        path.contains('/').then(|| (format!("/{path}"), needs.trim_end_matches(" |").to_owned()))
    };
    SECURITY_MD.lines().filter_map(cells).collect()
}

#[tokio::test]
async fn each_role_opens_what_the_documented_table_says_and_no_more() {
    let documented = documented();
    let mut known = paths();
    known.sort();
    assert_eq!(documented.keys().collect::<Vec<_>>(), known.iter().collect::<Vec<_>>());

    let roles = [
        ("read", token("reader", "roles = ['read']")),
        ("write", token("writer", "roles = ['write']")),
        ("admin", token("admin", "roles = ['admin']")),
    ];
    let entries: Vec<&Entry> = roles.iter().map(|(_, (entry, _))| entry).collect();
    let server = Secured::start_with_tokens(&entries).await;
    let (_, stranger) = token("nobody", "");
    let callers = roles
        .iter()
        .map(|(role, (_, token))| (*role, token.as_str()))
        .chain([("a stranger", stranger.as_str()), ("nobody", "")]);
    let wire = Wire::connect(server.address, 1 << 20).await;
    let mut opened = 0;
    for (caller, token) in callers {
        for (path, needs) in &documented {
            let header = format!("Bearer {token}");
            let headers = [("authorization", header.as_str())];
            let headers = if token.is_empty() { &[][..] } else { &headers[..] };
            // A call that is let in may be answered by an error as well, but by another one.
            let call = wire.call(path, headers, frame(false, b"")).await;
            let response = within(10, call.headers()).await;
            let status = Status::from_header_map(response.headers());
            let code = status.as_ref().map_or(Code::Ok, Status::code);
            let is_known = !matches!(caller, "a stranger" | "nobody");
            let is_open = match needs.as_str() {
                "nothing" => true,
                "any role" => is_known,
                role => role == caller,
            };
            let expected = match (is_open, is_known, caller) {
                (true, _, _) => None,
                (false, true, _) => Some((Code::PermissionDenied, ErrorReason::RoleMissing)),
                (_, _, "nobody") => Some((Code::Unauthenticated, ErrorReason::CredentialsMissing)),
                _ => Some((Code::Unauthenticated, ErrorReason::CredentialsUnknown)),
            };
            match expected {
                Some(expected) => {
                    let status = status.unwrap_or_else(|| panic!("{path} is open to {caller}"));
                    assert_eq!((code, reason(&status)), expected, "{caller}: {path}");
                }
                None => {
                    opened += 1;
                    let is_closed = matches!(
                        code,
                        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented
                    );
                    assert!(!is_closed, "{path} is closed to {caller}: {status:?}");
                }
            }
        }
    }
    // Four things that ask for nothing, for five callers; one for anybody known; fourteen for one role.
    assert_eq!(opened, 4 * 5 + 3 + 14);
    server.stop().await;
}

#[tokio::test]
async fn tokens_end_when_they_expire_or_are_taken_back() {
    let (feed, feed_token) = token("feed", "roles = ['write']");
    let (old, old_token) = token("old", "roles = ['write']\nexpires = '2020-01-01T00:00:00Z'");
    let (next, next_token) = token("feed", "roles = ['write']");
    let server = Secured::start_with_tokens(&[&feed, &old]).await;
    let client = articles(server.address).await;
    let submit = async |token: &str, id: &str| {
        let request = with_token(submission("", id), token);
        client.clone().submit_article(request).await.map_err(|status| reason(&status))
    };
    submit(&feed_token, "a").await.unwrap();
    let refused = async |token: &str| submit(token, "b").await.unwrap_err();
    assert_eq!(refused("").await, ErrorReason::CredentialsMissing);
    assert_eq!(refused("np_wrong").await, ErrorReason::CredentialsUnknown);
    assert_eq!(refused(&feed_token[..45]).await, ErrorReason::CredentialsUnknown);
    assert_eq!(refused(&old_token).await, ErrorReason::CredentialsExpired);
    assert_eq!(refused(&next_token).await, ErrorReason::CredentialsUnknown);
    let mut twice = with_token(submission("", "b"), &feed_token);
    let header = twice.metadata().get("authorization").unwrap().clone();
    twice.metadata_mut().append("authorization", header);
    let status = client.clone().submit_article(twice).await.unwrap_err();
    assert_eq!(reason(&status), ErrorReason::CredentialsUnknown, "of two it is not clear which");

    let (requests, queue) = mpsc::unbounded_channel();
    let send = |id: &str| {
        let SubmitArticleRequest { collection, article, .. } = submission("", id);
        requests.send(SubmitArticleStreamRequest { collection, article, options: None }).unwrap();
    };
    let request = with_token(UnboundedReceiverStream::new(queue), &feed_token);
    let mut answers = client.clone().submit_article_stream(request).await.unwrap().into_inner();
    send("c");
    assert_eq!(within(10, answers.message()).await.unwrap().unwrap().article_id, "c");

    // One takes over from another, while both are good; then the first is taken back. Nobody has to
    // tell the server.
    write_tokens(&server.folder, &[&feed, &next]);
    let began = Instant::now();
    while submit(&next_token, "d").await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the file is read again by itself");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    submit(&feed_token, "e").await.unwrap();
    send("f");
    assert_eq!(within(10, answers.message()).await.unwrap().unwrap().article_id, "f");
    write_tokens(&server.folder, &[&next]);
    server.reload();
    let began = Instant::now();
    while submit(&feed_token, "e").await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(1), "SIGHUP counts at once");
    }
    assert_eq!(refused(&feed_token).await, ErrorReason::CredentialsUnknown);
    send("g");
    let end = within(10, answers.message()).await.unwrap_err();
    assert_eq!(end.code(), Code::Unauthenticated, "a stream that goes on is not forgotten");
    assert_eq!(reason(&end), ErrorReason::CredentialsUnknown);

    // What cannot be used changes nothing.
    write(&server.folder, "tokens.toml", "[[identity]]\nname = 'feed'\nroles = ['root']\n");
    server.reload();
    tokio::time::sleep(Duration::from_millis(300)).await;
    submit(&next_token, "h").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_grant_of_collections_holds_for_calls_batches_and_streams() {
    let (limited, limited_token) =
        token("limited", "roles = ['read', 'write', 'admin']\ncollections = ['wire', 'sport-*']");
    let (any, any_token) = token("any", "roles = ['read', 'write', 'admin']");
    let server = Secured::start_with_tokens(&[&limited, &any]).await;
    let mut client = articles(server.address).await;
    for collection in ["wire", "sport-ski", "politics", ""] {
        let request = with_token(submission(collection, "a"), &any_token);
        client.submit_article(request).await.unwrap();
    }
    let forbidden = |status: Status, what: &str| {
        assert_eq!(status.code(), Code::PermissionDenied, "{what}");
        assert_eq!(reason(&status), ErrorReason::CollectionForbidden, "{what}");
    };
    for (collection, is_open) in
        [("wire", true), ("sport-ski", true), ("wires", false), ("politics", false), ("", false)]
    {
        macro_rules! check {
            ($client:ident, $method:ident, $request:expr) => {
                let answered = $client.$method(with_token($request, &limited_token)).await;
                match is_open {
                    true => drop(
                        answered
                            .unwrap_or_else(|status| panic!("{}: {status:?}", stringify!($method))),
                    ),
                    false => forbidden(answered.unwrap_err(), stringify!($method)),
                }
            };
        }
        let name = || collection.to_owned();
        let id = || "a".to_owned();
        check!(client, submit_article, submission(collection, "b"));
        let SubmitArticleRequest { article, .. } = submission(collection, "c");
        check!(
            client,
            analyze_article,
            AnalyzeArticleRequest { collection: name(), article: article.clone(), options: None }
        );
        check!(
            client,
            batch_submit_articles,
            BatchSubmitArticlesRequest {
                collection: name(),
                articles: vec![article.clone().unwrap()],
                options: None,
            }
        );
        check!(client, get_article, GetArticleRequest { collection: name(), article_id: id() });
        check!(
            client,
            list_articles,
            ListArticlesRequest { collection: name(), ..Default::default() }
        );
        check!(
            client,
            find_similar,
            FindSimilarRequest {
                collection: name(),
                query: Some(find_similar_request::Query::ArticleId(id())),
                ..Default::default()
            }
        );
        check!(
            client,
            delete_article,
            DeleteArticleRequest { collection: name(), article_id: id() }
        );
        let mut admin = AdminServiceClient::new(crate::server::connect(server.address).await);
        check!(
            admin,
            update_collection,
            UpdateCollectionRequest {
                collection: name(),
                settings: Some(CollectionSettings::default()),
            }
        );
    }
    let mut admin = AdminServiceClient::new(crate::server::connect(server.address).await);
    let listing = with_token(ListCollectionsRequest::default(), &limited_token);
    forbidden(admin.list_collections(listing).await.unwrap_err(), "what is about all collections");
    let info = with_token(GetServerInfoRequest {}, &limited_token);
    admin.get_server_info(info).await.unwrap();

    // An article of a stream is refused for itself, and the stream goes on.
    let collections = ["wire", "politics", "sport-ski", ""];
    let requests = collections.map(|collection| {
        let SubmitArticleRequest { collection, article, .. } = submission(collection, "d");
        SubmitArticleStreamRequest { collection, article, options: None }
    });
    let request = with_token(tokio_stream::iter(requests), &limited_token);
    let mut answers = client.submit_article_stream(request).await.unwrap().into_inner();
    for collection in collections {
        use submit_article_stream_response::Result as Item;
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.article_id, "d", "{collection}");
        match answer.result.unwrap() {
            Item::Outcome(outcome) => assert_eq!(outcome.collection, collection),
            Item::Error(error) => {
                assert!(["politics", ""].contains(&collection), "{collection}: {error:?}");
                assert_eq!(error.code, Code::PermissionDenied as i32);
            }
        }
    }
    assert!(answers.message().await.unwrap().is_none());
    server.stop().await;
}

#[tokio::test]
async fn over_tls_nothing_else_comes_in() {
    let (folder, authority) = (Secured::folder(), Authority::new());
    let security = tls(&folder, &authority.server(2090));
    let connections = ConnectionLimits { handshake_seconds_max: 1, ..ConnectionLimits::default() };
    let config = Config { security, connections, ..test_config(&folder.path().join("data")) };
    let server = Secured::start_as(config, folder).await;
    let channel = connect_tls(server.address, client_tls(&authority, None)).await.unwrap();
    wait_until_serving(channel).await;

    let client = Client::builder(format!("https://{}", server.address))
        .tls(client_tls(&authority, None))
        .token("a token that nobody asks for")
        .build()
        .unwrap();
    let regatta = article("regatta", REGATTA_TITLE, REGATTA_BODY);
    client.submit(regatta, &SubmitOptions::default()).await.unwrap();

    let stranger = client_tls(&Authority::new(), None);
    assert!(connect_tls(server.address, stranger).await.is_err(), "its authority is unknown");
    let plain = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let plain = plain.connect().await;
    let asked = async {
        let request = tonic_health::pb::HealthCheckRequest::default();
        HealthClient::new(plain?).check(request).await.map_err(anyhow::Error::from)
    };
    assert!(asked.await.is_err(), "it is not answered in the clear");

    // Who begins a handshake and goes no further is not waited for.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    let mut bytes = Vec::new();
    within(5, silent.read_to_end(&mut bytes)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(900));

    // Browsers may speak HTTP/1.1; what is neither is refused by ALPN.
    let agreed = async |offered: &[&[u8]]| {
        tls_connect(server.address, &authority, offered).await.unwrap().1.unwrap()
    };
    assert_eq!(agreed(&[b"http/1.1"]).await, b"http/1.1");
    assert_eq!(agreed(&[b"h2", b"http/1.1"]).await, b"h2");
    assert!(tls_connect(server.address, &authority, &[b"http/1.0"]).await.is_err());
    server.stop().await;
}

/// The server's certificate and the protocol agreed on.
async fn tls_connect(
    address: SocketAddr,
    authority: &Authority,
    protocols: &[&[u8]],
) -> std::io::Result<(CertificateDer<'static>, Option<Vec<u8>>)> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, TcpStream::connect(address).await?).await?;
    let connection = stream.get_ref().1;
    let certificate = connection.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((certificate, connection.alpn_protocol().map(<[u8]>::to_vec)))
}

#[tokio::test]
async fn clients_are_known_by_their_certificates() {
    let (folder, authority) = (Secured::folder(), Authority::new());
    let known = Entry {
        name: "feed",
        credential: "certificate = 'URI:spiffe://news.example/feed'".to_owned(),
        rest: "roles = ['write']",
    };
    let (bearer, bearer_token) = token("bearer", "roles = ['read', 'write']");
    let security = Security {
        tls_client_ca: Some(write(&folder, "ca.crt", &authority.pem)),
        tokens: Some(write_tokens(&folder, &[&known, &bearer])),
        ..tls(&folder, &authority.server(2090))
    };
    let required = security.clone();
    let server = Secured::start(folder, required).await;
    let feed = authority.client("spiffe://news.example/feed", "a feed");
    let channel = connect_tls(server.address, client_tls(&authority, Some(&feed))).await.unwrap();
    wait_until_serving(channel.clone()).await;
    let mut client = article_service_client::ArticleServiceClient::new(channel);
    client.submit_article(submission("", "a")).await.unwrap();
    let status = client.list_articles(ListArticlesRequest::default()).await.unwrap_err();
    assert_eq!(reason(&status), ErrorReason::RoleMissing);
    // A token says more than a certificate, and a wrong one is no reason to fall back on it.
    let listing = with_token(ListArticlesRequest::default(), &bearer_token);
    client.list_articles(listing).await.unwrap();
    let status = client.submit_article(with_token(submission("", "a"), "np_wrong")).await;
    assert_eq!(reason(&status.unwrap_err()), ErrorReason::CredentialsUnknown);

    // A name of another kind is another name.
    let other = authority.client("", "URI:spiffe://news.example/feed");
    let channel = connect_tls(server.address, client_tls(&authority, Some(&other))).await.unwrap();
    let mut client = article_service_client::ArticleServiceClient::new(channel);
    let status = client.submit_article(submission("", "a")).await.unwrap_err();
    assert_eq!(reason(&status), ErrorReason::CredentialsUnknown);

    let submit_with = async |address, pair: Option<&Pair>| {
        let channel = connect_tls(address, client_tls(&authority, pair)).await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut client = article_service_client::ArticleServiceClient::new(channel);
        client.submit_article(with_token(submission("", "b"), &bearer_token)).await
    };
    let foreign = Authority::new().client("spiffe://news.example/feed", "a feed");
    for pair in [None, Some(&foreign)] {
        let status = submit_with(server.address, pair).await.unwrap_err();
        assert!(!status.metadata().contains_key("x-request-id"), "{status:?}: it was answered");
    }
    server.stop().await;

    // Where certificates are optional a token is enough, but a wrong certificate is still none.
    let folder = Secured::folder();
    let security = Security {
        tls_client_auth: ClientAuth::Optional,
        tls_client_ca: Some(write(&folder, "ca.crt", &authority.pem)),
        tokens: Some(write_tokens(&folder, &[&known, &bearer])),
        ..tls(&folder, &authority.server(2090))
    };
    let server = Secured::start(folder, security).await;
    let channel = connect_tls(server.address, client_tls(&authority, None)).await.unwrap();
    wait_until_serving(channel).await;
    submit_with(server.address, None).await.unwrap();
    submit_with(server.address, Some(&feed)).await.unwrap();
    assert!(submit_with(server.address, Some(&foreign)).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_certificate_opens_nothing() {
    let (folder, authority) = (Secured::folder(), Authority::new());
    let security = Security {
        tls_client_ca: Some(write(&folder, "ca.crt", &authority.pem)),
        tls_client_crl: Some(write(&folder, "ca.crl", &authority.revoked(&[]))),
        ..tls(&folder, &authority.server(2090))
    };
    let server = Secured::start(folder, security).await;
    let numbered =
        |serial: u64| authority.sign(|params| params.serial_number = Some(serial.into()));
    let (stays, goes) = (numbered(7), numbered(8));
    let submit_with = async |pair: &Pair| {
        let channel = connect_tls(server.address, client_tls(&authority, Some(pair))).await?;
        let mut client = article_service_client::ArticleServiceClient::new(channel);
        let submitted = client.submit_article(submission("", "a")).await;
        anyhow::Ok(submitted.map(|_| ())?)
    };
    let channel = connect_tls(server.address, client_tls(&authority, Some(&stays))).await.unwrap();
    wait_until_serving(channel).await;
    submit_with(&stays).await.unwrap();
    submit_with(&goes).await.unwrap();
    write(&server.folder, "ca.crl", &authority.revoked(&[8, 9]));
    server.reload();
    within(20, async {
        while submit_with(&goes).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    submit_with(&stays).await.unwrap();
    // What is no list changes nothing.
    write(&server.folder, "ca.crl", &authority.pem);
    server.reload();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(submit_with(&goes).await.is_err());
    submit_with(&stays).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn certificates_change_under_load_without_a_failed_call() {
    let (folder, authority) = (Secured::folder(), Authority::new());
    let security = tls(&folder, &authority.server(2090));
    let server = Secured::start(folder, security).await;
    let channel = connect_tls(server.address, client_tls(&authority, None)).await.unwrap();
    wait_until_serving(channel.clone()).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let address = server.address;
    let authority = Arc::new(authority);
    let clients: Vec<JoinHandle<()>> = (0..4)
        .map(|number| {
            let (is_over, calls) = (Arc::clone(&is_over), Arc::clone(&calls));
            let (authority, lasting) = (Arc::clone(&authority), channel.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    // Half of them stay connected, half come anew each time.
                    let channel = match number % 2 {
                        0 => lasting.clone(),
                        _ => connect_tls(address, client_tls(&authority, None)).await.unwrap(),
                    };
                    let mut client = article_service_client::ArticleServiceClient::new(channel);
                    let call = calls.fetch_add(1, Ordering::Relaxed);
                    let request = submission("", &format!("{number}-{call}"));
                    client.submit_article(request).await.unwrap();
                }
            })
        })
        .collect();

    let shown = async || tls_connect(address, &authority, &[b"h2"]).await.unwrap().0;
    let of_pem = |pair: &Pair| CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    for year in 2091..2095 {
        let next = authority.server(year);
        tls(&server.folder, &next);
        // Twice it is told, twice it has to find out by itself.
        if year % 2 == 0 {
            server.reload();
        }
        let began = Instant::now();
        while shown().await != of_pem(&next) {
            assert!(began.elapsed() < Duration::from_secs(20), "{year}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // Alerts go by this. Other tests of the process have certificates too, but none of that year.
    let rendered = telemetry::metrics().render();
    let line = rendered.lines().find(|line| line.starts_with("newsprint_tls_certificate_expiry"));
    assert!(line.is_some(), "{rendered}");

    // What is no certificate, or another's key, changes nothing.
    let current = shown().await;
    let other = authority.server(2096);
    for (name, text) in [("server.crt", "no certificate"), ("server.crt", &other.certificate)] {
        write(&server.folder, name, text);
        server.reload();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(shown().await, current);
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no call failed");
    }
    assert!(calls.load(Ordering::Relaxed) > 50, "{calls:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_used_at_the_start_is_refused_with_the_reason() {
    let authority = Authority::new();
    let refused = async |change: &dyn Fn(&TempDir) -> Security| {
        let folder = Secured::folder();
        let security = change(&folder);
        let server = Secured::start(folder, security).await;
        within(20, server.serving).await.unwrap().unwrap_err().to_string()
    };
    let good = authority.server(2090);
    let missing = refused(&|folder| {
        let security = tls(folder, &good);
        std::fs::remove_file(folder.path().join("server.key")).unwrap();
        security
    })
    .await;
    assert!(missing.contains("server.key cannot be read"), "{missing}");
    let mismatch = refused(&|folder| {
        let security = tls(folder, &good);
        write(folder, "server.key", &authority.server(2090).key);
        security
    })
    .await;
    assert!(mismatch.contains("server.crt") && mismatch.contains("cannot be used"), "{mismatch}");
    let tokens = refused(&|folder| Security {
        tokens: Some(write(folder, "tokens.toml", "[[identity]]\nname = 'x'\nroles = []")),
        ..Security::default()
    })
    .await;
    assert!(tokens.contains("tokens.toml") && tokens.contains("'x'"), "{tokens}");
}

#[tokio::test]
async fn admin_is_served_on_its_own_listener_only() {
    let folder = Secured::folder();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let security = Security { admin_listen: Some(free), reflection: false, ..Security::default() };
    let server = Secured::start(folder, security).await;
    wait_until_serving(crate::server::connect(server.address).await).await;
    let info = async |address| {
        let mut admin = AdminServiceClient::new(crate::server::connect(address).await);
        admin.get_server_info(GetServerInfoRequest {}).await
    };
    info(free).await.unwrap();
    let status = info(server.address).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Unimplemented, ErrorReason::UnknownMethod));
    let submit = async |address| articles(address).await.submit_article(submission("", "a")).await;
    submit(server.address).await.unwrap();
    assert_eq!(submit(free).await.unwrap_err().code(), Code::Unimplemented);
    for address in [server.address, free] {
        let wire = Wire::connect(address, 1 << 20).await;
        for (path, expected) in [
            ("/grpc.health.v1.Health/Check", None),
            (
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                Some(Code::Unimplemented),
            ),
        ] {
            let call = wire.call(path, &[], frame(false, b"")).await;
            let response = within(10, call.headers()).await;
            let status = Status::from_header_map(response.headers());
            assert_eq!(status.map(|status| status.code()), expected, "{path}");
        }
    }
    server.stop().await;
}

/// The lines under the target `audit` of the whole process, each an object.
fn audit_lines() -> &'static Mutex<Vec<u8>> {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    struct Lines;
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LINES.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(|| Lines);
    let only = Targets::new().with_target("audit", tracing::Level::TRACE);
    let _ = tracing_subscriber::registry().with(lines).with(only).try_init();
    &LINES
}

#[tokio::test]
async fn refusals_and_admin_calls_are_written_down_without_secrets() {
    let lines = audit_lines();
    let (reader, reader_token) = token("the reader", "roles = ['read']\ncollections = ['wire']");
    let (admin, admin_token) = token("the admin", "roles = ['admin']");
    let server = Secured::start_with_tokens(&[&reader, &admin]).await;
    let mut client = articles(server.address).await;
    let mut administer = AdminServiceClient::new(crate::server::connect(server.address).await);
    fn named<T>(mut request: Request<T>, id: &'static str) -> Request<T> {
        request.metadata_mut().insert("x-request-id", id.parse().unwrap());
        request
    }
    let wrong = named(with_token(submission("wire", "a"), "np_a-wrong-token"), "audit-1");
    client.submit_article(wrong).await.unwrap_err();
    let writing = named(with_token(submission("wire", "a"), &reader_token), "audit-2");
    client.submit_article(writing).await.unwrap_err();
    let elsewhere = ListArticlesRequest { collection: "sport".into(), ..Default::default() };
    let elsewhere = named(with_token(elsewhere, &reader_token), "audit-3");
    client.list_articles(elsewhere).await.unwrap_err();
    let update = UpdateCollectionRequest {
        collection: "wire".into(),
        settings: Some(CollectionSettings::default()),
    };
    let update = named(with_token(update, &admin_token), "audit-4");
    administer.update_collection(update).await.unwrap();
    let unknown = DeleteCollectionRequest { collection: "gone".into() };
    let unknown = named(with_token(unknown, &admin_token), "audit-5");
    administer.delete_collection(unknown).await.unwrap_err();
    server.stop().await;

    let text = String::from_utf8(lines.lock().clone()).unwrap();
    let line = |id: &str| -> serde_json::Value {
        let lines: Vec<&str> =
            text.lines().filter(|line| line.contains(&format!("\"{id}\""))).collect();
        let [line] = lines[..] else { panic!("{id}: {lines:?}") };
        serde_json::from_str(line).unwrap()
    };
    let check = |id: &str, message: &str, who: &str, method: &str, collection: &str, code: &str| {
        let line = line(id);
        assert_eq!(line["target"], "audit");
        assert_eq!(line["message"], message, "{line}");
        assert_eq!(line["who"], who, "{line}");
        assert!(line["method"].as_str().unwrap().ends_with(method), "{line}");
        assert_eq!(line["collection"], collection, "{line}");
        assert_eq!(line["code"], code, "{line}");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    };
    let (refused, done) = ("call refused", "admin call");
    check("audit-1", refused, "unknown", "/SubmitArticle", "", "Unauthenticated");
    check("audit-2", refused, "the reader", "/SubmitArticle", "", "PermissionDenied");
    check("audit-3", refused, "the reader", "/ListArticles", "sport", "PermissionDenied");
    check("audit-4", done, "the admin", "/UpdateCollection", "wire", "OK");
    check("audit-5", done, "the admin", "/DeleteCollection", "gone", "NotFound");
    for secret in [&reader_token, &admin_token, "a-wrong-token", REGATTA_TITLE, "Bearer"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn calls_are_found_again_by_their_id() {
    let (entry, token) = token("reader", "roles = ['read']");
    let server = Secured::start_with_tokens(&[&entry]).await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let header = format!("Bearer {token}");
    let list = "/newsprint.v1.ArticleService/ListArticles";
    for (path, code) in [(list, Code::Ok), (SUBMIT, Code::PermissionDenied)] {
        let headers = [
            ("authorization", header.as_str()),
            ("x-request-id", "feed-4711"),
            ("traceparent", trace),
        ];
        let call = wire.call(path, &headers, frame(false, b"")).await;
        let response = within(10, call.headers()).await;
        assert_eq!(response.headers()["x-request-id"], "feed-4711");
        let told = response.headers()["traceparent"].to_str().unwrap();
        assert!(told.starts_with(&trace[..36]) && told != trace, "{told}");
        if code != Code::Ok {
            let status = Status::from_header_map(response.headers()).unwrap();
            let details = status.get_error_details();
            assert_eq!(details.request_info().unwrap().request_id, "feed-4711");
            assert!(details.error_info().is_some());
        }
    }
    let call = wire.call(SUBMIT, &[], frame(false, b"")).await;
    let response = within(10, call.headers()).await;
    let made = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.get_error_details().request_info().unwrap().request_id, made);
    assert_eq!(made.len(), 32);
    assert!(!response.headers().contains_key("traceparent"));
    server.stop().await;
}
