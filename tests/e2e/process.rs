//! Starting and stopping: one-line errors, clean ends, nothing personal in the log.

use domain::testing::{Form, named, profile_state, user_state};
use std::time::Duration;
use tests::service::run_to_end;
use tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_well_and_soon() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    assert!(service.stop().await? < Duration::from_secs(10));
    // It says so to the broker: no consumer is left behind.
    let stream = world
        .broker
        .jetstream()
        .await?
        .get_stream("IDENTITY_EVENTS")
        .await?;
    assert_eq!(stream.get_info().await?.state.consumer_count, 0);
    Ok(())
}

/// Runs `serve` with these flags; it has to fail with one line that holds `expected`.
async fn refused(world: &World, flags: &[&str], expected: &[&str]) -> anyhow::Result<()> {
    let auth_config = world.issuer.auth_config();
    let mut arguments = vec!["serve", "--log-format", "json"];
    arguments.extend(["--auth-config", auth_config.to_str().unwrap()]);
    arguments.extend(flags);
    let (code, said) = run_to_end(&arguments).await?;
    assert_eq!(code, Some(1), "{said}");
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{said}");
    for part in expected {
        assert!(errors[0].contains(part), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said_in_one_line() -> anyhow::Result<()> {
    let world = World::new().await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let data = world.data("refused");
    let data = data.to_str().unwrap();
    let flags = ["--data-dir", data, "--listen", &taken];
    refused(
        &world,
        &flags,
        &["cannot listen on", "choose another --listen"],
    )
    .await?;
    let file = world.data("file");
    std::fs::write(&file, "")?;
    let below = file.join("below");
    let flags = ["--data-dir", below.to_str().unwrap()];
    refused(&world, &flags, &["cannot create the folder", "--data-dir"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_reaches_the_log() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world
        .serve_from(&world.broker.server.url(), "model", &["--log", "trace"])
        .await?;
    let secret = "Marker-of-a-profile-text";
    let sub = "user_marker_of_a_subject";
    let conflicting = profile_state("u1", "p1", 1, &named(&format!("{secret} again")));
    let sequence = world
        .broker
        .publish([
            user_state("u1", 1, sub).message(Form::Binary),
            profile_state("u1", "p1", 1, &named(secret)).message(Form::Binary),
            conflicting.message(Form::Structured),
            domain::testing::Message::bare("identity.v1.u1.profile", format!("[\"{secret}\"]")),
        ])
        .await?;
    let token = world.token(sub)?;
    let answer = service.client.query_from(&token, sequence).await?;
    assert_eq!(answer.body["value"]["displayName"], secret);
    service.client.query(Some(&format!("{token}x"))).await?;
    let status = service.client.status().await?.to_string();
    let metrics = service.client.operator("/metrics").await?.1;
    let log = service.log.clone();
    service.stop().await?;
    let log = std::fs::read_to_string(log)?;
    assert!(log.lines().count() > 5, "{log}");
    let signature = token.rsplit('.').next().unwrap();
    for text in [&log, &status, &metrics] {
        for personal in [secret, sub, &token, signature, "@example.com"] {
            assert!(!text.contains(personal), "{personal} stands in\n{text}");
        }
    }
    Ok(())
}
