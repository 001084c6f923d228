//! The examples for producers, run against the real stream; the profile that each wrote is read from
//! the real service, and every message that it sent passes our own checker.

use std::path::Path;

use anyhow::{Context, ensure};
use event_lines::{Line, Message};
use serde_json::{Value, json};
use service::producer::Checker;
use tests::broker::STREAM;
use tests::world::World;
use tokio::process::Command;

use crate::script::said;

/// Where the examples are.
fn example(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/examples");
    root.join(path).to_string_lossy().into_owned()
}

fn python(script: &str) -> anyhow::Result<Command> {
    let mut command = Command::new("python3");
    let packages = std::env::var_os("EXAMPLES_PYTHONPATH");
    let packages = packages.context("tests/clients/run says where the packages are")?;
    command
        .arg(example(&format!("python/{script}.py")))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    let built = format!("node/node_modules/.built/src/{script}.js");
    command.arg(example(&built));
    command
}

/// Every message of the stream passes the checker, as a line of a file.
async fn assert_checked(world: &World) -> anyhow::Result<u64> {
    let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    let checker = Checker::new()?;
    let last = stream.cached_info().state.last_sequence;
    for sequence in 1..=last {
        let stored = stream.get_raw_message(sequence).await?;
        let mut headers: Vec<(String, String)> = stored
            .headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(|v| (name.to_string(), v.to_string())))
            .collect();
        headers.sort();
        let line = Message {
            sequence: domain::Sequence::new(sequence),
            time: None,
            subject: stored.subject.to_string(),
            headers: domain::block_of(headers.iter().map(|(n, v)| (n.as_str(), v.as_str()))),
            payload: stored.payload.to_vec(),
        };
        let line = line.to_line();
        let line = Line {
            number: sequence,
            text: Some(line.as_bytes()),
            bytes_read: 0,
        };
        let judged = checker.check(&line);
        ensure!(judged.is_ok(), "{}: {:?}", stored.subject, judged.err());
    }
    Ok(last)
}

/// Runs an example and asks for what it wrote.
async fn play(name: &str, mut command: Command) -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    command.args([&world.broker.server.url(), "u1", "user_a"]);
    let said: Value = serde_json::from_str(&said(&mut command).await?)?;
    let sequence = said["sequence"].as_u64().context("the last sequence")?;
    let answer = service
        .client
        .query_from(&world.token("user_a")?, sequence)
        .await?;
    let value = &answer.body["value"];
    ensure!(
        (&value["displayName"], &value["bio"]) == (&json!("Ada"), &json!("Looms. \u{1f9f5}")),
        "{answer:?}"
    );
    let status = service.client.status().await?;
    ensure!(status["parked_records"] == 0, "{status}");
    let messages = assert_checked(&world).await?;
    println!("{name}: {messages} messages, each passes check; the profile is answered");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn python_by_hand() -> anyhow::Result<()> {
    play("nats-py by hand", python("by_hand")?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn python_with_the_cloudevents_sdk() -> anyhow::Result<()> {
    play("PyPI cloudevents and nats-py", python("with_sdk")?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_by_hand() -> anyhow::Result<()> {
    play("@nats-io/transport-node by hand", node("by-hand")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_with_the_cloudevents_sdk() -> anyhow::Result<()> {
    let name = "npm cloudevents and @nats-io/transport-node";
    play(name, node("with-sdk")).await
}

/// The relay ends when the service has applied what it published.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_empties_its_outbox() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let mut relay = node("relay-file");
    relay.arg(world.broker.server.url());
    relay.arg(format!("http://{}", service.client.admin));
    relay.arg(example("people.ndjson"));
    let told: Value = serde_json::from_str(&said(&mut relay).await?)?;
    let status = service.client.status().await?;
    ensure!(status["applied_sequence"] == told["sequence"], "{status}");
    ensure!(status["parked_records"] == 0, "{status}");
    let messages = assert_checked(&world).await?;
    println!("the relay of an outbox: {messages} messages, all applied, the outbox is empty");
    Ok(())
}
