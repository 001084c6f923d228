//! Types, ids, subjects, and the limit of size.

use super::{base, binary, decoded, fault};
use crate::testing::{Form, user_state};
use crate::{DATA_BYTES_MAX, Decoded, Fault, STRUCTURED_BYTES_MAX};

const EXPECTED_TYPE: &str = "attribute type: expected app.connvo.<family>.<name>.v<major>";

#[test]
fn every_name_of_a_type_is_known() {
    for (word, names) in [
        (
            "user.registered",
            &["registered", "updated", "deactivated", "reactivated"][..],
        ),
        ("profile.created", &["created", "updated"]),
    ] {
        let family = word.split('.').next().unwrap();
        let mut message = base(word).message(Form::Binary);
        let first = decoded(&message);
        for name in names {
            let (_, kind) = message
                .headers
                .iter_mut()
                .find(|(n, _)| n == "ce-type")
                .unwrap();
            *kind = format!("app.connvo.{family}.{name}.v1");
            assert_eq!(decoded(&message), first, "{name}");
        }
    }
}

#[test]
fn types() {
    let mismatch = "the type's family does not match the subject's last token";
    for (kind, expected) in [
        ("app.connvo.user.updated.v1", ""),
        ("app.connvo.user.renamed.v1", "unknown type"),
        ("app.connvo.user.created.v1", "unknown type"),
        ("app.connvo.user.patched.v1", "unknown type"),
        ("app.connvo.user.Updated.v1", "unknown type"),
        (
            "app.connvo.user.updated.v2",
            "type has major version 2, this release understands 1",
        ),
        (
            "app.connvo.user.renamed.v2",
            "type has major version 2, this release understands 1",
        ),
        (
            "app.connvo.user.updated.v0",
            "type has major version 0, this release understands 1",
        ),
        ("app.connvo.user.updated.v01", EXPECTED_TYPE),
        ("app.connvo.user.updated.1", EXPECTED_TYPE),
        ("app.connvo.user.updated.v", EXPECTED_TYPE),
        ("app.connvo.user.updated.v-1", EXPECTED_TYPE),
        ("app.connvo.user.updated.v99999999999", EXPECTED_TYPE),
        ("app.connvo.user.updated", EXPECTED_TYPE),
        ("app.connvo.user.updated.v1.x", EXPECTED_TYPE),
        ("com.example.user.updated.v1", EXPECTED_TYPE),
        ("APP.connvo.user.updated.v1", EXPECTED_TYPE),
        ("", "attribute type: is missing"),
        ("app.connvo.profile.updated.v1", mismatch),
        ("app.connvo.quarantine.dropped.v1", mismatch),
        ("app.connvo.order.created.v1", mismatch),
    ] {
        assert_eq!(fault(&binary(&[("ce-type", kind)])), expected, "{kind}");
    }
}

#[test]
fn unknown_type_is_skipped_whatever_it_carries() {
    let mut unknown = binary(&[("ce-type", "app.connvo.user.renamed.v1"), ("ce-id", "any")]);
    unknown.payload = b"not JSON".to_vec();
    let Decoded::UnknownType(lane) = decoded(&unknown) else {
        panic!("unknown");
    };
    assert_eq!(lane.to_string(), "u1.user");
}

#[test]
fn ids() {
    let mismatch =
        "attribute id does not match <data.entity.kind>:<data.entity.id>:<data.entity.version>";
    for id in [
        "user:u1:4",
        "user:u1:03",
        "user:u1:+3",
        "user:u1:3.0",
        "user:u2:3",
        "profile:u1:3",
        "user:u1",
        "u1:3",
        "x",
    ] {
        let message = binary(&[("ce-id", id), ("Nats-Msg-Id", id)]);
        assert_eq!(fault(&message), mismatch, "{id}");
    }
    let mut decision = base("quarantine").message(Form::Binary);
    decision
        .headers
        .retain(|(name, _)| name != "ce-id" && name != "Nats-Msg-Id");
    assert_eq!(fault(&decision.clone().header("ce-id", "free")), "");
    assert_eq!(
        fault(&decision.header("ce-id", "")),
        "attribute id: is empty"
    );
}

#[test]
fn subjects() {
    let none = "the subject names no lane: \
                expected identity.v1.<userId>.<user|profile|quarantine>";
    for subject in [
        "",
        "identity.v1",
        "identity.v1.u1",
        "identity.v1.u1.",
        "identity.v1..user",
        "identity.v1.u1.users",
        "identity.v1.u1.User",
        "identity.v1.u1.user.x",
        "identity.v2.u1.user",
        "Identity.v1.u1.user",
        "x.identity.v1.u1.user",
        "identity.v1.ü.user",
        "identity.v1.u 1.user",
    ] {
        let mut message = binary(&[]);
        message.subject = subject.into();
        assert_eq!(fault(&message), none, "{subject}");
        let Decoded::Invalid { lane, .. } = decoded(&message) else {
            panic!("invalid");
        };
        assert_eq!(lane, None);
    }
}

#[test]
fn an_invalid_record_is_in_the_lane_of_its_subject() {
    let mut message = binary(&[]);
    message.subject = "identity.v1.u7.profile".into();
    let Decoded::Invalid { lane, fault } = decoded(&message) else {
        panic!("invalid");
    };
    assert_eq!(lane.unwrap().to_string(), "u7.profile");
    assert_eq!(
        fault.to_string(),
        "the type's family does not match the subject's last token"
    );
}

#[test]
fn the_limit_of_size_is_of_the_data_in_every_form() {
    // With data of this length, as it is written.
    let sized = |bytes: usize, form: Form| {
        let draft = user_state("u1", 1, "w1");
        let data = serde_json::to_string(&draft.data).unwrap();
        let padded = format!(
            "{}{}}}",
            &data[..data.len() - 1],
            " ".repeat(bytes - data.len())
        );
        let mut message = draft.message(form);
        let body = String::from_utf8(message.payload).unwrap();
        message.payload = body.replace(&data, &padded).into();
        assert!(bytes <= message.payload.len());
        message
    };
    for form in [Form::Binary, Form::Structured, Form::Bare] {
        assert_eq!(fault(&sized(DATA_BYTES_MAX, form)), "", "{form:?}");
        assert_eq!(
            fault(&sized(DATA_BYTES_MAX + 1, form)),
            "the data has 262145 bytes, the limit is 262144",
            "{form:?}"
        );
    }
    let padded = |bytes: usize| {
        let mut message = user_state("u1", 1, "w1").message(Form::Structured);
        message.payload.resize(bytes, b' ');
        message
    };
    assert_eq!(fault(&padded(STRUCTURED_BYTES_MAX)), "");
    assert_eq!(
        fault(&padded(STRUCTURED_BYTES_MAX + 1)),
        "the body has 327681 bytes, the limit is 327680"
    );
    let mut elsewhere = padded(STRUCTURED_BYTES_MAX + 1);
    elsewhere.subject = "elsewhere".into();
    assert!(matches!(
        decoded(&elsewhere),
        Decoded::Invalid {
            lane: None,
            fault: Fault::Subject
        }
    ));
}
