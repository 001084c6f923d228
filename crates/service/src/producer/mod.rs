//! The producer's side of the contract: what a file of events must be, and how it gets into the stream.
//!
//! A file holds one structured `CloudEvent` a line (`schemas/README.md`). [`Checker`] judges a line
//! strictly, by the schemas and then by the projector's own decoder, so that what passes here is
//! applied there. `send` publishes what passed.

mod account;
mod attempt;
mod check;
mod encoding;
mod event;
mod example;
mod expected;
mod export;
mod fault;
mod json;
mod message;
mod other_format;
mod pair;
mod read;
mod repeats;
mod schema_fault;
mod schemas;
pub(crate) mod send;
mod stored;
mod versions;
mod way;

pub(crate) use account::{Account, Landed, Whose};
pub(crate) use attempt::send_one;
pub use check::Checker;
pub(crate) use event::HEADERS;
pub use event::OutgoingEvent;
pub use event_lines::{LINE_BYTES_MAX, Line, Lines};
pub(crate) use example::{ExampleForm, example};
pub(crate) use export::{Export, Row, Unknown};
pub use fault::Fault;
pub(crate) use other_format::of_first;
pub(crate) use read::{Place, Read, open, read_in_background};
pub use repeats::Contents;
pub(crate) use repeats::{Ids, Seen, other_event, other_events};
pub use schemas::EVENT_TYPES;
pub(crate) use schemas::{DOCUMENTS, Document};
pub(crate) use stored::version_of;
pub(crate) use versions::{Counts as VersionCounts, Note, Versions};
