//! The stream, as `deploy/nats/stream.json` describes it. Only `dev` and tests create it: elsewhere it
//! belongs to operations.

use jetstream::{Connection, code};
use serde_json::Value;

use crate::nats::NatsError;

/// The configuration, as the servers' own tools read it too.
const DEFINITION: &str = include_str!("../../../deploy/nats/stream.json");

/// Creates the stream under `name`, or accepts one that is there with every member as described.
pub async fn create(nats: &Connection, name: &str) -> Result<(), NatsError> {
    let wanted = definition(name)?;
    let created = nats.ask(&format!("STREAM.CREATE.{name}"), &wanted).await;
    let found: Result<Value, _> = match created {
        Err(error) if error.code() == Some(code::STREAM_NAME_IN_USE) => {
            nats.stream_json(name).await
        }
        created => created,
    };
    let found = found.map_err(|error| refused(&error))?;
    let config = found.get("config").unwrap_or(&Value::Null);
    let differences = differences(&wanted, config);
    if differences.is_empty() {
        return Ok(());
    }
    Err(NatsError::StreamDiffers {
        stream: name.to_owned(),
        differences: differences.join(", "),
    })
}

fn refused(problem: &dyn std::fmt::Display) -> NatsError {
    NatsError::Refused {
        said: problem.to_string(),
    }
}

fn definition(name: &str) -> Result<Value, NatsError> {
    let mut wanted: Value = serde_json::from_str(DEFINITION).map_err(|error| refused(&error))?;
    if let Some(member) = wanted.get_mut("name") {
        *member = name.into();
    }
    Ok(wanted)
}

/// The members of `wanted` that `found` does not have. What is absent there has its type's zero.
fn differences(wanted: &Value, found: &Value) -> Vec<String> {
    let members = wanted.as_object().into_iter().flatten();
    let differs = |(name, wanted): (&String, &Value)| {
        let is_zero = wanted.as_u64() == Some(0) || wanted.as_bool() == Some(false);
        match found.get(name) {
            Some(found) if found == wanted => None,
            None if is_zero => None,
            Some(found) => Some(format!("{name} is {found}, not {wanted}")),
            None => Some(format!("{name} is absent, not {wanted}")),
        }
    };
    members.filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NatsConfig;
    use crate::nats::connect;
    use devkit::nats_server::{NatsServer, Setup, locate};

    #[tokio::test]
    async fn every_member_takes_effect_and_another_stream_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let server = NatsServer::start(Setup {
            binary: locate(None).unwrap(),
            dir: dir.path().to_owned(),
            port: None,
            arguments: Vec::new(),
        })
        .await
        .unwrap();
        let nats = NatsConfig::plain(server.url().parse().unwrap(), "S");
        let nats = connect(&nats, "test").await.unwrap().nats;
        create(&nats, "S").await.unwrap();
        create(&nats, "S").await.unwrap();

        let nothing = bytes::Bytes::new();
        let deleted = nats.request("$JS.API.STREAM.DELETE.S", nothing).await;
        deleted.unwrap();
        let mut other = definition("S").unwrap();
        other["max_msgs"] = 7.into();
        other["deny_purge"] = false.into();
        let _: Value = nats.ask("STREAM.CREATE.S", &other).await.unwrap();
        let said = create(&nats, "S").await.unwrap_err().to_string();
        assert_eq!(
            said,
            "stream S is not what its file says: deny_purge is false, not true, max_msgs is 7, not -1"
        );
    }
}
