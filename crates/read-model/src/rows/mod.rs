//! Rows as bytes: keys, values and back. A file per table.

pub(crate) mod arrival;
pub(crate) mod awaiting;
pub(crate) mod parked;
pub(crate) mod person;
pub(crate) mod profile;
pub(crate) mod user;

use domain::{ParkedSummary, ProfileId, Sequence, UserId, Version, WorkosUserId};

use crate::codec::{Cursor, Problem, Writer};

/// A row without parked records ends before the summary.
fn write_summary(summary: &ParkedSummary, to: &mut Writer<'_>) {
    if summary.is_empty() {
        return;
    }
    to.number(summary.undecodable);
    to.length(summary.documents.len());
    for (id, count) in &summary.documents {
        to.text(id);
        to.number(*count);
    }
}

fn read_summary(from: &mut Cursor<'_>) -> Result<ParkedSummary, Problem> {
    let mut summary = ParkedSummary::default();
    if from.is_empty() {
        return Ok(summary);
    }
    summary.undecodable = from.number()?;
    for _ in 0..from.length()? {
        summary.documents.push((from.boxed()?, from.number()?));
    }
    Ok(summary)
}

fn read_version(from: &mut Cursor<'_>) -> Result<Version, Problem> {
    Version::new(from.number()?).ok_or("a version is out of range")
}

pub(crate) fn user_id(text: &[u8]) -> Result<UserId, Problem> {
    let text = str::from_utf8(text).or(Err("a user id is not UTF-8"))?;
    UserId::parse(text).or(Err("a user id is not valid"))
}

pub(crate) fn workos_id(text: &[u8]) -> Result<WorkosUserId, Problem> {
    let text = str::from_utf8(text).or(Err("an identity is not UTF-8"))?;
    WorkosUserId::parse(text).or(Err("an identity is not valid"))
}

fn read_profile_id(from: &mut Cursor<'_>) -> Result<ProfileId, Problem> {
    ProfileId::parse(from.text()?).or(Err("a profile id is not valid"))
}

fn read_workos_id(from: &mut Cursor<'_>) -> Result<WorkosUserId, Problem> {
    WorkosUserId::parse(from.text()?).or(Err("an identity is not valid"))
}

/// The first and the last key that are `prefix` and a sequence, which is not below `from`.
pub(crate) fn sequences_of(prefix: &[u8], from: u64) -> (Vec<u8>, Vec<u8>) {
    let with = |sequence: u64| [prefix, &sequence.to_be_bytes()].concat();
    (with(from), with(u64::MAX))
}

/// The sequence that a key ends with.
pub(crate) fn sequence_of(key: &[u8]) -> Result<Sequence, Problem> {
    let sequence = key.last_chunk().copied().map(u64::from_be_bytes);
    sequence
        .and_then(Sequence::new)
        .ok_or("a key holds no sequence")
}
