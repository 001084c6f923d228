//! Whether the last record of a subject is enough to know what all of them give.

use crate::{Decoded, Event, ProfileChange, RecordRef, UserChange, decode};

/// Why it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWhole {
    /// It cannot be applied, so the state before it counts.
    #[error("it cannot be decoded")]
    Undecodable,
    /// It is of a type that is skipped, so the state before it counts.
    #[error("this release does not know its type")]
    UnknownType,
    /// It says what changed, not what is.
    #[error("it is a patch")]
    Patch,
    /// It is about an earlier record.
    #[error("it is a decision about a parked record")]
    Decision,
    /// The events before it are not its document's earlier versions: one was published again, came out
    /// of order, was deleted, or is of another document.
    #[error("its subject holds {records} events and it is version {version}")]
    Versions {
        /// Events on the subject.
        records: u64,
        /// The version that the last of them names.
        version: u64,
    },
    /// The lane may hold tombstones of other documents.
    #[error("it is the erasure of a profile with {records} events on its subject")]
    ErasedAmongOthers {
        /// Events on the subject.
        records: u64,
    },
}

/// Judges the last record of a subject that holds so many: exactly `least`, or up to `most` where the
/// record is newer than the count.
///
/// What it cannot see has to be excluded otherwise: a version that was never published; an event of a
/// document after its erasure, and an identity that a user takes before its holder gave it up, which the
/// fold of all records counts as `resurrect` and `parked{mapping_conflict}`.
pub fn stands_for_all(record: &RecordRef<'_>, least: u64, most: u64) -> Result<(), NotWhole> {
    let (records, is_alone) = (least, most == 1);
    let event = match decode(record) {
        Decoded::Event(event) => event,
        Decoded::UnknownType(_) => return Err(NotWhole::UnknownType),
        Decoded::Invalid { .. } => return Err(NotWhole::Undecodable),
    };
    let version = match event {
        Event::Dropped { .. } => return Err(NotWhole::Decision),
        Event::User { change, .. } => match change {
            UserChange::State { version, .. } | UserChange::Deleted { version } => version,
            UserChange::Erased => return Ok(()),
        },
        Event::Profile { change, .. } => match change {
            ProfileChange::State { version, .. } | ProfileChange::Deleted { version } => version,
            ProfileChange::Patch { .. } => return Err(NotWhole::Patch),
            ProfileChange::Erased if is_alone => return Ok(()),
            ProfileChange::Erased => return Err(NotWhole::ErasedAmongOthers { records }),
        },
    };
    let version = version.get();
    // One alone is all there is. Else each version has to be there once, and no other document's.
    if is_alone || (least <= version && version <= most) {
        return Ok(());
    }
    Err(NotWhole::Versions { records, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Form, Message, dropped, named, profile_erased, profile_patched, profile_state, records,
        user_erased,
    };

    #[test]
    fn each_reason_is_named() {
        let judge = |message: &Message, records_on_it: u64| {
            let record = records([message]).remove(0);
            record
                .with_ref(|record| stands_for_all(record, records_on_it, records_on_it))
                .map_err(|why| why.to_string())
        };
        let profile = |version| profile_state("u", "p", version, &named("a")).message(Form::Bare);
        assert_eq!(judge(&profile(1), 1), Ok(()));
        assert_eq!(judge(&profile(7), 1), Ok(()), "it is all that there is");
        assert_eq!(judge(&profile(7), 7), Ok(()));
        assert_eq!(
            judge(&profile(1), 3).unwrap_err(),
            "its subject holds 3 events and it is version 1"
        );
        let patch = profile_patched("u", "p", 3, &named("x")).message(Form::Bare);
        assert_eq!(judge(&patch, 3).unwrap_err(), NotWhole::Patch.to_string());
        let erased = profile_erased("u", "p", 3).message(Form::Bare);
        assert_eq!(judge(&erased, 1), Ok(()));
        assert!(judge(&erased, 3).is_err());
        assert_eq!(judge(&user_erased("u", 3).message(Form::Bare), 9), Ok(()));
        let dropped = dropped("u", 1).message(Form::Bare);
        assert!(judge(&dropped, 1).unwrap_err().contains("decision"));
        let broken = Message::bare("identity.v1.u.profile", "{");
        assert_eq!(judge(&broken, 1).unwrap_err(), "it cannot be decoded");
    }
}
