//! A file with a change to publish: the next version of the sample person's profile.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use domain::{Family, Lane, UserId};
use jetstream::Which;
use serde_json::{Map, Value, json};

use super::folder::DevFolder;
use super::samples;
use crate::nats::Connection;

/// However often the sample person was changed.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// Writes the file. It is the whole profile, so it applies to whatever is there.
pub(super) async fn prepare(
    folder: &DevFolder,
    connection: &Connection,
    stream: &str,
) -> anyhow::Result<PathBuf> {
    let (version, state) = last(connection, stream).await?;
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

/// The profile as the events in the stream make it: its last version, and its last whole state with the
/// patches behind it. What cannot be read counts as the version that the stream's length allows, and as a
/// profile without optional members.
async fn last(connection: &Connection, stream: &str) -> anyhow::Result<(u64, Map<String, Value>)> {
    let subject = Lane {
        user: UserId::parse(samples::USER)?,
        family: Family::Profile,
    }
    .subject();
    let reading = async {
        let length = connection.stream(stream).await?.last;
        let (mut version, mut state, mut next) = (None, None, 1);
        while next <= length {
            let which = Which::From {
                seq: next,
                next_by_subj: &subject,
            };
            // There is no other one, or whoever wants it tries in vain to publish too.
            let Ok(Some(message)) = connection.nats.message(stream, which).await else {
                break;
            };
            next = message.sequence.saturating_add(1);
            let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            take(&body, &mut version, &mut state);
        }
        anyhow::Ok((version.unwrap_or(length), state.unwrap_or_else(least)))
    };
    tokio::time::timeout(READ_WITHIN, reading)
        .await
        .context("NATS does not answer")?
}

/// Takes an event in, in its binary or its structured form.
fn take(body: &Value, version: &mut Option<u64>, state: &mut Option<Map<String, Value>>) {
    let data = body.get("data").unwrap_or(body);
    let found = data.pointer("/entity/version").and_then(Value::as_u64);
    *version = found.max(*version);
    if let Some(whole) = data.get("state").and_then(Value::as_object) {
        *state = Some(whole.clone());
    }
    let patch = data.get("patch").and_then(Value::as_object);
    for (name, value) in patch.into_iter().flatten() {
        let state = state.get_or_insert_with(least);
        if value.is_null() {
            state.remove(name);
        } else {
            state.insert(name.clone(), value.clone());
        }
    }
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
