//! NATS as its users have it: another domain, an imported API, TLS before anything else, contexts, variables,
//! passwords in files.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tests::broker::{Broker, Login, project_file};
use tests::service::{Ended, Service, command, command_with, run_as};
use tests::world::World;

/// Of the sample events.
const ADA: &str = "jd7adasampleuser0000000000000000";
const ADMIN: Login = Login::User("admin", "admin");
/// No text or log may ever repeat it.
const SECRET: &str = "hunter2-hunter2";

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

pub(crate) fn events(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("events.ndjson");
    std::fs::write(&file, project_file("schemas/examples/people.ndjson")?)?;
    Ok(file.to_str().context("a path is text")?.to_owned())
}

pub(crate) fn good(ended: &Ended) -> anyhow::Result<()> {
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(())
}

/// Every command that uses the stream does its work with these flags.
pub(crate) async fn all_commands_work(
    world: &World,
    url: &str,
    flags: &[&str],
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let run = async |arguments: &[&str]| {
        let all = [arguments, &["--nats-url", url], flags].concat();
        command(&all).await
    };
    let file = events(folder.path())?;
    let service = world.serve_from(url, "model", flags).await?;
    good(&run(&["publish", &file]).await?)?;
    let published = run(&["publish", &file, "--compare-and-set", "--json"]).await?;
    good(&published)?;
    let account: Value = serde_json::from_str(published.output.lines().last().unwrap_or_default())?;
    let last = account["summary"]["last_sequence"].as_u64();
    let status = service.applied(last.context("a sequence")?).await?;
    let replayed = run(&["replay", "--stream", "--digest"]).await?;
    assert_eq!(
        json!(replayed.output.trim()),
        status["digest"],
        "{replayed:?}"
    );
    let last = status["applied_sequence"].to_string();
    good(&run(&["as-of", "--user", ADA, "--sequence", &last]).await?)?;
    let admin = format!("http://{}", service.client.admin);
    good(&command(&["rebuild", "--admin", &admin]).await?)?;
    let looked = run(&["doctor", "--consumer-name", "looks"]).await?;
    ensure!(looked.output.contains("seen     stream: "), "{looked:?}");
    good(&run(&["erase", ADA, "--yes", "--request-id", "r1"]).await?)?;
    let dropping = [
        "quarantine",
        "drop",
        "u2",
        "1",
        "--reason",
        "test",
        "--force",
    ];
    good(&run(&dropping).await?)?;
    service.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_behind_a_leaf_node_is_reached_by_its_domain() -> anyhow::Result<()> {
    let leaves = free_port()?;
    // Its records name domain and account in their reply subjects.
    let hub = format!(
        "server_name: hub\nfeature_flags {{ js_ack_fc_v2: true }}\njetstream {{ domain: hub }}\n\
         leafnodes {{ listen: \"127.0.0.1:{leaves}\" }}\n"
    );
    let hub = Broker::configured(&hub, Login::Nobody).await?;
    hub.create_stream().await?;
    let edge_with = |users: &str| {
        format!(
            "server_name: edge\njetstream {{ domain: edge }}\n\
             accounts {{ APP {{ jetstream: enabled, users: [ {{user: admin, password: admin}}\n{users} ] }} }}\n\
             leafnodes {{ remotes [ {{url: \"nats-leaf://127.0.0.1:{leaves}\", account: APP}} ] }}\n"
        )
    };
    let edge = Broker::configured(&edge_with(""), ADMIN).await?;
    let world = World::of(edge)?;
    let url = format!(
        "nats://admin:admin@127.0.0.1:{}",
        world.broker.server.port()
    );
    let service = world.serve_from(&url, "astray", &[]).await?;
    let named = |status: &Value| {
        let detail = status["detail"].as_str().unwrap_or_default();
        status["connection"] == "stream_missing" && detail.contains("--nats-js-domain")
    };
    service.status_when("the hint", named).await?;
    service.stop().await?;
    let flags = ["--nats-js-domain", "hub"];
    all_commands_work(&world, &url, &flags).await?;
    let by_prefix = ["--nats-api-prefix", "$JS.hub.API"];
    let service = world.serve_from(&url, "model", &by_prefix).await?;
    let last = hub.last_sequence().await?;
    service.applied(last).await?;
    service.stop().await?;

    // The permissions that are printed with the flag are enough, at the leaf.
    let asked = ["doctor", "--permissions", "--consumer-name", "svc"];
    let printed = command(&[&asked[..], &flags].concat()).await?;
    let only = "$JS.hub.API.CONSUMER.CREATE.IDENTITY_EVENTS.svc";
    ensure!(printed.output.contains(only), "{printed:?}");
    let user = format!("{{user: service, password: right, {}}}", printed.output);
    world.broker.reload(&edge_with(&user)).await?;
    let url = format!(
        "nats://service:right@127.0.0.1:{}",
        world.broker.server.port()
    );
    let named = [&flags[..], &["--consumer-name", "svc"]].concat();
    let service = world.serve_from(&url, "permitted", &named).await?;
    service.applied(last).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_api_is_reached_by_its_prefix() -> anyhow::Result<()> {
    let broker = Broker::configured(
        "accounts {\n\
         OWNER { jetstream: enabled, users: [ {user: admin, password: admin} ]\n\
           exports: [ {service: \"$JS.API.>\", response: stream}, {service: \"identity.v1.>\"} ] }\n\
         APP { users: [ {user: service, password: right} ]\n\
           imports: [ {service: {account: OWNER, subject: \"$JS.API.>\"}, to: \"js.owner.>\"},\n\
             {service: {account: OWNER, subject: \"identity.v1.>\"}} ] }\n}\n",
        ADMIN,
    )
    .await?;
    broker.create_stream().await?;
    let world = World::of(broker)?;
    let url = format!(
        "nats://service:right@127.0.0.1:{}",
        world.broker.server.port()
    );
    all_commands_work(&world, &url, &["--nats-api-prefix", "js.owner"]).await
}

async fn serves(world: &World, url: &str, flags: &[&str], last: u64) -> anyhow::Result<Service> {
    let service = world.serve_from(url, "model", flags).await?;
    service.applied(last).await?;
    Ok(service)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_may_come_first() -> anyhow::Result<()> {
    let broker = Broker::configured("", Login::Nobody).await?;
    broker.create_stream().await?;
    let folder = tempfile::tempdir()?;
    let file = events(folder.path())?;
    let url = broker.server.url();
    good(&command(&["publish", &file, "--nats-url", &url]).await?)?;
    let last = broker.last_sequence().await?;
    let key = rcgen::KeyPair::generate()?;
    let cert = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let write = |name: &str, text: String| -> anyhow::Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_str().context("a path is text")?.to_owned())
    };
    let cert = write("server.crt", cert.pem())?;
    let key = write("server.key", key.serialize_pem())?;
    let config = format!("tls {{ cert_file: {cert:?}, key_file: {key:?}, handshake_first: true }}");
    broker.reload(&config).await?;
    let world = World::of(broker)?;
    let flags = ["--nats-tls-first", "--nats-tls-ca", &cert];
    let service = serves(&world, &url, &flags, last).await?;
    let publish = ["publish", &file, "--nats-url", &url];
    good(&command(&[&publish[..], &flags].concat()).await?)?;
    service.stop().await?;

    let without = command(&[&publish[..], &flags[1..]].concat()).await?;
    ensure!(
        without.code == Some(1) && without.said.contains("--nats-tls-first"),
        "{without:?}"
    );
    let service = world.serve_from(&url, "other", &flags[1..]).await?;
    let named = |status: &Value| {
        let detail = status["detail"].as_str().unwrap_or_default();
        status["connection"] == "disconnected" && detail.contains("--nats-tls-first")
    };
    service.status_when("the hint", named).await?;
    Ok(())
}

fn user(password: &str) -> String {
    format!(
        "accounts {{ APP {{ jetstream: enabled, users: [ {{user: admin, password: admin}},\n\
         {{user: me, password: {password:?}}} ] }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_a_file_is_replaced_under_the_running_service() -> anyhow::Result<()> {
    let broker = Broker::configured(&user("other"), ADMIN).await?;
    broker.create_stream().await?;
    let world = World::of(broker)?;
    let folder = tempfile::tempdir()?;
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{SECRET}\n"))?;
    let path = password.to_str().context("a path is text")?;
    let flags = ["--nats-user", "me", "--nats-password-file", path];
    let url = world.broker.server.url();
    let service = world.serve_from(&url, "model", &flags).await?;
    let refused = |status: &Value| {
        let detail = status["detail"].as_str().unwrap_or_default();
        status["connection"] == "unauthorized" && detail.contains(path)
    };
    service.status_when("the refusal", refused).await?;
    world.broker.reload(&user(SECRET)).await?;
    let file = events(folder.path())?;
    let published = [&["publish", &file, "--nats-url", &url][..], &flags].concat();
    good(&command(&published).await?)?;
    let last = world.broker.last_sequence().await?;
    service.applied(last).await?;
    let log = std::fs::read_to_string(&service.log)?;
    ensure!(!log.contains(SECRET), "{log}");
    Ok(())
}

/// A server that knows one user, and somebody's contexts.
struct Person {
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Person {
    async fn new() -> anyhow::Result<Self> {
        let broker = Broker::configured(&user(SECRET), ADMIN).await?;
        broker.create_stream().await?;
        let folder = tempfile::tempdir()?;
        events(folder.path())?;
        let contexts = folder.path().join("nats/context");
        std::fs::create_dir_all(&contexts)?;
        let url = broker.server.url();
        let write = |name: &str, context: &Value| {
            std::fs::write(contexts.join(format!("{name}.json")), context.to_string())
        };
        write(
            "right",
            &json!({"description": "ours", "url": url, "user": "me", "password": SECRET}),
        )?;
        write(
            "wrong",
            &json!({"url": url, "user": "me", "password": "x", "socks_proxy": ""}),
        )?;
        write(
            "proxied",
            &json!({"url": url, "socks_proxy": "socks5://me:hunter2-hunter2@p"}),
        )?;
        std::fs::write(folder.path().join("nats/context.txt"), "right\n")?;
        Ok(Self { broker, folder })
    }

    /// Publishes, in this environment.
    async fn publishes(&self, variables: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Ended> {
        let home = self.folder.path().to_str().context("a path is text")?;
        let file = format!("{home}/events.ndjson");
        let variables = [&[("XDG_CONFIG_HOME", home)][..], variables].concat();
        let ended = command_with(&variables, &[&["publish", &file], flags].concat()).await?;
        ensure!(!format!("{ended:?}").contains(SECRET), "{ended:?}");
        Ok(ended)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_and_variables_of_the_nats_tool_are_kept_to() -> anyhow::Result<()> {
    let person = Person::new().await?;
    let url = person.broker.server.url();
    let me = [
        ("NATS_URL", &*url),
        ("NATS_USER", "me"),
        ("NATS_PASSWORD", SECRET),
    ];
    for (variables, flags) in [
        (&[][..], &["--nats-context", "right"][..]),
        (&[("NATS_CONTEXT", "right")], &[]),
        (&[("PROFILE_PROJECTOR_NATS_CONTEXT", "right")], &[]),
        (&me, &[]),
        // The flag goes before the variable, and a context before the tool's other variables.
        (&[("NATS_CONTEXT", "wrong")], &["--nats-context", "right"]),
        (
            &[
                ("NATS_URL", "nats://127.0.0.1:1"),
                ("NATS_USER", "me"),
                ("NATS_PASSWORD", "x"),
            ],
            &["--nats-context", "right"],
        ),
    ] {
        let ended = person.publishes(variables, flags).await?;
        ensure!(ended.code == Some(0), "{variables:?} {flags:?}: {ended:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_to_is_named_and_nothing_is_taken_silently() -> anyhow::Result<()> {
    let person = Person::new().await?;
    for (variables, flags, code, said) in [
        (
            &[("NATS_CONTEXT", "wrong")][..],
            &[][..],
            1,
            "the password of context wrong (",
        ),
        (
            &[],
            &["--nats-context", "proxied"],
            2,
            "proxied.json): socks_proxy cannot be kept to",
        ),
        (
            &[],
            &["--nats-context", "none"],
            2,
            "there are proxied, right, wrong",
        ),
        (&[("NATS_CREDS", "/no/such")], &[], 2, "NATS_CREDS /no/such"),
        (
            &[],
            &["--nats-user", "me"],
            2,
            "--nats-password-file is missing",
        ),
    ] {
        let ended = person.publishes(variables, flags).await?;
        let is_told = ended.code == Some(code) && ended.said.contains(said);
        ensure!(is_told, "{variables:?} {flags:?}: {ended:?}");
    }
    // A server on this machine is tried, and the context that is selected is offered. Without a network,
    // since somebody's server may listen there.
    let home = person.folder.path().to_str().context("a path is text")?;
    let (variable, file) = (
        format!("XDG_CONFIG_HOME={home}"),
        format!("{home}/events.ndjson"),
    );
    let alone = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "env",
        &variable,
    ];
    let ended = run_as(&alone, None, &["publish".into(), file.into()]).await?;
    let is_told = ended.code == Some(1) && ended.said.contains("give --nats-context right");
    ensure!(is_told, "{ended:?}");
    Ok(())
}
