//! What a server says. The order of the members is Convex's. Queries here log nothing and page through nothing, so
//! `logLines` is empty and `journal` null.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::update::Hashed;
use crate::{FunctionKind, Timestamp};

/// Keeps a quiet socket alive: pages cannot see the WebSocket's own pings.
pub const PING: &str = r#"{"type":"Ping"}"#;

#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub(super) enum ServerMessage<'m> {
    MutationResponse {
        request_id: u32,
        success: bool,
        result: &'m str,
        ts: (),
        log_lines: [(); 0],
    },
    ActionResponse {
        request_id: u32,
        success: bool,
        result: &'m str,
        log_lines: [(); 0],
    },
    AuthError {
        error: &'m str,
        base_version: u32,
        auth_update_attempted: bool,
    },
    FatalError {
        error: &'m str,
    },
}

#[expect(
    clippy::expect_used,
    reason = "a String takes every write, and nothing here has a failing Serialize"
)]
fn to_json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("writing JSON to memory")
}

impl ServerMessage<'_> {
    pub(super) fn to_json(&self) -> String {
        to_json(self)
    }

    /// The answer to a mutation or an action that is not run.
    pub(super) fn refusal(called: FunctionKind, request_id: u32, result: &str) -> String {
        let message = match called {
            FunctionKind::Action => ServerMessage::ActionResponse {
                request_id,
                success: false,
                result,
                log_lines: [],
            },
            FunctionKind::Mutation | FunctionKind::Query => ServerMessage::MutationResponse {
                request_id,
                success: false,
                result,
                ts: (),
                log_lines: [],
            },
        };
        message.to_json()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
#[expect(clippy::enum_variant_names, reason = "the names are Convex's own")]
pub(super) enum StateModification {
    /// To the one value that all queries of a session have, which stands beside the text.
    #[serde(skip)]
    QueryUpdated {
        query_id: u32,
    },
    QueryFailed {
        query_id: u32,
        error_message: String,
        log_lines: [(); 0],
        journal: (),
    },
    QueryRemoved {
        query_id: u32,
    },
}

/// A Transition: texts of its own, and between them one value, as often as a query has it.
///
/// The value is not copied, so a client that subscribes to it often, and clients that are told the same, cost its bytes
/// once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition<V> {
    own: String,
    /// Where in `own` the value goes.
    places: Vec<usize>,
    value: Option<V>,
}

/// What a Transition says beside its modifications.
pub(super) struct TransitionHead {
    pub(super) start_version: StateVersion,
    pub(super) end_version: StateVersion,
    pub(super) client_clock_skew: Option<i64>,
    pub(super) server_ts: u64,
}

impl<V> Transition<V> {
    pub(super) fn new(
        head: &TransitionHead,
        modifications: &[StateModification],
        value: Option<V>,
    ) -> Self {
        let (start, end) = (to_json(&head.start_version), to_json(&head.end_version));
        let mut own = format!(
            r#"{{"type":"Transition","startVersion":{start},"endVersion":{end},"modifications":["#
        );
        let mut places = Vec::new();
        for (at, modification) in modifications.iter().enumerate() {
            if at != 0 {
                own.push(',');
            }
            let StateModification::QueryUpdated { query_id } = modification else {
                own.push_str(&to_json(modification));
                continue;
            };
            let _ = write!(
                own,
                r#"{{"type":"QueryUpdated","queryId":{query_id},"value":"#
            );
            places.push(own.len());
            own.push_str(r#","logLines":[],"journal":null}"#);
        }
        let (skew, server_ts) = (to_json(&head.client_clock_skew), head.server_ts);
        let _ = write!(
            own,
            r#"],"clientClockSkew":{skew},"serverTs":{server_ts}}}"#
        );
        Self { own, places, value }
    }

    /// The value that goes into it, if any does.
    pub fn value(&self) -> Option<&V> {
        self.value.as_ref().filter(|_| !self.places.is_empty())
    }

    /// The text without the value, where in it the value goes, and the value, if it goes anywhere.
    pub fn into_parts(self) -> (String, Vec<usize>, Option<V>) {
        (self.own, self.places, self.value)
    }
}

impl<V: AsRef<Hashed>> fmt::Display for Transition<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut done = 0;
        for &place in &self.places {
            f.write_str(self.own.get(done..place).unwrap_or_default())?;
            let value = self.value.as_ref();
            f.write_str(value.map_or("null", |value| value.as_ref().json()))?;
            done = place;
        }
        f.write_str(self.own.get(done..).unwrap_or_default())
    }
}

/// What a client knows, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateVersion {
    pub(super) query_set: u32,
    pub(super) identity: u32,
    pub(super) ts: Timestamp,
}

impl StateVersion {
    /// What both ends of a new socket start from.
    pub(super) const INITIAL: Self = Self {
        query_set: 0,
        identity: 0,
        ts: Timestamp::ZERO,
    };
}
