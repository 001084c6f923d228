//! The names of this module's metrics, and what they count.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, counter, gauge};

use super::AuthError;

/// Tokens looked at, by `result`: `accepted` or the reason for refusal.
const TOKENS: &str = "auth_tokens_total";
/// Loads of key sets, by `source` and `result` (`ok`, `failed`).
const LOADS: &str = "auth_jwks_loads_total";
/// Keys in use, by `source`.
const KEYS: &str = "auth_jwks_keys";
/// When the keys were last known to be right, in seconds since 1970, by `source`.
const CONFIRMED: &str = "auth_jwks_confirmed_timestamp_seconds";
/// Tokens that named a key we do not have.
const UNKNOWN_KEY: &str = "auth_unknown_key_total";
/// Of those, the ones that caused and awaited no load.
const RELOAD_SUPPRESSED: &str = "auth_jwks_reload_suppressed_total";

/// Counts good tokens; looked up once, since most requests bring one.
pub(super) fn accepted() -> Counter {
    counter!(TOKENS, "result" => "accepted")
}

pub(super) fn refused(error: &AuthError) {
    counter!(TOKENS, "result" => error.reason()).increment(1);
}

pub(super) fn unknown_key() {
    counter!(UNKNOWN_KEY).increment(1);
}

pub(super) fn reload_suppressed() {
    counter!(RELOAD_SUPPRESSED).increment(1);
}

pub(super) fn loaded(source: &str) {
    counter!(LOADS, "source" => source.to_owned(), "result" => "ok").increment(1);
}

/// Shows the keys of a source, last known to be right so long ago.
pub(super) fn in_use(source: &str, keys: usize, age: Duration) {
    gauge!(KEYS, "source" => source.to_owned()).set(u32::try_from(keys).unwrap_or(u32::MAX));
    let confirmed = SystemTime::now().checked_sub(age);
    let since_1970 = confirmed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let seconds = since_1970.unwrap_or_default().as_secs_f64();
    gauge!(CONFIRMED, "source" => source.to_owned()).set(seconds);
}

pub(super) fn load_failed(source: &str) {
    counter!(LOADS, "source" => source.to_owned(), "result" => "failed").increment(1);
}
