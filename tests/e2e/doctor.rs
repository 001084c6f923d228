//! `doctor` on real parts: a read model that is served, killed, exposed, and of another stream; and the
//! log, which says the same words.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream;
use domain::testing::{Form, Message, named, profile_state, user_state};
use serde_json::Value;
use tests::broker::{Broker, Login, STREAM, eventually};
use tests::cluster::Cluster;
use tests::service::{Ended, SOON, Service, command};
use tests::world::World;

fn history(users: std::ops::Range<u64>) -> Vec<Message> {
    let messages = users.flat_map(|n| {
        let user = format!("u{n}");
        [
            user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
            profile_state(&user, &format!("p{n}"), 1, &named("Ada")).message(Form::Binary),
        ]
    });
    messages.collect()
}

async fn doctor(url: &str, folder: &Path, flags: &[&str]) -> anyhow::Result<Ended> {
    let folder = folder.to_str().unwrap();
    let arguments = [&["doctor", "--nats-url", url, "--data-dir", folder], flags].concat();
    command(&arguments).await
}

/// Whether it says a line that begins so.
fn says(ended: &Ended, begin: &str) -> bool {
    ended.output.lines().any(|line| line.starts_with(begin))
}

async fn live(service: &Service, last: u64) -> anyhow::Result<()> {
    service.applied(last).await?;
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_whose_the_read_model_is_and_how_far_it_is() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (url, folder) = (world.broker.server.url(), world.data("model"));
    let look = async |flags: &[&str]| doctor(&url, &folder, flags).await;

    // Before there is a folder, and before anything is in it.
    for is_there in [false, true] {
        if is_there {
            std::fs::create_dir(&folder)?;
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700))?;
        }
        let ended = look(&[]).await?;
        assert!(
            says(&ended, "seen     read model: there is none in "),
            "{ended:?}"
        );
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    let last = world.broker.publish(history(0..3)).await?;
    let service = world.serve("model").await?;
    live(&service, last).await?;
    let ended = look(&[]).await?;
    let open = "note     read model: not looked at: another process has it open";
    assert!(says(&ended, open), "{ended:?}");
    let admin = format!("http://{}", service.client.admin);
    let ended = look(&["--admin", &admin]).await?;
    let seen = "seen     read model: in use, phase live, message 6 of 6, 0 behind";
    assert!(says(&ended, seen), "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");

    service.kill().await?;
    world.broker.publish(history(3..4)).await?;
    let file = folder.join("read-model.redb");
    let before = std::fs::read(&file)?;
    let ended = look(&[]).await?;
    assert!(says(&ended, "seen     read model: layout "), "{ended:?}");
    let place = ", of this stream, message 6 of 8, 2 behind\n";
    assert!(ended.output.contains(place), "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(before == std::fs::read(&file)?, "it was written to");

    let token = file.with_file_name("admin-token");
    for exposed in [file, token] {
        std::fs::set_permissions(&exposed, PermissionsExt::from_mode(0o644))?;
        let ended = look(&["--json"]).await?;
        let lines: Vec<Value> = ended
            .output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let is_found = lines
            .iter()
            .any(|line| line["severity"] == "danger" && line["subject"] == "mode");
        assert!(is_found, "{ended:?}");
        assert_eq!(lines.last().unwrap()["stream_seen"], true, "{ended:?}");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        std::fs::set_permissions(&exposed, PermissionsExt::from_mode(0o600))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_stream_does_not_go_on_from_are_named_stopped_or_served() -> anyhow::Result<()>
{
    let world = World::new().await?;
    let (url, folder) = (world.broker.server.url(), world.data("model"));
    let look = async |flags: &[&str]| doctor(&url, &folder, flags).await;
    let last = world.broker.publish(history(0..3)).await?;
    let service = world.serve("model").await?;
    live(&service, last).await?;
    service.stop().await?;

    world.broker.publish(history(3..5)).await?;
    let stream = world.broker.stream().await?;
    for sequence in 1..=last + 2 {
        stream.delete_message(sequence).await?;
    }
    let ended = look(&[]).await?;
    let gap = "danger   read model: blocked: retention_gap: ";
    assert!(says(&ended, gap), "{ended:?}");
    assert_eq!(ended.code, Some(1), "{ended:?}");

    world
        .broker
        .jetstream()
        .await?
        .delete_stream(STREAM)
        .await?;
    let ended = look(&[]).await?;
    assert!(
        says(&ended, "danger   stream: there is no stream "),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    world.broker.create_stream().await?;
    let ended = look(&[]).await?;
    let blocked = "danger   read model: blocked: stream_recreated: ";
    assert!(says(&ended, blocked), "{ended:?}");
    assert_eq!(ended.code, Some(1), "{ended:?}");

    let service = world.serve("model").await?;
    service
        .status_when("blocked", |status| status["phase"] == "blocked")
        .await?;
    let admin = format!("http://{}", service.client.admin);
    // Also from beside another folder: none, one of an earlier service, this one.
    let earlier = world.data("earlier");
    let other = Broker::start().await?;
    let of_other = world
        .serve_from(&other.server.url(), "earlier", &[])
        .await?;
    of_other.stop().await?;
    for beside in [&world.data("none"), &earlier, &folder] {
        let ended = doctor(&url, beside, &["--admin", &admin]).await?;
        assert!(says(&ended, blocked), "{ended:?}");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let rows = format!("profile-projector verify --admin {admin}\n");
        assert!(ended.output.contains(&rows), "{ended:?}");
        assert!(!ended.output.contains("read model: layout"), "{ended:?}");
    }
    service.stop().await?;
    let ended = look(&["--admin", &admin]).await?;
    let unheard = "note     service: not looked at: no service answers at ";
    assert!(says(&ended, unheard), "{ended:?}");
    assert!(says(&ended, blocked), "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_cannot_look_it_does_not_say_that_all_is_well() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (url, folder) in [
        ("nats://127.0.0.1:1", folder.path()),
        ("nats://127.0.0.1:1", Path::new("/no/such/folder")),
    ] {
        let ended = doctor(url, folder, &[]).await?;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.said.starts_with("error: "), "{ended:?}");
    }
    let broker = Broker::with_arguments(vec!["--jetstream=false".into()]).await?;
    let ended = doctor(&broker.server.url(), folder.path(), &[]).await?;
    assert!(
        says(&ended, "danger   stream: JetStream does not answer"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(3), "{ended:?}");
    Ok(())
}

/// How often the log holds a warning of this text, and the last such line.
fn logged(service: &Service, text: &str) -> (usize, Value) {
    let log = std::fs::read_to_string(&service.log).unwrap();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines
        .filter(|line| line["level"] == "WARN" && line.to_string().contains(text))
        .collect();
    (lines.len(), lines.last().cloned().unwrap_or_default())
}

fn attachments(service: &Service) -> usize {
    let log = std::fs::read_to_string(&service.log).unwrap();
    log.matches("attached to the stream").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_danger_is_logged_in_its_words_and_once_as_long_as_it_stands() -> anyhow::Result<()> {
    let broker = Broker::without_stream().await?;
    let hour = Duration::from_hours(1);
    broker
        .create_stream_with(|config| config.max_age = hour)
        .await?;
    let mut world = World::of(broker)?;
    let last = world.broker.publish(history(0..2)).await?;
    let service = world.serve("model").await?;
    live(&service, last).await?;
    let (age, subject) = (
        "max_age: messages are removed after 3600 s",
        "max_msgs_per_subject: max_msgs_per_subject is 7",
    );
    let (count, line) = logged(&service, &format!("danger: {age}"));
    assert_eq!(count, 1, "{line}");
    let ended = doctor(&world.broker.server.url(), &world.data("model"), &[]).await?;
    let said = format!(
        "danger   {age}\n         why:  {}\n         mend: {}\n",
        line["why"].as_str().unwrap(),
        line["mend"].as_str().unwrap(),
    );
    assert!(ended.output.contains(&said), "{said} {ended:?}");
    assert_eq!(ended.code, Some(1));

    let again = async |service: &Service, world: &mut World| -> anyhow::Result<()> {
        let before = attachments(service);
        world.broker.server.restart().await?;
        eventually("another attachment", SOON, async || {
            (before < attachments(service)).then_some(())
        })
        .await
    };
    again(&service, &mut world).await?;
    assert_eq!(logged(&service, age).0, 1, "it is told again");
    let jetstream = world.broker.jetstream().await?;
    let mut config = world.broker.stream().await?.cached_info().config.clone();
    config.max_messages_per_subject = 7;
    jetstream.update_stream(config).await?;
    again(&service, &mut world).await?;
    assert_eq!(
        (logged(&service, age).0, logged(&service, subject).0),
        (1, 1)
    );
    Ok(())
}

/// As operations are told to have it; then one of its servers is lost.
#[tokio::test(flavor = "multi_thread")]
async fn three_recommended_servers_are_well_until_one_is_lost() -> anyhow::Result<()> {
    let mut cluster = Cluster::start().await?;
    let folder = tempfile::tempdir()?;
    let urls = cluster.urls();
    let look = async || doctor(&urls, folder.path(), &[]).await.ok();
    eventually("all copies", SOON, async || {
        let ended = look().await?;
        let is_well = ended.output.contains("\n0 dangers, 0 warnings, ");
        (is_well && ended.code == Some(0)).then_some(())
    })
    .await?;
    let lost = (cluster.leader().await? + 1) % 3;
    cluster.node(lost)?.server.kill();
    let warned = format!("warning  replicas: not current: the copy on n{lost}");
    eventually("the loss", SOON, async || {
        let ended = look().await?;
        (says(&ended, &warned) && ended.code == Some(0)).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accounts_limits_a_mirror_and_what_nobody_reads_are_named() -> anyhow::Result<()> {
    let account = "accounts { APP {
        jetstream: { max_streams: 2, max_consumers: 1 }, users: [ {user: admin, password: admin} ]
    } }";
    let broker = Broker::configured(account, Login::User("admin", "admin")).await?;
    broker.create_stream().await?;
    let jetstream = broker.jetstream().await?;
    let mirror = stream::Config {
        name: "COPY".to_owned(),
        mirror: Some(stream::Source {
            name: STREAM.to_owned(),
            ..stream::Source::default()
        }),
        ..stream::Config::default()
    };
    jetstream.create_stream(mirror).await?;
    let old = pull::Config {
        durable_name: Some("old".to_owned()),
        ..pull::Config::default()
    };
    broker.stream().await?.create_consumer(old).await?;
    let folder = tempfile::tempdir()?;
    let url = format!("nats://admin:admin@127.0.0.1:{}", broker.server.port());
    let ended = doctor(&url, folder.path(), &[]).await?;
    for line in [
        "warning  account: 2 of 2 streams are used",
        "warning  account: 1 of 1 consumers of a stream are taken",
        "note     consumers: nobody reads old",
    ] {
        assert!(says(&ended, line), "no {line}: {ended:?}");
    }
    let ended = doctor(&url, folder.path(), &["--stream", "COPY"]).await?;
    assert!(
        says(&ended, "note     mirror: the stream is a mirror"),
        "{ended:?}"
    );
    assert!(!ended.output.contains(" subjects: "), "{ended:?}");
    Ok(())
}
