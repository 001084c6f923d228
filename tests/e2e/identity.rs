//! A stream is told from another by what it holds.

use domain::testing::{Form, Message, named, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::Broker;
use tests::older_server::MOVING_CREATED;
use tests::service::run_to_end;
use tests::world::World;

fn people(range: std::ops::Range<u64>) -> Vec<Message> {
    let states = range.flat_map(|n| {
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        [
            user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
            profile_state(&user, &profile, 1, &named("Somebody")).message(Form::Binary),
        ]
    });
    states.collect()
}

/// As servers before 2.14.6 do it: a restart, an edit, a restart.
async fn move_created(world: &mut World) -> anyhow::Result<()> {
    let created = async |world: &World| {
        let mut stream = world.broker.stream().await?;
        anyhow::Ok(stream.info().await?.created)
    };
    let before = created(world).await?;
    world.broker.server.restart().await?;
    let edited = |config: &mut async_nats::jetstream::stream::Config| {
        config.description = Some("edited".into());
    };
    world.broker.edit_stream(edited).await?;
    world.broker.server.restart().await?;
    anyhow::ensure!(created(world).await? != before, "it did not move");
    Ok(())
}

fn created(status: &Value) -> String {
    status["stream"]["created"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_creation_time_stops_nothing() -> anyhow::Result<()> {
    let binary = MOVING_CREATED.installed().await?;
    let mut world = World::of(Broker::of_build(binary).await?)?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..20)).await?;
    let before = service.applied(last).await?;
    let snapshot = world.data("before.snapshot").display().to_string();
    let (url, admin) = (
        world.broker.server.url(),
        format!("http://{}", service.client.admin),
    );
    let model = world.data("model").display().to_string();
    let words = ["snapshot", &snapshot, "--admin", &admin, "--nats-url", &url];
    let (code, said) = run_to_end(&[&words[..], &["--data-dir", &model]].concat()).await?;
    anyhow::ensure!(code == Some(0), "{said}");

    // While it runs; the tail itself is gone.
    world.broker.stream().await?.delete_message(last).await?;
    move_created(&mut world).await?;
    let last = world.broker.publish(people(20..25)).await?;
    let status = service.applied(last).await?;
    assert_eq!(status["phase"], "live", "{status}");
    assert_eq!(status["detail"], json!(null), "{status}");
    assert_ne!(created(&status), created(&before));
    service.stop().await?;

    // While it is away, and for a replica that begins with what was taken before.
    move_created(&mut world).await?;
    let service = world.serve("model").await?;
    let flags = ["--from-snapshot", &snapshot];
    let replica = world.serve_from(&url, "replica", &flags).await?;
    for service in [&service, &replica] {
        let status = service.applied(last).await?;
        assert_eq!(status["phase"], "live", "{status}");
    }
    let words = ["restore", &snapshot, "--nats-url", &url, "--data-dir"];
    let folder = world.data("restored").display().to_string();
    let (code, said) = run_to_end(&[&words[..], &[&folder]].concat()).await?;
    assert_eq!(code, Some(0), "{said}");

    // Really made anew, with the same events at the same places.
    let jetstream = world.broker.jetstream().await?;
    jetstream.delete_stream(tests::broker::STREAM).await?;
    world.broker.create_stream().await?;
    world.broker.publish(people(0..25)).await?;
    for service in [&service, &replica] {
        let refused = |status: &Value| status["reason"] == "stream_recreated";
        let status = service.status_when("refused", refused).await?;
        let detail = status["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains("when it was applied, now it says"),
            "{status}"
        );
    }
    Ok(())
}
