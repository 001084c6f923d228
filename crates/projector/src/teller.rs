//! Telling how far the projector is: one place changes the phase, so it cannot be told two ways.

use std::sync::Arc;

use domain::{Checkpoint, Connection, Phase, Progress, Refusal};
use metrics::gauge;
use tokio::sync::watch;

use crate::metrics::{APPLIED, LAG, PHASE, TAIL};

/// Changes the progress that everybody watches.
#[derive(Clone)]
pub(crate) struct Teller(Arc<watch::Sender<Progress>>);

impl Teller {
    pub(crate) fn new(start: Progress) -> (Self, watch::Receiver<Progress>) {
        let (sender, receiver) = watch::channel(start);
        (Self(Arc::new(sender)), receiver)
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        self.0.send_modify(|progress| {
            let before = progress.phase.word();
            change(progress);
            let now = progress.phase.word();
            if before != now {
                tracing::info!(phase = now, applied = progress.applied(), "phase is {now}");
            }
            for word in Phase::WORDS {
                gauge!(PHASE, "phase" => word).set(if word == now { 1.0 } else { 0.0 });
            }
            gauge!(APPLIED).set(exact(progress.applied()));
            gauge!(TAIL).set(exact(progress.tail.unwrap_or(0)));
            gauge!(LAG).set(exact(progress.lag_events()));
        });
    }

    /// The stream is verified and its tail was `tail`.
    pub(crate) fn attached(&self, applied: u64, tail: u64) {
        self.change(|progress| {
            progress.connection = Connection::Connected;
            progress.detail = None;
            progress.tail = Some(tail);
            progress.phase = if applied < tail {
                Phase::CatchingUp { target: tail }
            } else {
                Phase::Live
            };
            progress.was_live |= progress.phase == Phase::Live;
        });
    }

    /// The stream cannot be read now. The phase stays.
    pub(crate) fn lost(&self, connection: Connection, detail: &str) {
        self.change(|progress| {
            progress.connection = connection;
            progress.detail = Some(detail.to_owned());
        });
    }

    /// The stream must not be applied.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.change(|progress| {
            progress.connection = Connection::Connected;
            progress.detail = Some(refusal.to_string());
            progress.phase = Phase::Blocked(refusal);
        });
    }

    /// The stream's tail was seen at `tail`.
    pub(crate) fn tail(&self, tail: u64) {
        self.change(|progress| progress.tail = progress.tail.max(Some(tail)));
    }

    /// Rows up to this checkpoint are durable.
    pub(crate) fn committed(&self, checkpoint: Checkpoint) {
        self.change(|progress| {
            let applied = checkpoint.sequence();
            progress.tail = progress.tail.max(Some(applied));
            progress.checkpoint = Some(checkpoint);
            if let Phase::CatchingUp { target } = progress.phase
                && applied >= target
            {
                progress.phase = Phase::Live;
                progress.was_live = true;
            }
        });
    }

    /// The tail that catching up leads to.
    pub(crate) fn target(&self) -> Option<u64> {
        match self.0.borrow().phase {
            Phase::CatchingUp { target } => Some(target),
            Phase::Starting | Phase::Live | Phase::Blocked(_) => None,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.0.borrow().phase == Phase::Live
    }
}

/// Sequences are far below 2^53, where doubles are exact.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a gauge is a double"
)]
fn exact(sequence: u64) -> f64 {
    sequence as f64
}
