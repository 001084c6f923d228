//! Records: bytes with a place in the log, and the lane that their subject names.

use std::fmt;

use crate::{Headers, Sequence, UserId};

/// Every subject of the stream begins with this, then `<userId>.<family>`.
const SUBJECT_PREFIX: &str = "identity.v1.";

/// The last token of a subject: which of a user's documents a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The user document.
    User,
    /// The user's profile documents.
    Profile,
    /// An operator's decisions about that user's parked records.
    Quarantine,
}

impl Family {
    /// Takes the word that subjects, types and `entity.kind` use.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "user" => Some(Self::User),
            "profile" => Some(Self::Profile),
            "quarantine" => Some(Self::Quarantine),
            _ => None,
        }
    }

    /// The word that subjects, types and `entity.kind` use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Profile => "profile",
            Self::Quarantine => "quarantine",
        }
    }
}

/// One subject: the records that are applied, parked and healed together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Whose.
    pub user: UserId,
    /// Which of the user's subjects.
    pub family: Family,
}

impl Lane {
    /// The lane that a subject names: `identity.v1.<userId>.<family>`.
    pub fn of_subject(subject: &str) -> Option<Self> {
        let (user, family) = subject.strip_prefix(SUBJECT_PREFIX)?.split_once('.')?;
        Some(Self {
            user: UserId::parse(user).ok()?,
            family: Family::parse(family)?,
        })
    }

    /// The subject that names this lane.
    pub fn subject(&self) -> String {
        format!("{SUBJECT_PREFIX}{}.{}", self.user, self.family.as_str())
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.user, self.family.as_str())
    }
}

/// A record as it was read. `Debug` shows no content (D5).
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    /// Its place in the stream.
    pub sequence: Sequence,
    /// The subject it was published to, see [`crate::subject_text`].
    pub subject: &'a str,
    /// Its headers, whatever bytes they are.
    pub headers: Headers<'a>,
    /// The body.
    pub payload: &'a [u8],
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordRef")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// A record kept for later. `Debug` shows no content (D5).
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the stream.
    pub sequence: Sequence,
    /// The subject it was published to.
    pub subject: Box<str>,
    /// The header block as it came; empty without headers.
    pub headers: Box<[u8]>,
    /// The body.
    pub payload: Box<[u8]>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// Lends the record to `read`, in the form that decoding takes.
    pub fn with_ref<T>(&self, read: impl FnOnce(&RecordRef<'_>) -> T) -> T {
        read(&RecordRef {
            sequence: self.sequence,
            subject: &self.subject,
            headers: Headers::of_block(&self.headers),
            payload: &self.payload,
        })
    }
}

impl From<&RecordRef<'_>> for Record {
    fn from(record: &RecordRef<'_>) -> Self {
        Self {
            sequence: record.sequence,
            subject: record.subject.into(),
            headers: record.headers.as_bytes().into(),
            payload: record.payload.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_a_lane_or_none() {
        let lane = Lane::of_subject("identity.v1.u1.profile").unwrap();
        assert_eq!((lane.user.as_str(), lane.family), ("u1", Family::Profile));
        assert_eq!(lane.subject(), "identity.v1.u1.profile");
        for none in [
            "identity.v1.u1",
            "identity.v1..user",
            "identity.v1.u1.user.x",
            "x.u1.user",
            "",
        ] {
            assert_eq!(Lane::of_subject(none), None, "{none}");
        }
    }
}
