//! Who asks: the `Convex-Client` header, and which versions are still served.

use semver::Version;

/// The header's name.
pub const CLIENT_HEADER: &str = "convex-client";
/// Says what becomes of the client's version, on an answer to an old one.
pub const DEPRECATION_STATE_HEADER: &str = "x-convex-deprecation-state";
/// Says how to update, beside [`DEPRECATION_STATE_HEADER`].
pub const DEPRECATION_MESSAGE_HEADER: &str = "x-convex-deprecation-message";

/// A client's name and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientVersion {
    family: Family,
    version: Known,
}

/// Clients that share their version numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the registries")]
pub enum Family {
    Npm,
    Python,
    Rust,
    /// Any other name: no version is too old.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Semver(Version),
    /// Not a version: below every threshold for support, above every one for formats.
    Unrecognized(Box<str>),
}

/// Why a client's name and version cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidClientVersion {
    #[error(
        "Failed to parse client version string: '{0}'. Expected format is {{client_name}}-{{semver}}, e.g. my-esolang-client-0.0.1"
    )]
    Header(String),
    #[error("Failed to parse client version: {0}")]
    UrlSegment(String),
}

/// What becomes of a client's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// Served.
    Supported,
    /// Served, with a warning for the client's author.
    Deprecated(String),
    /// Refused with this text.
    Unsupported(String),
}

impl ClientVersion {
    /// Takes the header's value: `<name>-<version>`.
    pub fn parse(header: &str) -> Result<Self, InvalidClientVersion> {
        let (first, rest) = header
            .split_once('-')
            .ok_or_else(|| InvalidClientVersion::Header(header.to_owned()))?;
        // The longest suffix that is a version wins, so a name may hold dashes and a version a
        // pre-release.
        let split = header.match_indices('-').find_map(|(at, _)| {
            let (name, suffix) = (header.get(..at)?, header.get(at + 1..)?);
            Version::parse(suffix).ok().map(|version| (name, version))
        });
        Ok(match split {
            Some((name, version)) => Self {
                family: Family::of(name),
                version: Known::Semver(version),
            },
            None => Self {
                family: Family::of(first),
                version: Known::Unrecognized(rest.into()),
            },
        })
    }

    /// Takes the version in `/api/<version>/sync`, which only npm's client writes there.
    pub fn from_url_segment(segment: &str) -> Result<Self, InvalidClientVersion> {
        let version = Version::parse(segment)
            .map_err(|error| InvalidClientVersion::UrlSegment(error.to_string()))?;
        Ok(Self {
            family: Family::Npm,
            version: Known::Semver(version),
        })
    }

    /// Whose version numbers these are.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Compares for a choice of format: what is not a version counts as newest.
    pub(crate) fn is_below(&self, major: u64, minor: u64, patch: u64) -> bool {
        match &self.version {
            Known::Semver(version) => *version < Version::new(major, minor, patch),
            Known::Unrecognized(_) => false,
        }
    }

    /// Compares for support: what is not a version counts as oldest.
    fn is_at_most(&self, major: u64, minor: u64, patch: u64) -> bool {
        match &self.version {
            Known::Semver(version) => *version <= Version::new(major, minor, patch),
            Known::Unrecognized(_) => true,
        }
    }

    /// Whether this version is still served.
    pub fn support(&self) -> Support {
        let (name, advice, unsupported, deprecated) = match self.family {
            Family::Npm => (
                "npm",
                "with `npx convex update` or `npm update`.",
                self.is_at_most(0, 19, 1),
                false,
            ),
            Family::Python => (
                "python",
                "with `pip install --upgrade convex`.",
                self.is_at_most(0, 0, 2),
                self.is_at_most(0, 2, 0),
            ),
            Family::Rust => (
                "rust",
                "with `cargo update -p convex` or by updating `Cargo.toml`.",
                self.is_at_most(0, 0, 1),
                false,
            ),
            Family::Other => return Support::Supported,
        };
        let text = |fate: &str| {
            let version = match &self.version {
                Known::Semver(version) => version.to_string(),
                Known::Unrecognized(text) => text.to_string(),
            };
            format!(
                "The Convex {name} package at version {version} {fate} Update your Convex {name} version {advice}"
            )
        };
        if unsupported {
            Support::Unsupported(text("is no longer supported."))
        } else if deprecated {
            Support::Deprecated(text("is deprecated and will no longer be supported."))
        } else {
            Support::Supported
        }
    }
}

impl Family {
    fn of(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "npm" | "npm-cli" | "actions" => Self::Npm,
            "python" | "python-convex" => Self::Python,
            "rust" => Self::Rust,
            _ => Self::Other,
        }
    }
}
