//! Which issuers are trusted, and what a token of each must say.

use std::fmt::Write;

use super::AuthError;
use super::claims::{Claims, Text, text_of};

/// Seconds that two clocks may differ.
const LEEWAY: u64 = 5;
/// A time in seconds at or after this is no time (the year 36812).
const TIME_END: u64 = 1 << 40;
/// Longest life of a `WorkOS` session token; their default is 5 minutes.
const SESSION_SECONDS_MAX: u64 = 24 * 60 * 60;

/// What ties a token to us and not to another client of the same issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// The issuer alone: whoever configured it says that it issues for nobody else.
    Issuer,
    /// `aud` must hold this.
    Audience(Box<str>),
    /// A `WorkOS` client. What the token carries of `aud` and `client_id` must name it.
    Client {
        /// The client id.
        id: Box<str>,
        /// The issuer serves other clients too, so that at least one of the two must be there.
        shared: bool,
    },
}

impl Binding {
    fn admits(&self, claims: &Claims<'_>) -> bool {
        match self {
            Self::Issuer => true,
            Self::Audience(id) => claims.aud.holds(id),
            Self::Client { id, shared } => {
                let named = claims.client_id.is_some_and(|raw| is_text(raw, id));
                let other = claims.client_id.is_some() && !named;
                let bound = named || claims.aud.holds(id) || !shared;
                bound && !other && !claims.aud.excludes(id)
            }
        }
    }

    fn id(&self) -> Option<&str> {
        match self {
            Self::Issuer => None,
            Self::Audience(id) | Self::Client { id, .. } => Some(id),
        }
    }
}

fn is_text(raw: &serde_json::value::RawValue, wanted: &str) -> bool {
    text_of(raw).is_some_and(|text| text.as_str() == wanted)
}

/// A trusted issuer.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    /// As configured: what the development text lists.
    pub(super) name: Box<str>,
    /// What ties its tokens to us.
    pub(super) binding: Binding,
    /// Whether its tokens must look like `WorkOS` session tokens: the same keys sign other kinds.
    pub(super) workos_sessions: bool,
    /// Where its keys are, as a place in the list of key sources.
    pub(super) keys: usize,
}

impl Issuer {
    /// Picks the issuer of a token, the first that matches both its issuer and its audience.
    pub(super) fn of<'i>(trusted: &'i [Self], claims: &Claims<'_>) -> Result<&'i Self, Mismatch> {
        let iss = claims.iss.as_ref().ok_or(Mismatch::NoIssuer)?;
        let mut reason = "unknown_issuer";
        for issuer in trusted
            .iter()
            .filter(|issuer| same(&issuer.name, iss.as_str()))
        {
            if issuer.binding.admits(claims) {
                return Ok(issuer);
            }
            reason = "audience";
        }
        Err(Mismatch::NoProvider(reason))
    }

    /// The trusted issuers as Convex lists them.
    pub(super) fn listed(trusted: &[Self]) -> String {
        let mut list = String::new();
        for Self { name, binding, .. } in trusted {
            let comma = if list.is_empty() { "" } else { ", " };
            let id = binding.id().unwrap_or("none");
            // Writing to a `String` cannot fail.
            let _ = write!(list, "{comma}CustomJWT(issuer={name}, app_id={id})");
        }
        list
    }

    /// Checks what must hold of verified claims beyond time, and returns `sub` and `exp`.
    pub(super) fn check<'c>(&self, claims: &'c Claims<'_>) -> Result<(&'c str, u64), AuthError> {
        let refused = |reason| AuthError::Claims { reason };
        let sub = claims.sub.as_ref().map(Text::as_str);
        let sub = sub.ok_or(refused("no_sub"))?;
        let exp = claims.exp.ok_or(refused("no_exp"))?;
        let iat = claims.iat.ok_or(refused("no_iat"))?;
        if exp >= TIME_END {
            return Err(refused("exp_absurd"));
        }
        if self.workos_sessions {
            let sid = claims.sid.and_then(text_of).ok_or(refused("no_sid"))?;
            if !has_prefix(sub, "user_") {
                return Err(refused("sub_kind"));
            }
            if !has_prefix(sid.as_str(), "session_") {
                return Err(refused("sid_kind"));
            }
            if exp.saturating_sub(iat) > SESSION_SECONDS_MAX {
                return Err(refused("lifetime"));
            }
        }
        Ok((sub, exp))
    }
}

/// Why no issuer was picked.
pub(super) enum Mismatch {
    NoIssuer,
    NoProvider(&'static str),
}

/// Compares a token's issuer with a trusted one as Convex does: trailing slashes do not count, and
/// a missing scheme means https. Everything else is exact.
fn same(trusted: &str, iss: &str) -> bool {
    let (trusted, trusted_is_http) = without_https(trusted);
    let (iss, iss_is_http) = without_https(iss);
    trusted == iss && trusted_is_http == iss_is_http
}

/// A name without slashes at the end and without `https://`, and whether it begins `http://`.
fn without_https(name: &str) -> (&str, bool) {
    let name = name.trim_end_matches('/');
    let bare = name.strip_prefix("https://").unwrap_or(name);
    (bare, name.starts_with("http://"))
}

/// An id of this kind: the prefix and then only what such ids are made of.
fn has_prefix(id: &str, prefix: &str) -> bool {
    let rest = id.strip_prefix(prefix).unwrap_or("");
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The times of a token, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) exp: Option<u64>,
    pub(super) nbf: Option<u64>,
    pub(super) iat: Option<u64>,
}

/// Compares a token's times with the clock: what it shows `now`, and the `latest` time that counts for this
/// token. All in seconds since 1970.
pub(super) fn check_time(times: Times, now: u64, latest: u64) -> Result<(), AuthError> {
    if let Some(exp) = times.exp
        && exp.saturating_add(LEEWAY) < latest
    {
        return Err(AuthError::Expired {
            seconds_ago: latest.saturating_sub(exp),
        });
    }
    for begins in [times.nbf, times.iat].into_iter().flatten() {
        if begins > now.saturating_add(LEEWAY) {
            return Err(AuthError::Early {
                seconds: begins.saturating_sub(now),
            });
        }
    }
    Ok(())
}
