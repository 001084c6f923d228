//! Tools that judge what is handed to operators. A test that lacks one fails: it is installed, never left out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// The project's top folder.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The folder of a tool; it is installed if it is not there.
pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let script = root().join("tests/operations/tools");
    let found = Command::new("bash").arg(script).arg(name).output()?;
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    ensure!(found.status.success(), "{name} cannot be installed: {said}");
    Ok(String::from_utf8(found.stdout)?.trim().into())
}

/// Runs a command to its end, with this on its standard input; what it printed, or an error with all that it said.
pub fn judged(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let mut stdin = child.stdin.take().context("it has an input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let ended = child.wait_with_output()?;
    let (output, said) = (
        String::from_utf8(ended.stdout)?,
        String::from_utf8_lossy(&ended.stderr),
    );
    ensure!(ended.status.success(), "{command:?}: {output}{said}");
    // Findings that end with a good exit code are findings all the same.
    ensure!(said.is_empty(), "{command:?}: {said}");
    Ok(output)
}
