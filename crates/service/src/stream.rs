//! The stream, as `deploy/nats/stream.json` describes it. Only `dev` and tests create it: elsewhere it
//! belongs to operations.

use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{Context, ErrorCode};
use serde_json::Value;

use crate::nats::{NatsError, REQUEST_WITHIN};

/// The configuration, as the servers' own tools read it too.
const DEFINITION: &str = include_str!("../../../deploy/nats/stream.json");

/// Creates the stream under `name`, or accepts one that is there with every member as described.
pub async fn create(jetstream: &Context, name: &str) -> Result<(), NatsError> {
    let wanted = definition(name)?;
    let config = parsed(&wanted)?;
    let created = tokio::time::timeout(REQUEST_WITHIN, jetstream.create_stream(config)).await;
    let found = match created {
        Ok(Ok(stream)) => stream.cached_info().config.clone(),
        Ok(Err(error)) if is_there(&error) => existing(jetstream, name).await?,
        Ok(Err(error)) => return Err(refused(&error)),
        Err(elapsed) => return Err(refused(&elapsed)),
    };
    let found = serde_json::to_value(found).map_err(|error| refused(&error))?;
    let differences = differences(&wanted, &found);
    if differences.is_empty() {
        return Ok(());
    }
    Err(NatsError::StreamDiffers {
        stream: name.to_owned(),
        differences: differences.join(", "),
    })
}

/// Whether the stream exists with another configuration.
fn is_there(error: &CreateStreamError) -> bool {
    matches!(
        error.kind(),
        CreateStreamErrorKind::JetStream(problem)
            if problem.error_code() == ErrorCode::STREAM_NAME_EXIST
    )
}

async fn existing(jetstream: &Context, name: &str) -> Result<Config, NatsError> {
    let asked = tokio::time::timeout(REQUEST_WITHIN, jetstream.get_stream(name)).await;
    let stream = asked
        .map_err(|elapsed| refused(&elapsed))?
        .map_err(|error| refused(&error))?;
    Ok(stream.cached_info().config.clone())
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

fn parsed(definition: &Value) -> Result<Config, NatsError> {
    serde_json::from_value(definition.clone()).map_err(|error| refused(&error))
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
    use devkit::nats_server::{NatsServer, Setup, locate};

    #[test]
    fn every_member_of_the_file_is_understood() {
        let wanted = definition("S").unwrap();
        let config = serde_json::to_value(parsed(&wanted).unwrap()).unwrap();
        assert_eq!(differences(&wanted, &config), Vec::<String>::new());
    }

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
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(client);
        create(&jetstream, "S").await.unwrap();
        create(&jetstream, "S").await.unwrap();

        jetstream.delete_stream("S").await.unwrap();
        let mut other = parsed(&definition("S").unwrap()).unwrap();
        other.max_messages = 7;
        other.deny_purge = false;
        jetstream.create_stream(other).await.unwrap();
        let said = create(&jetstream, "S").await.unwrap_err().to_string();
        assert_eq!(
            said,
            "stream S is not what its file says: deny_purge is absent, not true, max_msgs is 7, not -1"
        );
    }
}
