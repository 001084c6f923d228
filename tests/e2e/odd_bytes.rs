//! Records that no client library would send: stored by a real server, and read past by everything.

use std::net::SocketAddr;

use domain::block_of;
use domain::testing::{Form, Message, named, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::STREAM;
use tests::raw::RawPublisher;
use tests::service::command;
use tests::world::World;

/// Header blocks that servers store. None is one of the contract.
const BLOCKS: [&[u8]; 14] = [
    b"NATS/1.0\r\nuser name: x\r\n\r\n",
    b"NATS/1.0\r\nx-from: M\xfcller\r\n\r\n",
    b"NATS/1.0\r\nce-id: M\xfcller\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\rb\r\n\r\n",
    b"NATS/1.0\r\nx: a\rb\r\n\r\n",
    b"NATS/1.0 404 No Messages\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 77\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/2.0\r\nce-id: x\r\n\r\n",
    b"no version line",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\n: no name\r\n\r\n",
    b"NATS/1.0\r\na: b\r\n\r\nc: d\r\n\r\n",
    b"\0\xff\xfe\r\n",
];

/// What no list names: blocks of any bytes, some close to real ones.
fn generated(number: u32) -> Vec<u8> {
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut block = block_of([("ce-id", "profile:p1:1"), ("x-note", "seen")]);
    for _ in 0..=next() % 4 {
        let at = usize::try_from(next()).unwrap() % block.len();
        block[at] = next().to_le_bytes()[0];
    }
    // The server ends a header block nowhere else than we say, so any bytes are one.
    block
}

async fn publish(world: &World) -> anyhow::Result<u64> {
    let server: SocketAddr = world
        .broker
        .server
        .url()
        .trim_start_matches("nats://")
        .parse()?;
    let mut raw = RawPublisher::connect(server).await?;
    let good = |message: Message| async { world.broker.publish([message]).await };
    good(user_state("odd", 1, "user_odd").message(Form::Binary)).await?;
    good(user_state("u1", 1, "user_a").message(Form::Binary)).await?;
    for block in BLOCKS {
        raw.publish(b"identity.v1.odd.profile", block, b"{}")
            .await?;
    }
    // A subject with a space that only Unicode knows, with and without headers.
    let subject = "identity.v1.u\u{a0}1.profile".as_bytes();
    raw.publish(subject, b"NATS/1.0\r\na: b\r\n\r\n", b"{}")
        .await?;
    raw.publish(subject, b"", b"{}").await?;
    for number in 0..300 {
        raw.publish(
            format!("identity.v1.odd{}.profile", number % 2).as_bytes(),
            &generated(number),
            b"{}",
        )
        .await?;
    }
    raw.settle().await?;
    good(profile_state("u1", "p9", 1, &named("Ada")).message(Form::Binary)).await?;
    let mut stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    Ok(stream.info().await?.state.last_sequence)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_are_a_record() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("live").await?;
    let last = publish(&world).await?;
    assert!(317 < last, "the server stores them all: {last}");
    service.applied(last).await?;
    let live = service.client.status().await?;
    assert_eq!((&live["users"], &live["profiles"]), (&json!(2), &json!(1)));
    let parked = live["parked_records"].as_u64().unwrap();
    assert!(300 < parked, "{live}");
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.body["value"]["displayName"], "Ada");

    // Each is shown with its place, and its reason names a line of the block.
    let admin = format!("http://{}", service.client.admin);
    let shown = command(&["quarantine", "show", "3", "--admin", &admin]).await?;
    assert!(
        shown.output.contains("line 2 of the header block"),
        "{shown:?}"
    );

    // A restart, a fresh replica, a rebuild and a replay come to the same.
    service.stop().await?;
    let again = world.serve("live").await?;
    again.applied(last).await?;
    assert_eq!(again.client.status().await?["digest"], live["digest"]);
    let fresh = world.serve("fresh").await?;
    fresh.applied(last).await?;
    assert_eq!(fresh.client.status().await?["digest"], live["digest"]);
    let rebuilt = command(&[
        "rebuild",
        "--admin",
        &format!("http://{}", again.client.admin),
    ])
    .await?;
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
    assert_eq!(again.client.status().await?["digest"], live["digest"]);
    let url = world.broker.server.url();
    let file = world.data("stream.ndjson");
    let file = file.to_str().unwrap();
    let stream = [
        "replay",
        "--stream",
        "--nats-url",
        &url,
        "--write",
        file,
        "--json",
    ];
    let replayed = command(&stream).await?;
    let replayed: Value = serde_json::from_str(&replayed.output)?;
    assert_eq!(replayed["digest"], live["digest"]);
    let from_file = command(&["replay", file, "--digest"]).await?;
    assert_eq!(from_file.output.trim(), live["digest"], "{from_file:?}");

    // The next whole state heals the document.
    let healed = profile_state("odd", "p1", 1, &named("Healed")).message(Form::Binary);
    let last = world.broker.publish([healed]).await?;
    again.applied(last).await?;
    let status = again.client.status().await?;
    assert_eq!(
        (&status["parked_records"], &status["profiles"]),
        (&json!(302), &json!(2))
    );
    Ok(())
}
