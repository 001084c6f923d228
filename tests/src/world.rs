//! A broker, an issuer and a folder: what every test begins with.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use devkit::issuer::DevIssuer;
use tempfile::TempDir;
use tokio::process::Child;

use crate::broker::Broker;
use crate::fake_clock::FakeClock;
use crate::service::{Service, Start, spawn};

/// A broker with its stream, an issuer of tokens, and a folder for read models.
pub struct World {
    /// The broker.
    pub broker: Broker,
    /// Signs tokens that the service trusts.
    pub issuer: DevIssuer,
    folder: TempDir,
}

impl World {
    /// A world with an empty stream.
    pub async fn new() -> anyhow::Result<Self> {
        Self::of(Broker::start().await?)
    }

    /// A world with this broker.
    pub fn of(broker: Broker) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let issuer = DevIssuer::open(&folder.path().join("issuer"))?;
        Ok(Self {
            broker,
            issuer,
            folder,
        })
    }

    /// The folder of a read model of this name.
    pub fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the binary on the read model of this name.
    pub async fn serve(&self, name: &str) -> anyhow::Result<Service> {
        self.serve_from(&self.broker.server.url(), name, &[]).await
    }

    /// The same, with another broker address and further flags.
    pub async fn serve_from(
        &self,
        nats_url: &str,
        name: &str,
        flags: &[&str],
    ) -> anyhow::Result<Service> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.start(nats_url, name, free, flags, None).await
    }

    /// Starts the binary with a clock that can be set.
    pub async fn serve_by(&self, clock: &FakeClock, name: &str) -> anyhow::Result<Service> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let nats_url = self.broker.server.url();
        self.start(&nats_url, name, free, &[], Some(clock)).await
    }

    /// Starts the binary again where it was before.
    pub async fn serve_at(&self, name: &str, listen: SocketAddr) -> anyhow::Result<Service> {
        self.start(&self.broker.server.url(), name, listen, &[], None)
            .await
    }

    async fn start(
        &self,
        nats_url: &str,
        name: &str,
        listen: SocketAddr,
        flags: &[&str],
        clock: Option<&FakeClock>,
    ) -> anyhow::Result<Service> {
        let (data, auth_config) = (self.data(name), self.issuer.auth_config());
        let start = Start {
            nats_url,
            data: &data,
            auth_config: &auth_config,
            listen,
            flags,
            clock,
        };
        Service::start(&start).await
    }

    /// Starts the binary and does not wait for anything.
    pub fn spawn(&self, name: &str) -> anyhow::Result<Child> {
        self.plainly(name, spawn)
    }

    /// The command line of a service on the read model of this name.
    pub fn serve_arguments(&self, name: &str) -> anyhow::Result<Vec<OsString>> {
        self.plainly(name, |start| Ok(start.arguments()))
    }

    fn plainly<T>(
        &self,
        name: &str,
        with: impl FnOnce(&Start<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        with(&Start {
            nats_url: &self.broker.server.url(),
            data: &self.data(name),
            auth_config: &self.issuer.auth_config(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            flags: &[],
            clock: None,
        })
    }

    /// Lets every user of the machine look into its folder.
    pub fn open_to_all(&self) -> anyhow::Result<()> {
        for folder in [self.folder.path(), &self.data("issuer")] {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
        }
        for entry in std::fs::read_dir(self.data("issuer"))? {
            std::fs::set_permissions(entry?.path(), PermissionsExt::from_mode(0o644))?;
        }
        Ok(())
    }

    /// A token for `sub`, good for five minutes.
    pub fn token(&self, sub: &str) -> anyhow::Result<String> {
        Ok(self
            .issuer
            .mint(sub, SystemTime::now(), Duration::from_mins(5))?)
    }

    /// A token for `sub` that was good for five minutes and is for this long yet.
    pub fn token_for(&self, sub: &str, rest: Duration) -> anyhow::Result<String> {
        let lifetime = Duration::from_mins(5);
        let issued = SystemTime::now() + rest - lifetime;
        Ok(self.issuer.mint(sub, issued, lifetime)?)
    }
}
