//! What is told of servers and streams as they are found, in golden files.

use async_nats::jetstream::stream;

use super::permissions::Role;
use super::*;
use devkit::nats_server::{NatsServer, Setup, locate};

const STREAM: &str = "IDENTITY_EVENTS";
const CONSUMER: &str = "profile-projector";

fn consumers() -> [String; 2] {
    [CONSUMER.to_owned(), format!("{CONSUMER}-rebuild")]
}

#[test]
fn the_permissions_in_the_deploy_folder_are_the_printed_ones() {
    let mut printed = Vec::new();
    let nats = NatsConfig::plain("nats://127.0.0.1".parse().unwrap(), STREAM);
    let service = permissions::of(Role::Serve, &nats, &consumers(), None);
    permissions::write(Role::Serve, &nats, &service, false, &mut printed).unwrap();
    let file = include_str!("../../../../../deploy/nats/permissions.conf");
    assert_eq!(String::from_utf8(printed).unwrap(), file);
}

/// Those of the stream are held against the runbook where their rules are.
#[test]
fn the_runbook_has_a_row_for_every_other_finding() {
    let runbook = include_str!("../../../../../deploy/RUNBOOK.md");
    for subject in [
        "account",
        "clock",
        "connection",
        "consumers",
        "disk",
        "max_payload",
        "max_storage",
        "mode",
        "permission",
        "quarantine",
        "read model",
        "server version",
        "sync_interval",
        "tls",
    ] {
        let row = format!("\n| `{subject}`");
        assert!(runbook.contains(&row), "the runbook lacks {row}");
    }
}

/// What is found at a new server that has this stream.
async fn found_with(config: stream::Config, ask_monitoring: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let monitoring = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = monitoring.local_addr().unwrap().port();
    drop(monitoring);
    let server = NatsServer::start(Setup {
        binary: locate(None).unwrap(),
        dir: dir.path().to_owned(),
        port: None,
        arguments: vec!["--http_port".into(), port.to_string().into()],
    })
    .await
    .unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    jetstream.create_stream(config).await.unwrap();
    let nats = NatsConfig::plain(server.url().parse().unwrap(), STREAM);
    let monitor = format!("http://127.0.0.1:{port}");
    let monitor = ask_monitoring.then_some(monitor.as_str());
    let mut report = Report::default();
    let needed = permissions::of_each(&nats, &consumers());
    broker::look(&nats, &[CONSUMER.to_owned()], &needed, &mut report).await;
    sync(monitor, &mut report).await;
    let mut text = Vec::new();
    report.write(false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    // The release is that of whoever runs the tests.
    let is_release = |line: &&str| line.starts_with("seen     server: nats-server ");
    let lines: Vec<&str> = text.lines().filter(|line| !is_release(line)).collect();
    assert_eq!(lines.len() + 1, text.lines().count());
    lines.join("\n")
}

#[tokio::test]
async fn a_stream_with_the_servers_defaults_is_told_what_endangers_it() {
    let found = found_with(
        stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["identity.v1.>".to_owned()],
            ..stream::Config::default()
        },
        false,
    );
    crate::golden::assert("doctor_default.txt", &found.await);
}

#[tokio::test]
async fn the_recommended_stream_lacks_copies_alone_on_one_server() {
    let text = include_str!("../../../../../deploy/nats/stream.json");
    let found = found_with(serde_json::from_str(text).unwrap(), true);
    crate::golden::assert("doctor_recommended.txt", &found.await);
}

#[tokio::test]
async fn every_setting_that_removes_events_is_a_danger() {
    let found = found_with(
        stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["identity.v1.>".to_owned()],
            storage: stream::StorageType::Memory,
            retention: stream::RetentionPolicy::Interest,
            max_messages: 1_000,
            max_bytes: 1_000_000,
            max_age: std::time::Duration::from_hours(1),
            max_messages_per_subject: 5,
            max_message_size: 1_000,
            duplicate_window: std::time::Duration::from_secs(5),
            allow_rollup: true,
            deny_delete: true,
            ..stream::Config::default()
        },
        false,
    );
    crate::golden::assert("doctor_dangerous.txt", &found.await);
}

#[tokio::test]
async fn nobody_there_is_told_with_what_to_check() {
    let nats = NatsConfig::plain("nats://127.0.0.1:1".parse().unwrap(), STREAM);
    let mut report = Report::default();
    let needed = permissions::of_each(&nats, &consumers());
    broker::look(&nats, &[CONSUMER.to_owned()], &needed, &mut report).await;
    let mut text = Vec::new();
    report.write(false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("danger   connection: "), "{text}");
    assert!(text.contains("is it running?"), "{text}");
    assert!(matches!(report.verdict(), Err(Failure::Blind(_))));
}
