//! Key sets that must give nothing, or nothing but our own key: J01 to J24 and their kin.

use super::super::admission::Admitted;
use super::*;

fn kids(document: &str) -> Result<Vec<String>, String> {
    let admitted = admit(document.as_bytes()).map_err(|error| error.to_string())?;
    Ok(admitted.keys.keys().map(ToString::to_string).collect())
}

fn entry(members: &str) -> String {
    STRANGER.entry_with(members)
}

/// An RSA entry with this modulus and exponent.
fn numbers(n: &str, e: &str) -> String {
    format!(r#"{{"kty":"RSA","use":"sig","alg":"RS256","kid":"odd","n":"{n}","e":"{e}"}}"#)
}

/// A modulus of so many bytes: its first byte, then ones, then its last byte.
fn modulus(bytes: usize, first: u8, last: u8) -> String {
    let mut n = vec![0xff; bytes];
    n[0] = first;
    n[bytes - 1] = last;
    b64(n)
}

fn wrong_uses() -> Vec<(&'static str, String)> {
    let rsa = |members: &str| entry(&format!(r#""kty":"RSA","kid":"odd",{members}"#));
    vec![
        ("J01 use enc", rsa(r#""use":"enc","#)),
        ("use Sig", rsa(r#""use":"Sig","#)),
        ("use empty", rsa(r#""use":"","#)),
        ("use a list", rsa(r#""use":["sig"],"#)),
        ("J02 alg RS512", rsa(r#""alg":"RS512","#)),
        ("alg PS256", rsa(r#""alg":"PS256","#)),
        ("alg HS256", rsa(r#""alg":"HS256","#)),
        ("alg none", rsa(r#""alg":"none","#)),
        ("alg EdDSA", rsa(r#""alg":"EdDSA","#)),
        ("alg a number", rsa(r#""alg":256,"#)),
        ("J03 alg RSA-OAEP", rsa(r#""alg":"RSA-OAEP","#)),
        ("J04 key_ops encrypt", rsa(r#""key_ops":["encrypt"],"#)),
        ("key_ops empty", rsa(r#""key_ops":[],"#)),
        ("key_ops sign", rsa(r#""key_ops":["sign"],"#)),
        ("key_ops a text", rsa(r#""key_ops":"verify","#)),
        ("key_ops with a number", rsa(r#""key_ops":["verify",1],"#)),
        ("J15 private exponent", rsa(r#""d":"AQAB","#)),
        ("private exponent null", rsa(r#""d":null,"#)),
        ("private prime", rsa(r#""p":"AQAB","#)),
        ("kty twice", rsa(r#""kty":"RSA","#)),
        ("alg twice", rsa(r#""alg":"RS256","alg":"RS256","#)),
        ("modulus twice", rsa(r#""n":"AQAB","#)),
    ]
}

fn wrong_kinds() -> Vec<(&'static str, String)> {
    let text = |json: &str| json.to_owned();
    vec![
        (
            "J08 oct",
            text(r#"{"kty":"oct","kid":"odd","alg":"HS256","k":"c2VjcmV0"}"#),
        ),
        (
            "oct as RS256",
            text(r#"{"kty":"oct","kid":"odd","alg":"RS256","k":"c2VjcmV0"}"#),
        ),
        (
            "J11 OKP",
            text(r#"{"kty":"OKP","kid":"odd","crv":"Ed25519","x":"AAAA"}"#),
        ),
        (
            "J12 EC",
            text(r#"{"kty":"EC","kid":"odd","crv":"P-256","x":"AA","y":"AA"}"#),
        ),
        (
            "J16 unknown kty",
            text(r#"{"kty":"PQC","kid":"odd","alg":"RS256"}"#),
        ),
        ("kty rsa", entry(r#""kty":"rsa","kid":"odd","#)),
        ("kty a number", entry(r#""kty":1,"kid":"odd","#)),
        ("no kty", entry(r#""kid":"odd","#)),
        ("J10 no kid", entry(r#""kty":"RSA","#)),
        ("kid empty", entry(r#""kty":"RSA","kid":"","#)),
        ("kid null", entry(r#""kty":"RSA","kid":null,"#)),
        ("kid with a space", entry(r#""kty":"RSA","kid":"a b","#)),
        ("J19 numeric kid", entry(r#""kty":"RSA","kid":1,"#)),
        ("J18 a text", text(r#""RSA""#)),
        ("a list", text(r#"["RSA","odd"]"#)),
        ("null", text("null")),
        ("a number", text("7")),
        ("an empty object", text("{}")),
    ]
}

fn wrong_numbers() -> Vec<(&'static str, String)> {
    let n = b64(STRANGER.modulus());
    let exponents = [
        "", "AQ", "Aw", "Ag", "AQAC", "AQABAQAB", "AQAB=", "AQA", "!!!!", "AA",
    ];
    let mut entries: Vec<_> = exponents
        .iter()
        .map(|e| ("J09 exponent", numbers(&n, e)))
        .collect();
    let huge = "A".repeat(48 << 10);
    entries.extend([
        ("J05 1024 bits", numbers(&modulus(128, 0xff, 0xff), "AQAB")),
        ("J06 512 bits", numbers(&modulus(64, 0xff, 0xff), "AQAB")),
        ("2047 bits", numbers(&modulus(256, 0x7f, 0xff), "AQAB")),
        ("4097 bits", numbers(&modulus(513, 0x01, 0xff), "AQAB")),
        ("8192 bits", numbers(&modulus(1024, 0xff, 0xff), "AQAB")),
        ("even", numbers(&modulus(256, 0xff, 0xfe), "AQAB")),
        ("J13 empty", numbers("", "AQAB")),
        ("zero", numbers(&b64([0; 256]), "AQAB")),
        ("J14 48 KiB", numbers(&huge, "AQAB")),
        ("J22 padded", numbers(&format!("{n}=="), "AQAB")),
        ("standard alphabet", numbers(&format!("+/{n}"), "AQAB")),
        ("hexadecimal colons", numbers("00:c9:29", "AQAB")),
        (
            "n a number",
            r#"{"kty":"RSA","kid":"odd","n":7,"e":"AQAB"}"#.to_owned(),
        ),
        (
            "e a number",
            format!(r#"{{"kty":"RSA","kid":"odd","n":"{n}","e":65537}}"#),
        ),
        (
            "J17 without n",
            r#"{"kty":"RSA","kid":"odd","e":"AQAB"}"#.to_owned(),
        ),
        (
            "without e",
            format!(r#"{{"kty":"RSA","kid":"odd","n":"{n}"}}"#),
        ),
    ]);
    entries
}

#[test]
fn an_odd_entry_gives_nothing_and_harms_nothing() {
    let entries = [wrong_uses(), wrong_kinds(), wrong_numbers()].concat();
    for (name, odd) in &entries {
        let alone = kids(&key_set(std::slice::from_ref(odd))).unwrap_err();
        assert!(alone.contains("none of its 1 keys"), "{name}: {alone}");
        let ours = K1.entry("k1");
        for set in [[odd.clone(), ours.clone()], [ours, odd.clone()]] {
            assert_eq!(kids(&key_set(&set)), Ok(vec!["k1".to_owned()]), "{name}");
        }
    }
    println!("{} hostile entries", entries.len());
}

#[test]
fn a_document_that_is_no_key_set_gives_nothing() {
    let good = key_set(&[K1.entry("k1")]);
    let seventeen: Vec<_> = (0..17).map(|n| K1.entry(&format!("k{n}"))).collect();
    let twice = [K1.entry("k1"), STRANGER.entry("k1")];
    let documents = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "7".to_owned(),
        "\"keys\"".to_owned(),
        "<html></html>".to_owned(),
        r#"{"keys":[]}"#.to_owned(),
        r#"{"keys":null}"#.to_owned(),
        r#"{"keys":{}}"#.to_owned(),
        r#"{"keys":"x"}"#.to_owned(),
        r#"{"KEYS":[]}"#.to_owned(),
        K1.entry("k1"),
        format!("[{good}]"),
        format!("[[{}]]", K1.entry("k1")),
        format!("{good}{good}"),
        format!("{good} x"),
        format!("\u{feff}{good}"),
        good.replace("{\"keys\"", "{\"keys\":[],\"keys\""),
        good[..good.len() - 1].to_owned(),
        "[".repeat(60_000),
        format!("{{\"keys\":{}", "[".repeat(60_000)),
        key_set(&seventeen),
        key_set(&twice),
        key_set(&[twice.as_slice(), twice.as_slice()].concat()),
    ];
    for (index, document) in documents.iter().enumerate() {
        assert!(kids(document).is_err(), "document {index}");
    }
    assert!(admit(&[good.as_bytes(), b"\xff"].concat()).is_err());
    println!("{} hostile documents", documents.len() + 1);
}

#[test]
fn j07_of_two_keys_of_one_name_neither_is_admitted() {
    let (ours, other) = (K1.entry("k1"), STRANGER.entry("k2"));
    for set in [
        vec![ours.clone(), STRANGER.entry("k1"), other.clone()],
        vec![ours.clone(), ours.clone(), other.clone()],
        vec![ours.clone(), ours.clone(), ours, other],
    ] {
        let Admitted { keys, skipped } = admit(key_set(&set).as_bytes()).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(skipped, vec!["kid_twice"; set.len() - 1]);
    }
}

#[test]
fn kind_forms_of_a_good_entry_are_admitted() {
    let n = b64([&[0, 0][..], &K1.modulus()].concat());
    let forms = [
        (
            "J21 leading zeros",
            format!(r#"{{"kty":"RSA","kid":"k1","n":"{n}","e":"AAEAAQ"}}"#),
        ),
        (
            "J23 foreign x5c",
            K1.entry_with(r#""kty":"RSA","kid":"k1","x5c":["AAAA"],"x5t":"x","#),
        ),
        (
            "J24 no alg, no use",
            K1.entry_with(r#""kty":"RSA","kid":"k1","#),
        ),
        (
            "key_ops",
            K1.entry_with(r#""kty":"RSA","kid":"k1","key_ops":["verify","wrapKey"],"#),
        ),
        (
            "nulls",
            K1.entry_with(r#""kty":"RSA","kid":"k1","use":null,"alg":null,"#),
        ),
        (
            "unknown members",
            K1.entry_with(r#""kty":"RSA","kid":"k1","x":{"y":[]},"#),
        ),
        (
            "escapes",
            K1.entry_with(r#""kty":"\u0052SA","kid":"\u006b1","#),
        ),
    ];
    for (name, entry) in forms {
        let verifier = with_document(contract_config(), &Clock::at(NOW), &key_set(&[entry]));
        assert!(verifier.verify(&Token::good().signed()).is_ok(), "{name}");
    }
    let sixteen: Vec<_> = (1..17).map(|n| K1.entry(&format!("k{n}"))).collect();
    assert_eq!(kids(&key_set(&sixteen)).unwrap().len(), 16);
    assert_eq!(
        kids(&key_set(&[K4096.entry("long")])),
        Ok(vec!["long".to_owned()])
    );
    let spaced = format!(
        "\n {} \n",
        key_set(&[K1.entry("k1")]).replace("},", "}\r\n,")
    );
    assert!(kids(&spaced).is_ok());
}

/// T06 and T07: what counts is the set of now.
#[test]
fn a_key_that_was_replaced_is_forgotten() {
    let verifier = verifier(contract_config());
    let (old, new) = (Token::good().signed(), Token::good().signed_by(&STRANGER));
    assert!(verifier.verify(&old).is_ok() && verifier.verify(&new).is_err());
    give(&verifier, &key_set(&[STRANGER.entry("k1")]));
    assert!(verifier.verify(&old).is_err() && verifier.verify(&new).is_ok());
    give(&verifier, &key_set(&[STRANGER.entry("k2")]));
    assert!(verifier.verify(&old).is_err() && verifier.verify(&new).is_err());
}
