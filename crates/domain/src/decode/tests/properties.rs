//! D4 and what holds of any record.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{BASES, decoded, event};
use crate::testing::{Form, Message, profile_members, profile_patched, profile_state};
use crate::{
    Decoded, Event, MemoryState, Number, PackedProfile, Profile, ProfileChange, Sequence, apply,
};

fn form() -> impl Strategy<Value = Form> {
    proptest::sample::select(&Form::ALL)
}

fn header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        3 => "(ce|CE|Ce)-(specversion|id|source|type|subject|time|datacontenttype)",
        1 => "(content-type|Content-Type|nats-msg-id|traceparent)",
        1 => ".{0,6}",
    ];
    let value = prop_oneof![
        Just("1.0".to_owned()),
        Just("application/cloudevents+json".to_owned()),
        Just("application/json".to_owned()),
        "(user|profile):[a-z0-9]{1,3}:[0-9]{1,3}",
        "app\\.connvo\\.(user|profile|quarantine)\\.[a-z]{1,8}\\.v[0-9]{1,2}",
        ".{0,10}",
    ];
    (name, value)
}

fn subject() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "identity\\.v1\\.[a-z0-9]{1,3}\\.(user|profile|quarantine)",
        1 => ".{0,30}",
        1 => "identity\\.v1\\..{0,10}",
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[\\[\\]{}:,\"a-z0-9.eE+-]{0,200}".prop_map(String::into_bytes),
    ];
    let headers = proptest::collection::vec(header(), 0..8);
    (subject(), headers, payload).prop_map(|(subject, headers, payload)| Message {
        subject,
        headers,
        payload,
    })
}

/// A valid event with some bytes of its body changed, and headers changed or gone.
fn damaged_message() -> impl Strategy<Value = Message> {
    let damage = (any::<Index>(), any::<u8>(), 0_u8..4);
    (
        any::<Index>(),
        form(),
        proptest::collection::vec(damage, 0..6),
        proptest::option::of((any::<Index>(), header())),
    )
        .prop_map(|(base, form, damages, replaced)| {
            let mut message = base.get(&BASES).message(form);
            for (at, byte, kind) in damages {
                let at = at.index(message.payload.len().max(1));
                let payload = &mut message.payload;
                match kind {
                    0 if at < payload.len() => payload[at] = byte,
                    1 if at < payload.len() => drop(payload.remove(at)),
                    2 => payload.insert(
                        at.min(payload.len()),
                        b"\"{}[],:0-e.\\ntfu"[usize::from(byte % 16)],
                    ),
                    _ => payload.truncate(at),
                }
            }
            if let Some((at, header)) = replaced
                && !message.headers.is_empty()
            {
                let at = at.index(message.headers.len());
                message.headers[at] = header;
            }
            message
        })
}

/// Decodes and applies, which must not panic, and shows what came of it.
fn is_total(message: &Message) -> Result<(), TestCaseError> {
    let decoded = decoded(message);
    let mut state = MemoryState::default();
    let record = message.at(Sequence::new(1).unwrap());
    let Ok(_) = record.with_ref(|record| apply(&mut state, record));
    if let Decoded::Invalid { fault, .. } = decoded {
        prop_assert!(!fault.to_string().is_empty());
        prop_assert_eq!(state.all_parked().count(), 1);
    }
    Ok(())
}

/// What a profile is, read from its JSON by name.
fn profile_from(members: &Value) -> Profile<Box<str>> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(Into::into);
    let number = |name: &str| members.get(name).and_then(Value::as_f64).map(Number);
    let languages = members["languages"].as_array().unwrap();
    Profile {
        display_name: text("displayName").unwrap(),
        languages: languages
            .iter()
            .map(|one| one.as_str().unwrap().into())
            .collect(),
        created_at: number("createdAt").unwrap(),
        updated_at: number("updatedAt").unwrap(),
        age: number("age"),
        gender: text("gender").map(|text: Box<str>| crate::Gender::parse(&text).unwrap()),
        bio: text("bio"),
        company: text("company"),
        experience: text("experience"),
        field: text("field"),
        goals: text("goals"),
        job_title: text("jobTitle"),
        linkedin_url: text("linkedinUrl"),
    }
}

/// A patch is right when it does to JSON what a merge patch (RFC 7396) does.
fn merged(members: &Value, patch: &Value) -> Value {
    let mut members = members.clone();
    for (name, value) in patch.as_object().unwrap() {
        if value.is_null() {
            members.as_object_mut().unwrap().remove(name);
        } else {
            members[name] = value.clone();
        }
    }
    members
}

/// Some members of one profile, others null where they may be.
fn patch() -> impl Strategy<Value = Value> {
    (profile_members(), proptest::collection::vec(0_u8..3, 13)).prop_map(|(mut members, what)| {
        let names = [
            "displayName",
            "languages",
            "createdAt",
            "updatedAt",
            "age",
            "gender",
            "bio",
            "company",
            "experience",
            "field",
            "goals",
            "jobTitle",
            "linkedinUrl",
        ];
        let object = members.as_object_mut().unwrap();
        for (at, (name, what)) in names.into_iter().zip(what).enumerate() {
            match what {
                0 => drop(object.remove(name)),
                1 if at >= 4 => drop(object.insert(name.into(), json!(null))),
                _ => {}
            }
        }
        members
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.saturating_mul(4),
        ..ProptestConfig::default()
    })]

    #[test]
    fn d4_decoding_any_bytes_never_panics(message in any_message()) {
        is_total(&message)?;
    }

    #[test]
    fn d4_decoding_a_damaged_event_never_panics(message in damaged_message()) {
        is_total(&message)?;
    }

    #[test]
    fn profile_is_what_its_json_says(members in profile_members(), form in form()) {
        let message = profile_state("u1", "p1", 1, &members).message(form);
        let Event::Profile { change: ProfileChange::State { profile, .. }, .. } = event(&message)
        else {
            return Err(TestCaseError::fail("a whole profile"));
        };
        let expected = profile_from(&members);
        prop_assert!(profile.members() == expected.map(|text| text));
        prop_assert!(profile == PackedProfile::from(&expected));
    }

    #[test]
    fn patch_does_what_a_merge_patch_does(
        members in profile_members(), patch in patch(), form in form()
    ) {
        let message = profile_patched("u1", "p1", 2, &patch).message(form);
        let Event::Profile { change: ProfileChange::Patch { patch: decoded, .. }, .. } =
            event(&message)
        else {
            return Err(TestCaseError::fail("a patch"));
        };
        let profile = profile_from(&members);
        let patched = decoded.applied_to(profile.map(|text| text));
        prop_assert!(patched == profile_from(&merged(&members, &patch)).map(|text| text));
    }
}
