//! The claims of a payload, typed. Unverified: [`super::policy`] and the verifier decide on them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::AuthError;
use super::policy::Times;

/// Most members of an `aud` list.
const AUDIENCES_MAX: usize = 32;

/// A claim's text, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'c>(#[serde(borrow)] Cow<'c, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The claims we look at. A member that is there twice, or has another type than the registry
/// gives it, is an error; so are negative and fractional times. Unknown members are skipped.
#[derive(Deserialize)]
pub(super) struct Claims<'c> {
    #[serde(borrow)]
    pub(super) iss: Option<Text<'c>>,
    #[serde(borrow)]
    pub(super) sub: Option<Text<'c>>,
    #[serde(borrow, default)]
    pub(super) aud: Audience<'c>,
    pub(super) exp: Option<u64>,
    pub(super) iat: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) nbf: Option<u64>,
    #[serde(borrow, rename = "jti")]
    _jti: Option<Text<'c>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) sid: Option<&'c RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) client_id: Option<&'c RawValue>,
}

impl<'c> Claims<'c> {
    /// Takes the text of a payload, which is known to begin an object.
    pub(super) fn parse(payload: &'c str) -> Result<Self, AuthError> {
        // What is wrong with it is not told: the library's text can hold parts of the token (A5).
        let claims: Option<Self> = serde_json::from_str(payload).ok();
        claims.ok_or(AuthError::Payload {
            reason: "payload_json",
        })
    }

    pub(super) fn times(&self) -> Times {
        Times {
            exp: self.exp,
            nbf: self.nbf,
            iat: self.iat,
        }
    }
}

/// A number if the member is there: null does not count as absent.
fn number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(value).map(Some)
}

/// Whom a token is for.
#[derive(Default)]
pub(super) enum Audience<'c> {
    /// There is no `aud`.
    #[default]
    Absent,
    /// One or a list; null is the empty list, which nobody is in.
    These(Vec<Text<'c>>),
}

impl Audience<'_> {
    /// Whether `aud` is there and holds `id`.
    pub(super) fn holds(&self, id: &str) -> bool {
        match self {
            Self::Absent => false,
            Self::These(these) => these.iter().any(|audience| audience.as_str() == id),
        }
    }

    /// Whether `aud` is there, and does not hold `id`.
    pub(super) fn excludes(&self, id: &str) -> bool {
        matches!(self, Self::These(_)) && !self.holds(id)
    }
}

impl<'de: 'c, 'c> Deserialize<'de> for Audience<'c> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> Visitor<'de> for AudienceVisitor {
    type Value = Audience<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a short list of texts")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Audience::These(vec![Text(Cow::Borrowed(text))]))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Audience::These(vec![Text(Cow::Owned(text.to_owned()))]))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Audience::These(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut these = Vec::new();
        while let Some(audience) = seq.next_element::<Text<'de>>()? {
            if these.len() == AUDIENCES_MAX {
                return Err(de::Error::custom("too many audiences"));
            }
            these.push(audience);
        }
        Ok(Audience::These(these))
    }
}

/// Keeps the raw value of a member outside the registry: other services give it other types, so
/// that is no error until somebody asks for it. Null is a value too.
fn raw<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

/// The text that a raw value is, if it is one.
pub(super) fn text_of(raw: &RawValue) -> Option<Text<'_>> {
    serde_json::from_str(raw.get()).ok()
}
