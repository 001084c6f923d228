//! The bare reader: the fastest one known, which only counts.

use std::time::{Duration, Instant};

use anyhow::Context;
use async_nats::Message;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures::StreamExt;
use tests::broker::STREAM;
use tokio::runtime::Builder;

/// Records asked for at once, as the projector does.
const PULL_RECORDS: usize = 5_000;

/// The client's own stream with large batches, on a runtime of one thread.
pub(crate) fn count(url: &str, events: u64) -> anyhow::Result<Duration> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let mut bytes = 0;
        read(url, events, async |messages| {
            bytes += messages
                .iter()
                .map(|message| message.payload.len())
                .sum::<usize>();
            Ok(())
        })
        .await?;
        std::hint::black_box(bytes);
        Ok(started.elapsed())
    })
}

/// Reads the stream from its beginning and hands over what comes.
pub(crate) async fn read(
    url: &str,
    events: u64,
    mut each: impl AsyncFnMut(Vec<Message>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let client = async_nats::connect(url).await?;
    let stream = async_nats::jetstream::new(client)
        .get_stream(STREAM)
        .await?;
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let messages = consumer.stream().max_messages_per_batch(PULL_RECORDS);
    let mut messages = messages.messages().await?.ready_chunks(1_024);
    let mut count = 0;
    while count < events {
        let chunk = messages.next().await.context("the stream ended")?;
        let chunk: Vec<Message> = chunk
            .into_iter()
            .map(|message| Ok(message?.message))
            .collect::<anyhow::Result<_>>()?;
        count += u64::try_from(chunk.len())?;
        each(chunk).await?;
    }
    Ok(())
}
