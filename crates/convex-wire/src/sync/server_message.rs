//! What a server says. The order of the members is Convex's. Queries here log nothing and page through nothing, so
//! `logLines` is empty and `journal` null.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{FunctionKind, Timestamp};

/// Keeps a quiet socket alive: pages cannot see the WebSocket's own pings.
pub const PING: &str = r#"{"type":"Ping"}"#;

#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub(super) enum ServerMessage<'m> {
    Transition {
        start_version: StateVersion,
        end_version: StateVersion,
        modifications: Vec<StateModification<'m>>,
        client_clock_skew: Option<i64>,
        server_ts: u64,
    },
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

impl ServerMessage<'_> {
    #[expect(
        clippy::expect_used,
        reason = "a String takes every write, and nothing here has a failing Serialize"
    )]
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("writing JSON to memory")
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
pub(super) enum StateModification<'m> {
    QueryUpdated {
        query_id: u32,
        value: &'m RawValue,
        log_lines: [(); 0],
        journal: (),
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
