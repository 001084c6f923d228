//! The ledger of one attachment: what was asked for, what came, and whether they agree.
//!
//! The server numbers what it delivers to a consumer 1, 2, 3 … A hole in those numbers is a record
//! that was lost on the way; a hole in the stream's numbers alone is a deleted one, and legal.

use std::collections::VecDeque;

use domain::{Fingerprint, Sequence, Void};
use tokio::time::{Duration, Instant};

/// Why what was delivered cannot be trusted, or will not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    #[error("delivery {found} came where {expected} was due: records were lost on the way")]
    DeliveryGap { expected: u64, found: u64 },
    #[error("the server delivered {theirs} records, {ours} arrived")]
    TailLost { ours: u64, theirs: u64 },
    #[error("record {sequence} was handed over before")]
    Reread { sequence: u64 },
    #[error("a record came that is not of our stream and consumer")]
    Foreign,
    #[error("nothing was heard for {millis} ms")]
    Silence { millis: u128 },
    #[error("{why}")]
    ConnectionLost { why: String },
    #[error("{why}")]
    NoFrame { why: String },
    #[error("the server ended the consumer: {said}")]
    ConsumerEnded { said: String },
    #[error("the stream is not the one that was verified")]
    StreamChanged,
    #[error("message {sequence} is there and was asked for, and the consumer does not deliver it")]
    Stalled { sequence: u64 },
    #[error("message {sequence} was read by itself")]
    ReadAlone { sequence: u64 },
}

impl Doubt {
    /// Every word.
    pub(crate) const WORDS: [&'static str; 11] = [
        "delivery_gap",
        "tail_lost",
        "reread",
        "foreign_record",
        "silence",
        "connection_lost",
        "no_frame",
        "consumer_ended",
        "stream_changed",
        "stalled",
        "read_alone",
    ];

    /// The word for it in metrics and logs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::DeliveryGap { .. } => "delivery_gap",
            Self::TailLost { .. } => "tail_lost",
            Self::Reread { .. } => "reread",
            Self::Foreign => "foreign_record",
            Self::Silence { .. } => "silence",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::NoFrame { .. } => "no_frame",
            Self::ConsumerEnded { .. } => "consumer_ended",
            Self::StreamChanged => "stream_changed",
            Self::Stalled { .. } => "stalled",
            Self::ReadAlone { .. } => "read_alone",
        }
    }
}

/// What a delivery says of itself: the tokens of its reply subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery<'a> {
    pub(crate) stream: &'a str,
    pub(crate) consumer: &'a str,
    pub(crate) sequence: u64,
    pub(crate) number: u64,
    pub(crate) time_ns: i64,
    /// Records behind it that the server could send at that moment.
    pub(crate) pending: u64,
}

impl<'a> Delivery<'a> {
    /// Reads `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<delivery>.<time>.<pending>`, with domain
    /// and account before the stream where there are eleven tokens or more.
    pub(crate) fn parse(reply: &'a str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        let tokens = rest.split('.').count();
        let mut tokens = rest.split('.').skip(if tokens < 9 { 0 } else { 2 });
        let (stream, consumer) = (tokens.next()?, tokens.next()?);
        let _times = tokens.next()?;
        Some(Self {
            stream,
            consumer,
            sequence: tokens.next()?.parse().ok()?,
            number: tokens.next()?.parse().ok()?,
            time_ns: tokens.next()?.parse().ok()?,
            pending: tokens.next()?.parse().ok()?,
        })
    }
}

/// One request for records that the server has not used up.
#[derive(Debug)]
struct Pull {
    id: u64,
    left: u64,
    asked: Instant,
}

/// A message that should come.
#[derive(Debug, Clone, Copy)]
struct Owed {
    sequence: u64,
    /// Where we were when it was noted.
    position: u64,
    since: Instant,
}

/// What was asked for and what came, in one attachment.
#[derive(Debug)]
pub(crate) struct Ledger {
    delivered: u64,
    position: u64,
    /// Up to where the server has looked for records to send.
    passed: u64,
    void: Option<Void>,
    owed: Option<Owed>,
    pulls: VecDeque<Pull>,
    next_id: u64,
    heard: Instant,
}

impl Ledger {
    /// A ledger for a consumer that starts behind `position`.
    pub(crate) fn new(position: u64, now: Instant) -> Self {
        Self {
            delivered: 0,
            position,
            passed: position,
            void: None,
            owed: None,
            pulls: VecDeque::new(),
            next_id: 0,
            heard: now,
        }
    }

    /// Takes a delivery into account, if it is the next one.
    pub(crate) fn accept(
        &mut self,
        delivery: &Delivery<'_>,
        now: Instant,
    ) -> Result<Fingerprint, Doubt> {
        self.heard = now;
        let expected = self.delivered.saturating_add(1);
        if delivery.number != expected {
            return Err(Doubt::DeliveryGap {
                expected,
                found: delivery.number,
            });
        }
        let sequence = delivery.sequence;
        let place = Sequence::new(sequence).filter(|_| sequence > self.position);
        let place = place.ok_or(Doubt::Reread { sequence })?;
        self.delivered = expected;
        self.position = sequence;
        if let Some(pull) = self.pulls.front_mut() {
            pull.left = pull.left.saturating_sub(1);
            if pull.left == 0 {
                self.pulls.pop_front();
            }
        }
        Ok(Fingerprint {
            sequence: place,
            time_ns: delivery.time_ns,
        })
    }

    /// Compares a heartbeat: `delivered` is how many records the server sent, `passed` the sequence up to
    /// which it has nothing more to send.
    pub(crate) fn heartbeat(
        &mut self,
        delivered: Option<u64>,
        passed: Option<u64>,
        now: Instant,
    ) -> Result<(), Doubt> {
        self.heard = now;
        let Some(theirs) = delivered else {
            return Ok(());
        };
        if theirs != self.delivered {
            return Err(Doubt::TailLost {
                ours: self.delivered,
                theirs,
            });
        }
        // Everything sent has come, so what lies between was deleted.
        let known = self.passed.max(self.position);
        if let Some(to) = passed.filter(|to| known < *to) {
            self.passed = to;
            self.void = Some(Void {
                after: self.position,
                to,
            });
        }
        Ok(())
    }

    /// A stretch without records, once, if one was found since it was asked for.
    pub(crate) fn found_void(&mut self) -> Option<Void> {
        self.void.take()
    }

    /// A message that the stream may hold, that was asked for, and in whose stead nothing came for `patience`,
    /// though the server is alive; `tail` is the stream's last one now.
    pub(crate) fn owed(&mut self, tail: u64, now: Instant, patience: Duration) -> Option<u64> {
        let reached = self.passed.max(self.position);
        let is_owed = reached < tail && self.credit() != 0;
        let held = self
            .owed
            .filter(|owed| is_owed && owed.position == self.position && reached < owed.sequence);
        self.owed = held.or_else(|| {
            is_owed.then_some(Owed {
                sequence: tail,
                position: self.position,
                since: now,
            })
        });
        let held = held.filter(|owed| patience <= now.duration_since(owed.since))?;
        self.owed = None;
        Some(held.sequence)
    }

    /// Notes a request for `records`; gives its id.
    pub(crate) fn asked(&mut self, records: u64, now: Instant) -> u64 {
        if self.pulls.is_empty() {
            self.heard = now;
        }
        self.next_id = self.next_id.saturating_add(1);
        self.pulls.push_back(Pull {
            id: self.next_id,
            left: records,
            asked: now,
        });
        self.next_id
    }

    /// The server is done with a request, used up or not.
    pub(crate) fn ended(&mut self, id: Option<u64>, now: Instant) {
        self.heard = now;
        self.pulls.retain(|pull| Some(pull.id) != id);
    }

    /// The sequence of the next record, if none was deleted before it.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.position.saturating_add(1)
    }

    /// Records that the server may still send.
    pub(crate) fn credit(&self) -> u64 {
        self.pulls.iter().map(|pull| pull.left).sum()
    }

    /// Whether the server owed a sign of life for too long, or a request outlived its time.
    pub(crate) fn check(
        &self,
        now: Instant,
        silence_max: Duration,
        pull_max: Duration,
    ) -> Result<(), Doubt> {
        let Some(oldest) = self.pulls.front() else {
            return Ok(());
        };
        let silent = now.duration_since(self.heard);
        if silence_max < silent || pull_max < now.duration_since(oldest.asked) {
            return Err(Doubt::Silence {
                millis: silent.as_millis(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(number: u64, sequence: u64) -> Delivery<'static> {
        Delivery {
            stream: "S",
            consumer: "c",
            sequence,
            number,
            time_ns: 5,
            pending: 0,
        }
    }

    #[test]
    fn every_doubt_is_among_the_words() {
        let why = String::new;
        let all = [
            Doubt::DeliveryGap {
                expected: 1,
                found: 2,
            },
            Doubt::TailLost { ours: 1, theirs: 2 },
            Doubt::Reread { sequence: 1 },
            Doubt::Foreign,
            Doubt::Silence { millis: 1 },
            Doubt::ConnectionLost { why: why() },
            Doubt::NoFrame { why: why() },
            Doubt::ConsumerEnded { said: why() },
            Doubt::StreamChanged,
            Doubt::Stalled { sequence: 1 },
            Doubt::ReadAlone { sequence: 1 },
        ];
        assert_eq!(all.map(|doubt| doubt.word()), Doubt::WORDS);
    }

    #[test]
    fn both_forms_of_the_reply_subject_are_read() {
        let plain = Delivery::parse("$JS.ACK.S.c.1.14.5.1700000000000000000.99").unwrap();
        let long = Delivery::parse("$JS.ACK.hub.hash.S.c.1.14.5.1700000000000000000.99.r").unwrap();
        assert_eq!(plain, long);
        assert_eq!(
            (plain.stream, plain.consumer, plain.sequence, plain.number),
            ("S", "c", 14, 5)
        );
        for bad in ["", "$JS.ACK.S", "$JS.ACK.S.c.1.x.5.1.0", "_INBOX.a"] {
            assert_eq!(Delivery::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_runbook_has_an_entry_for_every_doubt() {
        let said = String::new();
        let doubts = [
            Doubt::DeliveryGap {
                expected: 1,
                found: 2,
            },
            Doubt::TailLost { ours: 1, theirs: 2 },
            Doubt::Reread { sequence: 1 },
            Doubt::Foreign,
            Doubt::Silence { millis: 1 },
            Doubt::ConnectionLost { why: said.clone() },
            Doubt::NoFrame { why: said.clone() },
            Doubt::ConsumerEnded { said },
            Doubt::StreamChanged,
            Doubt::Stalled { sequence: 1 },
            Doubt::ReadAlone { sequence: 1 },
        ];
        let runbook = include_str!("../../../../deploy/RUNBOOK.md");
        for doubt in doubts {
            let entry = format!("\n### `{}`\n\n", doubt.word());
            assert!(runbook.contains(&entry), "no {entry}");
        }
    }

    #[test]
    fn a_hole_in_deliveries_is_a_loss_and_one_in_sequences_is_a_deletion() {
        let now = Instant::now();
        let mut ledger = Ledger::new(10, now);
        assert_eq!(
            ledger.accept(&delivery(1, 11), now).unwrap().sequence.get(),
            11
        );
        assert!(
            ledger.accept(&delivery(2, 15), now).is_ok(),
            "12 to 14 were deleted"
        );
        let lost = ledger.accept(&delivery(4, 17), now);
        assert_eq!(
            lost,
            Err(Doubt::DeliveryGap {
                expected: 3,
                found: 4
            })
        );
    }

    #[test]
    fn p3_nothing_is_handed_over_twice() {
        let now = Instant::now();
        let mut ledger = Ledger::new(10, now);
        assert_eq!(
            ledger.accept(&delivery(1, 10), now),
            Err(Doubt::Reread { sequence: 10 })
        );
        assert_eq!(
            ledger.accept(&delivery(1, 1), now),
            Err(Doubt::Reread { sequence: 1 })
        );
    }

    #[test]
    fn a_heartbeat_tells_of_a_lost_tail() {
        let now = Instant::now();
        let mut ledger = Ledger::new(0, now);
        ledger.accept(&delivery(1, 1), now).unwrap();
        assert!(ledger.heartbeat(Some(1), None, now).is_ok());
        assert!(ledger.heartbeat(None, Some(9), now).is_ok());
        assert_eq!(
            ledger.heartbeat(Some(3), Some(9), now),
            Err(Doubt::TailLost { ours: 1, theirs: 3 })
        );
        assert_eq!(ledger.found_void(), None, "records are on their way");
    }

    #[test]
    fn a_heartbeat_tells_what_was_deleted_at_the_end() {
        let now = Instant::now();
        let mut ledger = Ledger::new(4, now);
        let found = |ledger: &mut Ledger, delivered, passed| {
            ledger
                .heartbeat(Some(delivered), Some(passed), now)
                .unwrap();
            ledger.found_void().map(|void| (void.after, void.to))
        };
        assert_eq!(found(&mut ledger, 0, 4), None);
        assert_eq!(found(&mut ledger, 0, 6), Some((4, 6)));
        assert_eq!(found(&mut ledger, 0, 6), None, "once");
        ledger.accept(&delivery(1, 7), now).unwrap();
        assert_eq!(found(&mut ledger, 1, 7), None);
        assert_eq!(found(&mut ledger, 1, 9), Some((7, 9)));
    }

    #[test]
    fn a_message_that_was_asked_for_is_owed() {
        let start = Instant::now();
        let patience = Duration::from_secs(10);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ledger = Ledger::new(4, start);
        assert_eq!(ledger.owed(9, start, patience), None);
        assert_eq!(
            ledger.owed(9, at(20), patience),
            None,
            "it was not asked for"
        );
        ledger.asked(100, at(20));
        assert_eq!(ledger.owed(9, at(20), patience), None);
        assert_eq!(ledger.owed(12, at(29), patience), None);
        assert_eq!(ledger.owed(12, at(30), patience), Some(9));
        assert_eq!(ledger.owed(12, at(31), patience), None, "once");
        ledger.accept(&delivery(1, 7), at(40)).unwrap();
        assert_eq!(ledger.owed(12, at(41), patience), None, "something came");
        ledger.heartbeat(Some(1), Some(12), at(42)).unwrap();
        assert_eq!(ledger.owed(12, at(60), patience), None, "it was deleted");
    }

    #[test]
    fn credit_is_used_up_given_back_and_missed() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut ledger = Ledger::new(0, now);
        assert!(
            ledger.check(now + second * 100, second, second).is_ok(),
            "nothing is owed"
        );
        let first = ledger.asked(2, now);
        let second_pull = ledger.asked(3, now);
        assert_eq!(ledger.credit(), 5);
        ledger.accept(&delivery(1, 1), now).unwrap();
        ledger.accept(&delivery(2, 2), now).unwrap();
        assert_eq!(ledger.credit(), 3);
        ledger.accept(&delivery(3, 3), now).unwrap();
        assert_eq!(ledger.credit(), 2);
        ledger.ended(Some(first), now);
        assert_eq!(ledger.credit(), 2);
        assert!(ledger.check(now + second * 2, second, second * 10).is_err());
        ledger.ended(Some(second_pull), now);
        assert_eq!(ledger.credit(), 0);
    }
}
