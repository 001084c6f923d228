//! What users and profiles are, and how events change them.

mod ids;
pub mod position;
mod profile;
mod record;

pub use ids::{InvalidId, ProfileId, UserId, Version, WorkosUserId};
pub use position::{Checkpoint, Fingerprint, LogBounds, Refusal, Sequence, StreamId};
pub use profile::{Field, Gender, InvalidGender, Number, Profile, ProfilePatch};
pub use record::{Family, Lane, Record, RecordRef};
