//! Telling how far the projector is: one place changes the phase, so it cannot be told two ways.

use std::sync::Arc;

use domain::{Checkpoint, Connection, Phase, Progress, Refusal, Void};
use tokio::sync::watch;

use crate::source::Outlook;
use crate::supervision;

/// Changes the progress that everybody watches.
#[derive(Clone)]
pub(crate) struct Teller {
    progress: Arc<watch::Sender<Progress>>,
    /// Whether it is the progress of the rows that are served: of no other does the log tell.
    is_served: bool,
}

impl Teller {
    pub(crate) fn new(start: Progress, is_served: bool) -> (Self, watch::Receiver<Progress>) {
        let (sender, receiver) = watch::channel(start);
        let progress = Arc::new(sender);
        (
            Self {
                progress,
                is_served,
            },
            receiver,
        )
    }

    pub(crate) fn is_served(&self) -> bool {
        self.is_served
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(|progress| {
            let before = progress.phase.word();
            change(progress);
            if !self.is_served {
                return;
            }
            let now = progress.phase.word();
            if before != now {
                tracing::info!(phase = now, applied = progress.applied(), "phase is {now}");
            }
        });
    }

    /// Other rows are served from now on, and this is how far they are.
    pub(crate) fn replaced(&self, by: Progress) {
        self.change(|progress| *progress = by);
    }

    /// The stream is verified, and this is left of it.
    pub(crate) fn attached(&self, applied: u64, outlook: Outlook) {
        self.change(|progress| supervision::attached(progress, applied, outlook));
    }

    /// The stream cannot be read now.
    pub(crate) fn lost(&self, connection: Connection, detail: &str) {
        self.change(|progress| supervision::lost(progress, connection, detail));
    }

    /// The stream must not be applied, or cannot be kept.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.change(|progress| supervision::refused(progress, refusal));
    }

    /// The stream's tail was seen at `tail`.
    pub(crate) fn tail(&self, tail: u64) {
        self.change(|progress| progress.tail = progress.tail.max(Some(tail)));
    }

    /// Nothing comes from there any more.
    pub(crate) fn void(&self, void: Void) {
        self.change(|progress| progress.ahead.void = Some(void));
    }

    /// Rows up to this checkpoint are durable, and so many records are behind it, if that is known.
    pub(crate) fn committed(&self, checkpoint: Checkpoint, pending: Option<u64>) {
        self.change(|progress| supervision::committed(progress, checkpoint, pending));
    }

    /// Records up to this one are folded. Wakes nobody: what is not durable is not waited for.
    /// `oldest_ns` is when the first since the checkpoint was stored.
    pub(crate) fn folded(&self, sequence: u64, oldest_ns: Option<i64>) {
        self.progress.send_if_modified(|progress| {
            progress.folded = sequence;
            progress.unkept_ns = oldest_ns;
            false
        });
    }

    /// Nothing moves because of this, or something does again.
    pub(crate) fn waits_for(&self, what: Option<String>) {
        self.change(|progress| progress.waits_for = what);
    }

    /// All that was told.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// What is durable.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        self.progress.borrow().checkpoint.clone()
    }

    /// Whether the stream is known to end there.
    pub(crate) fn is_tail(&self, sequence: u64) -> bool {
        self.progress
            .borrow()
            .tail
            .is_some_and(|tail| tail <= sequence)
    }

    /// The tail that catching up leads to.
    pub(crate) fn target(&self) -> Option<u64> {
        match self.progress.borrow().phase {
            Phase::CatchingUp { target } => Some(target),
            Phase::Starting | Phase::Live | Phase::Blocked(_) => None,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.progress.borrow().phase == Phase::Live
    }
}
