//! Bytes to events: the three `CloudEvents` forms, the schema, the cross-checks.
//!
//! Tolerant as the contract says: unknown members are ignored. Everything else that the schemas in
//! `schemas/` refuse is refused here too, with a [`Fault`].

mod answer;
mod attributes;
mod json;
mod plain;
#[cfg(test)]
mod tests;
mod wire;

use attributes::{Attributes, Body, read_attributes};

use crate::{
    Decoded, Event, Family, Fault, Lane, ProfileChange, ProfileId, RecordRef, Sequence, UserChange,
    Version,
};

/// The longest data that the contract allows, in bytes as it is written, in each of the three forms.
pub const DATA_BYTES_MAX: usize = 256 * 1024;

/// The longest body of a structured event: the longest data, and room for its attributes.
pub const STRUCTURED_BYTES_MAX: usize = DATA_BYTES_MAX + 64 * 1024;

/// The longest header block. What a lane keeps is bounded by it, and by the body's limit.
pub const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// The family-independent beginning of every type.
const TYPE_PREFIX: &str = "app.connvo.";

/// What a record means. Never panics, whatever the bytes (D4).
pub fn decode(record: &RecordRef<'_>) -> Decoded {
    let Some(lane) = Lane::of_subject(record.subject) else {
        return Decoded::Invalid {
            lane: None,
            fault: Fault::Subject,
        };
    };
    decode_in(lane, record).unwrap_or_else(|fault| Decoded::Invalid {
        lane: Lane::of_subject(record.subject),
        fault: if answer::is_one(record) {
            Fault::Answer
        } else {
            fault
        },
    })
}

fn decode_in(lane: Lane, record: &RecordRef<'_>) -> Result<Decoded, Fault> {
    let (attributes, body) = read_attributes(record)?;
    let Some(kind) = Kind::parse(&attributes.kind, lane.family)? else {
        return Ok(Decoded::UnknownType(lane));
    };
    attributes.check(&lane)?;
    let data = match body {
        Body::Bytes(data) => data,
        Body::Raw(data) => data.get().as_bytes(),
    };
    kind.decode(data, lane, &attributes).map(Decoded::Event)
}

/// The types of the contract, by what their data holds.
#[derive(Clone, Copy)]
enum Kind {
    UserState,
    UserDeleted,
    UserErased,
    ProfileState,
    ProfilePatched,
    ProfileDeleted,
    ProfileErased,
    Dropped,
}

impl Kind {
    /// Takes `app.connvo.<family>.<name>.v1`, of the family that the subject names.
    fn parse(text: &str, lane: Family) -> Result<Option<Self>, Fault> {
        const EXPECTED: Fault = Fault::Attribute {
            name: "type",
            problem: "expected app.connvo.<family>.<name>.v<major>",
        };
        let rest = text.strip_prefix(TYPE_PREFIX).ok_or(EXPECTED)?;
        let name = rest.strip_prefix(lane.as_str());
        let name = name.and_then(|name| name.strip_prefix('.')?.strip_suffix(".v1"));
        if let Some(kind) = name.and_then(|name| Self::named(lane, name)) {
            return Ok(Some(kind));
        }
        let mut parts = rest.split('.');
        let (Some(family), Some(name), Some(major), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(EXPECTED);
        };
        if Family::parse(family) != Some(lane) {
            return Err(Fault::Mismatch {
                left: "the type's family",
                right: "the subject's last token",
            });
        }
        match major
            .strip_prefix('v')
            .and_then(|digits| digits.parse::<u32>().ok())
        {
            Some(1) if major == "v1" => {}
            Some(major) if major != 1 => return Err(Fault::UnknownMajor { major }),
            _ => return Err(EXPECTED),
        }
        Ok(Self::named(lane, name))
    }

    fn named(lane: Family, name: &str) -> Option<Self> {
        match (lane, name) {
            (Family::User, "registered" | "updated" | "deactivated" | "reactivated") => {
                Some(Self::UserState)
            }
            (Family::User, "deleted") => Some(Self::UserDeleted),
            (Family::User, "erased") => Some(Self::UserErased),
            (Family::Profile, "created" | "updated") => Some(Self::ProfileState),
            (Family::Profile, "patched") => Some(Self::ProfilePatched),
            (Family::Profile, "deleted") => Some(Self::ProfileDeleted),
            (Family::Profile, "erased") => Some(Self::ProfileErased),
            (Family::Quarantine, "dropped") => Some(Self::Dropped),
            (Family::User | Family::Profile | Family::Quarantine, _) => None,
        }
    }

    fn decode(self, data: &[u8], lane: Lane, attributes: &Attributes<'_>) -> Result<Event, Fault> {
        match self {
            Self::UserState => {
                let data: wire::StateData<'_, wire::UserState> = json::data(data)?;
                let version = check_entity(&data.entity, &lane, attributes)?;
                let workos_id = data.state.0.workos_user_id;
                Ok(user_event(lane, UserChange::State { version, workos_id }))
            }
            Self::UserDeleted => {
                let data: wire::DeletedData<'_> = json::data(data)?;
                let version = check_entity(&data.entity, &lane, attributes)?;
                Ok(user_event(lane, UserChange::Deleted { version }))
            }
            Self::UserErased => {
                let data: wire::ErasedData<'_> = json::data(data)?;
                check_entity(&data.entity, &lane, attributes)?;
                Ok(user_event(lane, UserChange::Erased))
            }
            Self::ProfileState => {
                let data: wire::StateData<'_, wire::ProfileState<'_>> = json::data(data)?;
                let version = check_entity(&data.entity, &lane, attributes)?;
                let profile = data.state.into();
                profile_event(
                    lane,
                    &data.entity,
                    ProfileChange::State { version, profile },
                )
            }
            Self::ProfilePatched => {
                let data: wire::PatchData<'_> = json::data(data)?;
                let version = check_entity(&data.entity, &lane, attributes)?;
                if data.base_version.get().checked_add(1) != Some(version.get()) {
                    return Err(Fault::Mismatch {
                        left: "data.entity.version",
                        right: "data.baseVersion + 1",
                    });
                }
                let patch = Box::new(data.patch.into());
                profile_event(lane, &data.entity, ProfileChange::Patch { version, patch })
            }
            Self::ProfileDeleted => {
                let data: wire::DeletedData<'_> = json::data(data)?;
                let version = check_entity(&data.entity, &lane, attributes)?;
                profile_event(lane, &data.entity, ProfileChange::Deleted { version })
            }
            Self::ProfileErased => {
                let data: wire::ErasedData<'_> = json::data(data)?;
                check_entity(&data.entity, &lane, attributes)?;
                profile_event(lane, &data.entity, ProfileChange::Erased)
            }
            Self::Dropped => {
                let sequence = dropped_sequence(&lane, data)?;
                Ok(Event::Dropped {
                    user: lane.user,
                    sequence,
                })
            }
        }
    }
}

fn user_event(lane: Lane, change: UserChange) -> Event {
    Event::User {
        user: lane.user,
        change,
    }
}

fn profile_event(
    lane: Lane,
    entity: &wire::Entity<'_>,
    change: ProfileChange,
) -> Result<Event, Fault> {
    let profile = ProfileId::parse(&entity.id).map_err(|problem| Fault::Member {
        path: "data.entity.id".into(),
        problem: problem.to_string(),
    })?;
    Ok(Event::Profile {
        user: lane.user,
        profile,
        change,
    })
}

fn dropped_sequence(lane: &Lane, data: &[u8]) -> Result<Sequence, Fault> {
    let data: wire::DroppedData<'_> = json::data(data)?;
    if data.user_id != lane.user.as_str() {
        return Err(Fault::Mismatch {
            left: "data.userId",
            right: "the subject's user",
        });
    }
    Sequence::new(data.sequence.get()).ok_or_else(|| Fault::Member {
        path: "data.sequence".into(),
        problem: "expected a sequence of the stream, from 1".into(),
    })
}

/// The cross-checks that a schema cannot say.
fn check_entity(
    entity: &wire::Entity<'_>,
    lane: &Lane,
    attributes: &Attributes<'_>,
) -> Result<Version, Fault> {
    if entity.kind != lane.family.as_str() {
        return Err(Fault::Mismatch {
            left: "data.entity.kind",
            right: "the type's family",
        });
    }
    if entity.user_id != lane.user.as_str() {
        return Err(Fault::Mismatch {
            left: "data.entity.userId",
            right: "the subject's user",
        });
    }
    if lane.family == Family::User && entity.id != entity.user_id {
        return Err(Fault::Mismatch {
            left: "data.entity.id",
            right: "data.entity.userId",
        });
    }
    let version = entity.version.version();
    if !is_event_id(&attributes.id, &entity.kind, &entity.id, version) {
        return Err(Fault::Mismatch {
            left: "attribute id",
            right: "<data.entity.kind>:<data.entity.id>:<data.entity.version>",
        });
    }
    Ok(version)
}

/// Whether `id` is `<kind>:<document>:<version>`.
fn is_event_id(id: &str, kind: &str, document: &str, version: Version) -> bool {
    let digits = id
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix(':'))
        .and_then(|rest| rest.strip_prefix(document))
        .and_then(|rest| rest.strip_prefix(':'));
    digits.is_some_and(|digits| {
        digits.starts_with(|first: char| first.is_ascii_digit() && first != '0')
            && digits.parse() == Ok(version.get())
    })
}
