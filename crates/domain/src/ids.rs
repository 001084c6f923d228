//! Identifiers and versions. Each can only be made from a valid value (D3).

use std::fmt;
use std::num::NonZeroU64;

/// Longest user or profile id, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Longest `workosUserId`, in characters.
const WORKOS_ID_CHARS_MAX: usize = 256;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Ids of documents are subject tokens.
    #[error("expected 1 to 64 characters of A-Z a-z 0-9 _ -")]
    Document,
    /// Any text is legal for the identity provider's id, within a bound.
    #[error("expected 1 to 256 characters")]
    Workos,
}

macro_rules! document_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Opaque: 1 to 64 characters of `[A-Za-z0-9_-]`, which makes it a legal subject token.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes a text that is a valid id.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let legal = |b: u8| b.is_ascii_alphanumeric() | (b == b'_') | (b == b'-');
                // Without a branch for each byte: every event has several ids.
                let is_legal = || text.bytes().fold(true, |so_far, b| so_far & legal(b));
                if (1..=ID_BYTES_MAX).contains(&text.len()) && is_legal() {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId::Document)
                }
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        // The hash of a `Box<str>` is that of its text, so a map can be asked by text alone.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

document_id! {
    /// Names one user document and everything that belongs to that person.
    UserId
}
document_id! {
    /// Names one profile document.
    ProfileId
}

/// The identity provider's id of a user: the `sub` of a token. `Debug` hides it (D5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkosUserId(Box<str>);

impl WorkosUserId {
    /// Takes any text of 1 to 256 characters.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let short =
            text.len() <= WORKOS_ID_CHARS_MAX || text.chars().count() <= WORKOS_ID_CHARS_MAX;
        if text.is_empty() || !short {
            return Err(InvalidId::Workos);
        }
        Ok(Self(text.into()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A short hash (FNV-1a), never 0. It is stored: it stays as it is.
    pub(crate) fn hashed(&self) -> u32 {
        let bytes = self.0.bytes().map(u32::from);
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ byte).wrapping_mul(0x0100_0193)
        });
        hash.max(1)
    }
}

impl fmt::Debug for WorkosUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkosUserId(..)")
    }
}

/// Counts the changes of one document: 1, 2, 3 … At most 2^53 - 1, what every JSON reader keeps exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(NonZeroU64);

impl Version {
    /// The largest version.
    pub const MAX: u64 = (1 << 53) - 1;

    /// `None` for 0 and for anything above [`Version::MAX`].
    pub fn new(version: u64) -> Option<Self> {
        if version > Self::MAX {
            None
        } else {
            NonZeroU64::new(version).map(Self)
        }
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d3_an_id_that_exists_is_valid() {
        assert!(UserId::parse("jd7f2yq3tcc5h4ce9qhqdk0ach6hbmyb").is_ok());
        assert!(ProfileId::parse(&"x".repeat(64)).is_ok());
        for bad in ["", "a.b", "a b", "a*", "a>", "ä", &"x".repeat(65)] {
            assert_eq!(UserId::parse(bad), Err(InvalidId::Document), "{bad:?}");
        }
        assert!(WorkosUserId::parse(&"ä".repeat(256)).is_ok());
        assert!(WorkosUserId::parse(&"ä".repeat(257)).is_err());
        assert!(WorkosUserId::parse("").is_err());
        assert!(Version::new(0).is_none() && Version::new(Version::MAX + 1).is_none());
    }

    #[test]
    fn d5_the_identity_is_not_printed() {
        let id = WorkosUserId::parse("user_secret").unwrap();
        assert!(!format!("{id:?}").contains("secret"));
    }
}
