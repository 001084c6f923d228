//! A token issuer for development and tests: a key in a folder, and tokens signed with it.
//!
//! The folder holds the key (`signing-key.der`, readable by its owner alone), the key set
//! (`jwks.json`) and a configuration that trusts it (`auth-config.json`). Whoever reads the key can
//! be anybody, so this is never an issuer for real users.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tempfile::NamedTempFile;

/// The `iss` of its tokens. No host can have such a name.
pub const ISSUER: &str = "https://dev.profile-projector.invalid/";
/// The `aud` of its tokens.
pub const AUDIENCE: &str = "profile-projector-dev";

const KEY_FILE: &str = "signing-key.der";
const KEY_SET_FILE: &str = "jwks.json";
const CONFIG_FILE: &str = "auth-config.json";

/// Why the issuer cannot work.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// A file of the folder cannot be read or written.
    #[error("{} cannot be used: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file holds no RSA key; the next start makes a new one once it is gone.
    #[error("{} is no RSA key in PKCS#8: remove it to have a new one made", path.display())]
    NotAKey {
        /// The key file.
        path: PathBuf,
    },
    /// The cryptography failed, most likely for want of random numbers.
    #[error("no key or signature could be made")]
    Crypto,
}

/// The issuer. `Debug` is not derived: it holds a private key.
pub struct DevIssuer {
    folder: PathBuf,
    key: RsaKeyPair,
    kid: String,
}

impl DevIssuer {
    /// Opens the issuer of a folder; makes the folder and the key if they are not there. Two
    /// processes that do so at once end up with the same key.
    pub fn open(folder: &Path) -> Result<Self, IssuerError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| at(folder, source))?;
        let path = folder.join(KEY_FILE);
        if !path.exists() {
            create_key(folder, &path)?;
        }
        let der = std::fs::read(&path).map_err(|source| at(&path, source))?;
        let key = RsaKeyPair::from_pkcs8(&der).ok();
        let key = key.ok_or(IssuerError::NotAKey { path })?;
        let modulus = key.public_key().modulus();
        let modulus = modulus.big_endian_without_leading_zero();
        let issuer = Self {
            folder: folder.to_owned(),
            kid: base64(digest(&SHA256, modulus).as_ref()),
            key,
        };
        issuer.publish()?;
        Ok(issuer)
    }

    /// The configuration that trusts this issuer: a value for `--auth-config`.
    pub fn auth_config(&self) -> PathBuf {
        self.folder.join(CONFIG_FILE)
    }

    /// A token for `sub` that is valid from `now` on. It has what a session token has, so that it
    /// also passes where such are asked for.
    pub fn mint(
        &self,
        sub: &str,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<String, IssuerError> {
        let header = json!({"alg": "RS256", "kid": self.kid});
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": sub,
            "sid": "session_dev",
            "iat": now,
            "exp": now.saturating_add(lifetime.as_secs()),
        });
        let text = [header, claims].map(|part| base64(part.to_string().as_bytes()));
        let text = text.join(".");
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            text.as_bytes(),
            &mut signature,
        );
        signed.ok().ok_or(IssuerError::Crypto)?;
        Ok(format!("{text}.{}", base64(&signature)))
    }

    /// Writes what others read: the key set and the configuration.
    fn publish(&self) -> Result<(), IssuerError> {
        let public = self.key.public_key();
        let keys = json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": base64(public.modulus().big_endian_without_leading_zero()),
            "e": base64(public.exponent().big_endian_without_leading_zero()),
        }]});
        let config =
            json!({"issuers": [{"issuer": ISSUER, "jwks": KEY_SET_FILE, "audience": AUDIENCE}]});
        for (name, document) in [(KEY_SET_FILE, keys), (CONFIG_FILE, config)] {
            let path = self.folder.join(name);
            let text = format!("{document:#}\n");
            let file =
                written(&self.folder, text.as_bytes()).map_err(|source| at(&path, source))?;
            file.persist(&path)
                .map_err(|error| at(&path, error.error))?;
        }
        Ok(())
    }
}

fn create_key(folder: &Path, path: &Path) -> Result<(), IssuerError> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).ok();
    let der = key.and_then(|key| AsDer::<Pkcs8V1Der<'_>>::as_der(&key).ok());
    let der = der.ok_or(IssuerError::Crypto)?;
    let file = written(folder, der.as_ref()).map_err(|source| at(path, source))?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
            Err(at(path, error.error))
        }
        // Another process was faster: its key is as good.
        _ => Ok(()),
    }
}

/// A complete file under a temporary name, readable by its owner alone.
fn written(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn at(path: &Path, source: io::Error) -> IssuerError {
    let path = path.to_owned();
    IssuerError::File { path, source }
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use query::auth::{AuthConfig, Verifier};
    use tokio_util::sync::CancellationToken;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[tokio::test]
    async fn its_tokens_are_accepted_with_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let issuer = DevIssuer::open(&folder.path().join("dev")).unwrap();
        let config = AuthConfig::from_file(&issuer.auth_config()).unwrap();
        let (verifier, loader) = Verifier::new(config, Arc::new(SystemTime::now)).unwrap();
        let stop = CancellationToken::new();
        let loading = tokio::spawn(loader.run(stop.clone()));
        while !verifier.ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let mint = |now| issuer.mint("user_\"ä", now, DAY).unwrap();
        let identity = verifier.verify(&mint(SystemTime::now())).unwrap();
        assert_eq!(identity.subject.as_str(), "user_\"ä");
        assert!(verifier.verify(&mint(SystemTime::now() - 2 * DAY)).is_err());

        // A second start keeps the key, so that tokens outlive a restart.
        let again = DevIssuer::open(&folder.path().join("dev")).unwrap();
        let token = again.mint("user_1", SystemTime::now(), DAY).unwrap();
        assert!(verifier.verify(&token).is_ok());
        stop.cancel();
        loading.await.unwrap();
    }

    #[test]
    fn its_key_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev");
        DevIssuer::open(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(KEY_FILE))), (0o700, 0o600));
        assert_eq!(
            std::fs::read_dir(&path).unwrap().count(),
            3,
            "no left-overs"
        );
    }

    #[test]
    fn a_broken_key_is_said_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        std::fs::write(&path, "not a key").unwrap();
        let error = DevIssuer::open(folder.path()).err().unwrap();
        assert!(error.to_string().contains("remove it"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"not a key");
    }
}
