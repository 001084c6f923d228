//! A replay and what it came to.

use std::fmt;
use std::io::BufReader;
use std::path::Path;

use domain::{
    Checkpoint, Fingerprint, InvalidId, Outcome, Parked, Sequence, StreamId, UserDocument, UserId,
    WorkosUserId, apply,
};
use event_lines::{LineFault, Lines, Message};
use read_model::{
    CommitError, Digest, OpenError, Options, ReadModel, Reader, StorageError, Totals,
};
use serde::Serialize;
use serde_json::Value;

use crate::differences;

/// Why a replay has no result, or not the one that was expected.
#[derive(thiserror::Error)]
pub enum ReplayError {
    /// A line stands for no event.
    #[error("line {number}: {fault}")]
    Line {
        /// Counted from 1.
        number: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A line is longer than any event.
    #[error(
        "line {number}: it has more than {} bytes",
        event_lines::LINE_BYTES_MAX
    )]
    LongLine {
        /// Counted from 1.
        number: u64,
    },
    /// The events could not be read.
    #[error("the events cannot be read")]
    Input(#[from] std::io::Error),
    /// Messages of a stream are replayed in its order.
    #[error("message {sequence} comes behind message {last}")]
    Order {
        /// The place that it names.
        sequence: u64,
        /// The place before.
        last: u64,
    },
    /// An identity or a user id that cannot exist.
    #[error("{text:?} is none: {problem}")]
    Id {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: InvalidId,
    },
    /// The fold has another result. One line a difference.
    #[error("{what} is not as expected:\n  {}", lines.join("\n  "))]
    Mismatch {
        /// What was compared.
        what: String,
        /// What differs.
        lines: Vec<String>,
    },
    /// The read model could not be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could not be read or written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<StorageError> for ReplayError {
    fn from(error: StorageError) -> Self {
        Self::Commit(error.into())
    }
}

/// As people read it: a test that unwraps shows this.
impl fmt::Debug for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A parked record, as far as a test asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundParked {
    /// Its place.
    pub sequence: u64,
    /// `<userId>.<user|profile|quarantine>`; `None` when its subject names no lane.
    pub lane: Option<String>,
    /// The contract's word for why.
    pub reason: &'static str,
    /// What is wrong with an invalid one.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub detail: Box<str>,
}

impl From<&Parked> for FoundParked {
    fn from(parked: &Parked) -> Self {
        Self {
            sequence: parked.sequence().get(),
            lane: parked.lane.as_ref().map(ToString::to_string),
            reason: parked.reason.as_str(),
            detail: parked.detail.clone(),
        }
    }
}

/// A fold of events, and what it came to so far.
pub struct Replay {
    model: ReadModel,
    /// The last place taken.
    last: u64,
}

impl Replay {
    /// Nothing yet, in memory.
    pub fn new() -> Result<Self, ReplayError> {
        let model = ReadModel::in_memory()?;
        Ok(Self { model, last: 0 })
    }

    /// Nothing yet, in a folder that has no read model: for more events than memory holds.
    pub fn in_folder(folder: &Path) -> Result<Self, ReplayError> {
        let model = ReadModel::open(folder, Options::default())?;
        Ok(Self { model, last: 0 })
    }

    /// Of the text of a file of events.
    pub fn of_lines(text: &str) -> Result<Self, ReplayError> {
        let mut replay = Self::new()?;
        let mut lines = Lines::of(BufReader::new(text.as_bytes()));
        let mut messages = Vec::new();
        while let Some(line) = lines.next_line()? {
            messages.push(message_of(&line)?);
        }
        replay.apply(&messages)?;
        Ok(replay)
    }

    /// Of structured events.
    pub fn of_events(events: impl IntoIterator<Item = Value>) -> Result<Self, ReplayError> {
        let mut replay = Self::new()?;
        let messages = (1..).zip(events).map(|(number, event)| {
            Message::of_line(event.to_string().as_bytes())
                .map_err(|fault| ReplayError::Line { number, fault })
        });
        replay.apply(&messages.collect::<Result<Vec<_>, _>>()?)?;
        Ok(replay)
    }

    /// Goes on with messages, each at the place that it names or else the next. Gives what became of
    /// each. They are kept all or none.
    pub fn apply(&mut self, messages: &[Message]) -> Result<Vec<(Sequence, Outcome)>, ReplayError> {
        let mut batch = self.model.begin();
        let held = batch.checkpoint().cloned();
        let held = held.unwrap_or_else(|| Checkpoint::start_of(nowhere()));
        let mut last = self.last;
        let mut outcomes = Vec::with_capacity(messages.len());
        for message in messages {
            let sequence = message.sequence.or(Sequence::new(last.saturating_add(1)));
            let Some(sequence) = sequence.filter(|sequence| last < sequence.get()) else {
                let sequence = message.sequence.map_or(0, Sequence::get);
                return Err(ReplayError::Order { sequence, last });
            };
            last = sequence.get();
            batch.arrives(at(sequence));
            let outcome = message.with_record(sequence, |record| apply(&mut batch, record))?;
            outcomes.push((sequence, outcome));
        }
        if let Some((sequence, _)) = outcomes.last() {
            batch.commit(held.advanced(at(*sequence)))?;
        }
        self.last = last;
        Ok(outcomes)
    }

    /// The last place that was replayed, 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.last
    }

    /// The rows.
    pub fn reader(&self) -> Reader {
        self.model.reader()
    }

    /// Figures over the rows.
    pub fn totals(&self) -> Totals {
        self.reader().totals()
    }

    /// The digest of the rows.
    pub fn digest(&self) -> Digest {
        self.totals().digest
    }

    /// What a token for this identity is answered with: the query's value, as JSON.
    pub fn answer(&self, sub: &str) -> Result<String, ReplayError> {
        let identity = WorkosUserId::parse(sub).map_err(|problem| invalid(sub, problem))?;
        Ok(answer::value_of(&self.reader().profile_of(&identity)?)?)
    }

    /// What a token of this user is answered with. Nobody who is gone has a token.
    pub fn answer_of_user(&self, user: &str) -> Result<String, ReplayError> {
        let id = UserId::parse(user).map_err(|problem| invalid(user, problem))?;
        match self.reader().inspect().user(&id)?.document {
            UserDocument::Live { workos_id, .. } => self.answer(workos_id.as_str()),
            UserDocument::Absent | UserDocument::Deleted { .. } | UserDocument::Erased => {
                Ok("null".to_owned())
            }
        }
    }

    /// What is parked, in the order of the stream.
    pub fn parked(&self) -> Result<Vec<FoundParked>, ReplayError> {
        let inspection = self.reader().inspect();
        let parked = inspection.parked_after(0)?;
        parked
            .map(|arrived| Ok((&arrived?.parked).into()))
            .collect()
    }

    /// Holds an answer against the expected value.
    pub fn expect_answer(&self, sub: &str, expected: &Value) -> Result<(), ReplayError> {
        let found: Value = serde_json::from_str(&self.answer(sub)?).unwrap_or_default();
        expect(
            format!("the answer to {sub}"),
            differences(expected, &found),
        )
    }

    /// Holds what is parked against the expected places and reasons.
    pub fn expect_parked(&self, expected: &[(u64, &str)]) -> Result<(), ReplayError> {
        let parked = self.parked()?;
        let found: Vec<(u64, &str)> = parked.iter().map(|p| (p.sequence, p.reason)).collect();
        let missing = expected.iter().filter(|one| !found.contains(one));
        let missing =
            missing.map(|(at, reason)| format!("{at}: expected {reason}, is not parked so"));
        let unexpected = found.iter().filter(|one| !expected.contains(one));
        let unexpected = unexpected.map(|(at, reason)| format!("{at}: not expected, is {reason}"));
        expect(
            "what is parked".to_owned(),
            missing.chain(unexpected).collect(),
        )
    }

    /// Holds the digest against the expected one.
    pub fn expect_digest(&self, expected: &str) -> Result<(), ReplayError> {
        let found = self.digest().to_string();
        let lines = (found != expected).then(|| format!("expected {expected}, is {found}"));
        expect("the digest".to_owned(), lines.into_iter().collect())
    }
}

/// What a line of a file stands for.
pub fn message_of(line: &event_lines::Line<'_>) -> Result<Message, ReplayError> {
    let number = line.number;
    let text = line.text.ok_or(ReplayError::LongLine { number })?;
    Message::of_line(text).map_err(|fault| ReplayError::Line { number, fault })
}

fn expect(what: String, lines: Vec<String>) -> Result<(), ReplayError> {
    if lines.is_empty() {
        Ok(())
    } else {
        Err(ReplayError::Mismatch { what, lines })
    }
}

fn invalid(text: &str, problem: InvalidId) -> ReplayError {
    let text = text.to_owned();
    ReplayError::Id { text, problem }
}

/// The stream of a replay, which is none.
fn nowhere() -> StreamId {
    StreamId {
        name: "replay".into(),
        created_ns: 0,
    }
}

/// The place of a message. There is no clock, so its number stands for its time.
fn at(sequence: Sequence) -> Fingerprint {
    Fingerprint {
        sequence,
        time_ns: i64::try_from(sequence.get()).unwrap_or(i64::MAX),
    }
}
