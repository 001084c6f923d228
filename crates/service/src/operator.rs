//! A running service, as its operators' listener tells it.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use query::quarantine::{Page, Shown, Wanted};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How long one question may take.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// How often a service is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Speaks to one service.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    http: reqwest::Client,
    base: Url,
}

/// What `/status` tells, as far as commands need it.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    phase: String,
    reason: Option<String>,
    detail: Option<String>,
    connection: String,
    stream: Option<Stream>,
    applied_sequence: u64,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
}

impl Operator {
    /// The service whose operators' listener has this address.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        let example = "expected something like http://127.0.0.1:3211";
        let base = Url::parse(url).map_err(|problem| anyhow!("{url}: {problem}; {example}"))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            bail!("{url} is no address of a service; {example}");
        }
        query::auth::install_crypto();
        let http = reqwest::Client::builder()
            .timeout(ASK_WITHIN)
            .build()
            .context("no HTTP client can be made")?;
        Ok(Self { http, base })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// How far it is.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        self.found("status").await
    }

    /// A page of its quarantine.
    pub(crate) async fn page(&self, wanted: &Wanted) -> anyhow::Result<Page> {
        let limit = wanted.limit.map(|limit| format!("&limit={limit}"));
        let user = wanted.user.as_ref().map(|user| format!("&user={user}"));
        let (limit, user) = (limit.unwrap_or_default(), user.unwrap_or_default());
        let after = wanted.after;
        self.found(&format!("quarantine?after={after}{limit}{user}"))
            .await
    }

    /// One record of its quarantine.
    pub(crate) async fn parked(&self, sequence: u64) -> anyhow::Result<Option<Shown>> {
        // The listener of another release or program has no such route at all.
        self.status().await?;
        self.ask(&format!("quarantine/{sequence}")).await
    }

    async fn found<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let found = self.ask(path).await?;
        found.ok_or_else(|| self.other("it has no such route"))
    }

    /// `None` for what is not there.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let url = format!("{}/{path}", self.url());
        let asked = self.http.get(url).send().await;
        let answer = asked.map_err(|error| self.silent(&error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            other => {
                let said = answer.text().await.unwrap_or_default();
                bail!(
                    "the service at {} answered {other}: {}",
                    self.url(),
                    said.trim()
                );
            }
        }
        let body = answer.bytes().await.map_err(|error| self.silent(&error))?;
        let read = serde_json::from_slice(&body);
        read.map(Some)
            .map_err(|_other| self.other("it answers something else"))
    }

    fn silent(&self, error: &reqwest::Error) -> anyhow::Error {
        let problem = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        anyhow!(
            "the service at {} does not answer ({problem}): is it running? is this the address of its --admin-listen?",
            self.url()
        )
    }

    fn other(&self, why: &str) -> anyhow::Error {
        anyhow!(
            "what listens at {} is not the operators' listener of a profile-projector of this release ({why}): give the address of --admin-listen",
            self.url()
        )
    }

    /// Waits until everything up to `sequence` is applied and durable.
    ///
    /// A service that does not answer may be starting, so it is asked again until the time is over.
    /// One that reads another stream, or applies nothing, is not waited for.
    pub(crate) async fn applied(
        &self,
        stream: &str,
        sequence: u64,
        within: Duration,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let status = self.status().await;
            if let Ok(status) = &status
                && status.has_applied(stream, sequence, self.url())?
            {
                return Ok(());
            }
            if deadline <= tokio::time::Instant::now() {
                let seconds = within.as_secs();
                let state = match status {
                    Ok(status) => status.to_string(),
                    Err(error) => return Err(error),
                };
                bail!(
                    "the service at {} did not apply sequence {sequence} within {seconds} s ({state}); the events are in the stream: wait longer with --wait-seconds",
                    self.url()
                );
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

impl Status {
    fn has_applied(&self, stream: &str, sequence: u64, url: &str) -> anyhow::Result<bool> {
        if let Some(other) = self.stream.as_ref().filter(|other| other.name != stream) {
            let name = &other.name;
            bail!(
                "the service at {url} reads stream {name}, not {stream}: name its stream with --stream, or give another URL"
            );
        }
        if self.stream.is_some() && sequence <= self.applied_sequence {
            return Ok(true);
        }
        if self.phase == "blocked" {
            bail!(
                "the service at {url} applies nothing ({self}); the events are in the stream and are applied when that is mended"
            );
        }
        Ok(false)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (phase, connection) = (&self.phase, &self.connection);
        write!(
            f,
            "{phase}, {connection}, applied up to {}",
            self.applied_sequence
        )?;
        for more in [&self.reason, &self.detail].into_iter().flatten() {
            write!(f, ", {more}")?;
        }
        Ok(())
    }
}
