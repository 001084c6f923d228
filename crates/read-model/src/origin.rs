//! What a file is of: what began it, with which release, and whether it was finished.

use domain::FOLD;

use crate::Place;
use domain::codec::{Cursor, Problem, Writer};

/// What began a file, so that none is taken for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// What began it.
    pub maker: Maker,
    /// The release that began it.
    pub release: Box<str>,
    /// That release's fold, see [`FOLD`].
    pub fold: u32,
    /// Whether the job that made it brought it to its goal once.
    pub is_finished: bool,
}

/// Who began a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// The projector of the rows that are served.
    Service,
    /// A rebuild beside it.
    Rebuild,
    /// A comparison.
    Verify,
    /// A snapshot was read into it.
    Snapshot,
}

impl Maker {
    const ALL: [(Self, u8); 4] = [
        (Self::Service, 0),
        (Self::Rebuild, 1),
        (Self::Verify, 2),
        (Self::Snapshot, 3),
    ];

    pub(crate) fn of(place: Place) -> Self {
        match place {
            Place::Live | Place::Previous | Place::LastGood => Self::Service,
            Place::Rebuild => Self::Rebuild,
            Place::Verify => Self::Verify,
        }
    }
}

impl Origin {
    /// What this release begins.
    pub(crate) fn new(maker: Maker) -> Self {
        Self {
            maker,
            release: env!("CARGO_PKG_VERSION").into(),
            fold: FOLD,
            is_finished: false,
        }
    }

    /// Whether this release, with the fold that it has, began it.
    pub fn is_ours(&self) -> bool {
        let ours = Self::new(self.maker);
        (&self.release, self.fold) == (&ours.release, ours.fold)
    }

    /// Whether a job made it and never finished it: nobody may be answered from it.
    pub fn is_unfinished(&self) -> bool {
        match self.maker {
            Maker::Rebuild | Maker::Verify => !self.is_finished,
            Maker::Service | Maker::Snapshot => false,
        }
    }
}

pub(crate) fn write(origin: &Origin) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut to = Writer(&mut bytes);
    let code = Maker::ALL
        .into_iter()
        .find(|(maker, _)| *maker == origin.maker);
    to.byte(code.map_or(0, |(_, code)| code));
    to.text(&origin.release);
    to.number(origin.fold.into());
    to.byte(origin.is_finished.into());
    bytes
}

pub(crate) fn read(bytes: &[u8]) -> Result<Origin, Problem> {
    let mut from = Cursor(bytes);
    let found = from.byte()?;
    let maker = Maker::ALL.into_iter().find(|(_, code)| *code == found);
    let (maker, _) = maker.ok_or("its maker is not known")?;
    let origin = Origin {
        maker,
        release: from.boxed()?,
        fold: u32::try_from(from.number()?).or(Err("its fold is out of range"))?,
        is_finished: from.byte()? != 0,
    };
    from.end()?;
    Ok(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_are_pinned() {
        let origin = Origin {
            maker: Maker::Rebuild,
            release: "1.2.3".into(),
            fold: 7,
            is_finished: true,
        };
        assert_eq!(write(&origin), b"\x01\x051.2.3\x07\x01");
        assert_eq!(read(&write(&origin)), Ok(origin));
        assert!(read(b"\x09\x051.2.3\x07\x01").is_err());
        assert!(read(b"\x01\x051.2.3\x07\x01\x00").is_err());
    }
}
