//! `publish` against a real nats-server: the account, repetition, interruption, and every refusal's words.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers end it as it does itself"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::jetstream::{ApiPrefix, Connection, NoLogin, Settings};
use async_nats::jetstream;
use devkit::nats_server::{NatsServer, Setup, locate};
use domain::{Decoded, Headers, RecordRef, Sequence, block_of};
use serde_json::json;
use tempfile::TempDir;

const PEOPLE: &str = include_str!("../../../schemas/examples/people.ndjson");
const STREAM: &str = "IDENTITY_EVENTS";

/// A server with the stream, and a folder for files.
struct Site {
    server: NatsServer,
    jetstream: jetstream::Context,
    dir: TempDir,
}

impl Site {
    async fn new() -> Self {
        let (server, dir) = start(&[]).await;
        let settings = Settings {
            servers: vec![server.url().parse().unwrap()],
            login: Arc::new(NoLogin),
            api: ApiPrefix::default(),
            name: "test".to_owned(),
            inbox: "_INBOX".to_owned(),
        };
        let nats = Connection::open(settings).await.unwrap();
        service::stream::create(&nats, STREAM).await.unwrap();
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = jetstream::new(client);
        Self {
            server,
            jetstream,
            dir,
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn publish(&self, file: &Path) -> Output {
        publish(&self.server.url(), file, &[]).output().unwrap()
    }

    async fn messages(&self) -> u64 {
        let stream = self.jetstream.get_stream(STREAM).await.unwrap();
        stream.cached_info().state.messages
    }

    async fn wait_for_messages(&self, some: u64) {
        while self.messages().await < some {
            tokio::task::yield_now().await;
        }
    }
}

async fn start(arguments: &[&str]) -> (NatsServer, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup {
        binary: locate(None).unwrap(),
        dir: dir.path().join("nats"),
        port: None,
        arguments: arguments.iter().map(Into::into).collect(),
    };
    (NatsServer::start(setup).await.unwrap(), dir)
}

fn publish(url: &str, file: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_profile-projector"));
    command.arg("publish").arg(file).args(["--nats-url", url]);
    command.args(flags).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Versions of one profile.
fn history(events: u64) -> String {
    let line = |version: u64| {
        let event = json!({
            "specversion": "1.0", "id": format!("profile:p1:{version}"), "source": "/test",
            "type": "app.connvo.profile.updated.v1",
            "data": {
                "entity": {"kind": "profile", "id": "p1", "userId": "u1", "version": version},
                "state": {"displayName": "A", "languages": [], "createdAt": 1, "updatedAt": version},
            },
        });
        format!("{event}\n")
    };
    (1..=events).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_published_once_however_often_it_is_sent() {
    let site = Site::new().await;
    let file = site.file("people.ndjson", PEOPLE);
    let first = site.publish(&file);
    assert_eq!(text(&first.stderr), "");
    assert_eq!(
        text(&first.stdout),
        "IDENTITY_EVENTS: 13 new, 0 duplicates, 0 refused; the last is at sequence 13\n"
    );
    assert!(first.status.success());
    let again = site.publish(&file);
    assert_eq!(
        text(&again.stdout),
        "IDENTITY_EVENTS: 0 new, 13 duplicates, 0 refused; the last is at sequence 13\n\
         13 ids were already stored; what is stored under them was not compared: the same command with --verify-duplicates compares it\n"
    );
    assert!(again.status.success());

    let stream = site.jetstream.get_stream(STREAM).await.unwrap();
    let events: Vec<serde_json::Value> = PEOPLE
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for sequence in 1..=13 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        // Different documents are stored in any order.
        let id = message.headers.get("ce-id").unwrap().as_str();
        let event = events.iter().find(|event| event["id"] == id).unwrap();
        let headers: Vec<(&str, &str)> = message
            .headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(|v| (name.as_ref(), v.as_str())))
            .collect();
        assert!(headers.contains(&("Nats-Msg-Id", event["id"].as_str().unwrap())));
        let decoded = domain::decode(&RecordRef {
            sequence: Sequence::new(sequence).unwrap(),
            subject: &message.subject,
            headers: Headers::of_block(&block_of(headers.iter().copied())),
            payload: &message.payload,
        });
        assert!(matches!(decoded, Decoded::Event(_)), "{decoded:?}");
        let data: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(data, event["data"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_the_rest_is_sent() {
    let site = Site::new().await;
    let mut child = publish(&site.server.url(), Path::new("-"), &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let faulty = include_str!("../golden/faulty.ndjson");
    let mut input = child.stdin.take().unwrap();
    input.write_all(faulty.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        text(&output.stdout),
        "IDENTITY_EVENTS: 1 new, 0 duplicates, 47 refused; the last is at sequence 1\n"
    );
    let checked = include_str!("../golden/check.txt");
    let expected = checked.lines().filter(|line| line.starts_with("line "));
    assert!(text(&output.stderr).lines().eq(expected));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_stands_for_two_events_is_found_before_anything_is_sent() {
    let site = Site::new().await;
    let lines = history(3);
    let third = lines.lines().nth(2).unwrap();
    let other = third.replace("\"displayName\":\"A\"", "\"displayName\":\"B\"");
    assert_ne!(third, other);
    // Written otherwise, it is the same event.
    let spaced = third.replace("\"updatedAt\":3", "\"updatedAt\": 3.0");
    assert_ne!(third, spaced);

    let file = site.file("twice.ndjson", &format!("{lines}{spaced}\n"));
    let sent = site.publish(&file);
    assert!(sent.status.success(), "{sent:?}");
    let account = "IDENTITY_EVENTS: 3 new, 1 duplicate, 0 refused; the last is at sequence 3\n";
    assert!(text(&sent.stdout).starts_with(account), "{sent:?}");

    let site = Site::new().await;
    let file = site.file("two.ndjson", &format!("{lines}{spaced}\n{other}\n"));
    let fault = "line 5: id: found the id of line 3, which says something else, expected an id of its own: another change of a document has the next version\n";
    let refused = site.publish(&file);
    assert_eq!(refused.status.code(), Some(1));
    let said = format!("{fault}error: nothing was published: 1 event has the id of another one\n");
    assert_eq!(text(&refused.stderr), said);
    assert_eq!(site.messages().await, 0);

    let mut check = Command::new(env!("CARGO_BIN_EXE_profile-projector"));
    let checked = check.arg("check").arg(&file).output().unwrap();
    let told = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1));
    assert!(told.contains(fault), "{told}");
    let summary = "5 events checked, 1 invalid, 1 fault, 1 duplicate of events before\n";
    assert!(told.contains(summary), "{told}");

    // What comes once cannot be looked through before.
    let mut child = publish(&site.server.url(), Path::new("-"), &[]);
    let input = std::fs::File::open(&file).unwrap();
    let piped = child.stdin(input).output().unwrap();
    assert_eq!(piped.status.code(), Some(1));
    assert_eq!(text(&piped.stderr), fault);
    assert_eq!(site.messages().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_takes_for_a_duplicate_is_compared_when_asked_for() {
    let site = Site::new().await;
    let lines = history(3);
    let sent = site.publish(&site.file("first.ndjson", &lines));
    assert!(sent.status.success(), "{sent:?}");
    let [first, second, third] = lines.lines().collect::<Vec<_>>()[..] else {
        panic!("{lines}")
    };
    let second = second.replace("\"displayName\":\"A\"", "\"displayName\":\"B\"");
    let other = format!("{first}\n{second}\n{third}\n");
    assert_ne!(lines, other);
    let file = site.file("second.ndjson", &other);
    let unseen = site.publish(&file);
    assert!(unseen.status.success(), "{unseen:?}");
    let last = "3 ids were already stored; what is stored under them was not compared: the same command with --verify-duplicates compares it\n";
    assert!(text(&unseen.stdout).ends_with(last), "{unseen:?}");

    let verified = |more: &[&str], file: &Path| {
        let flags = [&["--verify-duplicates"], more].concat();
        publish(&site.server.url(), file, &flags).output().unwrap()
    };
    for more in [&[][..], &["--atomic"]] {
        let seen = verified(more, &file);
        assert_eq!(seen.status.code(), Some(1), "{seen:?}");
        assert_eq!(
            text(&seen.stderr).lines().last().unwrap(),
            "line 2: id: found \"profile:p1:2\", which was stored at sequence 2 with other contents, expected what is stored, or the next version of the document"
        );
        assert_eq!(
            text(&seen.stdout),
            "IDENTITY_EVENTS: 0 new, 2 duplicates, 1 refused; the last is at sequence 3\n"
        );
    }
    let same = verified(&[], &site.file("third.ndjson", &lines));
    assert!(same.status.success(), "{same:?}");
    let account = "IDENTITY_EVENTS: 0 new, 3 duplicates, 0 refused; the last is at sequence 3\n";
    assert_eq!(text(&same.stdout), account);

    // A message that is deleted is not stored, whatever the broker remembers of its id.
    let stream = site.jetstream.get_stream(STREAM).await.unwrap();
    stream.delete_message(2).await.unwrap();
    let gone = verified(&[], &site.file("third.ndjson", &lines));
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    let found =
        "line 2: id: found \"profile:p1:2\", which was stored at sequence 2 and deleted since, ";
    assert!(text(&gone.stderr).starts_with(found), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_server_is_killed_in_between() {
    let mut site = Site::new().await;
    let file = site.file("history.ndjson", &history(20_000));
    let child = publish(&site.server.url(), &file, &[])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    site.wait_for_messages(1_000).await;
    site.server.kill();
    site.server.restart().await.unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(site.messages().await, 20_000, "{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_tells_how_far_it_got_and_can_be_repeated() {
    let site = Site::new().await;
    let file = site.file("history.ndjson", &history(50_000));
    let child = publish(&site.server.url(), &file, &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    site.wait_for_messages(500).await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stored = site.messages().await;
    assert!(stored < 50_000, "interrupted too late to show anything");
    // Acks that were under way when it ended are not in its account.
    let told = text(&output.stdout);
    let new = told
        .split(' ')
        .nth(1)
        .and_then(|new| new.parse::<u64>().ok());
    assert!(new.is_some_and(|new| new <= stored), "{told}");
    let said = text(&output.stderr);
    let again = "error: interrupted; run it again to go on, what is there counts as duplicate; --from-line ";
    let next = said
        .strip_prefix(again)
        .and_then(|rest| rest.strip_suffix(" skips what is settled\n"));
    let next: u64 = next.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert!(next <= stored + 1, "{next} of {stored}");
    assert_eq!(output.status.code(), Some(1));
    let rest = site.publish(&file);
    let rest_is_new = 50_000 - stored;
    assert_eq!(
        text(&rest.stdout),
        format!(
            "IDENTITY_EVENTS: {rest_is_new} new, {stored} duplicates, 0 refused; the last is at sequence 50000\n\
             {stored} ids were already stored; what is stored under them was not compared: the same command with --verify-duplicates compares it\n"
        )
    );
}

/// Runs `publish` and gives what it says on standard error, with the server's port taken out.
fn refusal(url: &str, flags: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("people.ndjson");
    std::fs::write(&file, PEOPLE).unwrap();
    let begun = Instant::now();
    let output = publish(url, &file, flags).output().unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    let port = url.rsplit_once(':').unwrap().1;
    said.replace(port, "PORT")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_with_nats_is_one_line_that_says_what_to_do() {
    let mut said = Vec::new();
    let mut tell = |name: &str, line: String| said.push(format!("{name}: {line}"));

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    tell("silent", refusal(&url, &[]));
    drop(silent);
    tell("unreachable", refusal(&url, &[]));

    let (server, _dir) = start(&[]).await;
    tell("no stream", refusal(&server.url(), &[]));

    let site = Site::new().await;
    let other = ["--stream", "OTHER"];
    tell("other stream", refusal(&site.server.url(), &other));
    for how in ["--compare-and-set", "--atomic"] {
        let file = site.file("people.ndjson", PEOPLE);
        let mut command = publish(&site.server.url(), &file, &["--stream", "OTHER", how]);
        let refused = command.output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{how}: {refused:?}");
    }
    assert_eq!(site.messages().await, 0, "nothing is stored before");

    let dir = tempfile::tempdir().unwrap();
    let configured = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let users = configured(
        "users.conf",
        r#"authorization { users: [
            {user: "reader", password: "r", permissions: {publish: {deny: "identity.>"}}},
            {user: "writer", password: "w"}]}"#,
    );
    let (server, _dir) = start(&["--config", &users]).await;
    tell("no credentials", refusal(&server.url(), &[]));
    let reader = server.url().replace("nats://", "nats://reader:r@");
    tell("no permission", refusal(&reader, &[]));

    let accounts = configured(
        "accounts.conf",
        "accounts { A { users: [{user: a, password: a}] } }",
    );
    let (server, _dir) = start(&["--config", &accounts]).await;
    let account = server.url().replace("nats://", "nats://a:a@");
    tell("no JetStream", refusal(&account, &[]));

    let golden = include_str!("../golden/publish_refusals.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/publish_refusals.txt");
        std::fs::write(path, said.concat()).unwrap();
    }
    assert_eq!(said.concat(), golden);
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let output = publish("nats://127.0.0.1:1", Path::new("no/such.ndjson"), &[]).output();
    let output = output.unwrap();
    assert_eq!(
        text(&output.stderr),
        "error: no/such.ndjson cannot be read: No such file or directory (os error 2)\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_its_certificate_and_knows_us_by_ours() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut about = rcgen::CertificateParams::new(Vec::new()).unwrap();
    about.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = write("ca.pem", &about.self_signed(&authority).unwrap().pem());
    let issuer = rcgen::Issuer::new(about, authority);
    let pair = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let about = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = about.signed_by(&key, &issuer).unwrap();
        let cert = write(&format!("{name}.crt"), &cert.pem());
        (cert, write(&format!("{name}.key"), &key.serialize_pem()))
    };
    let (server_cert, server_key) = pair("server");
    let (cert, key) = pair("client");
    let config = format!(
        "tls {{ cert_file: {server_cert:?}, key_file: {server_key:?}, ca_file: {ca:?}, verify: true }}"
    );
    let (server, _dir) = start(&["--config", &write("nats.conf", &config)]).await;

    let flags = [
        "--nats-tls-ca",
        &ca,
        "--nats-tls-cert",
        &cert,
        "--nats-tls-key",
        &key,
    ];
    assert!(refusal(&server.url(), &flags).contains("there is no stream IDENTITY_EVENTS"));
    for without in [&flags[..0], &flags[..2], &flags[2..]] {
        let said = refusal(&server.url(), without);
        assert!(said.contains("NATS cannot be reached"), "{said}");
    }
}
