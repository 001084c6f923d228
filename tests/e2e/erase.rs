//! `erase`: nothing of the person is left in the stream, in the read model and in its rebuild.

use domain::testing::{
    Form, Message, named, profile_patched, profile_state, user_erased, user_state,
};
use serde_json::{Value, json};
use tests::broker::{Broker, STREAM};
use tests::service::{Ended, Service, command};
use tests::world::World;

use crate::golden;

const NAME: &str = "Ada Secretname";

/// The name of one of several people.
fn name_of(user: &str) -> String {
    format!("{NAME} of {user}")
}

/// What a person leaves in a stream: documents, two profiles, faults with the name in them, a patch
/// that waits, a decision.
fn traces(user: &str, identity: &str) -> Vec<Message> {
    let subject = format!("identity.v1.{user}.profile");
    let name = name_of(user);
    let (first, second) = (format!("{user}-p1"), format!("{user}-p2"));
    let patch = profile_patched(user, &first, 3, &json!({"bio": name}));
    vec![
        user_state(user, 1, identity).message(Form::Binary),
        profile_state(user, &first, 1, &named(&name)).message(Form::Structured),
        profile_state(user, &first, 2, &named(&name)).message(Form::Binary),
        Message::bare(&subject, format!("{{\"displayName\": \"{name}\"")),
        patch.message(Form::Bare),
        profile_state(user, &second, 1, &named(&name)).message(Form::Binary),
        Message::bare(&subject, format!("{name} again")),
        domain::testing::dropped(user, 999).message(Form::Binary),
        // An id that is none, of a document that cannot be erased.
        Message::bare(&subject, "x").header("ce-id", "profile:a b:7"),
    ]
}

async fn erase(broker: &Broker, more: &[&str]) -> anyhow::Result<Ended> {
    let url = broker.server.url();
    let arguments = [
        "erase",
        "--yes",
        "--nats-url",
        &url,
        "--request-id",
        "request-7",
    ];
    command(&[&arguments[..], more].concat()).await
}

/// Subjects and types of a person's messages.
async fn left(broker: &Broker, user: &str) -> anyhow::Result<Vec<(String, String)>> {
    let stream = broker.jetstream().await?.get_stream(STREAM).await?;
    let (mut found, mut sequence) = (Vec::new(), 1);
    let subjects = format!("identity.v1.{user}.>");
    while let Ok(message) = stream
        .get_first_raw_message_by_subject(&subjects, sequence)
        .await
    {
        sequence = message.sequence + 1;
        assert!(!String::from_utf8_lossy(&message.payload).contains(NAME));
        let kind = message.headers.get("ce-type").map(ToString::to_string);
        found.push((message.subject.to_string(), kind.unwrap_or_default()));
    }
    Ok(found)
}

fn in_file(folder: &std::path::Path, text: &str) -> bool {
    let bytes = std::fs::read(folder.join("read-model.redb")).unwrap();
    let mut windows = bytes.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_from_stream_rows_and_rebuild() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    let mut messages = traces("u1", "user_a");
    messages.extend(traces("u2", "user_b"));
    // Waits for the identity that the erasure sets free.
    messages.push(user_state("u3", 1, "user_a").message(Form::Binary));
    messages.push(profile_state("u3", "u3-p1", 1, &named("Heir")).message(Form::Binary));
    let last = world.broker.publish(messages).await?;
    service.applied(last).await?;

    let dry = erase(&world.broker, &["u1", "--dry-run"]).await?;
    let said = "user u1: would publish profile:u1-p1:4, profile:u1-p2:2, user:u1:2\nwould delete 9 messages from the stream\n";
    assert!(dry.output.starts_with(said), "{dry:?}");
    assert_eq!(service.client.status().await?["tail_sequence"], last);

    let done = erase(&world.broker, &["u1", "--wait", &url]).await?;
    assert_eq!((done.code, &*done.said), (Some(0), ""), "{done:?}");
    golden::assert("erase.txt", &done.output.replace(&url, "URL"));
    let erased = |document: &str| {
        let subject = format!("identity.v1.u1.{document}");
        (subject, format!("app.connvo.{document}.erased.v1"))
    };
    let expected = ["profile", "profile", "user"].map(erased);
    assert_eq!(left(&world.broker, "u1").await?, expected);
    let parked = service.client.operator("/quarantine?user=u1").await?.1;
    assert!(parked.contains("\"records\":[]"), "{parked}");
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.body["value"]["displayName"], "Heir");
    let answer = service.client.query(Some(&world.token("user_b")?)).await?;
    assert_eq!(answer.body["value"]["displayName"], name_of("u2"));

    is_same_in_a_rebuild(&world, service).await
}

/// The stream that is left gives the same rows, in a file that never held the person's name.
async fn is_same_in_a_rebuild(world: &World, service: Service) -> anyhow::Result<()> {
    let status = service.client.status().await?;
    let rebuilt = world.serve("rebuilt").await?;
    let same = rebuilt
        .applied(status["applied_sequence"].as_u64().unwrap())
        .await?;
    assert_eq!(same["digest"], status["digest"]);
    rebuilt.stop().await?;
    assert!(!in_file(&world.data("rebuilt"), "Secretname of u1"));
    assert!(in_file(&world.data("rebuilt"), "Secretname of u2"));
    // A restart recognises the stream by what is left of it.
    service.stop().await?;
    let service = world.serve("model").await?;
    let live = service.status_when("live", |status| status["phase"] == "live");
    assert_eq!(live.await?["digest"], status["digest"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_goes_on_where_it_was_interrupted_and_can_be_repeated() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    // An earlier run had published the last erasure, and ended.
    let mut messages = traces("u2", "user_b");
    messages.push(user_erased("u2", 2).message(Form::Binary));
    world.broker.publish(messages).await?;
    let done = erase(&world.broker, &["u2", "--json", "--wait", &url]).await?;
    let done: Value = serde_json::from_str(&done.output)?;
    let ids: Vec<_> = done["published"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["id"])
        .collect();
    assert_eq!(ids, ["profile:u2-p1:4", "profile:u2-p2:2"]);
    assert_eq!(
        (&done["deleted"], &done["left_in_stream"]),
        (&json!(9), &json!(0))
    );
    assert_eq!(done["services"][0]["is_erased"], true);
    assert_eq!(left(&world.broker, "u2").await?.len(), 3);

    // A producer that does not know it yet: nothing is shown, and another run removes it.
    let late = profile_state("u2", "u2-p1", 9, &named(NAME)).message(Form::Binary);
    let last = world.broker.publish([late]).await?;
    let status = service.applied(last).await?;
    assert_eq!(status["outcomes"]["resurrect"], 1);
    let again = erase(&world.broker, &["u2", "--wait", &url]).await?;
    let said = "user u2: published nothing, the erasures are there\ndeleted 1 message from the stream; 0 are left\n";
    assert!(again.output.starts_with(said), "{again:?}");
    let again = erase(&world.broker, &["u2"]).await?;
    assert_eq!(again.code, Some(0));

    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_with_an_erasure_is_one_line_that_says_what_to_do() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    world.broker.publish(traces("u1", "user_a")).await?;
    let mut told = String::new();
    let other = ["u1", "--stream", "OTHER"];
    let wait = ["u1", "--wait", "http://127.0.0.1:9", "--wait-seconds", "0"];
    let cases: [&[&str]; 5] = [&["u 1"], &["u9"], &["u9", "--wait", &url], &other, &wait];
    for arguments in cases {
        let ended = erase(&world.broker, arguments).await?;
        assert_eq!((ended.code, &*ended.output), (Some(1), ""), "{arguments:?}");
        told.push_str(&ended.said);
    }
    assert_eq!(left_count(&world.broker).await?, 9, "nothing was published");

    let undeletable = Broker::without_stream().await?;
    let text = tests::broker::project_file("deploy/nats/stream.json")?;
    let mut config: async_nats::jetstream::stream::Config = serde_json::from_str(&text)?;
    config.deny_delete = true;
    undeletable.jetstream().await?.create_stream(config).await?;
    undeletable
        .publish([user_state("u1", 1, "w").message(Form::Binary)])
        .await?;
    let ended = erase(&undeletable, &["u1"]).await?;
    told.push_str(&ended.said);
    let told = told.replace(&world.broker.server.url(), "nats://127.0.0.1:PORT");
    golden::assert("erase_errors.txt", &told);
    Ok(())
}

async fn left_count(broker: &Broker) -> anyhow::Result<u64> {
    let stream = broker.jetstream().await?.get_stream(STREAM).await?;
    Ok(stream.cached_info().state.messages)
}
