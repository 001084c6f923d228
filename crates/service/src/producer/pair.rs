//! A user and its default profile as one atomic batch: both are stored, or none.

use std::time::Duration;

use async_nats::header::{
    NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
    NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM,
};
use async_nats::{Client, HeaderMap};
use serde::Deserialize;

use super::attempt::{Outlet, headers_of};
use super::event::OutgoingEvent;

const ACK_WITHIN: Duration = Duration::from_secs(5);

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
    let client = outlet.jetstream.client();
    let batch = client.new_inbox();
    // Any text of at most 64 characters; an inbox is unique, and dots are no use in it.
    let batch = batch.rsplit('.').next()?.to_owned();
    let [first, last] = pair;
    let of = |event: &OutgoingEvent, place: &'static str| -> Option<HeaderMap> {
        let mut headers = headers_of(event).ok()?;
        headers.insert(NATS_BATCH_ID, batch.as_str());
        headers.insert(NATS_BATCH_SEQUENCE, place);
        headers.insert(NATS_EXPECTED_STREAM, stream);
        if must_be_new {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        }
        Some(headers)
    };
    let begun = ask(&client, first, of(first, "1")?).await?;
    if !begun.is_empty() {
        return None;
    }
    let mut headers = of(last, "2")?;
    headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
    let committed = ask(&client, last, headers).await?;
    let committed: Committed = serde_json::from_slice(&committed).ok()?;
    (committed.count == 2).then_some((committed.stream, committed.seq))
}

async fn ask(client: &Client, event: &OutgoingEvent, headers: HeaderMap) -> Option<bytes::Bytes> {
    let asked = client.request_with_headers(event.subject.clone(), headers, event.payload.clone());
    let answer = tokio::time::timeout(ACK_WITHIN, asked).await.ok()?.ok()?;
    Some(answer.payload)
}
