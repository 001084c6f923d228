//! Tokens that were found good, so that taking one apart and its arithmetic are done once.
//!
//! What is remembered is what one key set's keys signed: the identity and the times that those exact
//! bytes tell. It lies with the set, so a set that is replaced, or too old to be used, takes it along.
//! Time is compared anew for every request. Only good tokens are remembered, so only who holds one
//! takes up room.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};
use aws_lc_rs::digest::{SHA256, digest};

use super::Identity;
use super::policy::Times;

/// Places; a token has one, which it may have to share. 512 KiB for a set that was used, and some 10 MB
/// when every place is taken.
const PLACES: usize = 1 << 16;

/// SHA-256 of a whole token: no other has it, and the token cannot be had from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(token: &str) -> Self {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(fingerprint)
    }

    fn place(&self) -> usize {
        let [first, second, ..] = self.0;
        usize::from(u16::from_le_bytes([first, second]))
    }
}

/// What a good token says, as far as it is asked for again.
pub(super) struct KnownToken {
    pub(super) fingerprint: Fingerprint,
    pub(super) times: Times,
    pub(super) identity: Identity,
}

/// Good tokens of one key set. Read and written without locks.
#[derive(Default)]
pub(super) struct KnownTokens {
    places: OnceLock<Box<[ArcSwapOption<KnownToken>]>>,
}

impl KnownTokens {
    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<Guard<Option<Arc<KnownToken>>>> {
        let held = self.places.get()?.get(fingerprint.place())?.load();
        let same = held.as_ref().is_some_and(|t| t.fingerprint == *fingerprint);
        same.then_some(held)
    }

    /// Remembers a token, in place of one that may have been there.
    pub(super) fn put(&self, token: KnownToken) {
        let new = || (0..PLACES).map(|_| ArcSwapOption::empty()).collect();
        if let Some(place) = self.places.get_or_init(new).get(token.fingerprint.place()) {
            place.store(Some(Arc::new(token)));
        }
    }
}

impl fmt::Debug for KnownTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownTokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use domain::WorkosUserId;

    use super::*;

    fn token(text: &str) -> KnownToken {
        KnownToken {
            fingerprint: Fingerprint::of(text),
            times: Times::default(),
            identity: Identity {
                subject: WorkosUserId::parse(text).unwrap(),
                expires_at: 0,
            },
        }
    }

    fn subject(known: &KnownTokens, text: &str) -> Option<String> {
        let held = known.get(&Fingerprint::of(text))?;
        let held = held.as_ref()?;
        Some(held.identity.subject.as_str().to_owned())
    }

    #[test]
    fn only_the_very_bytes_are_known() {
        let known = KnownTokens::default();
        known.put(token("header.payload.signature"));
        let good = "header.payload.signature";
        assert_eq!(subject(&known, good).as_deref(), Some(good));
        for other in [
            "",
            "header.payload.signaturf",
            "header.payload.signature=",
            "header.payload.s",
        ] {
            assert_eq!(subject(&known, other), None, "{other}");
        }
    }

    #[test]
    fn of_more_tokens_than_places_none_is_taken_for_another() {
        let known = KnownTokens::default();
        for number in 0..PLACES * 2 {
            known.put(token(&number.to_string()));
        }
        let found = (0..PLACES * 2).filter(|number| {
            let number = number.to_string();
            let subject = subject(&known, &number);
            assert!(subject.as_ref().is_none_or(|subject| *subject == number));
            subject.is_some()
        });
        assert!((1..=PLACES).contains(&found.count()));
    }
}
