//! TLS on the listeners: what the server shows, which clients it takes, and who they are.
//! HTTP/2 is agreed on by ALPN; certificates change while connections go on.

use std::sync::Arc;

use metrics::gauge;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::watched::{Contents, Watched};
use crate::config::{ClientAuth, Security};

/// What is agreed on by ALPN.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error("{0} has no certificate in PEM")]
    NoCertificate(&'static str),
    #[error("tls-key has no private key in PEM: {0}")]
    NoKey(rustls::pki_types::pem::Error),
    #[error("{0} is no PEM: {1}")]
    NoPem(&'static str, rustls::pki_types::pem::Error),
    #[error("{0} has something that is no certificate")]
    NoX509(&'static str),
    #[error("tls-client-ca: {0}")]
    Authority(String),
    #[error("tls-client-crl has no list of revoked certificates in PEM")]
    NoList,
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The server's side of TLS.
pub struct Tls(Watched<ServerConfig>);

impl Tls {
    /// None if the settings name no certificate.
    pub fn load(settings: &Security) -> Result<Option<Tls>, String> {
        let (Some(cert), Some(key)) = (&settings.tls_cert, &settings.tls_key) else {
            return Ok(None);
        };
        let mut files = vec![cert.clone(), key.clone()];
        files.extend(settings.tls_client_ca.clone());
        files.extend(settings.tls_client_crl.clone());
        let client_auth = settings.tls_client_auth;
        let make = move |contents: &Contents| server_config(contents, client_auth);
        Ok(Some(Tls(Watched::new("certificates", files, make)?)))
    }

    /// What takes the next connection in.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.get())
    }

    pub fn look(&self, is_at_once: bool) {
        self.0.look(is_at_once);
    }
}

fn server_config(contents: &Contents, client_auth: ClientAuth) -> Result<ServerConfig, TlsError> {
    let [cert, key, clients @ ..] = &contents[..] else {
        return Err(TlsError::NoCertificate("tls-cert"));
    };
    let chain = certificates("tls-cert", cert)?;
    let expiry = earliest_expiry(&chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::NoKey)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match clients {
        [] => builder.with_no_client_auth(),
        [ca, lists @ ..] => {
            builder.with_client_cert_verifier(verifier(ca, lists, provider, client_auth)?)
        }
    };
    // It is refused here if the key is not the certificate's.
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    gauge!("newsprint_tls_certificate_expiry_timestamp_seconds").set(expiry as f64);
    Ok(config)
}

fn certificates(
    setting: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| TlsError::NoPem(setting, error))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(setting)) } else { Ok(chain) }
}

/// When the first of the chain expires, in seconds since 1970.
fn earliest_expiry(chain: &[CertificateDer<'_>]) -> Result<i64, TlsError> {
    let mut earliest = i64::MAX;
    for certificate in chain {
        let (_, certificate) =
            X509Certificate::from_der(certificate).map_err(|_| TlsError::NoX509("tls-cert"))?;
        earliest = earliest.min(certificate.validity().not_after.timestamp());
    }
    Ok(earliest)
}

fn verifier(
    ca: &[u8],
    lists: &[Vec<u8>],
    provider: Arc<rustls::crypto::CryptoProvider>,
    client_auth: ClientAuth,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates("tls-client-ca", ca)? {
        roots.add(authority).map_err(|error| TlsError::Authority(error.to_string()))?;
    }
    let mut revoked = Vec::new();
    for file in lists {
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(file).collect();
        let lists = lists.map_err(|error| TlsError::NoPem("tls-client-crl", error))?;
        if lists.is_empty() {
            return Err(TlsError::NoList);
        }
        revoked.extend(lists);
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(revoked);
    let verifier = match client_auth {
        ClientAuth::Required => verifier,
        ClientAuth::Optional => verifier.allow_unauthenticated(),
    };
    verifier.build().map_err(|error| TlsError::Authority(error.to_string()))
}

/// The names in a client's certificate that an identity may be known by, the most telling first.
pub fn names(chain: Option<&[CertificateDer<'_>]>) -> Arc<[String]> {
    let Some(certificate) = chain.and_then(<[_]>::first) else { return Arc::from([]) };
    // It was verified, so it is one.
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Arc::from([]);
    };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.map_or(&[][..], |extension| &extension.value.general_names);
    let uris = alternative.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        _ => None,
    });
    let hosts = alternative.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(format!("DNS:{host}")),
        _ => None,
    });
    let subjects = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    uris.chain(hosts).chain(subjects.map(|name| format!("CN:{name}"))).collect()
}
