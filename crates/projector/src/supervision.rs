//! Supervision: what phase it is, and what is done when an attachment ends.
//!
//! ```text
//!             attached, behind            at the tail
//!  starting ------------------> catching_up --------> live <---.
//!     |  '-------- attached, nothing behind ------------^      | attached again
//!     |                                                        |
//!     '--- refused ---> blocked (looked at again every 5 s) ---'
//! ```
//!
//! `connection` stands beside the phase: losing the stream changes it alone. Everything here is pure:
//! time that passed and chance are handed in, what is to be done is handed out.

use std::time::Duration;

use domain::{Ahead, Checkpoint, Connection, Counted, Phase, Progress, Refusal, Void};

use crate::source::{Doubt, End, Outlook, Trouble};

/// Between attempts: from the first to the second, doubled, with jitter.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// An attachment that lasted this long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// How often a refused stream is looked at again.
const REFUSED_RETRY: Duration = Duration::from_secs(5);
/// Silences in a row after which the connection itself is doubted.
const SILENCES_MAX: u32 = 3;

/// The stream is verified, and this is left of it behind `applied`.
pub(crate) fn attached(progress: &mut Progress, applied: u64, outlook: Outlook) {
    let Outlook {
        tail,
        pending,
        counted_to,
        void_to,
    } = outlook;
    progress.connection = Connection::Connected;
    progress.folded = applied;
    progress.unkept_ns = None;
    progress.tail = Some(tail);
    progress.ahead = Ahead {
        void: Some(Void {
            after: applied,
            to: void_to,
        }),
        counted: Some(Counted {
            pending,
            tail: counted_to,
        }),
    };
    let is_behind = applied < tail && pending != 0;
    match &progress.phase {
        // Told until a batch was kept: before that nobody knows that it can be.
        Phase::Blocked(refusal) if is_behind && refusal.is_of_same_stream() => {
            progress.detail = Some(refusal.to_string());
        }
        Phase::Starting | Phase::CatchingUp { .. } | Phase::Live | Phase::Blocked(_) => {
            go_on(progress, is_behind, tail);
        }
    }
}

/// The stream cannot be read now. The phase stays.
pub(crate) fn lost(progress: &mut Progress, connection: Connection, detail: &str) {
    progress.connection = connection;
    progress.detail = Some(detail.to_owned());
}

/// The stream must not be applied, or cannot be kept.
pub(crate) fn refused(progress: &mut Progress, refusal: Refusal) {
    progress.connection = Connection::Connected;
    progress.detail = Some(refusal.to_string());
    // What was read past the checkpoint is read again.
    progress.folded = progress.applied();
    progress.unkept_ns = None;
    progress.phase = Phase::Blocked(refusal);
}

/// Rows up to this checkpoint are durable, and so many records are behind it, if that is known. There may be
/// none though the tail was not reached: its own message may have been deleted.
pub(crate) fn committed(progress: &mut Progress, checkpoint: Checkpoint, pending: Option<u64>) {
    let applied = checkpoint.sequence();
    progress.tail = progress.tail.max(Some(applied));
    progress.checkpoint = Some(checkpoint);
    progress.unkept_ns = None;
    let counted = progress.ahead.counted.take().zip(pending);
    progress.ahead.counted = counted.map(|(before, pending)| Counted { pending, ..before });
    let target = match progress.phase {
        Phase::CatchingUp { target } => target,
        Phase::Blocked(ref refusal) if refusal.is_of_same_stream() => {
            progress.tail.unwrap_or(applied)
        }
        Phase::Starting | Phase::Live | Phase::Blocked(_) => return,
    };
    go_on(progress, applied < target && pending != Some(0), target);
}

/// Applying goes on: towards `target`, or live when nothing is left before it.
fn go_on(progress: &mut Progress, is_behind: bool, target: u64) {
    progress.detail = None;
    progress.phase = if is_behind {
        Phase::CatchingUp { target }
    } else {
        progress.was_live = true;
        Phase::Live
    };
}

/// An attachment that ended, as the supervisor judges it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// How long it took, connecting included.
    pub(crate) lasted: Duration,
    /// Whether records came.
    pub(crate) has_moved: bool,
    /// From 0 to 1: spreads the attempts of many replicas.
    pub(crate) chance: f64,
}

/// What to do before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) wait: Duration,
    /// Give the connection up first.
    pub(crate) reconnect: bool,
    /// It is news: other than what was said last.
    pub(crate) say: bool,
}

/// Remembers what is needed to judge the end of an attachment.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pause: Duration,
    silences: u32,
    said: Option<String>,
    /// What was said is of a message, and attaching does not end it.
    is_of_message: bool,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            pause: RETRY_MIN,
            silences: 0,
            said: None,
            is_of_message: false,
        }
    }
}

impl Supervisor {
    /// What to do now that an attachment ended; `None` when that was asked for.
    pub(crate) fn ended(&mut self, end: &End, attempt: Attempt) -> Option<Verdict> {
        if GOOD_AFTER <= attempt.lasted || attempt.has_moved {
            self.pause = RETRY_MIN;
            self.silences = 0;
        }
        let (wait, say) = match end {
            End::Stopped => return None,
            End::Doubt(_) => {
                if attempt.has_moved || !self.is_of_message {
                    self.said = None;
                }
                (self.pause(attempt.chance), true)
            }
            End::Trouble(Trouble { detail, .. }) => {
                (self.pause(attempt.chance), self.is_news(detail))
            }
            End::Refused(refusal) | End::SetBack(refusal) => {
                self.is_of_message = matches!(refusal, Refusal::MessageUnreadable { .. });
                (REFUSED_RETRY, self.is_news(&refusal.to_string()))
            }
        };
        Some(Verdict {
            wait,
            reconnect: self.is_deaf(end),
            say,
        })
    }

    /// The wait between attempts: doubled each time, up to a bound.
    fn pause(&mut self, chance: f64) -> Duration {
        let wait = self.pause.mul_f64(0.5 + chance / 2.0);
        self.pause = (self.pause * 2).min(RETRY_MAX);
        wait
    }

    fn is_news(&mut self, text: &str) -> bool {
        let is_news = self.said.as_deref() != Some(text);
        self.said = Some(text.to_owned());
        is_news
    }

    /// Too many silences in a row.
    fn is_deaf(&mut self, end: &End) -> bool {
        match end {
            End::Doubt(Doubt::Silence { .. }) => self.silences += 1,
            End::Doubt(_) => self.silences = 0,
            End::Stopped | End::Trouble(_) | End::Refused(_) | End::SetBack(_) => {}
        }
        let is_deaf = SILENCES_MAX <= self.silences;
        if is_deaf {
            self.silences = 0;
        }
        is_deaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Attempt = Attempt {
        lasted: Duration::ZERO,
        has_moved: false,
        chance: 1.0,
    };

    fn outlook(tail: u64, pending: u64) -> Outlook {
        Outlook {
            tail,
            pending,
            counted_to: tail,
            void_to: 0,
        }
    }

    fn silence() -> End {
        End::Doubt(Doubt::Silence { millis: 1 })
    }

    fn trouble(detail: &str) -> End {
        End::Trouble(Trouble {
            connection: Connection::Disconnected,
            detail: detail.into(),
        })
    }

    #[test]
    fn attempts_come_slower_until_one_was_good() {
        let mut supervisor = Supervisor::default();
        let mut wait = |attempt| {
            let verdict = supervisor.ended(&trouble("gone"), attempt).unwrap();
            verdict.wait.as_millis()
        };
        let waits: Vec<u128> = (0..9).map(|_| wait(SHORT)).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        let (lasted, has_moved) = (GOOD_AFTER, true);
        assert_eq!(wait(Attempt { lasted, ..SHORT }), 50);
        assert_eq!(wait(SHORT), 100);
        assert_eq!(wait(Attempt { has_moved, ..SHORT }), 50);
        let chance = 0.0;
        assert_eq!(wait(Attempt { chance, ..SHORT }), 50, "half of 100");
    }

    #[test]
    fn three_silences_in_a_row_are_the_connections() {
        let mut supervisor = Supervisor::default();
        let mut reconnects = |end: End| supervisor.ended(&end, SHORT).unwrap().reconnect;
        let ends = [silence(), silence(), End::Doubt(Doubt::StreamChanged)];
        assert_eq!(ends.map(&mut reconnects), [false, false, false]);
        let ends = [silence(), trouble("no answer"), silence(), silence()];
        assert_eq!(ends.map(&mut reconnects), [false, false, false, true]);
        assert!(!reconnects(silence()), "it counts anew");
    }

    #[test]
    fn what_was_said_is_not_said_again_until_something_else_was() {
        let mut supervisor = Supervisor::default();
        let mut says = |end: End| supervisor.ended(&end, SHORT).unwrap().say;
        let refused = || {
            End::Refused(Refusal::AheadOfLog {
                applied: 2,
                last: 1,
            })
        };
        assert!(says(trouble("a")) && !says(trouble("a")));
        assert!(says(trouble("b")) && says(trouble("a")));
        assert!(says(refused()) && !says(refused()));
        assert!(says(silence()) && says(refused()));
        assert_eq!(supervisor.ended(&End::Stopped, SHORT), None);
    }

    #[test]
    fn a_full_disk_is_told_until_a_batch_was_kept() {
        let mut progress = Progress::default();
        attached(&mut progress, 0, outlook(9, 9));
        assert_eq!(progress.phase, Phase::CatchingUp { target: 9 });
        let detail = "full".to_owned();
        refused(&mut progress, Refusal::DiskLow { detail });
        lost(&mut progress, Connection::Disconnected, "gone");
        attached(&mut progress, 0, outlook(9, 9));
        assert_eq!(progress.phase.word(), "blocked");
        assert!(progress.detail.as_ref().unwrap().contains("full"));
        let stream = domain::StreamId {
            name: "S".into(),
            created_ns: 1,
        };
        committed(&mut progress, Checkpoint::start_of(stream), None);
        assert_eq!(progress.phase, Phase::CatchingUp { target: 9 });
        assert_eq!(progress.detail, None);
    }

    #[test]
    fn losing_the_stream_leaves_the_phase() {
        let mut progress = Progress::default();
        attached(&mut progress, 5, outlook(5, 0));
        assert!(progress.was_live);
        lost(&mut progress, Connection::StreamMissing, "none");
        assert_eq!(progress.phase, Phase::Live);
        refused(
            &mut progress,
            Refusal::AheadOfLog {
                applied: 5,
                last: 1,
            },
        );
        attached(&mut progress, 5, outlook(5, 0));
        assert_eq!((progress.phase, progress.detail), (Phase::Live, None));
    }
}
