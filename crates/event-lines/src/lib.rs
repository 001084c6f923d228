//! The lines of a file of events.
//!
//! A file of events is NDJSON. A line is one of two things (`schemas/README.md`, "Files of events"):
//!
//! - an **event**: a structured `CloudEvent`. It stands for the message whose body is the line, with
//!   `Content-Type: application/cloudevents+json`, on the subject that its data names;
//! - a **message** as it stands in a stream: `{"subject": ..., "headers": {...}, "payload": ...}`.
//!   This is how an event in binary mode, a message that no producer should have sent, or a whole
//!   stream is written down, byte for byte.
//!
//! [`Lines`] reads a file of any size in bounded memory, [`Message::of_line`] says what a line stands
//! for, [`Message::to_line`] writes one. Whether an event is right is not judged here.

mod lines;
mod message;

pub use lines::{LINE_BYTES_MAX, Line, Lines};
pub use message::{LineFault, Message, is_message, lane_of};
