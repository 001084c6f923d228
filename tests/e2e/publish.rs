//! `publish` in turn, in pairs, and until it is applied.

use std::path::PathBuf;

use domain::testing::{
    Draft, Form, named, profile_patched, profile_state, user_erased, user_state,
};
use serde_json::{Value, json};
use tests::broker::{STREAM, project_file};
use tests::service::{Ended, command};
use tests::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::golden;

/// A file of events.
fn file(world: &World, name: &str, drafts: &[Draft]) -> anyhow::Result<PathBuf> {
    let lines = drafts.iter().map(|draft| format!("{}\n", draft.envelope()));
    let path = world.data(name);
    std::fs::write(&path, lines.collect::<String>())?;
    Ok(path)
}

async fn publish(world: &World, file: &std::path::Path, more: &[&str]) -> anyhow::Result<Ended> {
    let (url, file) = (world.broker.server.url(), file.to_str().unwrap());
    let arguments = ["publish", file, "--nats-url", &url];
    command(&[&arguments[..], more].concat()).await
}

async fn messages(world: &World) -> anyhow::Result<u64> {
    let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    Ok(stream.cached_info().state.messages)
}

fn profile(version: u64) -> Draft {
    profile_state("u1", "p1", version, &named(&format!("Ada {version}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn compare_and_set_stores_each_event_once_however_late_it_is_repeated() -> anyhow::Result<()>
{
    let world = World::new().await?;
    let people = world.data("people.ndjson");
    std::fs::write(&people, project_file("schemas/examples/people.ndjson")?)?;
    let in_turn = ["--compare-and-set"];
    let first = publish(&world, &people, &in_turn).await?;
    let all = "IDENTITY_EVENTS: 13 new, 0 duplicates, 0 refused; the last is at sequence 13\n";
    assert_eq!(
        (first.code, &*first.output, &*first.said),
        (Some(0), all, "")
    );

    // The server knows no ids any more, as after its window: what stands on the subject decides.
    let jetstream = world.broker.jetstream().await?;
    let mut config = jetstream
        .get_stream(STREAM)
        .await?
        .cached_info()
        .config
        .clone();
    config.duplicate_window = std::time::Duration::from_millis(100);
    jetstream.update_stream(config).await?;
    let ping = || profile_state("ping", "ping", 1, &named("ping")).message(Form::Binary);
    let mut last = world.broker.publish([ping()]).await?;
    while world.broker.publish([ping()]).await? == last {
        tokio::task::yield_now().await;
    }
    last += 1;
    let again = publish(&world, &people, &in_turn).await?;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(
        again.output.starts_with("IDENTITY_EVENTS: 0 new, "),
        "{again:?}"
    );
    assert_eq!(messages(&world).await?, last);

    // Without it the events are stored again, for the projector to recognise.
    let plain = publish(&world, &people, &[]).await?;
    assert!(
        plain.output.starts_with("IDENTITY_EVENTS: 13 new, "),
        "{plain:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn compare_and_set_goes_on_after_a_lost_ack_and_refuses_what_does_not_follow()
-> anyhow::Result<()> {
    let world = World::new().await?;
    // Versions 1 and 2 were stored, and their acks lost.
    let before = [profile(1), profile(2), user_erased("u2", 4)];
    let structured = before.iter().map(|draft| draft.message(Form::Structured));
    world.broker.publish(structured).await?;
    let other_data = profile_state("u1", "p1", 2, &named("not what was sent before"));
    let second = |version| profile_state("u1", "p2", version, &named("B"));
    let drafts = [
        profile(1),
        other_data,
        profile(3),
        profile(4),
        profile(6),
        second(2),
        second(1),
        profile(5),
        user_state("u2", 5, "w2"),
        user_state("u3", 2, "w3"),
        user_state("u3", 1, "w3"),
    ];
    let file = file(&world, "history.ndjson", &drafts)?;
    let ended = publish(&world, &file, &["--compare-and-set"]).await?;
    assert_eq!(ended.code, Some(1));
    let mut refused: Vec<_> = ended.said.lines().collect();
    // Different subjects are refused in any order.
    refused.sort_by_key(|line| {
        line.split([' ', ':'])
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    });
    let told = format!("{}{}\n", ended.output, refused.join("\n"));
    golden::assert("publish_compare_and_set.txt", &told);

    let told = publish(&world, &file, &["--compare-and-set", "--json"]).await?;
    let lines: Vec<Value> = told
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [.., last] = &lines[..] else {
        panic!("it says nothing")
    };
    assert_eq!(last["summary"]["new"], 3, "what came too early fits now");
    assert_eq!(last["summary"]["settled_lines"], 11);
    assert!(
        lines[0]["line"].is_u64() && lines[0]["expected"].is_string(),
        "{lines:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_its_profile_are_stored_together_where_the_stream_allows_it()
-> anyhow::Result<()> {
    let world = World::new().await?;
    let pair = |n: u64| {
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        let profile = profile_state(&user, &profile, 1, &named("A"));
        [user_state(&user, 1, &format!("w{n}")), profile]
    };
    let drafts: Vec<_> = (1..=200).flat_map(pair).collect();
    let file = file(&world, "new.ndjson", &drafts)?;
    let jetstream = world.broker.jetstream().await?;
    let mut config = jetstream
        .get_stream(STREAM)
        .await?
        .cached_info()
        .config
        .clone();
    config.allow_atomic_publish = false;
    jetstream.update_stream(&config).await?;
    let one_by_one = publish(&world, &file, &["--atomic", "--from-line", "399"]).await?;
    assert_eq!(
        one_by_one.said,
        "stream IDENTITY_EVENTS takes no atomic batches: its setting allow_atomic is off (servers from 2.12 on know it); each user and its profile go one after the other\n"
    );
    let said = "IDENTITY_EVENTS: 2 new, 0 duplicates, 0 refused; the last is at sequence 2\n";
    assert_eq!(one_by_one.output, said);

    config.allow_atomic_publish = true;
    jetstream.update_stream(&config).await?;
    for how in [&["--atomic"][..], &["--atomic", "--compare-and-set"]] {
        let ended = publish(&world, &file, how).await?;
        assert_eq!((ended.code, &*ended.said), (Some(0), ""), "{ended:?}");
        let new = if how.len() == 1 {
            "398 new (199 pairs of user and profile), 2 duplicates"
        } else {
            "0 new, 400 duplicates"
        };
        let said = format!("IDENTITY_EVENTS: {new}, 0 refused; the last is at sequence 400\n");
        let (account, not_compared) = ended.output.split_at(said.len());
        assert_eq!(account, said);
        // Without --compare-and-set nobody looked at the two that were there.
        assert_eq!(
            not_compared.starts_with("2 ids were already stored"),
            how.len() == 1
        );
    }
    let stream = jetstream.get_stream(STREAM).await?;
    for sequence in (3..=399).step_by(2) {
        let user = stream.get_raw_message(sequence).await?;
        let profile = stream.get_raw_message(sequence + 1).await?;
        let batch = |message: &async_nats::jetstream::message::StreamMessage| {
            message
                .headers
                .get("Nats-Batch-Id")
                .map(ToString::to_string)
        };
        assert!(
            batch(&user).is_some() && batch(&user) == batch(&profile),
            "{sequence}"
        );
        let (person, _) = user.subject.rsplit_once('.').unwrap();
        assert!(profile.subject.starts_with(person));
    }
    let service = world.serve("model").await?;
    let status = service.applied(400).await?;
    assert_eq!(
        (&status["users"], &status["profiles"]),
        (&json!(200), &json!(200))
    );
    Ok(())
}

/// A listener that answers every request with this.
async fn canned(status: Value) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        let body = status.to_string();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    Ok(url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_until_it_is_applied_or_says_why_not() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let file = file(&world, "one.ndjson", &[profile(1)])?;
    let url = format!("http://{}", service.client.admin);
    let waited = publish(&world, &file, &["--wait", &url]).await?;
    let said =
        "IDENTITY_EVENTS: 1 new, 0 duplicates, 0 refused; the last is at sequence 1, and applied\n";
    assert_eq!(
        (waited.code, &*waited.output),
        (Some(0), said),
        "{waited:?}"
    );
    assert_eq!(service.client.status().await?["applied_sequence"], 1);

    let status = |phase: &str, stream: &str, more: [Value; 2]| {
        let [reason, detail] = more;
        json!({
            "phase": phase, "reason": reason, "detail": detail, "connection": "connected",
            "stream": {"name": stream}, "applied_sequence": 0,
        })
    };
    let none = [Value::Null, Value::Null];
    let gap = [json!("retention_gap"), json!("the rows end at message 0")];
    let cases = [
        "http://127.0.0.1:9".to_owned(),
        canned(status("catching_up", STREAM, none.clone())).await?,
        canned(status("live", "OTHER", none)).await?,
        canned(status("blocked", STREAM, gap)).await?,
        canned(json!({})).await?,
    ];
    let mut told = String::new();
    for url in cases {
        let ended = publish(&world, &file, &["--wait", &url, "--wait-seconds", "0"]).await?;
        assert_eq!(ended.code, Some(1));
        told.push_str(&ended.said.replace(&url, "URL"));
    }
    golden::assert("publish_wait.txt", &told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_parks_is_told_by_line_and_is_no_success() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    // Somebody else's, and parked too.
    let others = profile_patched("u9", "p9", 7, &json!({"age": 1}));
    world.broker.publish([others.message(Form::Binary)]).await?;
    let patch = |version| profile_patched("u1", "p1", version, &json!({"age": version}));
    let drafts = [
        profile(1),
        patch(2),
        patch(4),
        user_state("u1", 1, "w1"),
        patch(5),
    ];
    let file = file(&world, "holes.ndjson", &drafts)?;
    for new in ["5 new, 0 duplicates", "0 new, 5 duplicates"] {
        let ended = publish(&world, &file, &["--wait", &url]).await?;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = format!(
            "IDENTITY_EVENTS: {new}, 0 refused; the last is at sequence 6, and applied but for 2 parked\n"
        );
        assert!(ended.output.starts_with(&said), "{ended:?}");
        let told: Vec<&str> = ended.said.lines().collect();
        let [hole, behind] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(hole.starts_with("line 3: sequence "), "{hole}");
        assert!(
            hole.ends_with(&format!(" is parked at {url}: patch_base")),
            "{hole}"
        );
        assert!(behind.starts_with("line 5: sequence ") && behind.ends_with(": behind"));
    }
    let ended = publish(&world, &file, &["--wait", &url, "--json"]).await?;
    let lines: Vec<Value> = ended
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["line"], &lines[0]["parked"]["reason"]),
        (&json!(3), &json!("patch_base"))
    );
    assert_eq!(lines[2]["summary"]["applied"], false);
    assert_eq!(lines[2]["summary"]["parked"], 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_of_another_stream_of_the_same_name_count_for_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let drafts: Vec<Draft> = (1..=20).map(profile).collect();
    let file = file(&world, "events.ndjson", &drafts)?;
    let url = format!("http://{}", service.client.admin);
    publish(&world, &file, &["--wait", &url]).await?;
    let status = service.client.status().await?;
    assert_eq!(status["stream"]["last"]["sequence"], 20);
    // As the service would tell before it has seen that the stream was made anew.
    let stale = canned(status).await?;
    let jetstream = world.broker.jetstream().await?;
    jetstream.delete_stream(STREAM).await?;
    world.broker.create_stream().await?;
    for more in [&drafts[..5], &drafts] {
        let file = self::file(&world, "again.ndjson", more)?;
        let ended = publish(&world, &file, &["--wait", &stale]).await?;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.said.contains("may not have applied"), "{ended:?}");
        assert!(!ended.output.contains("applied"), "{ended:?}");
    }
    Ok(())
}
