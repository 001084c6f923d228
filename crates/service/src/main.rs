//! The `profile-projector` binary.
fn main() {}
