//! `snapshot`: a consistent copy of a read model, from its running service or from its folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use read_model::{OpenError, Options, Place, ReadModel};
use reqwest::StatusCode;
use serde::Deserialize;

use super::bar;
use crate::admin_client::AdminClient;
use crate::cli::{AdminArgs, SnapshotArgs};
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::keeper::JobState;
use crate::signals;
use crate::snapshot::{self, Bucket, FILE_NAME, SnapshotAt, SnapshotStatus};

/// How often the service is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Length of the hash that a snapshot ends with.
const HASH_BYTES: i64 = 32;

pub(crate) fn run(args: &SnapshotArgs) -> Result<(), Failure> {
    let nats = NatsConfig::of(&args.nats)?;
    super::block_on(async {
        let stop = signals::stop_token()?;
        tokio::select! {
            made = copy(args, &nats) => {
                let line = made?;
                writeln!(io::stdout(), "{line}").context("standard output is gone")?;
                Ok(())
            }
            () = stop.cancelled() => Err(anyhow!("interrupted; run it again").into()),
        }
    })
}

/// Makes the snapshot in the data folder, then brings it where it is to go.
async fn copy(args: &SnapshotArgs, nats: &NatsConfig) -> anyhow::Result<String> {
    if let SnapshotAt::File(path) = &args.to
        && !snapshot::is_replaceable(path).unwrap_or(false)
    {
        bail!(
            "{} is there and is no snapshot: name another file",
            path.display()
        );
    }
    // Before the work, what would make it vain.
    let bucket = match &args.to {
        SnapshotAt::Object { bucket, .. } => Some(Bucket::open(nats, bucket).await?),
        SnapshotAt::File(_) => None,
    };
    // Whoever opens the read model removes what nobody fetched: a stopped one stays ours until it is fetched.
    let Made {
        path,
        status,
        model: _held,
    } = &make(args).await?;
    match (&args.to, &bucket) {
        (SnapshotAt::Object { name, .. }, Some(bucket)) => {
            let bar = bar::of_bytes(status.bytes);
            let sent = |bytes| bar.set_position(bytes);
            snapshot::upload(bucket, name, about(status), path, sent).await?;
            bar.finish_and_clear();
            match fs::remove_file(path) {
                // Its service was started again meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        (SnapshotAt::File(to), _) => snapshot::move_to(path, to)?,
        (SnapshotAt::Object { .. }, None) => {}
    }
    Ok(summary(status, &args.to))
}

fn summary(status: &SnapshotStatus, to: &SnapshotAt) -> String {
    format!(
        "{to}: sequence {}, {} rows, {} bytes, digest {}",
        status.sequence.unwrap_or(0),
        status.rows,
        status.bytes.unwrap_or(0),
        status.digest.as_deref().unwrap_or("unknown"),
    )
}

/// What an object says of the snapshot, for people; the snapshot says it itself too.
fn about(status: &SnapshotStatus) -> BTreeMap<String, String> {
    let sequence = status.sequence.map(|sequence| sequence.to_string());
    let members = [
        ("sequence", sequence),
        ("digest", status.digest.clone()),
        ("hash", status.hash.clone()),
    ];
    let members = members.into_iter();
    members
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// A snapshot in the data folder.
struct Made {
    path: PathBuf,
    status: SnapshotStatus,
    /// Of a stopped service.
    model: Option<ReadModel>,
}

/// A snapshot in the data folder, made by whoever has the read model open, or else here.
async fn make(args: &SnapshotArgs) -> anyhow::Result<Made> {
    let folder = &args.data_dir;
    if !Place::Live.is_there(folder)? {
        bail!(
            "there is no read model in {}: name the folder that holds read-model.redb with --data-dir; a \
             running service makes its snapshot there, so --admin alone is not enough",
            folder.display()
        );
    }
    let path = folder.join(FILE_NAME);
    match ReadModel::open(folder, Options::default()) {
        Ok(model) => {
            let making = tokio::task::spawn_blocking(move || {
                let status = of_stopped(&model, &path)?;
                anyhow::Ok(Made {
                    path,
                    status,
                    model: Some(model),
                })
            });
            making.await?
        }
        Err(OpenError::InUse { .. }) => Ok(Made {
            status: of_running(&args.admin, &path).await?,
            path,
            model: None,
        }),
        Err(error) => Err(error.into()),
    }
}

fn of_stopped(model: &ReadModel, path: &Path) -> anyhow::Result<SnapshotStatus> {
    let inspection = model.reader().inspect();
    let (bar, rows_total) = (bar::of("rows"), inspection.manifest()?.rows);
    let made = snapshot::make(&inspection, path, |rows| {
        bar::advance(&bar, rows, rows_total);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    Ok(SnapshotStatus::of(&made))
}

/// The member of `/status` that this command is about.
#[derive(Deserialize)]
struct Status {
    snapshot: SnapshotStatus,
}

/// Has the service make it, and waits. The file comes to its folder, which has to be ours.
async fn of_running(admin: &AdminArgs, path: &Path) -> anyhow::Result<SnapshotStatus> {
    let service = AdminClient::of(admin)?;
    let order = snapshot::Order::default();
    let (answer, mut status): (_, SnapshotStatus) = service.post("/snapshot", &order).await?;
    if answer == StatusCode::CONFLICT {
        bail!("a snapshot is made already: wait for it, see the member snapshot of /status");
    }
    let (number, bar) = (status.number, bar::of("rows"));
    while status.state == JobState::Running {
        tokio::time::sleep(LOOK_EVERY).await;
        let now: Status = service.get("/status").await?;
        status = now.snapshot;
        anyhow::ensure!(
            status.number == number,
            "the service was started again meanwhile: run it again"
        );
        bar::advance(&bar, status.rows, status.rows_total);
    }
    bar.finish_and_clear();
    if status.state != JobState::Done {
        let why = status.detail.as_deref().unwrap_or("it gives no reason");
        bail!("the service could not make a snapshot: {why}");
    }
    if hash_of(path).ok() != status.hash {
        bail!(
            "the snapshot that the service at {} made is not {}: is --data-dir its folder, on this \
             machine?",
            service.url(),
            path.display()
        );
    }
    Ok(status)
}

/// What the file ends with.
fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::End(-HASH_BYTES))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
