//! Public test vectors, where they are at hand: Wycheproof and the RFC 7520 cookbook.
//!
//! Their payloads are no claims, so they are put to admission, header policy and signature alone.

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, crypto};
use serde_json::Value;

use super::super::keys::Keys;
use super::super::token::Parts;
use super::*;

fn read(name: &str) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/jwt-vectors");
    let path: PathBuf = folder.join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: no {}", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn keys_of(document: &Value) -> Option<Keys> {
    admit(document.to_string().as_bytes())
        .ok()
        .map(|admitted| admitted.keys)
}

/// Whether a compact JWS passes all that comes before its claims.
fn passes(keys: Option<&Keys>, jws: &str) -> bool {
    let Some(keys) = keys else { return false };
    let Ok(signed) = Parts::split(jws).and_then(|parts| parts.signed()) else {
        return false;
    };
    keys.get(&signed.kid).is_some_and(|key| key.signed(&signed))
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap()
}

/// The public half of a key, as a set would show it.
fn public(key: &Value) -> Value {
    let mut key = key.clone();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        key.as_object_mut().unwrap().remove(private);
    }
    key
}

#[test]
fn wycheproof_signatures() {
    let Some(vectors) = read("wycheproof/json_web_signature_test.json") else {
        return;
    };
    let (mut valid, mut invalid, mut other) = (0, 0, 0);
    for group in list(&vectors, "testGroups") {
        let public = &group["public"];
        let key = if public.is_null() {
            &group["private"]
        } else {
            public
        };
        let keys = keys_of(&serde_json::json!({"keys": [key]}));
        for test in list(group, "tests") {
            let passed = passes(keys.as_ref(), test["jws"].as_str().unwrap_or(""));
            let ours = key["alg"] == "RS256";
            match test["result"].as_str().unwrap() {
                "valid" if ours => {
                    assert!(passed, "{test}");
                    valid += 1;
                }
                "valid" => {
                    assert!(!passed, "of another algorithm: {test}");
                    other += 1;
                }
                _ => {
                    assert!(!passed, "{test}");
                    invalid += 1;
                }
            }
        }
    }
    println!(
        "{valid} valid RS256 accepted; {invalid} invalid and {other} of other algorithms refused"
    );
    assert_eq!((valid, invalid), (8, 355));
}

#[test]
fn wycheproof_key_sets() {
    let Some(vectors) = read("wycheproof/json_web_key_test.json") else {
        return;
    };
    let (mut accepted, mut refused) = (0, 0);
    for group in list(&vectors, "testGroups") {
        let public = &group["public"];
        let keys = keys_of(if public.is_null() {
            &group["private"]
        } else {
            public
        });
        for test in list(group, "tests") {
            if passes(keys.as_ref(), test["jws"].as_str().unwrap_or("")) {
                assert_eq!(test["result"], "valid", "{test}");
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert_eq!((accepted, refused), (1, 25));
}

fn hex(case: &Value, name: &str) -> Vec<u8> {
    let text = case[name].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn wycheproof_rsa() {
    let (mut valid, mut invalid, mut weak) = (0, 0, 0);
    for bits in [2048, 3072, 4096] {
        let name = format!("wycheproof/rsa_signature_{bits}_sha256_test.json");
        let Some(vectors) = read(&name) else { return };
        for group in list(&vectors, "testGroups") {
            let mut key = group["keyJwk"].clone();
            key["kid"] = "k1".into();
            let Some(keys) = keys_of(&serde_json::json!({"keys": [key]})) else {
                assert_eq!(key["e"], "Aw", "an exponent of 3 is not admitted");
                weak += list(group, "tests").len();
                continue;
            };
            for test in list(group, "tests") {
                let (signature, key) = (b64(hex(test, "sig")), &keys["k1"]);
                let message = hex(test, "msg");
                let passed = signature.len() == key.signature_chars
                    && crypto::verify(&signature, &message, &key.key, Algorithm::RS256).unwrap();
                // A third kind leaves out the parameters of the hash: either answer is right.
                valid += u32::from(test["result"] == "valid");
                invalid += u32::from(test["result"] == "invalid");
                let wrong = if passed { "invalid" } else { "valid" };
                assert_ne!(test["result"], wrong, "{test}");
            }
        }
    }
    println!("{valid} valid accepted, {invalid} invalid refused, {weak} of weak keys left out");
}

#[test]
fn rfc_7520() {
    let Some(ours) = read("rfc7520/jws/4_1.rsa_v15_signature.json") else {
        return;
    };
    let key = public(&ours["input"]["key"]);
    let keys = keys_of(&serde_json::json!({"keys": [key]}));
    assert!(passes(
        keys.as_ref(),
        ours["output"]["compact"].as_str().unwrap()
    ));
    let private = serde_json::json!({"keys": [ours["input"]["key"]]});
    assert!(keys_of(&private).is_none(), "a private key in a key set");
    let mut refused = 0;
    for name in [
        "jws/4_2.rsa-pss_signature",
        "jws/4_3.ecdsa_signature",
        "jws/4_4.hmac-sha2_integrity_protection",
        "jws/4_5.signature_with_detached_content",
        "jws/4_6.protecting_specific_header_fields",
        "jws/4_7.protecting_content_only",
        "jws/4_8.multiple_signatures",
        "curve25519/jws",
        "rfc7797/4.2.hmac-sha2_b64_false",
        "jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2",
        "jwe/5_6.direct_encryption_using_aes-gcm",
        "jwe/5_9.compressed_content",
    ] {
        let other = read(&format!("rfc7520/{name}.json")).unwrap();
        let key = &other["input"]["key"];
        let own = key
            .is_object()
            .then(|| serde_json::json!({"keys": [public(key)]}));
        let own = own.and_then(|document| keys_of(&document));
        for form in ["compact", "json", "json_flat"] {
            let jws = &other["output"][form];
            let text = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
            assert!(
                !passes(own.as_ref(), &text) && !passes(keys.as_ref(), &text),
                "{name} {form}"
            );
            refused += 1;
        }
    }
    println!("1 accepted, {refused} refused");
}

#[test]
fn a_real_document_is_admitted() {
    let Some(document) = read("workos-jwks-example.json") else {
        return;
    };
    assert_eq!(keys_of(&document).unwrap().len(), 1);
}
