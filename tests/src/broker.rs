//! A real nats-server with the stream of `deploy/nats/stream.json`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream::{self, object_store, stream};
use async_nats::{Client, ConnectOptions, HeaderMap};
use devkit::nats_server::{self, NatsServer, Setup};
use domain::testing::Message;
use futures::stream::{FuturesUnordered, StreamExt};
use tempfile::TempDir;

/// The stream's name.
pub const STREAM: &str = "IDENTITY_EVENTS";

/// A server's configuration in its folder.
const CONFIG_FILE: &str = "nats-server.conf";

/// Publishes whose acknowledgement is waited for at a time.
const IN_FLIGHT_MAX: usize = 2_000;

/// Longest wait until a server has read its configuration again.
const RELOAD_WITHIN: Duration = Duration::from_secs(20);

/// A server on a free port with a folder of its own.
#[derive(Debug)]
pub struct Broker {
    /// The process.
    pub server: NatsServer,
    /// Who the tests are to it.
    pub login: Login,
    folder: TempDir,
}

/// Who a client is.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// Nobody asks.
    #[default]
    Nobody,
    /// A user with this name and password.
    User(&'static str, &'static str),
    /// The content of a credentials file.
    Creds(String),
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
        Self::with_arguments(Vec::new()).await
    }

    /// Starts a server with a configuration file, which [`Broker::configure`] replaces.
    pub async fn configured(config: &str, login: Login) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(CONFIG_FILE);
        std::fs::write(&file, config)?;
        let mut broker = Self::start_in(folder, None, vec!["--config".into(), file.into()]).await?;
        broker.login = login;
        Ok(broker)
    }

    /// Starts an older build, and creates the stream.
    pub async fn of_build(binary: PathBuf) -> anyhow::Result<Self> {
        let broker = Self::start_build(binary, tempfile::tempdir()?, None, Vec::new()).await?;
        broker.create_stream().await?;
        Ok(broker)
    }

    /// Starts a server with further arguments.
    pub async fn with_arguments(arguments: Vec<OsString>) -> anyhow::Result<Self> {
        Self::start_in(tempfile::tempdir()?, None, arguments).await
    }

    /// Starts a server on a port that one had before.
    pub async fn on_port(port: u16) -> anyhow::Result<Self> {
        Self::start_in(tempfile::tempdir()?, Some(port), Vec::new()).await
    }

    async fn start_in(
        folder: TempDir,
        port: Option<u16>,
        arguments: Vec<OsString>,
    ) -> anyhow::Result<Self> {
        let binary = tokio::task::spawn_blocking(|| nats_server::locate(None)).await??;
        Self::start_build(binary, folder, port, arguments).await
    }

    async fn start_build(
        binary: PathBuf,
        folder: TempDir,
        port: Option<u16>,
        arguments: Vec<OsString>,
    ) -> anyhow::Result<Self> {
        let setup = Setup {
            binary,
            dir: folder.path().to_owned(),
            port,
            arguments,
        };
        Ok(Self {
            server: NatsServer::start(setup).await?,
            login: Login::Nobody,
            folder,
        })
    }

    /// Replaces the configuration file and starts the server again.
    pub async fn configure(&mut self, config: &str) -> anyhow::Result<()> {
        std::fs::write(self.folder.path().join(CONFIG_FILE), config)?;
        Ok(self.server.restart().await?)
    }

    /// Replaces the configuration file and has the running server read it; until it has, it may refuse
    /// anybody.
    pub async fn reload(&self, config: &str) -> anyhow::Result<()> {
        let reloaded = || {
            let log = std::fs::read_to_string(self.server.log_file()).unwrap_or_default();
            log.matches("Reloaded server configuration").count()
        };
        let before = reloaded();
        std::fs::write(self.folder.path().join(CONFIG_FILE), config)?;
        self.server.reload();
        eventually("the server's reload", RELOAD_WITHIN, async || {
            (before < reloaded()).then_some(())
        })
        .await
    }

    /// Copies what a stopped server stored.
    pub fn copy_store(&self, to: &Path) -> anyhow::Result<()> {
        copy_folder(&self.store(), to)
    }

    /// Puts a copy in the place of what a stopped server stored.
    pub fn replace_store(&self, from: &Path) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.store())?;
        copy_folder(from, &self.store())
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A connection.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let options = match &self.login {
            Login::Nobody => ConnectOptions::new(),
            Login::User(name, password) => {
                ConnectOptions::new().user_and_password((*name).into(), (*password).into())
            }
            Login::Creds(text) => ConnectOptions::new().credentials(text)?,
        };
        Ok(options.connect(self.server.url()).await?)
    }

    /// The stream's context and handle.
    pub async fn jetstream(&self) -> anyhow::Result<jetstream::Context> {
        Ok(jetstream::new(self.client().await?))
    }

    /// Creates the stream as its file says.
    pub async fn create_stream(&self) -> anyhow::Result<()> {
        self.create_stream_with(|_config| {}).await
    }

    /// Creates the stream as its file says but for what is changed.
    pub async fn create_stream_with(
        &self,
        change: impl FnOnce(&mut stream::Config),
    ) -> anyhow::Result<()> {
        let mut config = stream_config()?;
        change(&mut config);
        self.jetstream().await?.create_stream(config).await?;
        Ok(())
    }

    /// Changes the stream's configuration.
    pub async fn edit_stream(
        &self,
        change: impl FnOnce(&mut stream::Config),
    ) -> anyhow::Result<()> {
        let mut config = stream_config()?;
        change(&mut config);
        self.jetstream().await?.update_stream(config).await?;
        Ok(())
    }

    /// The stream's handle.
    pub async fn stream(&self) -> anyhow::Result<stream::Stream> {
        Ok(self.jetstream().await?.get_stream(STREAM).await?)
    }

    /// The sequence of its last message.
    pub async fn last_sequence(&self) -> anyhow::Result<u64> {
        Ok(self.stream().await?.cached_info().state.last_sequence)
    }

    /// Creates a bucket for snapshots.
    pub async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        let bucket = object_store::Config {
            bucket: name.to_owned(),
            ..object_store::Config::default()
        };
        self.jetstream().await?.create_object_store(bucket).await?;
        Ok(())
    }

    /// Publishes in order and waits for every acknowledgement. Gives the last sequence.
    pub async fn publish<M: std::borrow::Borrow<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> anyhow::Result<u64> {
        publish(&self.jetstream().await?, messages).await
    }
}

/// The stream's configuration as its file says.
pub fn stream_config() -> anyhow::Result<stream::Config> {
    let text = include_str!("../../deploy/nats/stream.json");
    Ok(serde_json::from_str(text)?)
}

/// Publishes in order and waits for every acknowledgement. Gives the last sequence.
pub async fn publish<M: std::borrow::Borrow<Message>>(
    jetstream: &jetstream::Context,
    messages: impl IntoIterator<Item = M>,
) -> anyhow::Result<u64> {
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

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
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
