//! Snapshots in a NATS object store.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bytes::BytesMut;
use jetstream::{ObjectError, ObjectReader, ObjectStore};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::config::NatsConfig;
use crate::nats::{self, Connection};

/// How long an object may be unreadable in the middle: long enough for a server that restarts.
const STALLED_AFTER: Duration = Duration::from_secs(30);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

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
        match ObjectStore::open(&connection.nats, bucket).await {
            Ok(store) => Ok(Self {
                connection,
                store,
                name: bucket.to_owned(),
            }),
            Err(ObjectError::StoreMissing) => Err(anyhow!(
                "there is no object store {bucket} at {}: create it (nats object add {bucket}), or name \
                 another as object:BUCKET/NAME",
                connection.servers()
            )),
            Err(error) => Err(why(&connection, bucket, &error)),
        }
    }

    /// Opens an object for reading by a thread that may wait. Reading fails when nothing comes for a while.
    pub(crate) async fn read(&self, object: &str) -> anyhow::Result<impl Read + Send + use<>> {
        let reader = self.store.read(object).await.map_err(|error| {
            if error == ObjectError::Missing {
                return anyhow!(
                    "there is no object {object} in the object store {}: make it with \
                     profile-projector snapshot object:{0}/{object}",
                    self.name
                );
            }
            self.why(&error).context(format!("object {object}"))
        })?;
        Ok(Waiting {
            reader,
            runtime: Handle::current(),
            chunk: io::Cursor::default(),
        })
    }

    fn why(&self, error: &ObjectError) -> anyhow::Error {
        why(&self.connection, &self.name, error)
    }
}

fn why(connection: &Connection, bucket: &str, error: &ObjectError) -> anyhow::Error {
    let about = format!("the object store {bucket}");
    if let ObjectError::Request(error) = error {
        let stream = format!("OBJ_{bucket}");
        return anyhow!("{about}: {}", connection.explain(error, &stream));
    }
    anyhow!("{about}: {error}")
}

/// An object's bytes for a thread that may wait.
struct Waiting {
    reader: ObjectReader,
    runtime: Handle,
    chunk: io::Cursor<Vec<u8>>,
}

impl Read for Waiting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = Read::read(&mut self.chunk, into)?;
            if read != 0 || into.is_empty() {
                return Ok(read);
            }
            let next = self.runtime.block_on(next(&mut self.reader));
            match next.map_err(io::Error::other)? {
                Some(chunk) => self.chunk = io::Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}

/// The next bytes, asked for again as long as they may come.
async fn next(reader: &mut ObjectReader) -> Result<Option<Vec<u8>>, ObjectError> {
    let begun = Instant::now();
    loop {
        match reader.next().await {
            Err(ObjectError::Request(error)) if error.may_pass() => {
                if STALLED_AFTER <= begun.elapsed() {
                    return Err(error.into());
                }
                sleep(TRY_AGAIN_AFTER).await;
            }
            other => return other,
        }
    }
}

/// Puts a file into a store under `object`, replacing what has that name. `sent` hears of the bytes.
///
/// The object is there once it is whole: a name shows the one before until then.
pub(crate) async fn upload(
    bucket: &Bucket,
    object: &str,
    about: BTreeMap<String, String>,
    file: &Path,
    sent: impl Fn(u64),
) -> anyhow::Result<()> {
    let mut file = File::open(file)
        .await
        .context("the snapshot that was made cannot be read")?;
    let mut writer = bucket.store.write(object, about);
    let mut passed = 0_u64;
    loop {
        let mut piece = BytesMut::with_capacity(writer.piece_max());
        while piece.len() < piece.capacity() && file.read_buf(&mut piece).await? != 0 {}
        if piece.is_empty() {
            break;
        }
        passed = passed.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if let Err(error) = writer.put(piece.freeze()).await {
            let error = bucket.why(&error);
            // The name still shows the object before; what was stored beside it would stay for ever.
            let removed = writer.give_up().await;
            return Err(match removed {
                Ok(()) => error,
                Err(_) => error.context("pieces that no object names are left in the store"),
            });
        }
        sent(passed);
    }
    writer.finish().await.map_err(|error| bucket.why(&error))
}
