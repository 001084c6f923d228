//! D5: whatever is wrong with a record, nothing of it is shown.

use serde_json::{Value, json};

use super::{BASES, Base, decoded};
use crate::testing::{Form, Message};
use crate::{Decoded, MemoryState, Record, RecordRef, Sequence, apply};

const MARK: &str = "SECRET";
const MARKED_DIGITS: &str = "55501234";

/// Values that carry the mark, some of which look like pieces of the faults they might end in.
fn marked() -> Vec<Value> {
    vec![
        json!(MARK),
        json!("SECRET, expected SECRET"),
        json!("` SECRET `SECRET` \" SECRET, SECRET"),
        json!("missing field `SECRET`"),
        json!("x at line 1 column 5"),
        json!("SECRET expected SECRET at line 1 column 5"),
        json!("\", expected SECRET at line 7"),
        json!([MARK]),
        json!({MARK: MARK}),
        json!({MARK: {"version": MARK}}),
        json!([[MARK, 7]]),
        json!(55_501_234),
        json!(-55_501_234),
        json!(0.555_012_34),
    ]
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.into());
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, v)| (i.to_string(), v))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (key, value) in inner {
        places(value, &format!("{at}/{key}"), found);
    }
}

#[track_caller]
fn shows_nothing(message: &Message) {
    let record: Record = message.at(Sequence::new(1).unwrap());
    let decoded = decoded(message);
    let mut state = MemoryState::default();
    let Ok(outcome) = record.with_ref(|record| apply(&mut state, record));
    let reference = record.with_ref(|record: &RecordRef<'_>| format!("{record:?}"));
    let shown = format!("{decoded:?} {record:?} {reference} {state:?} {outcome:?}");
    assert!(!shown.contains(MARK), "{shown}");
    if let Decoded::Invalid { fault, .. } = decoded {
        let text = fault.to_string();
        assert!(
            !text.contains(MARK) && !text.contains(MARKED_DIGITS),
            "{text}"
        );
    }
}

fn with_values(base: &Base, mut visit: impl FnMut(&Value)) {
    let data: Value = serde_json::from_str(base.data).unwrap();
    let mut found = Vec::new();
    places(&data, "", &mut found);
    for place in found {
        for value in marked() {
            let mut data = data.clone();
            *data.pointer_mut(&place).unwrap() = value;
            visit(&data);
        }
        // The same mark as the name of a member beside the others.
        let mut data = data.clone();
        if let Some(Value::Object(members)) = data.pointer_mut(&place) {
            members.insert(MARK.into(), json!(MARK));
            visit(&data);
        }
    }
}

#[test]
fn d5_no_value_of_the_data_is_shown() {
    for base in BASES {
        with_values(&base, |data| {
            for form in Form::ALL {
                shows_nothing(&base.with_data(&data.to_string(), form));
            }
        });
    }
}

#[test]
fn d5_no_value_of_a_broken_text_is_shown() {
    for base in BASES {
        for form in Form::ALL {
            for broken in [
                r#""SECRET"#,
                r#"{"SECRET" "x"}"#,
                "SECRET",
                r#"{"SECRET":SECRET}"#,
            ] {
                shows_nothing(&base.with_data(broken, form));
            }
            let data = base.data.replace('"', "\"SECRET");
            shows_nothing(&base.with_data(&data, form));
        }
    }
}

#[test]
fn d5_no_value_of_an_attribute_is_shown() {
    for base in BASES {
        let message = base.message(Form::Binary);
        for at in 0..message.headers.len() {
            for value in [
                "SECRET",
                "app.connvo.user.SECRET.v1",
                "app.connvo.SECRET.x.v1",
            ] {
                let mut other = message.clone();
                other.headers[at].1 = value.into();
                shows_nothing(&other);
                let (name, _) = message.headers[at].clone();
                shows_nothing(&message.clone().header(&name, value));
            }
            let mut renamed = message.clone();
            renamed.headers[at].0 = format!("ce-{MARK}");
            shows_nothing(&renamed);
        }
        let body: Value = serde_json::from_slice(&base.message(Form::Bare).payload).unwrap();
        let members: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
        for member in members {
            for value in marked() {
                let mut body = body.clone();
                body[&member] = value;
                shows_nothing(&Message::bare(base.subject, body.to_string()));
                shows_nothing(&base.message(Form::Structured).header("ce-id", MARK));
            }
        }
    }
}

#[test]
fn d5_no_subject_is_shown() {
    for subject in ["SECRET", "identity.v1.SECRET", "identity.v1.SECRET@x.user"] {
        shows_nothing(&Message::bare(subject, "{}"));
    }
}

#[test]
fn d5_a_parked_identity_is_not_shown() {
    let mut state = MemoryState::default();
    for (at, user) in [(1, "u1"), (2, "u2")] {
        let message = Message::from(crate::testing::user_state(user, 1, MARK));
        let record = message.at(Sequence::new(at).unwrap());
        let Ok(_) = record.with_ref(|record| apply(&mut state, record));
    }
    assert_eq!(state.all_parked().count(), 1);
    assert!(!format!("{state:?}").contains(MARK));
}
