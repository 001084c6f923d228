//! A bad event harms one document until its next whole state, and is seen.

use domain::testing::{Form, Message, dropped, named, profile_patched, profile_state, user_state};
use serde_json::json;
use tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_is_parked_with_its_reason_and_heals() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let profile = |version, name: &str| profile_state("u1", "p1", version, &named(name));
    world
        .broker
        .publish([
            user_state("u1", 1, "user_a").message(Form::Binary),
            profile(1, "Ada").message(Form::Binary),
            Message::bare("identity.v1.u1.profile", "not JSON"),
            profile_patched("u1", "p1", 2, &json!({"bio": "waits"})).message(Form::Binary),
            user_state("u2", 1, "user_b").message(Form::Binary),
            profile_state("u2", "p2", 1, &named("Grace")).message(Form::Binary),
        ])
        .await?;
    let status = service.applied(6).await?;
    assert_eq!(
        (&status["parked_lanes"], &status["parked_records"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(status["outcomes"]["parked{invalid}"], 1);
    assert_eq!(status["outcomes"]["parked{behind}"], 1);
    let name = async |sub: &str| {
        let answer = service.client.query(Some(&world.token(sub)?)).await?;
        anyhow::Ok(answer.body["value"]["displayName"].clone())
    };
    assert_eq!(
        (name("user_a").await?, name("user_b").await?),
        (json!("Ada"), json!("Grace"))
    );
    // The decision lets the patch behind it go on; the next whole state would have healed both.
    world
        .broker
        .publish([dropped("u1", 3).message(Form::Binary)])
        .await?;
    let status = service.applied(7).await?;
    assert_eq!(status["parked_records"], 0);
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.body["value"]["bio"], "waits");
    world
        .broker
        .publish([
            Message::bare("identity.v1.u1.profile", "{}"),
            profile(3, "Countess").message(Form::Binary),
        ])
        .await?;
    let status = service.applied(9).await?;
    assert_eq!(
        (&status["parked_records"], &status["outcomes"]["superseded"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(name("user_a").await?, json!("Countess"));
    Ok(())
}
