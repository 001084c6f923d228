//! Tokens, keys and verifiers to test with. Nothing here is taken from the code under test.

mod config;
mod contract;
mod hostile;
mod hostile_keys;
mod kept;
mod loader;
mod properties;
mod remembered;
mod second_opinion;
mod server;
mod vectors;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use convex_wire::TextMode;
use tokio::time::Instant;

use super::admission::admit;
use super::keys::{KeySet, Timing};
use super::{AuthConfig, AuthError, Identity, KeyLoader, Verifier, WallClock};

pub(super) const CLIENT: &str = "client_test";
pub(super) const ISSUER: &str = "https://api.workos.com/user_management/client_test";
pub(super) const NOW: u64 = 1_700_000_000;

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of an issuer.
pub(super) struct Key(pub(super) RsaKeyPair);

/// The issuer's key `k1`, a key nobody trusts, and a longer one.
pub(super) static K1: LazyLock<Key> = LazyLock::new(|| Key::new(KeySize::Rsa2048));
pub(super) static STRANGER: LazyLock<Key> = LazyLock::new(|| Key::new(KeySize::Rsa2048));
pub(super) static K4096: LazyLock<Key> = LazyLock::new(|| Key::new(KeySize::Rsa4096));

impl Key {
    pub(super) fn new(size: KeySize) -> Self {
        Self(RsaKeyPair::generate(size).unwrap())
    }

    pub(super) fn sign_with(&self, encoding: &'static dyn RsaEncoding, text: &str) -> String {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0
            .sign(encoding, &random, text.as_bytes(), &mut signature)
            .unwrap();
        b64(signature)
    }

    pub(super) fn sign(&self, text: &str) -> String {
        self.sign_with(&RSA_PKCS1_SHA256, text)
    }

    pub(super) fn modulus(&self) -> Vec<u8> {
        let modulus = self.0.public_key().modulus();
        modulus.big_endian_without_leading_zero().to_vec()
    }

    /// As an entry of a key set, with these members before the key's own.
    pub(super) fn entry_with(&self, members: &str) -> String {
        format!(r#"{{{members}"n":"{}","e":"AQAB"}}"#, b64(self.modulus()))
    }

    pub(super) fn entry(&self, kid: &str) -> String {
        self.entry_with(&format!(
            r#""kty":"RSA","use":"sig","alg":"RS256","kid":"{kid}","#
        ))
    }
}

pub(super) fn key_set(entries: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, entries.join(","))
}

/// JSON members in order, values as text, so that no library stands between a test and its bytes.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: Vec<(String, String)>,
    pub(super) claims: Vec<(String, String)>,
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(k, v)| format!("\"{k}\":{v}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn set(members: &mut Vec<(String, String)>, name: &str, value: &str) {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => members.push((name.to_owned(), value.to_owned())),
    }
}

impl Token {
    /// A token that every configuration here accepts at [`NOW`].
    pub(super) fn good() -> Self {
        Self {
            header: Vec::new(),
            claims: Vec::new(),
        }
        .header("alg", r#""RS256""#)
        .header("kid", r#""k1""#)
        .claim("iss", &format!("\"{ISSUER}\""))
        .claim("aud", &format!("\"{CLIENT}\""))
        .claim("client_id", &format!("\"{CLIENT}\""))
        .claim("sub", r#""user_1""#)
        .claim("sid", r#""session_1""#)
        .claim("iat", &NOW.to_string())
        .claim("exp", &(NOW + 300).to_string())
    }

    pub(super) fn claim(mut self, name: &str, json: &str) -> Self {
        set(&mut self.claims, name, json);
        self
    }

    pub(super) fn header(mut self, name: &str, json: &str) -> Self {
        set(&mut self.header, name, json);
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.claims.retain(|(known, _)| known != name);
        self.header.retain(|(known, _)| known != name);
        self
    }

    /// Adds a claim even if it is there.
    pub(super) fn claim_again(mut self, name: &str, json: &str) -> Self {
        self.claims.push((name.to_owned(), json.to_owned()));
        self
    }

    pub(super) fn header_again(mut self, name: &str, json: &str) -> Self {
        self.header.push((name.to_owned(), json.to_owned()));
        self
    }

    pub(super) fn payload(&self) -> String {
        object(&self.claims)
    }

    pub(super) fn header_text(&self) -> String {
        object(&self.header)
    }

    pub(super) fn signed_by(&self, key: &Key) -> String {
        raw(self.header_text(), self.payload(), key)
    }

    pub(super) fn signed(&self) -> String {
        self.signed_by(&K1)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.signed()
    }
}

/// A token of any header and payload, signed.
pub(super) fn raw(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>, key: &Key) -> String {
    let text = format!("{}.{}", b64(header), b64(payload));
    let signature = key.sign(&text);
    format!("{text}.{signature}")
}

/// A wall clock that a test sets, in seconds since 1970.
#[derive(Clone)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub(super) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn wall(&self) -> WallClock {
        let seconds = Arc::clone(&self.0);
        Arc::new(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::Relaxed))
        })
    }
}

/// The contract's fixture: both `WorkOS` issuers with the client as their audience.
pub(super) fn contract_config() -> AuthConfig {
    let document = format!(
        r#"{{"issuers":[{{"issuer":"https://api.workos.com/","jwks":"jwks.json","audience":"{CLIENT}"}},
            {{"issuer":"{ISSUER}","jwks":"jwks.json","audience":"{CLIENT}"}}]}}"#
    );
    AuthConfig::parse(&document, Path::new("")).unwrap()
}

pub(super) fn workos_config() -> AuthConfig {
    AuthConfig::workos(CLIENT).unwrap()
}

/// A verifier with its loader, neither of which has keys.
pub(super) fn without_keys(config: AuthConfig, clock: &Clock) -> (Verifier, KeyLoader) {
    Verifier::with_timing(config, clock.wall(), &Timing::default()).unwrap()
}

/// A verifier that holds the keys of this document.
pub(super) fn with_document(config: AuthConfig, clock: &Clock, document: &str) -> Verifier {
    let (verifier, _) = without_keys(config, clock);
    give(&verifier, document);
    verifier
}

pub(super) fn give(verifier: &Verifier, document: &str) {
    for source in &verifier.sources {
        let keys = admit(document.as_bytes()).unwrap().keys;
        source.set.store(Some(Arc::new(KeySet::new(keys))));
    }
}

/// A verifier at [`NOW`] that knows `k1`.
pub(super) fn verifier(config: AuthConfig) -> Verifier {
    with_document(config, &Clock::at(NOW), &key_set(&[K1.entry("k1")]))
}

/// Refused or not, in one line to compare.
pub(super) fn outcome(result: &Result<Identity, AuthError>, mode: TextMode) -> String {
    match result {
        Ok(identity) => format!("200 {}", identity.subject.as_str()),
        Err(error) => {
            let (status, code) = (error.status(), error.code());
            format!("{status} {code} {}", error.message(mode))
        }
    }
}
