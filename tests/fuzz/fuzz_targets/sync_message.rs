//! See `tests::fuzz::sync_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::sync_message(bytes));
