//! Mutations of the header.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    KeyPair, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
};

use super::super::*;
use super::{Named, cut, good, named};

pub(super) fn algorithms() -> Vec<Named> {
    let names = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "",
        "HS256",
        "HS384",
        "HS512",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "Ed25519",
        "rs256",
        "RS256 ",
        "RS 256",
        "RS256\\u0000",
        "RSA-OAEP",
        "dir",
        "A128KW",
        "ML-DSA-44",
        "http://www.w3.org/2000/09/xmldsig#rsa-sha256",
    ];
    let mut tokens = Vec::new();
    for name in names {
        let token = good().header("alg", &format!("\"{name}\""));
        let [header, payload, _] = cut(&token.signed());
        tokens.push(named(format!("alg {name:?}"), token.signed()));
        tokens.push(named(
            format!("alg {name:?} unsigned"),
            format!("{header}.{payload}."),
        ));
    }
    for value in ["null", "7", "true", "[\"RS256\"]", "{\"RS256\":1}"] {
        let token = good().header("alg", value);
        tokens.push(named(format!("alg {value}"), token));
    }
    let others: [(&str, &'static dyn RsaEncoding); 3] = [
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS256", &RSA_PSS_SHA256),
    ];
    for (name, encoding) in others {
        for said in [name, "RS256"] {
            let token = good().header("alg", &format!("\"{said}\""));
            let [header, payload, _] = cut(&token.signed());
            let text = format!("{header}.{payload}");
            let signature = K1.sign_with(encoding, &text);
            tokens.push(named(
                format!("really {name}, says {said}"),
                format!("{text}.{signature}"),
            ));
        }
    }
    tokens
}

/// The public key, in every form in which it is public, as the secret of a MAC.
pub(super) fn confused_macs() -> Vec<Named> {
    let entry = K1.entry("k1");
    let der = K1.0.public_key().as_ref().to_vec();
    let secrets: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("modulus", K1.modulus()),
        ("modulus text", b64(K1.modulus()).into_bytes()),
        ("key set entry", entry.clone().into_bytes()),
        ("key set", key_set(&[entry]).into_bytes()),
        ("DER", der.clone()),
        ("DER text", b64(der).into_bytes()),
        ("key id", b"k1".to_vec()),
        ("client id", CLIENT.as_bytes().to_vec()),
    ];
    let algorithms = [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ];
    let mut tokens = Vec::new();
    for (secret_name, secret) in &secrets {
        for (name, algorithm) in algorithms {
            let token = good().header("alg", &format!("\"{name}\""));
            let [header, payload, _] = cut(&token.signed());
            let text = format!("{header}.{payload}");
            let mac = hmac::sign(&hmac::Key::new(algorithm, secret), text.as_bytes());
            let what = format!("{name} with {secret_name}");
            tokens.push(named(what, format!("{text}.{}", b64(mac))));
        }
    }
    tokens
}

pub(super) fn key_ids() -> Vec<Named> {
    let long = "k".repeat(129);
    let kids = [
        "",
        "K1",
        "k1 ",
        " k1",
        "k1\\u0000",
        "k2",
        "../../dev/null",
        "../k1",
        "k1/../k1",
        "0",
        "k1;k1",
        "' OR 1=1 --",
        "k1' UNION SELECT 'x",
        "$(id)",
        "| id",
        "http://127.0.0.1:9/jwks",
        "file:///etc/passwd",
        "\\u006b1 ",
        "k\\u00311",
        "\\r\\nX-Evil: 1",
        "<script>",
        "\\ud800",
        &long,
        "k1,k1",
        "*",
        "%6b1",
    ];
    let mut tokens: Vec<_> = kids
        .iter()
        .map(|kid| {
            named(
                format!("kid {kid}"),
                good().header("kid", &format!("\"{kid}\"")),
            )
        })
        .collect();
    for kid in ["null", "0", "true", "[\"k1\"]", "{\"k1\":1}", "[]"] {
        tokens.push(named(format!("kid {kid}"), good().header("kid", kid)));
    }
    tokens
}

/// The signer brings its own key, or says where it is.
pub(super) fn keys_in_headers() -> Vec<Named> {
    let own = STRANGER.entry("k1");
    let address = "\"http://127.0.0.1:9/jwks.json\"".to_owned();
    let members = [
        ("jwk", own.clone()),
        ("jwk", "{}".to_owned()),
        ("jwk", "null".to_owned()),
        ("jku", address.clone()),
        (
            "jku",
            "\"https://api.workos.com/sso/jwks/client_test\"".to_owned(),
        ),
        ("jku", "null".to_owned()),
        ("x5u", address),
        ("x5c", "[\"AAAA\"]".to_owned()),
        ("x5c", "[]".to_owned()),
    ];
    let mut tokens = Vec::new();
    for (name, value) in members {
        let token = good().header(name, &value);
        tokens.push(named(
            format!("{name} {value}, own key"),
            token.signed_by(&STRANGER),
        ));
        tokens.push(named(format!("{name} {value}, our key"), token));
    }
    let strange = good().header("kid", "\"k9\"").header("jwk", &own);
    tokens.push(named("kid k9 with jwk", strange.signed_by(&STRANGER)));
    tokens
}

pub(super) fn header_members() -> Vec<Named> {
    let members = [
        ("crit", "[]"),
        ("crit", "[\"exp\"]"),
        ("crit", "[\"b64\"]"),
        ("crit", "[\"http://example.com/UNDEFINED\"]"),
        ("crit", "null"),
        ("crit", "\"exp\""),
        ("b64", "false"),
        ("b64", "true"),
        ("b64", "null"),
        ("zip", "\"DEF\""),
        ("zip", "null"),
        ("enc", "\"A256GCM\""),
        ("cty", "\"JWT\""),
        ("typ", "\"\""),
        ("typ", "\"JWE\""),
        ("typ", "\"dpop+jwt\""),
        ("typ", "\"logout+jwt\""),
        ("typ", "\"secevent+jwt\""),
        ("typ", "\"JOSE+JSON\""),
        ("typ", "\"JWT \""),
        ("typ", "7"),
        ("typ", "[\"JWT\"]"),
    ];
    let mut tokens: Vec<_> = members
        .iter()
        .map(|(name, value)| named(format!("{name} {value}"), good().header(name, value)))
        .collect();
    for (name, value) in [
        ("alg", "\"RS256\""),
        ("alg", "\"none\""),
        ("kid", "\"k1\""),
        ("typ", "\"JWT\""),
    ] {
        let once = good().header(name, value).header_again(name, value);
        tokens.push(named(format!("{name} {value} twice"), once));
    }
    let none_first = Token {
        header: Vec::new(),
        ..good()
    };
    let none_first = none_first
        .header_again("alg", "\"none\"")
        .header_again("alg", "\"RS256\"");
    tokens.push(named(
        "alg none, then RS256",
        none_first.header("kid", "\"k1\""),
    ));
    for header in [
        "[\"RS256\",\"k1\"]",
        "\"RS256\"",
        "null",
        "{}",
        "",
        "{",
        "{}{}",
        "7",
        "\u{feff}{}",
    ] {
        let token = raw(header, good().payload(), &K1);
        tokens.push(named(format!("header {header}"), token));
    }
    tokens
}
