//! Mutations of the claims, signed by the right key.

use super::super::*;
use super::{Named, good, named};

pub(super) fn issuers() -> Vec<Named> {
    let texts = [
        "",
        "/",
        "https://",
        "https:///",
        "api.workos.co",
        "https://api.workos.com.evil.example/",
        "https://evil.example/https://api.workos.com/",
        "https://api.workos.com@evil.example/",
        "http://api.workos.com/",
        "HTTPS://api.workos.com/",
        "https://API.workos.com/",
        "https://api.workos.com:443/",
        "https://api.workos.com/?",
        "https://api.workos.com/#",
        "https://api.workos.com/user_management",
        "https://api.workos.com/user_management/client_other",
        "https://api.workos.com/user_management/client_test/x",
        "https://api.workos.com//user_management/client_test",
        "https://api.workos.com/user_management/client_test ",
        " https://api.workos.com/",
        "https://https://api.workos.com/",
        "https://api.workos.com/sso/client_test",
        "https://api.workos.com/user_management/CLIENT_TEST",
        "https://api.workos.com/user_management/client%5Ftest",
        "https://api.workos.com\\u0000/",
        "https://x.authkit.app",
        "//api.workos.com/",
        "https:/api.workos.com/",
        "https://api.w\\u043erkos.com/",
    ];
    let mut tokens: Vec<_> = texts
        .iter()
        .map(|iss| {
            named(
                format!("iss {iss:?}"),
                good().claim("iss", &format!("\"{iss}\"")),
            )
        })
        .collect();
    for iss in [
        "null",
        "7",
        "true",
        "{}",
        "[]",
        "[\"https://api.workos.com/\"]",
    ] {
        tokens.push(named(format!("iss {iss}"), good().claim("iss", iss)));
    }
    tokens.push(named("no iss", good().without("iss")));
    tokens
}

pub(super) fn audiences() -> Vec<Named> {
    let many = format!("[{}\"{CLIENT}\"]", "\"x\",".repeat(40));
    let values = [
        "\"\"",
        "\"client_other\"",
        "\"client_test \"",
        "\"CLIENT_TEST\"",
        "\"client_tes\"",
        "\"client_test2\"",
        "\"client_test,x\"",
        "[]",
        "[\"client_other\"]",
        "[[\"client_test\"]]",
        "[7]",
        "[null]",
        "[\"client_test\",7]",
        "[\"client_test\",null]",
        "{}",
        "{\"client_test\":true}",
        "{\"0\":\"client_test\"}",
        "7",
        "true",
        "null",
        &many,
    ];
    values
        .iter()
        .map(|aud| named(format!("aud {aud}"), good().claim("aud", aud)))
        .collect()
}

pub(super) fn subjects() -> Vec<Named> {
    let long = format!("\"user_{}\"", "1".repeat(252));
    let values = [
        "\"\"",
        "null",
        "7",
        "true",
        "[]",
        "{}",
        "[\"user_1\"]",
        "{\"user_1\":1}",
        &long,
    ];
    let mut tokens: Vec<_> = values
        .iter()
        .map(|sub| named(format!("sub {sub}"), good().claim("sub", sub)))
        .collect();
    tokens.push(named("no sub", good().without("sub")));
    tokens.push(named("jti a number", good().claim("jti", "7")));
    tokens
}

pub(super) fn times() -> Vec<Named> {
    let values: Vec<(&str, String)> = [
        "null",
        "true",
        "\"\"",
        "[]",
        "{}",
        "-1",
        "-1e99",
        "1e999",
        "1.7e9",
        "1700000300.5",
        "1.8446744073709552e19",
        "18446744073709551616",
        "\"1700000300\"",
        "[1700000300]",
    ]
    .iter()
    .flat_map(|value| ["exp", "iat", "nbf"].map(|name| (name, (*value).to_owned())))
    .collect();
    let mut tokens: Vec<_> = values
        .iter()
        .map(|(name, value)| named(format!("{name} {value}"), good().claim(name, value)))
        .collect();
    let edges = [
        ("exp", 0),
        ("exp", 1),
        ("exp", NOW - 6),
        ("exp", NOW - 300),
        ("exp", 1 << 40),
        ("exp", 1_000_000_000_000_000),
        ("exp", u64::MAX),
        ("iat", NOW + 6),
        ("iat", NOW * 1000),
        ("iat", u64::MAX),
        ("nbf", NOW + 6),
        ("nbf", NOW * 1000),
        ("nbf", u64::MAX),
    ];
    for (name, seconds) in edges {
        tokens.push(named(
            format!("{name} {seconds}"),
            good().claim(name, &seconds.to_string()),
        ));
    }
    tokens.push(named("no exp", good().without("exp")));
    tokens.push(named("no iat", good().without("iat")));
    tokens.push(named(
        "EXP",
        good().without("exp").claim("EXP", "1700000300"),
    ));
    tokens
}

/// What the keys of `WorkOS` sign too, or what a session token never says.
pub(super) fn not_sessions() -> Vec<Named> {
    let week = (NOW + 7 * 86_400).to_string();
    let mut tokens = vec![
        named(
            "machine token",
            good().claim("sub", "\"client_test\"").without("sid"),
        ),
        named("no sid", good().without("sid")),
        named("a week", good().claim("exp", &week)),
        named(
            "a day and a second",
            good().claim("exp", &(NOW + 86_401).to_string()),
        ),
    ];
    for sub in [
        "user",
        "user_",
        "USER_1",
        " user_1",
        "xuser_1",
        "user_1 ",
        "user_1/..",
        "client_1",
        "user-1",
        "user_é",
    ] {
        tokens.push(named(
            format!("sub {sub}"),
            good().claim("sub", &format!("\"{sub}\"")),
        ));
    }
    for sid in [
        "\"\"",
        "null",
        "7",
        "[\"session_1\"]",
        "\"session_\"",
        "\"app_consent_1\"",
        "\"xsession_1\"",
        "{}",
    ] {
        tokens.push(named(format!("sid {sid}"), good().claim("sid", sid)));
    }
    for client in [
        "\"\"",
        "null",
        "7",
        "\"client_other\"",
        "[\"client_test\"]",
        "\"CLIENT_TEST\"",
        "{}",
    ] {
        tokens.push(named(
            format!("client_id {client}"),
            good().claim("client_id", client),
        ));
    }
    tokens
}
