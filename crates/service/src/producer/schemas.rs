//! The documents of `schemas/`, as they stand there, and the events' schemas compiled.

use std::collections::HashMap;

use anyhow::Context;
use jsonschema::{Draft, Registry, Validator};
use serde_json::Value;

const COMMON_URI: &str = "https://connvo.app/schemas/events/common.json";

/// One document of the contract.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its place in `schemas/`; references between documents are relative to it.
    pub(crate) path: &'static str,
    /// The document.
    pub(crate) text: &'static str,
}

macro_rules! document {
    ($path:expr) => {
        Document {
            path: $path,
            text: include_str!(concat!("../../../../schemas/", $path)),
        }
    };
}

const COMMON: Document = document!("events/common.json");

macro_rules! documents {
    ($($kind:literal),* $(,)?) => {
        /// The types that producers may publish.
        pub const EVENT_TYPES: &[&str] = &[$($kind),*];

        /// Every document, the stream's first.
        pub(crate) const DOCUMENTS: &[Document] = &[
            document!("asyncapi.json"),
            document!("answer.json"),
            COMMON,
            $(document!(concat!("events/", $kind, ".json"))),*
        ];
    };
}

documents![
    "app.connvo.user.registered.v1",
    "app.connvo.user.updated.v1",
    "app.connvo.user.deactivated.v1",
    "app.connvo.user.reactivated.v1",
    "app.connvo.user.deleted.v1",
    "app.connvo.user.erased.v1",
    "app.connvo.profile.created.v1",
    "app.connvo.profile.updated.v1",
    "app.connvo.profile.patched.v1",
    "app.connvo.profile.deleted.v1",
    "app.connvo.profile.erased.v1",
    "app.connvo.quarantine.dropped.v1",
];

impl Document {
    /// The document of a name: its path, or the shorter name that [`Document::name`] gives.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        let is = |document: &&Self| document.path == name || document.name() == name;
        DOCUMENTS.iter().find(is)
    }

    /// The event type that it is the schema of, else its path without what all paths have.
    pub(crate) fn name(&self) -> &'static str {
        let name = self.path.strip_prefix("events/").unwrap_or(self.path);
        name.strip_suffix(".json").unwrap_or(name)
    }

    /// What it says of itself in a few words.
    pub(crate) fn title(&self) -> String {
        let document: Value = serde_json::from_str(self.text).unwrap_or_default();
        let title = document
            .get("title")
            .or_else(|| document.pointer("/info/title"));
        title.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Compiles every event's schema, by event type.
pub(super) fn compile() -> anyhow::Result<HashMap<&'static str, Validator>> {
    let common: Value = serde_json::from_str(COMMON.text).context("schemas/events/common.json")?;
    let registry = Registry::new().add(COMMON_URI, common)?.prepare()?;
    let mut compiled = HashMap::with_capacity(EVENT_TYPES.len());
    for kind in EVENT_TYPES {
        let document = Document::find(kind).context(*kind)?;
        let schema: Value = serde_json::from_str(document.text).context(*kind)?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&registry)
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| anyhow::anyhow!("{kind}: {error}"))?;
        compiled.insert(*kind, validator);
    }
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::producer::event::HEADERS;

    fn json(path: &str) -> Value {
        serde_json::from_str(Document::find(path).unwrap().text).unwrap()
    }

    /// Every `$ref` below a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if let (Some(to), "$ref") = (member.as_str(), name.as_str()) {
                        found.push(to.to_owned());
                    }
                    references(member, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_to_something_that_is_published_too() {
        for document in DOCUMENTS {
            let mut found = Vec::new();
            references(&json(document.path), &mut found);
            for reference in found {
                let (file, pointer) = reference.split_once('#').unwrap_or((&reference, ""));
                let folder = Path::new(document.path).parent().unwrap();
                let target = match file.trim_start_matches("./") {
                    "" => document.path.to_owned(),
                    file => folder.join(file).to_str().unwrap().to_owned(),
                };
                let there = json(&target).pointer(pointer).is_some();
                assert!(there, "{} refers to {reference}", document.path);
            }
        }
    }

    #[test]
    fn every_document_has_a_title_and_is_found_by_name_and_path() {
        for document in DOCUMENTS {
            assert_ne!(document.title(), "", "{}", document.path);
            for name in [document.path, document.name()] {
                assert_eq!(Document::find(name).unwrap().path, document.path);
            }
        }
        assert!(Document::find("app.connvo.user.updated.v2").is_none());
    }

    #[test]
    fn the_stream_document_has_the_streams_subjects_settings_and_types() {
        let asyncapi = json("asyncapi.json");
        let stream: Value =
            serde_json::from_str(include_str!("../../../../deploy/nats/stream.json")).unwrap();
        let described = "/servers/nats/x-jetstream/streams/IDENTITY_EVENTS";
        assert_eq!(asyncapi.pointer(described), Some(&stream));
        let channels = asyncapi["channels"].as_object().unwrap();
        let subjects: BTreeSet<String> = channels
            .values()
            .map(|channel| {
                channel["address"]
                    .as_str()
                    .unwrap()
                    .replace("{userId}", "*")
            })
            .collect();
        let of_stream = stream["subjects"].as_array().unwrap();
        let of_stream = of_stream.iter().map(|one| one.as_str().unwrap().to_owned());
        assert_eq!(subjects, of_stream.collect());

        let mut told = BTreeSet::new();
        for (family, channel) in channels {
            for name in channel["messages"].as_object().unwrap().keys() {
                let message = &asyncapi["components"]["messages"][name];
                let payload = message.pointer("/payload/schema/$ref").unwrap();
                let kind = message["name"].as_str().unwrap();
                let kind = kind.split(' ').next().unwrap();
                assert_eq!(kind.split('.').nth(2), Some(family.as_str()));
                let whole = format!("./events/{kind}.json");
                let is_structured = name.ends_with("Structured");
                let expected = if is_structured {
                    whole
                } else {
                    format!("{whole}#/$defs/data")
                };
                assert_eq!(payload, &Value::String(expected));
                told.insert((kind.to_owned(), is_structured));
                if !is_structured {
                    assert_headers(message, kind);
                }
            }
        }
        let twice = |kind: &&str| [((*kind).to_owned(), false), ((*kind).to_owned(), true)];
        assert_eq!(told, EVENT_TYPES.iter().flat_map(twice).collect());
    }

    /// The headers of a message in binary mode are those that our own publisher sends.
    fn assert_headers(message: &Value, kind: &str) {
        let properties = message["headers"]["properties"].as_object().unwrap();
        assert_eq!(properties["ce-type"]["const"], kind);
        let mut told: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        // It is sent where compare-and-set is asked for.
        assert!(told.remove("Nats-Expected-Last-Subject-Sequence"));
        let sent = HEADERS.iter().map(|(_, header)| *header);
        assert_eq!(told, sent.chain(["Content-Type"]).collect());
    }
}
