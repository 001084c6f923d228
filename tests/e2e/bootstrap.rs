//! The last event of each subject, all events, and a snapshot with the tail: four routes to one digest.

use std::time::SystemTime;

use domain::testing::{
    Form, Message, dropped, history as random_history, named, profile_patched, profile_state,
    user_deleted, user_state, whole_history,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as ProptestConfig, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::oracle::Oracle;
use tests::service::{Service, run_to_end};
use tests::world::World;

const FLAGS: [&str; 2] = ["--bootstrap", "last-per-subject"];

/// Whole states: several versions of each document, some users gone, some with another identity.
fn history(users: u64, versions: u64) -> Vec<Message> {
    let mut messages = Vec::new();
    for version in 1..=versions {
        for n in 0..users {
            let (user, profile) = (format!("u{n}"), format!("p{n}"));
            let identity = format!("user_{n}_{}", version / 3);
            messages.push(user_state(&user, version, &identity).message(Form::Binary));
            let state = profile_state(&user, &profile, version, &named(&version.to_string()));
            messages.push(state.message(Form::Structured));
        }
    }
    let gone = (0..users).step_by(7);
    messages.extend(gone.map(|n| user_deleted(&format!("u{n}"), versions + 1).message(Form::Bare)));
    messages
}

fn live(status: &Value) -> bool {
    status["phase"] == "live"
}

async fn rebuild(service: &Service, flags: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let admin = format!("http://{}", service.client.admin);
    let mut arguments = vec!["rebuild", "--admin", &admin];
    arguments.extend(flags);
    run_to_end(&arguments).await
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

#[tokio::test(flavor = "multi_thread")]
async fn four_routes_end_in_one_digest() -> anyhow::Result<()> {
    let world = World::new().await?;
    let url = world.broker.server.url();
    // Live, from the first event on; and a snapshot in the middle.
    let service = world.serve("live").await?;
    let all = history(40, 5);
    let (first, rest) = all.split_at(200);
    let middle = world.broker.publish(first).await?;
    service.applied(middle).await?;
    let snapshot = snapshot_of(&world, "live", &service).await?;
    let last = world.broker.publish(rest).await?;
    let expected = service.applied(last).await?;

    let routes = [
        ("full", vec![]),
        ("last", FLAGS.to_vec()),
        ("tail", vec!["--from-snapshot", &snapshot]),
    ];
    for (name, flags) in routes {
        let replica = world.serve_from(&url, name, &flags).await?;
        replica.applied(last).await?;
        let status = replica.status_when("live", live).await?;
        for member in ["digest", "users", "profiles", "parked_records"] {
            assert_eq!(status[member], expected[member], "{name}: {member}");
        }
        let outcomes = &status["outcomes"];
        assert_eq!(outcomes["version_gap"], Value::Null, "{name}: {outcomes}");
        if name == "last" {
            assert_eq!(outcomes["applied"], json!(80 - 6), "{outcomes}");
        }
        replica.stop().await?;
    }
    // A rebuild beside, while events come.
    let change = user_state("u1", 6, "user_1_x").message(Form::Binary);
    let (done, published) = tokio::join!(rebuild(&service, &FLAGS), world.broker.publish([change]));
    let (code, said) = done?;
    assert_eq!(code, Some(0), "{said}");
    let status = service.applied(published?).await?;
    assert_eq!(status["job"]["equal"], json!(true), "{status}");
    // And once more from all of it.
    let (code, said) = rebuild(&service, &[]).await?;
    assert_eq!(code, Some(0), "{said}");
    let status = service.client.status().await?;
    assert_eq!(status["job"]["equal"], json!(true), "{status}");
    Ok(())
}

/// Random histories that go by all routes, every other one of whole states.
const HISTORIES: u64 = 4;
const EVENTS_MAX: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_end_in_one_digest_by_all_routes() -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let first_seed = u64::from(now.subsec_nanos());
    for seed in first_seed..first_seed + HISTORIES {
        println!("history {seed}");
        let is_whole = seed % 2 == 0;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let histories = if is_whole {
            whole_history(EVENTS_MAX).boxed()
        } else {
            random_history(EVENTS_MAX).boxed()
        };
        let history = histories.new_tree(&mut runner);
        let history = history.map_err(anyhow::Error::msg)?.current();
        // The stream takes no other subjects.
        let taken = |message: &Message| message.subject.split('.').count() == 4;
        let messages = history.iter().map(Message::from).filter(taken);
        let messages: Vec<Message> = messages.collect();
        all_routes(&messages, is_whole).await?;
    }
    Ok(())
}

async fn all_routes(messages: &[Message], is_whole: bool) -> anyhow::Result<()> {
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
    let (code, said) = rebuild(&service, &[]).await?;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = rebuild(&service, &FLAGS).await?;
    let is_refused = code == Some(1) && said.contains("without --bootstrap");
    assert!(code == Some(0) || is_refused && !is_whole, "{said}");
    let status = service.client.status().await?;
    assert_eq!(status["digest"], expected["digest"], "{status}");
    oracle.check(&world, &service).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_last_events_cannot_tell_is_refused_by_name() -> anyhow::Result<()> {
    let patch = profile_patched("u1", "p1", 2, &json!({"bio": "x"})).message(Form::Binary);
    let again = user_state("u1", 1, "user_1").message(Form::Binary);
    let again = Message {
        headers: again
            .headers
            .into_iter()
            .filter(|(name, _)| name != "Nats-Msg-Id")
            .collect(),
        ..again
    };
    let next = user_state("u1", 2, "user_1").message(Form::Binary);
    let second = profile_state("u1", "p2", 1, &named("x")).message(Form::Binary);
    let cases = [
        (
            vec![patch],
            "identity.v1.u1.profile, at sequence 7",
            "it is a patch",
        ),
        (
            vec![next, again],
            "identity.v1.u1.user, at sequence 8",
            "holds 3 events and it is version 1",
        ),
        (
            vec![second],
            "identity.v1.u1.profile, at sequence 7",
            "holds 2 events",
        ),
        (
            vec![dropped("u1", 3).message(Form::Bare)],
            "identity.v1.u1.quarantine",
            "a decision",
        ),
        (
            vec![Message::bare("identity.v1.u2.user", "{")],
            "identity.v1.u2.user",
            "cannot be decoded",
        ),
        (
            vec![user_state("u9", 1, "user_1_0").message(Form::Binary)],
            "identity.v1.u9.user",
            "it would be parked: mapping_conflict",
        ),
    ];
    for (more, place, why) in cases {
        let world = World::new().await?;
        let service = world.serve("model").await?;
        world.broker.publish(history(3, 1)[..6].iter()).await?;
        let last = world.broker.publish(more).await?;
        let before = service.applied(last).await?;
        let (code, said) = rebuild(&service, &FLAGS).await?;
        assert_eq!(code, Some(1), "{said}");
        for part in [place, why, "build it in full, without --bootstrap"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let after = service.client.status().await?;
        assert_eq!(after["digest"], before["digest"]);
        let names = std::fs::read_dir(world.data("model"))?;
        assert_eq!(names.count(), 1, "nothing is left of it");
        // A first fill ends with the reason too.
        if why == "it is a patch" {
            let url = world.broker.server.url();
            let started = world.serve_from(&url, "first", &FLAGS).await?;
            let (code, said) = started.ended().await?;
            assert_eq!(code, Some(1));
            assert!(said.contains(place), "{said}");
            assert!(said.contains("without --bootstrap"), "{said}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_stream_is_filled_and_a_killed_one_begins_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    let url = world.broker.server.url();
    let service = world.serve_from(&url, "empty", &FLAGS).await?;
    service.status_when("live", live).await?;
    service.stop().await?;
    let last = world.broker.publish(history(3_000, 3)).await?;
    let expected = world.serve("full").await?;
    let expected = expected.applied(last).await?;
    for wait in [0, 60, 150, 300, 600] {
        let service = world.serve_from(&url, "killed", &FLAGS).await?;
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        service.kill().await?;
    }
    let service = world.serve_from(&url, "killed", &FLAGS).await?;
    service.applied(last).await?;
    let status = service.status_when("live", live).await?;
    assert_eq!(status["digest"], expected["digest"]);
    Ok(())
}
