//! See `tests::fuzz::jwks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::jwks(bytes));
