//! What every answer has to be: an independent fold, in memory, of what a stream holds.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::Stream;
use domain::{Gender, LiveProfile, MemoryState, Number, Record, Sequence, UserId, apply};
use futures::{StreamExt, TryStreamExt};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

use crate::broker::{Broker, STREAM};
use crate::service::Service;
use crate::world::World;

/// Requests under way at a time.
const ASKED_AT_ONCE: usize = 16;
const READ_WITHIN: Duration = Duration::from_mins(1);

/// The fold of a stream as it was.
pub struct Oracle {
    state: MemoryState,
    /// The stream's last sequence then.
    pub last: u64,
}

impl Oracle {
    /// Reads the whole stream and folds it.
    pub async fn of(broker: &Broker) -> anyhow::Result<Self> {
        Self::of_stream(&broker.jetstream().await?.get_stream(STREAM).await?).await
    }

    /// The same through a stream's handle.
    pub async fn of_stream(stream: &Stream) -> anyhow::Result<Self> {
        let state = stream.get_info().await?.state;
        let messages = usize::try_from(state.messages)?;
        let mut oracle = Self {
            state: MemoryState::default(),
            last: state.last_sequence,
        };
        if messages == 0 {
            return Ok(oracle);
        }
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            memory_storage: true,
            // By default the server gives a consumer up after 5 s without a pull, which a busy machine
            // can take between two.
            inactive_threshold: READ_WITHIN,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let mut reading = consumer.messages().await?.take(messages);
        tokio::time::timeout(READ_WITHIN, async {
            while let Some(message) = reading.try_next().await? {
                oracle.apply(&message)?;
            }
            anyhow::Ok(())
        })
        .await??;
        Ok(oracle)
    }

    fn apply(&mut self, message: &async_nats::jetstream::Message) -> anyhow::Result<()> {
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        let headers = message.headers.iter().flat_map(async_nats::HeaderMap::iter);
        let headers = headers.flat_map(|(name, values)| {
            let name = AsRef::<str>::as_ref(name);
            values.iter().map(move |value| (name, value.as_str()))
        });
        let record = Record {
            sequence: Sequence::new(info.stream_sequence).context("sequences begin at 1")?,
            subject: message.subject.as_str().into(),
            headers: domain::block_of(headers).into(),
            payload: message.payload.as_ref().into(),
        };
        record.with_ref(|record| apply(&mut self.state, record))?;
        Ok(())
    }

    /// Holds every user's answer, and the figures of `/status`, against the fold. Gives the number of
    /// users.
    pub async fn check(&self, world: &World, service: &Service) -> anyhow::Result<usize> {
        let owners: Vec<_> = self.state.owners().collect();
        let checks = owners.iter().map(|(identity, _)| async move {
            let token = world.token(identity.as_str())?;
            let answer = service.client.query(Some(&token)).await?;
            ensure!(answer.status == StatusCode::OK, "{answer:?}");
            let expected = match self.state.profile_of(identity) {
                Some((user, profile)) => answer_of(user, profile),
                None => Value::Null,
            };
            let value = answer.body.get("value").unwrap_or(&Value::Null);
            ensure!(*value == expected, "{identity:?}: {value}, not {expected}");
            anyhow::Ok(())
        });
        futures::stream::iter(checks)
            .buffer_unordered(ASKED_AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.check_figures(&service.client.status().await?)?;
        Ok(owners.len())
    }

    fn check_figures(&self, status: &Value) -> anyhow::Result<()> {
        let profiles = self.state.profiles();
        let live = profiles.filter(|(_, row)| row.live.is_some()).count();
        for (name, expected) in [
            ("users", self.state.owners().count()),
            ("profiles", live),
            ("parked_records", self.state.all_parked().count()),
        ] {
            ensure!(
                status.get(name).is_some_and(|found| *found == expected),
                "{name} is not {expected}: {status}"
            );
        }
        Ok(())
    }
}

/// The answer as the API document writes it.
fn answer_of(user: &UserId, document: &LiveProfile) -> Value {
    let profile = document.profile.members();
    let text = |text: Option<&str>| text.map(Value::from);
    let members = [
        ("_id", Some(document.id.as_str().into())),
        ("userId", Some(user.as_str().into())),
        ("displayName", Some(json!(profile.display_name))),
        ("languages", Some(json!(profile.languages))),
        ("createdAt", Some(json!(profile.created_at.0))),
        ("updatedAt", Some(json!(profile.updated_at.0))),
        ("age", profile.age.map(|Number(age)| json!(age))),
        (
            "gender",
            profile.gender.map(Gender::as_str).map(Value::from),
        ),
        ("bio", text(profile.bio)),
        ("company", text(profile.company)),
        ("experience", text(profile.experience)),
        ("field", text(profile.field)),
        ("goals", text(profile.goals)),
        ("jobTitle", text(profile.job_title)),
        ("linkedinUrl", text(profile.linkedin_url)),
    ];
    let present = members.into_iter();
    let present = present.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}
