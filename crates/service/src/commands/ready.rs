//! `ready`: whether requests may be sent to a service, for health checks.

use std::io::{self, Write};

use anyhow::Context;

use crate::admin_client::AdminClient;
use crate::cli::ReadyArgs;
use crate::exit::Failure;
use crate::printable;

pub(crate) fn run(args: &ReadyArgs) -> Result<(), Failure> {
    super::block_on(async {
        let service = AdminClient::of(&args.admin)?;
        let (is_ready, said) = service.ready().await?;
        writeln!(io::stdout(), "{}", printable::piece(&said)).context("standard output")?;
        if is_ready { Ok(()) } else { Err(Failure::Told) }
    })
}
