//! Asks a running service through its admin listener.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use query::TOKEN_FILE;
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::AdminArgs;
use crate::listener;

/// The service is on this machine or near; what takes longer is not waited for in one request.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A running service, at its admin address.
pub(crate) struct AdminClient {
    http: reqwest::Client,
    url: Url,
    /// The token's file where the operator named one.
    token_file: Option<PathBuf>,
    /// What is told of it.
    shown: String,
}

/// An address as it may be told: without the user and the password in it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // An address with a host takes both.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

impl AdminClient {
    /// Of the service at `url`, as `--admin` or `--wait` names it, with the token of `token_file`. Without one, that
    /// of a service on this machine is found.
    pub(crate) fn new(url: &str, token_file: Option<&Path>) -> anyhow::Result<Self> {
        query::auth::install_crypto();
        let parsed = Url::parse(url).ok();
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let url = parsed.filter(is_http).with_context(|| {
            // Behind what may be a password.
            let told = url.rsplit('@').next().unwrap_or_default();
            format!("{told} is no address of a service (example: http://127.0.0.1:3211)")
        })?;
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .build()
            .context("no HTTP client can be made")?;
        let shown = shown(&url);
        Ok(Self {
            http,
            url,
            token_file: token_file.map(Path::to_owned),
            shown,
        })
    }

    /// The service that a command was told of.
    pub(crate) fn of(args: &AdminArgs) -> anyhow::Result<Self> {
        Self::new(&args.admin, args.admin_token_file.as_deref())
    }

    /// What a route tells.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let (status, body) = self.ask(self.http.get(self.at(path)?)).await?;
        self.parsed(status, &body)
    }

    /// Whether requests may be sent to the service, and what it says of that.
    pub(crate) async fn ready(&self) -> anyhow::Result<(bool, String)> {
        let (status, body) = self.ask(self.http.get(self.at("/readyz")?)).await?;
        let said = String::from_utf8_lossy(&body).trim().to_owned();
        match status {
            StatusCode::OK if said == "ready" => Ok((true, said)),
            StatusCode::SERVICE_UNAVAILABLE if said.starts_with("not ready") => Ok((false, said)),
            _ => bail!(
                "{} answers {status} and not as a service of this release does: is this its --admin-listen?",
                self.url()
            ),
        }
    }

    /// Where the service is.
    pub(crate) fn url(&self) -> &str {
        &self.shown
    }

    /// What a route tells; `None` where it has no such thing.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let (status, body) = self.ask(self.http.get(self.at(path)?)).await?;
        // Also a listener without such a route says so, but not in JSON.
        if status == StatusCode::NOT_FOUND && body.starts_with(b"{") {
            return Ok(None);
        }
        self.parsed(status, &body).map(Some)
    }

    /// What a route says to what it is sent, with the status.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<(StatusCode, T)> {
        let request = self.http.post(self.at(path)?);
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.body(serde_json::to_vec(body)?);
        let (status, body) = self.ask(request).await?;
        Ok((status, self.parsed(status, &body)?))
    }

    fn at(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.url.join(path)?)
    }

    /// Asks, and once more with the token where the service wants one.
    async fn ask(&self, request: RequestBuilder) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let again = request.try_clone();
        let (status, body) = match &self.token_file {
            Some(file) => {
                let mend = "give --admin-token-file the admin-token of the service's data folder, or a copy of it";
                self.send(request.bearer_auth(token_of(file, mend)?))
                    .await?
            }
            None => self.send(request).await?,
        };
        if status != StatusCode::UNAUTHORIZED {
            return Ok((status, body));
        }
        if let Some(file) = &self.token_file {
            let file = file.display();
            bail!(
                "{} does not take the token of {file}: copy {TOKEN_FILE} of its data folder there",
                self.url()
            );
        }
        let (Some(file), Some(again)) = (listener::token_file(&self.url), again) else {
            bail!(
                "{} wants a token: run this as the service's user on its machine, or name a copy of {TOKEN_FILE}, which is in its data folder, with --admin-token-file",
                self.url()
            );
        };
        let mend =
            "run this as the service's user on its machine, or name a copy with --admin-token-file";
        let (status, body) = self.send(again.bearer_auth(token_of(&file, mend)?)).await?;
        if status == StatusCode::UNAUTHORIZED {
            bail!(
                "{} does not take the token of {}: is that file of this machine? name the right one with --admin-token-file",
                self.url(),
                file.display()
            );
        }
        Ok((status, body))
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let unheard = |error: reqwest::Error| {
            let why = crate::exit::in_one_line(&error.without_url());
            anyhow!(
                "no service answers at {} ({why}): is it running? is this its --admin-listen?",
                self.url()
            )
        };
        let response = request.send().await.map_err(unheard)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unheard)?.to_vec();
        if status == StatusCode::MISDIRECTED_REQUEST {
            bail!(
                "the service at {} has another name: start it with --admin-host and this one",
                self.url()
            );
        }
        Ok((status, body))
    }

    fn parsed<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(body).map_err(|_other_body| {
            let url = self.url();
            anyhow!("{url} answers {status} and not as a service of this release does: is this its --admin-listen?")
        })
    }
}

/// The token in a file; `mend` says what to do where there is none.
fn token_of(file: &Path, mend: &str) -> anyhow::Result<String> {
    query::read_token(file).map_err(|fault| anyhow!("{}: {mend}", crate::exit::in_one_line(&fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_password_of_an_address_is_not_told() {
        let service = AdminClient::new("http://ada:secret@127.0.0.1:1/", None).unwrap();
        assert_eq!(service.url(), "http://127.0.0.1:1");
        let unheard = service.get::<()>("/status").await.unwrap_err();
        assert!(!format!("{unheard:#}").contains("secret"), "{unheard:#}");
        for wrong in ["ada:secret@127.0.0.1:1", "ftp://ada:secret@127.0.0.1"] {
            let said = AdminClient::new(wrong, None).err().unwrap().to_string();
            assert!(said.starts_with("127.0.0.1"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_named_file_without_a_token_is_not_to_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy");
        std::fs::write(&file, "short").unwrap();
        let service = AdminClient::new("http://127.0.0.1:1", Some(&file)).unwrap();
        let said = service.get::<()>("/status").await.unwrap_err().to_string();
        assert!(said.contains("copy holds no token"), "{said}");
        assert!(
            said.contains("--admin-token-file") && !said.contains("remove"),
            "{said}"
        );
    }
}
