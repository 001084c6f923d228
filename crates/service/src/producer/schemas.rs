//! The schemas, as they stand in `schemas/events/`, compiled.

use std::collections::HashMap;

use anyhow::Context;
use jsonschema::{Draft, Registry, Validator};
use serde_json::Value;

const COMMON: &str = include_str!("../../../../schemas/events/common.json");
const COMMON_URI: &str = "https://connvo.app/schemas/events/common.json";

macro_rules! event_schemas {
    ($($kind:literal),* $(,)?) => {
        /// The types that producers may publish.
        pub const EVENT_TYPES: &[&str] = &[$($kind),*];

        const EVENTS: &[(&str, &str)] = &[
            $(($kind, include_str!(concat!("../../../../schemas/events/", $kind, ".json")))),*
        ];
    };
}

event_schemas![
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

/// Compiles every schema, by event type.
pub(super) fn compile() -> anyhow::Result<HashMap<&'static str, Validator>> {
    let common: Value = serde_json::from_str(COMMON).context("schemas/events/common.json")?;
    let registry = Registry::new().add(COMMON_URI, common)?.prepare()?;
    let mut compiled = HashMap::with_capacity(EVENTS.len());
    for (kind, text) in EVENTS {
        let schema: Value = serde_json::from_str(text).context(*kind)?;
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
