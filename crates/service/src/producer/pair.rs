//! A user and its default profile as one atomic batch: both are stored, or none.

use bytes::Bytes;
use jetstream::HeaderBlock;
use serde::Deserialize;

use super::attempt::{EXPECTED_LAST_SUBJECT_SEQUENCE, EXPECTED_STREAM, Outlet, headers_of};
use super::event::OutgoingEvent;

/// Whether two events are a user's registration and its first profile, in either order.
pub(super) fn is_pair(one: &OutgoingEvent, other: &OutgoingEvent) -> bool {
    let first_of = |event: &OutgoingEvent| {
        let (user, family) = event.subject.rsplit_once('.')?;
        let is_first = event.id.starts_with(&format!("{family}:")) && event.id.ends_with(":1");
        is_first.then(|| (user.to_owned(), family.to_owned()))
    };
    let (Some(one), Some(other)) = (first_of(one), first_of(other)) else {
        return false;
    };
    let mut families = [&*one.1, &*other.1];
    families.sort_unstable();
    one.0 == other.0 && families == ["profile", "user"]
}

/// Whether an event may be one half of a pair.
pub(super) fn may_be_half(event: &OutgoingEvent) -> bool {
    let is_first = event.id.ends_with(":1");
    is_first && (event.id.starts_with("user:") || event.id.starts_with("profile:"))
}

/// The answer to the commit of a batch.
#[derive(Deserialize)]
struct Committed {
    stream: String,
    seq: u64,
    count: u64,
}

/// Stream and last sequence of a stored pair. `None` for one that was not stored as a pair, for
/// whatever reason: a duplicate, a refusal, no answer. Its events can be sent one by one then.
pub(super) async fn publish_pair(
    outlet: &Outlet,
    stream: &str,
    pair: [&OutgoingEvent; 2],
    must_be_new: bool,
) -> Option<(String, u64)> {
    let batch = outlet.nats.new_inbox();
    // Any text of at most 64 characters; an inbox is unique, and dots are no use in it.
    let batch = batch.rsplit('.').next()?.to_owned();
    let [first, last] = pair;
    let of = |event: &OutgoingEvent, place: &str| -> Option<HeaderBlock> {
        let mut headers = headers_of(event).ok()?;
        headers.push("Nats-Batch-Id", &batch).ok()?;
        headers.push("Nats-Batch-Sequence", place).ok()?;
        headers.push(EXPECTED_STREAM, stream).ok()?;
        if must_be_new {
            headers.push(EXPECTED_LAST_SUBJECT_SEQUENCE, "0").ok()?;
        }
        Some(headers)
    };
    let begun = ask(outlet, first, of(first, "1")?).await?;
    if !begun.is_empty() {
        return None;
    }
    let mut headers = of(last, "2")?;
    headers.push("Nats-Batch-Commit", "1").ok()?;
    let committed = ask(outlet, last, headers).await?;
    let committed: Committed = serde_json::from_slice(&committed).ok()?;
    (committed.count == 2).then_some((committed.stream, committed.seq))
}

async fn ask(outlet: &Outlet, event: &OutgoingEvent, headers: HeaderBlock) -> Option<Bytes> {
    let payload = event.payload.clone();
    let sent = outlet.nats.send(&event.subject, headers, payload).await;
    sent.ok()?.answer().await.ok()
}
