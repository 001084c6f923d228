//! The service killed in the middle of a stream.

use domain::testing::{Form, Message, named, profile_state, user_state};
use tests::broker::eventually;
use tests::service::SOON;
use tests::world::World;

/// 100,000 events of 5,000 users.
fn history() -> impl Iterator<Item = Message> {
    (0..100_000_u64).map(|number| {
        let person = number % 5_000;
        let (user, round) = (format!("u{person}"), number / 5_000);
        if round == 0 {
            user_state(&user, 1, &format!("user_{person}")).message(Form::Binary)
        } else {
            let members = named(&format!("Person {person} in round {round}"));
            profile_state(&user, &format!("p{person}"), round, &members).message(Form::Binary)
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_it_ends_in_the_same_answers() -> anyhow::Result<()> {
    let world = World::new().await?;
    let publishing = world.broker.publish(history());
    let killing = async {
        // Killed again and again while events come and are applied.
        let mut seen = Vec::new();
        for target in [1, 2_000, 10_000, 30_000, 60_000] {
            let service = world.serve("killed").await?;
            let applied = eventually("progress", SOON * 6, async || {
                let status = service.client.status().await.ok()?;
                status["applied_sequence"]
                    .as_u64()
                    .filter(|applied| target <= *applied)
            });
            seen.push(applied.await?);
            service.kill().await?;
        }
        anyhow::Ok(seen)
    };
    let (last, killed_at) = tokio::try_join!(publishing, killing)?;
    assert_eq!(last, 100_000);
    let killed = world.serve("killed").await?;
    let undisturbed = world.serve("undisturbed").await?;
    let status = killed.applied(last).await?;
    let expected = undisturbed.applied(last).await?;
    println!("killed at {killed_at:?}");
    for member in [
        "digest",
        "users",
        "profiles",
        "outcomes",
        "applied_sequence",
    ] {
        assert_eq!(status[member], expected[member], "{member}");
    }
    for person in (0..5_000).step_by(499) {
        let token = world.token(&format!("user_{person}"))?;
        let answer = killed.client.query(Some(&token)).await?;
        assert_eq!(answer, undisturbed.client.query(Some(&token)).await?);
        let name = format!("Person {person} in round 19");
        assert_eq!(answer.body["value"]["displayName"], name, "{answer:?}");
    }
    Ok(())
}
