//! `people`: user id to a person, which is the row of the user and the row of the profiles, as one value: one
//! look-up serves an event, and one write a person.

use domain::{ProfileRow, UserRow};

use super::{profile, user};
use domain::codec::Problem;

/// The user row differs from the one that is committed.
pub(crate) const USER: u8 = 1;
/// The profile row does.
pub(crate) const PROFILES: u8 = 2;

/// A person without rows.
pub(crate) const NOTHING: [u8; 4] = [0; 4];

/// Appends both rows; either may be empty, which is the default row.
pub(crate) fn write(user: &UserRow, profiles: &ProfileRow, to: &mut Vec<u8>) {
    let at = begin(to);
    // `None` is a row that holds nothing, which is written as no bytes.
    let _ = user::write(user, to);
    end_user(at, to);
    let _ = profile::write(profiles, to);
}

fn begin(to: &mut Vec<u8>) -> usize {
    to.extend_from_slice(&NOTHING);
    to.len()
}

/// Writes the length of what stands since `at` before it.
fn end_user(at: usize, to: &mut [u8]) {
    let length = u32::try_from(to.len().saturating_sub(at)).unwrap_or(u32::MAX);
    if let Some(place) = to.get_mut(at.saturating_sub(4)..at) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// The user row and the profile row.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let (length, rows) = bytes.split_first_chunk().ok_or("it ends too early")?;
    let length = usize::try_from(u32::from_le_bytes(*length)).or(Err("a length is too large"))?;
    rows.split_at_checked(length).ok_or("it ends too early")
}

pub(crate) fn read(bytes: &[u8]) -> Result<(UserRow, ProfileRow), Problem> {
    let (user, profiles) = split(bytes)?;
    Ok((
        optional(user, user::read)?,
        optional(profiles, profile::read)?,
    ))
}

fn optional<T: Default>(
    bytes: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Problem>,
) -> Result<T, Problem> {
    if bytes.is_empty() {
        Ok(T::default())
    } else {
        read(bytes)
    }
}
