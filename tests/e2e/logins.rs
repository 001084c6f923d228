//! What NATS does not let the service do: told in `/status` and log within seconds, over by itself when
//! it is mended.

use std::path::Path;
use std::time::Duration;

use domain::testing::{Form, user_state};
use futures::TryStreamExt;
use nkeys::KeyPair;
use serde_json::Value;
use tempfile::NamedTempFile;
use tests::broker::{Broker, Login, eventually};
use tests::credentials::Operator;
use tests::service::Service;
use tests::world::World;

/// An operator is not kept waiting for the reason.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
const ADMIN: Login = Login::User("admin", "admin");
/// Who the service is, where it has a password.
const SERVICE: &str = "service:right@";

/// A server with one account, with its administrator and `users`.
fn account(users: &str) -> String {
    format!(
        "accounts {{\n  APP {{\n    jetstream: enabled\n    users: [\n      {{user: admin, password: admin}}\n      \
         {users}\n    ]\n  }}\n}}\n"
    )
}

fn service_user(rest: &str) -> String {
    account(&format!("{{user: service, password: right {rest}}}"))
}

async fn broker(config: &str, login: Login) -> anyhow::Result<Broker> {
    let broker = Broker::configured(config, login).await?;
    broker.create_stream().await?;
    Ok(broker)
}

/// A service that reads a world's stream, as `user@` of the URL or with `flags`.
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

    /// With this flag and a file.
    async fn with_file(broker: Broker, flag: &str, file: &NamedTempFile) -> anyhow::Result<Self> {
        let path = file.path().to_str().unwrap();
        Self::start(broker, "", &[flag, path]).await
    }

    /// Publishes an event, and waits until it is applied and live.
    async fn applies(&self, version: u64) -> anyhow::Result<()> {
        let event = user_state("u1", version, "user_a").message(Form::Binary);
        let sequence = self.world.broker.publish([event]).await?;
        self.service.applied(sequence).await?;
        let is_live = |status: &Value| {
            status["phase"] == "live"
                && status["connection"] == "connected"
                && status["detail"].is_null()
        };
        self.service.status_when("live", is_live).await?;
        Ok(())
    }

    async fn loses_its_consumer(&self) -> anyhow::Result<()> {
        let stream = self.world.broker.stream().await?;
        let names: Vec<String> = stream.consumer_names().try_collect().await?;
        for name in names {
            stream.delete_consumer(&name).await?;
        }
        Ok(())
    }

    /// Waits for the word, and gives the reason, which the log tells too. Ports are replaced in it.
    async fn told(&self, word: &str) -> anyhow::Result<String> {
        let detail = eventually(word, TOLD_WITHIN, async || {
            let status = self.service.client.status().await.ok()?;
            let is_told = status["connection"] == word;
            Some(status["detail"].as_str()?.to_owned()).filter(|_| is_told)
        });
        let detail = detail.await?;
        let logged = format!("the stream cannot be read: {detail}");
        eventually("the line", TOLD_WITHIN, async || {
            let log = std::fs::read_to_string(&self.service.log).ok()?;
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| {
                line["message"] == *logged && line["connection"] == word && line["level"] == "ERROR"
            })
        })
        .await?;
        Ok(detail.replace(&format!(":{}", self.world.broker.server.port()), ":PORT"))
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_permission_is_named_and_used_when_it_is_given() -> anyhow::Result<()> {
    let denied = service_user(r#", permissions: {publish: {deny: "$JS.API.STREAM.INFO.>"}}"#);
    let reading = Reading::start(broker(&denied, ADMIN).await?, SERVICE, &[]).await?;
    assert_eq!(
        reading.told("permission_denied").await?,
        "NATS does not permit what reading takes (Permissions Violation for Publish to \
         \"$JS.API.STREAM.INFO.IDENTITY_EVENTS\"): grant it to this user"
    );
    reading.world.broker.reload(&service_user(""))?;
    reading.applies(1).await
}

/// Whatever of it is missing.
#[tokio::test(flavor = "multi_thread")]
async fn permissions_taken_from_a_reader_are_named() -> anyhow::Result<()> {
    let reading = Reading::start(broker(&service_user(""), ADMIN).await?, SERVICE, &[]).await?;
    let broker = &reading.world.broker;
    for (version, (denied, named)) in (1..).zip([
        (
            r#"publish: {deny: "$JS.API.CONSUMER.MSG.NEXT.>"}"#,
            "Publish to \"$JS.API.CONSUMER.MSG.NEXT.",
        ),
        (
            r#"publish: {deny: "$JS.API.CONSUMER.DELETE.>"}"#,
            "Publish to \"$JS.API.CONSUMER.DELETE.",
        ),
        (
            r#"subscribe: {deny: "_INBOX.>"}"#,
            "Subscription to \"_INBOX.",
        ),
    ]) {
        reading.applies(version).await?;
        broker.reload(&service_user(&format!(", permissions: {{{denied}}}")))?;
        // What attaching alone takes is missed at the next attaching.
        reading.loses_its_consumer().await?;
        let detail = reading.told("permission_denied").await?;
        assert!(detail.contains(named), "{detail}");
        broker.reload(&service_user(""))?;
    }
    reading.applies(9).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_none_is_told() -> anyhow::Result<()> {
    let wrong = account("{user: service, password: other}");
    for user in [SERVICE, ""] {
        let reading = Reading::start(broker(&wrong, ADMIN).await?, user, &[]).await?;
        assert_eq!(
            reading.told("unauthorized").await?,
            "NATS at 127.0.0.1:PORT refused our credentials: check --nats-creds, --nats-nkey or the user \
             in --nats-url"
        );
        if user == SERVICE {
            reading.world.broker.reload(&service_user(""))?;
            reading.applies(1).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_nkey_is_told_and_a_replaced_file_is_used() -> anyhow::Result<()> {
    let (known, unknown) = (KeyPair::new_user(), KeyPair::new_user());
    let config = account(&format!("{{nkey: {}}}", known.public_key()));
    let seed = file(&unknown.seed()?)?;
    let reading = Reading::with_file(broker(&config, ADMIN).await?, "--nats-nkey", &seed).await?;
    assert_eq!(
        reading.told("unauthorized").await?,
        format!(
            "NATS at 127.0.0.1:PORT refused our credentials: it has no user with the public key {} of {}: \
             add it, or give another --nats-nkey",
            unknown.public_key(),
            seed.path().display()
        )
    );
    replace(seed.path(), &known.seed()?)?;
    reading.applies(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey_is_rotated_under_a_running_service() -> anyhow::Result<()> {
    let (first, second) = (KeyPair::new_user(), KeyPair::new_user());
    let only = |key: &KeyPair| account(&format!("{{nkey: {}}}", key.public_key()));
    let seed = file(&first.seed()?)?;
    let reading =
        Reading::with_file(broker(&only(&first), ADMIN).await?, "--nats-nkey", &seed).await?;
    reading.applies(1).await?;
    // The server goes first: the service is cut off and refused until its file follows.
    reading.world.broker.reload(&only(&second))?;
    let detail = reading.told("unauthorized").await?;
    assert!(detail.contains(&first.public_key()), "{detail}");
    replace(seed.path(), "SUNOSEED")?;
    let unusable = format!(
        "{} cannot be used: it holds no nkey seed",
        seed.path().display()
    );
    eventually("the unusable file", TOLD_WITHIN, async || {
        let detail = reading.told("unauthorized").await.ok()?;
        detail.contains(&unusable).then_some(())
    })
    .await?;
    replace(seed.path(), &second.seed()?)?;
    reading.applies(2).await?;
    // The file goes first: nobody notices but the server.
    replace(seed.path(), &first.seed()?)?;
    reading.world.broker.reload(&only(&first))?;
    reading.applies(3).await
}

async fn operated(operator: &Operator) -> anyhow::Result<Broker> {
    broker(&operator.config()?, Login::Creds(operator.user(None)?)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_told_with_their_time() -> anyhow::Result<()> {
    let operator = Operator::new();
    let creds = file(&operator.user(Some(Duration::ZERO))?)?;
    let reading = Reading::with_file(operated(&operator).await?, "--nats-creds", &creds).await?;
    let detail = reading.told("unauthorized").await?;
    let expected = format!(
        "NATS at 127.0.0.1:PORT refused our credentials: the token in {} expired at ",
        creds.path().display()
    );
    assert!(detail.starts_with(&expected), "{detail}");
    // Good again, for a while.
    replace(creds.path(), &operator.user(Some(Duration::from_secs(5)))?)?;
    reading.applies(1).await?;
    let detail = reading.told("unauthorized").await?;
    assert!(detail.starts_with(&expected), "{detail}");
    replace(creds.path(), &operator.user(None)?)?;
    reading.applies(2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_server_does_not_know_is_told() -> anyhow::Result<()> {
    let operator = Operator::new();
    let creds = file(&operator.stranger()?)?;
    let reading = Reading::with_file(operated(&operator).await?, "--nats-creds", &creds).await?;
    assert_eq!(
        reading.told("unauthorized").await?,
        format!(
            "NATS at 127.0.0.1:PORT refused our credentials: check that the account of {} is known to this \
             server and that its user is not revoked, or put other credentials in its place",
            creds.path().display()
        )
    );
    replace(creds.path(), &operator.user(None)?)?;
    reading.applies(1).await
}

const NO_JETSTREAM: &str =
    "JetStream does not answer at 127.0.0.1:PORT: is it enabled for this server and account?";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_jetstream_is_told() -> anyhow::Result<()> {
    let plain = "accounts {\n  PLAIN {\n    users: [ {user: service, password: right} ]\n  }\n";
    let apart = account("").replacen("accounts {\n", plain, 1);
    let reading = Reading::start(broker(&apart, ADMIN).await?, SERVICE, &[]).await?;
    assert_eq!(reading.told("jetstream_disabled").await?, NO_JETSTREAM);
    reading.world.broker.reload(&service_user(""))?;
    reading.applies(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_is_told_and_a_missing_stream_after_it() -> anyhow::Result<()> {
    let broker = Broker::with_arguments(vec!["--jetstream=false".into()]).await?;
    let port = broker.server.port();
    let mut reading = Reading::start(broker, "", &[]).await?;
    assert_eq!(reading.told("jetstream_disabled").await?, NO_JETSTREAM);
    reading.world.broker.server.stop().await;
    reading.world.broker = Broker::on_port(port).await?;
    assert_eq!(
        reading.told("stream_missing").await?,
        "there is no stream IDENTITY_EVENTS on 127.0.0.1:PORT: create it (deploy/nats/stream.json holds its \
         configuration), or name another with --stream"
    );
    reading.world.broker.create_stream().await?;
    reading.applies(1).await
}
