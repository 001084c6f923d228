//! A broker gone mad: whatever it sends, memory stays bounded, `/status` says why nothing moves, and everything
//! goes on as soon as it is sane.

use std::time::{Duration, Instant};

use domain::testing::{Form, Message, named, profile_state, user_state};
use serde_json::Value;
use tests::garbler::{Garbler, Spoils};
use tests::service::Service;
use tests::world::World;

/// Told within 15 s; the rest is this machine's.
const TOLD_WITHIN: Duration = Duration::from_secs(20);
const MEMORY_MAX: u64 = 512 * 1024 * 1024;

const INFO: &[u8] =
    b"INFO {\"server_id\":\"x\",\"version\":\"2.12.0\",\"max_payload\":1048576}\r\n";

/// What it sends to a service that was live, each with whether that must stop it. What comes in the stead of a
/// record does not: the record is asked for by itself.
const SENT: [(&str, Spoils, bool); 25] = [
    ("garbage", Spoils::Before(b"\0\xff\xfe garbage\r\n"), true),
    (
        "another protocol",
        Spoils::Before(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        true,
    ),
    (
        "a length of 2^64-1",
        Spoils::Before(b"MSG x 1 18446744073709551615\r\n"),
        true,
    ),
    (
        "headers of 2^64-1",
        Spoils::Before(b"HMSG x 1 18446744073709551615 18446744073709551615\r\n"),
        true,
    ),
    (
        "a length of 2^63",
        Spoils::Before(b"MSG x 1 9223372036854775808\r\n"),
        true,
    ),
    (
        "a length of many digits",
        Spoils::Before(b"MSG x 1 999999999999999999999999999\r\n"),
        true,
    ),
    ("a negative length", Spoils::Before(b"MSG x 1 -1\r\n"), true),
    ("no length", Spoils::Before(b"MSG x 1\r\n"), true),
    (
        "headers longer than all",
        Spoils::Before(b"HMSG x 1 12 3\r\nabc\r\n"),
        true,
    ),
    (
        "a body longer than said",
        Spoils::Before(b"MSG x 1 1\r\nabcdef\r\n"),
        true,
    ),
    ("it stops in a line", Spoils::Instead(b"HMSG $JS.API"), true),
    (
        "it stops in a body",
        Spoils::Instead(b"HMSG x 1 12 1000000\r\nNATS/1.0"),
        true,
    ),
    (
        "a line without end",
        Spoils::Endless(b"INFO {\"server_id\":\""),
        true,
    ),
    (
        "a body without end",
        Spoils::Endless(b"MSG x 1 67000000\r\n"),
        true,
    ),
    (
        "an answer's line without end",
        Spoils::EndlessAnswer(b"MSG _INBOX"),
        true,
    ),
    (
        "an answer without end",
        Spoils::EndlessAnswer(b"MSG x 1 67000000\r\n"),
        true,
    ),
    (
        "an answer of 2^64-1 bytes",
        Spoils::EndlessAnswer(b"MSG x 1 18446744073709551615\r\n"),
        true,
    ),
    (
        "an answer whose headers are all of it",
        Spoils::EndlessAnswer(b"HMSG x 1 67000000 67000000\r\nNATS/1.0 "),
        true,
    ),
    (
        "answers that nobody asked for",
        Spoils::Before(b"MSG _INBOX.a.1 1 2\r\n{}\r\n"),
        false,
    ),
    (
        "a record of another stream",
        Spoils::Before(b"MSG identity.v1.u1.user 1 $JS.ACK.OTHER.c.1.1.1.1.0 2\r\n{}\r\n"),
        false,
    ),
    (
        "a reply that is no place",
        Spoils::Before(b"MSG identity.v1.u1.user 1 $JS.ACK.x 2\r\n{}\r\n"),
        false,
    ),
    (
        "a status that nobody knows",
        Spoils::Before(b"HMSG x 1 22 22\r\nNATS/1.0 799 Mad\r\n\r\n\r\n"),
        false,
    ),
    ("nothing, to connections", Spoils::Says(b""), true),
    ("its INFO and no PONG", Spoils::Says(INFO), true),
    ("an INFO that is none", Spoils::Says(b"INFO {{{\r\n"), true),
];

fn change(version: u64) -> Message {
    profile_state("u1", "p1", version, &named(&format!("Ada {version}"))).message(Form::Binary)
}

fn is_told(status: &Value) -> bool {
    let is_cut_off = status["connection"] != "connected";
    (is_cut_off || status["reason"].is_string()) && status["detail"].is_string()
}

async fn live(service: &Service, last: u64) -> anyhow::Result<()> {
    service.applied(last).await?;
    service
        .status_when("live and well", |status| {
            status["phase"] == "live" && status["connection"] == "connected" && !is_told(status)
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_bounded_named_and_recovered_from() -> anyhow::Result<()> {
    let world = World::new().await?;
    let garbler = Garbler::before(world.broker.server.port()).await?;
    let service = world.serve_from(&garbler.nats_url(), "model", &[]).await?;
    let user = user_state("u1", 1, "user_a").message(Form::Binary);
    live(&service, world.broker.publish([user]).await?).await?;
    for (version, (name, spoils, stands_still)) in (1..).zip(SENT) {
        garbler.set(spoils);
        let last = world.broker.publish([change(version)]).await?;
        let since = Instant::now();
        let status = service
            .status_when(name, |status| {
                is_told(status) || (!stands_still && status["applied_sequence"] == last)
            })
            .await?;
        let told = since.elapsed();
        let memory = service.memory_bytes()?;
        garbler.set(Spoils::Nothing);
        let since = Instant::now();
        live(&service, last).await?;
        println!(
            "{name}: told after {:.1} s ({} {}: {}), {} MiB at most, back in {:.1} s",
            told.as_secs_f64(),
            status["connection"],
            status["reason"],
            status["detail"],
            memory / 1024 / 1024,
            since.elapsed().as_secs_f64()
        );
        assert!(told < TOLD_WITHIN, "{name}: {told:?}");
        assert!(memory < MEMORY_MAX, "{name}: {memory}");
    }
    Ok(())
}

/// Nobody answers where the service starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_why_nothing_comes() -> anyhow::Result<()> {
    let world = World::new().await?;
    let garbler = Garbler::before(world.broker.server.port()).await?;
    for (at, says) in [&b""[..], INFO, b"INFO {{{\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"]
        .into_iter()
        .enumerate()
    {
        garbler.set(Spoils::Says(says));
        let since = Instant::now();
        let service = world
            .serve_from(&garbler.nats_url(), &format!("model{at}"), &[])
            .await?;
        let status = service.status_when("a reason", is_told).await?;
        let told = since.elapsed();
        println!(
            "{}: after {told:?}: {}",
            says.escape_ascii(),
            status["detail"]
        );
        assert!(told < TOLD_WITHIN, "{told:?}");
        garbler.set(Spoils::Nothing);
        live(&service, 0).await?;
    }
    Ok(())
}
