//! A real nats-server with the stream of `deploy/nats/stream.json`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};
use domain::testing::Message;
use futures::stream::{FuturesUnordered, StreamExt};
use service::nats_server::{self, NatsServer, Setup};
use tempfile::TempDir;

/// The stream's name.
pub const STREAM: &str = "IDENTITY_EVENTS";

/// Publishes whose acknowledgement is waited for at a time.
const IN_FLIGHT_MAX: usize = 2_000;

/// A server on a free port with a folder of its own.
#[derive(Debug)]
pub struct Broker {
    /// The process.
    pub server: NatsServer,
    _folder: TempDir,
}

impl Broker {
    /// Starts a server and creates the stream.
    pub async fn start() -> anyhow::Result<Self> {
        let broker = Self::without_stream().await?;
        broker.create_stream().await?;
        Ok(broker)
    }

    /// Starts a server.
    pub async fn without_stream() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = tokio::task::spawn_blocking(|| nats_server::locate(None)).await??;
        let dir = folder.path().to_owned();
        let setup = Setup {
            binary,
            dir,
            port: None,
            arguments: Vec::new(),
        };
        let server = NatsServer::start(setup).await?;
        Ok(Self {
            server,
            _folder: folder,
        })
    }

    /// A connection.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Ok(async_nats::connect(self.server.url()).await?)
    }

    /// The stream's context and handle.
    pub async fn jetstream(&self) -> anyhow::Result<jetstream::Context> {
        Ok(jetstream::new(self.client().await?))
    }

    /// Creates the stream as its file says.
    pub async fn create_stream(&self) -> anyhow::Result<()> {
        let text = include_str!("../../deploy/nats/stream.json");
        let config: stream::Config = serde_json::from_str(text)?;
        self.jetstream().await?.create_stream(config).await?;
        Ok(())
    }

    /// Publishes in order and waits for every acknowledgement. Gives the last sequence.
    pub async fn publish<M: std::borrow::Borrow<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> anyhow::Result<u64> {
        let jetstream = self.jetstream().await?;
        let mut acks = FuturesUnordered::new();
        let mut last = 0;
        for message in messages {
            let message = message.borrow();
            let mut headers = HeaderMap::new();
            for (name, value) in &message.headers {
                headers.append(name.as_str(), value.as_str());
            }
            let payload = message.payload.clone().into();
            let sent = jetstream
                .publish_with_headers(message.subject.clone(), headers, payload)
                .await?;
            acks.push(sent.into_future());
            if IN_FLIGHT_MAX <= acks.len()
                && let Some(ack) = acks.next().await
            {
                last = last.max(ack?.sequence);
            }
        }
        while let Some(ack) = acks.next().await {
            last = last.max(ack?.sequence);
        }
        Ok(last)
    }
}

/// Waits until `state` holds, looking again and again for at most `within`.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut state: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        if let Some(found) = state().await {
            return Ok(found);
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{what} did not come within {within:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A file of the project's folder.
pub fn project_file(path: &str) -> anyhow::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the tests have a folder")?;
    std::fs::read_to_string(root.join(path)).with_context(|| format!("{path} cannot be read"))
}
