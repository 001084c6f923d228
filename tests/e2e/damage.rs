//! A bit that flipped in a stored name is an error for who asks for it, and nobody's wrong answer.

use std::path::Path;

use domain::testing::{Form, Message, named, profile_state, user_state};
use read_model::Place;
use reqwest::StatusCode;
use serde_json::json;
use tests::service::{Ended, Service, command};
use tests::world::World;

const NAME: &str = "Somebody Unmistakable";

fn people() -> Vec<Message> {
    let person = |n: u64| {
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        let name = if n == 7 {
            NAME.to_owned()
        } else {
            format!("Person {n}")
        };
        [
            user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
            profile_state(&user, &profile, 1, &named(&name)).message(Form::Binary),
        ]
    };
    (0..40).flat_map(person).collect()
}

/// Flips one bit of each copy of the name in the file.
fn flip(folder: &Path) {
    let path = Place::Live.path(folder);
    let mut bytes = std::fs::read(&path).unwrap();
    let is_name = |window: &[u8]| window == NAME.as_bytes();
    let places = bytes.windows(NAME.len()).enumerate();
    let places = places.filter(|(_, window)| is_name(window));
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 3] ^= 0x10;
    }
    std::fs::write(&path, bytes).unwrap();
}

/// A command that is told the service's address.
async fn ask(service: &Service, words: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let admin = format!("http://{}", service.client.admin);
    let Ended { code, output, said } = command(&[words, &["--admin", &admin]].concat()).await?;
    Ok((code, output + &said))
}

/// `verify` names the row and `snapshot` refuses it, neither with what it holds.
async fn tools_name_it(world: &World, service: &Service, named_row: &str) -> anyhow::Result<()> {
    let (code, said) = ask(service, &["verify"]).await?;
    assert!(code == Some(1) && said.contains(named_row), "{said}");
    assert!(!said.contains("Unmistakable"), "{said}");
    let file = world.data("backup.snapshot");
    let data = world.data("model");
    let words = [
        "snapshot",
        file.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let (code, said) = ask(service, &words).await?;
    assert!(code == Some(1) && said.contains(named_row), "{said}");
    assert!(said.contains("rebuild"), "{said}");
    assert!(!file.exists());
    let names = world.data("model").read_dir()?;
    assert!(
        names
            .flatten()
            .all(|name| !name.file_name().to_string_lossy().contains("snapshot"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_an_error_named_everywhere_and_healed_by_a_rebuild() -> anyhow::Result<()>
{
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people()).await?;
    service.applied(last).await?;
    service.stop().await?;
    flip(&world.data("model"));

    let service = world.serve("model").await?;
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    let (theirs, others) = (world.token("user_7")?, world.token("user_8")?);
    let answer = service.client.query(Some(&theirs)).await?;
    assert_eq!(
        answer.status,
        StatusCode::INTERNAL_SERVER_ERROR,
        "{answer:?}"
    );
    assert_eq!(answer.body["code"], "InternalServerError", "{answer:?}");
    let answer = service.client.query(Some(&others)).await?;
    assert_eq!(
        answer.body["value"]["displayName"], "Person 8",
        "{answer:?}"
    );

    let named_row = "the row of people for u7 is damaged: its check fails";
    let status = service.client.status().await?;
    assert_eq!(status["damaged"], json!([named_row]), "{status}");
    assert_eq!(status["phase"], "live", "beside the phase");
    let ready = service.client.operator("/readyz").await?;
    assert_eq!(ready.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.1.contains("a stored row is damaged"), "{}", ready.1);
    let metrics = service.client.operator("/metrics").await?.1;
    assert!(
        metrics.contains("profile_projector_damaged_rows 1"),
        "{metrics}"
    );

    tools_name_it(&world, &service, named_row).await?;

    // The next event of this person cannot be applied, and says so; others are answered still.
    let change = profile_state("u7", "p7", 2, &named("Grace")).message(Form::Binary);
    let last = world.broker.publish([change]).await?;
    let is_blocked = |status: &serde_json::Value| status["reason"] == "damaged";
    let status = service.status_when("blocked", is_blocked).await?;
    assert_eq!(status["phase"], "blocked", "{status}");
    let answer = service.client.query(Some(&others)).await?;
    assert_eq!(
        answer.body["value"]["displayName"], "Person 8",
        "{answer:?}"
    );

    let (code, said) = ask(&service, &["rebuild"]).await?;
    assert_eq!(code, Some(0), "{said}");
    let status = service.applied(last).await?;
    assert_eq!(status["damaged"], json!([]), "{status}");
    assert_eq!(
        status["last_good"],
        json!(null),
        "damaged rows are not kept as good"
    );
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    let answer = service.client.query(Some(&theirs)).await?;
    assert_eq!(answer.body["value"]["displayName"], "Grace", "{answer:?}");
    assert_eq!(service.client.operator("/readyz").await?.0, StatusCode::OK);
    let (code, said) = ask(&service, &["verify"]).await?;
    assert_eq!(code, Some(0), "{said}");
    service.stop().await?;
    Ok(())
}
