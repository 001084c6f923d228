//! `status`: how a running service is, on one screen.

mod screen;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::admin_client::AdminClient;
use crate::cli::StatusArgs;
use crate::exit::Failure;
use crate::printable;

/// How often it is looked at again.
const EVERY: Duration = Duration::from_secs(2);
/// What makes a terminal begin at its top.
const FROM_THE_TOP: &str = "\x1b[H\x1b[2J";

pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    super::block_on(async {
        let service = AdminClient::of(&args.admin)?;
        if !args.watch {
            return print("", &look(&service, args.json).await?);
        }
        let before = if io::stdout().is_terminal() && !args.json {
            FROM_THE_TOP
        } else {
            ""
        };
        loop {
            // A service that is restarted is waited for.
            let shown = look(&service, args.json).await;
            print(before, &shown.unwrap_or_else(|away| format!("{away:#}")))?;
            tokio::time::sleep(EVERY).await;
        }
    })
}

async fn look(service: &AdminClient, json: bool) -> anyhow::Result<String> {
    let status: Value = service.get("/status").await?;
    if json {
        return Ok(status.to_string());
    }
    let (_, ready) = service.ready().await?;
    Ok(screen::of(&status, &ready, service.url()))
}

fn print(before: &str, text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    let shown = printable::text(text);
    let written = writeln!(out, "{before}{}", shown.trim_end()).and_then(|()| out.flush());
    Ok(written.context("standard output")?)
}
