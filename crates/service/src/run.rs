//! Wires the projector and the query service: one set of tasks, one stop token.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use metrics_exporter_prometheus::PrometheusHandle;
use query::auth::{KeyLoader, Verifier};
use query::server::{Server, Tls};
use query::{AdminDoor, Limits, QueryState, TextMode, admin};
use read_model::{Committed, OpenError, Options, Place, ReadModel, Reader};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, FromSnapshot, PemPair};
use crate::figures::Figures;
use crate::keeper::{Desk, Keeper, LastGood, routes};
use crate::log_access::LogAccess;
use crate::snapshot::{self, Restore, SnapshotDesk};
use crate::{exposure, memory, open_files, operators, schema_routes, service_manager, telemetry};

/// What requests under way are given at the end.
pub(crate) const REQUESTS_GRACE: Duration = Duration::from_secs(4);
/// What everything is given at the end, the last commit included (S3).
const GRACE: Duration = Duration::from_secs(9);
/// How often a renewed certificate is looked for.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(30);
/// Operators, probes and collectors of metrics at a time.
pub(crate) const ADMIN_CONNECTIONS: usize = 64;
/// How often the metrics' histograms are drained.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Runs the service until `stop` or until a part of it fails.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        begun = begin_with_snapshot(&config, &stop) => begun?,
        () = stop.cancelled() => return Ok(()),
    }
    Service::bind(config).await?.run(stop).await
}

/// Restores the snapshot that was named, if there is no read model yet.
async fn begin_with_snapshot(config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    let Some(FromSnapshot { at, or_rebuild }) = &config.from_snapshot else {
        return Ok(());
    };
    if snapshot::has_rows(&config.data_dir)? {
        tracing::info!(snapshot = %at, "the read model that is there is served, not the snapshot");
        return Ok(());
    }
    tracing::info!(snapshot = %at, "beginning with a snapshot");
    let what = Restore {
        at,
        nats: &config.nats,
        folder: &config.data_dir,
        replace: false,
    };
    match snapshot::restore(&what, stop, |_rows, _total| {}).await {
        Ok(manifest) => {
            let (sequence, rows) = (manifest.checkpoint.sequence(), manifest.rows);
            tracing::info!(sequence, rows, "the snapshot was restored");
            Ok(())
        }
        Err(error) if *or_rebuild => {
            tracing::warn!("the read model is built from the stream instead: {error:#}");
            Ok(())
        }
        Err(error) => Err(error.context(
            "cannot begin with the snapshot; --or-rebuild builds the read model from the stream then",
        )),
    }
}

/// A service that holds its folder and its ports, and does nothing yet.
pub(crate) struct Service {
    folder: PathBuf,
    reader: Reader,
    keeper: Keeper,
    desk: Desk,
    query: Arc<QueryState>,
    commits: broadcast::Receiver<Arc<Committed>>,
    keys: KeyLoader,
    tls: Option<Arc<Tls>>,
    admin_tls: Option<Arc<Tls>>,
    door: Arc<AdminDoor>,
    limits: Limits,
    memory_bytes: usize,
    public: TcpListener,
    admin: TcpListener,
}

impl Service {
    /// Takes everything that can be refused: the read model, the issuers, the certificate, the ports.
    pub(crate) async fn bind(config: Config) -> anyhow::Result<Self> {
        query::auth::install_crypto();
        let model = open_read_model(&config.data_dir)?;
        snapshot::remove_left(&config.data_dir)?;
        let reader = model.reader();
        let (verifier, mut keys) = Verifier::new(config.auth.clone(), Arc::new(SystemTime::now))?;
        // Before the ports open, so that the first request finds them.
        keys.begin(&config.data_dir).await;
        let tls = config.tls.as_ref().map(certificate).transpose()?;
        let admin_tls = config.admin_tls.as_ref().map(certificate).transpose()?;
        let door = AdminDoor::open(&config.data_dir, config.admin_hosts.clone())?;
        let limits = config.limits.clone();
        open_files::raise_for(limits.connections + limits.sync.sockets);
        let public = listen("--listen", config.listen).await?;
        let admin = listen("--admin-listen", config.admin_listen).await?;
        let texts = if config.verbose_errors {
            TextMode::Verbose
        } else {
            TextMode::Redacted
        };
        let memory_bytes = memory::sum(&memory::bounds(&limits, config.memory_budget));
        tracing::info!(
            mebibytes = memory_bytes >> 20,
            "all limits together bound memory"
        );
        exposure::warn(&config);
        let folder = config.data_dir;
        let log =
            LogAccess::of(config.nats, config.consumer_name, &folder)?.within(config.memory_budget);
        let (keeper, handle, desk) = Keeper::new(log, folder.clone(), model);
        keeper.rebuild_at_start(&desk, config.rebuild)?;
        let commits = handle.commits.subscribe();
        let verifier = Arc::new(verifier);
        let progress = handle.progress;
        let query = QueryState::new(reader.clone(), verifier, progress, texts, limits.clone());
        Ok(Self {
            folder,
            reader,
            keeper,
            desk,
            query,
            commits,
            keys,
            tls,
            admin_tls,
            door,
            limits,
            memory_bytes,
            public,
            admin,
        })
    }

    /// The address of the Convex routes.
    pub(crate) fn public_address(&self) -> io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The address of the operators' routes.
    pub(crate) fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Runs until `stop` or until a part fails; then ends every part within the grace time.
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let metrics = telemetry::metrics()?;
        let (listen, admin_listen) = (self.public_address()?, self.admin_address()?);
        tracing::info!(%listen, %admin_listen, "listening");
        let mut parts = Parts {
            tasks: JoinSet::new(),
            stop: stop.child_token(),
        };
        let folder = self.folder.clone();
        let snapshots = SnapshotDesk::new(self.reader, self.folder, parts.stop.clone());
        let figures = Figures {
            folder: folder.clone(),
            desk: self.desk.clone(),
            memory_bytes: self.memory_bytes,
            started: SystemTime::now(),
        };
        let operators = admin::router(admin::Admin {
            query: Arc::clone(&self.query),
            more_metrics: Box::new(move |page| {
                figures.write(page);
                page.rendered(&metrics.render());
            }),
            more_status: more_status(self.desk.clone(), snapshots.clone(), folder),
            door: Arc::clone(&self.door),
            stopping: parts.stop.clone(),
        });
        let operators = operators
            .merge(self.door.guard(routes::router(self.desk)))
            .merge(self.door.guard(snapshot::routes(snapshots)))
            .merge(schema_routes::router());
        let public = Server {
            name: "public",
            router: query::http::router(Arc::clone(&self.query)),
            limits: self.limits.clone(),
            tls: self.tls.clone(),
        };
        let operators = Server {
            name: "admin",
            router: self.door.front(operators),
            limits: memory::operators(&self.limits),
            tls: self.admin_tls.clone(),
        };
        let keeper = self.keeper.run(parts.stop.clone());
        parts.spawn("projector", keeper);
        parts.serve(public, self.public);
        let stop = parts.stop.clone();
        parts.spawn("admin", operators::serve(operators, self.admin, stop));
        let sockets =
            query::sync::follow(self.query, self.commits, REQUESTS_GRACE, parts.stop.clone());
        parts.spawn("sockets", async move {
            sockets.await;
            Ok(())
        });
        let keys = self.keys.run(parts.stop.clone());
        parts.spawn("key loader", async move {
            keys.await;
            Ok(())
        });
        for tls in [self.tls, self.admin_tls].into_iter().flatten() {
            let stop = parts.stop.clone();
            parts.spawn("certificate", async move {
                tls.follow(CERTIFICATE_LOOK, stop).await;
                Ok(())
            });
        }
        parts.spawn("metrics", upkeep(metrics, parts.stop.clone()));
        let told = service_manager::keep_told(parts.stop.clone());
        parts.spawn("service manager", told);
        parts.run().await
    }
}

async fn upkeep(metrics: &'static PrometheusHandle, stop: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(METRICS_UPKEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        metrics.run_upkeep();
    }
    Ok(())
}

/// The tasks of a service. None may end before it is told to (S1).
struct Parts {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
}

impl Parts {
    fn spawn(
        &mut self,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, part.await) });
    }

    fn serve(&mut self, server: Server, listener: TcpListener) {
        let stop = self.stop.clone();
        self.spawn(server.name, async move {
            server.serve(listener, REQUESTS_GRACE, stop).await;
            Ok(())
        });
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let first = tokio::select! {
            // First, since parts that were told to end are ending too.
            biased;
            () = self.stop.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                result_of(ended).and_then(|name| Err(anyhow!("the {name} ended unbidden")))
            }
        };
        self.stop.cancel();
        let rest = timeout(GRACE, async {
            let mut result = first;
            while let Some(ended) = self.tasks.join_next().await {
                result = result.and(result_of(ended).map(|_name| ()));
            }
            result
        });
        match rest.await {
            Ok(result) => result,
            Err(_elapsed) => Err(anyhow!("a part did not stop in time and was cut off")),
        }
    }
}

fn result_of(
    ended: Result<(&'static str, anyhow::Result<()>), JoinError>,
) -> anyhow::Result<&'static str> {
    let (name, result) = ended.context("a part panicked")?;
    result.with_context(|| format!("the {name} failed"))?;
    Ok(name)
}

/// A file of another layout is derived data in a form that is no longer read: it is built again.
fn open_read_model(folder: &Path) -> anyhow::Result<ReadModel> {
    let opened = match ReadModel::open(folder, Options::default()) {
        Err(OpenError::OtherLayout {
            found, expected, ..
        }) => {
            tracing::warn!(
                found,
                expected,
                "the read model has another layout and is rebuilt"
            );
            Place::set_aside(folder)?;
            ReadModel::open(folder, Options::default())
        }
        opened => opened,
    };
    opened.map_err(|error| {
        let hint = match &error {
            OpenError::Folder { .. } => "let this user write there, or give another --data-dir",
            OpenError::InUse { .. } => "stop the other one, or give another --data-dir",
            OpenError::OtherLayout { .. }
            | OpenError::Damaged { .. }
            | OpenError::Unfinished { .. }
            | OpenError::LastGoodKept { .. } => {
                "remove the file to have it rebuilt from the stream"
            }
        };
        anyhow!("{:#}: {hint}", anyhow::Error::from(error))
    })
}

fn certificate(pair: &PemPair) -> anyhow::Result<Arc<Tls>> {
    Ok(Arc::new(Tls::load(pair.cert.clone(), pair.key.clone())?))
}

async fn listen(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| anyhow!("cannot listen on {address} ({error}): choose another {flag}"))
}

/// What the keeper and the desk of snapshots tell in `/status`.
fn more_status(
    desk: Desk,
    snapshots: SnapshotDesk,
    folder: PathBuf,
) -> Box<dyn Fn() -> BTreeMap<&'static str, serde_json::Value> + Send + Sync> {
    Box::new(move || {
        let job = serde_json::to_value(desk.status()).unwrap_or_default();
        let snapshot = serde_json::to_value(snapshots.status()).unwrap_or_default();
        let last_good = serde_json::to_value(LastGood::of(&folder)).unwrap_or_default();
        BTreeMap::from([
            ("job", job),
            ("snapshot", snapshot),
            ("last_good", last_good),
        ])
    })
}
