//! The tables of the file: what is stored, under which key.
//!
//! Keys and values are bytes that [`crate::rows`] and [`crate::meta`] write and read; behind each value
//! stands its [`crate::crc`]. Any change of them is a new [`LAYOUT`], and with it a rebuild.

use redb::TableDefinition;

/// The layout of everything in this crate that reaches the disk.
pub(crate) const LAYOUT: u32 = 6;

/// A table of bytes.
pub(crate) type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// User id to the rows of user and profiles, as one.
pub(crate) const PEOPLE: Bytes = TableDefinition::new("people");
/// `workosUserId` to user id.
pub(crate) const OWNERS: Bytes = TableDefinition::new("owners");
/// Lane and sequence to parked record.
pub(crate) const PARKED: Bytes = TableDefinition::new("parked");
/// Sequence of a parked record to its key in `parked` and the time it was stored in the stream.
pub(crate) const ARRIVALS: Bytes = TableDefinition::new("arrivals");
/// Awaited `workosUserId` and sequence to the user who waits.
pub(crate) const AWAITING: Bytes = TableDefinition::new("awaiting");
/// Single values: see [`crate::meta`].
pub(crate) const META: Bytes = TableDefinition::new("meta");
