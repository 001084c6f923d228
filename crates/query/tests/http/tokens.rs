//! An issuer: keys, their public set, tokens right and wrong.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

static OURS: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
static ANOTHER: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

/// The public set, with a key of an unknown kind beside ours.
pub(crate) fn jwks() -> Value {
    let modulus = OURS.public_key().modulus();
    let modulus = URL_SAFE_NO_PAD.encode(modulus.big_endian_without_leading_zero());
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed448", "kid": "odd", "x": "AAAA"},
        {"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "n": modulus, "e": "AQAB"},
    ]})
}

/// Which issuers are trusted, with their keys at `jwks`.
pub(crate) fn auth_config(jwks: &str) -> String {
    let issuer = |name: &str| json!({"issuer": name, "jwks": jwks, "audience": "client_test"});
    json!({"issuers": [
        issuer("https://api.workos.com/"),
        issuer("https://api.workos.com/user_management/client_test"),
    ]})
    .to_string()
}

fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_secs()).unwrap()
}

/// A valid token of this subject.
pub(crate) fn token_of(subject: &str) -> String {
    mint(&json!({"claims": {"sub": subject}}))
}

/// A token with changes: `claims` and `header` replace members, null removes one, numbers among the
/// claims count from now; `how` says what else is odd about it.
pub(crate) fn mint(changes: &Value) -> String {
    let header = with(
        json!({"alg": "RS256", "kid": "k1", "typ": "JWT"}),
        &changes["header"],
        0,
    );
    let issuer = "https://api.workos.com/user_management/client_test";
    let claims = json!({"iss": issuer, "aud": "client_test", "sub": "user_1",
        "iat": now() - 10, "exp": now() + 300});
    let claims = with(claims, &changes["claims"], now());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let key = if changes["how"] == "another key" {
        &*ANOTHER
    } else {
        &*OURS
    };
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    let signature = URL_SAFE_NO_PAD.encode(signature);
    match changes["how"].as_str() {
        Some("x") => "x".to_owned(),
        Some("no signature") => format!("{signed}."),
        Some("two parts") => signed,
        Some("a fourth part") => format!("{signed}.{signature}.AAAA"),
        Some("tampered") => {
            let claims = with(claims, &json!({"sub": "user_min"}), 0);
            format!("{}.{}.{signature}", encode(&header), encode(&claims))
        }
        _ => format!("{signed}.{signature}"),
    }
}

fn with(mut members: Value, changes: &Value, base: i64) -> Value {
    let to: &mut Map<_, _> = members.as_object_mut().unwrap();
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            to.remove(name);
        } else {
            let value = value
                .as_i64()
                .map_or(value.clone(), |offset| json!(base + offset));
            to.insert(name.clone(), value);
        }
    }
    members
}

fn encode(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}
