//! What a client says, decoded. Members that mean nothing to a server of queries are skipped.

use std::borrow::Cow;
use std::fmt;

use serde::de;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{FunctionPath, Timestamp};

/// A client's message.
pub(super) enum ClientMessage<'m> {
    Connect(Connect),
    Authenticate {
        base_version: u32,
        identity: Claimed,
    },
    ModifyQuerySet(ModifyQuerySet<'m>),
    Mutation(Call<'m>),
    Action(Call<'m>),
    /// The client's own metrics.
    Event,
}

/// A text that is no message; Convex tells the client why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Received Invalid JSON on websocket: {0}")]
pub(super) struct InvalidMessage(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connect {
    pub(super) session_id: Uuid,
    #[serde(rename = "connectionCount")]
    _connection_count: u32,
    #[serde(default, deserialize_with = "timestamp")]
    pub(super) max_observed_timestamp: Option<Timestamp>,
    /// The client's clock in milliseconds.
    pub(super) client_ts: Option<i64>,
}

/// Whom a client says it speaks for.
pub(super) enum Claimed {
    User(Token),
    Nobody,
    Admin,
}

/// A bearer token. There is no `Debug` for what it holds: it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

pub(super) struct ModifyQuerySet<'m> {
    pub(super) base_version: u32,
    pub(super) new_version: u32,
    pub(super) modifications: Vec<Modification<'m>>,
}

pub(super) enum Modification<'m> {
    Add {
        query_id: u32,
        path: FunctionPath,
        args: Option<&'m RawValue>,
    },
    Remove {
        query_id: u32,
    },
}

/// A call of a mutation or an action.
pub(super) struct Call<'m> {
    pub(super) request_id: u32,
    pub(super) path: FunctionPath,
    pub(super) args: &'m RawValue,
}

#[derive(Deserialize)]
struct Tag<'m> {
    #[serde(rename = "type", borrow)]
    name: Cow<'m, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAuthenticate {
    base_version: u32,
    token_type: TokenType,
    value: Option<String>,
}

#[derive(Deserialize)]
enum TokenType {
    User,
    None,
    Admin,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawModifyQuerySet<'m> {
    base_version: u32,
    new_version: u32,
    #[serde(borrow)]
    modifications: Vec<&'m RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAdd<'m> {
    #[serde(default)]
    query_id: u32,
    #[serde(deserialize_with = "path")]
    udf_path: FunctionPath,
    #[serde(borrow, default)]
    args: Option<&'m RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRemove {
    query_id: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCall<'m> {
    request_id: u32,
    #[serde(deserialize_with = "path")]
    udf_path: FunctionPath,
    #[serde(borrow)]
    args: &'m RawValue,
}

impl<'m> ClientMessage<'m> {
    /// Reads a text message.
    pub(super) fn parse(text: &'m str) -> Result<Self, InvalidMessage> {
        match &*read::<Tag<'_>>(text)?.name {
            "Connect" => read(text).map(Self::Connect),
            "Authenticate" => authenticate(read(text)?),
            "ModifyQuerySet" => modify_query_set(read(text)?),
            "Mutation" => call(text).map(Self::Mutation),
            "Action" => call(text).map(Self::Action),
            "Event" => Ok(Self::Event),
            other => Err(unknown(other)),
        }
    }
}

fn read<'m, T: Deserialize<'m>>(text: &'m str) -> Result<T, InvalidMessage> {
    serde_json::from_str(text).map_err(|fault| InvalidMessage(fault.to_string()))
}

fn unknown(name: &str) -> InvalidMessage {
    InvalidMessage(format!("unknown type `{name}`"))
}

fn authenticate(raw: RawAuthenticate) -> Result<ClientMessage<'static>, InvalidMessage> {
    let value = raw
        .value
        .ok_or_else(|| InvalidMessage("missing field `value`".to_owned()));
    let identity = match raw.token_type {
        TokenType::User => Claimed::User(Token(value?)),
        TokenType::None => Claimed::Nobody,
        TokenType::Admin => value.map(|_key| Claimed::Admin)?,
    };
    Ok(ClientMessage::Authenticate {
        base_version: raw.base_version,
        identity,
    })
}

fn modify_query_set(raw: RawModifyQuerySet<'_>) -> Result<ClientMessage<'_>, InvalidMessage> {
    let modifications = raw.modifications.into_iter().map(modification);
    Ok(ClientMessage::ModifyQuerySet(ModifyQuerySet {
        base_version: raw.base_version,
        new_version: raw.new_version,
        modifications: modifications.collect::<Result<_, _>>()?,
    }))
}

fn modification(raw: &RawValue) -> Result<Modification<'_>, InvalidMessage> {
    match &*read::<Tag<'_>>(raw.get())?.name {
        "Add" => {
            let add: RawAdd<'_> = read(raw.get())?;
            Ok(Modification::Add {
                query_id: add.query_id,
                path: add.udf_path,
                args: add.args,
            })
        }
        "Remove" => {
            let RawRemove { query_id } = read(raw.get())?;
            Ok(Modification::Remove { query_id })
        }
        other => Err(unknown(other)),
    }
}

fn call(text: &str) -> Result<Call<'_>, InvalidMessage> {
    let raw: RawCall<'_> = read(text)?;
    Ok(Call {
        request_id: raw.request_id,
        path: raw.udf_path,
        args: raw.args,
    })
}

fn path<'de, D: Deserializer<'de>>(text: D) -> Result<FunctionPath, D::Error> {
    let text = String::deserialize(text)?;
    FunctionPath::parse(&text).map_err(de::Error::custom)
}

fn timestamp<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(text)?;
    let parsed = text.as_deref().map(Timestamp::parse).transpose();
    parsed.map_err(de::Error::custom)
}
