//! `users`: user id to the user document and what is parked beside it.

use domain::{UserDocument, UserRow};

use super::{read_summary, read_version, read_workos_id, write_summary};
use domain::codec::{Cursor, Problem, Writer};

const ABSENT: u8 = 0;
const LIVE: u8 = 1;
const DELETED: u8 = 2;
const ERASED: u8 = 3;

/// The row's bytes; `None` for a row that holds nothing.
pub(crate) fn write(row: &UserRow, to: &mut Vec<u8>) -> Option<()> {
    if *row == UserRow::default() {
        return None;
    }
    let mut to = Writer(to);
    match &row.document {
        UserDocument::Absent => to.byte(ABSENT),
        UserDocument::Live { version, workos_id } => {
            to.byte(LIVE);
            to.number(version.get());
            to.text(workos_id.as_str());
        }
        UserDocument::Deleted { version } => {
            to.byte(DELETED);
            to.number(version.get());
        }
        UserDocument::Erased => to.byte(ERASED),
    }
    // The decisions come first, since a row without parked records ends before the summary.
    if row.decisions != 0 || !row.parked.is_empty() {
        to.number(row.decisions);
    }
    write_summary(&row.parked, &mut to);
    Some(())
}

/// The identity that the row's live user has, where it lies.
pub(crate) fn read_identity(bytes: &[u8]) -> Result<Option<&str>, Problem> {
    let mut from = Cursor(bytes);
    if from.is_empty() || from.byte()? != LIVE {
        return Ok(None);
    }
    let _version = from.number()?;
    from.text().map(Some)
}

pub(crate) fn read(bytes: &[u8]) -> Result<UserRow, Problem> {
    let mut from = Cursor(bytes);
    let document = match from.byte()? {
        ABSENT => UserDocument::Absent,
        LIVE => {
            let version = read_version(&mut from)?;
            UserDocument::Live {
                version,
                workos_id: read_workos_id(&mut from)?,
            }
        }
        DELETED => UserDocument::Deleted {
            version: read_version(&mut from)?,
        },
        ERASED => UserDocument::Erased,
        _ => return Err("the kind of document is unknown"),
    };
    let decisions = if from.is_empty() { 0 } else { from.number()? };
    let row = UserRow {
        document,
        parked: read_summary(&mut from)?,
        decisions,
    };
    from.end()?;
    Ok(row)
}
