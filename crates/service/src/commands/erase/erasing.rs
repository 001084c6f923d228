//! One erasure, published and proved stored.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use domain::Version;
use serde_json::{Value, json};

use super::person::is_erasure_of;
use super::report::Published;
use crate::nats::Connection;
use crate::producer::{Checker, OutgoingEvent, send_one};
use crate::stored_messages::{Reading, TRY_AGAIN_AFTER};

/// How many ids are tried that the broker takes for repetitions of something else.
const IDS_MAX: u64 = 8;
/// How often an acknowledged message is looked for.
const LOOKS_MAX: u32 = 4;

/// Who erases whom, for whose request.
pub(super) struct Erasures<'a> {
    pub(super) connection: &'a Connection,
    pub(super) reading: Reading<'a>,
    pub(super) checker: &'a Checker,
    pub(super) user: &'a str,
    pub(super) request_id: &'a str,
}

impl Erasures<'_> {
    /// The erasure of a document (`<kind>:<id>`) whose highest version so far is this, checked as any
    /// producer's event is. An erasure counts whatever its version, so another one can have a free id.
    pub(super) fn event(
        &self,
        document: &str,
        highest: u64,
        attempt: u64,
    ) -> anyhow::Result<OutgoingEvent> {
        let version = match highest.saturating_add(1).saturating_add(attempt) {
            version if version <= Version::MAX => version,
            _ => Version::MAX - attempt,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let now = u64::try_from(now).context("the clock is far off")?;
        let event = self.structured(document, version, now)?;
        let checked = self.checker.check_event(&event);
        checked.map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            let faults = faults.join("; ");
            anyhow!("the erasure of {document} is no event: {faults}")
        })
    }

    fn structured(&self, document: &str, version: u64, now: u64) -> anyhow::Result<Value> {
        let (kind, id) = document.split_once(':').context("a document has a kind")?;
        let user = self.user;
        Ok(json!({
            "specversion": "1.0", "id": format!("{document}:{version}"),
            "source": "/profile-projector/erase", "type": format!("app.connvo.{kind}.erased.v1"),
            "subject": user,
            "data": {
                "entity": {"kind": kind, "id": id, "userId": user, "version": version},
                "erasedAt": now, "requestId": self.request_id,
            },
        }))
    }

    /// Publishes it and reads it back. An id that the broker knows from something else is not stored, so
    /// another one is tried.
    pub(super) async fn publish(&self, document: &str, highest: u64) -> anyhow::Result<Published> {
        let mut taken = String::new();
        for attempt in 0..IDS_MAX {
            let event = self.event(document, highest, attempt)?;
            let (id, stream) = (&event.id, self.reading.stream);
            let ack = send_one(self.connection, stream, &event).await?;
            let sequence = ack.sequence;
            if self.is_stored(document, sequence, ack.duplicate).await? {
                let (id, sequence) = (event.id, Some(sequence));
                return Ok(Published { id, sequence });
            }
            if !ack.duplicate {
                bail!(
                    "stream {stream} acknowledged {id} as message {sequence} and does not hold it there: no message was deleted"
                );
            }
            taken = format!("{id}, message {sequence}");
        }
        bail!(
            "the erasure of {document} cannot be stored: the broker takes its ids for repetitions of other messages (the last: {taken}); no message was deleted: run it again when the stream's duplicate window is over"
        )
    }

    async fn is_stored(&self, document: &str, at: u64, is_old: bool) -> anyhow::Result<bool> {
        for look in 1..=LOOKS_MAX {
            if let Some(found) = self.reading.at(at).await? {
                return Ok(is_erasure_of(&found, self.user, document, self.checker));
            }
            if is_old || look == LOOKS_MAX {
                break;
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
        Ok(false)
    }
}
