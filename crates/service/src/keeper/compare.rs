//! The rows that were built against the rows that are served, from one place in the stream.

use domain::Checkpoint;
use read_model::{Audit, Difference, Reader, StorageError, Totals, differences};

use crate::printable::counted;

/// Differences that are named.
const NAMED_MAX: usize = 10;

/// What came of comparing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// They are not of one place of one stream.
    Impossible(&'static str),
    /// One digest.
    Equal {
        /// How many users both have.
        users: u64,
    },
    /// They differ.
    Different {
        live: Box<Totals>,
        built: Box<Totals>,
        rows: Vec<Difference>,
        /// What is damaged of the live ones.
        damages: Vec<String>,
    },
}

/// What an audit found damaged, for people; nothing for a clean one.
pub(super) fn damages_of(audit: Result<Audit, StorageError>) -> Vec<String> {
    let audit = match audit {
        Ok(audit) => audit,
        Err(error) => return vec![crate::exit::in_one_line(&error)],
    };
    let named = u64::try_from(audit.damages.len()).unwrap_or(u64::MAX);
    let more = audit.damaged.saturating_sub(named);
    let more = (0 < more).then(|| format!("{more} more rows are damaged"));
    let named = audit.damages.iter().map(ToString::to_string);
    named.chain(more).collect()
}

impl Comparison {
    /// Compares what both readers see now. `trusted` says that the live rows belong to the stream.
    ///
    /// Both were audited, so that their digests are known to be those of their rows; `damages` is what
    /// that found of the live ones.
    pub(crate) fn of(
        live: &Reader,
        built: &Reader,
        trusted: bool,
        damages: Vec<String>,
    ) -> Result<Self, StorageError> {
        let place = |reader: &Reader| {
            let held = reader.checkpoint();
            held.map(
                |Checkpoint {
                     stream, applied, ..
                 }| (stream, applied),
            )
        };
        if !trusted {
            return Ok(Self::Impossible(
                "the live rows are not of the stream as it is now",
            ));
        }
        let (held, made) = (place(live), place(built));
        if held.as_ref().map(|(stream, _)| stream) != made.as_ref().map(|(stream, _)| stream) {
            return Ok(Self::Impossible("the live rows are of another stream"));
        }
        if held != made {
            return Ok(Self::Impossible("they are not as far in the stream"));
        }
        let totals = (live.totals(), built.totals());
        if damages.is_empty() && totals.0.digest == totals.1.digest {
            let users = totals.0.users;
            return Ok(Self::Equal { users });
        }
        let rows = match differences(live, built, NAMED_MAX) {
            Err(_of_damage) if !damages.is_empty() => Vec::new(),
            rows => rows?,
        };
        Ok(Self::Different {
            rows,
            damages,
            live: Box::new(totals.0),
            built: Box::new(totals.1),
        })
    }

    pub(crate) fn equal(&self) -> Option<bool> {
        match self {
            Self::Impossible(_) => None,
            Self::Equal { .. } => Some(true),
            Self::Different { .. } => Some(false),
        }
    }

    /// Whether the built rows are of fewer people.
    pub(crate) fn is_loss(&self) -> bool {
        match self {
            Self::Different { live, built, .. } => {
                built.users < live.users || built.profiles < live.profiles
            }
            Self::Impossible(_) | Self::Equal { .. } => false,
        }
    }

    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Impossible(why) => format!("nothing to compare: {why}"),
            Self::Equal { users } => format!("equal, {}", counted(*users, "user", "users")),
            Self::Different { .. } => self.lines().join("; "),
        }
    }

    /// One line a difference, first of the counts, then of the first rows.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (live, built, rows, damages) = match self {
            Self::Impossible(why) => return vec![format!("nothing to compare: {why}")],
            Self::Equal { .. } => return Vec::new(),
            Self::Different {
                live,
                built,
                rows,
                damages,
            } => (live, built, rows, damages),
        };
        let counts = [
            ("users", live.users, built.users),
            ("profiles", live.profiles, built.profiles),
            ("parked lanes", live.parked_lanes, built.parked_lanes),
            ("parked records", live.parked_records, built.parked_records),
        ];
        let counts = counts.into_iter().filter(|(_, live, built)| live != built);
        let counts =
            counts.map(|(what, live, built)| format!("{what}: {live} live, {built} built"));
        let damages = damages.iter().map(|damage| format!("live: {damage}"));
        let counts = damages.chain(counts);
        counts.chain(rows.iter().map(row_line)).collect()
    }
}

/// `first` is what is served, `second` what was built.
fn row_line(row: &Difference) -> String {
    let user = if row.user.is_empty() {
        "a record of no user"
    } else {
        &row.user
    };
    let how = match row.kind {
        read_model::DifferenceKind::OnlyFirst => "is not in what was built",
        read_model::DifferenceKind::OnlySecond => "is not in what is live",
        read_model::DifferenceKind::Content => "differs",
    };
    format!("{} of {user} {how}", row.table)
}
