//! Live, rebuilt, and a snapshot with the tail: three routes to one digest.

use std::time::SystemTime;

use domain::testing::{Message, history};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as ProptestConfig, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use tests::oracle::Oracle;
use tests::service::{Service, run_to_end};
use tests::world::World;

fn live(status: &Value) -> bool {
    status["phase"] == "live"
}

/// The path of a snapshot of the service of this name.
async fn snapshot_of(world: &World, name: &str, service: &Service) -> anyhow::Result<String> {
    let path = world.data("a.snapshot").display().to_string();
    let data = world.data(name).display().to_string();
    let admin = format!("http://{}", service.client.admin);
    let arguments = ["snapshot", &path, "--data-dir", &data, "--admin", &admin];
    let (code, said) = run_to_end(&arguments).await?;
    anyhow::ensure!(code == Some(0), "{said}");
    Ok(path)
}

/// Random histories that go by all routes.
const HISTORIES: u64 = 4;
const EVENTS_MAX: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_end_in_one_digest_by_all_routes() -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let first_seed = u64::from(now.subsec_nanos());
    for seed in first_seed..first_seed + HISTORIES {
        println!("history {seed}");
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let history = history(EVENTS_MAX).new_tree(&mut runner);
        let history = history.map_err(anyhow::Error::msg)?.current();
        // The stream takes no other subjects.
        let taken = |message: &Message| message.subject.split('.').count() == 4;
        let messages = history.iter().map(Message::from).filter(taken);
        let messages: Vec<Message> = messages.collect();
        all_routes(&messages).await?;
    }
    Ok(())
}

async fn all_routes(messages: &[Message]) -> anyhow::Result<()> {
    let world = World::new().await?;
    let url = world.broker.server.url();
    let service = world.serve("live").await?;
    let (first, rest) = messages.split_at(messages.len().div_ceil(3));
    let middle = world.broker.publish(first).await?;
    service.applied(middle).await?;
    let snapshot = snapshot_of(&world, "live", &service).await?;
    for group in rest.chunks(17) {
        let last = world.broker.publish(group).await?;
        service.applied(last).await?;
    }
    let oracle = Oracle::of(&world.broker).await?;
    service.applied(oracle.last).await?;
    oracle.check(&world, &service).await?;
    let expected = service.client.status().await?;
    for (name, flags) in [
        ("full", vec![]),
        ("tail", vec!["--from-snapshot", &snapshot]),
    ] {
        let replica = world.serve_from(&url, name, &flags).await?;
        replica.applied(oracle.last).await?;
        let status = replica.status_when("live", live).await?;
        assert_eq!(status["digest"], expected["digest"], "{name}");
        assert_eq!(status["outcomes"], expected["outcomes"], "{name}");
        oracle.check(&world, &replica).await?;
        replica.stop().await?;
    }
    let admin = format!("http://{}", service.client.admin);
    let (code, said) = run_to_end(&["rebuild", "--admin", &admin]).await?;
    assert_eq!(code, Some(0), "{said}");
    let status = service.client.status().await?;
    assert_eq!(status["job"]["equal"], Value::Bool(true), "{status}");
    assert_eq!(status["digest"], expected["digest"], "{status}");
    oracle.check(&world, &service).await?;
    Ok(())
}
