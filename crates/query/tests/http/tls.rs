//! TLS on the listener, and certificates that change under it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use query::Limits;
use query::server::{Tls, TlsError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::exchange::{PATIENCE, ask, exchange_on, rest};
use crate::http2;
use crate::running::{FULL, Running, Setup, ada, set_profile};
use crate::sync::client::Client;

/// Writes a self-signed certificate and its key.
fn certify(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn load(folder: &Path) -> Result<Tls, TlsError> {
    Tls::load(folder.join("cert.pem"), folder.join("key.pem"))
}

/// Asks the query, trusting only the certificate that lies in the folder now.
async fn ask_trusting(running: &Running, folder: &Path) -> io::Result<u16> {
    let stream = connect(running, folder, &[]).await?;
    Ok(exchange_on(stream, &ask()).await.status)
}

/// Shakes hands, offering these protocols.
async fn connect(
    running: &Running,
    folder: &Path,
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(running.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn encrypted(folder: &Path, limits: Limits) -> Running {
    certify(folder);
    let tls = Some(Arc::new(load(folder).unwrap()));
    Running::start(Setup {
        limits,
        tls,
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn http2_is_offered() {
    let folder = TempDir::new().unwrap();
    let running = encrypted(folder.path(), Limits::default()).await;
    let stream = connect(&running, folder.path(), &["h2", "http/1.1"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(
        http2::ask(stream).await,
        (200, r#"{"status":"success","value":null}"#.to_owned())
    );
    running.stop().await;
}

#[tokio::test]
async fn a_socket_is_told_of_a_commit() {
    let folder = TempDir::new().unwrap();
    let mut running = encrypted(folder.path(), Limits::default()).await;
    // A browser offers HTTP/1.1 alone for a WebSocket.
    let stream = connect(&running, folder.path(), &["http/1.1"])
        .await
        .unwrap();
    let mut client = Client::open_on(stream).await;
    let value = client.subscribe(Some("user_1")).await;
    assert_eq!(value.to_string(), FULL);
    let mut named = ada();
    named.display_name = "Grace".into();
    running.commit(|batch| set_profile(batch, value["userId"].as_str().unwrap(), Some(named)));
    let told = client.transition().await;
    assert_eq!(told[0]["value"]["displayName"], "Grace");
    running.stop().await;
}

#[tokio::test]
async fn silence_before_and_after_the_handshake_ends() {
    let folder = TempDir::new().unwrap();
    let short = Duration::from_millis(300);
    let limits = Limits {
        first_byte_timeout: short,
        header_timeout: short,
        ..Limits::default()
    };
    let running = encrypted(folder.path(), limits).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, b"");
    let mut stream = connect(&running, folder.path(), &[]).await.unwrap();
    let mut got = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut got)).await;
    drop(read.expect("the connection ends"));
    assert_eq!(got, b"");
    running.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let folder = TempDir::new().unwrap();
    certify(folder.path());
    let tls = Arc::new(load(folder.path()).unwrap());
    let setup = Setup {
        tls: Some(Arc::clone(&tls)),
        ..Setup::default()
    };
    let running = Running::start(setup).await;
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (tls, stop) = (Arc::clone(&tls), stop.clone());
        async move { tls.follow(Duration::from_millis(10), stop).await }
    });
    assert_eq!(ask_trusting(&running, folder.path()).await.unwrap(), 200);
    certify(folder.path());
    while ask_trusting(&running, folder.path()).await.is_err() {}
    stop.cancel();
    following.await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_changes_nothing() {
    let folder = TempDir::new().unwrap();
    certify(folder.path());
    let tls = Arc::new(load(folder.path()).unwrap());
    let running = Running::start(Setup {
        tls: Some(Arc::clone(&tls)),
        ..Setup::default()
    })
    .await;
    let other = TempDir::new().unwrap();
    certify(other.path());
    let key = folder.path().join("key.pem");
    fs::copy(other.path().join("key.pem"), &key).unwrap();
    assert!(
        matches!(tls.reload(), Err(TlsError::Refused(_))),
        "a key of another certificate"
    );
    fs::remove_file(&key).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::File { .. })));
    fs::write(folder.path().join("cert.pem.empty"), "").unwrap();
    let empty = Tls::load(
        folder.path().join("cert.pem.empty"),
        other.path().join("key.pem"),
    );
    assert!(matches!(empty, Err(TlsError::NoCertificate { .. })));
    assert_eq!(ask_trusting(&running, folder.path()).await.unwrap(), 200);
    running.stop().await;
}
