//! Each role hears its own answers and nobody else's.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use anyhow::{Context, ensure};
use async_nats::{Client, ConnectOptions, Event};
use domain::testing::{Form, user_state};
use futures::StreamExt;
use serde_json::json;
use tests::broker::{Broker, Login, eventually, project_file};
use tests::service::{SOON, command};
use tests::world::World;

const ROLES: [&str; 7] = [
    "serve",
    "doctor",
    "read",
    "publish",
    "import",
    "quarantine-drop",
    "erase",
];
/// Of the sample events.
const ADA: &str = "jd7adasampleuser0000000000000000";
const GRACE: &str = "jd7gracesampleuser00000000000000";

/// What `doctor` prints for a role.
async fn permissions(role: &str) -> anyhow::Result<String> {
    let name: &[&str] = match role {
        "serve" | "doctor" => &["--consumer-name", "svc"],
        _ => &[],
    };
    // A name is made from a folder otherwise.
    let folder = tempfile::tempdir()?;
    let folder = folder.path().to_str().context("a path is text")?;
    let asked = ["doctor", "--permissions", role, "--data-dir", folder];
    let printed = command(&[&asked[..], name].concat()).await?;
    ensure!(printed.code == Some(0), "{printed:?}");
    Ok(printed.output)
}

/// The subjects that a role may subscribe to.
fn inboxes(permissions: &str) -> Vec<String> {
    let (_, subscribe) = permissions.split_once("subscribe:").unwrap_or_default();
    let quoted = subscribe.split('"').skip(1).step_by(2);
    quoted.map(ToOwned::to_owned).collect()
}

/// Somebody with a role's permissions who listens wherever others are answered.
struct Neighbour {
    client: Client,
    refused: Arc<Mutex<usize>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Neighbour {
    async fn listens(broker: &Broker, role: &str, subjects: Vec<String>) -> anyhow::Result<Self> {
        let refused = Arc::new(Mutex::new(0));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let count = Arc::clone(&refused);
        let options = ConnectOptions::new()
            .user_and_password(role.to_owned(), "right".to_owned())
            .event_callback(move |event| {
                if matches!(&event, Event::ServerError(error) if error.to_string().contains("Subscription")) {
                    *count.lock().unwrap() += 1;
                }
                std::future::ready(())
            });
        let client = options.connect(broker.server.url()).await?;
        let wanted = subjects.len();
        for subject in subjects {
            let mut messages = client.subscribe(subject).await?;
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                while let Some(message) = messages.next().await {
                    heard.lock().unwrap().push(message.subject.to_string());
                }
            });
        }
        let neighbour = Self {
            client,
            refused,
            heard,
        };
        let what = format!("the refusals of {role}");
        eventually(&what, SOON, async || {
            (*neighbour.refused.lock().unwrap() == wanted).then_some(())
        })
        .await?;
        Ok(neighbour)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_hears_nothing_of_what_others_are_answered() -> anyhow::Result<()> {
    let mut users = String::from("{user: admin, password: admin}\n");
    let mut held = Vec::new();
    for role in ROLES {
        let printed = permissions(role).await?;
        writeln!(users, "{{user: {role}, password: right, {printed}}}")?;
        held.push((role, inboxes(&printed)));
    }
    let config = format!("accounts {{ APP {{ jetstream: enabled, users: [ {users} ] }} }}\n");
    let broker = Broker::configured(&config, Login::User("admin", "admin")).await?;
    broker.create_stream().await?;
    let mut neighbours = Vec::new();
    for (role, own) in &held {
        let others = held.iter().flat_map(|(_, theirs)| theirs);
        let others = others.filter(|inbox| !own.contains(inbox)).cloned();
        let all = [">", "_INBOX.>", "*.>", "$JS.>", "identity.v1.>"].map(ToOwned::to_owned);
        let subjects: Vec<String> = others.chain(all).collect();
        neighbours.push(Neighbour::listens(&broker, role, subjects).await?);
    }
    let port = broker.server.port();
    let url = |role: &str| format!("nats://{role}:right@127.0.0.1:{port}");
    let world = World::of(broker)?;
    let service = world
        .serve_from(&url("serve"), "model", &["--consumer-name", "svc"])
        .await?;
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("events.ndjson");
    std::fs::write(&events, project_file("schemas/examples/people.ndjson")?)?;
    let events = events.to_str().context("a path is text")?;
    for (role, arguments) in [
        ("publish", &["publish", events][..]),
        ("read", &["replay", "--stream", "--digest"]),
        ("read", &["as-of", "--user", ADA, "--sequence", "1"]),
        ("doctor", &["doctor", "--consumer-name", "svc"]),
        (
            "quarantine-drop",
            &[
                "quarantine",
                "drop",
                GRACE,
                "1",
                "--reason",
                "test",
                "--force",
            ],
        ),
        ("erase", &["erase", ADA, "--yes", "--request-id", "r1"]),
    ] {
        let url = url(role);
        let ended = command(&[arguments, &["--nats-url", &url]].concat()).await?;
        let is_right = ended.code == Some(0) && !ended.output.contains("grant ");
        ensure!(is_right, "{role}: {ended:?}");
    }
    let last = world.broker.last_sequence().await?;
    service.applied(last).await?;
    for neighbour in &neighbours {
        // What was sent before is heard by then.
        neighbour.client.flush().await?;
        let heard = neighbour.heard.lock().unwrap().clone();
        ensure!(heard.is_empty(), "{heard:?}");
    }
    Ok(())
}

/// Who may publish may name any subject for the acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_was_stored_is_called_one() -> anyhow::Result<()> {
    let world = World::new().await?;
    let client = world.broker.client().await?;
    let event = user_state("u1", 1, "user_1").message(Form::Structured);
    let (victim, payload) = ("identity.v1.u2.quarantine", event.payload.into());
    client
        .publish_with_reply(event.subject, victim, payload)
        .await?;
    client.flush().await?;
    let service = world.serve("model").await?;
    let status = service.applied(2).await?;
    assert_eq!(
        (&status["users"], &status["parked_records"]),
        (&json!(1), &json!(1)),
        "{status}"
    );
    let admin = format!("http://{}", service.client.admin);
    let listed = command(&["quarantine", "show", "2", "--admin", &admin]).await?;
    ensure!(listed.output.contains("a server's answer"), "{listed:?}");
    Ok(())
}
