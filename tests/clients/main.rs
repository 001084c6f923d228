//! Real clients against the real service: the packages that people ask with, pinned, as they come
//! from npm, PyPI and crates.io. `tests/clients/run` installs them and runs this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its tally is for people"
)]

mod http;
mod live;
mod producers;
mod script;
