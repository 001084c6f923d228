//! Snapshots in a NATS object store.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use async_nats::jetstream::object_store::{GetErrorKind, ObjectMetadata, ObjectStore};
use tokio::io::AsyncRead;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutReader;
use tokio_util::io::InspectReader;

use crate::config::NatsConfig;
use crate::nats::{self, Connection, REQUEST_WITHIN};

/// What is sent at once, each piece waiting for its acknowledgement: below any server's `max_payload`
/// by default, and large, because a piece costs a round trip.
const CHUNK_BYTES: usize = 512 * 1024;
/// What must stay between a piece and `max_payload`.
const CHUNK_SLACK: usize = 1024;
/// The store has to take or give something within this time.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// An object store, with the connection that it is reached by.
pub(crate) struct Bucket {
    connection: Connection,
    store: ObjectStore,
    name: String,
}

impl Bucket {
    /// Connects, and finds the store. It belongs to operations: it is never created here.
    pub(crate) async fn open(nats: &NatsConfig, bucket: &str) -> anyhow::Result<Self> {
        let connection = nats::connect(nats, "snapshot").await?;
        let asked = timeout(
            REQUEST_WITHIN,
            connection.jetstream.get_object_store(bucket),
        )
        .await;
        let store = match asked {
            Ok(Ok(store)) => store,
            Ok(Err(error)) => {
                return Err(connection.denied.borrow().clone().map_or_else(
                    || {
                        anyhow!(
                            "there is no object store {bucket} at {}: create it (nats object add {bucket}), \
                             or name another as object:BUCKET/NAME ({error})",
                            connection.servers
                        )
                    },
                    anyhow::Error::from,
                ));
            }
            Err(_elapsed) => bail!("the object store {bucket} does not answer"),
        };
        Ok(Self {
            connection,
            store,
            name: bucket.to_owned(),
        })
    }

    /// Opens an object for reading. Reading fails when nothing comes for a while.
    pub(crate) async fn read(
        &self,
        object: &str,
    ) -> anyhow::Result<Pin<Box<dyn AsyncRead + Send>>> {
        let got = timeout(REQUEST_WITHIN, self.store.get(object)).await;
        let object = got
            .map_err(|_elapsed| anyhow!("the object store {} does not answer", self.name))?
            .map_err(|error| match error.kind() {
                GetErrorKind::NotFound => anyhow!(
                    "there is no object {object} in the object store {}: make it with profile-projector \
                     snapshot object:{0}/{object}",
                    self.name
                ),
                GetErrorKind::InvalidName
                | GetErrorKind::ConsumerCreate
                | GetErrorKind::BucketLink
                | GetErrorKind::Other
                | GetErrorKind::TimedOut => self.why(&error),
            })?;
        let mut reader = TimeoutReader::new(object);
        reader.set_timeout(Some(STALLED_AFTER));
        Ok(Box::pin(reader))
    }

    /// A denied permission explains a failure best.
    fn why(&self, error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
        let denied = self.connection.denied.borrow().clone();
        denied.map_or_else(
            || {
                anyhow!(
                    "the object store {}: {}",
                    self.name,
                    crate::exit::in_one_line(error)
                )
            },
            anyhow::Error::from,
        )
    }
}

/// Puts a file into a store under `object`, replacing what has that name. `sent` hears of the bytes.
///
/// The object is there once it is whole: a name shows the one before until then.
pub(crate) async fn upload(
    bucket: &Bucket,
    object: &str,
    about: HashMap<String, String>,
    file: &Path,
    sent: impl Fn(u64),
) -> anyhow::Result<()> {
    let file = tokio::fs::File::open(file).await;
    let file = file.context("the snapshot that was made cannot be read")?;
    let passed = AtomicU64::new(0);
    let mut file = InspectReader::new(file, |bytes: &[u8]| {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        sent(
            passed
                .fetch_add(length, Ordering::Relaxed)
                .saturating_add(length),
        );
    });
    let largest = bucket.connection.jetstream.client().max_payload();
    let meta = ObjectMetadata {
        name: object.to_owned(),
        chunk_size: Some(CHUNK_BYTES.min(largest.saturating_sub(CHUNK_SLACK))),
        metadata: about,
        ..ObjectMetadata::default()
    };
    tokio::select! {
        put = bucket.store.put(meta, &mut file) => match put {
            Ok(_info) => Ok(()),
            Err(error) => Err(bucket.why(&error)),
        },
        stalled = stalled(&passed) => Err(bucket.why(&stalled)),
    }
}

/// Ends when nothing more was sent for a while.
async fn stalled(passed: &AtomicU64) -> io::Error {
    let mut before = None;
    loop {
        let now = passed.load(Ordering::Relaxed);
        if before == Some(now) {
            let seconds = STALLED_AFTER.as_secs();
            return io::Error::other(format!("it took nothing for {seconds} s"));
        }
        before = Some(now);
        sleep(STALLED_AFTER).await;
    }
}
