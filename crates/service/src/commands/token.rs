//! `token`: a token of the development issuer.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::cli::TokenArgs;
use crate::exit::Failure;
use devkit::issuer::DevIssuer;

/// Long enough for a day's work with one token.
const LIFETIME: Duration = Duration::from_hours(24);

pub(crate) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let token = mint(&args.data_dir, &args.subject)?;
    writeln!(io::stdout(), "{token}").context("the token cannot be printed")?;
    Ok(())
}

/// A token of the issuer whose key is in `folder`; the key is made if it is not there.
pub(super) fn mint(folder: &Path, subject: &str) -> anyhow::Result<String> {
    let issuer = DevIssuer::open(folder)?;
    Ok(issuer.mint(subject, SystemTime::now(), LIFETIME)?)
}
