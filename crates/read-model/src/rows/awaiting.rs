//! `awaiting`: the index of parked records by the identity they wait for.

use domain::{Sequence, WorkosUserId};

/// What all keys of an identity begin with. Its length comes first: an identity may hold any byte.
pub(crate) fn prefix(workos_id: &WorkosUserId) -> Vec<u8> {
    let text = workos_id.as_str().as_bytes();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut key = Vec::with_capacity(text.len().saturating_add(12));
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(text);
    key
}

pub(crate) fn key(workos_id: &WorkosUserId, sequence: Sequence) -> Vec<u8> {
    let mut key = prefix(workos_id);
    key.extend_from_slice(&sequence.get().to_be_bytes());
    key
}
