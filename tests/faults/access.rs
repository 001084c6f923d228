//! What the service may not do: told within seconds, and over by itself when it may.

use std::time::{Duration, Instant};

use anyhow::ensure;
use nkeys::KeyPair;
use tests::broker::{Broker, Login};
use tests::credentials::Operator;
use tests::service::{Service, command};
use tests::world::World;

use crate::matrix::{Seen, UNREADABLE, told};
use crate::people::{live, recovered, registrations, sound};

const ADMIN: Login = Login::User("admin", "admin");

/// A server with one account; `users` are added to the one of the tests.
pub(crate) fn accounts(users: &str) -> String {
    format!(
        "accounts {{\n  APP {{ jetstream: enabled, users: [ {{user: admin, password: admin}}\n{users} ] }}\n}}\n"
    )
}

/// What the service is told, from its start until it is mended; then everything is as it should be.
struct Refused {
    world: World,
    service: Service,
    word: &'static str,
    noticed: Duration,
}

impl Refused {
    async fn at_the_start(
        broker: Broker,
        user: &str,
        flags: &[&str],
        reason: &'static str,
    ) -> anyhow::Result<Self> {
        let world = World::of(broker)?;
        let url = format!("nats://{user}127.0.0.1:{}", world.broker.server.port());
        let since = Instant::now();
        let service = world.serve_from(&url, "model", flags).await?;
        told(&service, "starting", reason, UNREADABLE).await?;
        Ok(Self {
            noticed: since.elapsed(),
            world,
            service,
            word: reason,
        })
    }

    /// Given that it was mended just now.
    async fn recovers(self) -> anyhow::Result<Seen> {
        let since = Instant::now();
        let recovery = recovered(&self.world, &self.service, 0, since).await?;
        sound(&self.world, &self.service).await?;
        Ok(Seen {
            words: vec![self.word],
            recoveries: vec![recovery],
            note: format!("told after {:.1} s", self.noticed.as_secs_f64()),
        })
    }
}

pub(crate) async fn configured(users: &str) -> anyhow::Result<Broker> {
    let broker = Broker::configured(&accounts(users), ADMIN).await?;
    broker.create_stream().await?;
    broker.publish(registrations()).await?;
    Ok(broker)
}

pub(crate) async fn permission_denied() -> anyhow::Result<Seen> {
    let user = |rest: &str| format!("{{user: service, password: right {rest}}}");
    let broker = configured(&user(", permissions: {publish: [\"other\"]}")).await?;
    let mut refused =
        Refused::at_the_start(broker, "service:right@", &[], "permission_denied").await?;
    let broker = &mut refused.world.broker;
    broker.configure(&accounts(&user(""))).await?;
    refused.recovers().await
}

pub(crate) async fn wrong_password() -> anyhow::Result<Seen> {
    let user = |password: &str| format!("{{user: service, password: {password}}}");
    let broker = configured(&user("other")).await?;
    let mut refused = Refused::at_the_start(broker, "service:right@", &[], "unauthorized").await?;
    let broker = &mut refused.world.broker;
    broker.configure(&accounts(&user("right"))).await?;
    refused.recovers().await
}

/// Mended on our side: the file is replaced, and read again.
pub(crate) async fn wrong_nkey() -> anyhow::Result<Seen> {
    let (right, wrong) = (KeyPair::new_user(), KeyPair::new_user());
    let broker = configured(&format!("{{nkey: {}}}", right.public_key())).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), wrong.seed()?)?;
    let flags = ["--nats-nkey", file.path().to_str().unwrap()];
    let refused = Refused::at_the_start(broker, "", &flags, "unauthorized").await?;
    std::fs::write(file.path(), right.seed()?)?;
    refused.recovers().await
}

/// They expire while the service runs; then the file is replaced.
pub(crate) async fn expired_credentials() -> anyhow::Result<Seen> {
    let operator = Operator::new();
    let login = Login::Creds(operator.user(None)?);
    let broker = Broker::configured(&operator.config()?, login).await?;
    broker.create_stream().await?;
    let world = World::of(broker)?;
    let last = world.broker.publish(registrations()).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), operator.user(Some(Duration::from_secs(6)))?)?;
    let flags = ["--nats-creds", file.path().to_str().unwrap()];
    let url = world.broker.server.url();
    let service = world.serve_from(&url, "model", &flags).await?;
    service.applied(last).await?;
    live(&service).await?;
    told(&service, "live", "unauthorized", UNREADABLE).await?;
    std::fs::write(file.path(), operator.user(None)?)?;
    let recovery = recovered(&world, &service, 0, Instant::now()).await?;
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["unauthorized"],
        recoveries: vec![recovery],
        note: "they expired under the running service".into(),
    })
}

pub(crate) async fn account_unknown() -> anyhow::Result<Seen> {
    let operator = Operator::new();
    let login = Login::Creds(operator.user(None)?);
    let broker = Broker::configured(&operator.config()?, login).await?;
    broker.create_stream().await?;
    broker.publish(registrations()).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), operator.stranger()?)?;
    let flags = ["--nats-creds", file.path().to_str().unwrap()];
    let refused = Refused::at_the_start(broker, "", &flags, "unauthorized").await?;
    std::fs::write(file.path(), operator.user(None)?)?;
    refused.recovers().await
}

pub(crate) async fn account_without_jetstream() -> anyhow::Result<Seen> {
    let user = "{user: service, password: right}";
    let plain = format!("accounts {{\n  PLAIN {{ users: [ {user} ] }}");
    let both = accounts("").replacen("accounts {", &plain, 1);
    let broker = Broker::configured(&both, ADMIN).await?;
    broker.create_stream().await?;
    broker.publish(registrations()).await?;
    let mut refused =
        Refused::at_the_start(broker, "service:right@", &[], "jetstream_disabled").await?;
    let broker = &mut refused.world.broker;
    broker.configure(&accounts(user)).await?;
    refused.recovers().await
}

/// Its server has none at first, and then another one stands in its place.
pub(crate) async fn server_without_jetstream() -> anyhow::Result<Seen> {
    let broker = Broker::with_arguments(vec!["--jetstream=false".into()]).await?;
    let port = broker.server.port();
    let mut refused = Refused::at_the_start(broker, "", &[], "jetstream_disabled").await?;
    refused.world.broker.server.stop().await;
    refused.world.broker = Broker::on_port(port).await?;
    refused.world.broker.create_stream().await?;
    refused.world.broker.publish(registrations()).await?;
    refused.recovers().await
}

/// Under exactly the permissions that `doctor` prints, everything works, a rebuild too; under one fewer,
/// `doctor` names it.
pub(crate) async fn exact_permissions() -> anyhow::Result<Seen> {
    let name = ["--consumer-name", "svc"];
    let printed = command(&[&["doctor", "--permissions"][..], &name].concat()).await?;
    ensure!(printed.code == Some(0), "{printed:?}");
    let user = |permissions: &str| format!("{{user: service, password: right, {permissions}}}");
    let mut broker = configured(&user(&printed.output)).await?;
    let url = format!("nats://service:right@127.0.0.1:{}", broker.server.port());
    let doctor = [&["doctor", "--nats-url", &url][..], &name].concat();
    let found = command(&doctor).await?;
    ensure!(found.code == Some(0), "{found:?}");
    // What the service does not need, it may not, and says so.
    for refused in ["$JS.API.INFO", "$JS.API.CONSUMER.LIST.IDENTITY_EVENTS"] {
        let grant = format!("mend: grant {refused} to this user");
        ensure!(found.output.contains(&grant), "no {grant} in {found:?}");
    }
    let lines: Vec<&str> = printed.output.lines().collect();
    let wanted: Vec<&str> = lines
        .iter()
        .filter(|line| line.contains('"'))
        .copied()
        .collect();
    let without = printed
        .output
        .replace("\"$JS.API.STREAM.MSG.GET.IDENTITY_EVENTS\"", "");
    broker.configure(&accounts(&user(&without))).await?;
    let lacking = command(&doctor).await?;
    let names_it = lacking
        .output
        .contains("$JS.API.STREAM.MSG.GET.IDENTITY_EVENTS");
    ensure!(lacking.code == Some(1) && names_it, "{lacking:?}");
    // Of a rebuild beside the service, which is in no other question's way.
    let without = printed.output.replace("\"_INBOX_svc-rebuild.>\"", "");
    ensure!(without != printed.output, "{printed:?}");
    broker.configure(&accounts(&user(&without))).await?;
    let lacking = command(&doctor).await?;
    let names_it = lacking.output.contains("\"_INBOX_svc-rebuild.>\"");
    let sees_it = lacking.output.contains("seen     stream: ");
    ensure!(
        lacking.code == Some(1) && names_it && sees_it,
        "{lacking:?}"
    );
    let blind = printed
        .output
        .replace("\"$JS.API.STREAM.INFO.IDENTITY_EVENTS\"", "");
    broker.configure(&accounts(&user(&blind))).await?;
    let blind = command(&doctor).await?;
    let names_it = blind
        .output
        .contains("danger   stream: NATS does not permit it");
    ensure!(blind.code == Some(3) && names_it, "{blind:?}");
    broker.configure(&accounts(&user(&printed.output))).await?;
    let world = World::of(broker)?;
    let service = world.serve_from(&url, "model", &name).await?;
    let recovery = recovered(&world, &service, 0, Instant::now()).await?;
    sound(&world, &service).await?;
    let admin = format!("http://{}", service.client.admin);
    let rebuilt = command(&["rebuild", "--admin", &admin]).await?;
    ensure!(rebuilt.code == Some(0), "{rebuilt:?}");
    sound(&world, &service).await?;
    let log = std::fs::read_to_string(&service.log)?;
    ensure!(!log.contains("ermissions"), "{log}");
    service.stop().await?;
    Ok(Seen {
        recoveries: vec![recovery],
        note: format!(
            "{} subjects, a rebuild too; doctor names one that lacks",
            wanted.len()
        ),
        ..Seen::default()
    })
}
