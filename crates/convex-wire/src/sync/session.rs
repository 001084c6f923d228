//! One socket's side of the conversation.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::End;
use super::client_message::{
    Call, Claimed, ClientMessage, Connect, Modification, ModifyQuerySet, Token,
};
use super::server_message::{ServerMessage, StateVersion};
use super::update::{Query, Update};
use crate::args::InvalidArgs;
use crate::{
    FunctionError, FunctionKind, FunctionPath, RequestId, TextMode, Timestamp, TransportError,
};

/// Judges a call: the function exists, is what it is called as, and takes these arguments. Mutations and actions are
/// refused whatever it says: a session runs queries.
pub type Check = fn(FunctionPath, FunctionKind, &RawValue) -> Result<(), FunctionError>;

/// What is to be done with a message that was taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing but [`Session::update`].
    Taken,
    /// Send this, then [`Session::update`].
    Reply(String),
    /// Verify the token and say so to [`Session::authenticated`] or [`Session::refused`].
    Verify {
        /// The token.
        token: Token,
        /// To be handed back.
        base_version: u32,
    },
}

/// A sync session.
#[derive(Debug)]
pub struct Session {
    pub(super) texts: TextMode,
    queries_max: usize,
    pub(super) bytes_max: usize,
    check: Check,
    /// The client's name for it, from Connect.
    id: Option<Uuid>,
    /// The client's clock minus ours when it connected, in milliseconds.
    pub(super) clock_skew: Option<i64>,
    /// Up to where the client was told.
    pub(super) current: StateVersion,
    /// The versions that the client has moved to.
    pub(super) query_set: u32,
    pub(super) identity: u32,
    /// The `exp` of the identity's token, in seconds since 1970; `None` for nobody.
    expires_at: Option<u64>,
    pub(super) queries: BTreeMap<u32, Query>,
    /// Removed, and the client waits to hear so.
    pub(super) removed: BTreeSet<u32>,
    pub(super) invalidated: bool,
    /// A Transition has to follow, even an empty one.
    pub(super) owed: bool,
}

impl Session {
    /// The session of a new socket, which may hold `queries_max` queries. The values of one Transition take at most
    /// `bytes_max` bytes; queries beyond that fail.
    pub fn new(texts: TextMode, queries_max: usize, bytes_max: usize, check: Check) -> Self {
        Self {
            texts,
            queries_max,
            bytes_max,
            check,
            id: None,
            clock_skew: None,
            current: StateVersion::INITIAL,
            query_set: 0,
            identity: 0,
            expires_at: None,
            queries: BTreeMap::new(),
            removed: BTreeSet::new(),
            invalidated: false,
            owed: false,
        }
    }

    /// Takes a text message. Call [`Session::update`] after it. `now` is what clients are told, which only
    /// rises; `wall` what the clock shows, since 1970, by which a token runs out.
    pub fn receive(&mut self, text: &str, now: Timestamp, wall: Duration) -> Result<Received, End> {
        match ClientMessage::parse(text)? {
            ClientMessage::Connect(connect) => self.connect(&connect, now)?,
            ClientMessage::Authenticate {
                base_version,
                identity,
            } => return self.authenticate(base_version, identity),
            ClientMessage::ModifyQuerySet(modify) => self.modify(modify)?,
            ClientMessage::Mutation(call) => {
                return self.refuse(call, FunctionKind::Mutation, wall);
            }
            ClientMessage::Action(call) => return self.refuse(call, FunctionKind::Action, wall),
            ClientMessage::Event => {}
        }
        Ok(Received::Taken)
    }

    /// The token was good until `expires_at`, in seconds since 1970.
    pub fn authenticated(&mut self, base_version: u32, expires_at: u64) -> Result<(), End> {
        self.become_identity(base_version, Some(expires_at))
    }

    /// Whether the session speaks for nobody.
    pub fn is_anonymous(&self) -> bool {
        self.expires_at.is_none()
    }

    /// Whether the client has said who it is: Connect comes first.
    pub fn is_connected(&self) -> bool {
        self.id.is_some()
    }

    /// Whether the client has ever asked for a query.
    pub fn has_asked(&self) -> bool {
        self.query_set != 0
    }

    /// How many queries the client is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.queries.len()
    }

    /// The token was bad.
    pub fn refused(&self, message: String) -> End {
        End::TokenRefused {
            message,
            base_version: self.current.identity,
        }
    }

    /// The queries' value may have changed. Call [`Session::update`] after it.
    pub fn invalidate(&mut self) {
        self.invalidated = true;
    }

    /// Begins to tell the client what it has to know, if there is anything.
    pub fn update(&mut self, wall: Duration) -> Result<Option<Update<'_>>, End> {
        let due = self.moved() || self.owed || (self.invalidated && self.runs());
        if !due {
            self.invalidated = false;
            return Ok(None);
        }
        self.check_expiry(wall)?;
        Ok(Some(Update::new(self)))
    }

    /// Whether the client has moved to a version it was not told of.
    pub(super) fn moved(&self) -> bool {
        (self.query_set, self.identity) != (self.current.query_set, self.current.identity)
    }

    /// Whether any query has a value.
    pub(super) fn runs(&self) -> bool {
        self.queries.values().any(Query::runs)
    }

    fn connect(&mut self, connect: &Connect, now: Timestamp) -> Result<(), End> {
        if self.id.is_some() {
            return Err(End::Protocol("a second Connect"));
        }
        if connect.max_observed_timestamp > Some(now) {
            return Err(End::Protocol("the client has seen a later timestamp"));
        }
        let now_ms = i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX);
        self.id = Some(connect.session_id);
        self.clock_skew = connect
            .client_ts
            .map(|client| client.saturating_sub(now_ms));
        Ok(())
    }

    fn authenticate(&mut self, base_version: u32, identity: Claimed) -> Result<Received, End> {
        match identity {
            Claimed::User(token) => Ok(Received::Verify {
                token,
                base_version,
            }),
            Claimed::Nobody => {
                self.become_identity(base_version, None)?;
                Ok(Received::Taken)
            }
            Claimed::Admin => Err(self.refused(TransportError::BadAdminKey.to_string())),
        }
    }

    fn become_identity(&mut self, base: u32, expires_at: Option<u64>) -> Result<(), End> {
        if base != self.identity {
            return Err(End::Protocol("Authenticate from another identity version"));
        }
        let next = base.checked_add(1);
        self.identity = next.ok_or(End::Protocol("no identity version is left"))?;
        self.expires_at = expires_at;
        Ok(())
    }

    fn modify(&mut self, modify: ModifyQuerySet<'_>) -> Result<(), End> {
        let (base, current) = (modify.base_version, self.query_set);
        if base != current {
            return Err(End::Fatal(format!(
                "Base version {base} passed up doesn't match the current version {current}"
            )));
        }
        if modify.new_version <= base {
            return Err(End::Protocol("a query set version that does not rise"));
        }
        for modification in modify.modifications {
            self.apply(modification)?;
        }
        self.query_set = modify.new_version;
        Ok(())
    }

    fn apply(&mut self, modification: Modification<'_>) -> Result<(), End> {
        match modification {
            Modification::Add {
                query_id,
                path,
                args,
            } => {
                if self.queries.len() >= self.queries_max {
                    return Err(End::Overloaded("TooManyQueries"));
                }
                let verdict = self.judge(path, FunctionKind::Query, args);
                match self.queries.entry(query_id) {
                    Entry::Occupied(_) => Err(End::Protocol("Add of a query that is there")),
                    Entry::Vacant(place) => {
                        place.insert(Query::new(verdict));
                        Ok(())
                    }
                }
            }
            Modification::Remove { query_id } => {
                let query = self.queries.remove(&query_id);
                query.ok_or(End::Protocol("Remove of a query that is not there"))?;
                self.removed.insert(query_id);
                Ok(())
            }
        }
    }

    /// Arguments come as a list here; anything else is refused once the function is found.
    fn judge(
        &self,
        path: FunctionPath,
        called: FunctionKind,
        args: Option<&RawValue>,
    ) -> Result<(), FunctionError> {
        if let Some(args) = args
            && args.get().starts_with('[')
        {
            return (self.check)(path, called, args);
        }
        match (self.check)(path, called, RawValue::NULL) {
            Ok(()) | Err(FunctionError::Args(_)) => Err(InvalidArgs::NotJson.into()),
            found => found,
        }
    }

    fn refuse(
        &mut self,
        call: Call<'_>,
        called: FunctionKind,
        wall: Duration,
    ) -> Result<Received, End> {
        self.check_expiry(wall)?;
        let session = self.id.ok_or(End::Protocol("a call before Connect"))?;
        let not_public = FunctionError::NotPublic(call.path.clone());
        let verdict = self.judge(call.path, called, Some(call.args));
        let error = verdict.err().unwrap_or(not_public);
        let id = request_id(session, call.request_id);
        let text = error.error_message(&id, self.texts);
        self.owed = true;
        let reply = ServerMessage::refusal(called, call.request_id, &text);
        Ok(Received::Reply(reply))
    }

    fn check_expiry(&self, wall: Duration) -> Result<(), End> {
        let is_good = |expires_at| wall <= Duration::from_secs(expires_at);
        if self.expires_at.is_none_or(is_good) {
            return Ok(());
        }
        Err(End::TokenExpired {
            base_version: self.current.identity,
        })
    }
}

/// The name of a call, the same however often the client repeats it.
fn request_id(session: Uuid, request: u32) -> RequestId {
    let digest = Sha256::digest(format!("{session}|{request}"));
    let first = digest.first_chunk().copied().unwrap_or_default();
    RequestId::from_random(u64::from_be_bytes(first))
}
