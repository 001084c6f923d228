//! A read model is built beside the one that is served, and takes its place: nobody notices, whatever
//! happens meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::testing::{
    Form, Message, dropped, named, profile_patched, profile_state, user_deleted, user_state,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::broker::{STREAM, eventually};
use tests::service::{SOON, Service, run_to_end};
use tests::world::World;

/// Users with profiles, a gap, something parked, something dropped, something deleted.
fn history(users: u64) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..users)
        .flat_map(|n| {
            let user = format!("u{n}");
            [
                user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
                profile_state(&user, &format!("p{n}"), 1, &named(&format!("Person {n}")))
                    .message(Form::Binary),
            ]
        })
        .collect();
    let patch = profile_patched("u1", "p1", 9, &json!({"bio": "x"})).message(Form::Binary);
    let conflict = profile_state("u2", "p2", 1, &named("Other")).message(Form::Binary);
    messages.extend([patch, conflict.clone(), conflict]);
    messages.push(dropped("u2", users * 2 + 2).message(Form::Structured));
    messages.push(user_deleted("u3", 2).message(Form::Bare));
    messages
}

async fn rebuild(service: &Service, flags: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let admin = format!("http://{}", service.client.admin);
    let mut arguments = vec!["rebuild", "--admin", &admin];
    arguments.extend(flags);
    run_to_end(&arguments).await
}

/// Rebuilds, and it has to go well.
async fn rebuilt(service: &Service, flags: &[&str]) -> anyhow::Result<Value> {
    let (code, said) = rebuild(service, flags).await?;
    let status = service.client.status().await?;
    anyhow::ensure!(code == Some(0), "{said} {status}");
    Ok(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_answer_is_right_while_files_change_places() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(history(300)).await?;
    let before = service.applied(last).await?;
    let (done, version) = (AtomicBool::new(false), AtomicU64::new(1));
    let asking = async |person: u64| -> anyhow::Result<u64> {
        let token = world.token(&format!("user_{person}"))?;
        let (mut asked, mut sequence) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            let answer = service.client.query(Some(&token)).await?;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            let name = format!("Person {person}");
            assert_eq!(answer.body["value"]["displayName"], name, "{answer:?}");
            assert!(answer.sequence.unwrap() >= sequence, "it went back");
            sequence = answer.sequence.unwrap();
            asked += 1;
        }
        Ok(asked)
    };
    // Events come all the while, and each is waited for by whoever published it.
    let publishing = async {
        let token = world.token("user_5")?;
        while !done.load(Ordering::Relaxed) {
            let next = version.fetch_add(1, Ordering::Relaxed) + 1;
            let change = profile_state("u5", "p5", next, &named(&next.to_string()));
            let sequence = world.broker.publish([change.message(Form::Binary)]).await?;
            let answer = service.client.query_from(&token, sequence).await?;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            assert_eq!(answer.body["value"]["displayName"], next.to_string());
        }
        anyhow::Ok(())
    };
    let swapping = async {
        let mut ended = Ok(());
        for flags in [&[][..], &["--rollback"], &[], &[], &["--rollback"]] {
            ended = rebuilt(&service, flags).await.map(|status| {
                assert_eq!(status["job"]["equal"], json!(true), "{status}");
            });
            if ended.is_err() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        ended
    };
    let asked = tokio::try_join!(asking(0), asking(1), asking(2), publishing, swapping)?;
    println!(
        "{} answers while five files changed places",
        asked.0 + asked.1 + asked.2
    );
    assert!(asked.0 > 20);
    let after = service.client.status().await?;
    for member in ["users", "profiles", "parked_records"] {
        assert_eq!(before[member], after[member], "{member}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_that_was_made_anew_is_taken_when_told_to() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(history(5)).await?;
    service.applied(last).await?;
    let jetstream = world.broker.jetstream().await?;
    jetstream.delete_stream(STREAM).await?;
    world.broker.create_stream().await?;
    let ada = [
        user_state("a", 1, "user_ada").message(Form::Binary),
        profile_state("a", "pa", 1, &named("Ada")).message(Form::Binary),
    ];
    world.broker.publish(ada).await?;
    let blocked = |status: &Value| status["reason"] == "stream_recreated";
    service.status_when("the refusal", blocked).await?;
    let status = rebuilt(&service, &[]).await?;
    assert_eq!(status["job"]["equal"], Value::Null, "{status}");
    let live = |status: &Value| status["phase"] == "live";
    let status = service.status_when("live", live).await?;
    assert_eq!(
        (&status["applied_sequence"], &status["users"]),
        (&json!(2), &json!(1))
    );
    let answer = service
        .client
        .query(Some(&world.token("user_ada")?))
        .await?;
    assert_eq!(
        (&answer.body["value"]["displayName"], answer.sequence),
        (&json!("Ada"), Some(2))
    );
    // That was a mistake: the rows of the stream before are there still.
    let status = rebuilt(&service, &["--rollback"]).await?;
    assert_eq!(status["users"], 4, "{status}");
    let answer = service.client.query(Some(&world.token("user_0")?)).await?;
    assert_eq!(answer.body["value"]["displayName"], "Person 0");
    service.status_when("the refusal", blocked).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_stream_is_rebuilt_and_deleted_messages_are_no_obstacle() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let live = |status: &Value| status["phase"] == "live";
    service.status_when("live", live).await?;
    let status = rebuilt(&service, &[]).await?;
    assert_eq!(status["job"]["equal"], json!(true), "{status}");
    // The last messages are deleted, as erasure does.
    let last = world.broker.publish(history(5)).await?;
    let before = service.applied(last).await?;
    let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    stream.delete_message(last).await?;
    stream.delete_message(last - 1).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    service.status_when("live", live).await?;
    // What was deleted was an operator's decision and a deletion: its fold gives other rows now.
    let status = rebuilt(&service, &[]).await?;
    assert_eq!(status["phase"], "live", "{status}");
    assert_eq!(before["users"], json!(4));
    assert_eq!(status["users"], json!(5));
    let fresh = world.serve("fresh").await?;
    let fresh = fresh.status_when("live", live).await?;
    assert_eq!(fresh["digest"], status["digest"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_no_longer_holds_is_not_given_up_unasked() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let (code, said) = rebuild(&service, &["--rollback"]).await?;
    assert_eq!(code, Some(1));
    assert!(said.contains("there is nothing to go back to"), "{said}");
    let last = world.broker.publish(history(20)).await?;
    service.applied(last).await?;
    let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    for sequence in 1..=20 {
        stream.delete_message(sequence).await?;
    }
    let (code, said) = rebuild(&service, &[]).await?;
    assert_eq!(code, Some(1));
    for part in ["fewer people", "users: 19 live, 10 built", "--accept-loss"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(service.client.status().await?["users"], 19);
    let status = rebuilt(&service, &["--accept-loss"]).await?;
    assert_eq!(status["users"], 10, "{status}");
    assert_eq!(status["job"]["equal"], json!(false));
    Ok(())
}

/// Users with profiles so large that a rebuild is spilled more than once.
fn large_history(users: u64) -> impl Iterator<Item = Message> {
    history(0).into_iter().chain((0..users).flat_map(|n| {
        let (user, mut members) = (format!("u{n}"), named(&format!("Person {n}")));
        members["bio"] = json!("x".repeat(8_000));
        [
            user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
            profile_state(&user, &format!("p{n}"), 1, &members).message(Form::Binary),
        ]
    }))
}

fn keeps_some(status: &Value) -> bool {
    status["job"]["applied_sequence"] != 0 || status["job"]["state"] != "running"
}

/// How often the service is killed while it rebuilds, each time a little later.
const KILLS: u64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_rebuild_it_goes_on_by_itself() -> anyhow::Result<()> {
    let world = World::new().await?;
    let url = world.broker.server.url();
    let least_memory = ["--memory-budget", "16MiB"];
    let serve = async || world.serve_from(&url, "model", &least_memory).await;
    let service = serve().await?;
    let last = world.broker.publish(large_history(8_000)).await?;
    let before = service.applied(last).await?;
    let token = world.token("user_7")?;
    let mut service = Some(service);
    let (mut interrupted, mut behind_a_spill) = (0, 0);
    for kill in 0..KILLS {
        let running = service.take().unwrap();
        let jobs = running.client.status().await?["job"]["number"].clone();
        if jobs == json!(0) {
            // Whether it answers or is killed meanwhile is all the same.
            let admin = format!("http://{}", running.client.admin);
            tokio::spawn(async move { run_to_end(&["rebuild", "--admin", &admin]).await });
        }
        let wait = std::time::Duration::from_millis(kill * 10);
        tokio::time::sleep(wait).await;
        // However slow the machine, some find what was kept.
        if kill >= KILLS - 5 {
            running.status_when("what is kept", keeps_some).await?;
        }
        let job = running.client.status().await?["job"].take();
        assert_ne!(job["state"], "failed", "{job}");
        behind_a_spill += u32::from(job["state"] == "running" && job["applied_sequence"] != 0);
        running.kill().await?;
        let again = serve().await?;
        let answer = eventually("the signing keys", SOON, async || {
            let answer = again.client.query(Some(&token)).await.ok()?;
            (answer.status == StatusCode::OK).then_some(answer)
        })
        .await?;
        assert_eq!(answer.body["value"]["displayName"], "Person 7");
        let status = again.client.status().await?;
        interrupted += u32::from(status["job"]["number"] == json!(1));
        service = Some(again);
    }
    println!(
        "{interrupted} of {KILLS} kills were in the midst of a rebuild, {behind_a_spill} behind a spill"
    );
    assert!(10 < interrupted, "the rebuild is too short to be killed in");
    assert!(0 < behind_a_spill, "no kill found anything that was kept");
    let service = service.unwrap();
    let ended = |status: &Value| status["job"]["state"] != "running";
    let status = service.status_when("the end", ended).await?;
    assert_ne!(status["job"]["state"], "failed", "{status}");
    let status = rebuilt(&service, &[]).await?;
    assert_eq!(status["job"]["equal"], json!(true), "{status}");
    assert_eq!(status["digest"], before["digest"]);
    assert_eq!(
        crate::jobs::files(&world)?,
        ["read-model.previous.redb", "read-model.redb"]
    );
    let bytes = std::fs::metadata(world.data("model").join("read-model.redb"))?.len();
    // 8,000 rows of 8,000 bytes.
    assert!(
        bytes < 80_000_000,
        "{bytes} bytes: room of spills is in the file yet"
    );
    one_consumer(&world).await
}

async fn one_consumer(world: &World) -> anyhow::Result<()> {
    eventually("one consumer", SOON, async || {
        let stream = world
            .broker
            .jetstream()
            .await
            .ok()?
            .get_stream(STREAM)
            .await;
        let info = stream.ok()?.get_info().await.ok()?;
        (info.state.consumer_count == 1).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_rebuild_and_who_is_not_there() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(history(10)).await?;
    service.applied(last).await?;
    service.stop().await?;
    let url = world.broker.server.url();
    let service = world.serve_from(&url, "model", &["--rebuild"]).await?;
    let done = |status: &Value| status["job"]["state"] == "done";
    let status = service.status_when("the rebuild", done).await?;
    assert_eq!(status["job"]["equal"], json!(true), "{status}");
    let admin = format!("http://{}", service.client.admin);
    service.stop().await?;
    let (code, said) = run_to_end(&["rebuild", "--admin", &admin]).await?;
    assert_eq!(code, Some(1));
    assert!(said.contains("no service answers at"), "{said}");
    assert!(said.contains("is it running?"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_tells_whether_the_rows_are_the_fold_of_the_stream() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(history(50)).await?;
    service.applied(last).await?;
    let admin = format!("http://{}", service.client.admin);
    let data = world.data("model");
    let running = [
        "verify",
        "--admin",
        &admin,
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let nats = world.broker.server.url();
    let stopped = [
        "verify",
        "--data-dir",
        data.to_str().unwrap(),
        "--nats-url",
        &nats,
    ];
    let (code, said) = run_to_end(&running).await?;
    let status = service.client.status().await?;
    assert_eq!(
        (code, &status["job"]["equal"]),
        (Some(0), &json!(true)),
        "{said} {status}"
    );
    for member in ["applied_sequence", "read_sequence", "target_sequence"] {
        assert_eq!(status["job"][member], json!(last), "{member}: {status}");
    }
    // The stream loses what the rows hold: the profile of u7, and the last message.
    let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    stream.delete_message(16).await?;
    stream.delete_message(last).await?;
    let (code, said) = run_to_end(&running).await?;
    let status = service.client.status().await?;
    assert_eq!(
        (code, &status["job"]["equal"]),
        (Some(1), &json!(false)),
        "{said}"
    );
    let differences = json!([
        "users: 49 live, 50 built",
        "profiles: 50 live, 49 built",
        "users of u3 differs",
        "profiles of u7 is not in what was built",
    ]);
    assert_eq!(status["job"]["differences"], differences);
    assert_eq!(
        (&status["phase"], &status["users"]),
        (&json!("live"), &json!(49))
    );
    service.stop().await?;
    assert_eq!(run_to_end(&stopped).await?.0, Some(1));
    let (code, said) = run_to_end(&["verify", "--data-dir", "/nowhere"]).await?;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("there is no read model in --data-dir /nowhere"),
        "{said}"
    );
    let names = std::fs::read_dir(&data)?.count();
    assert_eq!(
        names, 2,
        "beside the token nothing is left of the comparison"
    );
    Ok(())
}
