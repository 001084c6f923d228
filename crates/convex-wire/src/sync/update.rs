//! An update: from what a session knows to one Transition.

use sha2::{Digest as _, Sha256};

use super::Session;
use super::server_message::{StateModification, StateVersion, Transition, TransitionHead};
use crate::{FunctionError, RequestId, TextMode, Timestamp};

/// A query that a client subscribes to.
#[derive(Debug)]
pub(super) enum Query {
    /// It has a value. Holds the hash of the one that was last told.
    Runs(Option<[u8; 32]>),
    /// It is refused, always for the same reason. Holds the reason until it was told.
    Refused(Option<FunctionError>),
}

/// A value as JSON, and the hash it is compared by. All queries of a session have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    json: String,
    hash: [u8; 32],
}

impl Hashed {
    /// Hashes a value.
    pub fn new(json: String) -> Self {
        let hash = Sha256::digest(&json).into();
        Self { json, hash }
    }

    /// The value.
    pub fn json(&self) -> &str {
        &self.json
    }
}

impl AsRef<Hashed> for Hashed {
    fn as_ref(&self) -> &Hashed {
        self
    }
}

/// The room that a Transition has for values.
struct Room {
    limit: usize,
    left: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), FunctionError> {
        let left = self.left.checked_sub(bytes);
        let limit = self.limit;
        self.left = left.ok_or(FunctionError::TooManyBytes { limit })?;
        Ok(())
    }
}

impl Query {
    pub(super) fn new(verdict: Result<(), FunctionError>) -> Self {
        match verdict {
            Ok(()) => Self::Runs(None),
            Err(error) => Self::Refused(Some(error)),
        }
    }

    pub(super) fn runs(&self) -> bool {
        matches!(self, Self::Runs(_))
    }

    /// What the client has to be told of it.
    fn tell(
        &mut self,
        query_id: u32,
        value: Option<&Hashed>,
        room: &mut Room,
        error_message: impl FnOnce(&FunctionError) -> String,
    ) -> Option<StateModification> {
        let error = match self {
            Self::Runs(told) => {
                let value = value.filter(|value| *told != Some(value.hash))?;
                // Whether it fits or not, this value is not told of again.
                *told = Some(value.hash);
                match room.take(value.json.len()) {
                    Ok(()) => return Some(StateModification::QueryUpdated { query_id }),
                    Err(error) => error,
                }
            }
            Self::Refused(error) => error.take()?,
        };
        Some(StateModification::QueryFailed {
            query_id,
            error_message: error_message(&error),
            log_lines: [],
            journal: (),
        })
    }
}

/// An update that has begun. Dropped, it has not taken place.
#[derive(Debug)]
#[must_use = "nothing is told before `finish`"]
pub struct Update<'s> {
    session: &'s mut Session,
}

impl<'s> Update<'s> {
    pub(super) fn new(session: &'s mut Session) -> Self {
        Self { session }
    }

    /// Whether [`Update::finish`] will read the value.
    pub fn runs(&self) -> bool {
        self.session.runs()
    }

    /// Makes the Transition, as the time `now`. `None`: nothing has changed and nobody waits for an answer.
    ///
    /// `read` gives the value of the session's identity. It is called at most once, and only for queries that have one.
    /// `random` names the runs of queries that fail.
    pub fn finish<V: AsRef<Hashed>, E>(
        self,
        now: Timestamp,
        mut random: impl FnMut() -> u64,
        read: impl FnOnce() -> Result<V, E>,
    ) -> Result<Option<Transition<V>>, E> {
        let session = self.session;
        let value = session.runs().then(read).transpose()?;
        let texts = session.texts;
        let mut name = |error: &FunctionError| failure(error, random(), texts);
        let modifications = session.tell(value.as_ref().map(AsRef::as_ref), &mut name);
        session.invalidated = false;
        let owed = std::mem::take(&mut session.owed);
        if modifications.is_empty() && !owed && !session.moved() {
            return Ok(None);
        }
        let head = TransitionHead {
            start_version: session.current,
            end_version: session.advance(now),
            client_clock_skew: session.clock_skew,
            server_ts: now.0,
        };
        Ok(Some(Transition::new(&head, &modifications, value)))
    }
}

fn failure(error: &FunctionError, random: u64, texts: TextMode) -> String {
    error.error_message(&RequestId::from_random(random), texts)
}

impl Session {
    /// Everything that differs from what was told, ordered by query.
    fn tell(
        &mut self,
        value: Option<&Hashed>,
        name: &mut dyn FnMut(&FunctionError) -> String,
    ) -> Vec<StateModification> {
        let mut told = Vec::new();
        for query_id in std::mem::take(&mut self.removed) {
            // One that was added again is told of as itself.
            if !self.queries.contains_key(&query_id) {
                told.push((query_id, StateModification::QueryRemoved { query_id }));
            }
        }
        let mut room = Room {
            limit: self.bytes_max,
            left: self.bytes_max,
        };
        for (&query_id, query) in &mut self.queries {
            let modification = query.tell(query_id, value, &mut room, &mut *name);
            told.extend(modification.map(|modification| (query_id, modification)));
        }
        told.sort_by_key(|(query_id, _)| *query_id);
        told.into_iter()
            .map(|(_, modification)| modification)
            .collect()
    }

    /// Moves to what the client is told now.
    fn advance(&mut self, now: Timestamp) -> StateVersion {
        let above = Timestamp(self.current.ts.0.saturating_add(1));
        self.current = StateVersion {
            query_set: self.query_set,
            identity: self.identity,
            ts: now.max(above),
        };
        self.current
    }
}
