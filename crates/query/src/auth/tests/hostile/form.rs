//! Mutations of the form: parts, encodings, JSON, sizes, signatures.

use base64::engine::general_purpose::STANDARD;

use super::super::*;
use super::{Named, cut, good, named};

pub(super) fn segments() -> Vec<Named> {
    let token = good().signed();
    let [header, payload, signature] = cut(&token);
    let texts = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "....".to_owned(),
        header.clone(),
        format!("{header}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("..{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{payload}.{header}.{signature}"),
        format!("{header}.{header}.{signature}"),
        format!("{header}.{payload}.{payload}"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.{payload}.{signature}\n"),
        format!(" {token}"),
        format!("{token} {token}"),
        format!("{token},{token}"),
        format!("Bearer {token}"),
        format!("\"{token}\""),
        format!("{header}\u{ff0e}{payload}\u{ff0e}{signature}"),
        format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#),
        format!(
            r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
        ),
    ];
    let name = |(index, text)| named(format!("segments {index}"), text);
    texts.into_iter().enumerate().map(name).collect()
}

/// One part encoded in another way, and signed as it stands.
pub(super) fn encodings() -> Vec<Named> {
    let (header, payload) = (b64(good().header_text()), good().payload());
    // With bytes that tell the alphabets apart.
    let odd = payload.replace('}', r#","x":"~~~???ÿÿ"}"#);
    let mut tokens = Vec::new();
    // Of lengths that leave no, two and four trailing bits.
    for spaces in 0..3 {
        let odd = format!("{odd}{}", " ".repeat(spaces));
        let right = b64(&odd);
        let wrong = [
            ("padded", format!("{right}=")),
            ("padded twice", format!("{right}==")),
            ("standard alphabet, padded", STANDARD.encode(&odd) + "="),
            ("a space", format!("{right} ")),
            ("a line feed", right.replacen('I', "\nI", 1)),
            ("a percent", right.replacen('I', "%49", 1)),
            ("a stray character", format!("{right}A*")),
        ];
        for (what, part) in wrong {
            let what = format!("payload {what} {spaces}");
            tokens.push(named(what, signed(&header, &part)));
        }
    }
    let spaced = trailing_bits(&b64(format!("{} ", good().header_text())));
    for (what, part) in [
        ("padded", format!("{header}=")),
        ("trailing bits", spaced),
        ("a space", format!("{header} ")),
        ("hex", "7b7d".to_owned()),
    ] {
        let what = format!("header {what}");
        tokens.push(named(what, signed(&part, &b64(&payload))));
    }
    tokens
}

fn signed(header: &str, payload: &str) -> String {
    let text = format!("{header}.{payload}");
    let signature = K1.sign(&text);
    format!("{text}.{signature}")
}

/// Payloads that are no UTF-8, or more than a JSON text.
pub(super) fn charsets() -> Vec<Named> {
    let payload = good().payload();
    let with = |bytes: &[u8]| {
        let open = payload.replace('}', ",\"x\":\"");
        [open.as_bytes(), bytes, b"\"}"].concat()
    };
    let payloads = [
        (
            "UTF-16",
            payload.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ),
        ("Latin-1", with(b"\xff")),
        ("overlong", with(b"\xc0\xaf")),
        ("surrogate", with(b"\xed\xa0\x80")),
        ("control character", with(b"\x01")),
        ("BOM", [b"\xef\xbb\xbf", payload.as_bytes()].concat()),
        ("NUL at the end", [payload.as_bytes(), b"\0"].concat()),
        ("compressed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec()),
    ];
    let header = good().header_text();
    let name =
        |(what, bytes): (&str, Vec<u8>)| named(format!("payload {what}"), raw(&header, bytes, &K1));
    payloads.into_iter().map(name).collect()
}

/// The text with one of the bits set that decoding drops.
fn trailing_bits(part: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *part.as_bytes().last().unwrap();
    let index = ALPHABET.iter().position(|known| *known == last).unwrap();
    let twin = char::from(ALPHABET[index ^ 1]);
    format!("{}{twin}", &part[..part.len() - 1])
}

pub(super) fn json() -> Vec<Named> {
    let header = good().header_text();
    let payload = good().payload();
    let payloads = [
        String::new(),
        "null".to_owned(),
        "true".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        "{}".to_owned(),
        format!("[{payload}]"),
        format!("{payload}{payload}"),
        format!("{payload},"),
        format!("{payload} x"),
        payload.replace('}', ",}"),
        payload.replace('"', "'"),
        payload.replace("{\"iss\"", "{iss"),
        format!("//x\n{payload}"),
        format!("\"{}\"", payload.replace('"', "\\\"")),
        // The members in the order in which a derived struct would take them from a list.
        format!(
            r#"["{ISSUER}","user_1","{CLIENT}",{},{NOW},{NOW},null,"session_1",null]"#,
            NOW + 300
        ),
        payload.replace("user_1", "user_1\n"),
        payload.replace("user_1", "user_\\x31"),
        payload.replace("user_1", "\\ud800user_1"),
        payload.replace("\"exp\":", "\"exp\":+"),
        payload.replace("\"exp\":", "\"exp\":0"),
        payload.replace("\"iat\":", "\"iat\":NaN,\"x\":"),
    ];
    let name =
        |(index, text): (usize, String)| named(format!("json {index}"), raw(&header, text, &K1));
    let mut tokens: Vec<_> = payloads.into_iter().enumerate().map(name).collect();
    for claim in ["iss", "sub", "aud", "exp", "iat", "sid", "client_id"] {
        let (_, value) = good()
            .claims
            .into_iter()
            .find(|(name, _)| name == claim)
            .unwrap();
        tokens.push(named(
            format!("{claim} twice"),
            good().claim_again(claim, &value),
        ));
        let escaped = format!("\\u{:04x}{}", u32::from(claim.as_bytes()[0]), &claim[1..]);
        tokens.push(named(
            format!("{claim} twice, escaped"),
            good().claim_again(&escaped, &value),
        ));
    }
    for claim in ["nbf", "jti"] {
        let token = good().claim_again(claim, "null").claim_again(claim, "null");
        tokens.push(named(format!("{claim} twice"), token));
    }
    tokens
}

pub(super) fn sizes() -> Vec<Named> {
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        named("9 KiB of payload", good().claim("x", &long(9 << 10))),
        named("1 MiB of payload", good().claim("x", &long(1 << 20))),
        named("deep payload", good().claim("aud", &deep(2000))),
        named("deep header", good().header("jwk", &deep(300))),
        named("2 KiB of header", good().header("x", &long(2 << 10))),
        named("1 MiB of header", good().header("x", &long(1 << 20))),
        named("8 KiB of x", "x".repeat(8192)),
        named("1 MiB of dots", ".".repeat(1 << 20)),
        named("8 KiB of dots", ".".repeat(8192)),
        named("long signature", good().signed() + &"A".repeat(4096)),
    ]
}

pub(super) fn signatures() -> Vec<Named> {
    let [header, payload, signature] = cut(&good().signed());
    let text = format!("{header}.{payload}");
    let with = |what: &str, signature: String| {
        named(format!("signature {what}"), format!("{text}.{signature}"))
    };
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let zeros = b64([0; 256]);
    let mut one = [0; 256];
    one[255] = 1;
    let [_, other_payload, _] = cut(&good().claim("sub", "\"user_2\"").signed());
    let modulus = K1.modulus();
    vec![
        with("flipped", format!("{flipped}{}", &signature[1..])),
        with("of zeros", zeros),
        with("one", b64(one)),
        with("the modulus", b64(modulus)),
        with("padded", format!("{signature}==")),
        with("with trailing bits", trailing_bits(&signature)),
        with("shorter", signature[..signature.len() - 2].to_owned()),
        with("longer", format!("{signature}AA")),
        with("with a zero before", b64([&[0][..], &[1; 256]].concat())),
        with("of another key", STRANGER.sign(&text)),
        with("of a longer key", K4096.sign(&text)),
        with("of the payload alone", K1.sign(&payload)),
        with("of nothing", K1.sign("")),
        named(
            "signature of another payload",
            format!("{header}.{other_payload}.{signature}"),
        ),
        named("signature of a stranger", good().signed_by(&STRANGER)),
    ]
}
