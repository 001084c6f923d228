//! What the checker says, and that the projector agrees.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const PEOPLE: &str = include_str!("../../../../../schemas/examples/people.ndjson");
const LIFECYCLE: &str = include_str!("../../../../../schemas/examples/lifecycle.ndjson");
const ACCEPTED: &str = include_str!("../../../../../schemas/golden/v1/accepted.ndjson");
const REFUSED: &str = include_str!("../../../../../schemas/golden/v1/refused.ndjson");

fn examples() -> Vec<Value> {
    let lines = PEOPLE.lines().chain(LIFECYCLE.lines());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_examples_are_right_and_show_every_type() {
    let checker = Checker::new().unwrap();
    let mut kinds: Vec<String> = Vec::new();
    for example in examples() {
        let outgoing = checker.check_event(&example).unwrap();
        assert_eq!(outgoing.id, example["id"]);
        kinds.push(example["type"].as_str().unwrap().to_owned());
    }
    for kind in EVENT_TYPES {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind}");
    }
}

/// What was once right stays right, and the corpora say which faults a schema can tell; other
/// validators are held against the same files.
#[test]
fn golden_events_are_judged_as_they_say() {
    let checker = Checker::new().unwrap();
    let mut kinds = Vec::new();
    for line in ACCEPTED.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(checker.check_event(&event).err(), None, "{line}");
        kinds.push(event["type"].as_str().unwrap().to_owned());
    }
    for kind in EVENT_TYPES {
        assert!(
            kinds.iter().filter(|seen| seen == kind).count() > 1,
            "{kind}"
        );
    }
    let mut judged = 0;
    for line in REFUSED.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let event = &line["event"];
        assert!(checker.check_event(event).is_err(), "{}", line["why"]);
        let by_schema = checker.check_schema(event).is_err();
        assert_eq!(by_schema, line["by"] == "schema", "{}", line["why"]);
        judged += 1;
    }
    assert!(judged > 500);
}

/// Every place of a JSON value, as pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The event with one place replaced, or removed for `None`.
fn mutated(event: &Value, place: &str, by: Option<&Value>) -> Value {
    let mut event = event.clone();
    if let Some(value) = by {
        *event.pointer_mut(place).unwrap() = value.clone();
        return event;
    }
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap();
    if let Value::Object(members) = parent {
        members.remove(name);
    } else {
        parent.as_array_mut().unwrap().remove(name.parse().unwrap());
    }
    event
}

/// What the projector makes of the structured form of an event, published where the unchanged one goes.
fn decoded(subject: &str, event: &Value) -> Decoded {
    domain::decode(&domain::RecordRef {
        sequence: domain::Sequence::FIRST,
        subject,
        headers: domain::Headers::of_block(&domain::block_of([(
            "Content-Type",
            "application/cloudevents+json",
        )])),
        payload: &serde_json::to_vec(event).unwrap(),
    })
}

/// Attributes that the projector does not read: the producer's checker alone judges their form.
const FOR_PEOPLE: [&str; 5] = [
    "/time",
    "/dataschema",
    "/traceparent",
    "/tracestate",
    "/source",
];

fn replacements() -> Vec<Option<Value>> {
    let mut all: Vec<Option<Value>> = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(1.5),
        json!(2.0),
        json!(1e300),
        json!(9_007_199_254_740_992_u64),
        json!(""),
        json!("x"),
        json!("male"),
        json!("ä.b"),
        json!("x".repeat(65)),
        json!("x".repeat(257)),
        json!("app.connvo.user.renamed.v1"),
        json!("app.connvo.user.updated.v2"),
        json!([]),
        json!([1]),
        json!(["x"]),
        json!({}),
        json!({"x": 1}),
    ]
    .into_iter()
    .map(Some)
    .collect();
    all.push(None);
    all
}

/// The schemas and the decoder must judge alike, one member changed at a time.
#[test]
fn schemas_and_decoder_are_in_step() {
    let checker = Checker::new().unwrap();
    let mut judged = 0;
    let accepted = ACCEPTED.lines();
    let accepted = accepted.filter(|line| line.len() < 2_000);
    let accepted = accepted.map(|line| serde_json::from_str::<Value>(line).unwrap());
    for example in examples().into_iter().chain(accepted) {
        let subject = checker.check_event(&example).unwrap().subject;
        let mut all = Vec::new();
        places(&example, "", &mut all);
        for place in all.iter().filter(|place| !place.is_empty()) {
            for by in replacements() {
                let event = mutated(&example, place, by.as_ref());
                let strict = checker.check_event(&event);
                let tolerant = decoded(&subject, &event);
                judged += 1;
                match (&strict, &tolerant) {
                    (Ok(outgoing), Decoded::Event(meant)) => {
                        let sent = outgoing.with_record(domain::decode);
                        assert_eq!(sent, Decoded::Event(meant.clone()), "{place} {by:?}");
                    }
                    // Published by our own command it goes to the right subject.
                    (Ok(outgoing), Decoded::Invalid { .. }) => {
                        assert_ne!(outgoing.subject, subject, "{place} {by:?} {tolerant:?}");
                    }
                    (Err(_), Decoded::Invalid { .. }) => {}
                    (Err(faults), Decoded::UnknownType(_)) => {
                        assert_eq!(faults[0].member, "type", "{place} {by:?}");
                    }
                    (Err(faults), Decoded::Event(_)) => {
                        let is_for_people = FOR_PEOPLE.contains(&place.as_str());
                        let is_unknown = faults.iter().all(|f| f.found == "an unknown member");
                        assert!(is_for_people || is_unknown, "{place} {by:?} {faults:?}");
                    }
                    (Ok(_), Decoded::UnknownType(_)) => panic!("{place} {by:?}"),
                }
            }
        }
    }
    assert!(judged > 5_000, "{judged}");
}

#[test]
fn an_unknown_member_is_a_fault_here_and_ignored_there() {
    let checker = Checker::new().unwrap();
    for example in examples() {
        let subject = checker.check_event(&example).unwrap().subject;
        let mut all = Vec::new();
        places(&example, "", &mut all);
        for place in all {
            let mut event = example.clone();
            let Some(Value::Object(members)) = event.pointer_mut(&place) else {
                continue;
            };
            members.insert("favouriteColour".to_owned(), json!("green"));
            let faults = checker.check_event(&event).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(faults[0].found, "an unknown member");
            assert!(matches!(decoded(&subject, &event), Decoded::Event(_)));
        }
    }
}

#[test]
fn no_line_makes_it_panic() {
    let checker = Checker::new().unwrap();
    let broken = (0..PEOPLE.len(), any::<u8>()).prop_map(|(at, by)| {
        let mut bytes = PEOPLE.as_bytes().to_vec();
        bytes[at] = by;
        bytes
    });
    let texts = prop_oneof![prop::collection::vec(any::<u8>(), 0..300), broken];
    proptest!(|(text in texts)| {
        for text in text.split(|byte| *byte == b'\n') {
            let line = Line { number: 1, text: Some(text), bytes_read: 0 };
            let _ = checker.check(&line);
        }
    });
}
