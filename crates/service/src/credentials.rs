//! Who we are to NATS. Files are read anew for every connection: one that was replaced is enough to go on after its
//! content was revoked or expired.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jetstream::{Identity, ServerAddr};
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{NatsConfig, NatsCredentials, Secret};

/// The lines before what a credentials file holds; the line after it begins with dashes too.
const JWT_HEAD: &str = "BEGIN NATS USER JWT";
const SEED_HEAD: &str = "BEGIN USER NKEY SEED";

/// Who we are now.
pub(crate) fn identity(config: &NatsConfig) -> Result<Identity, String> {
    match &config.credentials {
        NatsCredentials::Url => Ok(url_identity(&config.servers)),
        NatsCredentials::Creds(path) => read_creds(path),
        NatsCredentials::Nkey(path) => read_nkey(path),
        NatsCredentials::Password { user, password } => Ok(Identity::Password {
            user: user.clone(),
            password: secret(password)?,
        }),
        NatsCredentials::Token(token) => Ok(Identity::Token(secret(token)?)),
    }
}

/// Who the URLs say that we are. A user without a password is a token.
fn url_identity(servers: &[ServerAddr]) -> Identity {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some(server) = servers.iter().find(|server| server.username().is_some()) else {
        return Identity::Anonymous;
    };
    match (server.username(), server.password()) {
        (Some(user), Some(password)) => Identity::Password {
            user: decoded(user),
            password: decoded(password),
        },
        (Some(token), None) => Identity::Token(decoded(token)),
        (None, _) => Identity::Anonymous,
    }
}

/// Why a server may have refused us, and what to do about it. Holds nothing secret.
pub(crate) fn why_refused(config: &NatsConfig) -> String {
    let identity = match identity(config) {
        Ok(identity) => identity,
        Err(problem) => return problem,
    };
    match (&config.credentials, identity) {
        (NatsCredentials::Creds(path), Identity::Key { jwt: Some(jwt), .. }) => {
            why_jwt_refused(&jwt, path)
        }
        (NatsCredentials::Nkey(path), Identity::Key { key, .. }) => format!(
            "it has no user with the public key {} of {}: add it, or put another key in its place",
            key.public_key(),
            path.display()
        ),
        (NatsCredentials::Password { user, password }, _) => {
            format!("check that it has the user {user}, and this user the password of {password}")
        }
        (NatsCredentials::Token(token), _) => format!("check that its token is that of {token}"),
        (_, Identity::Anonymous) => {
            "it asks who we are, and nothing says it: give --nats-creds, --nats-nkey, \
             --nats-user with --nats-password-file, --nats-token-file, or a context"
                .to_owned()
        }
        (_, Identity::Token(_)) => format!("check the token in {}", config.servers_by),
        (_, Identity::Password { .. } | Identity::Key { .. }) => {
            format!("check the user and the password in {}", config.servers_by)
        }
    }
}

fn why_jwt_refused(jwt: &str, path: &Path) -> String {
    let path = path.display();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let expired = expiry(jwt).filter(|seconds| *seconds <= now.as_secs());
    match expired.and_then(shown_time) {
        Some(when) => {
            format!(
                "the token in {path} expired at {when}: put a new credentials file in its place"
            )
        }
        None => format!(
            "check that the account of {path} is known to this server and that its user is not \
             revoked, or put other credentials in its place"
        ),
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

fn read_creds(path: &Path) -> Result<Identity, String> {
    let text = read(path)?;
    let after = |head: &str| {
        let mut lines = text.lines().skip_while(|line| !line.contains(head));
        lines.nth(1).map(str::trim)
    };
    let keys = after(SEED_HEAD).and_then(|seed| KeyPair::from_seed(seed).ok());
    match (after(JWT_HEAD), keys) {
        (Some(jwt), Some(key)) => Ok(Identity::Key {
            jwt: Some(jwt.to_owned()),
            key,
        }),
        _ => Err(unusable(path, "it is no NATS credentials file")),
    }
}

fn read_nkey(path: &Path) -> Result<Identity, String> {
    match KeyPair::from_seed(read(path)?.trim()) {
        Ok(key) => Ok(Identity::Key { jwt: None, key }),
        Err(_content) => Err(unusable(path, "it holds no nkey seed")),
    }
}

/// A password or token, without the end of its line.
fn secret(of: &Secret) -> Result<String, String> {
    let path = match of {
        Secret::Told { text, .. } => return Ok(text.clone()),
        Secret::File(path) => path,
    };
    let text = read(path)?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(unusable(path, "it is empty")),
        secret => Ok(secret.to_owned()),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let wrong = |problem: std::io::Error| unusable(path, &problem.to_string());
    // A pipe would be waited for, and could be read once.
    if !std::fs::metadata(path).map_err(wrong)?.is_file() {
        return Err(unusable(path, "it is no regular file"));
    }
    std::fs::read_to_string(path).map_err(wrong)
}

fn unusable(path: &Path, problem: &str) -> String {
    format!("{} cannot be used: {problem}", path.display())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    type Kind = fn(PathBuf) -> NatsCredentials;

    fn of(content: &str, kind: Kind) -> (tempfile::NamedTempFile, NatsConfig) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let mut config = NatsConfig::plain("nats://127.0.0.1".parse().unwrap(), "S");
        config.credentials = kind(file.path().to_owned());
        (file, config)
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
            (
                "\n",
                |path| NatsCredentials::Token(Secret::File(path)),
                "it is empty",
            ),
        ] {
            let (_file, credentials) = of(content, kind);
            let said = identity(&credentials).unwrap_err();
            assert!(said.ends_with(problem), "{said}");
            assert_eq!(why_refused(&credentials), said);
            assert!(!said.contains("hunter2"));
        }
    }

    #[test]
    fn a_password_is_what_its_file_says_now() {
        let kind: Kind = |path| NatsCredentials::Password {
            user: "me".to_owned(),
            password: Secret::File(path),
        };
        let (file, config) = of("first\r\n", kind);
        let password = || match identity(&config).unwrap() {
            Identity::Password { user, password } => (user, password),
            Identity::Anonymous | Identity::Token(_) | Identity::Key { .. } => {
                panic!("no password")
            }
        };
        assert_eq!(password(), ("me".to_owned(), "first".to_owned()));
        std::fs::write(file.path(), " second\n").unwrap();
        assert_eq!(password().1, " second");
        let shown = format!("{config:?} {}", why_refused(&config));
        assert!(!shown.contains("second") && shown.contains(file.path().to_str().unwrap()));
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
            identity(&credentials).unwrap();
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
