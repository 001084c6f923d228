//! `erase` deletes nothing before each erasure is proved stored, names whom it changes, and asks.

use async_nats::jetstream::message::StreamMessage;
use domain::testing::{
    Draft, Form, Message, dropped, named, profile_state, user_erased, user_state,
};
use serde_json::{Value, json};
use tests::broker::{Broker, STREAM, eventually};
use tests::service::{
    Ended, SOON, command, command_on_terminal, spawn_command, written_behind_a_question,
};
use tests::world::World;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn erase(broker: &Broker, more: &[&str]) -> anyhow::Result<Ended> {
    let url = broker.server.url();
    let arguments = ["erase", "--nats-url", &url, "--request-id", "r"];
    command(&[&arguments[..], more].concat()).await
}

/// Everything in the stream.
async fn stored(broker: &Broker) -> anyhow::Result<Vec<StreamMessage>> {
    let stream = broker.jetstream().await?.get_stream(STREAM).await?;
    let (mut found, mut sequence) = (Vec::new(), 1);
    while let Ok(message) = stream
        .get_first_raw_message_by_subject("identity.v1.>", sequence)
        .await
    {
        sequence = message.sequence + 1;
        found.push(message);
    }
    Ok(found)
}

/// Subjects and ids of what is in the stream.
async fn ids(broker: &Broker) -> anyhow::Result<Vec<(String, String)>> {
    let stored = stored(broker).await?;
    let of = |message: StreamMessage| {
        let id = message.headers.get("ce-id").map(ToString::to_string);
        (message.subject.to_string(), id.unwrap_or_default())
    };
    Ok(stored.into_iter().map(of).collect())
}

fn pair(subject: &str, id: &str) -> (String, String) {
    (subject.to_owned(), id.to_owned())
}

/// The rows of a service that read the stream as it is now.
async fn rebuilt(world: &World, name: &str) -> anyhow::Result<Value> {
    let last = world.broker.last_sequence().await?;
    let service = world.serve(name).await?;
    let status = service.applied(last).await?;
    service.stop().await?;
    Ok(status["digest"].clone())
}

/// An erasure that the fold does not take.
fn void_erasure(user: &str, version: u64) -> Message {
    let erased = user_erased(user, version);
    let data = json!({"entity": erased.data["entity"], "erasedAt": "yesterday"});
    Draft { data, ..erased }.message(Form::Binary)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_cannot_be_decoded_does_not_count() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    let messages = [
        user_state("u1", 1, "user_a").message(Form::Binary),
        profile_state("u1", "p1", 1, &named("Ada")).message(Form::Binary),
        void_erasure("u1", 2),
    ];
    let last = world.broker.publish(messages).await?;
    let status = service.applied(last).await?;
    assert_eq!(status["outcomes"]["parked{invalid}"], 1);
    let done = erase(&world.broker, &["u1", "--yes", "--wait", &url]).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let said = "1 of these messages call themselves erasures and erase nothing: they do not count, and go too\n";
    assert!(done.output.contains(said), "{done:?}");
    let expected = [
        pair("identity.v1.u1.profile", "profile:p1:2"),
        pair("identity.v1.u1.user", "user:u1:3"),
    ];
    assert_eq!(ids(&world.broker).await?, expected);
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.body["value"], Value::Null);
    let digest = service.client.status().await?["digest"].clone();
    assert_eq!(rebuilt(&world, "rebuilt").await?, digest);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_the_broker_knows_from_elsewhere_is_passed_over() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    let taken = |version: u64| {
        let id = format!("user:u1:{version}");
        Message::bare("identity.v1.u2.profile", "x").header("Nats-Msg-Id", &id)
    };
    let first = user_state("u1", 1, "user_a").message(Form::Binary);
    world.broker.publish([first, taken(2), taken(3)]).await?;
    let done = erase(&world.broker, &["u1", "--yes", "--wait", &url, "--json"]).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let report: Value = serde_json::from_str(&done.output)?;
    assert_eq!(report["published"][0]["id"], "user:u1:4");
    assert_eq!(report["services"][0]["is_erased"], true);

    // Where no id is free nothing is deleted, and it is said.
    let second = user_state("u3", 1, "user_c").message(Form::Binary);
    let taken = (2..10).map(|version| {
        let id = format!("user:u3:{version}");
        Message::bare("identity.v1.u2.profile", "x").header("Nats-Msg-Id", &id)
    });
    world
        .broker
        .publish([second].into_iter().chain(taken))
        .await?;
    let before = ids(&world.broker).await?;
    let failed = erase(&world.broker, &["u3", "--yes"]).await?;
    assert_eq!((failed.code, &*failed.output), (Some(1), ""));
    let said = "error: the erasure of user:u3 cannot be stored: the broker takes its ids for repetitions of other messages (the last: user:u3:9, message 13); no message was deleted: run it again when the stream's duplicate window is over\n";
    assert_eq!(failed.said, said);
    assert_eq!(ids(&world.broker).await?, before);
    Ok(())
}

/// Erases `u1`, who has an identity that others claimed: refused until it is accepted.
async fn changes_others(messages: &[Message], named: &str) -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    world.broker.publish(messages).await?;
    let before = ids(&world.broker).await?;
    let sentence = format!(
        "a rebuild without the messages of u1 changes the rows of {named}, who shared an identity with u1, directly or through others"
    );
    let refused = erase(&world.broker, &["u1", "--yes"]).await?;
    let said = format!(
        "error: {sentence}; nothing was published or deleted: add --accept-changes to erase nevertheless\n"
    );
    assert_eq!((refused.code, &*refused.said), (Some(1), &*said));
    assert_eq!(ids(&world.broker).await?, before);
    let dry = erase(&world.broker, &["u1", "--dry-run"]).await?;
    assert!(dry.output.contains(&sentence), "{dry:?}");

    let accepted = ["u1", "--yes", "--accept-changes", "--wait", &url, "--json"];
    let done = erase(&world.broker, &accepted).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let report: Value = serde_json::from_str(&done.output)?;
    assert_eq!(report["changed_by_rebuild"], json!([named]));
    let digest = service.client.status().await?["digest"].clone();
    assert_ne!(
        rebuilt(&world, "rebuilt").await?,
        digest,
        "it was named for nothing"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_rebuild_changes_is_named_where_a_registration_was_given_up() -> anyhow::Result<()> {
    let messages = [
        user_state("u1", 1, "user_a").message(Form::Binary),
        user_state("u2", 1, "user_a").message(Form::Binary),
        dropped("u2", 2).message(Form::Binary),
        user_state("u3", 1, "user_c").message(Form::Binary),
    ];
    changes_others(&messages, "u2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_rebuild_changes_is_named_where_somebody_moved_on() -> anyhow::Result<()> {
    let messages = [
        user_state("u1", 1, "user_a").message(Form::Binary),
        user_state("u2", 1, "user_a").message(Form::Binary),
        user_state("u2", 1, "user_b").message(Form::Structured),
        profile_state("u2", "p2", 1, &named("Eve")).message(Form::Binary),
    ];
    let mut messages = messages.to_vec();
    // The broker takes the second for a repetition of the first otherwise.
    for message in &mut messages {
        message.headers.retain(|(name, _)| name != "Nats-Msg-Id");
    }
    changes_others(&messages, "u2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_says_more_is_replaced_and_deleted() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    let mut erased = user_erased("u1", 2);
    erased.data["state"] = json!({"email": "ada.secretname"});
    let in_header = user_erased("u1", 3).message(Form::Binary);
    let messages = [
        user_state("u1", 1, "user_a").message(Form::Binary),
        erased.message(Form::Binary),
        in_header.header("X-Was", "ada.secretname"),
    ];
    let last = world.broker.publish(messages).await?;
    assert_eq!(service.applied(last).await?["outcomes"]["erased"], 2);
    let done = erase(&world.broker, &["u1", "--yes", "--wait", &url]).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let said = "user u1: published user:u1:4\ndeleted 3 messages from the stream; 0 are left\n2 of these messages say more than that a document is gone: they do not count as erasures, and go too\n";
    assert!(done.output.starts_with(said), "{done:?}");
    let expected = [pair("identity.v1.u1.user", "user:u1:4")];
    assert_eq!(ids(&world.broker).await?, expected);
    let digest = service.client.status().await?["digest"].clone();
    assert_eq!(rebuilt(&world, "rebuilt").await?, digest);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_headers_are_no_text_is_deleted_too() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    broker
        .publish([user_state("u1", 1, "user_a").message(Form::Binary)])
        .await?;
    let headers = b"NATS/1.0\r\nX-Name: M\xfcller\r\n\r\n";
    let length = headers.len();
    let mut raw = b"CONNECT {\"headers\":true,\"verbose\":false}\r\n".to_vec();
    raw.extend(format!("HPUB identity.v1.u1.profile {length} {length}\r\n").bytes());
    raw.extend(headers);
    raw.extend(b"\r\n");
    let mut socket = TcpStream::connect(("127.0.0.1", broker.server.port())).await?;
    socket.write_all(&raw).await?;
    eventually("the message", SOON, async || {
        let stream = broker.stream().await.ok()?;
        (stream.cached_info().state.messages == 2).then_some(())
    })
    .await?;
    let done = erase(&broker, &["u1", "--yes"]).await?;
    let said = "user u1: published user:u1:2\ndeleted 2 messages from the stream; 0 are left\n";
    assert!(done.output.starts_with(said), "{done:?}");
    assert_eq!(
        ids(&broker).await?,
        [pair("identity.v1.u1.user", "user:u1:2")]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_on_a_terminal_and_wants_a_flag_elsewhere() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    broker
        .publish([
            user_state("u1", 1, "user_a").message(Form::Binary),
            user_state("u2", 1, "user_a").message(Form::Binary),
            dropped("u2", 2).message(Form::Binary),
        ])
        .await?;
    let before = ids(&broker).await?;
    let refused = erase(&broker, &["u1", "--accept-changes"]).await?;
    let said = "error: erase asks before it deletes, and there is no terminal to ask on; nothing was published or deleted: look at it with --dry-run, and add --yes\n";
    assert_eq!((refused.code, &*refused.said), (Some(1), said));

    let url = broker.server.url();
    let arguments = ["erase", "--nats-url", &url, "--request-id", "r", "u1"];
    for typed in ["n\n", "\n", "y\nno\n"] {
        let ended = command_on_terminal(&arguments, typed).await?;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for text in [
            "1 message is deleted from the stream, for ever",
            "waits for no service; name each with --wait",
            "changes the rows of u2",
            "Erase user u1? [y/N]",
            "not confirmed: nothing was published or deleted",
        ] {
            assert!(ended.output.contains(text), "{text}: {ended:?}");
        }
        assert_eq!(ids(&broker).await?, before);
    }
    assert_eq!(written_behind_a_question(&arguments).await?, "");
    let ended = command_on_terminal(&arguments, "y\nyes\n").await?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.output.contains("Erase nevertheless? [y/N]"),
        "{ended:?}"
    );
    assert!(!ids(&broker).await?.contains(&before[0]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_deletes_it_is_finished_by_the_next_run() -> anyhow::Result<()> {
    const MESSAGES: u64 = 1000;
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let admin = format!("http://{}", service.client.admin);
    let states = (1..=MESSAGES)
        .map(|version| profile_state("u1", "p1", version, &named("Ada")).message(Form::Binary));
    let first = user_state("u1", 1, "user_a").message(Form::Binary);
    world
        .broker
        .publish([first].into_iter().chain(states))
        .await?;
    let url = world.broker.server.url();
    let arguments = [
        "erase",
        "--yes",
        "--nats-url",
        &url,
        "--request-id",
        "r",
        "u1",
    ];
    let mut child = spawn_command(&arguments)?;
    let left = eventually("some deletions", SOON, async || {
        let left = world
            .broker
            .stream()
            .await
            .ok()?
            .cached_info()
            .state
            .messages;
        (left < MESSAGES).then_some(left)
    })
    .await?;
    child.kill().await?;
    assert!(0 < left, "it was too quick");
    let done = erase(&world.broker, &["u1", "--yes", "--wait", &admin]).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.output.contains("published nothing"), "{done:?}");
    let id = format!("profile:p1:{}", MESSAGES + 1);
    let expected = [
        pair("identity.v1.u1.profile", &id),
        pair("identity.v1.u1.user", "user:u1:2"),
    ];
    assert_eq!(ids(&world.broker).await?, expected);
    let digest = service.client.status().await?["digest"].clone();
    assert_eq!(rebuilt(&world, "rebuilt").await?, digest);
    Ok(())
}

/// A service of another stream, or one that does not answer, is found before anything is final.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_published_for_a_service_that_cannot_apply_it() -> anyhow::Result<()> {
    let (here, elsewhere) = (World::new().await?, World::new().await?);
    let first = user_state("u1", 1, "user_a").message(Form::Binary);
    here.broker.publish([first.clone()]).await?;
    let last = elsewhere
        .broker
        .publish([user_state("u2", 1, "user_b").message(Form::Binary), first])
        .await?;
    let service = elsewhere.serve("model").await?;
    service.applied(last).await?;
    let url = format!("http://{}", service.client.admin);
    let before = ids(&here.broker).await?;
    let refused = erase(&here.broker, &["u1", "--yes", "--wait", &url]).await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.said.contains("nothing was published or deleted"),
        "{refused:?}"
    );
    assert!(
        refused.said.contains("it knows another stream"),
        "{refused:?}"
    );
    service.stop().await?;
    let unheard = erase(&here.broker, &["u1", "--yes", "--wait", &url]).await?;
    assert_eq!(unheard.code, Some(1), "{unheard:?}");
    assert!(
        unheard.said.contains("nothing was published or deleted"),
        "{unheard:?}"
    );
    assert_eq!(ids(&here.broker).await?, before);
    Ok(())
}
