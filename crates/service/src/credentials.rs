//! Credentials files of NATS, read anew for every connection: a file that was replaced is enough to
//! go on after its content was revoked or expired.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::{Auth, AuthError, ConnectOptions};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jetstream::Identity;
use nkeys::KeyPair;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::NatsCredentials;
use crate::nats::NatsError;

/// The lines before what a credentials file holds; the line after it begins with dashes too.
const JWT_HEAD: &str = "BEGIN NATS USER JWT";
const SEED_HEAD: &str = "BEGIN USER NKEY SEED";

/// Who signs the server's challenge, and with which JWT.
struct Signer {
    jwt: Option<String>,
    keys: KeyPair,
}

/// Options that read a file at every connection. It is judged now, too.
pub(crate) fn options(of: &NatsCredentials) -> Result<ConnectOptions, NatsError> {
    match of {
        NatsCredentials::Url => Ok(ConnectOptions::new()),
        NatsCredentials::Creds(path) => reading(path.clone(), read_creds),
        NatsCredentials::Nkey(path) => reading(path.clone(), read_nkey),
    }
}

/// Why a server may have refused them, and what to do about it. Holds nothing secret.
pub(crate) fn why_refused(credentials: &NatsCredentials) -> String {
    let (path, signer) = match credentials {
        NatsCredentials::Url => {
            return "check --nats-creds, --nats-nkey or the user in --nats-url".to_owned();
        }
        NatsCredentials::Creds(path) => (path, read_creds(path)),
        NatsCredentials::Nkey(path) => (path, read_nkey(path)),
    };
    match signer {
        Ok(signer) => signer.why_refused(path),
        Err(problem) => problem.to_string(),
    }
}

/// The same for a connection that reads records.
pub(crate) fn identity(of: &NatsCredentials) -> Result<Identity, NatsError> {
    let Signer { jwt, keys } = match of {
        NatsCredentials::Url => return Ok(Identity::Anonymous),
        NatsCredentials::Creds(path) => read_creds(path)?,
        NatsCredentials::Nkey(path) => read_nkey(path)?,
    };
    Ok(Identity::Key { jwt, key: keys })
}

fn reading(
    path: PathBuf,
    read: fn(&Path) -> Result<Signer, NatsError>,
) -> Result<ConnectOptions, NatsError> {
    read(&path)?;
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let answer = read(&path)
            .map_err(AuthError::new)
            .and_then(|signer| signer.answer(&nonce));
        std::future::ready(answer)
    }))
}

impl Signer {
    fn answer(self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        auth.signature = Some(self.keys.sign(nonce).map_err(AuthError::new)?);
        if self.jwt.is_none() {
            auth.nkey = Some(self.keys.public_key());
        }
        auth.jwt = self.jwt;
        Ok(auth)
    }

    fn why_refused(&self, path: &Path) -> String {
        let path = path.display();
        let Some(jwt) = &self.jwt else {
            return format!(
                "it has no user with the public key {} of {path}: add it, or give another --nats-nkey",
                self.keys.public_key()
            );
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let expired = expiry(jwt).filter(|seconds| *seconds <= now.as_secs());
        match expired.and_then(shown_time) {
            Some(when) => format!(
                "the token in {path} expired at {when}: put a new credentials file in its place"
            ),
            None => format!(
                "check that the account of {path} is known to this server and that its user is not \
                 revoked, or put other credentials in its place"
            ),
        }
    }
}

/// When a token expires, in seconds since the epoch; `None` if it does not say so.
fn expiry(jwt: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    Some(exp).filter(|seconds| *seconds != 0)
}

fn shown_time(seconds: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    time.format(&Rfc3339).ok()
}

fn read_creds(path: &Path) -> Result<Signer, NatsError> {
    let text = read(path)?;
    let after = |head: &str| {
        let mut lines = text.lines().skip_while(|line| !line.contains(head));
        lines.nth(1).map(str::trim)
    };
    let keys = after(SEED_HEAD).and_then(|seed| KeyPair::from_seed(seed).ok());
    match (after(JWT_HEAD), keys) {
        (Some(jwt), Some(keys)) => Ok(Signer {
            jwt: Some(jwt.to_owned()),
            keys,
        }),
        _ => Err(unusable(path, "it is no NATS credentials file")),
    }
}

fn read_nkey(path: &Path) -> Result<Signer, NatsError> {
    match KeyPair::from_seed(read(path)?.trim()) {
        Ok(keys) => Ok(Signer { jwt: None, keys }),
        Err(_content) => Err(unusable(path, "it holds no nkey seed")),
    }
}

fn read(path: &Path) -> Result<String, NatsError> {
    let wrong = |problem: std::io::Error| unusable(path, &problem.to_string());
    // A pipe would be waited for, and could be read once.
    if !std::fs::metadata(path).map_err(wrong)?.is_file() {
        return Err(unusable(path, "it is no regular file"));
    }
    std::fs::read_to_string(path).map_err(wrong)
}

fn unusable(path: &Path, problem: &str) -> NatsError {
    NatsError::File {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Kind = fn(PathBuf) -> NatsCredentials;

    fn of(content: &str, kind: Kind) -> (tempfile::NamedTempFile, NatsCredentials) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let credentials = kind(file.path().to_owned());
        (file, credentials)
    }

    #[test]
    fn a_file_that_is_none_is_told_without_its_content() {
        let decorated = "-----BEGIN NATS USER JWT-----\nhunter2\n-----END NATS USER JWT-----\n\
                         -----BEGIN USER NKEY SEED-----\nhunter2\n-----END USER NKEY SEED-----\n";
        let creds: Kind = NatsCredentials::Creds;
        for (content, kind, problem) in [
            ("hunter2", creds, "it is no NATS credentials file"),
            (
                decorated,
                NatsCredentials::Creds,
                "it is no NATS credentials file",
            ),
            ("hunter2", NatsCredentials::Nkey, "it holds no nkey seed"),
        ] {
            let (_file, credentials) = of(content, kind);
            let said = options(&credentials).unwrap_err().to_string();
            assert!(said.ends_with(problem), "{said}");
            assert_eq!(why_refused(&credentials), said);
            assert!(!said.contains("hunter2"));
        }
    }

    #[test]
    fn an_expired_token_is_told_with_its_time() {
        let seed = KeyPair::new_user().seed().unwrap();
        let creds = |claims: &str| {
            let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
            format!(
                "-----BEGIN NATS USER JWT-----\nh.{claims}.s\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            )
        };
        let why = |claims: &str| {
            let (file, credentials) = of(&creds(claims), NatsCredentials::Creds);
            options(&credentials).unwrap();
            why_refused(&credentials).replace(file.path().to_str().unwrap(), "FILE")
        };
        assert_eq!(
            why(r#"{"exp":1700000000}"#),
            "the token in FILE expired at 2023-11-14T22:13:20Z: put a new credentials file in its place"
        );
        for claims in ["{}", r#"{"exp":0}"#, r#"{"exp":99999999999}"#, "no JSON"] {
            assert!(
                why(claims).starts_with("check that the account of FILE"),
                "{claims}"
            );
        }
    }
}
