//! `replay --serve`: replays over standard input and output, for the kits of other languages. A request is
//! one line of JSON and has one line for an answer; each is answered from its own events alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Write};

use anyhow::Context;
use domain::Sequence;
use event_lines::{Lines, Message};
use replay_kit::{Replay, ReplayError};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::replay::figures;
use crate::exit::Failure;
use crate::printable;

/// The longest request.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest `id` of a request, as it is written.
const ID_BYTES_MAX: usize = 256;

const MEMBERS: [&str; 4] = ["id", "events", "until", "as"];

pub(crate) fn run() -> Result<(), Failure> {
    match serve(io::stdin().lock(), io::stdout().lock()) {
        // Whoever asked is gone.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => Ok(ended.context("requests cannot be read, or answers not written")?),
    }
}

fn serve(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut lines = Lines::of(BufReader::new(input)).of_at_most(REQUEST_BYTES_MAX);
    while let Some(line) = lines.next_line()? {
        let answer = match line.text {
            Some(text) => answer_to(text),
            None => refused(
                &Value::Null,
                &Fault::new(format!(
                    "the request has more than {REQUEST_BYTES_MAX} bytes"
                )),
            ),
        };
        writeln!(output, "{}", printable::text(&answer.to_string()))?;
        output.flush()?;
    }
    Ok(())
}

/// What is wrong with a request.
struct Fault {
    message: String,
    /// The place of the event that it is about in `events`, from 1.
    event: Option<u64>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            message,
            event: None,
        }
    }
}

impl From<ReplayError> for Fault {
    fn from(error: ReplayError) -> Self {
        Self::new(error.to_string())
    }
}

fn refused(id: &Value, fault: &Fault) -> Value {
    let mut error = json!({ "message": fault.message });
    if let (Some(event), Some(error)) = (fault.event, error.as_object_mut()) {
        error.insert("event".to_owned(), event.into());
    }
    json!({ "id": id, "error": error })
}

fn answer_to(request: &[u8]) -> Value {
    let members: Members<'_> = match serde_json::from_slice(request) {
        Ok(members) => members,
        Err(error) => {
            let what = if error.is_data() {
                "a JSON object"
            } else {
                "JSON in one line"
            };
            let message = format!("column {}: the request is not {what}", error.column());
            return refused(&Value::Null, &Fault::new(message));
        }
    };
    let id = match id_of(&members) {
        Ok(id) => id,
        Err(fault) => return refused(&Value::Null, &fault),
    };
    match Request::of(&members).and_then(Request::replayed) {
        Ok(mut answer) => {
            answer.insert("id".to_owned(), id);
            answer.into()
        }
        Err(fault) => refused(&id, &fault),
    }
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

fn id_of(members: &Members<'_>) -> Result<Value, Fault> {
    match members.get("id") {
        Some(id) if ID_BYTES_MAX < id.get().len() => {
            Err(Fault::new(format!("id has more than {ID_BYTES_MAX} bytes")))
        }
        Some(id) => serde_json::from_str(id.get()).map_err(|_bad| Fault::new("id is not JSON")),
        None => Ok(Value::Null),
    }
}

/// A member's value. The reader's own words may repeat what somebody wrote, so they are not passed on.
fn member<T: DeserializeOwned>(
    members: &Members<'_>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Fault> {
    let value = members.get(name).map(|value| value.get());
    let value = value.map(serde_json::from_str);
    value
        .transpose()
        .map_err(|_bad| Fault::new(format!("{name}: expected {expected}")))
}

struct Request {
    messages: Vec<Message>,
    until: u64,
    identities: BTreeSet<String>,
}

impl Request {
    fn of(members: &Members<'_>) -> Result<Self, Fault> {
        if members.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
            let known = MEMBERS.join(", ");
            return Err(Fault::new(format!("the members of a request are {known}")));
        }
        let events = members
            .get("events")
            .ok_or_else(|| Fault::new("events is missing"))?;
        // Borrowed, because a message's payload counts byte for byte.
        let events: Vec<&RawValue> = serde_json::from_str(events.get())
            .map_err(|_bad| Fault::new("events: expected a list of events"))?;
        let messages = (1..).zip(events).map(|(place, event)| {
            Message::of_line(event.get().as_bytes()).map_err(|fault| Fault {
                message: fault.to_string(),
                event: Some(place),
            })
        });
        Ok(Self {
            messages: messages.collect::<Result<_, _>>()?,
            until: member(members, "until", "a sequence")?.unwrap_or(u64::MAX),
            identities: member(members, "as", "a list of identities")?.unwrap_or_default(),
        })
    }

    fn replayed(mut self) -> Result<Map<String, Value>, Fault> {
        let mut place = 0_u64;
        let kept = self.messages.iter().take_while(|message| {
            let next = place.saturating_add(1);
            place = message.sequence.map_or(next, Sequence::get);
            place <= self.until
        });
        let kept = kept.count();
        self.messages.truncate(kept);
        let mut replay = Replay::new()?;
        replay.apply(&self.messages)?;
        let mut answers = Map::new();
        for identity in self.identities {
            let value = match replay.answer(&identity) {
                Err(ReplayError::Id { problem, .. }) => {
                    return Err(Fault::new(format!("as: no identity: {problem}")));
                }
                value => value?,
            };
            let value = serde_json::from_str(&value);
            let value = value.map_err(|_bad| Fault::new("an answer is not JSON"))?;
            answers.insert(identity, value);
        }
        let mut figures = figures(&replay)?;
        figures.insert("answers".to_owned(), answers.into());
        Ok(figures)
    }
}

#[cfg(test)]
mod tests {
    use replay_kit::Person;

    use super::*;

    fn asked(request: &str) -> Value {
        answer_to(request.as_bytes())
    }

    fn events() -> [Value; 3] {
        let mut ada = Person::new("ada", "p");
        [
            ada.registered("user_01ADA"),
            ada.profile(&json!({"displayName": "Ada", "age": 36.5})),
            ada.profile(&json!({"displayName": "Grace"})),
        ]
    }

    #[test]
    fn a_request_is_answered_from_its_own_events_alone() {
        let subs = ["user_01ADA", "user_01BOB", "user_01ADA"];
        let ask = |until: u64| {
            asked(&json!({"id": until, "events": events(), "until": until, "as": subs}).to_string())
        };
        let name = |answer: &Value| answer["answers"]["user_01ADA"]["displayName"].clone();
        let (first, then, now) = (ask(1), ask(2), ask(9));
        assert_eq!(
            first["answers"],
            json!({"user_01ADA": null, "user_01BOB": null})
        );
        assert_eq!((name(&then), name(&now)), (json!("Ada"), json!("Grace")));
        assert_eq!((&then["id"], &then["sequence"]), (&json!(2), &json!(2)));
        assert_eq!((&now["sequence"], &now["profiles"]), (&json!(3), &json!(1)));
        assert_eq!(ask(2), then, "nothing is left of a request");
        let replay = Replay::of_events(events()).unwrap();
        assert_eq!(now["digest"], replay.digest().to_string());
    }

    #[test]
    fn what_is_parked_is_named_with_its_place() {
        let lines = r#"{"id":"x","events":[
            {"subject":"identity.v1.u1.profile","sequence":7,"payload":{"a":1}},
            {"subject":"identity.v1.u1.profile","sequence":9,"payload":"no JSON"}]}"#;
        let told = asked(&lines.replace('\n', ""));
        let places: Vec<_> = told["parked"].as_array().unwrap().iter().collect();
        assert_eq!(
            (&places[0]["sequence"], &places[1]["sequence"]),
            (&json!(7), &json!(9))
        );
        assert_eq!(
            (&told["sequence"], &told["answers"]),
            (&json!(9), &json!({}))
        );
    }

    #[test]
    fn a_wrong_request_is_refused_with_what_is_wrong_and_nothing_of_it() {
        let long_id = format!(r#"{{"id":"{}","events":[]}}"#, "i".repeat(300));
        let cases = [
            ("Ada", "column 1: the request is not JSON in one line"),
            ("{\"id\":", "column 6: the request is not JSON in one line"),
            ("[\"Ada\"]", "column 0: the request is not a JSON object"),
            ("{}", "events is missing"),
            (r#"{"events":"Ada"}"#, "events: expected a list of events"),
            (
                r#"{"events":[],"Ada":1}"#,
                "the members of a request are id, events, until, as",
            ),
            (
                r#"{"events":[],"as":"Ada"}"#,
                "as: expected a list of identities",
            ),
            (r#"{"events":[],"as":[""]}"#, "as: no identity: "),
            (r#"{"events":[],"until":-1}"#, "until: expected a sequence"),
            (&long_id, "id has more than 256 bytes"),
            (r#"{"events":[1]}"#, "expected"),
            (
                r#"{"events":[{"specversion":"1.0","data":{"Ada":1}}]}"#,
                "name no subject",
            ),
            (
                r#"{"events":[{"subject":"s","sequence":2,"payload":""},{"subject":"s","sequence":2,"payload":""}]}"#,
                "message 2 comes behind message 2",
            ),
        ];
        for (request, message) in cases {
            let told = asked(request);
            let said = told["error"]["message"].as_str().unwrap();
            assert!(said.contains(message), "{request}: {said}");
            assert!(!said.contains("Ada"), "{request}: {said}");
        }
        let second = asked(r#"{"id":[3],"events":[{"subject":"s","payload":""},{}]}"#);
        assert_eq!(
            (&second["id"], &second["error"]["event"]),
            (&json!([3]), &json!(2))
        );
    }

    #[test]
    fn every_line_has_an_answer_whatever_stands_in_it() {
        let mut input = b"\xff\xfe\n\n  \n{\"id\":1,\"events\":[]}\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', REQUEST_BYTES_MAX + 1));
        input.extend(b"\n{\"id\":2,\"events\":[]}");
        let mut output = Vec::new();
        serve(input.as_slice(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let told: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let ids: Vec<&Value> = told.iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, [&Value::Null, &json!(1), &Value::Null, &json!(2)]);
        let long = "the request has more than 16777216 bytes";
        assert_eq!(told[2]["error"]["message"], long);
        assert_eq!(told[3]["digest"], told[1]["digest"]);
    }
}
