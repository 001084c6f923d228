//! TLS on a listener, with certificates that are read again when their files change.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// What a connection encrypts ahead of a client that does not take it.
const BUFFER_BYTES: usize = 16 * 1024;

/// A listener's certificate, and what it needs to shake hands.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

/// Why a certificate cannot be used. The one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// The certificate's file holds none.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// Certificate and key are refused, as a rule because they do not belong together.
    #[error("the certificate and its key cannot be used")]
    Refused(#[from] rustls::Error),
}

impl Tls {
    /// Reads a chain of certificates and their private key from PEM files.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&certificate, &key)?)));
        let resolver = Arc::clone(&current);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            certificate,
            key,
            current,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Reads the files again. Connections that begin from now on see the new certificate.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current
            .0
            .store(Arc::new(read(&self.certificate, &self.key)?));
        Ok(())
    }

    /// Looks at the files every `interval` and reads them again when one has changed, until `stop`.
    ///
    /// A pair that cannot be used is tried again at the next look: it may be half written.
    pub async fn follow(&self, interval: Duration, stop: CancellationToken) {
        let mut known = self.modified();
        while stop.run_until_cancelled(sleep(interval)).await.is_some() {
            let found = self.modified();
            if found == known {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    known = found;
                    tracing::info!("the certificate was read again");
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, source, "the certificate in use stays");
                }
            }
        }
    }

    /// When the files were changed; `None` for one that is not there.
    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| {
            std::fs::metadata(path)
                .and_then(|file| file.modified())
                .ok()
        })
    }

    pub(super) fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> impl Future<Output = io::Result<TlsStream<S>>> {
        self.acceptor
            .accept_with(stream, |tls| tls.set_buffer_limit(Some(BUFFER_BYTES)))
    }
}

fn read(certificate: &PathBuf, key: &PathBuf) -> Result<CertifiedKey, TlsError> {
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(failed(certificate))?;
    let chain = chain
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: certificate.clone(),
        });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    Ok(CertifiedKey::from_der(
        chain,
        private,
        &aws_lc_rs::default_provider(),
    )?)
}

/// The certificate in use.
struct Current(ArcSwap<CertifiedKey>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current(..)")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
