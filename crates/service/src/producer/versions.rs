//! Versions that a file leaves out or repeats, document by document, in bounded memory.

use std::collections::HashMap;
use std::fmt;

use domain::VERSION_JUMP_MAX;
use serde::Serialize;

use super::stored::version_of;

/// Documents whose last version is kept. With the longest ids this is some 150 MiB.
const DOCUMENTS_MAX: usize = 1_000_000;

/// The last version seen of each document, in the order of the file.
#[derive(Debug)]
pub(crate) struct Versions {
    last: HashMap<Box<str>, u64>,
    documents_max: usize,
    counts: Counts,
}

/// What the versions of a file came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Documents whose versions were compared.
    pub(crate) documents: u64,
    /// Versions between two that follow each other in the file.
    pub(crate) missing: u64,
    /// Events of the version before them.
    pub(crate) repeated: u64,
    /// Events of a version below the one before them.
    pub(crate) backward: u64,
    /// Events too far above the version before them to be applied.
    pub(crate) too_far: u64,
    /// Events of further documents, which were not compared.
    pub(crate) not_compared: u64,
}

/// What is remarkable about one event's version. It is no fault: a file may be part of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "versions", rename_all = "snake_case")]
pub(crate) enum Note<'a> {
    /// Versions were left out before it.
    Missing {
        /// `<kind>:<document id>`.
        document: &'a str,
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// The event before it of the same document had the same version.
    Repeated {
        /// `<kind>:<document id>`.
        document: &'a str,
        /// The version.
        version: u64,
    },
    /// The event before it of the same document had a higher version.
    Backward {
        /// `<kind>:<document id>`.
        document: &'a str,
        /// Its version.
        version: u64,
        /// The version before it.
        after: u64,
    },
    /// It is so far above the version before that the projector takes it for a mistake.
    TooFar {
        /// `<kind>:<document id>`.
        document: &'a str,
        /// Its version.
        version: u64,
        /// The version before it.
        after: u64,
    },
    /// From here on new documents are not compared.
    TooMany {
        /// How many are.
        documents: usize,
    },
}

impl Versions {
    pub(crate) fn new() -> Self {
        Self::of_at_most(DOCUMENTS_MAX)
    }

    fn of_at_most(documents_max: usize) -> Self {
        Self {
            last: HashMap::new(),
            documents_max,
            counts: Counts::default(),
        }
    }

    /// What it came to so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Compares an event's version, by its id `<kind>:<document id>:<version>`. A decision has none, and of an
    /// erasure it is never too far.
    pub(crate) fn see<'a>(&mut self, id: &'a str, is_erasure: bool) -> Option<Note<'a>> {
        let (document, version) = version_of(id)?;
        let Some(last) = self.last.get_mut(document) else {
            return self.begin(document, version);
        };
        let after = *last;
        if !is_erasure && VERSION_JUMP_MAX < version.saturating_sub(after) {
            self.counts.too_far += 1;
            // It is not applied, so what follows is compared with what is held.
            return Some(Note::TooFar {
                document,
                version,
                after,
            });
        }
        *last = version;
        if version == after {
            self.counts.repeated += 1;
            return Some(Note::Repeated { document, version });
        }
        if version < after {
            self.counts.backward += 1;
            return Some(Note::Backward {
                document,
                version,
                after,
            });
        }
        let missing = version - after - 1;
        self.counts.missing = self.counts.missing.saturating_add(missing);
        (missing != 0).then_some(Note::Missing {
            document,
            from: after + 1,
            to: version - 1,
        })
    }

    fn begin(&mut self, document: &str, version: u64) -> Option<Note<'static>> {
        let documents = self.documents_max;
        if self.last.len() < documents {
            self.last.insert(document.into(), version);
            self.counts.documents += 1;
            return None;
        }
        self.counts.not_compared += 1;
        (self.counts.not_compared == 1).then_some(Note::TooMany { documents })
    }
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { document, from, to } if from == to => {
                write!(f, "{document}: version {from} is missing before this one")
            }
            Self::Missing { document, from, to } => {
                write!(
                    f,
                    "{document}: versions {from} to {to} are missing before this one"
                )
            }
            Self::Repeated { document, version } => {
                write!(f, "{document}: version {version} again")
            }
            Self::Backward {
                document,
                version,
                after,
            } => write!(f, "{document}: version {version} after version {after}"),
            Self::TooFar {
                document,
                version,
                after,
            } => write!(
                f,
                "{document}: version {version} is more than {VERSION_JUMP_MAX} above version {after}: it is taken for a \
                 mistake and parked (version_jump)"
            ),
            Self::TooMany { documents } => write!(
                f,
                "the file has more than {documents} documents; the versions of those that begin \
                 here or later are not compared"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_repetitions_and_steps_back_are_told_and_counted() {
        let mut versions = Versions::of_at_most(2);
        let said: Vec<Option<String>> = [
            "user:u1:4",
            "user:u1:5",
            "user:u1:7",
            "user:u1:7",
            "user:u1:10",
            "user:u1:2",
            "profile:u1:1",
            "profile:p3:1",
            "profile:p4:9",
            "profile:u1:2",
        ]
        .into_iter()
        .map(|id| versions.see(id, false).map(|note| note.to_string()))
        .collect();
        let expected = [
            None,
            None,
            Some("user:u1: version 6 is missing before this one"),
            Some("user:u1: version 7 again"),
            Some("user:u1: versions 8 to 9 are missing before this one"),
            Some("user:u1: version 2 after version 10"),
            None,
            Some(
                "the file has more than 2 documents; the versions of those that begin here or \
                 later are not compared",
            ),
            None,
            None,
        ];
        let said: Vec<Option<&str>> = said.iter().map(Option::as_deref).collect();
        assert_eq!(said, expected);
        let counts = Counts {
            documents: 2,
            missing: 3,
            repeated: 1,
            backward: 1,
            too_far: 0,
            not_compared: 2,
        };
        assert_eq!(versions.counts(), counts);
        for decision in ["decision-7", "quarantine:u1:7", "quarantine:u1:9"] {
            assert_eq!(versions.see(decision, false), None, "{decision}");
        }
        assert_eq!(versions.counts(), counts);
    }

    #[test]
    fn a_version_that_would_not_be_applied_is_told_and_not_held() {
        let mut versions = Versions::new();
        let mut see = |id: &str| versions.see(id, false).map(|note| note.to_string());
        // Alone it says nothing: the file may be a part of a history.
        assert_eq!(see("user:u1:5000000"), None);
        assert_eq!(see("profile:p1:5"), None);
        let said = see("profile:p1:1000006").unwrap();
        assert_eq!(
            said,
            "profile:p1: version 1000006 is more than 1000000 above version 5: it is taken for a mistake and parked \
             (version_jump)"
        );
        assert_eq!(see("profile:p1:6"), None);
        let far = see("profile:p1:1000006").unwrap();
        assert_eq!(
            far,
            "profile:p1: versions 7 to 1000005 are missing before this one"
        );
        assert!(see("user:u1:6000001").is_some());
        let erased = versions
            .see("user:u1:9000000", true)
            .map(|note| note.to_string());
        assert!(
            erased.unwrap().contains("are missing"),
            "an erasure is final whatever its version"
        );
        assert_eq!(versions.counts().too_far, 2);
    }
}
