//! SIGTERM and SIGINT, in one place.

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process that a signal ended: 128 and the signal's number.
const EXIT_INTERRUPTED: i32 = 130;

/// A token that the first signal cancels; a second signal ends the process at once.
pub(crate) fn stop_token() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Taken once, it ends the process no more: a write over the limit of file sizes fails instead, and
    // that is handled like a full disk.
    let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            let signal = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                tracing::info!(signal, "told to end");
                token.cancel();
            }
        }
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(stop)
}
