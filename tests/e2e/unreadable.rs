//! A message that does not come as the server sends it: read by itself, or named everywhere.

use domain::testing::{Form, Message, named, profile_state, user_state};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::garbler::{Garbler, Spoils};
use tests::service::{Ended, Service, command};
use tests::world::World;

const EVENTS: u64 = 40;
/// A place amid them.
const PLACE: u64 = 21;

fn events() -> impl Iterator<Item = Message> {
    let change = |version: u64| {
        let members = named(&format!("Ada {version}"));
        profile_state("u1", "p1", version, &members).message(Form::Binary)
    };
    let user = user_state("u1", 1, "user_a").message(Form::Structured);
    std::iter::once(user).chain((1..EVENTS).map(change))
}

async fn world() -> anyhow::Result<(World, Garbler)> {
    let world = World::new().await?;
    let garbler = Garbler::before(world.broker.server.port()).await?;
    world.broker.publish(events()).await?;
    Ok((world, garbler))
}

async fn digest(service: &Service) -> anyhow::Result<Value> {
    Ok(service.client.status().await?["digest"].clone())
}

/// Commands that read the stream, and the service's jobs.
async fn commands(garbler: &Garbler, service: &Service) -> anyhow::Result<[Ended; 4]> {
    let (url, admin) = (
        garbler.nats_url(),
        format!("http://{}", service.client.admin),
    );
    Ok([
        command(&["replay", "--stream", "--nats-url", &url, "--digest"]).await?,
        command(&[
            "as-of",
            "--nats-url",
            &url,
            "--user",
            "u1",
            "--sequence",
            "40",
        ])
        .await?,
        command(&["verify", "--admin", &admin]).await?,
        command(&["rebuild", "--admin", &admin]).await?,
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_broken_each_time_stops_nobody() -> anyhow::Result<()> {
    let (world, garbler) = world().await?;
    garbler.set(Spoils::Delivery(PLACE));
    let service = world.serve_from(&garbler.nats_url(), "behind", &[]).await?;
    service.applied(EVENTS).await?;
    let plain = world.serve("plain").await?;
    plain.applied(EVENTS).await?;
    assert_eq!(digest(&service).await?, digest(&plain).await?);
    let status = service.client.status().await?;
    assert_eq!(status["outcomes"], json!({"applied": EVENTS}), "{status}");
    let log = std::fs::read_to_string(&service.log)?;
    let said = format!("message {PLACE} could not be read with others");
    assert_eq!(log.matches(&said).count(), 1, "{log}");
    for ended in commands(&garbler, &service).await? {
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    // So does one that comes while it is live.
    garbler.set(Spoils::Delivery(EVENTS + 1));
    let healed = profile_state("u1", "p1", EVENTS, &named("Last")).message(Form::Binary);
    world.broker.publish([healed]).await?;
    service.applied(EVENTS + 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nothing_gives_is_named_by_everything() -> anyhow::Result<()> {
    let (world, garbler) = world().await?;
    garbler.set(Spoils::DeliveryAndAnswer(PLACE));
    let url = garbler.nats_url();
    let service = world.serve_from(&url, "behind", &[]).await?;
    let named = format!("the first message from {PLACE} on cannot be read");
    let status = service
        .status_when("the place", |status| {
            status["reason"] == "message_unreadable"
        })
        .await?;
    assert_eq!(status["phase"], "blocked", "{status}");
    assert_eq!(status["connection"], "connected", "{status}");
    assert_eq!(status["applied_sequence"], PLACE - 1, "{status}");
    assert!(
        status["detail"].as_str().unwrap().contains(&named),
        "{status}"
    );
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["value"]["displayName"], "Ada 19");

    // Doctor, of a service that runs.
    let (folder, admin) = (
        world.data("behind"),
        format!("http://{}", service.client.admin),
    );
    let folder = folder.to_str().unwrap();
    let arguments = [
        "doctor",
        "--nats-url",
        &url,
        "--data-dir",
        folder,
        "--admin",
        &admin,
    ];
    let said = command(&arguments).await?;
    let is_danger = said.output.lines().any(|line| {
        line.starts_with("danger   read model: blocked: message_unreadable")
            && line.contains(&named)
    });
    assert!(is_danger, "{said:?}");

    // Commands that read all of it, beside rows that were read before.
    garbler.set(Spoils::Nothing);
    service.applied(EVENTS).await?;
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    let log = std::fs::read_to_string(&service.log)?;
    assert_eq!(log.matches("nothing more is applied").count(), 1, "{log}");
    garbler.set(Spoils::DeliveryAndAnswer(PLACE));
    for ended in commands(&garbler, &service).await? {
        assert_ne!(ended.code, Some(0), "{ended:?}");
        let all = format!("{}{}", ended.output, ended.said);
        assert!(all.contains(&named), "{ended:?}");
    }
    let status = service.client.status().await?;
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("live"), &Value::Null)
    );
    Ok(())
}
