//! `profiles`: user id to the live profile, the tombstones of others, and what is parked.

use domain::codec::{Cursor, Problem, Writer};
use domain::{Gone, LiveProfile, PackedProfile, Profile, ProfileRow, Version, read_members};

use super::{read_profile_id, read_summary, read_version, write_summary};

const NONE: u8 = 0;
const LIVE: u8 = 1;

/// In place of a tombstone's version.
const ERASED: u64 = 0;

/// The row's bytes; `None` for a row that holds nothing.
pub(crate) fn write(row: &ProfileRow, to: &mut Vec<u8>) -> Option<()> {
    if *row == ProfileRow::default() {
        return None;
    }
    let mut to = Writer(to);
    match &row.live {
        None => to.byte(NONE),
        Some(live) => {
            to.byte(LIVE);
            to.text(live.id.as_str());
            to.number(live.version.get());
            to.raw(live.profile.as_bytes());
        }
    }
    to.length(row.gone.len());
    for (id, gone) in &row.gone {
        to.text(id.as_str());
        to.number(match gone {
            Gone::Deleted(version) => version.get(),
            Gone::Erased => ERASED,
        });
    }
    write_summary(&row.parked, &mut to);
    Some(())
}

pub(crate) fn read(bytes: &[u8]) -> Result<ProfileRow, Problem> {
    let mut from = Cursor(bytes);
    let mut row = ProfileRow {
        live: read_live(&mut from)?,
        ..ProfileRow::default()
    };
    for _ in 0..from.length()? {
        let id = read_profile_id(&mut from)?;
        let gone = match from.number()? {
            ERASED => Gone::Erased,
            version => Gone::Deleted(Version::new(version).ok_or("a version is out of range")?),
        };
        row.gone.push((id, gone));
    }
    row.parked = read_summary(&mut from)?;
    from.end()?;
    Ok(row)
}

fn read_live(from: &mut Cursor<'_>) -> Result<Option<LiveProfile>, Problem> {
    if !is_live(from)? {
        return Ok(None);
    }
    Ok(Some(LiveProfile {
        id: read_profile_id(from)?,
        version: read_version(from)?,
        profile: PackedProfile::take(from)?,
    }))
}

/// The live profile's id and members, where they lie: what a reader wants.
pub(crate) fn read_answer(bytes: &[u8]) -> Result<Option<(&str, Profile<&str>)>, Problem> {
    let mut from = Cursor(bytes);
    if from.is_empty() || !is_live(&mut from)? {
        return Ok(None);
    }
    let id = from.text()?;
    let _version = from.number()?;
    Ok(Some((id, read_members(&mut from)?)))
}

fn is_live(from: &mut Cursor<'_>) -> Result<bool, Problem> {
    match from.byte()? {
        NONE => Ok(false),
        LIVE => Ok(true),
        _ => Err("the kind of profile is unknown"),
    }
}
