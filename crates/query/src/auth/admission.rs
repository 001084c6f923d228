//! Which keys of a key set are let in: entry by entry, so that an odd one harms itself alone.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::keys::{Keys, SigningKey};
use super::token::{Member, kid_is_legal};

/// Most entries of a key set.
const ENTRIES_MAX: usize = 16;
/// Sizes of a modulus.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Longest modulus as text, with some leading zeros: nothing longer is decoded.
const MODULUS_CHARS_MAX: usize = 700;
/// 65,537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// Why a document gave no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("it is not a JSON object with a list `keys`")]
    NotAnObject,
    #[error("it is not a JSON object with a list `keys`: {0}")]
    NotAKeySet(serde_json::Error),
    #[error("it holds {entries} keys, more than {ENTRIES_MAX}")]
    TooMany { entries: usize },
    #[error("none of its {entries} keys can be used; the first was refused for its {reason}")]
    NoneAdmitted {
        entries: usize,
        reason: &'static str,
    },
}

/// What a document gave.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) keys: Keys,
    /// For each entry left out: why.
    pub(super) skipped: Vec<&'static str>,
}

#[derive(Deserialize)]
struct Document<'d> {
    #[serde(borrow)]
    keys: Vec<&'d RawValue>,
}

/// Reads a key set (RFC 7517). At least one key is admitted, or it is an error.
pub(super) fn admit(document: &[u8]) -> Result<Admitted, DocumentError> {
    if !document.trim_ascii_start().starts_with(b"{") {
        return Err(DocumentError::NotAnObject);
    }
    let document: Document<'_> =
        serde_json::from_slice(document).map_err(DocumentError::NotAKeySet)?;
    let entries = document.keys.len();
    if entries > ENTRIES_MAX {
        return Err(DocumentError::TooMany { entries });
    }

    let mut by_kid: BTreeMap<Box<str>, Vec<SigningKey>> = BTreeMap::new();
    let mut skipped = Vec::new();
    for entry in document.keys {
        match admit_one(entry.get()) {
            Ok((kid, key)) => by_kid.entry(kid).or_default().push(key),
            Err(reason) => skipped.push(reason),
        }
    }
    let mut keys = Keys::new();
    for (kid, mut same) in by_kid {
        match (same.pop(), same.len()) {
            (Some(key), 0) => drop(keys.insert(kid, key)),
            // Which of them is meant cannot be known, so none is.
            (_, others) => skipped.extend(std::iter::repeat_n("kid_twice", others + 1)),
        }
    }
    if keys.is_empty() {
        return Err(DocumentError::NoneAdmitted {
            entries,
            reason: skipped.first().copied().unwrap_or("absence"),
        });
    }
    Ok(Admitted { keys, skipped })
}

/// A key set's entry, as far as it decides on admission.
#[derive(Deserialize)]
struct Entry {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// The private exponent, and the private form of other kinds: no public key has them.
    #[serde(default)]
    d: Member,
    #[serde(default)]
    p: Member,
    #[serde(default)]
    q: Member,
}

fn admit_one(entry: &str) -> Result<(Box<str>, SigningKey), &'static str> {
    if !entry.starts_with('{') {
        return Err("shape");
    }
    let entry: Option<Entry> = serde_json::from_str(entry).ok();
    let entry = entry.ok_or("shape")?;
    if entry.kty != "RSA" {
        return Err("kty");
    }
    if [entry.d, entry.p, entry.q].contains(&Member::Present) {
        // Whoever can read the document can sign with it.
        return Err(PRIVATE_PART);
    }
    if entry.usage.is_some_and(|usage| usage != "sig") {
        return Err("use");
    }
    if entry
        .key_ops
        .is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
    {
        return Err("key_ops");
    }
    if entry.alg.is_some_and(|alg| alg != "RS256") {
        return Err("alg");
    }
    let kid = entry.kid.filter(|kid| kid_is_legal(kid)).ok_or("kid")?;
    let n = integer(entry.n.as_deref()).ok_or("modulus")?;
    let e = integer(entry.e.as_deref()).ok_or("exponent")?;
    if e != EXPONENT {
        return Err("exponent");
    }
    Ok((kid.into(), signing_key(&n)?))
}

/// The reason for an entry that holds a private key.
pub(super) const PRIVATE_PART: &str = "private_part";

fn signing_key(n: &[u8]) -> Result<SigningKey, &'static str> {
    let (Some(first), Some(last)) = (n.first(), n.last()) else {
        return Err("modulus");
    };
    let unused_bits = usize::try_from(first.leading_zeros()).unwrap_or(0);
    let bits = (n.len() * 8).saturating_sub(unused_bits);
    if !MODULUS_BITS.contains(&bits) {
        return Err("modulus_size");
    }
    if last % 2 == 0 {
        return Err("modulus");
    }
    if is_roca(n) {
        return Err("modulus_weak");
    }
    Ok(SigningKey {
        key: DecodingKey::from_rsa_raw_components(n, &EXPONENT),
        signature_chars: (n.len() * 4).div_ceil(3),
    })
}

/// A big-endian integer in base64url without padding; leading zeros are dropped, because the
/// cryptography refuses them.
fn integer(text: Option<&str>) -> Option<Vec<u8>> {
    let text = text.filter(|text| text.len() <= MODULUS_CHARS_MAX)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// Whether a modulus is of a generator that can be factored (CVE-2017-15361): its remainders by
/// these primes are all powers of 65,537. One sound modulus in some hundred million looks so.
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    PRIMES.iter().all(|&prime| {
        let remainder = n
            .iter()
            .fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % prime);
        let next = |power: &u32| Some(power * (65_537 % prime) % prime);
        let powers = std::iter::successors(Some(1), next).take(157);
        powers.into_iter().any(|power| power == remainder)
    })
}
