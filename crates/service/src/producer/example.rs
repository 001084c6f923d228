//! The example of a document, in the forms that producers send and paste.

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::OutgoingEvent;
use super::schemas::Document;

/// How an example is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExampleForm {
    /// The whole event as one line: for files, and as the body of a message
    Structured,
    /// The message as one line: its subject, headers and body
    Binary,
    /// A command of the nats tool that publishes the message
    Nats,
}

/// As the document is written, so that members keep their order.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    examples: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The first example of a document, as a line.
pub(crate) fn example(document: &Document, form: ExampleForm) -> anyhow::Result<String> {
    let name = document.name();
    let written: Written<'_> = serde_json::from_str(document.text)
        .ok()
        .with_context(|| format!("{name} has no example"))?;
    let example = written.examples.first();
    let example = example.with_context(|| format!("{name} has no example"))?;
    if form == ExampleForm::Structured {
        return Ok(format!("{example}\n"));
    }
    let no_event = || format!("{name} is no event: its example has the structured form alone");
    let event: Event<'_> = serde_json::from_str(example.get())
        .ok()
        .with_context(no_event)?;
    let members: Map<String, Value> = serde_json::from_str(example.get())?;
    let message = OutgoingEvent::of(&members).with_context(no_event)?;
    Ok(match form {
        ExampleForm::Binary => as_message(&message, event.data),
        ExampleForm::Structured | ExampleForm::Nats => as_command(&message, event.data),
    })
}

fn as_message(message: &OutgoingEvent, data: &RawValue) -> String {
    let block = message
        .headers
        .iter()
        .map(|(name, value)| (*name, &**value));
    let message = event_lines::Message {
        sequence: None,
        time: None,
        subject: message.subject.clone(),
        headers: domain::block_of(block),
        payload: data.get().as_bytes().to_vec(),
    };
    format!("{}\n", message.to_line())
}

fn as_command(message: &OutgoingEvent, data: &RawValue) -> String {
    let mut command = format!("nats pub {}", message.subject);
    for (name, value) in &message.headers {
        command.push_str(" -H ");
        command.push_str(&quoted(&format!("{name}:{value}")));
    }
    format!("{command} {}\n", quoted(data.get()))
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::producer::{DOCUMENTS, EVENT_TYPES};

    const FORMS: [ExampleForm; 2] = [ExampleForm::Structured, ExampleForm::Binary];

    fn of(name: &str, form: ExampleForm) -> String {
        example(Document::find(name).unwrap(), form).unwrap()
    }

    #[test]
    fn every_event_has_an_example_that_is_right_in_each_form_and_all_are_one_history() {
        let history = [
            "user.registered",
            "profile.created",
            "user.updated",
            "profile.updated",
            "profile.patched",
            "user.deactivated",
            "user.reactivated",
            "profile.deleted",
            "user.deleted",
            "profile.erased",
            "user.erased",
            "quarantine.dropped",
        ];
        assert_eq!(history.len(), EVENT_TYPES.len());
        let names = history.map(|name| format!("app.connvo.{name}.v1"));
        let checker = crate::producer::Checker::new().unwrap();
        let digests = FORMS.map(|form| {
            let lines: Vec<String> = names.iter().map(|name| of(name, form)).collect();
            for (number, line) in (1..).zip(&lines) {
                let text = Some(line.trim_end().as_bytes());
                let line = crate::producer::Line {
                    number,
                    text,
                    bytes_read: 0,
                };
                let right = checker.check(&line);
                assert!(right.is_ok(), "{number}: {right:?}");
            }
            let replay = replay_kit::Replay::of_lines(&lines.concat()).unwrap();
            assert_eq!(replay.parked().unwrap(), []);
            replay.digest()
        });
        assert_eq!(digests[0], digests[1]);
    }

    #[test]
    fn what_is_no_event_has_an_example_without_headers_or_none() {
        let answer = Document::find("answer").unwrap();
        assert!(example(answer, ExampleForm::Structured).is_ok());
        let refused = example(answer, ExampleForm::Nats).unwrap_err().to_string();
        assert!(refused.starts_with("answer is no event"), "{refused}");
        for name in ["common", "asyncapi"] {
            let document = Document::find(name).unwrap();
            let said = example(document, ExampleForm::Structured).unwrap_err();
            assert_eq!(said.to_string(), format!("{name} has no example"));
        }
        assert_eq!(DOCUMENTS.len(), EVENT_TYPES.len() + 3);
    }

    #[test]
    fn the_line_to_paste() {
        let line = of("app.connvo.user.deleted.v1", ExampleForm::Nats);
        crate::golden::assert("schema_example.txt", &line);
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn the_stream_document_has_the_same_examples() {
        let stream = Document::find("asyncapi").unwrap().text;
        let stream: Value = serde_json::from_str(stream).unwrap();
        for message in stream["components"]["messages"]
            .as_object()
            .unwrap()
            .values()
        {
            let name = message["name"].as_str().unwrap();
            let (kind, form) = match name.strip_suffix(" (structured)") {
                Some(kind) => (kind, ExampleForm::Structured),
                None => (name, ExampleForm::Binary),
            };
            let line: Value = serde_json::from_str(&of(kind, form)).unwrap();
            let expected = if form == ExampleForm::Binary {
                json!([{"headers": line["headers"], "payload": line["payload"]}])
            } else {
                let content_type = "application/cloudevents+json";
                let headers = json!({"Content-Type": content_type, "Nats-Msg-Id": line["id"]});
                json!([{"headers": headers, "payload": line}])
            };
            assert_eq!(message["examples"], expected, "{name}");
        }
    }
}
