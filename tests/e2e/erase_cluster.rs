//! `erase` on three copies of the stream whose leader steps down meanwhile.

use std::time::Duration;

use domain::testing::{Form, Message, named, profile_state, user_state};
use serde_json::Value;
use tests::broker::{Broker, STREAM, publish};
use tests::cluster::Cluster;
use tests::service::command;
use tests::world::World;

const USERS: u64 = 20;
const ERASED: u64 = 5;

fn events() -> Vec<Message> {
    let of_user = |user| {
        let (id, profile) = (format!("u{user}"), format!("p{user}"));
        let identity = user_state(&id, 1, &format!("w{user}")).message(Form::Binary);
        let states = (1..=20).map(move |version| {
            let name = named(&format!("Secret{user}"));
            profile_state(&id, &profile, version, &name).message(Form::Binary)
        });
        std::iter::once(identity).chain(states).collect::<Vec<_>>()
    };
    (0..USERS).flat_map(of_user).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_whole_though_leaders_step_down() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let world = World::of(Broker::without_stream().await?)?;
    let jetstream = cluster.jetstream().await?;
    let last = publish(&jetstream, events()).await?;
    let urls = cluster.urls();
    let service = world.serve_from(&urls, "model", &[]).await?;
    service.applied(last).await?;
    let admin = format!("http://{}", service.client.admin);
    let (mut changes, mut again) = (0_u32, 0);
    for user in 0..ERASED {
        let user = format!("u{user}");
        loop {
            let arguments = [
                "erase",
                &user,
                "--yes",
                "--request-id",
                "r",
                "--nats-url",
                &urls,
                "--wait",
                &admin,
            ];
            let erasing = command(&arguments);
            let mut erasing = std::pin::pin!(erasing);
            let mut pause = 40;
            let ended = loop {
                tokio::select! {
                    ended = &mut erasing => break ended?,
                    () = tokio::time::sleep(Duration::from_millis(pause)) => {
                        changes += u32::from(cluster.step_down().await);
                        pause = 700;
                    }
                }
            };
            if ended.code == Some(0) {
                break;
            }
            again += 1;
            assert!(again < 10, "{ended:?}");
        }
    }
    assert!(5 <= changes, "{changes} new leaders show little");
    let stream = jetstream.get_stream(STREAM).await?;
    let last = stream.cached_info().state.last_sequence;
    let status = service.applied(last).await?;
    let rebuilt = world.serve_from(&urls, "rebuilt", &[]).await?;
    let other = rebuilt.applied(last).await?;
    assert_eq!(status["digest"], other["digest"]);
    let mut left = 0;
    let mut sequence = 1;
    while let Ok(message) = stream
        .get_first_raw_message_by_subject("identity.v1.>", sequence)
        .await
    {
        sequence = message.sequence + 1;
        left += 1;
        let text = String::from_utf8_lossy(&message.payload);
        let erased = (0..ERASED).any(|user| text.contains(&format!("\"Secret{user}\"")));
        assert!(!erased, "{sequence}: {text}");
    }
    assert_eq!(left, (USERS - ERASED) * 21 + ERASED * 2);
    for user in 0..ERASED {
        let answer = service
            .client
            .query(Some(&world.token(&format!("w{user}"))?))
            .await?;
        assert_eq!(answer.body["value"], Value::Null);
    }
    Ok(())
}
