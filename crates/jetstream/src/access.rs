//! Who we are to a server, and by what we trust it. Read anew for every connection.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use nkeys::KeyPair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Who we are to a server. `Debug` shows no secret.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each connection, and it lives as long as its making"
)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// Its password.
        password: String,
    },
    /// A token.
    Token(String),
    /// A key that signs the server's challenge, with or without a JWT that speaks for it.
    Key {
        /// Of a credentials file.
        jwt: Option<String>,
        /// What signs.
        key: KeyPair,
    },
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::Key { .. } => "Key",
        })
    }
}

/// Everything that a connection needs to know of us.
#[derive(Debug)]
pub struct Access {
    /// Who we are.
    pub identity: Identity,
    /// By what a server is trusted.
    pub tls: TlsFiles,
}

impl Access {
    /// Nobody, at servers that ask for nothing.
    pub fn anonymous() -> Self {
        Self {
            identity: Identity::Anonymous,
            tls: TlsFiles::default(),
        }
    }
}

/// By what a server is trusted, and how we prove who we are below the protocol.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Certificates to trust beside the system's (PEM).
    pub ca: Option<PathBuf>,
    /// Our certificate chain and its key (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
    /// TLS begins before the server says anything.
    pub first: bool,
}

impl TlsFiles {
    /// Whether a connection without TLS is refused.
    pub fn is_required(&self) -> bool {
        self.ca.is_some() || self.client.is_some() || self.first
    }

    /// Reads the files. The texts of its errors are for people.
    pub(crate) fn load(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        // What the system has and cannot be read is no reason to fail: another root may fit.
        for certificate in rustls_native_certs::load_native_certs().certs {
            let _ = roots.add(certificate);
        }
        if let Some(path) = &self.ca {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|problem| format!("{} cannot be used: {problem}", path.display()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|problem| problem.to_string())?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let wrong = |problem: &dyn fmt::Display| {
                    format!("{} cannot be used: {problem}", key.display())
                };
                let pair = PrivateKeyDer::from_pem_file(key).map_err(|problem| wrong(&problem))?;
                builder
                    .with_client_auth_cert(certificates(chain)?, pair)
                    .map_err(|problem| wrong(&problem))?
            }
        };
        Ok(Arc::new(config))
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong =
        |problem: &dyn fmt::Display| format!("{} cannot be used: {problem}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|problem| wrong(&problem))?
        .collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong(&"it holds no certificate")),
        Ok(found) => Ok(found),
        Err(problem) => Err(wrong(&problem)),
    }
}
