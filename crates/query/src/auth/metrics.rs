//! The names of this module's metrics, and what they count.

use metrics::{Counter, counter, describe_counter};

use super::AuthError;

/// Tokens looked at, by `result`: `accepted` or the kind of refusal.
const TOKENS: &str = "profile_projector_tokens_total";
/// Loads of key sets, by `source` and `result` (`ok`, `failed`).
const LOADS: &str = "profile_projector_jwks_loads_total";
/// Tokens that named a key we do not have.
const UNKNOWN_KEY: &str = "profile_projector_tokens_unknown_key_total";
/// Of those, the ones that caused and awaited no load.
const RELOAD_SUPPRESSED: &str = "profile_projector_jwks_reloads_suppressed_total";
/// The result of a token that is good.
const ACCEPTED: &str = "accepted";

/// Gives every metric of tokens its help, and makes it visible before anything happens.
pub(crate) fn describe_metrics() {
    describe_counter!(TOKENS, "Tokens looked at, by result");
    describe_counter!(LOADS, "Loads of signing keys, by source and result");
    describe_counter!(UNKNOWN_KEY, "Tokens that named a key that is not there");
    describe_counter!(
        RELOAD_SUPPRESSED,
        "Tokens that named a key that is not there, for which no keys were loaded"
    );
    for result in AuthError::KINDS.into_iter().chain([ACCEPTED]) {
        counter!(TOKENS, "result" => result).increment(0);
    }
    for name in [UNKNOWN_KEY, RELOAD_SUPPRESSED] {
        counter!(name).increment(0);
    }
}

/// Makes the loads of a source visible before the first.
pub(super) fn begin_loads(source: &str) {
    for result in ["ok", "failed"] {
        counter!(LOADS, "source" => source.to_owned(), "result" => result).increment(0);
    }
}

/// Counts good tokens; looked up once, since most requests bring one.
pub(super) fn accepted() -> Counter {
    counter!(TOKENS, "result" => ACCEPTED)
}

pub(super) fn refused(error: &AuthError) {
    counter!(TOKENS, "result" => error.kind()).increment(1);
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

pub(super) fn load_failed(source: &str) {
    counter!(LOADS, "source" => source.to_owned(), "result" => "failed").increment(1);
}
