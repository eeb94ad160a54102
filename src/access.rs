//! Who may do what: the identities of a file, with their tokens or certificates, roles and
//! collections. `docs/security.md` tells operators the same.
//!
//! The file holds no secret. A token is 256 random bits, and of it the file has the SHA-256: nobody
//! comes from there to the token, so nothing slower is needed, as it would be for passwords.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use figment::Figment;
use figment::providers::{Format, Toml};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::article::CollectionName;

/// What tokens begin with, so that tools that look for leaked secrets can know them.
const TOKEN_PREFIX: &str = "np_";

/// What is read as a token at most: ours are shorter.
const TOKEN_BYTES_MAX: usize = 512;

/// What an identity may do. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at what is remembered, and have articles analysed.
    Read,
    /// Submit and delete articles.
    Write,
    /// Run the server: settings, collections, backups, models.
    Admin,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }
}

/// Why a file of identities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("{0}")]
    Unreadable(#[from] Box<figment::Error>),
    #[error("it names no [[identity]]: nobody could do anything")]
    Nobody,
    #[error("identity '{name}': {field} {what}")]
    Field { name: String, field: &'static str, what: String },
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    identity: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: String,
    token_sha256: Option<String>,
    certificate: Option<String>,
    roles: Vec<Role>,
    collections: Option<Vec<String>>,
    expires: Option<String>,
}

/// Somebody the server knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// As the log has it.
    pub name: String,
    roles: Vec<Role>,
    /// None for all.
    collections: Option<Vec<Pattern>>,
    expires: Option<OffsetDateTime>,
}

impl Identity {
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether there are collections that it may not touch.
    pub fn is_limited(&self) -> bool {
        self.collections.is_some()
    }

    pub fn may_touch(&self, collection: &CollectionName) -> bool {
        let is_of = |pattern: &Pattern| pattern.is_of(collection.as_str());
        self.collections.as_ref().is_none_or(|patterns| patterns.iter().any(is_of))
    }
}

/// A collection, or with a `*` at its end all that begin so.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    start: String,
    is_whole: bool,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let (start, is_whole) = text.strip_suffix('*').map_or((text, true), |start| (start, false));
        let is_name = !start.is_empty() && CollectionName::new(start).is_ok();
        if is_name || (start.is_empty() && !is_whole) {
            Ok(Pattern { start: start.to_owned(), is_whole })
        } else {
            Err(format!("has '{text}', which is no collection, nor the start of one before a '*'"))
        }
    }

    fn is_of(&self, collection: &str) -> bool {
        if self.is_whole { collection == self.start } else { collection.starts_with(&self.start) }
    }
}

/// What somebody shows to say who he is.
#[derive(Debug, Clone)]
pub enum Credential {
    Token(TokenHash),
    /// The names in his certificate, which was verified.
    Certificate(Arc<[String]>),
}

impl Credential {
    /// The credential of a call: its token, or if it has none the certificate of its connection.
    /// A header that is no bearer token is one that nobody has.
    pub fn of(authorization: Option<&[u8]>, certificate: &Arc<[String]>) -> Option<Credential> {
        match authorization {
            Some(header) => {
                let token = bearer(header).unwrap_or_default();
                Some(Credential::Token(TokenHash::of(token)))
            }
            None if certificate.is_empty() => None,
            None => Some(Credential::Certificate(Arc::clone(certificate))),
        }
    }
}

/// The token of an `authorization` header, RFC 6750 section 2.1; the scheme's case does not matter.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(b"bearer ".len())?;
    let token = token.trim_ascii();
    let is_one = scheme.eq_ignore_ascii_case(b"bearer ") && token.len() <= TOKEN_BYTES_MAX;
    is_one.then_some(token)
}

/// The SHA-256 of a token in lower-case hexadecimal, as the file has it and `sha256sum` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 64]);

impl TokenHash {
    fn of(token: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hash = [0; 64];
        for (pair, byte) in hash.chunks_exact_mut(2).zip(digest(&SHA256, token).as_ref()) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        TokenHash(hash)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let hash: [u8; 64] = text.as_bytes().try_into().ok()?;
        hash.iter().all(is_digit).then_some(TokenHash(hash))
    }

    /// By what it is looked up. That much of a hash may be learnt from how long that takes, and
    /// says nothing of the token.
    fn start(&self) -> [u8; 16] {
        std::array::from_fn(|place| self.0[place])
    }
}

/// Why a credential opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKnown {
    Nobody,
    Expired,
}

/// Everybody the server knows.
#[derive(Debug)]
pub struct Identities {
    tokens: HashMap<[u8; 16], (TokenHash, Arc<Identity>)>,
    certificates: HashMap<String, Arc<Identity>>,
}

impl Identities {
    /// Reads a file's text. What is wrong with it is told by the name of the identity and the field.
    pub fn parse(text: &str) -> Result<Identities, AccessError> {
        let file: File = Figment::from(Toml::string(text)).extract().map_err(Box::new)?;
        if file.identity.is_empty() {
            return Err(AccessError::Nobody);
        }
        let mut known = Identities { tokens: HashMap::new(), certificates: HashMap::new() };
        for entry in file.identity {
            known.add(entry)?;
        }
        Ok(known)
    }

    fn add(&mut self, entry: Entry) -> Result<(), AccessError> {
        let name = entry.name.clone();
        let wrong = |field: &'static str, what: &str| AccessError::Field {
            name: name.clone(),
            field,
            what: what.to_owned(),
        };
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err(wrong("name", "must have 1 to 128 bytes and no control characters"));
        }
        if entry.roles.is_empty() {
            return Err(wrong("roles", "must name at least one of read, write, admin"));
        }
        let patterns = |texts: Vec<String>| match &texts[..] {
            [] => Err("must name at least one; leave it out for all".to_owned()),
            texts => texts.iter().map(|text| Pattern::new(text)).collect::<Result<Vec<_>, _>>(),
        };
        let collections = entry.collections.map(patterns).transpose();
        let expires = entry.expires.map(|text| OffsetDateTime::parse(&text, &Rfc3339)).transpose();
        let identity = Arc::new(Identity {
            name: entry.name,
            roles: entry.roles,
            collections: collections.map_err(|what| wrong("collections", &what))?,
            expires: expires.map_err(|_| {
                wrong("expires", "must be a moment in quotes such as \"2027-06-30T00:00:00Z\"")
            })?,
        });
        let is_new = match (entry.token_sha256, entry.certificate) {
            (Some(hash), None) => {
                let hash = TokenHash::parse(&hash).ok_or_else(|| {
                    wrong("token-sha256", "must have 64 hexadecimal digits in lower case")
                })?;
                self.tokens.insert(hash.start(), (hash, identity)).is_none()
            }
            (None, Some(certificate)) => {
                let has_kind = ["URI:", "DNS:", "CN:"].iter().any(|kind| {
                    certificate.strip_prefix(kind).is_some_and(|name| !name.is_empty())
                });
                if !has_kind {
                    let what = "must be a name in a certificate that begins with URI:, DNS: or CN:";
                    return Err(wrong("certificate", what));
                }
                self.certificates.insert(certificate, identity).is_none()
            }
            _ => return Err(wrong("token-sha256", "or certificate must be given, one of the two")),
        };
        match is_new {
            true => Ok(()),
            false => Err(wrong("token-sha256 or certificate", "is another identity's already")),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tokens.len() + self.certificates.len()
    }

    /// Whose credential it is.
    pub fn of(&self, credential: &Credential) -> Result<&Arc<Identity>, NotKnown> {
        let found = match credential {
            Credential::Token(hash) => self
                .tokens
                .get(&hash.start())
                .filter(|(known, _)| bool::from(known.0.ct_eq(&hash.0)))
                .map(|(_, identity)| identity),
            Credential::Certificate(names) => {
                names.iter().find_map(|name| self.certificates.get(name))
            }
        };
        let identity = found.ok_or(NotKnown::Nobody)?;
        let now = OffsetDateTime::from(SystemTime::now());
        match identity.expires {
            Some(expires) if expires <= now => Err(NotKnown::Expired),
            _ => Ok(identity),
        }
    }
}

/// A new token, and its SHA-256 for the file.
pub fn new_token() -> Result<(String, String), AccessError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AccessError::NoRandomness)?;
    let token = format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let hash = String::from_utf8_lossy(&TokenHash::of(token.as_bytes()).0).into_owned();
    Ok((token, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(token: &str) -> Credential {
        Credential::of(Some(format!("Bearer {token}").as_bytes()), &Arc::from([])).unwrap()
    }

    fn certificate(names: &[&str]) -> Credential {
        let names = names.iter().map(|name| name.to_string()).collect();
        Credential::of(None, &names).unwrap()
    }

    #[test]
    fn a_token_opens_what_its_identity_may() {
        let (secret, hash) = new_token().unwrap();
        assert_eq!((secret.len(), &secret[..3]), (46, "np_"));
        let known = Identities::parse(&format!(
            "[[identity]]\nname = 'feed'\ntoken-sha256 = '{hash}'\nroles = ['write']\n\
             collections = ['wire', 'sport-*']"
        ))
        .unwrap();
        let feed = known.of(&token(&secret)).unwrap();
        assert!(feed.has(Role::Write) && !feed.has(Role::Read) && !feed.has(Role::Admin));
        let may = |name: &str| feed.may_touch(&CollectionName::new(name).unwrap());
        assert!(feed.is_limited() && may("wire") && may("sport-ski"));
        assert!(!may("wires") && !may("sport") && !may("") && !may("default"));

        for wrong in ["", &secret[1..], &format!("{secret}A"), &secret.to_uppercase()] {
            assert_eq!(known.of(&token(wrong)), Err(NotKnown::Nobody), "{wrong}");
        }
        for header in [&format!("bearer  {secret} "), &format!("BEARER {secret}")] {
            let credential = Credential::of(Some(header.as_bytes()), &Arc::from([])).unwrap();
            assert!(known.of(&credential).is_ok(), "{header}");
        }
        for header in [&secret, &format!("Basic {secret}"), "Bearer", ""] {
            let credential = Credential::of(Some(header.as_bytes()), &Arc::from([])).unwrap();
            assert_eq!(known.of(&credential), Err(NotKnown::Nobody), "{header}");
        }
    }

    /// The vector of FIPS 180-2, appendix B.1, as `printf abc | sha256sum` has it.
    #[test]
    fn hashes_are_those_of_sha256sum() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of(b"abc"), TokenHash::parse(hash).unwrap());
    }

    #[test]
    fn what_has_the_same_start_is_not_the_same() {
        let (secret, hash) = new_token().unwrap();
        let other = format!("{}{}", &hash[..16], "0".repeat(48));
        let file = format!("[[identity]]\nname = 'x'\ntoken-sha256 = '{other}'\nroles = ['read']");
        assert_eq!(Identities::parse(&file).unwrap().of(&token(&secret)), Err(NotKnown::Nobody));
    }

    #[test]
    fn a_certificate_is_known_by_its_names_and_their_kind() {
        let file = "[[identity]]\nname = 'mesh'\ncertificate = 'URI:spiffe://news/feed'\n\
                    roles = ['read', 'write']";
        let known = Identities::parse(file).unwrap();
        let feed = known.of(&certificate(&["DNS:feed", "URI:spiffe://news/feed"])).unwrap();
        assert!(feed.has(Role::Read) && feed.has(Role::Write) && !feed.is_limited());
        let other = certificate(&["CN:spiffe://news/feed", "DNS:spiffe://news/feed"]);
        assert_eq!(known.of(&other), Err(NotKnown::Nobody));
        assert!(Credential::of(None, &Arc::from([])).is_none());
    }

    #[test]
    fn what_has_expired_is_told_from_what_is_unknown() {
        let file = |expires: &str| {
            format!("[[identity]]\nname='a'\ncertificate='CN:a'\nroles=['read']\n{expires}")
        };
        let of = |expires: &str| {
            let known = Identities::parse(&file(expires)).unwrap();
            known.of(&certificate(&["CN:a"])).map(|_| ())
        };
        assert_eq!(of("expires = '2020-01-01T00:00:00Z'"), Err(NotKnown::Expired));
        assert_eq!(of("expires = '2120-01-01T00:00:00+02:00'"), Ok(()));
        assert_eq!(of(""), Ok(()));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_by_name_and_field() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let check = |entry: &str, words: &[&str]| {
            let error = Identities::parse(entry).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{entry}: {error}");
        };
        let entry = |fields: &str| format!("[[identity]]\nname = 'feed'\n{fields}");
        check("", &["identity"]);
        check(&entry("roles = ['read']"), &["feed", "token-sha256", "certificate"]);
        check(&entry(&format!("token-sha256 = '{hash}'")), &["roles"]);
        check(&entry(&format!("token-sha256 = '{hash}'\nroles = []")), &["feed", "roles"]);
        check(&entry(&format!("token-sha256 = '{hash}'\nroles = ['root']")), &["roles", "root"]);
        check(&entry("token-sha256 = 'abc'\nroles = ['read']"), &["feed", "token-sha256"]);
        check(&entry("certificate = 'feed'\nroles = ['read']"), &["feed", "certificate", "URI:"]);
        let fields = format!("token-sha256 = '{hash}'\nroles = ['read']\n");
        check(&entry(&format!("{fields}collections = []")), &["feed", "collections"]);
        check(&entry(&format!("{fields}collections = ['A B']")), &["feed", "collections", "A B"]);
        check(&entry(&format!("{fields}expires = 'soon'")), &["feed", "expires"]);
        check(&entry(&format!("{fields}rolls = 1")), &["rolls"]);
        let twice = [entry(&fields), entry(&fields)].concat();
        check(&twice, &["token-sha256", "another"]);
    }
}
