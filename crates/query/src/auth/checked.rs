//! Signatures that were found good, so that their arithmetic is done once a token.
//!
//! What is remembered is that one key signed one token, no more: time, claims and the key itself are
//! looked at again for every request, so nothing here can outlive them. A key that is loaded anew
//! remembers nothing. Only good signatures are remembered, so only who holds one takes up room.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{Context, SHA256};

use super::token::Signed;

/// Places; a token has one, which it may have to share. 512 KiB for a key that was used.
const PLACES: usize = 1 << 16;

type Fingerprint = [u8; 32];

/// What one key signed. Read and written without locks.
#[derive(Default)]
pub(super) struct Checked {
    places: OnceLock<Box<[ArcSwapOption<Fingerprint>]>>,
}

impl Checked {
    /// Whether this token's signature was found good before; if not, asks `verify`.
    pub(super) fn or_verify(&self, token: &Signed<'_>, verify: impl FnOnce() -> bool) -> bool {
        let fingerprint = fingerprint(token);
        let places = self
            .places
            .get_or_init(|| (0..PLACES).map(|_| ArcSwapOption::empty()).collect());
        let Some(place) = place(&fingerprint).and_then(|place| places.get(place)) else {
            return verify();
        };
        if place.load().as_deref() == Some(&fingerprint) {
            return true;
        }
        let good = verify();
        if good {
            place.store(Some(Arc::new(fingerprint)));
        }
        good
    }
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checked(..)")
    }
}

/// Of the exact bytes that were signed and of the signature, so that no other token has it.
fn fingerprint(token: &Signed<'_>) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    context.update(token.text.as_bytes());
    context.update(b".");
    context.update(token.signature.as_bytes());
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

fn place(fingerprint: &Fingerprint) -> Option<usize> {
    let (first, _) = fingerprint.split_first_chunk()?;
    Some(usize::from(u16::from_le_bytes(*first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token<'t>(text: &'t str, signature: &'t str) -> Signed<'t> {
        Signed {
            kid: "k".into(),
            text,
            signature,
        }
    }

    #[test]
    fn a_good_signature_is_verified_once_and_a_bad_one_every_time() {
        let checked = Checked::default();
        let good = token("header.payload", "signature");
        assert!(checked.or_verify(&good, || true));
        assert!(checked.or_verify(&good, || panic!("it is remembered")));
        let bad = token("header.payload", "another");
        for _ in 0..3 {
            assert!(!checked.or_verify(&bad, || false), "it is never remembered");
        }
        for other in [
            token("header.payloae", "signature"),
            token("header.payload.s", "ignature"),
        ] {
            assert!(!checked.or_verify(&other, || false));
        }
    }

    #[test]
    fn more_tokens_than_places_are_answered_all_the_same() {
        let checked = Checked::default();
        for number in 0..PLACES * 2 {
            let text = format!("header.{number}");
            let valid = number % 3 != 0;
            assert_eq!(checked.or_verify(&token(&text, "s"), || valid), valid);
        }
    }
}
