//! A file with a change to publish: the next version of the sample person's profile.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use async_nats::jetstream;
use domain::{Family, Lane, UserId};
use serde_json::{Value, json};

use super::folder::DevFolder;
use super::samples;
use crate::nats::REQUEST_WITHIN;

/// Writes the file. It is the whole profile, so it applies to whatever is there.
pub(super) async fn prepare(
    folder: &DevFolder,
    jetstream: &jetstream::Context,
    stream: &str,
) -> anyhow::Result<PathBuf> {
    let version = last_version(jetstream, stream).await?.saturating_add(1);
    let path = folder.join("change.ndjson");
    folder.write_private(&path, &event(version).to_string())?;
    Ok(path)
}

fn event(version: u64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs().saturating_mul(1000);
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
            "state": {
                "displayName": "Ada",
                "languages": ["English", "French", "Italian"],
                "bio": format!("I build looms. This is version {version} of my profile."),
                "createdAt": 1_795_420_920_000_u64,
                "updatedAt": now,
            },
            "changed": ["bio", "languages"],
        },
    })
}

/// The version of the last change of the profile that is in the stream. What cannot be read counts
/// as the version that the stream's length allows.
async fn last_version(jetstream: &jetstream::Context, stream: &str) -> anyhow::Result<u64> {
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
    let version = ["/entity/version", "/data/entity/version"]
        .iter()
        .find_map(|place| body.pointer(place)?.as_u64());
    Ok(version.unwrap_or(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::Checker;

    #[test]
    fn the_change_is_right() {
        Checker::new().unwrap().check_event(&event(7)).unwrap();
    }
}
