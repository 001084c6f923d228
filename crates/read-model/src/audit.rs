//! Reading everything that is stored, and holding it against itself: each row's check, the rows of one
//! table against those of another, and the totals against all rows.

use domain::{Family, ParkedSummary, UserDocument, UserId};

use crate::StorageError;
use crate::check::Rows;
use crate::damage::Damage;
use crate::digest::Digest;
use crate::inspect::{Inspection, NOT_PARKED};
use crate::meta::{self, Totals};
use crate::reader::{NOT_THE_OWNER, Snapshot};
use crate::rows::{self, arrival, awaiting, parked, person};
use crate::runs::{self, Kind};
use domain::codec::Problem;

/// What is wrong with totals that the rows do not come to.
pub(crate) const NOT_THE_TOTALS: &str =
    "the rows do not come to the totals that are stored with them";

/// Damage that is named; the rest is counted.
const NAMED_MAX: usize = 20;

/// What reading everything came to.
#[derive(Debug, Default)]
pub struct Audit {
    /// Of the rows, computed from them.
    pub digest: Digest,
    /// Damaged rows, the first ones by name.
    pub damages: Vec<Damage>,
    /// How many there are.
    pub damaged: u64,
}

impl Audit {
    /// Whether everything is what was written.
    pub fn is_clean(&self) -> bool {
        self.damaged == 0
    }

    fn note(&mut self, damage: Damage) {
        self.damaged = self.damaged.saturating_add(1);
        if self.damages.len() < NAMED_MAX && !self.damages.contains(&damage) {
            self.damages.push(damage);
        }
    }

    /// Takes what was read; damage is noted, and then there is nothing to take.
    fn take<T>(&mut self, read: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(StorageError::Damaged(damage)) => {
                self.note(damage);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

impl Inspection {
    /// Reads all rows and finds what is not as it was written. Takes about 4 µs a user.
    pub fn audit(&self) -> Result<Audit, StorageError> {
        let mut auditing = Auditing {
            of: &self.0,
            found: Audit::default(),
            totals: Totals::default(),
            waiting: 0,
        };
        auditing.people()?;
        auditing.owners()?;
        auditing.parked()?;
        auditing.indexes()?;
        auditing.totals()?;
        let damages = &self.0.damages;
        auditing
            .found
            .damages
            .iter()
            .for_each(|damage| damages.note(damage));
        Ok(auditing.found)
    }
}

struct Auditing<'s> {
    of: &'s Snapshot,
    found: Audit,
    /// Those that the rows come to.
    totals: Totals,
    /// Parked records that wait for an identity.
    waiting: u64,
}

impl Auditing<'_> {
    fn people(&mut self) -> Result<(), StorageError> {
        let mut rows: u64 = 0;
        for row in runs::rows(&self.of.people, &self.of.runs, Kind::Person)? {
            rows = rows.saturating_add(1);
            let Some((key, row)) = self.found.take(row)? else {
                continue;
            };
            self.totals.digest.add("people", &key, &row);
            if let Err(problem) = self.person(&key, &row)? {
                self.found.note(Damage::of_row("people", &key, problem));
            }
        }
        self.length("people", &self.of.people, rows)
    }

    fn person(&mut self, key: &[u8], row: &[u8]) -> Result<Result<(), Problem>, StorageError> {
        let read = rows::user_id(key).and_then(|id| Ok((id, person::read(row)?)));
        let (id, (user, profiles)) = match read {
            Ok(read) => read,
            Err(problem) => return Ok(Err(problem)),
        };
        let lanes = [&user.parked, &profiles.parked];
        let lanes = lanes
            .into_iter()
            .filter(|parked| !parked.is_empty())
            .count();
        let totals = &mut self.totals;
        totals.profiles = totals
            .profiles
            .saturating_add(u64::from(profiles.live.is_some()));
        totals.parked_lanes = totals
            .parked_lanes
            .saturating_add(u64::try_from(lanes).unwrap_or(0));
        let UserDocument::Live { workos_id, .. } = &user.document else {
            return Ok(Ok(()));
        };
        totals.users = totals.users.saturating_add(1);
        let owner = self.of.owner_row(workos_id);
        let owner = self.found.take(owner)?;
        // Where the owner's row is damaged, that is said of it.
        let is_owner = owner.is_none_or(|owner| owner == id.as_str().as_bytes());
        Ok(if is_owner {
            Ok(())
        } else {
            Err("its identity does not lead to it")
        })
    }

    fn owners(&mut self) -> Result<(), StorageError> {
        let mut rows: u64 = 0;
        for row in runs::rows(&self.of.owners, &self.of.runs, Kind::Owner)? {
            rows = rows.saturating_add(1);
            let Some((identity, user)) = self.found.take(row)? else {
                continue;
            };
            let user = match rows::user_id(&user) {
                Ok(user) => user,
                Err(problem) => {
                    self.found.note(Damage::of_row("owners", &[], problem));
                    continue;
                }
            };
            let Some((row, _)) = self.found.take(self.of.rows_of(&user))? else {
                continue;
            };
            let owns = matches!(&row.document, UserDocument::Live { workos_id, .. }
                if workos_id.as_str().as_bytes() == identity);
            if !owns {
                let row = user.as_str().to_owned();
                self.found.note(Damage {
                    table: "owners",
                    row,
                    problem: NOT_THE_OWNER,
                });
            }
        }
        self.length("owners", &self.of.owners, rows)
    }

    /// Parked records lane by lane, against the counts in the rows of their users.
    fn parked(&mut self) -> Result<(), StorageError> {
        let (mut rows, mut lanes) = (0_u64, 0_u64);
        let mut lane: Option<(Vec<u8>, ParkedSummary)> = None;
        for row in self.of.parked.scan(&[])? {
            rows = rows.saturating_add(1);
            let Some((key, row)) = self.found.take(row)? else {
                continue;
            };
            let (key, row) = (key.value(), row.row());
            self.totals.digest.add("parked", key, row);
            let record = match parked::read(row) {
                Ok(record) => record,
                Err(problem) => {
                    self.found.note(Damage::of_row("parked", key, problem));
                    continue;
                }
            };
            self.totals
                .count_parked(record.reason, |count| count.saturating_add(1));
            if record.lane.is_none() {
                self.totals.parked_alone = self.totals.parked_alone.saturating_add(1);
            }
            self.record(key, &record)?;
            let prefix = key
                .split_last_chunk::<8>()
                .map_or(key, |(prefix, _)| prefix);
            if lane.as_ref().is_none_or(|(at, _)| at != prefix) {
                lanes = lanes.saturating_add(self.lane(lane.take())?);
                lane = Some((prefix.to_vec(), ParkedSummary::default()));
            }
            if let Some((_, summary)) = &mut lane {
                summary.put(&record);
            }
        }
        lanes = lanes.saturating_add(self.lane(lane)?);
        if lanes != self.totals.parked_lanes {
            let damage = Damage::somewhere("people", "it counts parked records that are not there");
            self.found.note(damage);
        }
        self.length("parked", &self.of.parked, rows)
    }

    /// The engine's own count of a table's rows, where none wait in runs.
    fn length(&mut self, name: &str, table: &Rows, rows: u64) -> Result<(), StorageError> {
        let length = self.found.take(table.len())?;
        if self.of.runs.is_empty() && length.is_some_and(|length| length != rows) {
            let problem = "the engine counts other rows than there are";
            self.found.note(Damage::somewhere(name, problem));
        }
        Ok(())
    }

    /// A record against its place, and the rows that lead to it.
    fn record(&mut self, key: &[u8], record: &domain::Parked) -> Result<(), StorageError> {
        let sequence = record.sequence();
        let mut problem = None;
        if parked::key(record.lane.as_ref(), sequence) != key {
            problem = Some("it is not in its place");
        }
        let arrival = self
            .of
            .arrivals
            .read(&arrival::key(sequence), arrival::read);
        if let Some(arrival) = self.found.take(arrival)?
            && arrival.is_none_or(|arrival| *arrival.key != *key)
        {
            problem = Some("no arrival leads to it");
        }
        if let (Some(awaits), Some(lane)) = (&record.awaits, &record.lane) {
            self.waiting = self.waiting.saturating_add(1);
            let key = awaiting::key(awaits, sequence);
            let user = self.of.awaiting.read(&key, rows::user_id);
            if let Some(user) = self.found.take(user)?
                && user.as_ref() != Some(&lane.user)
            {
                problem = Some("what it awaits does not lead to it");
            }
        }
        if let Some(problem) = problem {
            self.found.note(Damage::of_row("parked", key, problem));
        }
        Ok(())
    }

    /// A lane's records against what the row of its user counts; 1 for a lane, 0 for none.
    fn lane(&mut self, lane: Option<(Vec<u8>, ParkedSummary)>) -> Result<u64, StorageError> {
        let Some((prefix, counted)) = lane else {
            return Ok(0);
        };
        // Records whose subject names no lane are counted nowhere else.
        let Some((user, family)) = user_of(&prefix) else {
            return Ok(0);
        };
        let Some((of_user, of_profiles)) = self.found.take(self.of.rows_of(&user))? else {
            return Ok(1);
        };
        let counted_decisions = u64::try_from(counted.total()).unwrap_or(u64::MAX);
        let (agrees, lanes) = match family {
            Family::User => (of_user.parked == counted, 1),
            Family::Profile => (of_profiles.parked == counted, 1),
            Family::Quarantine => (of_user.decisions == counted_decisions, 0),
        };
        if !agrees {
            let problem = "it does not tell the records that are parked";
            let key = user.as_str().as_bytes();
            self.found.note(Damage::of_row("people", key, problem));
        }
        Ok(lanes)
    }

    /// Rows that lead to parked records. Those that are needed were found: no others may be there.
    fn indexes(&mut self) -> Result<(), StorageError> {
        let (mut arrivals, mut waiting) = (0_u64, 0_u64);
        for row in self.of.arrivals.scan(&[])? {
            arrivals = arrivals.saturating_add(1);
            let Some((key, row)) = self.found.take(row)? else {
                continue;
            };
            let Ok(arrival) = arrival::read(row.row()) else {
                let damage = Damage::of_row("arrivals", key.value(), "it cannot be read");
                self.found.note(damage);
                continue;
            };
            let parked = self.of.parked.get(&arrival.key);
            if self
                .found
                .take(parked)?
                .is_some_and(|parked| parked.is_none())
            {
                self.found
                    .note(Damage::of_row("arrivals", key.value(), NOT_PARKED));
            }
        }
        for row in self.of.awaiting.scan(&[])? {
            waiting = waiting.saturating_add(1);
            self.found.take(row)?;
        }
        self.length("arrivals", &self.of.arrivals, arrivals)?;
        self.length("awaiting", &self.of.awaiting, waiting)?;
        if waiting != self.waiting {
            let damage = Damage::somewhere("awaiting", NOT_PARKED);
            self.found.note(damage);
        }
        if arrivals != self.totals.parked_records {
            self.found.note(Damage::somewhere("arrivals", NOT_PARKED));
        }
        Ok(())
    }

    /// The figures that are stored against those that the rows come to.
    fn totals(&mut self) -> Result<(), StorageError> {
        let stored = self.of.meta.read(meta::TOTALS_KEY, meta::read_totals);
        let checkpoint = self
            .of
            .meta
            .read(meta::CHECKPOINT_KEY, meta::read_checkpoint);
        self.found.take(checkpoint)?;
        self.found.digest = self.totals.digest;
        let Some(stored) = self.found.take(stored)? else {
            return Ok(());
        };
        let stored = stored.unwrap_or_default();
        let counted = Totals {
            outcomes: stored.outcomes,
            ..self.totals
        };
        if counted != stored || self.of.totals != stored {
            let damage = Damage::of_row("meta", meta::TOTALS_KEY, NOT_THE_TOTALS);
            self.found.note(damage);
        }
        Ok(())
    }
}

/// Whose lane it is that keys begin with, and which; `None` for what is in no lane.
fn user_of(prefix: &[u8]) -> Option<(UserId, Family)> {
    let (user, family) = parked::lane_of(prefix)?;
    Some((rows::user_id(user).ok()?, family))
}

#[cfg(test)]
mod tests;
