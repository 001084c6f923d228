//! What we accept, npm's `jose` accepts too. Asked where it is installed:
//! `npm ci --prefix tests/clients/jose`.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// Members that leave a token good, and some that do not.
const CLAIMS: [(&str, &str); 22] = [
    ("aud", "[\"x\",\"client_test\"]"),
    ("aud", "[\"client_test\",\"client_test\"]"),
    ("aud", "\"client\\u005ftest\""),
    ("iss", "\"api.workos.com//\""),
    ("iss", "\"https://api.workos.com\""),
    ("sub", "\"user_\\n\\u0000\""),
    ("sub", "\"\\ud83d\\ude00\""),
    ("sub", "\" \""),
    ("exp", "1699999995"),
    ("exp", "1000000000000"),
    ("iat", "0"),
    ("iat", "1700000005"),
    ("nbf", "1700000005"),
    ("nbf", "0"),
    ("jti", "null"),
    ("jti", "\"\""),
    ("sid", "{\"a\":[{}]}"),
    ("client_id", "null"),
    ("x", "[[[[1e999]]]]"),
    ("x", "-0.0"),
    ("__proto__", "{\"aud\":\"x\"}"),
    ("toString", "7"),
];
const HEADERS: [(&str, &str); 10] = [
    ("typ", "\"JWT\""),
    ("typ", "\"application/at+jwt\""),
    ("typ", "null"),
    ("x5t", "\"x\""),
    ("x", "{\"crit\":[]}"),
    ("__proto__", "{\"b64\":false}"),
    ("kid", "\"\\u006b1\""),
    ("kid", "\"k2\""),
    ("url", "\"x\""),
    ("nonce", "7"),
];

/// All pairs of changes.
fn tokens() -> Vec<Token> {
    let changes = || {
        let claims = CLAIMS.map(|(name, json)| (true, name, json));
        claims
            .into_iter()
            .chain(HEADERS.map(|(name, json)| (false, name, json)))
    };
    let change = |token: Token, (is_claim, name, json): (bool, &str, &str)| {
        if is_claim {
            token.claim(name, json)
        } else {
            token.header(name, json)
        }
    };
    let pairs = changes().flat_map(|one| changes().map(move |two| (one, two)));
    pairs
        .map(|(one, two)| change(change(Token::good(), one), two))
        .collect()
}

fn documents() -> Vec<String> {
    let odd = [
        r#"{"kty":"oct","kid":"k1","k":"AAAA"}"#.to_owned(),
        r#"{"kty":"RSA","kid":"k9"}"#.to_owned(),
        STRANGER.entry_with(r#""kty":"RSA","kid":"k1","use":"enc","#),
        STRANGER.entry_with(r#""kty":"RSA","kid":"k1","alg":"RS512","#),
        STRANGER.entry_with(r#""kty":"RSA","kid":"k1","key_ops":["sign"],"#),
        STRANGER.entry("k1"),
        STRANGER.entry_with(r#""kty":"RSA","#),
    ];
    let ours = [
        K1.entry("k1"),
        K1.entry_with(r#""kty":"RSA","kid":"k1","#),
        K1.entry_with(r#""kty":"RSA","kid":"k1","d":"AQAB","#),
        K1.entry_with(r#""kty":"RSA","kid":"k1","key_ops":["verify"],"use":"sig","x5c":[],"#),
    ];
    let beside = |ours: &String| {
        let with = |odd: &String| key_set(&[odd.clone(), ours.clone()]);
        odd.iter().map(with).collect::<Vec<_>>()
    };
    let alone = ours.iter().map(|ours| key_set(std::slice::from_ref(ours)));
    alone.chain(ours.iter().flat_map(beside)).collect()
}

/// Key set, token, whether we accept it.
fn cases() -> Vec<(String, String, bool)> {
    let plain = key_set(&[K1.entry("k1")]);
    let ours = verifier(contract_config());
    let hostile = super::hostile::all().into_iter().map(|(_, token)| token);
    let tokens = tokens().into_iter().map(String::from).chain(hostile);
    let mut cases: Vec<_> = tokens
        .map(|token| (plain.clone(), token.clone(), ours.verify(&token).is_ok()))
        .collect();
    let good = Token::good().signed();
    for document in documents() {
        let accepted = admit(document.as_bytes()).is_ok() && {
            let ours = with_document(contract_config(), &Clock::at(NOW), &document);
            ours.verify(&good).is_ok()
        };
        cases.push((document, good.clone(), accepted));
    }
    cases
}

#[test]
fn jose_accepts_what_we_accept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/jose");
    if !folder.join("node_modules/jose").exists() {
        println!("skipped: npm ci --prefix tests/clients/jose");
        return;
    }
    let cases = cases();
    let asked: Vec<_> = cases
        .iter()
        .map(|(jwks, token, _)| serde_json::json!({"jwks": jwks, "token": token}))
        .collect();
    let question = serde_json::json!({"now": NOW, "audience": CLIENT, "cases": asked});

    let mut node = Command::new("node");
    let node = node.arg("check.mjs").current_dir(folder);
    let mut node = node
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = node.stdin.take().unwrap();
    input.write_all(question.to_string().as_bytes()).unwrap();
    drop(input);
    let output = node.wait_with_output().unwrap();
    let theirs: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(theirs.len(), cases.len());
    let (mut both, mut only_jose) = (0, 0);
    for ((jwks, token, ours), theirs) in cases.iter().zip(theirs) {
        assert!(!ours || theirs, "only we accept {token} with {jwks}");
        both += u32::from(*ours);
        only_jose += u32::from(theirs && !ours);
    }
    println!(
        "{} cases: {both} accepted by both, {only_jose} by jose alone",
        cases.len()
    );
    assert!(both > 100);
}
