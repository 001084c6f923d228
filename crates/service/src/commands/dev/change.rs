//! A file with a change to publish: the next version of the sample person's profile.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use async_nats::jetstream;
use domain::{Family, Lane, UserId};
use serde_json::{Map, Value, json};

use super::folder::DevFolder;
use super::samples;
use crate::nats::REQUEST_WITHIN;

/// Writes the file. It is the whole profile, so it applies to whatever is there.
pub(super) async fn prepare(
    folder: &DevFolder,
    jetstream: &jetstream::Context,
    stream: &str,
) -> anyhow::Result<PathBuf> {
    let (version, state) = last(jetstream, stream).await?;
    let path = folder.join("change.ndjson");
    let event = event(version.saturating_add(1), state);
    folder.write_private(&path, &event.to_string())?;
    Ok(path)
}

/// The event that follows a state: another bio, everything else as it was.
fn event(version: u64, mut state: Map<String, Value>) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs().saturating_mul(1000);
    let bio = format!("I build looms. This is version {version} of my profile.");
    state.insert("bio".to_owned(), bio.into());
    state.insert("updatedAt".to_owned(), now.into());
    let profile = samples::PROFILE;
    json!({
        "specversion": "1.0",
        "id": format!("profile:{profile}:{version}"),
        "source": "/connvo/dev/change",
        "type": "app.connvo.profile.updated.v1",
        "data": {
            "entity": {
                "kind": "profile",
                "id": profile,
                "userId": samples::USER,
                "version": version,
            },
            "state": state,
            "changed": ["bio"],
        },
    })
}

/// Version and state of the last change of the profile that is in the stream. What cannot be read counts
/// as the version that the stream's length allows, and as a profile without optional members.
async fn last(
    jetstream: &jetstream::Context,
    stream: &str,
) -> anyhow::Result<(u64, Map<String, Value>)> {
    let subject = Lane {
        user: UserId::parse(samples::USER)?,
        family: Family::Profile,
    }
    .subject();
    let asked = async {
        let stream = jetstream.get_stream(stream).await?;
        let message = stream.get_last_raw_message_by_subject(&subject).await?;
        anyhow::Ok((stream.cached_info().state.last_sequence, message))
    };
    let (length, message) = tokio::time::timeout(REQUEST_WITHIN, asked)
        .await
        .context("NATS does not answer")??;
    let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    // Binary and structured events.
    let member = |name: &str| {
        let place = |start: &str| body.pointer(&format!("{start}/{name}"));
        place("").or_else(|| place("/data"))
    };
    let version = member("entity/version").and_then(Value::as_u64);
    let state = member("state").and_then(Value::as_object).cloned();
    Ok((version.unwrap_or(length), state.unwrap_or_else(least)))
}

/// A profile with the members that all have.
fn least() -> Map<String, Value> {
    let created = 1_795_420_920_000_u64;
    let members: [(&str, Value); 4] = [
        ("displayName", "Ada".into()),
        ("languages", json!(["English"])),
        ("createdAt", created.into()),
        ("updatedAt", created.into()),
    ];
    let members = members.into_iter();
    members
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::Checker;

    #[test]
    fn the_change_is_right_and_changes_what_it_says() {
        let mut state = least();
        state.insert("company".to_owned(), "Looms".into());
        let event = event(7, state.clone());
        Checker::new().unwrap().check_event(&event).unwrap();
        let after = event["data"]["state"].as_object().unwrap();
        for (name, value) in state.iter().filter(|(name, _)| *name != "updatedAt") {
            assert_eq!(after.get(name), Some(value), "{name}");
        }
    }
}
