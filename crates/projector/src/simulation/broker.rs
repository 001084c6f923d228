//! A broker in memory: one stream, one consumer, and whatever may happen to them and to the connection.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::block_of;
use domain::testing::Message as Event;
use futures::channel::mpsc;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

const HEARTBEAT: Duration = Duration::from_secs(1);
const EPOCH_NS: i64 = 1_790_000_000_000_000_000;

/// What is stored of an event, and when the broker's clock says that it was.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) event: Event,
    pub(super) time_ns: i64,
}

/// A stream, whole: what it holds, what it ever held.
#[derive(Clone)]
pub(super) struct Log {
    created_ns: i64,
    first: u64,
    pub(super) last: u64,
    held: BTreeMap<u64, Stored>,
    /// Everything that was ever published to it, purged or not.
    pub(super) ever: BTreeMap<u64, Stored>,
}

pub(super) struct Pull {
    pub(super) reply: String,
    pub(super) left: u64,
    pub(super) until: Instant,
}

pub(super) struct Consumer {
    next: u64,
    delivered: u64,
    /// It gives signs of life, and nothing else.
    pub(super) is_paused: bool,
    pub(super) pulls: VecDeque<Pull>,
    heartbeat: Instant,
}

/// What becomes of one message on its way from a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// What comes is no frame.
    NoFrame,
    /// The connection ends.
    Cut,
    /// It vanishes.
    Swallowed,
    /// It does not go out, and nothing behind it.
    Withheld,
}

/// The broker and its connection.
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(super) struct State {
    pub(super) log: Option<Log>,
    pub(super) consumer: Option<Consumer>,
    pub(super) inbox: Option<mpsc::UnboundedSender<Vec<u8>>>,
    pub(super) is_up: bool,
    /// What is written to the connection vanishes.
    pub(super) is_deaf: bool,
    pub(super) is_denied: bool,
    /// How long each request takes.
    pub(super) answers_in: Duration,
    /// Nothing is delivered yet, whatever was asked for.
    pub(super) is_slow: bool,
    /// Records that go out between two ticks, all that are asked for without.
    pub(super) pace: Option<u64>,
    /// Messages that do not come as they should, each so many times.
    pub(super) harmed: BTreeMap<u64, (Harm, u32)>,
    /// A message that no request gives either.
    pub(super) unreadable: Option<u64>,
    gone_out: u64,
    clock_ns: i64,
    pub(super) trace: Vec<String>,
    chance: SmallRng,
}

/// Clones are the same broker.
#[derive(Clone)]
pub(super) struct Broker(pub(super) Rc<RefCell<State>>);

impl Broker {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            log: Some(Log::created(EPOCH_NS)),
            consumer: None,
            inbox: None,
            is_up: true,
            is_deaf: false,
            is_denied: false,
            answers_in: Duration::from_millis(1),
            is_slow: false,
            pace: None,
            harmed: BTreeMap::new(),
            unreadable: None,
            gone_out: 0,
            clock_ns: EPOCH_NS,
            trace: Vec::new(),
            chance: SmallRng::seed_from_u64(seed),
        })))
    }

    pub(super) fn note(&self, what: String) {
        self.0.borrow_mut().trace.push(what);
    }

    pub(super) fn publish(&self, event: Event) {
        let mut state = self.0.borrow_mut();
        // The clock that stores may jump, back too, but never stands still.
        let step = state
            .chance
            .random_range(-5_000_000_000..20_000_000_000_i64)
            | 1;
        state.clock_ns += step;
        let time_ns = state.clock_ns;
        if let Some(log) = &mut state.log {
            log.last += 1;
            let stored = Stored { event, time_ns };
            log.held.insert(log.last, stored.clone());
            log.ever.insert(log.last, stored);
        }
        state.deliver();
    }

    /// Its memory goes, its store stays; every connection is new.
    pub(super) fn restart(&self) {
        let mut state = self.0.borrow_mut();
        state.consumer = None;
        state.connect_anew();
    }

    /// What was on its way is lost, and counts as delivered.
    pub(super) fn cut(&self) {
        self.0.borrow_mut().connect_anew();
    }

    pub(super) fn delete_consumer(&self) {
        let mut state = self.0.borrow_mut();
        let reply = state
            .consumer
            .take()
            .and_then(|mut held| held.pulls.pop_front());
        if let Some(pull) = reply {
            state.send(status(&pull.reply, 409, "Consumer Deleted", None));
        }
    }

    pub(super) fn pause(&self) {
        if let Some(consumer) = &mut self.0.borrow_mut().consumer {
            consumer.is_paused = true;
        }
    }

    pub(super) fn make_anew(&self) {
        let mut state = self.0.borrow_mut();
        state.clock_ns += 1_000_000_007;
        state.log = Some(Log::created(state.clock_ns));
        state.consumer = None;
    }

    /// Restarts and says that the stream was created later, as servers did: no message is touched.
    pub(super) fn move_created(&self) {
        {
            let mut state = self.0.borrow_mut();
            state.clock_ns += 1_000_000_007;
            let created_ns = state.clock_ns;
            if let Some(log) = &mut state.log {
                log.created_ns = created_ns;
            }
        }
        self.restart();
    }

    pub(super) fn restore(&self, copy: Log) {
        self.0.borrow_mut().log = Some(copy);
        self.restart();
    }

    pub(super) fn purge_below(&self, first: u64) {
        let mut state = self.0.borrow_mut();
        if let Some(log) = &mut state.log {
            log.first = log.first.max(first.min(log.last + 1));
            log.held = log.held.split_off(&log.first);
        }
    }

    pub(super) fn delete(&self, sequence: u64) {
        let mut state = self.0.borrow_mut();
        if let Some(log) = &mut state.log {
            log.held.remove(&sequence);
            // As a server does: the first sequence moves to the first message that is left.
            log.first = log.held.keys().next().copied().unwrap_or(log.last + 1);
        }
    }

    /// A server's own work: heartbeats, ends of requests.
    pub(super) fn tick(&self) {
        let mut state = self.0.borrow_mut();
        state.gone_out = 0;
        state.deliver();
        state.beat();
    }
}

impl Log {
    fn created(created_ns: i64) -> Self {
        Self {
            created_ns,
            first: 1,
            last: 0,
            held: BTreeMap::new(),
            ever: BTreeMap::new(),
        }
    }

    fn info(&self) -> Value {
        json!({
            "type": "io.nats.jetstream.api.v1.stream_info_response",
            "config": {"name": "S", "subjects": ["identity.v1.>"], "retention": "limits",
                "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "discard": "new", "max_age": 0,
                "max_msgs_per_subject": -1, "max_msg_size": -1, "storage": "file", "num_replicas": 1,
                "duplicate_window": 0, "deny_purge": true},
            "created": rfc3339(self.created_ns),
            "state": {"messages": self.held.len(), "bytes": 0, "first_seq": self.first,
                "first_ts": "0001-01-01T00:00:00Z", "last_seq": self.last,
                "last_ts": "0001-01-01T00:00:00Z", "consumer_count": 1},
            "ts": "2026-01-01T00:00:00Z",
        })
    }
}

impl Consumer {
    /// What it delivers next.
    fn first<'l>(&self, log: &'l Log) -> Option<(u64, &'l Stored)> {
        let (sequence, stored) = log.held.range(self.next..).next()?;
        Some((*sequence, stored))
    }

    /// Up to where it has nothing more to deliver.
    fn passed(&self, log: &Log) -> u64 {
        match self.first(log) {
            Some(_) => self.next.saturating_sub(1),
            None => log.last.max(self.next.saturating_sub(1)),
        }
    }

    /// How many it has to deliver yet.
    fn pending(&self, log: &Log) -> usize {
        log.held.range(self.next..).count()
    }
}

impl State {
    pub(super) fn connect_anew(&mut self) {
        self.inbox = None;
    }

    pub(super) fn send(&mut self, message: Vec<u8>) {
        if self.is_up
            && !self.is_deaf
            && let Some(inbox) = &self.inbox
        {
            // A subscription that was dropped takes nothing.
            let _ = inbox.unbounded_send(message);
        }
    }

    pub(super) fn deliver(&mut self) {
        while self.is_up
            && !self.is_slow
            && self.pace.is_none_or(|pace| self.gone_out < pace)
            && let (Some(log), Some(consumer)) = (&self.log, &mut self.consumer)
            && let Some((sequence, stored)) = consumer.first(log)
            && !consumer.is_paused
            && !consumer.pulls.is_empty()
        {
            let harm = self.harmed.get_mut(&sequence).and_then(|(harm, times)| {
                *times = times.checked_sub(1)?;
                Some(*harm)
            });
            if harm == Some(Harm::Withheld) {
                consumer.is_paused = true;
                break;
            }
            self.gone_out += 1;
            consumer.next = sequence + 1;
            consumer.delivered += 1;
            let pending = consumer.pending(log);
            let Some(pull) = consumer.pulls.front_mut() else {
                break;
            };
            pull.left -= 1;
            let reply = format!(
                "$JS.ACK.S.c.1.{sequence}.{}.{}.{pending}",
                consumer.delivered, stored.time_ns
            );
            let message = record(&stored.event, &reply);
            if pull.left == 0 {
                consumer.pulls.pop_front();
            }
            match harm {
                None | Some(Harm::Withheld) => self.send(message),
                Some(Harm::NoFrame) => self.send(b"\0\xff no frame".to_vec()),
                Some(Harm::Cut) => self.inbox = None,
                Some(Harm::Swallowed) => {}
            }
        }
    }

    fn beat(&mut self) {
        let now = Instant::now();
        let mut said = Vec::new();
        if let Some(consumer) = &mut self.consumer {
            while let Some(pull) = consumer.pulls.pop_front_if(|pull| pull.until <= now) {
                said.push(status(&pull.reply, 408, "Request Timeout", None));
            }
            if let Some(pull) = consumer.pulls.front()
                && HEARTBEAT <= now.duration_since(consumer.heartbeat)
            {
                consumer.heartbeat = now;
                let passed = self.log.as_ref().map_or(0, |log| consumer.passed(log));
                let counts = Some((consumer.delivered, passed));
                said.push(status(&pull.reply, 100, "Idle Heartbeat", counts));
            }
        }
        for message in said {
            self.send(message);
        }
    }

    pub(super) fn answer(&mut self, subject: &str, request: &Value) -> Value {
        let not_found =
            json!({"error": {"code": 404, "err_code": 10059, "description": "stream not found"}});
        let Some(log) = &self.log else {
            return not_found;
        };
        if subject.starts_with("STREAM.INFO") {
            return log.info();
        }
        if subject.starts_with("STREAM.MSG.GET") {
            let from = request["seq"].as_u64().unwrap_or(0);
            let to = if request["next_by_subj"].is_string() {
                u64::MAX
            } else {
                from
            };
            return match log.held.range(from..=to).next() {
                None => {
                    json!({"error": {"code": 404, "err_code": 10037, "description": "no message found"}})
                }
                Some((sequence, _)) if self.unreadable == Some(*sequence) => {
                    json!({"error": {"code": 500, "err_code": 10019, "description": "store failed"}})
                }
                Some((sequence, stored)) => {
                    let headers = header_block(&stored.event);
                    json!({"message": {"subject": stored.event.subject, "seq": sequence,
                    "hdrs": BASE64_STANDARD.encode(headers),
                    "data": BASE64_STANDARD.encode(&stored.event.payload),
                    "time": rfc3339(stored.time_ns)}})
                }
            };
        }
        if subject.starts_with("CONSUMER.DELETE") {
            self.consumer = None;
            return json!({"success": true});
        }
        let config = &request["config"];
        let consumer = Consumer {
            next: config["opt_start_seq"].as_u64().unwrap_or(1),
            delivered: 0,
            is_paused: false,
            pulls: VecDeque::new(),
            heartbeat: Instant::now(),
        };
        let pending = consumer.pending(log);
        self.consumer = Some(consumer);
        json!({"num_pending": pending})
    }
}

fn header_block(event: &Event) -> Vec<u8> {
    let headers = event.headers.iter();
    block_of(headers.map(|(name, value)| (name.as_str(), value.as_str())))
}

fn record(event: &Event, reply: &str) -> Vec<u8> {
    frame(&event.subject, reply, &header_block(event), &event.payload)
}

/// `counts` are the records delivered and the sequence passed.
pub(super) fn status(reply: &str, code: u16, said: &str, counts: Option<(u64, u64)>) -> Vec<u8> {
    let counts = counts.map_or_else(String::new, |(delivered, passed)| {
        format!("Nats-Last-Consumer: {delivered}\r\nNats-Last-Stream: {passed}\r\n")
    });
    let block = format!("NATS/1.0 {code} {said}\r\n{counts}\r\n");
    frame(reply, "", block.as_bytes(), b"")
}

/// As a server writes it.
fn frame(subject: &str, reply: &str, headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let all = headers.len() + payload.len();
    let line = format!("HMSG {subject} 1 {reply} {} {all}\r\n", headers.len());
    [line.as_bytes(), headers, payload, b"\r\n"].concat()
}

/// Exact to the nanosecond, as servers write it.
fn rfc3339(at_ns: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(at_ns.into()).unwrap();
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap()
}
