//! What the stream comes to, at its tail and earlier, from the command line.

use domain::testing::{Form, Message, dropped, named, profile_patched, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::STREAM;
use tests::service::{Ended, Service, command};
use tests::world::World;

/// A stream of nine messages, whose seventh was deleted, and a service that has applied it.
async fn settled() -> anyhow::Result<(World, Service)> {
    let world = World::new().await?;
    let patch = profile_patched("u1", "p1", 9, &json!({"bio": "x"}));
    let messages = [
        user_state("u1", 1, "user_a").message(Form::Binary),
        profile_state("u1", "p1", 1, &named("Ada")).message(Form::Structured),
        patch.message(Form::Binary),
        Message::bare("identity.v1.u2.profile", [0xff, 0, b'{']),
        profile_state("u1", "p1", 2, &named("Grace")).message(Form::Bare),
        user_state("u1", 2, "user_b").message(Form::Binary),
        dropped("u2", 4).message(Form::Binary),
        profile_patched("u3", "p3", 2, &json!({})).message(Form::Binary),
        profile_state("u1", "p1", 3, &named("Joan")).message(Form::Binary),
    ];
    world.broker.publish(messages).await?;
    let jetstream = world.broker.jetstream().await?;
    jetstream
        .get_stream(STREAM)
        .await?
        .delete_message(7)
        .await?;
    let service = world.serve("model").await?;
    service.applied(9).await?;
    Ok((world, service))
}

async fn run(flags: &[&[&str]]) -> anyhow::Result<Ended> {
    command(&flags.concat()).await
}

fn name(answer: &Ended) -> Value {
    let value: Value = serde_json::from_str(&answer.output).unwrap();
    value["displayName"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn live_replayed_and_written_down_are_one_digest() -> anyhow::Result<()> {
    let (world, service) = settled().await?;
    let status = service.client.status().await?;
    let url = world.broker.server.url();
    let stream = ["replay", "--stream", "--nats-url", &url];
    let replayed = run(&[&stream, &["--json"]]).await?;
    let told: Value = serde_json::from_str(&replayed.output)?;
    assert_eq!(told["digest"], status["digest"], "{replayed:?}");
    assert_eq!((&told["sequence"], &told["users"]), (&json!(9), &json!(1)));
    // Written down and read again, gap, broken bytes and all.
    let file = world.data("stream.ndjson");
    let file = file.to_str().unwrap();
    let written = run(&[&stream, &["--write", file, "--digest"]]).await?;
    assert_eq!(written.output.trim(), status["digest"], "{written:?}");
    let again = run(&[&["replay", file, "--digest"]]).await?;
    assert_eq!(again.output, written.output, "{again:?}");
    let over = run(&[&stream, &["--write", file]]).await?;
    assert_eq!(over.code, Some(1), "no file is overwritten");
    // Expected answers, for any language.
    let now = service.client.query(Some(&world.token("user_b")?)).await?;
    let expected = world.data("expected.json");
    std::fs::write(&expected, now.body["value"].to_string())?;
    let expect = ["--as", "user_b", "--expect", expected.to_str().unwrap()];
    let right = run(&[&["replay", file], &expect]).await?;
    assert_eq!(right.code, Some(0), "{right:?}");
    let earlier = run(&[&["replay", file, "--until", "6"], &expect]).await?;
    assert_eq!(earlier.code, Some(1));
    let difference = r#"displayName: expected "Joan", is "Grace""#;
    assert!(earlier.said.contains(difference), "{earlier:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_has_its_answer() -> anyhow::Result<()> {
    let (world, service) = settled().await?;
    let url = world.broker.server.url();
    let as_of = async |whose: [&str; 2], when: [&str; 2]| {
        run(&[&["as-of", "--nats-url", &url], &whose, &when]).await
    };
    let a = ["--subject", "user_a"];
    assert_eq!(as_of(a, ["--sequence", "1"]).await?.output, "null\n");
    assert_eq!(name(&as_of(a, ["--sequence", "4"]).await?), "Ada");
    assert_eq!(name(&as_of(a, ["--sequence", "5"]).await?), "Grace");
    assert_eq!(as_of(a, ["--sequence", "6"]).await?.output, "null\n");
    let user = ["--user", "u1"];
    assert_eq!(name(&as_of(user, ["--sequence", "8"]).await?), "Grace");
    let now = service.client.query(Some(&world.token("user_b")?)).await?;
    let then = as_of(["--subject", "user_b"], ["--time", "2999-01-01T00:00:00Z"]).await?;
    assert_eq!(
        serde_json::from_str::<Value>(&then.output)?,
        now.body["value"]
    );
    let before = as_of(user, ["--time", "2020-01-01T00:00:00Z"]).await?;
    assert_eq!(before.output, "null\n", "{before:?}");
    let beyond = as_of(user, ["--sequence", "10"]).await?;
    assert_eq!(beyond.code, Some(1));
    assert!(beyond.said.contains("the stream ends at 9"), "{beyond:?}");
    let nonsense = as_of(user, ["--time", "noon"]).await?;
    assert!(nonsense.said.contains("noon is neither"), "{nonsense:?}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_none_names_its_line() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.ndjson");
    std::fs::write(&file, "\n{\"specversion\":\"1.0\"}\n")?;
    let ended = command(&["replay", file.to_str().unwrap()]).await?;
    assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""));
    assert!(ended.said.contains("line 2: "), "{ended:?}");
    Ok(())
}

/// A state whose data has so many bytes, as it is written.
fn of_size(form: Form, user: &str, bytes: usize) -> Message {
    let profile = format!("p-{user}");
    let small = profile_state(user, &profile, 1, &named(""))
        .data
        .to_string();
    let name = "x".repeat(bytes - small.len());
    profile_state(user, &profile, 1, &named(&name)).message(form)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_data_is_judged_alike_by_all_and_every_written_line_is_read()
-> anyhow::Result<()> {
    const LIMIT: usize = domain::DATA_BYTES_MAX;
    let world = World::new().await?;
    let mut messages = Vec::new();
    for (number, form) in Form::ALL.into_iter().enumerate() {
        messages.push(of_size(form, &format!("fits{number}"), LIMIT));
        messages.push(of_size(form, &format!("not{number}"), LIMIT + 1));
    }
    let odd = |body: Vec<u8>| Message::bare("identity.v1.odd.profile", body);
    messages.extend([
        odd(vec![1; LIMIT]),
        odd(vec![b'"'; 900_000]),
        odd(vec![0xff; 900_000]),
    ]);
    let last = world.broker.publish(&messages).await?;
    let service = world.serve("model").await?;
    let status = service.applied(last).await?;
    assert_eq!(
        (&status["profiles"], &status["parked_records"]),
        (&json!(3), &json!(6))
    );

    let (url, file) = (world.broker.server.url(), world.data("stream.ndjson"));
    let file = file.to_str().unwrap();
    let stream = ["replay", "--stream", "--nats-url", &url];
    let written = run(&[&stream, &["--write", file, "--digest"]]).await?;
    assert_eq!(written.output.trim(), status["digest"], "{written:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file)?.permissions());
    assert_eq!(mode & 0o777, 0o600);
    let refused = run(&[&stream, &["--write", file]]).await?;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.said.contains("cannot be made: File exists"),
        "{refused:?}"
    );

    let again = run(&[&["replay", file, "--digest"]]).await?;
    assert_eq!(again.output.trim(), status["digest"], "{again:?}");
    assert_eq!(again.code, Some(0));
    let strict = run(&[&["replay", file, "--strict"]]).await?;
    assert_eq!(strict.code, Some(1), "six are parked");
    let checked = run(&[&["check", file]]).await?;
    assert!(
        checked.output.contains("9 events checked, 6 invalid"),
        "{checked:?}"
    );
    let other = World::new().await?;
    let published = run(&[&["publish", file, "--nats-url", &other.broker.server.url()]]).await?;
    assert!(
        published.output.contains("3 new, 0 duplicates, 6 refused"),
        "{published:?}"
    );

    // The same as events, one a line.
    let event = |bytes: usize| of_size(Form::Structured, "line", bytes).payload;
    let events = world.data("events.ndjson");
    for (bytes, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
        std::fs::write(&events, event(bytes))?;
        let events = events.to_str().unwrap();
        let code = Some(i32::from(!fits));
        for way in [&["check", events][..], &["replay", events, "--strict"]] {
            let ended = command(way).await?;
            assert_eq!(ended.code, code, "{bytes} {way:?} {ended:?}");
        }
    }
    Ok(())
}
