//! The `profile-projector` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main()
}
