//! Why a token was refused: the facts, and Convex's code and text for them.

use std::borrow::Cow;
use std::sync::Arc;

use convex_wire::TextMode;

/// A refusal. Every variant but the last two is the caller's fault and a 401.
///
/// `reason` members are fixed words: they never hold a part of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The payload is not a JSON object of claims, or the token is not worth taking apart.
    #[error("the token's payload cannot be read: {reason}")]
    Payload {
        /// What was wrong.
        reason: &'static str,
    },
    /// The payload names no issuer.
    #[error("the token names no issuer")]
    NoIssuer,
    /// No trusted issuer has this issuer and audience.
    #[error("the token is of no trusted issuer: {reason}")]
    NoProvider {
        /// What did not match.
        reason: &'static str,
        /// The trusted issuers as Convex lists them.
        trusted: Arc<str>,
    },
    /// The header cannot be read, or names no key.
    #[error("the token's header cannot be read: {reason}")]
    Header {
        /// What was wrong.
        reason: &'static str,
    },
    /// The header asks for what is not allowed, its key is unknown, or the signature is wrong.
    #[error("the token is not signed as it must be: {reason}")]
    Signature {
        /// What was wrong.
        reason: &'static str,
        /// The key the token names, if that is a text fit to be shown to the caller.
        kid: Option<Box<str>>,
    },
    /// The token's time is over.
    #[error("the token expired {seconds_ago} s ago")]
    Expired {
        /// Seconds since then.
        seconds_ago: u64,
    },
    /// The token is of the future.
    #[error("the token becomes valid in {seconds} s")]
    Early {
        /// Seconds until then.
        seconds: u64,
    },
    /// The signature holds, the claims do not.
    #[error("the token's claims are refused: {reason}")]
    Claims {
        /// Which claim.
        reason: &'static str,
    },
    /// There is no usable key set of that issuer: nobody can be let in, nor told to sign in again.
    #[error("no signing keys are at hand")]
    NoKeys,
    /// The machine's clock says a time before 1970.
    #[error("the clock is not set")]
    NoClock,
}

const UNREADABLE_PAYLOAD: &str = "Could not parse JWT payload. Check that the token is a valid JWT format with three base64-encoded parts separated by dots.";
const MISSING_ISSUER: &str = "Missing issuer claim ('iss') in JWT payload. The JWT must include an 'iss' claim that matches one of your configured auth providers.";
const NO_PROVIDER: &str = "No auth provider found matching the given token";
const NO_KEY_ID: &str = "Could not decode token. JWT may be missing a 'kid' (key ID) header.";
const BAD_SIGNATURE: &str = "Could not decode token. The JWT's 'kid' (key ID) header doesn't match any key in the provider's JWKS, or the JWT signature is invalid.";
const BAD_CLAIMS: &str = "Could not verify token claim. Check that the JWT contains valid claims and matches your auth provider configuration.";
const UNAVAILABLE: &str = "Tokens cannot be checked at the moment. Try again in a few seconds.";

/// How long a caller shall wait before it asks again while keys are missing.
const RETRY_AFTER_SECONDS: u32 = 5;

impl AuthError {
    /// The `code` of the answer's body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoProvider { .. } => "NoAuthProvider",
            Self::NoKeys | Self::NoClock => "AuthUnavailable",
            Self::Payload { .. }
            | Self::NoIssuer
            | Self::Header { .. }
            | Self::Signature { .. }
            | Self::Expired { .. }
            | Self::Early { .. }
            | Self::Claims { .. } => "InvalidAuthHeader",
        }
    }

    /// The `message` of the answer's body.
    pub fn message(&self, mode: TextMode) -> Cow<'static, str> {
        let verbose = mode == TextMode::Verbose;
        match self {
            Self::Payload { .. } => UNREADABLE_PAYLOAD.into(),
            Self::NoIssuer => MISSING_ISSUER.into(),
            Self::NoProvider { trusted, .. } if verbose => format!(
                "{NO_PROVIDER}. Check that your JWT's issuer and audience match one of your configured providers: [{trusted}]"
            )
            .into(),
            Self::NoProvider { .. } => NO_PROVIDER.into(),
            Self::Header { .. } => NO_KEY_ID.into(),
            Self::Signature { kid: Some(kid), .. } if verbose => format!(
                "Could not decode token. The JWT's 'kid' (key ID) header is '{kid}', does this key match any key in the provider's JWKS?"
            )
            .into(),
            Self::Signature { .. } => BAD_SIGNATURE.into(),
            Self::Expired { seconds_ago } => {
                format!("Could not validate token: Token expired {seconds_ago} seconds ago").into()
            }
            Self::Early { seconds } => {
                format!("Could not validate token: Token will be valid in {seconds} seconds").into()
            }
            Self::Claims { .. } => BAD_CLAIMS.into(),
            Self::NoKeys | Self::NoClock => UNAVAILABLE.into(),
        }
    }

    /// The HTTP status: 401, or 503 when the fault is ours. Clients sign their user out on a 401.
    pub fn status(&self) -> u16 {
        if self.retry_after_seconds().is_some() {
            503
        } else {
            401
        }
    }

    /// The `Retry-After` of a 503.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        matches!(self, Self::NoKeys | Self::NoClock).then_some(RETRY_AFTER_SECONDS)
    }

    /// Every kind of refusal, for metrics.
    pub const KINDS: [&'static str; 10] = [
        "payload",
        "no_issuer",
        "no_provider",
        "header",
        "signature",
        "expired",
        "early",
        "claims",
        "no_keys",
        "no_clock",
    ];

    /// The kind of refusal, for metrics: one of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Payload { .. } => "payload",
            Self::NoIssuer => "no_issuer",
            Self::NoProvider { .. } => "no_provider",
            Self::Header { .. } => "header",
            Self::Signature { .. } => "signature",
            Self::Expired { .. } => "expired",
            Self::Early { .. } => "early",
            Self::Claims { .. } => "claims",
            Self::NoKeys => "no_keys",
            Self::NoClock => "no_clock",
        }
    }

    /// A short fixed word for the log, more exact than the kind.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoIssuer => "no_issuer",
            Self::Expired { .. } => "expired",
            Self::Early { .. } => "early",
            Self::NoKeys => "no_keys",
            Self::NoClock => "no_clock",
            Self::Payload { reason }
            | Self::NoProvider { reason, .. }
            | Self::Header { reason }
            | Self::Signature { reason, .. }
            | Self::Claims { reason } => reason,
        }
    }
}
