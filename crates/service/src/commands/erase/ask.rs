//! Questions before something is done that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;

/// How often a spinner turns.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// Whether somebody can be asked.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal; anything but yes ends the command.
pub(super) async fn whether(question: String, bar: &ProgressBar) -> anyhow::Result<()> {
    // A spinner that goes on would write over the question.
    bar.finish_and_clear();
    write!(io::stderr(), "{question} [y/N] ").context("nobody can be asked")?;
    // The command may be interrupted while somebody thinks.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await?.context("the answer cannot be read")?;
    if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        bail!("not confirmed: nothing was published or deleted");
    }
    bar.reset();
    bar.enable_steady_tick(TICK);
    Ok(())
}
