//! See `tests::fuzz::bearer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::bearer(bytes));
