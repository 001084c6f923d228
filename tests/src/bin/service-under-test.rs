//! The program, built as part of the tests that run it: what `profile-projector` is, under a name
//! that cargo builds for them.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main()
}
