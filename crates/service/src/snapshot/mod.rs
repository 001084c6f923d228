//! Snapshots: where they are, how one is made of a read model, and how a replica begins with one.

mod desk;
mod make;
mod object;
mod restore;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub(crate) use desk::{Order, SnapshotDesk, SnapshotStatus, describe_metrics, routes};
pub(crate) use make::{FILE_NAME, is_replaceable, make, move_to, remove_left};
pub(crate) use object::{Bucket, upload};
pub(crate) use restore::{Restore, has_rows, restore};

/// What an object's place begins with on the command line.
const OBJECT: &str = "object:";

/// Where a snapshot is, or is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotAt {
    /// A file.
    File(PathBuf),
    /// An object in a NATS object store.
    Object {
        /// The store.
        bucket: String,
        /// Its name there.
        name: String,
    },
}

/// The text is neither a file nor an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither FILE nor object:BUCKET/NAME, of letters, digits and -_/=.")]
pub struct InvalidPlace;

impl FromStr for SnapshotAt {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let Some(object) = text.strip_prefix(OBJECT) else {
            return if text.is_empty() {
                Err(InvalidPlace)
            } else {
                Ok(Self::File(text.into()))
            };
        };
        let is_of = |text: &str, more: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            !text.is_empty() && text.chars().all(known)
        };
        let (bucket, name) = object.split_once('/').ok_or(InvalidPlace)?;
        if !is_of(bucket, "-_") || !is_of(name, "-_/=.") {
            return Err(InvalidPlace);
        }
        Ok(Self::Object {
            bucket: bucket.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for SnapshotAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Object { bucket, name } => write!(f, "{OBJECT}{bucket}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_an_object() {
        for text in ["./a.snapshot", "object:b-1/x/latest.snapshot"] {
            let place: SnapshotAt = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
            assert_eq!(matches!(place, SnapshotAt::Object { .. }), text.len() > 12);
        }
        for wrong in [
            "",
            "object:",
            "object:b",
            "object:/n",
            "object:b/",
            "object:b.c/n",
            "object:b/n m",
        ] {
            assert_eq!(wrong.parse::<SnapshotAt>(), Err(InvalidPlace), "{wrong}");
        }
    }
}
