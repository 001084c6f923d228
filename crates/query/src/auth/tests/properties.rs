//! Any bytes: no panic, and nobody gets in who was not signed for.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

static VERIFIERS: LazyLock<[Verifier; 2]> =
    LazyLock::new(|| [verifier(contract_config()), verifier(workos_config())]);

fn refused(token: &str) -> bool {
    VERIFIERS
        .iter()
        .all(|verifier| verifier.verify(token).is_err())
}

/// JSON texts that are like the parts of a token, but for one member.
fn member() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        "(iss|sub|aud|exp|iat|nbf|jti|sid|client_id|alg|kid|typ|crit)",
        "[ -~]{0,8}"
    ];
    let value = prop_oneof![
        "-?[0-9]{1,20}(\\.[0-9]{1,3})?(e[0-9]{1,3})?",
        "\"[a-zA-Z0-9_/:.]{0,40}\"",
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just(format!("[\"{CLIENT}\"]")),
        Just(format!("\"{ISSUER}\"")),
        ".{0,20}",
    ];
    (name, value)
}

proptest! {
    #[test]
    fn any_text_is_refused(text in prop_oneof![".{0,2000}", "[A-Za-z0-9_.-]{0,9000}", "[.]{0,20}"]) {
        prop_assert!(refused(&text));
    }

    #[test]
    fn any_parts_are_refused(header in vec(any::<u8>(), 0..900), payload in vec(any::<u8>(), 0..5000), signature in vec(any::<u8>(), 0..600)) {
        let token = [b64(header), b64(payload), b64(signature)].join(".");
        prop_assert!(refused(&token));
    }

    #[test]
    fn any_change_of_a_good_token_is_refused(at in any::<prop::sample::Index>(), byte in 0u8..128) {
        static GOOD: LazyLock<String> = LazyLock::new(|| Token::good().signed());
        let mut token = GOOD.clone().into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(refused(std::str::from_utf8(&token).unwrap()));
    }

    #[test]
    fn any_cut_of_a_good_token_is_refused(at in any::<prop::sample::Index>()) {
        static GOOD: LazyLock<String> = LazyLock::new(|| Token::good().signed());
        prop_assert!(refused(&GOOD[..at.index(GOOD.len())]));
    }

    /// What was signed by the issuer is accepted only if it says what it must.
    #[test]
    fn a_signed_claim_is_accepted_only_if_it_is_right((name, value) in member()) {
        let token = Token::good().claim(&name, &value).signed();
        if let Ok(identity) = VERIFIERS[0].verify(&token) {
            prop_assert!(identity.expires_at + 5 >= NOW && identity.expires_at < 1 << 40);
            prop_assert!(!identity.subject.as_str().is_empty());
            let (_, aud) = Token::good().claim(&name, &value).claims.into_iter().find(|(k, _)| k == "aud").unwrap();
            prop_assert!(aud.contains(CLIENT));
        }
    }

    #[test]
    fn a_signed_header_never_panics((name, value) in member()) {
        let token = Token::good().header(&name, &value).signed();
        if VERIFIERS[0].verify(&token).is_ok() {
            prop_assert!(!["alg", "kid", "crit"].contains(&name.as_str()) || Token::good().header(&name, &value).header == Token::good().header);
        }
    }

    #[test]
    fn any_document_gives_keys_or_an_error(bytes in vec(any::<u8>(), 0..3000), (name, value) in member()) {
        prop_assert!(admit(&bytes).is_err());
        let _ = admit(format!(r#"{{"keys":[{{"{name}":{value}}}],"{name}":{value}}}"#).as_bytes());
    }

    #[test]
    fn any_configuration_is_read_or_faulted(text in ".{0,300}", (name, value) in member()) {
        let _ = AuthConfig::parse(&text, Path::new(""));
        let document = format!(r#"{{"issuers":[{{"issuer":"i","jwks":"k","{name}":{value}}}]}}"#);
        let _ = AuthConfig::parse(&document, Path::new(""));
        prop_assert!(AuthConfig::workos(&text).is_err() || text.len() < 301);
    }
}
