//! Jobs leave nothing that can be mistaken: what was refused is never gone on from, and the last good rows
//! of a stream that is gone stay until they are given up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::testing::{Form, Message, named, profile_state, records, user_erased, user_state};
use domain::{Checkpoint, Fingerprint, StreamId, apply};
use read_model::ReadModel;
use serde_json::{Value, json};
use tests::broker::STREAM;
use tests::service::{Service, run_to_end};
use tests::world::World;

fn people(users: Range<u64>) -> impl Iterator<Item = Message> {
    people_of(users, 1)
}

fn people_of(users: Range<u64>, version: u64) -> impl Iterator<Item = Message> {
    users.flat_map(move |n| {
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        [
            user_state(&user, version, &format!("user_{n}")).message(Form::Binary),
            profile_state(&user, &profile, version, &named(&format!("Person {n}")))
                .message(Form::Binary),
        ]
    })
}

async fn rebuild(service: &Service, flags: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let admin = format!("http://{}", service.client.admin);
    let mut arguments = vec!["rebuild", "--admin", &admin];
    arguments.extend(flags);
    run_to_end(&arguments).await
}

async fn done(service: &Service, flags: &[&str]) -> anyhow::Result<Value> {
    let (code, said) = rebuild(service, flags).await?;
    anyhow::ensure!(code == Some(0), "{flags:?}: {said}");
    service.client.status().await
}

pub(crate) fn files(world: &World) -> anyhow::Result<Vec<String>> {
    let names = std::fs::read_dir(world.data("model"))?
        .map(|entry| anyhow::Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<anyhow::Result<Vec<_>>>()?;
    names.retain(|name| name.starts_with("read-model."));
    names.sort();
    Ok(names)
}

async fn delete(world: &World, sequences: impl Iterator<Item = u64>) -> anyhow::Result<()> {
    let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    for sequence in sequences {
        stream.delete_message(sequence).await?;
    }
    Ok(())
}

async fn name_of(world: &World, service: &Service, n: u64) -> anyhow::Result<Value> {
    let token = world.token(&format!("user_{n}"))?;
    let mut answer = service.client.query(Some(&token)).await?;
    Ok(answer.body["value"]["displayName"].take())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rebuild_was_refused_for_is_never_swapped_in() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..10)).await?;
    service.applied(last).await?;
    delete(&world, 1..=4).await?;
    let (code, said) = rebuild(&service, &[]).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--accept-loss"), "{said}");
    assert_eq!(files(&world)?, ["read-model.redb"]);
    // The lost events come again, and somebody is erased with all messages of theirs.
    world.broker.publish(people_of(0..2, 2)).await?;
    let erasure = user_erased("u9", 2).message(Form::Binary);
    let last = world.broker.publish([erasure]).await?;
    service.applied(last).await?;
    delete(&world, 19..=20).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    assert_eq!(service.client.status().await?["job"]["number"], json!(0));
    let status = done(&service, &["--accept-loss"]).await?;
    assert_eq!(status["users"], json!(9), "{status}");
    assert_eq!(name_of(&world, &service, 9).await?, Value::Null);
    assert_eq!(name_of(&world, &service, 0).await?, json!("Person 0"));
    let fresh = world.serve("fresh").await?;
    let fresh = fresh.applied(last).await?;
    assert_eq!(fresh["digest"], status["digest"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_release_or_job_left_is_not_gone_on_with() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..10)).await?;
    service.applied(last).await?;
    // Another history's rows, further than this one, under the name of what is being built.
    let other = World::new().await?;
    let stranger = other.serve("model").await?;
    let theirs = other.broker.publish(people(50..55)).await?;
    stranger.applied(theirs).await?;
    stranger.stop().await?;
    let live = other.data("model").join("read-model.redb");
    service.stop().await?;
    let data = world.data("model");
    for name in ["read-model.rebuild.redb", "read-model.bootstrap.redb"] {
        std::fs::copy(&live, data.join(name))?;
    }
    let service = world.serve("model").await?;
    let ended = |status: &Value| status["job"]["state"] == "done";
    let status = service.status_when("the end", ended).await?;
    assert_eq!(status["job"]["equal"], json!(true), "{status}");
    assert_eq!(
        files(&world)?,
        ["read-model.previous.redb", "read-model.redb"]
    );
    Ok(())
}

async fn stream_made_anew(world: &World, service: &Service) -> anyhow::Result<()> {
    let jetstream = world.broker.jetstream().await?;
    jetstream.delete_stream(STREAM).await?;
    world.broker.create_stream().await?;
    world.broker.publish(people(100..101)).await?;
    let blocked = |status: &Value| status["reason"] == "stream_recreated";
    service.status_when("the refusal", blocked).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_rows_survive_rebuilds_until_they_are_given_up() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..10)).await?;
    service.applied(last).await?;
    assert_eq!(service.client.status().await?["last_good"], Value::Null);
    let (code, said) = rebuild(&service, &["--give-up-last-good"]).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("there is no read-model.last-good.redb"),
        "{said}"
    );
    stream_made_anew(&world, &service).await?;
    for _ in 0..3 {
        let status = done(&service, &[]).await?;
        assert_eq!(status["users"], json!(1), "{status}");
        assert!(status["last_good"]["bytes"].as_u64() > Some(0), "{status}");
        let live = |status: &Value| status["phase"] == "live";
        service.status_when("live", live).await?;
    }
    // A second one would have no place.
    stream_made_anew(&world, &service).await?;
    let (code, said) = rebuild(&service, &[]).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("rebuild --give-up-last-good"), "{said}");
    assert!(said.contains("rebuild --rollback=last-good"), "{said}");
    let status = done(&service, &["--rollback=last-good"]).await?;
    assert_eq!(status["users"], json!(10), "{status}");
    assert_eq!(name_of(&world, &service, 3).await?, json!("Person 3"));
    let blocked = |status: &Value| status["reason"] == "stream_recreated";
    service.status_when("the refusal", blocked).await?;
    // What was left for it was blocked too, and has its place.
    assert!(files(&world)?.contains(&"read-model.last-good.redb".to_owned()));
    let status = done(&service, &["--give-up-last-good"]).await?;
    assert_eq!(status["last_good"], Value::Null, "{status}");
    let status = done(&service, &[]).await?;
    assert_eq!(status["users"], json!(1), "{status}");
    service.stop().await?;
    let service = world.serve("model").await?;
    let status = service.client.status().await?;
    assert!(status["last_good"]["age_seconds"].is_u64(), "{status}");
    Ok(())
}

/// Digest, users and applied events behind each message.
fn figures(messages: &[Message]) -> BTreeMap<u64, [Value; 3]> {
    let mut model = ReadModel::in_memory().unwrap();
    let mut to = Checkpoint::start_of(StreamId {
        name: "S".into(),
        created_ns: 1,
    });
    let mut figures = BTreeMap::new();
    for record in &records(messages) {
        let mut batch = model.begin();
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
        to = to.advanced(Fingerprint {
            sequence: record.sequence,
            time_ns: 1,
        });
        batch.commit(to.clone()).unwrap();
        let totals = model.reader().totals();
        let applied = totals.outcomes.iter().map(|(_, count)| count).sum::<u64>();
        let seen = [
            json!(totals.digest.to_string()),
            json!(totals.users),
            json!(applied),
        ];
        figures.insert(record.sequence.get(), seen);
    }
    figures
}

/// Looks at `/status` while events come.
const LOOKS: usize = 20_000;
const LOOKERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_of_a_look_is_of_one_commit() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let messages: Vec<Message> = (1..40)
        .flat_map(|version| people_of(0..20, version))
        .collect();
    let expected = figures(&messages);
    let looking = async || {
        let (mut looks, mut torn, mut sequences) = (0, Vec::new(), BTreeSet::new());
        while looks < LOOKS / LOOKERS {
            let status = service.client.status().await?;
            let outcomes = status["outcomes"].as_object().unwrap().values();
            let applied: u64 = outcomes.filter_map(Value::as_u64).sum();
            let sequence = status["applied_sequence"].as_u64().unwrap();
            let seen = [
                status["digest"].clone(),
                status["users"].clone(),
                json!(applied),
            ];
            if sequence != 0 && expected.get(&sequence) != Some(&seen) {
                torn.push(status);
            }
            sequences.insert(sequence);
            looks += 1;
        }
        anyhow::Ok((torn, sequences.len()))
    };
    let publishing = async {
        for group in messages.chunks(4) {
            world.broker.publish(group).await?;
        }
        anyhow::Ok(())
    };
    let lookers = futures::future::try_join_all((0..LOOKERS).map(|_| looking()));
    let (seen, ()) = tokio::try_join!(lookers, publishing)?;
    let commits = seen.iter().map(|(_, sequences)| *sequences).max();
    println!("{LOOKS} looks, {commits:?} commits seen by one of the lookers");
    assert!(commits > Some(50));
    let torn: usize = seen.iter().map(|(torn, _)| torn.len()).sum();
    assert_eq!(
        torn,
        0,
        "{:?}",
        seen.iter().find_map(|(torn, _)| torn.first())
    );
    Ok(())
}
