//! What exactly is refused: the reason is told in `/status` and log, and it is over when the server reads
//! its configuration again or a file is replaced, without a restart of either.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use futures::TryStreamExt;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tests::broker::{Broker, Login, eventually, project_file};
use tests::credentials::Operator;
use tests::service::{Service, command};
use tests::world::World;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::access::{accounts, configured};
use crate::matrix::Seen;
use crate::people::{change, live, registrations, sound};

/// An operator is not kept waiting for the reason.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// A service that reads a world's stream, as `user` of the URL or with `flags`.
struct Reading {
    world: World,
    service: Service,
}

impl Reading {
    async fn start(broker: Broker, user: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let world = World::of(broker)?;
        let url = format!("nats://{user}127.0.0.1:{}", world.broker.server.port());
        let service = world.serve_from(&url, "model", flags).await?;
        Ok(Self { world, service })
    }

    async fn with_file(broker: Broker, flag: &str, file: &NamedTempFile) -> anyhow::Result<Self> {
        let path = file.path().to_str().unwrap();
        Self::start(broker, "", &[flag, path]).await
    }

    /// Publishes a change, and waits until it is applied and live.
    async fn applies(&self, round: u64) -> anyhow::Result<()> {
        let sequence = self.world.broker.publish([change(round)]).await?;
        self.service.applied(sequence).await?;
        live(&self.service).await
    }

    /// Waits for a reason that holds `part`, in `/status` and in the log.
    async fn told(&self, word: &str, part: &str) -> anyhow::Result<()> {
        let what = format!("{word} with {part}");
        eventually(&what, TOLD_WITHIN, async || {
            let status = self.service.client.status().await.ok()?;
            let detail = status["detail"].as_str()?;
            let is_told = status["connection"] == word && detail.contains(part);
            let logged = format!("the stream cannot be read: {detail}");
            let log = std::fs::read_to_string(&self.service.log).ok()?;
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let mut lines = lines.filter(|line: &Value| line["message"] == *logged);
            let is_logged =
                lines.any(|line| line["connection"] == word && line["level"] == "ERROR");
            (is_told && is_logged).then_some(())
        })
        .await
    }

    /// It has to attach again.
    async fn loses_its_consumer(&self) -> anyhow::Result<()> {
        let stream = self.world.broker.stream().await?;
        let names: Vec<String> = stream.consumer_names().try_collect().await?;
        for name in names {
            stream.delete_consumer(&name).await?;
        }
        Ok(())
    }
}

fn user(rest: &str) -> String {
    accounts(&format!("{{user: service, password: right {rest}}}"))
}

fn file(content: &str) -> anyhow::Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    replace(file.path(), content)?;
    Ok(file)
}

/// As careful people replace a file: it is always whole.
fn replace(path: &Path, content: &str) -> anyhow::Result<()> {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, content)?;
    Ok(std::fs::rename(fresh, path)?)
}

const SUBJECTS: [&str; 5] = [
    "$JS.API.CONSUMER.MSG.NEXT.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.STREAM.INFO.>",
    "$JS.API.STREAM.MSG.GET.>",
];

pub(crate) async fn each_permission_taken_and_given_back() -> anyhow::Result<Seen> {
    let broker = configured("{user: service, password: right}").await?;
    let reading = Reading::start(broker, "service:right@", &["--consumer-name", "svc"]).await?;
    let publish = |subject: &&str| {
        let named = format!("Publish to \"{}", subject.trim_end_matches('>'));
        (format!("publish: {{deny: \"{subject}\"}}"), named)
    };
    let inbox = (
        "subscribe: {deny: \"_INBOX_svc.>\"}".to_owned(),
        "Subscription to \"_INBOX_svc.".to_owned(),
    );
    let denials = SUBJECTS.iter().map(publish).chain([inbox]);
    for (round, (denied, named)) in (0..).zip(denials) {
        reading.applies(round).await?;
        let broker = &reading.world.broker;
        broker
            .reload(&user(&format!(", permissions: {{{denied}}}")))
            .await?;
        // What attaching alone takes is missed at the next attaching.
        reading.loses_its_consumer().await?;
        reading.told("permission_denied", &named).await?;
        broker.reload(&user("")).await?;
    }
    reading.applies(9).await?;
    sound(&reading.world, &reading.service).await?;
    Ok(Seen {
        words: vec!["permission_denied"],
        note: format!("{} subjects and the inbox, each named", SUBJECTS.len()),
        ..Seen::default()
    })
}

const REFUSED: &str = " refused our credentials: ";

pub(crate) async fn password_wrong_or_none() -> anyhow::Result<Seen> {
    for (given, why) in [
        (
            "service:right@",
            "check the user and the password in --nats-url",
        ),
        ("", "it asks who we are, and nothing says it"),
    ] {
        let broker = configured("{user: service, password: other}").await?;
        let reading = Reading::start(broker, given, &[]).await?;
        let why = format!("{REFUSED}{why}");
        reading.told("unauthorized", &why).await?;
        if !given.is_empty() {
            reading.world.broker.reload(&user("")).await?;
            reading.applies(0).await?;
        }
    }
    Ok(Seen {
        words: vec!["unauthorized"],
        ..Seen::default()
    })
}

/// Server first, so that the service is cut off until its file follows; then the file first.
pub(crate) async fn nkey_rotated_under_the_running_service() -> anyhow::Result<Seen> {
    let (first, second) = (KeyPair::new_user(), KeyPair::new_user());
    let only = |key: &KeyPair| format!("{{nkey: {}}}", key.public_key());
    let seed = file(&first.seed()?)?;
    let broker = configured(&only(&first)).await?;
    let reading = Reading::with_file(broker, "--nats-nkey", &seed).await?;
    reading.applies(0).await?;
    reading
        .world
        .broker
        .reload(&accounts(&only(&second)))
        .await?;
    let path = seed.path().display();
    let (key, path) = (first.public_key(), path.to_string());
    let why = format!("{REFUSED}it has no user with the public key {key} of {path}");
    reading.told("unauthorized", &why).await?;
    replace(seed.path(), "NOSEED")?;
    let why = format!("{path} cannot be used: it holds no nkey seed");
    reading.told("unauthorized", &why).await?;
    replace(seed.path(), &second.seed()?)?;
    reading.applies(1).await?;
    replace(seed.path(), &first.seed()?)?;
    reading
        .world
        .broker
        .reload(&accounts(&only(&first)))
        .await?;
    reading.applies(2).await?;
    sound(&reading.world, &reading.service).await?;
    let log = std::fs::read_to_string(&reading.service.log)?;
    ensure!(!log.contains("NOSEED"), "{log}");
    Ok(Seen {
        words: vec!["unauthorized"],
        note: "server first, and file first".into(),
        ..Seen::default()
    })
}

pub(crate) async fn credentials_expired_before_the_start() -> anyhow::Result<Seen> {
    let operator = Operator::new();
    let login = Login::Creds(operator.user(None)?);
    let broker = Broker::configured(&operator.config()?, login).await?;
    broker.create_stream().await?;
    broker.publish(registrations()).await?;
    let creds = file(&operator.user(Some(Duration::ZERO))?)?;
    let reading = Reading::with_file(broker, "--nats-creds", &creds).await?;
    let why = format!(
        "{REFUSED}the token in {} expired at 20",
        creds.path().display()
    );
    reading.told("unauthorized", &why).await?;
    replace(creds.path(), &operator.stranger()?)?;
    let why = format!(
        "{REFUSED}check that the account of {}",
        creds.path().display()
    );
    reading.told("unauthorized", &why).await?;
    replace(creds.path(), &operator.user(None)?)?;
    reading.applies(0).await?;
    sound(&reading.world, &reading.service).await?;
    Ok(Seen {
        words: vec!["unauthorized"],
        note: "with its time; then a stranger's, then a good one".into(),
        ..Seen::default()
    })
}

/// The file was replaced in time: nobody hears that the old credentials expired.
pub(crate) async fn credentials_replaced_while_connected() -> anyhow::Result<Seen> {
    let operator = Operator::new();
    let login = Login::Creds(operator.user(None)?);
    let broker = Broker::configured(&operator.config()?, login).await?;
    broker.create_stream().await?;
    broker.publish(registrations()).await?;
    let creds = file(&operator.user(Some(Duration::from_secs(8)))?)?;
    let reading = Reading::with_file(broker, "--nats-creds", &creds).await?;
    reading.applies(0).await?;
    replace(creds.path(), &operator.user(None)?)?;
    let attached = || {
        let log = std::fs::read_to_string(&reading.service.log)?;
        anyhow::Ok(log.matches("attached to the stream").count())
    };
    let before = attached()?;
    eventually("another connection", TOLD_WITHIN * 3, async || {
        (before < attached().ok()?).then_some(())
    })
    .await?;
    reading.applies(1).await?;
    sound(&reading.world, &reading.service).await?;
    let log = std::fs::read_to_string(&reading.service.log)?;
    ensure!(!log.contains("refused our credentials: the token"), "{log}");
    Ok(Seen {
        note: "expired under the connection, and went on with the new file".into(),
        ..Seen::default()
    })
}

/// One line of printed permissions fewer.
fn without(printed: &str, subject: &str) -> String {
    let line = format!("\"{subject}\"");
    let lines: Vec<&str> = printed.lines().filter(|kept| kept.trim() != line).collect();
    lines.join("\n")
}

/// An export of one user and one profile.
fn export(path: &Path) -> anyhow::Result<PathBuf> {
    let mut zip = ZipWriter::new(std::fs::File::create(path)?);
    let user = json!({"_id": "imported", "workosUserId": "user_imported", "email": "i@example.com",
        "isActive": true, "createdAt": 1.0, "updatedAt": 1.0});
    let profile = json!({"_id": "pimported", "userId": "imported", "displayName": "Imported",
        "languages": ["English"], "createdAt": 1.0, "updatedAt": 1.0});
    for (table, row) in [("users", user), ("profiles", profile)] {
        let file = format!("{table}/documents.jsonl");
        zip.start_file(file, SimpleFileOptions::default())?;
        writeln!(zip, "{row}")?;
    }
    zip.finish()?;
    Ok(path.to_owned())
}

/// A role, a command that it is for, and what that cannot do without.
fn commands<'a>(
    events: &'a str,
    export: &'a str,
) -> Vec<(&'static str, Vec<&'a str>, &'static str)> {
    vec![
        ("publish", vec!["publish", events], "identity.v1.*.profile"),
        // What is there already is read, so it shows when it is imported again.
        (
            "import",
            vec!["import", export],
            "$JS.API.STREAM.MSG.GET.IDENTITY_EVENTS",
        ),
        (
            "read",
            vec!["replay", "--stream", "--digest", "--consumer-name", "svc"],
            "$JS.API.CONSUMER.CREATE.IDENTITY_EVENTS.svc",
        ),
        (
            "read",
            vec![
                "as-of",
                "--user",
                "u1",
                "--sequence",
                "1",
                "--consumer-name",
                "svc",
            ],
            "$JS.API.CONSUMER.MSG.NEXT.IDENTITY_EVENTS.svc",
        ),
        (
            "quarantine-drop",
            vec![
                "quarantine",
                "drop",
                "u1",
                "1",
                "--reason",
                "test",
                "--force",
            ],
            "identity.v1.*.quarantine",
        ),
        (
            "erase",
            vec!["erase", "u1", "--yes", "--request-id", "r1"],
            "$JS.API.STREAM.MSG.DELETE.IDENTITY_EVENTS",
        ),
    ]
}

/// Under exactly the permissions that `doctor` prints for a command, it does its work; what it cannot do
/// without is named when it is missing.
pub(crate) async fn exact_permissions_of_commands() -> anyhow::Result<Seen> {
    let broker = configured("").await?;
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("events.ndjson");
    std::fs::write(&events, project_file("schemas/examples/people.ndjson")?)?;
    let events = events.to_str().unwrap();
    let export = export(&folder.path().join("export.zip"))?;
    let export = export.to_str().unwrap();
    let url = format!("nats://someone:right@127.0.0.1:{}", broker.server.port());
    let mut subjects = 0;
    for (role, arguments, missing) in commands(events, export) {
        let printed = command(&["doctor", "--permissions", role, "--consumer-name", "svc"]).await?;
        ensure!(printed.code == Some(0), "{printed:?}");
        subjects += printed.output.matches("    \"").count();
        let run = [&arguments[..], &["--nats-url", &url]].concat();
        let may = async |permissions: &str| {
            let someone = format!("{{user: someone, password: right, {permissions}}}");
            broker.reload(&accounts(&someone)).await
        };
        let named = format!("for Publish to \"{}", missing.split('*').next().unwrap());
        may(&without(&printed.output, missing)).await?;
        eventually(&named, TOLD_WITHIN, async || {
            let ended = command(&run).await.ok()?;
            (ended.code == Some(1) && ended.said.contains(&named)).then_some(())
        })
        .await?;
        may(&printed.output).await?;
        eventually(role, TOLD_WITHIN, async || {
            let ended = command(&run).await.ok()?;
            let is_good = ended.said.is_empty() || ended.said.starts_with("as of");
            (ended.code == Some(0) && is_good).then_some(())
        })
        .await?;
    }
    Ok(Seen {
        note: format!(
            "{subjects} subjects of publish, import, replay, as-of, quarantine drop and erase"
        ),
        ..Seen::default()
    })
}
