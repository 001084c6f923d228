//! Attributes in the three forms of an event, and which form a record has.

use super::{BASES, base, binary, decoded, fault};
use crate::Decoded;
use crate::testing::{Form, Message};

/// Golden: `piece of a structured record | what stands there instead | fault`.
const ENVELOPE: &str = include_str!("envelope.txt");

/// A user's event in structured form, with a piece of the envelope replaced.
fn structured(piece: &str, instead: &str) -> Message {
    let mut message = base("user.registered").message(Form::Bare);
    let body = String::from_utf8(message.payload).unwrap();
    assert!(body.contains(piece), "{piece}");
    message.payload = body.replacen(piece, instead, 1).into_bytes();
    message
}

#[test]
fn every_type_is_taken_in_all_three_forms_with_the_same_meaning() {
    for base in BASES {
        let [binary, structured, bare] = Form::ALL.map(|form| decoded(&base.message(form)));
        assert!(
            matches!(binary, Decoded::Event(_)),
            "{} {binary:?}",
            base.kind
        );
        assert_eq!(binary, structured);
        assert_eq!(binary, bare);
    }
}

#[test]
fn binary_attributes() {
    for (headers, expected) in [
        (
            &[("ce-specversion", "")][..],
            "attribute specversion: is missing",
        ),
        (
            &[("ce-specversion", "0.3")],
            "attribute specversion: expected 1.0",
        ),
        (
            &[("ce-specversion", "1")],
            "attribute specversion: expected 1.0",
        ),
        (&[("ce-id", "")], "attribute id: is missing"),
        (&[("ce-source", "")], "attribute source: is missing"),
        (&[("ce-type", "")], "attribute type: is missing"),
        (&[("ce-subject", "")], ""),
        (
            &[("ce-subject", "u2")],
            "attribute subject does not match the subject's user",
        ),
        (&[("ce-time", ""), ("ce-dataschema", "")], ""),
        (&[("Nats-Msg-Id", "")], ""),
        (
            &[("Nats-Msg-Id", "user:u1:4")],
            "header Nats-Msg-Id does not match attribute id",
        ),
        (&[("nats-msg-id", "user:u1:3")], ""),
        (&[("content-type", "")], ""),
        (&[("Content-Type", "Application/JSON ; charset=utf-8")], ""),
        (
            &[("content-type", "text/plain")],
            "attribute datacontenttype: expected application/json",
        ),
        (&[("ce-datacontenttype", "application/json")], ""),
        (
            &[("ce-datacontenttype", "text/xml")],
            "attribute datacontenttype: expected application/json",
        ),
        (&[("ce-unknown", "x"), ("Other", "y")], ""),
        (
            &[
                ("CE-ID", "user:u1:3"),
                ("Ce-Type", "app.connvo.user.updated.v1"),
            ],
            "",
        ),
    ] {
        assert_eq!(fault(&binary(headers)), expected, "{headers:?}");
    }
    let no_source = binary(&[("ce-source", "")]).header("ce-source", "");
    assert_eq!(fault(&no_source), "attribute source: is empty");
}

#[test]
fn one_attribute_has_one_value_whatever_the_case_of_the_header() {
    for (name, value, expected) in [
        ("Ce-Id", "user:u1:3", ""),
        (
            "Ce-Id",
            "user:u1:4",
            "header ce-id is there twice with different values",
        ),
        (
            "CE-TYPE",
            "x",
            "header ce-type is there twice with different values",
        ),
        (
            "ce-source",
            "/other",
            "header ce-source is there twice with different values",
        ),
        (
            "Ce-SpecVersion",
            "1.1",
            "header ce-specversion is there twice with different values",
        ),
        (
            "ce-subject",
            "U1",
            "header ce-subject is there twice with different values",
        ),
        (
            "ce-time",
            "2026",
            "header ce-time is there twice with different values",
        ),
        (
            "Ce-DataSchema",
            "https://t",
            "header ce-dataschema is there twice with different values",
        ),
        (
            "Content-Type",
            "text/plain",
            "header content-type is there twice with different values",
        ),
        (
            "NATS-MSG-ID",
            "x",
            "header nats-msg-id is there twice with different values",
        ),
        ("ce-extension", "x", ""),
    ] {
        let message = binary(&[]).header(name, value);
        assert_eq!(fault(&message), expected, "{name}");
    }
}

#[test]
fn every_rule_of_the_envelope_has_its_fault() {
    for line in ENVELOPE.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [piece, instead, expected] = columns[..] else {
            panic!("three columns: {line}");
        };
        assert_eq!(fault(&structured(piece, instead)), expected, "{line}");
    }
}

#[test]
fn structured_body_is_a_json_object() {
    for (payload, expected) in [
        (
            "",
            "body is not JSON: EOF while parsing a value at line 1 column 0",
        ),
        ("{}", "attribute specversion: is missing"),
        ("[]", "body: expected an object, found array"),
        (r#"["1.0","id"]"#, "body: expected an object, found array"),
        ("null", "body: expected an object, found null"),
        ("1 2", "body: expected an object, found number"),
        (
            "{} {}",
            "body is not JSON: trailing characters at line 1 column 4",
        ),
        (
            "\u{feff}{}",
            "body is not JSON: expected value at line 1 column 1",
        ),
        (
            "{\"a\": \"\n",
            "body is not JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 7",
        ),
    ] {
        assert_eq!(
            fault(&Message::bare("identity.v1.u1.user", payload)),
            expected,
            "{payload}"
        );
    }
    let not_utf8 = [br#"{"specversion":""#.as_slice(), &[0xff], br#""}"#].concat();
    assert_eq!(
        fault(&Message::bare("identity.v1.u1.user", not_utf8)),
        "body is not JSON: invalid unicode code point at line 1 column 17"
    );
}

#[test]
fn structured_record_may_repeat_its_attributes_as_headers_but_not_contradict_them() {
    let structured = || base("user.registered").message(Form::Structured);
    let differs = |name| format!("attribute {name}: differs between header and body");
    for (header, name, value, other) in [
        ("ce-specversion", "specversion", "1.0", "1.1"),
        ("Ce-Id", "id", "user:u1:3", "user:u1:4"),
        ("ce-source", "source", "/s", "/t"),
        (
            "CE-Type",
            "type",
            "app.connvo.user.registered.v1",
            "app.connvo.user.updated.v1",
        ),
        ("ce-subject", "subject", "u1", "u2"),
    ] {
        assert_eq!(fault(&structured().header(header, value)), "", "{name}");
        assert_eq!(fault(&structured().header(header, other)), differs(name));
    }
    let repeated = structured().header("Nats-Msg-Id", "user:u1:3");
    assert_eq!(fault(&repeated), "");
    let contradicted = structured().header("Nats-Msg-Id", "other");
    assert_eq!(
        fault(&contradicted),
        "header Nats-Msg-Id does not match attribute id"
    );
}

#[test]
fn the_content_type_decides_between_the_forms() {
    let bare = || base("user.registered").message(Form::Bare);
    for (content_type, expected) in [
        ("application/cloudevents+json", ""),
        ("Application/CloudEvents+JSON", ""),
        (" application/cloudevents+json ;charset=UTF-8", ""),
        ("application/json", "attribute specversion: is missing"),
        (
            "application/cloudevents-batch+json",
            "attribute specversion: is missing",
        ),
    ] {
        assert_eq!(
            fault(&bare().header("content-type", content_type)),
            expected,
            "{content_type}"
        );
    }
    assert_eq!(
        fault(&bare().header("Nats-Msg-Id", "user:u1:3").header("x", "y")),
        ""
    );
    assert_eq!(fault(&bare().header("traceparent", "00-0-0-00")), "");
    // Headers of the binary form decide for it when nothing says otherwise.
    assert_eq!(
        fault(&bare().header("ce-id", "user:u1:3")),
        "attribute specversion: is missing"
    );
}

#[test]
fn of_several_conflicts_one_is_told_whatever_the_order_of_the_headers() {
    let mut message = binary(&[])
        .header("Ce-Type", "x")
        .header("Ce-Id", "y")
        .header("CE-Source", "z");
    let expected = "header ce-id is there twice with different values";
    assert_eq!(fault(&message), expected);
    message.headers.reverse();
    assert_eq!(fault(&message), expected);
}
