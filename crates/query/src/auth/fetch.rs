//! Bytes of a key set, from an address or a file, within bounds.

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
};
use reqwest::{Client, StatusCode, Url, redirect};

use super::admission::DocumentError;
use super::config::Location;
use super::loader::ClientError;

/// Largest key set.
const BYTES_MAX: usize = 64 * 1024;
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Why a load gave no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("the file cannot be read: {0}")]
    File(std::io::Error),
    #[error("the request failed: {0}")]
    Request(String),
    #[error("the answer's status is {0}, not 200")]
    Status(StatusCode),
    #[error("the answer's type is {0:?}, not application/json or application/jwk-set+json")]
    Type(String),
    #[error("the answer is compressed")]
    Compressed,
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("{0}")]
    Document(#[from] DocumentError),
}

/// The client for all addresses: no redirects, no proxy, no cookies, no compression.
pub(super) fn client<'l>(
    locations: impl Iterator<Item = &'l Location>,
) -> Result<Client, ClientError> {
    let mut client = Client::builder()
        .user_agent(concat!("profile-projector/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_MAX)
        .pool_max_idle_per_host(0)
        .tls_version_min(reqwest::tls::Version::TLS_1_2);
    let mut addresses = locations.filter_map(|location| match location {
        Location::Address(url) => Some(url),
        Location::File(_) => None,
    });
    if !addresses.any(|url| url.scheme() == "https") {
        // Then a machine without root certificates will do.
        client = client.tls_certs_only(std::iter::empty());
    }
    client.build().map_err(|error| ClientError(chain(&error)))
}

/// What a load brought.
pub(super) struct Loaded {
    pub(super) document: Vec<u8>,
    /// For how long its server says it is good.
    pub(super) max_age: Option<Duration>,
}

/// Loads a key set once, within `within`.
pub(super) async fn load(
    client: &Client,
    location: &Location,
    within: Duration,
) -> Result<Loaded, LoadError> {
    match location {
        Location::Address(url) => load_address(client, url.clone(), within).await,
        Location::File(path) => load_file(path.clone()).await,
    }
}

async fn load_address(client: &Client, url: Url, within: Duration) -> Result<Loaded, LoadError> {
    let failed = |error: reqwest::Error| LoadError::Request(chain(&error.without_url()));
    let request = client
        .get(url)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .timeout(within);
    let mut answer = request.send().await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        return Err(LoadError::Status(answer.status()));
    }
    let header = |name: HeaderName| text(answer.headers(), &name).to_owned();
    let media_type = header(CONTENT_TYPE);
    let essence = media_type.split(';').next().unwrap_or("").trim();
    let types = ["application/json", "application/jwk-set+json"];
    if !types
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
    {
        return Err(LoadError::Type(essence.chars().take(100).collect()));
    }
    if !matches!(&*header(CONTENT_ENCODING), "" | "identity") {
        return Err(LoadError::Compressed);
    }
    let max_age = max_age(&header(CACHE_CONTROL));
    let mut document = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if document.len() + chunk.len() > BYTES_MAX {
            return Err(LoadError::TooLarge);
        }
        document.extend_from_slice(&chunk);
    }
    Ok(Loaded { document, max_age })
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    let value = headers.get(name).map(|value| value.to_str());
    // What is not text is none of the values we take.
    value.map_or("", |value| value.unwrap_or("?"))
}

/// The `max-age` of a `Cache-Control`.
fn max_age(cache_control: &str) -> Option<Duration> {
    cache_control.split(',').find_map(|directive| {
        let seconds = directive.trim().strip_prefix("max-age=")?;
        seconds.parse().ok().map(Duration::from_secs)
    })
}

async fn load_file(path: PathBuf) -> Result<Loaded, LoadError> {
    let read = tokio::task::spawn_blocking(move || read_file(&path));
    let read = read.await.map_err(|error| LoadError::File(error.into()))?;
    let document = read.map_err(LoadError::File)?;
    if document.len() > BYTES_MAX {
        return Err(LoadError::TooLarge);
    }
    let max_age = None;
    Ok(Loaded { document, max_age })
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut document = Vec::new();
    let one_more = u64::try_from(BYTES_MAX + 1).unwrap_or(u64::MAX);
    std::fs::File::open(path)?
        .take(one_more)
        .read_to_end(&mut document)?;
    Ok(document)
}

/// An error with its causes, which this client's errors name only in their sources.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
