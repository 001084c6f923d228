//! See `tests::fuzz::subject`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::subject(bytes));
