//! A bad event harms one document until its next whole state, and is seen.

use domain::testing::{Form, Message, dropped, named, profile_patched, profile_state, user_state};
use query::quarantine::Page;
use serde_json::json;
use tests::broker::Broker;
use tests::service::{Ended, command};
use tests::world::World;

use crate::golden;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_is_parked_with_its_reason_and_heals() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let profile = |version, name: &str| profile_state("u1", "p1", version, &named(name));
    world
        .broker
        .publish([
            user_state("u1", 1, "user_a").message(Form::Binary),
            profile(1, "Ada").message(Form::Binary),
            Message::bare("identity.v1.u1.profile", "not JSON"),
            profile_patched("u1", "p1", 2, &json!({"bio": "waits"})).message(Form::Binary),
            user_state("u2", 1, "user_b").message(Form::Binary),
            profile_state("u2", "p2", 1, &named("Grace")).message(Form::Binary),
        ])
        .await?;
    let status = service.applied(6).await?;
    assert_eq!(
        (&status["parked_lanes"], &status["parked_records"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(status["outcomes"]["parked{invalid}"], 1);
    assert_eq!(status["outcomes"]["parked{behind}"], 1);
    let name = async |sub: &str| {
        let answer = service.client.query(Some(&world.token(sub)?)).await?;
        anyhow::Ok(answer.body["value"]["displayName"].clone())
    };
    assert_eq!(
        (name("user_a").await?, name("user_b").await?),
        (json!("Ada"), json!("Grace"))
    );
    // The decision lets the patch behind it go on; the next whole state would have healed both.
    world
        .broker
        .publish([dropped("u1", 3).message(Form::Binary)])
        .await?;
    let status = service.applied(7).await?;
    assert_eq!(status["parked_records"], 0);
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.body["value"]["bio"], "waits");
    world
        .broker
        .publish([
            Message::bare("identity.v1.u1.profile", "{}"),
            profile(3, "Countess").message(Form::Binary),
        ])
        .await?;
    let status = service.applied(9).await?;
    assert_eq!(
        (&status["parked_records"], &status["outcomes"]["superseded"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(name("user_a").await?, json!("Countess"));
    Ok(())
}

/// A world whose stream holds a fault at 3, a patch that waits behind it at 4, and one that names no
/// user at 5.
async fn with_parked() -> anyhow::Result<World> {
    let world = World::new().await?;
    let patch = profile_patched("u1", "p1", 2, &json!({"bio": "waits"}));
    world
        .broker
        .publish([
            user_state("u1", 1, "user_a").message(Form::Binary),
            profile_state("u1", "p1", 1, &named("Ada")).message(Form::Binary),
            Message::bare("identity.v1.u1.profile", "not JSON"),
            patch.message(Form::Binary),
            Message::bare("identity.v1.\u{e4}.profile", "{}"),
        ])
        .await?;
    Ok(world)
}

/// The card of a record without the time it was stored at.
fn timeless(card: &str) -> String {
    let lines = card.lines().map(|line| {
        let stored = line.trim_start().strip_prefix("stored ");
        format!("{}\n", stored.map_or(line, |_time| "  stored    TIME"))
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_listed_and_shown() -> anyhow::Result<()> {
    let world = with_parked().await?;
    let service = world.serve("model").await?;
    service.applied(5).await?;
    let url = format!("http://{}", service.client.admin);
    let list = ["quarantine", "list", "--admin", &url];
    let listed = command(&list).await?;
    assert_eq!((listed.code, &*listed.said), (Some(0), ""));
    let lines: Vec<_> = listed.output.lines().collect();
    assert!(lines[0].starts_with("3 parked: 1 behind, 2 invalid; the oldest is record 3, "));
    let first = lines[2].trim_start();
    assert!(first.starts_with("3  u1.profile"), "{first}");
    assert!(
        first.ends_with("body is not JSON: expected ident at line 1 column 2"),
        "{first}"
    );
    assert_eq!(lines.len(), 5);
    let paged = command(&[&list[..], &["--limit", "1"]].concat()).await?;
    assert_eq!(paged.output.lines().last(), Some("more: --after 3"));
    let mut cards = String::new();
    for sequence in ["3", "4", "5"] {
        let shown = command(&["quarantine", "show", sequence, "--admin", &url]).await?;
        cards.push_str(&timeless(&shown.output));
    }
    golden::assert("quarantine_cards.txt", &cards);
    let metrics = service.client.operator("/metrics").await?.1;
    for gauge in [
        "profile_projector_parked_records{reason=\"invalid\"} 2",
        "profile_projector_parked_oldest_timestamp_seconds 1",
    ] {
        assert!(metrics.contains(gauge), "{metrics}");
    }
    let list = ["quarantine", "list", "--json"];
    let running = command(&[&list[..], &["--admin", &url]].concat()).await?;
    service.stop().await?;
    let folder = world.data("model");
    let folder = ["--data-dir", folder.to_str().unwrap()];
    let stopped = command(&[&list[..], &folder].concat()).await?;
    let records = |ended: &Ended| {
        let mut page: Page = serde_json::from_str(&ended.output).expect(&ended.said);
        page.records
            .iter_mut()
            .for_each(|record| record.age_seconds = None);
        serde_json::to_value(page.records).unwrap()
    };
    assert_eq!(records(&running), records(&stopped));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_given_up_by_command() -> anyhow::Result<()> {
    let world = with_parked().await?;
    let service = world.serve("model").await?;
    service.applied(5).await?;
    let url = format!("http://{}", service.client.admin);
    let nats = world.broker.server.url();
    let drop = async |more: &[&str]| {
        let mut arguments = vec!["quarantine", "drop", "--nats-url", &nats];
        arguments.extend(["--reason", "a test line"]);
        arguments.extend(more);
        command(&arguments).await
    };
    let dry = drop(&["u1", "3", "--dry-run", "--wait", &url]).await?;
    let shown = "would publish to identity.v1.u1.quarantine: {";
    assert!(dry.output.starts_with(shown), "{dry:?}");
    assert_eq!(service.client.status().await?["tail_sequence"], 5);
    let said = |output: &str| Ended {
        code: Some(0),
        output: format!("{output}\n"),
        said: String::new(),
    };
    assert_eq!(
        drop(&["u1", "3", "--wait", &url]).await?,
        said("record 3: the decision is at sequence 6; it is applied, and the record is gone")
    );
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.body["value"]["bio"], "waits");
    let status = service.applied(6).await?;
    assert_eq!(status["parked_by_reason"], json!({"invalid": 1}));
    assert_eq!(
        drop(&["u1", "3", "--force"]).await?,
        said(
            "record 3: the decision is at sequence 6 (it was there already); a service has applied it when its applied_sequence reaches 6"
        )
    );
    let told = drop(&["u1", "3", "--force", "--json"]).await?.output;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    assert_eq!(
        (
            &told["sequence"],
            &told["duplicate"],
            &told["event"]["data"]["reason"]
        ),
        (&json!(6), &json!(true), &json!("a test line"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_with_the_quarantine_is_one_line_that_says_what_to_do() -> anyhow::Result<()> {
    let world = with_parked().await?;
    let service = world.serve("model").await?;
    service.applied(5).await?;
    let admin = format!("http://{}", service.client.admin);
    let public = format!("http://{}", service.client.public);
    let nats = world.broker.server.url();
    let (folder, empty) = (world.data("model"), world.data("empty"));
    let (folder, empty) = (folder.to_str().unwrap(), empty.to_str().unwrap());
    let list = ["quarantine", "list"];
    let drop = ["quarantine", "drop", "--nats-url", &nats, "--reason", "r"];
    let drop_all = [
        "quarantine",
        "drop-all",
        "--nats-url",
        &nats,
        "--reason",
        "r",
    ];
    let long = "x".repeat(201);
    let cases: [(&[&str], &[&str]); 19] = [
        (&list, &["--admin", "http://127.0.0.1:9"]),
        (&list, &["--admin", "nowhere"]),
        (&list, &["--admin", &public]),
        (&list, &["--admin", &admin, "--user", "a b"]),
        (&["quarantine", "show", "1"], &["--admin", &admin]),
        (&list, &["--data-dir", empty]),
        (&list, &["--data-dir", folder]),
        (&drop, &["u1", "1", "--wait", &admin]),
        (&drop, &["u2", "3", "--wait", &admin]),
        (&drop, &["u1", "5", "--wait", &admin]),
        (&drop, &["u 1", "5"]),
        (&drop, &["u1", "1", "--admin", &admin]),
        (&drop, &["u1", "3", "--admin", "http://127.0.0.1:9"]),
        (&drop[..4], &["u1", "3", "--reason", &long]),
        (&drop, &["u1", "3", "--force", "--stream", "OTHER"]),
        (&drop, &["u1", "99999", "--force"]),
        (&list, &["--admin", &admin, "--parked-for", "nothing"]),
        (&list, &["--admin", &admin, "--lane", "fast"]),
        (&drop_all, &["--admin", &admin]),
    ];
    let mut told = String::new();
    for (arguments, more) in cases {
        let ended = command(&[arguments, more].concat()).await?;
        assert_eq!((ended.code, &*ended.output), (Some(1), ""), "{more:?}");
        told.push_str(&ended.said);
    }
    let replaced = [
        (&*admin, "URL"),
        (&public, "PUBLIC"),
        (folder, "FOLDER"),
        (empty, "EMPTY"),
    ];
    for (address, name) in replaced {
        told = told.replace(address, name);
    }
    golden::assert("quarantine_errors.txt", &told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_listed_counted_and_given_up() -> anyhow::Result<()> {
    let world = with_parked().await?;
    let later =
        |user: &str, n: u64| profile_patched(user, &format!("p-{user}"), n, &json!({"bio": "b"}));
    let more = ["u1", "u2", "u3"].map(|user| later(user, 9).message(Form::Binary));
    let tail = world.broker.publish(more).await?;
    let service = world.serve("model").await?;
    service.applied(tail).await?;
    let url = format!("http://{}", service.client.admin);
    let nats = world.broker.server.url();
    let list = async |more: &[&str]| {
        let words = ["quarantine", "list", "--admin", &url];
        command(&[&words[..], more].concat()).await
    };
    let listed = list(&["--parked-for", "patch_base"]).await?.output;
    assert_eq!(listed.lines().count(), 4, "{listed}");
    let listed = list(&["--lane", "none"]).await?.output;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let listed = list(&["--fault", "is not JSON", "--user", "u1"])
        .await?
        .output;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let groups = list(&["--group", "--json"]).await?.output;
    let groups: serde_json::Value = serde_json::from_str(&groups)?;
    assert_eq!(
        groups["groups"].as_array().map(Vec::len),
        Some(4),
        "{groups}"
    );
    assert_eq!(groups["groups"][0]["records"], json!(2), "{groups}");

    let drop_all = async |more: &[&str]| {
        let words = [
            "quarantine",
            "drop-all",
            "--admin",
            &url,
            "--nats-url",
            &nats,
        ];
        let words = [&words[..], &["--reason", "a test", "--wait", &url], more].concat();
        command(&words).await
    };
    let dry = drop_all(&["--parked-for", "patch_base", "--dry-run"]).await?;
    assert!(dry.output.ends_with("\nnothing was published\n"), "{dry:?}");
    let asked = drop_all(&["--parked-for", "patch_base"]).await?;
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(asked.said.contains("add --yes"), "{asked:?}");
    assert_eq!(service.client.status().await?["tail_sequence"], tail);
    let done = drop_all(&["--parked-for", "patch_base", "--yes"]).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let status = service.client.status().await?;
    assert_eq!(
        status["parked_by_reason"]["patch_base"],
        json!(null),
        "{status}"
    );
    let nobodys = drop_all(&["--lane", "none", "--yes"]).await?;
    assert!(nobodys.output.contains("cannot be dropped"), "{nobodys:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_service_is_not_dropped_in_the_stream_of_another() -> anyhow::Result<()> {
    let world = with_parked().await?;
    let service = world.serve("model").await?;
    service.applied(5).await?;
    let url = format!("http://{}", service.client.admin);
    let other = Broker::start().await?;
    let first = profile_state("u1", "p1", 1, &named("Ada"));
    let end = other.publish([first.message(Form::Binary)]).await?;
    let words = ["quarantine", "drop-all", "--user", "u1", "--reason", "r"];
    let flags = ["--yes", "--admin", &url, "--nats-url", &other.server.url()];
    let ended = command(&[&words[..], &flags].concat()).await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let refusal = ": stream IDENTITY_EVENTS ends at 1; nothing was published";
    assert!(ended.said.contains(refusal), "{ended:?}");
    assert_eq!(other.last_sequence().await?, end);
    Ok(())
}
