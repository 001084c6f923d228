//! A folder that begins with a snapshot: only what the stream goes on from is taken.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use projector::check_log;
use read_model::{Incoming, Manifest, OpenError, Options, Place, ReadModel};
use tokio_util::sync::CancellationToken;

use super::SnapshotAt;
use super::object::Bucket;
use crate::config::NatsConfig;
use crate::log_access::LogAccess;

/// Bytes read at once.
const READ_BYTES: usize = 1024 * 1024;

/// What is to be restored, and where.
pub(crate) struct Restore<'a> {
    pub(crate) at: &'a SnapshotAt,
    pub(crate) nats: &'a NatsConfig,
    pub(crate) folder: &'a Path,
    /// Whether rows that are there may make place.
    pub(crate) replace: bool,
}

/// Reads a snapshot into the folder's live file, after the stream was asked whether it goes on from
/// there. `copied` hears of rows and of how many there are. An error leaves the folder as it was.
pub(crate) async fn restore(
    what: &Restore<'_>,
    stop: &CancellationToken,
    mut copied: impl FnMut(u64, u64) + Send + 'static,
) -> anyhow::Result<Manifest> {
    let held = hold(what.folder)?;
    if held.has_rows && !what.replace {
        bail!(
            "there is a read model in {} already: give another --data-dir, or --replace to put the \
             snapshot in its place",
            what.folder.display()
        );
    }
    let at = what.at;
    let refused = || format!("the snapshot {at} is refused");
    let (incoming, _bucket) = open(at, what.nats).await?;
    let manifest = incoming.manifest().clone();
    if let Err(error) = check(&manifest, what.nats).await {
        // A beginning that is damaged names another stream, or another place in it.
        let checked = tokio::task::spawn_blocking(|| incoming.check()).await?;
        checked.with_context(refused)?;
        return Err(error).with_context(refused);
    }
    let (folder, stop) = (what.folder.to_owned(), stop.clone());
    let rows = manifest.rows;
    let restored = tokio::task::spawn_blocking(move || {
        incoming.restore(&folder, Options::default(), |done| {
            copied(done, rows);
            if stop.is_cancelled() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
    });
    restored.await?.with_context(refused)?;
    drop(held);
    Ok(manifest)
}

/// Whether there is a read model that holds something of a stream.
pub(crate) fn has_rows(folder: &Path) -> anyhow::Result<bool> {
    Ok(hold(folder)?.has_rows)
}

/// The live file, locked, if there is one.
struct Held {
    has_rows: bool,
    _model: Option<ReadModel>,
}

fn hold(folder: &Path) -> anyhow::Result<Held> {
    if !Place::Live.is_there(folder)? {
        return Ok(Held {
            has_rows: false,
            _model: None,
        });
    }
    match ReadModel::open(folder, Options::default()) {
        Ok(model) => Ok(Held {
            has_rows: model.reader().checkpoint().is_some(),
            _model: Some(model),
        }),
        // Another layout is built again in any case, and kept as the previous one.
        Err(OpenError::OtherLayout { .. }) => Ok(Held {
            has_rows: false,
            _model: None,
        }),
        // What is no read model, or is damaged, is for a person to look at.
        Err(OpenError::Damaged { .. } | OpenError::Unfinished { .. }) => Ok(Held {
            has_rows: true,
            _model: None,
        }),
        Err(error @ OpenError::InUse { .. }) => Err(anyhow!("{error}: stop the service first")),
        Err(error @ (OpenError::Folder { .. } | OpenError::LastGoodKept { .. })) => {
            Err(error.into())
        }
    }
}

type Source = Box<dyn Read + Send>;

/// A snapshot's beginning. The store's connection has to outlive the reading.
async fn open(
    at: &SnapshotAt,
    nats: &NatsConfig,
) -> anyhow::Result<(Incoming<Source>, Option<Bucket>)> {
    let (source, bucket): (Source, _) = match at {
        SnapshotAt::File(path) => {
            let file = File::open(path);
            let file = file.with_context(|| format!("{} cannot be read", path.display()))?;
            (Box::new(file), None)
        }
        SnapshotAt::Object { bucket, name } => {
            let bucket = Bucket::open(nats, bucket).await?;
            let object = bucket.read(name).await?;
            (Box::new(object), Some(bucket))
        }
    };
    let source: Source = Box::new(BufReader::with_capacity(READ_BYTES, source));
    let opened = tokio::task::spawn_blocking(move || Incoming::open(source)).await?;
    let incoming = opened.with_context(|| format!("the snapshot {at} is refused"))?;
    Ok((incoming, bucket))
}

/// Whether the stream goes on from there.
async fn check(manifest: &Manifest, nats: &NatsConfig) -> anyhow::Result<()> {
    let of = &manifest.checkpoint.stream.name;
    if **of != *nats.stream {
        bail!("it is of stream {of}, and --stream is {}", nats.stream);
    }
    let config = LogAccess::asking(nats.clone()).projector_config("");
    check_log(&config, &manifest.checkpoint).await?;
    Ok(())
}
