//! Clients that subscribe over the sync WebSocket. Each is a script that shows what it is told and
//! signs in and out as it is bid; the same story is played to all of them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use domain::testing::{Form, named, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::eventually;
use tests::service::SOON;
use tests::world::World;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::script::{built_file, node, python, rust};

/// Whose profile it is.
const SUB: &str = "user_ada";
/// How long a script may take to show what it has to. A client that lost its connection waits up
/// to 16 s before it tries again.
const WITHIN: Duration = Duration::from_mins(1);
/// The rest of the first token's life.
const REST: Duration = Duration::from_secs(12);

/// How the service counts a socket whose token ended.
const EXPIRED: &str = "profile_projector_sync_sockets_ended_total{reason=\"token_expired\"}";

/// How a client comes by a new token.
#[derive(Clone, Copy, PartialEq)]
enum Renewal {
    /// It asks the app when the old one is refused.
    Asked,
    /// The app hands it over, whenever that is.
    Handed,
}

/// A script at work.
struct Script {
    _child: Child,
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    early: VecDeque<Value>,
    complaints: File,
    name: String,
    shown: Option<Value>,
}

impl Script {
    async fn start(command: &mut Command) -> anyhow::Result<Self> {
        let complaints = tempfile::tempfile()?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone()?)
            .kill_on_drop(true)
            .spawn()?;
        let said = child.stdout.take().context("it has a standard output")?;
        let mut script = Self {
            orders: child.stdin.take().context("it has a standard input")?,
            said: BufReader::new(said).lines(),
            _child: child,
            early: VecDeque::new(),
            complaints,
            name: String::new(),
            shown: None,
        };
        let first = script.next().await?;
        let name = first["client"].as_str().context("no name")?;
        name.clone_into(&mut script.name);
        Ok(script)
    }

    /// What it says next.
    async fn next(&mut self) -> anyhow::Result<Value> {
        match self.early.pop_front() {
            Some(said) => Ok(said),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> anyhow::Result<Value> {
        let next = tokio::time::timeout(WITHIN, self.said.next_line()).await;
        if let Ok(Ok(Some(line))) = &next {
            return Ok(serde_json::from_str(line)?);
        }
        let mut complaints = String::new();
        self.complaints.rewind()?;
        self.complaints.read_to_string(&mut complaints)?;
        bail!("{} said no more ({next:?}): {complaints}", self.name)
    }

    /// The next thing that it shows in place of what it showed has to be this.
    async fn shows(&mut self, expected: &Value) -> anyhow::Result<()> {
        loop {
            let said = self.next().await?;
            let value = said
                .get("value")
                .with_context(|| format!("{}: {said}", self.name))?;
            if self.shown.as_ref() == Some(value) {
                continue;
            }
            ensure!(value == expected, "{}: {value}, not {expected}", self.name);
            self.shown = Some(value.clone());
            return Ok(());
        }
    }

    /// Bids it do something, and waits until it is under way.
    async fn bid(&mut self, order: &str, token: Option<&str>) -> anyhow::Result<()> {
        let line = format!("{}\n", json!({"do": order, "token": token}));
        self.orders.write_all(line.as_bytes()).await?;
        loop {
            let said = self.read().await?;
            if said.get("done").is_some() {
                return Ok(());
            }
            self.early.push_back(said);
        }
    }
}

/// The profile at a version. No number in it is whole: languages write those in their own ways.
fn members(version: u64) -> Value {
    let mut members = named(&format!("Ada {version}"));
    members["createdAt"] = json!(1_795_420_800_000.5);
    members
}

/// What is shown of it.
fn profile(version: u64) -> Value {
    let mut profile = members(version);
    profile["_id"] = "p1".into();
    profile["userId"] = "u1".into();
    profile
}

async fn publish(world: &World, version: u64) -> anyhow::Result<u64> {
    let event = profile_state("u1", "p1", version, &members(version));
    world.broker.publish([event.message(Form::Binary)]).await
}

/// Signed out, signed in, a change, a token that ends, a restart, signed out.
async fn play(command: &mut Command, renewal: Renewal) -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let user = user_state("u1", 1, SUB).message(Form::Binary);
    world.broker.publish([user]).await?;
    service.applied(publish(&world, 1).await?).await?;
    let (address, log) = (service.client.public, service.log.clone());

    let mut script = Script::start(command.arg(format!("http://{address}"))).await?;
    script.shows(&Value::Null).await?;

    let first = world.token_for(SUB, REST)?;
    let ended = tokio::time::Instant::now() + REST + Duration::from_secs(1);
    script.bid("sign-in", Some(&first)).await?;
    script.shows(&profile(1)).await?;
    publish(&world, 2).await?;
    script.shows(&profile(2)).await?;

    tokio::time::sleep_until(ended).await;
    let second = world.token(SUB)?;
    if renewal == Renewal::Asked {
        script.bid("renew", Some(&second)).await?;
    }
    publish(&world, 3).await?;
    eventually("the token's end", SOON, async || {
        let metrics = service.client.operator("/metrics").await.ok()?.1;
        metrics.contains(EXPIRED).then_some(())
    })
    .await?;
    if renewal == Renewal::Handed {
        script.bid("renew", Some(&second)).await?;
    }
    script.shows(&profile(3)).await?;

    service.kill().await?;
    publish(&world, 4).await?;
    let _service = world.serve_at("model", address).await?;
    script.shows(&profile(4)).await?;

    script.bid("sign-out", None).await?;
    script.shows(&Value::Null).await?;

    let log = std::fs::read_to_string(&log)?;
    let tokens = [&first, &second].into_iter();
    let tokens = tokens.flat_map(|token| token.split('.').skip(1));
    for private in tokens.chain([SUB, "Ada ", "someone@example.com"]) {
        ensure!(!log.contains(private), "the log tells {private}");
    }
    println!(
        "{}: signed out, signed in, change, expired token, restart, signed out",
        script.name
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_convex_newest() -> anyhow::Result<()> {
    play(node("live.mjs").arg("convex"), Renewal::Asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_convex_1_28() -> anyhow::Result<()> {
    play(node("live.mjs").arg("convex-1.28.0"), Renewal::Asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pypi_convex() -> anyhow::Result<()> {
    play(&mut python("live_client.py"), Renewal::Handed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crate_convex() -> anyhow::Result<()> {
    play(&mut rust()?, Renewal::Asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_chromium() -> anyhow::Result<()> {
    let screenshot = built_file("clients/page.png")?;
    let mut page = node("page.mjs");
    play(page.arg("convex").arg(screenshot), Renewal::Asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_chromium_with_npm_convex_1_28() -> anyhow::Result<()> {
    let screenshot = built_file("clients/page-1.28.0.png")?;
    let mut page = node("page.mjs");
    play(page.arg("convex-1.28.0").arg(screenshot), Renewal::Asked).await
}
