//! Credentials files of NATS, read anew for every connection: a file that was replaced is enough to
//! go on after its content was revoked or expired.

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;

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
    std::fs::read_to_string(path).map_err(|problem| unusable(path, &problem.to_string()))
}

fn unusable(path: &Path, problem: &str) -> NatsError {
    NatsError::File {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
