//! One file per command.

mod as_of;
mod bar;
mod check;
mod dev;
pub(crate) mod doctor;
mod erase;
mod import;
mod job;
mod publish;
mod quarantine;
mod ready;
mod rebuild;
mod replay;
mod replay_serve;
mod restore;
mod schema;
mod sending;
mod serve;
mod snapshot;
mod status;
mod token;
mod verify;
mod waiting;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use crate::cli::Command;
use crate::exit::Failure;

/// Runs a command to its end. `warning` is about its environment.
pub(crate) fn run(command: Command, warning: Option<&str>) -> Result<(), Failure> {
    if let Some(warning) = warning
        && !matches!(command, Command::Serve(_))
    {
        // Nobody is left to warn when standard error is gone.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    match command {
        Command::Check(args) => check::run(&args),
        Command::Dev(args) => dev::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::AsOf(args) => as_of::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Ready(args) => ready::run(&args),
        Command::Rebuild(args) => rebuild::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Serve(args) => serve::run(&args, warning),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Verify(args) => verify::run(&args),
    }
}

/// A new file for nobody else's eyes: people's data goes into it.
fn new_file(path: &Path) -> anyhow::Result<File> {
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    made.with_context(|| format!("{} cannot be made", path.display()))
}

/// After so many steps of tasks a thread looks for what has come meanwhile: with the usual 61 a request would wait that
/// long before anybody sees it while many are busy.
const EVENT_INTERVAL: u32 = 13;

/// Runs `work` on a runtime of its own. What is left on it when `work` ends is given up.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .map_err(|problem| anyhow::anyhow!("no runtime can be started: {problem}"))?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    ended
}
