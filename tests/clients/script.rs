//! Clients in other languages: scripts that ask and judge, run as child processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::broker::project_file;
use tokio::process::Command;

/// The longest that a script may take; it is killed then.
const WITHIN: Duration = Duration::from_mins(4);

/// The API document that the service implements. It stands beside the project's folder.
const API_DOCUMENT: &str = "../shared/seed-getCurrentUserProfile.md";

/// A script of `tests/clients/npm`.
pub(crate) fn node(script: &str) -> Command {
    command("node", &format!("npm/{script}"))
}

/// The program of `tests/clients/rust`.
pub(crate) fn rust() -> anyhow::Result<Command> {
    Ok(Command::new(built_file("debug/convex-client")?))
}

/// A file in the folder that everything is built in.
pub(crate) fn built_file(path: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(3).context("where things are built")?;
    Ok(folder.join(path))
}

/// A script of `tests/clients/python`. Its packages are where `tests/clients/run` put them.
pub(crate) fn python(script: &str) -> Command {
    command("python3", &format!("python/{script}"))
}

fn command(program: &str, script: &str) -> Command {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut command = Command::new(program);
    command.arg(clients.join(script));
    command
}

/// Runs a script to its end, which has to be a good one, and prints what it said.
pub(crate) async fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("{}", said(command).await?.trim_end());
    Ok(())
}

/// Runs a script to its end, which has to be a good one, and gives what it said.
pub(crate) async fn said(command: &mut Command) -> anyhow::Result<String> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(WITHIN, command.output()).await;
    let output = output.context("the script did not end")??;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {said}\n{complained}",
        output.status
    );
    Ok(said.into_owned())
}

/// Takes the OpenAPI document out of the page that it is shown on; gives the file.
pub(crate) fn api_document(folder: &Path) -> anyhow::Result<PathBuf> {
    let page = project_file(API_DOCUMENT)?;
    let opened = page.split_once("````yaml").context("no YAML in it")?.1;
    let document = opened.split_once("````").context("no end of it")?.0;
    // The first line names the operation.
    let document = document.split_once('\n').context("one line of it")?.1;
    let path = folder.join("openapi.yaml");
    std::fs::write(&path, document)?;
    Ok(path)
}
