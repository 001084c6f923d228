//! The `Authorization` header: its syntax, which is judged before the body, and who it says is
//! asking.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convex_wire::{ShownHeader, TransportError};
use domain::WorkosUserId;

use super::failure::Failure;
use crate::QueryState;

/// What a request shows. There is no `Debug`: a token is a secret (Q3).
pub(crate) enum Credentials<'r> {
    /// Nothing: anybody.
    Nobody,
    /// A bearer token, not yet checked.
    Token(&'r str),
    /// An admin key. There are none here, so it is a wrong one.
    AdminKey,
}

/// Length of the shortest scheme with its space, `bearer ` and `convex `.
const SCHEME_BYTES: usize = 7;

impl<'r> Credentials<'r> {
    /// Reads the header, or the URL's `adminKey` when there is none.
    pub(crate) fn of(request: &'r Parts) -> Result<Self, TransportError> {
        let mut headers = request.headers.get_all(AUTHORIZATION).iter();
        let Some(header) = headers.next() else {
            return Ok(if has_admin_key(request) {
                Self::AdminKey
            } else {
                Self::Nobody
            });
        };
        // Two headers are two opinions on who asks; a proxy may have judged the other one.
        if headers.next().is_some() {
            return Err(TransportError::InvalidHeaderFailure);
        }
        let text = header.to_str().map_err(|_bytes| {
            TransportError::HeaderParseFailure(ShownHeader(format!("{header:?}")))
        });
        Self::parse(text?)
    }

    fn parse(text: &'r str) -> Result<Self, TransportError> {
        let Some((scheme, rest)) = text.split_at_checked(SCHEME_BYTES) else {
            return Err(TransportError::InvalidHeaderFailure);
        };
        if scheme.eq_ignore_ascii_case("convex ") {
            check_admin_key(rest)?;
            return Ok(Self::AdminKey);
        }
        if scheme.eq_ignore_ascii_case("bearer ") && !rest.is_empty() {
            return Ok(Self::Token(rest.trim()));
        }
        Err(TransportError::InvalidAdminKey)
    }

    /// Checks the token. An absent one is nobody, a bad one is an error (Q1).
    pub(crate) async fn identify(
        &self,
        state: &QueryState,
    ) -> Result<Option<WorkosUserId>, Failure> {
        match self {
            Self::Nobody => Ok(None),
            Self::AdminKey => Err(TransportError::BadAdminKey.into()),
            Self::Token(token) => match state.verifier.authenticate(token).await {
                Ok(identity) => Ok(Some(identity.subject)),
                Err(error) => Err(Failure::Auth(error, state.texts)),
            },
        }
    }
}

/// An admin who acts as a user writes that user as base64 of JSON behind the key.
fn check_admin_key(key: &str) -> Result<(), TransportError> {
    let Some((_, user)) = key.split_once(':') else {
        return Ok(());
    };
    let json = STANDARD.decode(user.trim()).ok();
    let json = json.filter(|json| serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok());
    json.map(|_| ())
        .ok_or(TransportError::MalformedAuthorization)
}

fn has_admin_key(request: &Parts) -> bool {
    let names = request.uri.query().unwrap_or_default().split('&');
    names
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .any(|n| n == "adminKey")
}
