//! Object stores: a stream whose chunks of an object share a subject, and whose word for it names them.
//!
//! Everything is asked for by single requests, which any byte in a header block leaves whole. A reader
//! gets an object's bytes in order, and an error unless they are all there and are what was stored.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::block::HeaderBlock;
use crate::connection::{Connection, new_id};
use crate::error::RequestError;
use crate::stream::Which;

/// What is sent at once, below any server's `max_payload` by default; each piece waits for its
/// acknowledgement, so a large one costs less.
const CHUNK_BYTES: usize = 512 * 1024;
/// What must stay between a piece and `max_payload`.
const CHUNK_SLACK: usize = 1024;
/// What the digest of an object begins with.
const SHA_256: &str = "SHA-256=";

/// Why an object cannot be stored or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// A request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is no such store.
    #[error("there is no such store")]
    StoreMissing,
    /// There is no such object, or it was deleted.
    #[error("there is no such object")]
    Missing,
    /// It is a link to another object.
    #[error("it is a link to another object: name that one")]
    Link,
    /// What the store says of it cannot be read.
    #[error("what the store says of it is no description of an object: {0}")]
    Description(String),
    /// Chunks of it are gone.
    #[error("it is said to have {said} bytes, and the store holds {found} of them")]
    CutOff {
        /// What its description says.
        said: u64,
        /// What was found.
        found: u64,
    },
    /// It is longer than it should be.
    #[error("the store holds more than the {said} bytes that it is said to have")]
    TooLong {
        /// What its description says.
        said: u64,
    },
    /// It is as long as it should be, and not what was stored.
    #[error("its bytes are not those that were stored: their SHA-256 differs")]
    Differs,
}

/// What a store says of an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Description {
    name: String,
    bucket: String,
    nuid: String,
    size: u64,
    chunks: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Options {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_chunk_size: Option<usize>,
}

/// An object store.
#[derive(Clone)]
pub struct ObjectStore {
    connection: Connection,
    bucket: String,
    stream: String,
}

impl ObjectStore {
    /// Finds a store; it is never made here.
    pub async fn open(connection: &Connection, bucket: &str) -> Result<Self, ObjectError> {
        let stream = format!("OBJ_{bucket}");
        match connection.stream_info(&stream).await {
            Ok(_found) => Ok(Self {
                connection: connection.clone(),
                bucket: bucket.to_owned(),
                stream,
            }),
            Err(error) if error.code() == Some(crate::error::code::STREAM_NOT_FOUND) => {
                Err(ObjectError::StoreMissing)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn chunks_of(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.bucket)
    }

    fn subject_of(&self, object: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, BASE64_URL_SAFE.encode(object))
    }

    /// What the store says of an object, if it says something.
    async fn describe(&self, object: &str) -> Result<Description, ObjectError> {
        let subject = self.subject_of(object);
        let which = Which::Last {
            last_by_subj: &subject,
        };
        let said = self.connection.message(&self.stream, which).await?;
        let said = said.ok_or(ObjectError::Missing)?;
        let said: Description = serde_json::from_slice(&said.payload)
            .map_err(|error| ObjectError::Description(error.to_string()))?;
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if said.deleted {
            Err(ObjectError::Missing)
        } else if said.options.as_ref().is_some_and(|of| of.link.is_some()) {
            Err(ObjectError::Link)
        } else if said.nuid.is_empty() || !said.nuid.bytes().all(is_plain) {
            // It goes into a subject.
            Err(ObjectError::Description("its nuid is none".to_owned()))
        } else {
            Ok(said)
        }
    }

    /// Begins to read an object.
    pub async fn read(&self, object: &str) -> Result<ObjectReader, ObjectError> {
        let description = self.describe(object).await?;
        Ok(ObjectReader {
            subject: self.chunks_of(&description.nuid),
            store: self.clone(),
            description,
            next: 1,
            found: 0,
            digest: Context::new(&SHA256),
            has_ended: false,
        })
    }

    /// Begins to store an object.
    pub fn write(&self, object: &str, about: BTreeMap<String, String>) -> ObjectWriter {
        let largest = self.connection.info().max_payload;
        ObjectWriter {
            nuid: new_id(),
            store: self.clone(),
            object: object.to_owned(),
            about,
            piece: CHUNK_BYTES.min(largest.saturating_sub(CHUNK_SLACK)).max(1),
            size: 0,
            chunks: 0,
            digest: Context::new(&SHA256),
        }
    }

    async fn publish(
        &self,
        subject: &str,
        headers: HeaderBlock,
        payload: Bytes,
    ) -> Result<(), ObjectError> {
        let sent = self.connection.publish(subject, headers, payload).await?;
        sent.ack().await?;
        Ok(())
    }
}

/// An object that is read.
pub struct ObjectReader {
    store: ObjectStore,
    description: Description,
    subject: String,
    /// Where the next chunk is looked for.
    next: u64,
    found: u64,
    digest: Context,
    has_ended: bool,
}

impl ObjectReader {
    /// Its next bytes; `None` behind the last of them, when they were all there and right.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ObjectError> {
        let said = self.description.size;
        while !self.has_ended {
            if said == self.found {
                return self.end().map(|()| None);
            }
            let which = Which::From {
                seq: self.next,
                next_by_subj: &self.subject,
            };
            let (connection, stream) = (&self.store.connection, &self.store.stream);
            let Some(chunk) = connection.message(stream, which).await? else {
                let found = self.found;
                return Err(ObjectError::CutOff { said, found });
            };
            // A server that goes back would be read for ever.
            if chunk.sequence < self.next {
                return Err(RequestError::Odd("it gave an earlier message".to_owned()).into());
            }
            self.next = chunk.sequence.saturating_add(1);
            let bytes = u64::try_from(chunk.payload.len()).unwrap_or(u64::MAX);
            self.found = self.found.saturating_add(bytes);
            if said < self.found {
                return Err(ObjectError::TooLong { said });
            }
            if !chunk.payload.is_empty() {
                self.digest.update(&chunk.payload);
                return Ok(Some(chunk.payload));
            }
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<(), ObjectError> {
        self.has_ended = true;
        let digest = std::mem::replace(&mut self.digest, Context::new(&SHA256)).finish();
        // Padding is left out by some who store.
        let bare = |text: &str| text.trim_end_matches('=').to_owned();
        let found = bare(&BASE64_URL_SAFE.encode(digest));
        match &self.description.digest {
            Some(said) if bare(said.strip_prefix(SHA_256).unwrap_or(said)) != found => {
                Err(ObjectError::Differs)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// An object that is stored. A name shows the one before until [`ObjectWriter::finish`].
pub struct ObjectWriter {
    store: ObjectStore,
    object: String,
    about: BTreeMap<String, String>,
    nuid: String,
    piece: usize,
    size: u64,
    chunks: u64,
    digest: Context,
}

impl ObjectWriter {
    /// How many bytes one piece may have.
    pub fn piece_max(&self) -> usize {
        self.piece
    }

    /// Stores the next piece.
    pub async fn put(&mut self, piece: Bytes) -> Result<(), ObjectError> {
        self.digest.update(&piece);
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(bytes);
        self.chunks = self.chunks.saturating_add(1);
        let subject = self.store.chunks_of(&self.nuid);
        let headers = HeaderBlock::default();
        self.store.publish(&subject, headers, piece).await
    }

    /// Gives the name to what was stored, and removes what had it before.
    pub async fn finish(self) -> Result<(), ObjectError> {
        let before = self.store.describe(&self.object).await;
        let digest = BASE64_URL_SAFE.encode(self.digest.clone().finish());
        let description = Description {
            name: self.object.clone(),
            bucket: self.store.bucket.clone(),
            nuid: self.nuid.clone(),
            size: self.size,
            chunks: self.chunks,
            digest: Some(format!("{SHA_256}{digest}")),
            mtime: OffsetDateTime::now_utc().format(&Rfc3339).ok(),
            deleted: false,
            options: Some(Options {
                link: None,
                max_chunk_size: Some(self.piece),
            }),
            metadata: Some(self.about.clone()),
        };
        let description = serde_json::to_vec(&description)
            .map_err(|error| ObjectError::Description(error.to_string()))?;
        let mut headers = HeaderBlock::default();
        headers
            .push("Nats-Rollup", "sub")
            .map_err(|_never| RequestError::Invalid)?;
        let subject = self.store.subject_of(&self.object);
        self.store
            .publish(&subject, headers, description.into())
            .await?;
        if let Ok(before) = before {
            self.remove(&before.nuid).await?;
        }
        Ok(())
    }

    /// Removes the pieces that were stored.
    pub async fn give_up(self) -> Result<(), ObjectError> {
        self.remove(&self.nuid).await
    }

    async fn remove(&self, nuid: &str) -> Result<(), ObjectError> {
        let chunks = self.store.chunks_of(nuid);
        let purging = self.store.connection.purge(&self.store.stream, &chunks);
        Ok(purging.await?)
    }
}
