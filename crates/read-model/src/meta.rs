//! `meta`: the layout, the checkpoint, and totals over the rows.

use domain::{Checkpoint, Fingerprint, Outcome, ParkReason, Sequence, StreamId, Tally};

use crate::Digest;
use domain::codec::{Cursor, Problem, Writer};

/// Key of the layout number, written when the file is made.
pub(crate) const LAYOUT_KEY: &[u8] = b"layout";
/// Key of the checkpoint.
pub(crate) const CHECKPOINT_KEY: &[u8] = b"checkpoint";
/// Key of the totals.
pub(crate) const TOTALS_KEY: &[u8] = b"totals";
/// Key of the list of runs, while there are any.
pub(crate) const RUNS_KEY: &[u8] = b"runs";
/// Key that is there once the projector was live.
pub(crate) const WAS_LIVE_KEY: &[u8] = b"was_live";

/// Key of what the file is of, written when it is made.
pub(crate) const ORIGIN_KEY: &[u8] = b"origin";

/// Figures over all rows, kept with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Users that are neither deleted nor erased.
    pub users: u64,
    /// Profiles that are neither deleted nor erased, whether or not their user is.
    pub profiles: u64,
    /// Lanes with at least one parked record.
    pub parked_lanes: u64,
    /// Parked records, those that name no lane included.
    pub parked_records: u64,
    /// Of these, those that name no lane.
    pub parked_alone: u64,
    /// All of them by reason, in the order of [`ParkReason::ALL`].
    pub parked_by_reason: [u64; ParkReason::ALL.len()],
    /// Of the rows.
    pub digest: Digest,
    /// What became of the records so far.
    pub outcomes: Tally,
}

impl Totals {
    /// How many records are parked for each reason.
    pub fn parked_by_reason(&self) -> impl Iterator<Item = (ParkReason, u64)> {
        ParkReason::ALL.into_iter().zip(self.parked_by_reason)
    }

    /// Counts a record that is parked now, or is no more.
    pub(crate) fn count_parked(&mut self, reason: ParkReason, change: impl Fn(u64) -> u64) {
        self.parked_records = change(self.parked_records);
        let at = ParkReason::ALL.iter().position(|known| *known == reason);
        if let Some(count) = at.and_then(|at| self.parked_by_reason.get_mut(at)) {
            *count = change(*count);
        }
    }
}

pub(crate) fn write_checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut to = Writer(&mut bytes);
    to.text(&checkpoint.stream.name);
    to.signed(checkpoint.stream.created_ns);
    to.length(checkpoint.fingerprints().count());
    for fingerprint in checkpoint.fingerprints() {
        to.number(fingerprint.sequence.get());
        to.signed(fingerprint.time_ns);
    }
    bytes
}

pub(crate) fn read_checkpoint(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    let mut from = Cursor(bytes);
    let name = from.boxed()?;
    let stream = StreamId {
        name,
        created_ns: from.signed()?,
    };
    let mut fingerprints = Vec::new();
    for _ in 0..from.length()? {
        let sequence = Sequence::new(from.number()?).ok_or("a sequence is 0")?;
        fingerprints.push(Fingerprint {
            sequence,
            time_ns: from.signed()?,
        });
    }
    from.end()?;
    let mut fingerprints = fingerprints.into_iter();
    Ok(Checkpoint {
        stream,
        applied: fingerprints.next(),
        earlier: fingerprints.collect(),
    })
}

pub(crate) fn write_totals(totals: &Totals) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut to = Writer(&mut bytes);
    for figure in [
        totals.users,
        totals.profiles,
        totals.parked_lanes,
        totals.parked_records,
        totals.parked_alone,
    ] {
        to.number(figure);
    }
    for parked in totals.parked_by_reason {
        to.number(parked);
    }
    to.bytes(&totals.digest.0.to_le_bytes());
    to.length(Outcome::ALL.len());
    for (_, count) in totals.outcomes.iter() {
        to.number(count);
    }
    bytes
}

pub(crate) fn read_totals(bytes: &[u8]) -> Result<Totals, Problem> {
    let mut from = Cursor(bytes);
    let mut totals = Totals {
        users: from.number()?,
        profiles: from.number()?,
        parked_lanes: from.number()?,
        parked_records: from.number()?,
        parked_alone: from.number()?,
        ..Totals::default()
    };
    for parked in &mut totals.parked_by_reason {
        *parked = from.number()?;
    }
    let digest = from
        .bytes()?
        .try_into()
        .or(Err("the digest has another length"))?;
    totals.digest = Digest(u128::from_le_bytes(digest));
    let outcomes = from.length()?;
    // Outcomes are only ever appended: a file that knows fewer is read as one without the rest.
    for outcome in Outcome::ALL.into_iter().take(outcomes) {
        totals.outcomes.add(outcome, from.number()?);
    }
    from.end()?;
    Ok(totals)
}
