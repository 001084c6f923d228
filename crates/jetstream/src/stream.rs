//! What is asked of JetStream: streams, single messages, acknowledged publishing.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::block::HeaderBlock;
use crate::connection::{Connection, Pending};
use crate::error::{ApiError, RequestError, code};

/// What a stream says of itself, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: String,
    /// When it was created, in nanoseconds since the epoch.
    pub created_ns: i64,
    /// How many messages it holds.
    pub messages: u64,
    /// Its first message, or where the next one would be.
    pub first: u64,
    /// The last sequence that it gave.
    pub last: u64,
    /// When that was stored; 0 for a stream that never held anything.
    pub last_ns: i64,
    /// On how many servers it is.
    pub replicas: usize,
    /// Whether no message of it can be deleted.
    pub deny_delete: bool,
    /// Whether it takes several messages as one.
    pub allow_atomic: bool,
}

impl StreamInfo {
    /// Reads the answer to `STREAM.INFO`.
    pub fn of(info: &Value) -> Result<Self, RequestError> {
        #[derive(Deserialize)]
        struct Told {
            config: Config,
            created: String,
            state: State,
        }
        #[derive(Deserialize)]
        struct Config {
            name: String,
            #[serde(default)]
            num_replicas: usize,
            #[serde(default)]
            deny_delete: bool,
            #[serde(default)]
            allow_atomic: bool,
        }
        #[derive(Deserialize)]
        struct State {
            messages: u64,
            first_seq: u64,
            last_seq: u64,
            #[serde(default)]
            last_ts: Option<String>,
        }
        let told = Told::deserialize(info).map_err(|error| odd(&error))?;
        let last = told.state.last_ts.as_deref();
        // What never was is the year 1, which nanoseconds do not reach.
        let last_ns = last.and_then(|text| nanos_of(text).ok()).unwrap_or(0);
        Ok(Self {
            name: told.config.name,
            created_ns: nanos_of(&told.created)?,
            messages: told.state.messages,
            first: told.state.first_seq,
            last: told.state.last_seq,
            last_ns,
            replicas: told.config.num_replicas,
            deny_delete: told.config.deny_delete,
            allow_atomic: told.config.allow_atomic,
        })
    }
}

/// A message as a stream stores it, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawMessage")]
pub struct StoredMessage {
    /// Where it was published.
    pub subject: String,
    /// Its place.
    pub sequence: u64,
    /// When it was stored, in nanoseconds since the epoch.
    pub time_ns: i64,
    /// Its header block; empty without.
    pub headers: Vec<u8>,
    /// Its body.
    pub payload: Vec<u8>,
}

#[derive(Deserialize)]
struct RawMessage {
    subject: String,
    seq: u64,
    time: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl TryFrom<RawMessage> for StoredMessage {
    type Error = RequestError;

    fn try_from(raw: RawMessage) -> Result<Self, RequestError> {
        let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|error| odd(&error));
        Ok(Self {
            time_ns: nanos_of(&raw.time)?,
            headers: bytes(&raw.hdrs)?,
            payload: bytes(&raw.data)?,
            subject: raw.subject,
            sequence: raw.seq,
        })
    }
}

/// The answer to `STREAM.MSG.GET`.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundMessage {
    /// The message.
    pub message: StoredMessage,
}

/// Which message of a stream.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum Which<'a> {
    /// The one at this place.
    At {
        /// The place.
        seq: u64,
    },
    /// The first of these subjects from a place on.
    From {
        /// The place.
        seq: u64,
        /// The subjects.
        next_by_subj: &'a str,
    },
    /// The last of a subject.
    Last {
        /// The subject.
        last_by_subj: &'a str,
    },
}

/// A stream took a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PublishAck {
    /// Which stream.
    pub stream: String,
    /// The message's place.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// It was there already, by its id.
    #[serde(default)]
    pub duplicate: bool,
}

/// A message on its way into a stream.
pub struct PendingAck(Pending);

impl PendingAck {
    /// The stream's word for it.
    pub async fn ack(self) -> Result<PublishAck, RequestError> {
        read(&self.0.answer().await?)
    }
}

impl Connection {
    /// Asks JetStream. `request` is what stands behind the prefix of its subjects.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        request: &str,
        body: &impl Serialize,
    ) -> Result<T, RequestError> {
        let body = serde_json::to_vec(body).map_err(|_never| RequestError::Invalid)?;
        let subject = self.api().subject(request);
        read(&self.request(&subject, body.into()).await?)
    }

    /// What a stream says of itself, whole.
    pub async fn stream_json(&self, stream: &str) -> Result<Value, RequestError> {
        self.ask(&format!("STREAM.INFO.{stream}"), &json!({})).await
    }

    /// What a stream says of itself.
    pub async fn stream_info(&self, stream: &str) -> Result<StreamInfo, RequestError> {
        StreamInfo::of(&self.stream_json(stream).await?)
    }

    /// One message of a stream; `None` when there is none.
    pub async fn message(
        &self,
        stream: &str,
        which: Which<'_>,
    ) -> Result<Option<StoredMessage>, RequestError> {
        let asked = self.ask(&format!("STREAM.MSG.GET.{stream}"), &which).await;
        match asked {
            Ok(FoundMessage { message }) => Ok(Some(message)),
            Err(error) if error.code() == Some(code::NO_MESSAGE_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a message so that the server overwrites its bytes; `false` when it is gone already.
    pub async fn delete_message(&self, stream: &str, sequence: u64) -> Result<bool, RequestError> {
        let request = format!("STREAM.MSG.DELETE.{stream}");
        match self
            .ask::<Value>(&request, &json!({ "seq": sequence }))
            .await
        {
            Ok(_done) => Ok(true),
            Err(RequestError::Refused(error)) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes all messages of a subject.
    pub async fn purge(&self, stream: &str, subject: &str) -> Result<(), RequestError> {
        let request = format!("STREAM.PURGE.{stream}");
        let filter = json!({ "filter": subject });
        self.ask::<Value>(&request, &filter).await.map(drop)
    }

    /// Sends a message into whichever stream takes its subject.
    pub async fn publish(
        &self,
        subject: &str,
        headers: HeaderBlock,
        payload: Bytes,
    ) -> Result<PendingAck, RequestError> {
        self.send(subject, headers, payload).await.map(PendingAck)
    }
}

/// Whether a deletion failed because there is nothing to delete: the server has one code for whatever went wrong.
fn is_gone(error: &ApiError) -> bool {
    error.err_code == code::NO_MESSAGE_FOUND
        || (error.err_code == code::DELETION_FAILED
            && error.description.contains("no message found"))
}

/// Reads an answer of JetStream.
fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, RequestError> {
    #[derive(Deserialize)]
    struct Failed {
        error: Option<ApiError>,
    }
    let failed: Failed = serde_json::from_slice(answer).map_err(|error| odd(&error))?;
    match failed.error {
        Some(error) => Err(RequestError::Refused(error)),
        None => serde_json::from_slice(answer).map_err(|error| odd(&error)),
    }
}

fn nanos_of(text: &str) -> Result<i64, RequestError> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| odd(&error))?;
    i64::try_from(time.unix_timestamp_nanos())
        .map_err(|_range| RequestError::Odd("a time is out of range".to_owned()))
}

fn odd(problem: &dyn std::fmt::Display) -> RequestError {
    RequestError::Odd(problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_or_named() {
        let ack: PublishAck = read(br#"{"stream":"S","seq":7,"domain":"hub"}"#).unwrap();
        assert_eq!((ack.sequence, ack.duplicate), (7, false));
        let error =
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"}}"#;
        let refused = read::<PublishAck>(error.as_bytes()).unwrap_err();
        assert!(code::WRONG_LAST_SEQUENCE.contains(&refused.code().unwrap()));
        assert_eq!(
            refused.to_string(),
            "wrong last sequence: 3 (code 400, error code 10071)"
        );
        for bad in ["", "[]", "{}", "no", r#"{"stream":"S","seq":-1}"#] {
            let read = read::<PublishAck>(bad.as_bytes());
            assert!(matches!(read, Err(RequestError::Odd(_))), "{bad}");
        }
        for bad in [
            r#"{"message":{"subject":"a","seq":1,"time":"now"}}"#,
            r#"{"message":{"subject":"a","seq":1,"time":"2026-01-01T00:00:00Z","data":"?"}}"#,
            r#"{"message":{"subject":"a","seq":1,"time":"9999-01-01T00:00:00Z"}}"#,
        ] {
            assert!(matches!(
                read::<FoundMessage>(bad.as_bytes()),
                Err(RequestError::Odd(_))
            ));
        }
    }
}
