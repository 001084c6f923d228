//! From a token to an identity, or to the one reason why not.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use ::metrics::Counter;
use domain::WorkosUserId;

use super::claims::Claims;
use super::keys::{KeySource, KeysStatus, Timing};
use super::known::{Fingerprint, KnownToken};
use super::latest::Latest;
use super::loader::{ClientError, KeyLoader};
use super::policy::{Issuer, Mismatch, Times, check_time};
use super::token::{Parts, Signed, TOKEN_BYTES_MAX};
use super::{AuthConfig, AuthError, metrics};

/// The clock that tokens' times are compared with. Given, so that a test can set it.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Who asks. `Debug` does not show whom (A5).
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The token's `sub`.
    pub subject: WorkosUserId,
    /// The token's `exp`, in seconds since 1970. A connection that outlives it must ask anew.
    pub expires_at: u64,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Checks tokens. Shared by all requests; takes no lock.
pub struct Verifier {
    issuers: Vec<Issuer>,
    /// The issuers as the development text lists them.
    listed: Arc<str>,
    pub(super) sources: Vec<Arc<KeySource>>,
    clock: WallClock,
    latest: Latest,
    /// Registered with the recorder that is installed when the first good token comes.
    accepted: OnceLock<Counter>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier that has no keys yet, and the loader that gives it some once it runs.
    pub fn new(config: AuthConfig, clock: WallClock) -> Result<(Self, KeyLoader), ClientError> {
        Self::with_timing(config, clock, &Timing::default())
    }

    pub(super) fn with_timing(
        config: AuthConfig,
        clock: WallClock,
        timing: &Timing,
    ) -> Result<(Self, KeyLoader), ClientError> {
        let AuthConfig { issuers, sources } = config;
        let source = |location| Arc::new(KeySource::new(location, timing.clone()));
        let sources: Vec<_> = sources.into_iter().map(source).collect();
        let loader = KeyLoader::new(&sources, &issuers, &clock)?;
        let verifier = Self {
            listed: Issuer::listed(&issuers).into(),
            issuers,
            sources,
            clock,
            latest: Latest::default(),
            accepted: OnceLock::new(),
        };
        Ok((verifier, loader))
    }

    /// Checks a token with the keys at hand. Some 20 µs, of which the signature is the most; under 1 µs
    /// for a token that was found good before.
    pub fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        if let Some(result) = self.recall(token) {
            return result;
        }
        let parts = Parts::split(token)?;
        let payload = parts.payload()?;
        let unverified = self.read(&parts, &payload)?;
        self.check(&unverified, token).map_err(AuthError::from)
    }

    /// Checks a token; when it names an unknown key, waits at most a second for the keys to be
    /// loaded anew. Such loads are rare (at most one in 30 s) and so are the requests that wait.
    pub async fn authenticate(&self, token: &str) -> Result<Identity, AuthError> {
        let result = self.authenticate_uncounted(token).await;
        match &result {
            Ok(_) => self.accepted.get_or_init(metrics::accepted).increment(1),
            Err(error) => {
                tracing::debug!(
                    kind = error.kind(),
                    reason = error.reason(),
                    "a token is refused"
                );
                metrics::refused(error);
            }
        }
        result
    }

    async fn authenticate_uncounted(&self, token: &str) -> Result<Identity, AuthError> {
        if let Some(result) = self.recall(token) {
            return result;
        }
        let parts = Parts::split(token)?;
        let payload = parts.payload()?;
        let unverified = self.read(&parts, &payload)?;
        match self.check(&unverified, token) {
            Err(Unchecked::UnknownKey(_)) if unverified.source.reload().await => {
                self.check(&unverified, token).map_err(AuthError::from)
            }
            result => result.map_err(AuthError::from),
        }
    }

    /// Judges a token that keys in use are known to have signed: only the time can have run out on it.
    fn recall(&self, token: &str) -> Option<Result<Identity, AuthError>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let fingerprint = Fingerprint::of(token);
        self.sources.iter().find_map(|source| {
            let set = source.usable()?;
            let known = set.known.get(&fingerprint)?;
            let known = known.as_ref()?;
            let in_time = self.check_time(known.times);
            Some(in_time.map(|()| known.identity.clone()))
        })
    }

    /// Everything that can be said without a key, in the order in which Convex says it.
    fn read<'t>(
        &'t self,
        parts: &Parts<'t>,
        payload: &'t str,
    ) -> Result<Unverified<'t>, AuthError> {
        let claims = Claims::parse(payload)?;
        let issuer = Issuer::of(&self.issuers, &claims).map_err(|mismatch| match mismatch {
            Mismatch::NoIssuer => AuthError::NoIssuer,
            Mismatch::NoProvider(reason) => AuthError::NoProvider {
                reason,
                trusted: Arc::clone(&self.listed),
            },
        })?;
        let signed = parts.signed()?;
        let source = self.sources.get(issuer.keys).ok_or(AuthError::NoKeys)?;
        Ok(Unverified {
            claims,
            issuer,
            signed,
            source,
        })
    }

    /// Signature, then time, then claims. A good token is remembered.
    fn check(&self, token: &Unverified<'_>, text: &str) -> Result<Identity, Unchecked> {
        let set = token.source.usable().ok_or(AuthError::NoKeys)?;
        let refused = |reason| AuthError::Signature {
            reason,
            kid: Some(token.signed.kid.clone()),
        };
        let key = set
            .keys
            .get(&token.signed.kid)
            .ok_or_else(|| Unchecked::UnknownKey(refused("unknown_key")))?;
        if !key.signed(&token.signed) {
            return Err(refused("signature").into());
        }
        let times = token.claims.times();
        self.check_time(times)?;
        let (sub, expires_at) = token.issuer.check(&token.claims)?;
        let subject = WorkosUserId::parse(sub).ok();
        let subject = subject.ok_or(AuthError::Claims {
            reason: "sub_length",
        })?;
        let identity = Identity {
            subject,
            expires_at,
        };
        set.known.put(KnownToken {
            fingerprint: Fingerprint::of(text),
            times,
            identity: identity.clone(),
        });
        Ok(identity)
    }

    fn check_time(&self, times: Times) -> Result<(), AuthError> {
        let now = self.now()?;
        check_time(times, now, self.latest.for_token(times.iat, now))
    }

    fn now(&self) -> Result<u64, AuthError> {
        let since_1970 = (self.clock)().duration_since(UNIX_EPOCH).ok();
        Ok(since_1970.ok_or(AuthError::NoClock)?.as_secs())
    }

    /// Whether tokens of every trusted issuer can be checked.
    pub fn ready(&self) -> bool {
        self.now().is_ok() && self.sources.iter().all(|source| source.usable().is_some())
    }

    /// Where the keys come from and how that goes.
    pub fn status(&self) -> Vec<KeysStatus> {
        self.sources.iter().map(|source| source.status()).collect()
    }
}

/// A token taken apart, of which nothing is known to be true.
struct Unverified<'t> {
    claims: Claims<'t>,
    issuer: &'t Issuer,
    signed: Signed<'t>,
    source: &'t KeySource,
}

/// A refusal, and whether newer keys could change it.
enum Unchecked {
    UnknownKey(AuthError),
    Final(AuthError),
}

impl From<AuthError> for Unchecked {
    fn from(error: AuthError) -> Self {
        Self::Final(error)
    }
}

impl From<Unchecked> for AuthError {
    fn from(unchecked: Unchecked) -> Self {
        match unchecked {
            Unchecked::UnknownKey(error) | Unchecked::Final(error) => error,
        }
    }
}
