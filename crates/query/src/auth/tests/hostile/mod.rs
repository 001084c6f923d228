//! Tokens that nobody may get in with: each is one mutation away from a good one.

mod claims;
mod form;
mod header;

use std::collections::BTreeMap;

use super::*;

/// What was done to a good token, and the token.
type Named = (String, String);

fn named(what: impl std::fmt::Display, token: impl Into<String>) -> Named {
    (what.to_string(), token.into())
}

fn good() -> Token {
    Token::good()
}

fn cut(token: &str) -> [String; 3] {
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// All of them, for every configuration of the tests.
pub(super) fn all() -> Vec<Named> {
    [
        header::algorithms(),
        header::confused_macs(),
        header::key_ids(),
        header::keys_in_headers(),
        header::header_members(),
        form::segments(),
        form::encodings(),
        form::charsets(),
        form::json(),
        claims::issuers(),
        claims::audiences(),
        claims::subjects(),
        claims::times(),
        form::sizes(),
        form::signatures(),
    ]
    .concat()
}

fn assert_refused(verifier: &Verifier, tokens: &[Named], tally: &mut BTreeMap<String, u32>) {
    assert!(verifier.verify(&good().signed()).is_ok(), "the good one");
    for (name, token) in tokens {
        match verifier.verify(token) {
            Ok(_) => panic!("accepted: {name}"),
            Err(error) => {
                assert_eq!(error.status(), 401, "{name}");
                for mode in [TextMode::Verbose, TextMode::Redacted] {
                    assert!(error.message(mode).len() < 600, "{name}");
                }
                *tally.entry(error.reason().to_owned()).or_default() += 1;
            }
        }
    }
}

#[test]
fn no_hostile_token_is_accepted() {
    let (tokens, not_sessions) = (all(), claims::not_sessions());
    let mut tally = BTreeMap::new();
    let contract = verifier(contract_config());
    assert_refused(&contract, &tokens, &mut tally);
    let workos = verifier(workos_config());
    assert_refused(&workos, &tokens, &mut tally);
    assert_refused(&workos, &not_sessions, &mut tally);
    let distinct = tokens.len() + not_sessions.len();
    println!(
        "{distinct} hostile tokens, refused {} times for {tally:?}",
        tokens.len() + distinct
    );
    assert!(distinct >= 150);
}

#[test]
fn good_tokens_of_other_forms_are_accepted() {
    let many = format!("[{}\"{CLIENT}\"]", "\"x\",".repeat(31));
    let padded = format!("\"{}\"", "x".repeat(5000));
    let forms = [
        ("the good one", good()),
        ("typ", good().header("typ", "\"jwt\"")),
        ("media type", good().header("typ", "\"application/at+jwt\"")),
        ("thumbprint", good().header("x5t#S256", "\"AAAA\"")),
        (
            "unknown header member",
            good().header("x", "{\"y\":[1,null]}"),
        ),
        ("escaped kid", good().header("kid", "\"\\u006b1\"")),
        ("escaped sub", good().claim("sub", "\"user\\u005f1\"")),
        ("32 audiences", good().claim("aud", &many)),
        ("a large claim", good().claim("x", &padded)),
        (
            "unknown twice",
            good().claim_again("x", "1").claim_again("x", "2"),
        ),
        ("nbf now", good().claim("nbf", &NOW.to_string())),
        ("a day", good().claim("exp", &(NOW + 86_400).to_string())),
        (
            "org and roles",
            good()
                .claim("org_id", "\"org_1\"")
                .claim("roles", "[\"a\"]"),
        ),
        (
            "act",
            good().claim("act", "{\"sub\":\"admin@example.com\"}"),
        ),
    ];
    for config in [contract_config(), workos_config()] {
        let verifier = verifier(config);
        for (name, token) in &forms {
            assert!(verifier.verify(&token.signed()).is_ok(), "{name}");
        }
        let spaced = raw(
            good().header_text().replace(',', " ,\r\n"),
            format!("\n{} ", good().payload()),
            &K1,
        );
        assert!(verifier.verify(&spaced).is_ok(), "white space");
    }
}

#[test]
fn a_kid_is_shown_only_if_it_is_fit_to_be() {
    let verifier = verifier(contract_config());
    for (name, token) in header::key_ids() {
        let text = verifier
            .verify(&token)
            .unwrap_err()
            .message(TextMode::Verbose)
            .into_owned();
        assert!(
            text.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
            "{name}"
        );
        let shown = text.contains("header is '");
        let kid = format!("\"{}\"", name.strip_prefix("kid ").unwrap());
        let kid: String = serde_json::from_str(&kid).unwrap_or_default();
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._~:=+/@".contains(c);
        let fit = (1..=128).contains(&kid.len()) && kid.chars().all(legal);
        assert!(!shown || fit, "{name}: {text}");
    }
}
