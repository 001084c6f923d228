//! The outside of a token: its three parts, their encoding, and what its header may say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::AuthError;
use super::claims::Text;

/// Longest token. `WorkOS` renders up to 3,072 bytes of custom claims, about 5.5 KB of token.
pub(super) const TOKEN_BYTES_MAX: usize = 8192;
/// Longest header part, encoded.
const HEADER_BYTES_MAX: usize = 1024;
/// Longest key id, here and in key sets.
const KID_BYTES_MAX: usize = 128;

/// The parts of a token, still encoded. `Debug` is not derived: they are somebody's credentials.
pub(super) struct Parts<'t> {
    header: &'t str,
    payload: &'t str,
    /// What the signature covers and the signature; `None` if there are not exactly three parts.
    signed: Option<(&'t str, &'t str)>,
}

impl<'t> Parts<'t> {
    /// Cuts a token at its dots. What has a second part can still be answered with what that says.
    pub(super) fn split(token: &'t str) -> Result<Self, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Payload { reason: "too_long" });
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload)) = (parts.next(), parts.next()) else {
            return Err(AuthError::Payload { reason: "one_part" });
        };
        let signed = match (parts.next(), parts.next()) {
            (Some(_), None) => token.rsplit_once('.'),
            _ => None,
        };
        Ok(Self {
            header,
            payload,
            signed,
        })
    }

    /// The text of the payload: strict base64url, UTF-8, a JSON object.
    pub(super) fn payload(&self) -> Result<String, AuthError> {
        object(self.payload).ok_or(AuthError::Payload {
            reason: "payload_encoding",
        })
    }

    /// Applies the header policy and returns what is left to check: key, text and signature.
    pub(super) fn signed(&self) -> Result<Signed<'t>, AuthError> {
        let too_long = self.header.len() > HEADER_BYTES_MAX;
        let refused = |reason| AuthError::Header { reason };
        if too_long {
            return Err(refused("header_too_long"));
        }
        let text = object(self.header).ok_or(refused("header_encoding"))?;
        let header: Option<Header> = serde_json::from_str(&text).ok();
        let header = header.ok_or(refused("header_json"))?;
        let kid = header
            .kid
            .as_ref()
            .map(Text::as_str)
            .ok_or(refused("no_kid"))?;
        let alg = header
            .alg
            .as_ref()
            .map(Text::as_str)
            .ok_or(refused("no_alg"))?;
        if !ALGORITHMS_KNOWN.contains(&alg) {
            return Err(refused("unknown_alg"));
        }
        let fit = kid_is_legal(kid);
        let refused = |reason| AuthError::Signature {
            reason,
            kid: fit.then(|| kid.into()),
        };
        if let Some(reason) = header.fault(alg) {
            return Err(refused(reason));
        }
        if !fit {
            return Err(refused("kid_charset"));
        }
        let (text, signature) = self.signed.ok_or_else(|| refused("parts"))?;
        Ok(Signed {
            kid: kid.into(),
            text,
            signature,
        })
    }
}

/// A token whose header is in order. Nothing in it is true before the signature was checked.
pub(super) struct Signed<'t> {
    /// Names the key.
    pub(super) kid: Box<str>,
    /// Header and payload as the signature covers them.
    pub(super) text: &'t str,
    /// The signature, encoded.
    pub(super) signature: &'t str,
}

/// The one algorithm.
const ALGORITHM: &str = "RS256";
/// The names that Convex's library knows: any other name is a header that it cannot read.
const ALGORITHMS_KNOWN: [&str; 13] = [
    "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
    "PS256", "PS384", "PS512",
];

/// The members of a header that mean something to somebody. Unlike claims, most of them are here
/// to be refused; twice the same member is an error, as everywhere.
#[derive(Deserialize)]
struct Header<'h> {
    #[serde(borrow)]
    alg: Option<Text<'h>>,
    #[serde(borrow)]
    kid: Option<Text<'h>>,
    #[serde(borrow)]
    typ: Option<Text<'h>>,
    #[serde(default)]
    crit: Member,
    #[serde(default)]
    b64: Member,
    #[serde(default)]
    zip: Member,
    #[serde(default)]
    enc: Member,
    #[serde(default)]
    cty: Member,
    #[serde(default)]
    jku: Member,
    #[serde(default)]
    jwk: Member,
    #[serde(default)]
    x5u: Member,
    #[serde(default)]
    x5c: Member,
}

impl Header<'_> {
    fn fault(&self, alg: &str) -> Option<&'static str> {
        let typ_is_known = self.typ.as_ref().is_none_or(|typ| {
            let typ = typ.as_str();
            let typ = typ.strip_prefix("application/").unwrap_or(typ);
            typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt")
        });
        let any = |members: &[Member]| members.contains(&Member::Present);
        let faults = [
            (alg != ALGORITHM, "alg"),
            (any(&[self.crit, self.b64]), "crit"),
            (any(&[self.zip, self.enc, self.cty]), "not_plain_claims"),
            (
                any(&[self.jku, self.jwk, self.x5u, self.x5c]),
                "key_in_header",
            ),
            (!typ_is_known, "typ"),
        ];
        faults
            .into_iter()
            .find_map(|(found, reason)| found.then_some(reason))
    }
}

/// Whether a member is there, whatever its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Member {
    #[default]
    Absent,
    Present,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(value).map(|IgnoredAny| Self::Present)
    }
}

/// Whether a text can be a key id: short, and of characters that are safe in any text.
pub(super) fn kid_is_legal(kid: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~:=+/@".contains(&b);
    (1..=KID_BYTES_MAX).contains(&kid.len()) && kid.bytes().all(legal)
}

/// Decodes a part that must be a JSON object. A derived struct would take an array as well.
fn object(part: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.trim_ascii_start().starts_with('{').then_some(text)
}
