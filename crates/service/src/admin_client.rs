//! Asks a running service through its admin listener.

use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The service is on this machine or near; what takes longer is not waited for in one request.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A running service, at its admin address.
pub(crate) struct AdminClient {
    http: reqwest::Client,
    url: Url,
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
    /// Of the service at `url`, as `--admin` or `--wait` names it.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
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
        Ok(Self { http, url, shown })
    }

    /// What a route tells.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.http.get(self.at(path)?).send().await;
        let (status, body) = self.answer(response).await?;
        self.parsed(status, &body)
    }

    /// Where the service is.
    pub(crate) fn url(&self) -> &str {
        &self.shown
    }

    /// What a route tells; `None` where it has no such thing.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let response = self.http.get(self.at(path)?).send().await;
        let (status, body) = self.answer(response).await?;
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
        let response = self
            .http
            .post(self.at(path)?)
            .header(CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(body)?)
            .send()
            .await;
        let (status, body) = self.answer(response).await?;
        Ok((status, self.parsed(status, &body)?))
    }

    fn at(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.url.join(path)?)
    }

    async fn answer(
        &self,
        response: reqwest::Result<Response>,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let unheard = |error: reqwest::Error| {
            let why = crate::exit::in_one_line(&error.without_url());
            anyhow!(
                "no service answers at {} ({why}): is it running? is this its --admin-listen?",
                self.url()
            )
        };
        let response = response.map_err(unheard)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unheard)?;
        Ok((status, body.to_vec()))
    }

    fn parsed<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(body).map_err(|_other_body| {
            let url = self.url();
            anyhow!("{url} answers {status} and not as a service of this release does: is this its --admin-listen?")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_password_of_an_address_is_not_told() {
        let service = AdminClient::new("http://ada:secret@127.0.0.1:1/").unwrap();
        assert_eq!(service.url(), "http://127.0.0.1:1");
        let unheard = service.get::<()>("/status").await.unwrap_err();
        assert!(!format!("{unheard:#}").contains("secret"), "{unheard:#}");
        for wrong in ["ada:secret@127.0.0.1:1", "ftp://ada:secret@127.0.0.1"] {
            let said = AdminClient::new(wrong).err().unwrap().to_string();
            assert!(said.starts_with("127.0.0.1"), "{said}");
        }
    }
}
