//! Standing still: nothing moves although something should, and neither phase nor connection says why.
//!
//! Every wait of the source has a bound, but bounds add up, and a disk has none. So progress itself is watched.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{Connection, Phase, Progress};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep};

use crate::teller::Teller;
use crate::writer::Feed;

/// How long nothing may move before that is told.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What an idle source waits for.
pub(crate) const RECORDS: &str = "records";

/// What the source is doing, for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doing(Arc<Mutex<Now>>);

#[derive(Debug, Clone, Default)]
struct Now {
    waits_for: &'static str,
    /// Why the last attachment ended, if nothing came since.
    after: Option<String>,
}

impl Doing {
    /// It waits for this from now on.
    pub(crate) fn waits_for(&self, what: &'static str) {
        self.change(|now| now.waits_for = what);
    }

    /// An attachment ended.
    pub(crate) fn ended(&self, why: String) {
        self.change(|now| now.after = Some(why));
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn now(&self) -> Now {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn said(&self) -> String {
        let now = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let after = now.after.map(|after| format!(", after: {after}"));
        format!("{}{}", now.waits_for, after.unwrap_or_default())
    }

    /// Looks at progress for ever, and tells when nothing moves.
    pub(crate) async fn watch(self, teller: Teller, feed: mpsc::Sender<Feed>) {
        let mut seen = (0, 0);
        let mut since = Instant::now();
        loop {
            sleep(LOOK_EVERY).await;
            let now = teller.progress();
            let moved = (now.applied(), now.read());
            if moved != seen {
                self.change(|now| now.after = None);
            }
            if moved != seen || !self.is_awaited(&now) {
                (seen, since) = (moved, Instant::now());
            }
            let is_taken = feed.capacity() == feed.max_capacity();
            let waits_for = (PATIENCE <= since.elapsed()).then(|| self.of(&now, is_taken));
            if waits_for.is_some() != now.waits_for.is_some() {
                if let Some(what) = &waits_for {
                    tracing::warn!("it stands still: {what}");
                } else {
                    tracing::info!("it goes on after standing still");
                }
            }
            if waits_for != now.waits_for {
                teller.waits_for(waits_for);
            }
        }
    }

    /// Whether something should move that nothing else is told of. What the stream got meanwhile is not known
    /// while it is attached to.
    fn is_awaited(&self, now: &Progress) -> bool {
        let is_told = now.connection != Connection::Connected && now.detail.is_some();
        match now.phase {
            Phase::Blocked(_) => false,
            Phase::Starting | Phase::CatchingUp { .. } | Phase::Live => {
                !is_told && (now.lag_events() != 0 || self.now().waits_for != RECORDS)
            }
        }
    }

    /// `is_taken` says whether the writer has taken all that was handed to it.
    fn of(&self, now: &Progress, is_taken: bool) -> String {
        let (applied, read) = (now.applied(), now.read());
        if !is_taken {
            format!(
                "what was read behind message {read} waits for the writer for more than {} s: a slow disk",
                PATIENCE.as_secs()
            )
        } else if applied < read {
            format!(
                "messages {} to {read} are read, and for more than {} s not kept: a large batch, or a slow disk",
                applied.saturating_add(1),
                PATIENCE.as_secs()
            )
        } else {
            format!(
                "nothing behind message {read} came for more than {} s: waiting for {}",
                PATIENCE.as_secs(),
                self.said()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Checkpoint;

    use super::*;
    use crate::source::Outlook;

    fn outlook(tail: u64) -> Outlook {
        Outlook {
            tail,
            pending: tail,
            counted_to: tail,
            void_to: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_keeps_nothing_is_told() {
        let (teller, progress) = Teller::new(Progress::default(), false);
        let (feed, mut taken) = mpsc::channel(4);
        let doing = Doing::default();
        doing.waits_for(RECORDS);
        let watching = doing.watch(teller.clone(), feed.clone());
        let telling = async {
            teller.attached(0, outlook(9));
            teller.folded(5, None);
            sleep(PATIENCE + LOOK_EVERY * 3).await;
            let now = progress.borrow().clone();
            let said = now.standing_still().unwrap();
            assert!(said.starts_with("messages 1 to 5 are read"), "{said}");
            feed.send(Feed::Records(crate::chunk::Chunk::default()))
                .await
                .unwrap();
            sleep(LOOK_EVERY * 2).await;
            let now = progress.borrow().clone();
            assert!(
                now.standing_still()
                    .unwrap()
                    .contains("waits for the writer")
            );
            let _ = taken.recv().await;
            let stream = domain::StreamId {
                name: "S".into(),
                created_ns: 1,
            };
            teller.committed(Checkpoint::start_of(stream), Some(0));
            sleep(LOOK_EVERY * 2).await;
            assert_eq!(progress.borrow().standing_still(), None);
        };
        tokio::select! {
            () = watching => {}
            () = telling => {}
        }
    }
}
