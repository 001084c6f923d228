//! Convex's answers, case by case: `convex-contract.md` sections 2.3 and 7.5, in both texts.

use super::super::AuthConfig;
use super::*;

const PARSE: &str = "401 InvalidAuthHeader Could not parse JWT payload. Check that the token is a valid JWT format with three base64-encoded parts separated by dots.";
const NO_ISS: &str = "401 InvalidAuthHeader Missing issuer claim ('iss') in JWT payload. The JWT must include an 'iss' claim that matches one of your configured auth providers.";
const PROVIDER: &str = "401 NoAuthProvider No auth provider found matching the given token. Check that your JWT's issuer and audience match one of your configured providers: [CustomJWT(issuer=https://api.workos.com/, app_id=client_test), CustomJWT(issuer=https://api.workos.com/user_management/client_test, app_id=client_test)]";
const PROVIDER_PROD: &str = "401 NoAuthProvider No auth provider found matching the given token";
const KEY: &str = "401 InvalidAuthHeader Could not decode token. The JWT's 'kid' (key ID) header is 'k1', does this key match any key in the provider's JWKS?";
const KEY_ZZ: &str = "401 InvalidAuthHeader Could not decode token. The JWT's 'kid' (key ID) header is 'zz', does this key match any key in the provider's JWKS?";
const KEY_PROD: &str = "401 InvalidAuthHeader Could not decode token. The JWT's 'kid' (key ID) header doesn't match any key in the provider's JWKS, or the JWT signature is invalid.";
const NO_KID: &str =
    "401 InvalidAuthHeader Could not decode token. JWT may be missing a 'kid' (key ID) header.";
const CLAIM: &str = "401 InvalidAuthHeader Could not verify token claim. Check that the JWT contains valid claims and matches your auth provider configuration.";
const OK: &str = "200 user_1";

fn expired(seconds: u64) -> String {
    format!("401 InvalidAuthHeader Could not validate token: Token expired {seconds} seconds ago")
}

fn early(seconds: u64) -> String {
    format!(
        "401 InvalidAuthHeader Could not validate token: Token will be valid in {seconds} seconds"
    )
}

/// Name, token, development's answer.
type Case = (&'static str, String, String);

fn case(name: &'static str, token: impl Into<String>, answer: impl Into<String>) -> Case {
    (name, token.into(), answer.into())
}

/// The fixture with one claim changed.
fn claim(name: &str, json: &str) -> Token {
    Token::good().claim(name, json)
}

fn header(name: &str, json: &str) -> Token {
    Token::good().header(name, json)
}

/// The fixture with a time so many seconds from now.
fn time(name: &str, offset: i64) -> Token {
    claim(name, &(i64::try_from(NOW).unwrap() + offset).to_string())
}

fn payload_cases() -> Vec<Case> {
    let t = Token::good;
    let slashes = format!("\"{ISSUER}///\"");
    let bare = ISSUER.replace("https://", "\"") + "\"";
    vec![
        case("T01 Bearer x", "x", PARSE),
        case("empty", "", PARSE),
        case("T10 no iss", t().without("iss"), NO_ISS),
        case("iss null", claim("iss", "null"), NO_ISS),
        case("T11 iss evil", claim("iss", r#""https://evil/""#), PROVIDER),
        case("T13 aud other", claim("aud", r#""other""#), PROVIDER),
        case("T13 aud absent", t().without("aud"), PROVIDER),
        case("T13 aud []", claim("aud", "[]"), PROVIDER),
        case("aud null", claim("aud", "null"), PROVIDER),
        case("T14 aud list", claim("aud", r#"["z","client_test"]"#), OK),
        case("T16 iss without scheme", claim("iss", &bare), OK),
        case(
            "T17 shared",
            claim("iss", r#""https://api.workos.com""#),
            OK,
        ),
        case("iss with slashes", claim("iss", &slashes), OK),
        case("aud a number", claim("aud", "7"), PARSE),
        case("sub a number", claim("sub", "1"), PARSE),
        case("jti a number", claim("jti", "1"), PARSE),
        case("exp twice", t().claim_again("exp", "1700000300"), PARSE),
        case("T29 exp a text", claim("exp", r#""1700000300""#), PARSE),
        case("exp negative", claim("exp", "-1"), PARSE),
        case("exp 2^64", claim("exp", "18446744073709551616"), PARSE),
    ]
}

fn signature_cases() -> Vec<Case> {
    let t = Token::good;
    let unsigned = two_parts(&t().signed());
    let mut cases = vec![
        case("T19 another key", t().signed_by(&STRANGER), KEY),
        case("T20 kid zz", header("kid", r#""zz""#), KEY_ZZ),
        case("T22 no kid", t().without("kid"), NO_KID),
        case("kid 7", header("kid", "7"), NO_KID),
        case("no alg", t().without("alg"), NO_KID),
        case("T25 alg EdDSA", header("alg", r#""EdDSA""#), NO_KID),
        case("alg None", header("alg", r#""None""#), NO_KID),
        case("T34 typ at+jwt", header("typ", r#""at+jwt""#), OK),
        case("T34 typ JWT", header("typ", r#""JWT""#), OK),
        case("T35 fourth part", t().signed() + ".e30", KEY),
        case("two parts", unsigned.clone(), KEY),
    ];
    for alg in ["none", "HS256", "RS384", "PS256"] {
        let token = header("alg", &format!("\"{alg}\"")).signed();
        cases.push(case("T23 unsigned", two_parts(&token) + ".", KEY));
        cases.push(case("T23 algorithms", token, KEY));
    }
    for signature in ["", "*", "AAAA", "===="] {
        let token = format!("{unsigned}.{signature}");
        cases.push(case("odd signatures", token, KEY));
    }
    cases
}

fn claim_cases() -> Vec<Case> {
    let t = Token::good;
    vec![
        case("T00 the fixture", t(), OK),
        case("T26 expired", time("exp", -300), expired(300)),
        case("exp now-5", time("exp", -5), OK),
        case("exp now-6", time("exp", -6), expired(6)),
        case("T28 exp absent", t().without("exp"), CLAIM),
        case("T28 exp null", claim("exp", "null"), CLAIM),
        case("exp 1e15", claim("exp", "1000000000000000"), CLAIM),
        case("T30 nbf now+60", time("nbf", 60), early(60)),
        case("nbf now+5", time("nbf", 5), OK),
        case("nbf now+6", time("nbf", 6), early(6)),
        case("T31 iat now+60", time("iat", 60), early(60)),
        case("iat now+5", time("iat", 5), OK),
        case("T32 sub absent", t().without("sub"), CLAIM),
        case("sub null", claim("sub", "null"), CLAIM),
    ]
}

/// Two faults in one token.
fn order_cases() -> Vec<Case> {
    let strange = claim("iss", r#""x""#);
    let late = time("exp", -9);
    let unnamed = Token::good().without("iss").without("kid");
    vec![
        case("payload and header", "*.*.", PARSE),
        case("issuer and key id", unnamed, NO_ISS),
        case(
            "issuer and signature",
            strange.signed_by(&STRANGER),
            PROVIDER,
        ),
        case("signature and time", late.signed_by(&STRANGER), KEY),
        case("time and claims", late.without("sub"), expired(9)),
    ]
}

fn two_parts(token: &str) -> String {
    token.rsplit_once('.').unwrap().0.to_owned()
}

#[test]
fn every_refusal_is_the_one_that_convex_gives() {
    let verifier = verifier(contract_config());
    let cases = [
        payload_cases(),
        signature_cases(),
        claim_cases(),
        order_cases(),
    ]
    .concat();
    for (name, token, expected) in &cases {
        let result = verifier.verify(token);
        assert_eq!(&outcome(&result, TextMode::Verbose), expected, "{name}");
        let production = match expected.as_str() {
            PROVIDER => PROVIDER_PROD,
            KEY | KEY_ZZ => KEY_PROD,
            same => same,
        };
        assert_eq!(
            outcome(&result, TextMode::Redacted),
            production,
            "{name}, production"
        );
    }
    println!("{} contract cases, each in both texts", cases.len());
}

#[test]
fn a_provider_without_audience_is_listed_as_none() {
    let document = r#"{"issuers":[{"issuer":"https://i.example","jwks":"k","audience":null}]}"#;
    let verifier = verifier(AuthConfig::parse(document, Path::new("")).unwrap());
    let error = verifier.verify(&Token::good().signed()).unwrap_err();
    let text = error.message(TextMode::Verbose);
    assert!(
        text.ends_with("[CustomJWT(issuer=https://i.example, app_id=none)]"),
        "{text}"
    );
}

#[test]
fn workos_session_tokens_are_bound_to_the_client() {
    let verifier = verifier(workos_config());
    let shared = r#""https://api.workos.com/""#;
    let t = Token::good;
    let both = [("aud", "\"client_test\""), ("client_id", "\"client_test\"")];
    // The client's own issuer: neither is needed, but what is there must name the client.
    let own = t().without("aud").without("client_id");
    assert!(
        verifier.verify(&own.signed()).is_ok(),
        "a stock session token"
    );
    for (name, value) in both {
        assert!(
            verifier
                .verify(&own.clone().claim(name, value).signed())
                .is_ok()
        );
        for other in ["\"client_other\"", "null", "[]", "7", "{}", "\"\""] {
            let token = t().claim(name, other).signed();
            assert!(
                verifier.verify(&token).is_err(),
                "{name} {other} beside a right one"
            );
            let token = own.clone().claim(name, other).signed();
            assert!(verifier.verify(&token).is_err(), "{name} {other} alone");
        }
    }
    // The shared issuer: one of the two must be there.
    let bare = own.claim("iss", shared);
    let refused = outcome(&verifier.verify(&bare.signed()), TextMode::Verbose);
    assert_eq!(refused, PROVIDER);
    for (name, value) in both {
        assert!(
            verifier
                .verify(&bare.clone().claim(name, value).signed())
                .is_ok()
        );
    }
}

#[test]
fn a5_an_identity_is_not_printed() {
    let identity = verifier(workos_config())
        .verify(&Token::good().signed())
        .unwrap();
    assert_eq!(identity.expires_at, NOW + 300);
    assert!(!format!("{identity:?}").contains("user_1"));
}

#[test]
fn without_keys_or_clock_it_is_our_fault() {
    let clock = Clock::at(NOW);
    let (verifier, _loader) = without_keys(contract_config(), &clock);
    let answer = |token: &str| {
        let error = verifier.verify(token).unwrap_err();
        (
            error.status(),
            error.code(),
            error.retry_after_seconds().is_some(),
        )
    };
    let good = Token::good();
    assert_eq!(answer(&good.signed()), (503, "AuthUnavailable", true));
    assert_eq!(answer("x"), (401, "InvalidAuthHeader", false));
    assert_eq!(
        answer(&good.without("kid").signed()),
        (401, "InvalidAuthHeader", false)
    );
    assert!(!verifier.ready());

    give(&verifier, &key_set(&[K1.entry("k1")]));
    assert!(verifier.ready());
    let before_1970: WallClock = Arc::new(|| SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    let (verifier, _loader) = Verifier::new(contract_config(), before_1970).unwrap();
    give(&verifier, &key_set(&[K1.entry("k1")]));
    let refused = verifier.verify(&Token::good().signed()).unwrap_err();
    assert_eq!((refused.status(), verifier.ready()), (503, false));
}
