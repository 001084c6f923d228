//! Given these events, when they are replayed, then this answer, this parked record, this digest.
//!
//! For tests of producers and of this project: no broker, no clock, nothing on disk; the same events
//! give the same result, byte for byte, and it is the service's: its fold, its rows, its answer.
//!
//! ```
//! use replay_kit::{Person, Replay};
//! use serde_json::json;
//!
//! let mut ada = Person::new("ada", "profile-of-ada");
//! let replay = Replay::of_events([
//!     ada.registered("user_01ADA"),
//!     ada.profile(&json!({"displayName": "Ada"})),
//!     ada.profile_patched(&json!({"bio": "I build looms."})),
//! ])?;
//! replay.expect_answer("user_01ADA", &json!({
//!     "_id": "profile-of-ada", "userId": "ada", "displayName": "Ada", "bio": "I build looms.",
//!     "languages": [], "createdAt": 0, "updatedAt": 0,
//! }))?;
//! replay.expect_parked(&[])?;
//! # Ok::<(), replay_kit::ReplayError>(())
//! ```
//!
//! - **K1** A replay depends on its events alone.
//! - **K2** What is found is told with what was expected, member by member.
//!
//! In other languages: `profile-projector replay events.ndjson --as user_01ADA --expect answer.json`.

mod differences;
mod person;
mod replay;

pub use differences::differences;
pub use person::Person;
pub use replay::{FoundParked, Replay, ReplayError, message_of};
