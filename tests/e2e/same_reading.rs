//! What our reader reads of well-formed messages is what the client library reads.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use domain::Headers;
use futures::StreamExt;
use jetstream::{Access, Reader};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tests::broker::{Broker, STREAM};
use tokio::time::timeout;

const MESSAGES: usize = 2_000;
const WITHIN: Duration = Duration::from_secs(30);

/// A message as it is published.
type Published = (String, Vec<(String, String)>, Vec<u8>);

/// A message as it was read: its subject, reply, values by header, body.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    subject: String,
    headers: BTreeMap<String, Vec<String>>,
    payload: Vec<u8>,
    sequence: u64,
    pending: u64,
}

fn messages() -> Vec<Published> {
    let name = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}";
    let value = "|[!-~à-üα-ω]([ -~à-üα-ω]{0,30}[!-~à-üα-ω])?";
    let header = (name, value).prop_map(|header| header);
    let body = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..300),
        Just(b"\r\nMSG a 1 3\r\nabc\r\n".to_vec()),
    ];
    let message = (
        "identity\\.v1\\.[A-Za-z0-9à-ü_-]{1,12}\\.(user|profile)",
        prop::collection::vec(header, 0..6),
        body,
    );
    let mut runner = TestRunner::deterministic();
    let all = prop::collection::vec(message, MESSAGES);
    all.new_tree(&mut runner).unwrap().current()
}

async fn publish(broker: &Broker, messages: &[Published]) -> anyhow::Result<()> {
    let jetstream = broker.jetstream().await?;
    let mut last = None;
    for (subject, headers, payload) in messages {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.as_str(), value.as_str());
        }
        let payload = payload.clone().into();
        let sent = if headers.is_empty() {
            jetstream.publish(subject.clone(), payload).await?
        } else {
            jetstream
                .publish_with_headers(subject.clone(), map, payload)
                .await?
        };
        // In turn: what is compared is in the order of the stream.
        last = Some(sent.await?.sequence);
    }
    assert_eq!(last, Some(u64::try_from(messages.len())?));
    Ok(())
}

fn consumer(name: &str) -> pull::Config {
    pull::Config {
        name: Some(name.to_owned()),
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    }
}

async fn by_library(broker: &Broker) -> anyhow::Result<Vec<Seen>> {
    let stream = broker.stream().await?;
    let mut messages = stream
        .create_consumer(consumer("theirs"))
        .await?
        .messages()
        .await?;
    let mut seen = Vec::new();
    while seen.len() < MESSAGES {
        let message = timeout(WITHIN, messages.next()).await?.unwrap()?;
        let info = message.info().unwrap();
        let mut headers = BTreeMap::new();
        for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
            let values = values.iter().map(ToString::to_string).collect();
            headers.insert(name.to_string(), values);
        }
        seen.push(Seen {
            subject: message.subject.to_string(),
            headers,
            payload: message.payload.to_vec(),
            sequence: info.stream_sequence,
            pending: info.pending,
        });
    }
    Ok(seen)
}

async fn by_reader(broker: &Broker) -> anyhow::Result<Vec<Seen>> {
    broker
        .stream()
        .await?
        .create_consumer(consumer("ours"))
        .await?;
    let server = broker.server.url().parse()?;
    let mut reader = Reader::connect(&server, "test", &Access::anonymous()).await?;
    reader.subscribe("_INBOX_ours.*", 1)?;
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.ours");
    let request = format!("{{\"batch\":{MESSAGES},\"expires\":20000000000}}");
    reader.publish(&next, "_INBOX_ours.1", request.as_bytes())?;
    let mut seen = Vec::new();
    while seen.len() < MESSAGES {
        for message in timeout(WITHIN, reader.next()).await??.iter() {
            let reply = str::from_utf8(message.reply)?;
            let tokens: Vec<&str> = reply.split('.').collect();
            let mut headers = BTreeMap::<String, Vec<String>>::new();
            for header in Headers::of_block(message.headers).iter() {
                let (name, value) = header?;
                headers.entry(name.into()).or_default().push(value.into());
            }
            seen.push(Seen {
                subject: str::from_utf8(message.subject)?.to_owned(),
                headers,
                payload: message.payload.to_vec(),
                sequence: tokens[5].parse()?,
                pending: tokens[8].parse()?,
            });
        }
    }
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_reader_reads_what_the_library_reads() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let published = messages();
    publish(&broker, &published).await?;
    let (theirs, ours) = (by_library(&broker).await?, by_reader(&broker).await?);
    for ((ours, theirs), (subject, headers, payload)) in ours.iter().zip(&theirs).zip(&published) {
        assert_eq!(ours, theirs);
        assert_eq!((&ours.subject, &ours.payload), (subject, payload));
        assert_eq!(ours.headers.values().flatten().count(), headers.len());
    }
    let with_headers = published
        .iter()
        .filter(|(_, headers, _)| !headers.is_empty());
    assert!(MESSAGES / 2 < with_headers.count());
    assert_eq!((ours.len(), theirs.len()), (MESSAGES, MESSAGES));
    Ok(())
}
