//! An event that was published is answered.

use domain::testing::{Form, named, profile_deleted, profile_state, user_deleted, user_state};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_in_each_form_becomes_an_answer() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    for (number, form) in [Form::Binary, Form::Structured, Form::Bare]
        .into_iter()
        .enumerate()
    {
        let (user, sub) = (format!("u{number}"), format!("user_{number}"));
        let sequence = world
            .broker
            .publish([
                user_state(&user, 1, &sub).message(form),
                profile_state(&user, &format!("p{number}"), 1, &named("Ada")).message(form),
            ])
            .await?;
        let answer = service
            .client
            .query_from(&world.token(&sub)?, sequence)
            .await?;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.sequence, Some(sequence));
        assert_eq!(answer.body["status"], "success");
        assert_eq!(answer.body["value"]["_id"], format!("p{number}"));
        assert_eq!(answer.body["value"]["userId"], user);
        assert_eq!(answer.body["value"]["displayName"], "Ada");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_seen_from_its_sequence_on() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let token = world.token("user_a")?;
    let profile = |version, name: &str| profile_state("u1", "p1", version, &named(name));
    let steps: Vec<(_, Value)> = vec![
        (profile(1, "Ada"), Value::Null),
        (user_state("u1", 1, "user_a"), json!("Ada")),
        (profile(2, "Countess"), json!("Countess")),
        (profile(1, "late"), json!("Countess")),
        (user_deleted("u1", 2), Value::Null),
        (user_state("u1", 3, "user_a"), json!("Countess")),
        (profile_deleted("u1", "p1", 3), Value::Null),
    ];
    for (step, (draft, expected)) in steps.into_iter().enumerate() {
        let sequence = world.broker.publish([draft.message(Form::Binary)]).await?;
        let answer = service.client.query_from(&token, sequence).await?;
        let name = answer.body["value"]
            .get("displayName")
            .cloned()
            .unwrap_or_default();
        assert_eq!(name, expected, "step {step}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_null_and_a_bad_one_an_error() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let none = service.client.query(None).await?;
    assert_eq!(
        (none.status, &none.body),
        (StatusCode::OK, &json!({"status":"success","value":null}))
    );
    let stranger = service
        .client
        .query(Some(&world.token("user_nobody")?))
        .await?;
    assert_eq!(
        (stranger.status, &stranger.body["value"]),
        (StatusCode::OK, &Value::Null)
    );
    let bad = service.client.query(Some("x.y.z")).await?;
    assert_eq!(bad.status, StatusCode::UNAUTHORIZED);
    assert_eq!(bad.body["code"], "InvalidAuthHeader");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_does_not_come_is_waited_for_and_then_said() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let answer = service
        .client
        .query_from(&world.token("user_a")?, 1_000)
        .await?;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body["code"], "ReadModelBehind");
    Ok(())
}
