//! See `tests::fuzz::event_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::event_line(bytes));
