//! `parked`: lane and sequence to a record that waits. Lanes lie together, in sequence order.

use domain::{Family, Lane, ParkReason, Parked, ParkedDocument, Record, Sequence, WorkosUserId};

use super::{read_version, read_workos_id};
use domain::codec::{Cursor, Problem, Writer};

/// Ends the user id in a key; no id holds it.
const END: u8 = 0;

// Codes of families and reasons. Pinned.
const FAMILIES: [(Family, u8); 3] = [
    (Family::User, 1),
    (Family::Profile, 2),
    (Family::Quarantine, 3),
];
const NO_FAMILY: u8 = 0;
const REASONS: [(ParkReason, u8); 8] = [
    (ParkReason::Invalid, 0),
    (ParkReason::Conflict, 1),
    (ParkReason::PatchBase, 2),
    (ParkReason::Behind, 3),
    (ParkReason::MappingConflict, 4),
    (ParkReason::ProfileConflict, 5),
    (ParkReason::VersionJump, 6),
    (ParkReason::TooManyProfiles, 7),
];

fn code<T: PartialEq + Copy>(codes: &[(T, u8)], of: T) -> u8 {
    codes
        .iter()
        .find(|(value, _)| *value == of)
        .map_or(u8::MAX, |(_, code)| *code)
}

fn value<T: Copy>(codes: &[(T, u8)], of: u8) -> Result<T, Problem> {
    codes
        .iter()
        .find(|(_, code)| *code == of)
        .map(|(value, _)| *value)
        .ok_or("a code is unknown")
}

pub(crate) fn reason_code(reason: ParkReason) -> u8 {
    code(&REASONS, reason)
}

pub(crate) fn reason_of(code: u8) -> Result<ParkReason, Problem> {
    value(&REASONS, code)
}

/// What all keys of a lane begin with.
pub(crate) fn lane_prefix(lane: Option<&Lane>) -> Vec<u8> {
    let mut key = Vec::with_capacity(80);
    let family = lane.map_or(NO_FAMILY, |lane| {
        key.extend_from_slice(lane.user.as_str().as_bytes());
        code(&FAMILIES, lane.family)
    });
    key.extend_from_slice(&[END, family]);
    key
}

/// The user and family of a lane, of what its keys begin with.
pub(crate) fn lane_of(prefix: &[u8]) -> Option<(&[u8], Family)> {
    let (rest, family) = prefix.split_last_chunk::<2>()?;
    let family = FAMILIES
        .iter()
        .find(|(_, code)| family.get(1) == Some(code))?;
    Some((rest, family.0))
}

pub(crate) fn key(lane: Option<&Lane>, sequence: Sequence) -> Vec<u8> {
    let mut key = lane_prefix(lane);
    key.extend_from_slice(&sequence.get().to_be_bytes());
    key
}

/// The reason alone.
pub(crate) fn read_reason(bytes: &[u8]) -> Result<ParkReason, Problem> {
    reason_of(Cursor(bytes).byte()?)
}

pub(crate) fn write(parked: &Parked, to: &mut Vec<u8>) {
    let mut to = Writer(to);
    to.byte(reason_code(parked.reason));
    to.text(&parked.detail);
    to.byte(u8::from(parked.document.is_some()));
    if let Some(document) = &parked.document {
        to.text(&document.id);
        to.number(document.version.get());
    }
    to.byte(u8::from(parked.awaits.is_some()));
    if let Some(awaits) = &parked.awaits {
        to.text(awaits.as_str());
    }
    to.number(parked.record.sequence.get());
    to.text(&parked.record.subject);
    to.bytes(&parked.record.headers);
    to.bytes(&parked.record.payload);
}

/// Where a record waits and why, as it is stored: the row's value without the record.
pub(crate) fn without_record(bytes: &[u8]) -> &[u8] {
    let mut from = Cursor(bytes);
    let record = read_why(&mut from).map_or(0, |_| from.0.len());
    let (why, _) = bytes.split_at(bytes.len().saturating_sub(record));
    why
}

type Why = (
    ParkReason,
    Box<str>,
    Option<ParkedDocument>,
    Option<WorkosUserId>,
);

fn read_why(from: &mut Cursor<'_>) -> Result<Why, Problem> {
    let reason = reason_of(from.byte()?)?;
    let detail = from.boxed()?;
    let document = match from.byte()? {
        0 => None,
        _ => Some(ParkedDocument {
            id: from.boxed()?,
            version: read_version(from)?,
        }),
    };
    let awaits = match from.byte()? {
        0 => None,
        _ => Some(read_workos_id(from)?),
    };
    Ok((reason, detail, document, awaits))
}

pub(crate) fn read(bytes: &[u8]) -> Result<Parked, Problem> {
    let mut from = Cursor(bytes);
    let (reason, detail, document, awaits) = read_why(&mut from)?;
    let sequence = Sequence::new(from.number()?).ok_or("a sequence is 0")?;
    let subject = from.boxed()?;
    let headers = from.bytes()?.into();
    let payload = from.bytes()?.into();
    from.end()?;
    let lane = Lane::of_subject(&subject);
    let record = Record {
        sequence,
        subject,
        headers,
        payload,
    };
    Ok(Parked {
        lane,
        reason,
        detail,
        document,
        awaits,
        record,
    })
}
