//! What users and profiles are, and how events change them.
//!
//! The whole meaning of the stream lives here, as pure code: bytes become an event ([`decode()`]), an
//! event changes a [`State`] ([`apply()`]), a place in the stream is trusted or refused
//! ([`position`]). `schemas/README.md` is the contract for producers; this crate is what it does.
//!
//! Invariants:
//!
//! - **D1** [`apply()`] is total and pure: no clock, no randomness, no I/O, no configuration. Trouble
//!   with an event is an [`Outcome`], never an error; the only errors are those of the state's store.
//! - **D2** No type here is a wire or disk format, but for the bytes of a [`PackedProfile`], which rows hold as they are.
//! - **D3** An id that exists is valid.
//! - **D4** [`decode()`] never panics, on any bytes.
//! - **D5** Nothing personal is printed: `Debug` of a profile, an identity or a record shows no text.

mod apply;
pub mod codec;
mod decode;
mod erasure;
mod event;
mod fault;
mod headers;
mod ids;
mod landmarks;
mod memory;
mod outcome;
mod packed;
pub mod position;
mod profile;
mod progress;
mod record;
mod state;
mod summary;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;

pub use apply::{Remedy, Surroundings, VERSION_JUMP_MAX, apply, remedies, waits_behind};
pub use decode::{DATA_BYTES_MAX, HEADERS_BYTES_MAX, STRUCTURED_BYTES_MAX, decode};
pub use erasure::{Circle, Folds, erased_document};
pub use event::{Decoded, Event, ProfileChange, UserChange};
pub use fault::Fault;
pub use headers::{HeaderFault, Headers, block_of, subject_text};
pub use ids::{InvalidId, ProfileId, UserId, Version, WorkosUserId};
pub use landmarks::Passed;
pub use memory::MemoryState;
pub use outcome::{Outcome, ParkReason, Tally};
pub use packed::{PackedProfile, read_members};
pub use position::{Checkpoint, Fingerprint, LogBounds, Refusal, Sequence, Sighting, StreamId};
pub use profile::{Field, Gender, InvalidGender, Number, Profile, ProfilePatch};
pub use progress::{Ahead, Connection, Counted, Phase, Progress, Void};
pub use record::{Family, Lane, Record, RecordRef};
pub use state::{
    Gone, LiveProfile, Parked, ParkedDocument, ProfileRow, State, UserDocument, UserRow,
};
pub use summary::{ParkedEntry, ParkedSummary};

/// Which fold this is. Raised with every change of what a history comes to: rows that were begun by another
/// fold are not gone on with by a rebuild.
pub const FOLD: u32 = 1;
