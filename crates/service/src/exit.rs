//! How the process ends: 0 done, 1 failed, 2 asked for in a wrong way, 3 could not look (`doctor`).

use std::io::Write;
use std::process::ExitCode;

use crate::config::ConfigFaults;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigFaults),
    /// The command failed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// The command did its work and has already told what was wrong with what it was given.
    #[error("the input has faults")]
    Told,
    /// The command could not look at what it was to judge, so it says neither that it is well nor that it
    /// is not.
    #[error("{0:#}")]
    Blind(anyhow::Error),
}

/// An error and what caused it, in one line.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// Prints what is left to say and gives the code.
pub(crate) fn code_of(ended: &Result<(), Failure>) -> ExitCode {
    let (code, text) = match ended {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Told) => return ExitCode::from(1),
        Err(failure @ Failure::Config(_)) => (2, failure.to_string()),
        Err(failure @ Failure::Blind(_)) => (3, format!("error: {failure}")),
        Err(failure @ Failure::Failed(_)) => (1, format!("error: {failure}")),
    };
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "{}", crate::printable::text(&text));
    ExitCode::from(code)
}
