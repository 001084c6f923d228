//! Rows as bytes: keys, values and back. A file per table.

pub(crate) mod arrival;
pub(crate) mod awaiting;
pub(crate) mod parked;
pub(crate) mod person;
pub(crate) mod profile;
pub(crate) mod user;

use domain::{ParkedEntry, ParkedSummary, ProfileId, Sequence, UserId, Version, WorkosUserId};

use domain::codec::{Cursor, Problem, Writer};

/// A row without parked records ends before the summary.
fn write_summary(summary: &ParkedSummary, to: &mut Writer<'_>) {
    if summary.is_empty() {
        return;
    }
    to.length(summary.undecodable.len());
    for sequence in &summary.undecodable {
        to.number(sequence.get());
    }
    to.length(summary.documents.len());
    for (id, entries) in &summary.documents {
        to.text(id);
        to.length(entries.len());
        for entry in entries {
            to.number(entry.sequence.get());
            to.number(entry.version.get());
            to.byte(parked::reason_code(entry.reason));
            to.number(entry.awaits.into());
        }
    }
}

fn read_summary(from: &mut Cursor<'_>) -> Result<ParkedSummary, Problem> {
    let mut summary = ParkedSummary::default();
    if from.is_empty() {
        return Ok(summary);
    }
    for _ in 0..from.length()? {
        summary.undecodable.push(read_sequence(from)?);
    }
    for _ in 0..from.length()? {
        let id = from.boxed()?;
        let entries = (0..from.length()?).map(|_| read_entry(from));
        let entries = entries.collect::<Result<_, _>>()?;
        summary.documents.push((id, entries));
    }
    Ok(summary)
}

fn read_entry(from: &mut Cursor<'_>) -> Result<ParkedEntry, Problem> {
    Ok(ParkedEntry {
        sequence: read_sequence(from)?,
        version: read_version(from)?,
        reason: parked::reason_of(from.byte()?)?,
        awaits: u32::try_from(from.number()?).or(Err("a hash is too large"))?,
    })
}

fn read_sequence(from: &mut Cursor<'_>) -> Result<Sequence, Problem> {
    Sequence::new(from.number()?).ok_or("a sequence is 0")
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
