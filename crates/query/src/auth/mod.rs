//! Who may ask: bearer tokens of trusted issuers.
//!
//! A [`Verifier`] turns a token into an [`Identity`] or an [`AuthError`]. Its [`KeyLoader`] is a
//! future that keeps the issuers' signing keys fresh; the process runs both for as long as it lives.
//!
//! - A1: the algorithm is ours (RS256), never the token's.
//! - A2: no claim leaves this module before its signature was checked.
//! - A3: a token causes no request of its own: at most it asks the loader, which has a cooldown.
//! - A4: keys are replaced by a set that holds at least one, or not at all.
//! - A5: no part of a token is logged or counted by; the caller alone is shown its key id.
//!
//! What is accepted is decided here; which code and text a refusal has is Convex's contract.

mod admission;
mod claims;
mod config;
mod error;
mod fetch;
mod kept;
mod keys;
mod known;
mod latest;
mod loader;
mod metrics;
mod policy;
mod token;
mod verifier;

#[cfg(test)]
mod tests;

pub use config::{AuthConfig, ConfigFault, ConfigFaults};
pub use error::AuthError;
pub use keys::KeysStatus;
pub use loader::{ClientError, KeyLoader};
pub(crate) use metrics::describe_metrics;
pub use verifier::{Identity, Verifier, WallClock};

/// How many keys of a key set (RFC 7517) a verifier would use. An error is for people.
pub fn usable_keys(document: &[u8]) -> Result<usize, String> {
    let admitted = admission::admit(document);
    admitted
        .map(|admitted| admitted.keys.len())
        .map_err(|error| error.to_string())
}

/// Makes aws-lc the backend of token signatures for this process. Harmless when called again.
///
/// The signature library panics at its first check when a second backend was compiled in and none
/// was chosen, so `main` calls this first.
pub fn install_crypto() {
    // An error says that one was installed before.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
