//! `arrivals`: the parked records in the order of the stream. Beside the digest: a fold that is told no
//! times ends in the same rows.

use domain::Sequence;

use domain::codec::{Cursor, Problem, Writer};

/// Where a parked record is, and when the stream got it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Its key in `parked`.
    pub(crate) key: Box<[u8]>,
    /// Nanoseconds since the epoch; `None` when nobody told.
    pub(crate) time_ns: Option<i64>,
}

pub(crate) fn key(sequence: Sequence) -> [u8; 8] {
    sequence.get().to_be_bytes()
}

pub(crate) fn read_key(bytes: &[u8]) -> Result<Sequence, Problem> {
    let sequence = bytes.try_into().map(u64::from_be_bytes);
    let sequence = sequence.or(Err("a sequence has another length"))?;
    Sequence::new(sequence).ok_or("a sequence is 0")
}

pub(crate) fn write(key: &[u8], time_ns: Option<i64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len().saturating_add(10));
    let mut to = Writer(&mut bytes);
    to.bytes(key);
    if let Some(time_ns) = time_ns {
        to.signed(time_ns);
    }
    bytes
}

pub(crate) fn read(bytes: &[u8]) -> Result<Arrival, Problem> {
    let mut from = Cursor(bytes);
    let key = from.bytes()?.into();
    let time_ns = if from.is_empty() {
        None
    } else {
        Some(from.signed()?)
    };
    from.end()?;
    Ok(Arrival { key, time_ns })
}
