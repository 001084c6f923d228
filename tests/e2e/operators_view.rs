//! What an operator sees without a browser: one screen, a health check, the first and last lines of the log, and what a
//! service manager is told.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use domain::testing::{Form, user_state};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::service::{binary, command, spawn_command};
use tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn one_screen_says_how_it_is_and_an_exit_code_whether_it_is_ready() -> anyhow::Result<()> {
    let world = World::new().await?;
    let user = user_state("u1", 1, "user_1").message(Form::Binary);
    let last = world.broker.publish([user]).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    let live = |status: &Value| status["phase"] == "live";
    service.status_when("live", live).await?;
    let admin = format!("http://{}", service.client.admin);

    let screen = command(&["status", "--admin", &admin]).await?;
    assert_eq!((screen.code, screen.said.as_str()), (Some(0), ""));
    for line in [
        "ready     ready",
        "phase     live, connected",
        "position  1 of 1 applied, nothing waits",
    ] {
        let is_there = screen.output.lines().any(|said| said == line);
        assert!(is_there, "no {line:?} in {}", screen.output);
    }
    assert!(
        screen.output.contains("1 users, 0 profiles"),
        "{}",
        screen.output
    );
    let json = command(&["status", "--json", "--admin", &admin]).await?;
    let status: Value = serde_json::from_str(&json.output)?;
    assert_eq!(status["applied_sequence"], 1);

    let ready = command(&["ready", "--admin", &admin]).await?;
    assert_eq!((ready.code, ready.output.as_str()), (Some(0), "ready\n"));
    service.stop().await?;
    let away = command(&["ready", "--admin", &admin]).await?;
    assert_eq!(away.code, Some(1));
    assert!(away.said.contains("no service answers at"), "{}", away.said);
    let away = command(&["status", "--admin", &admin]).await?;
    assert_eq!(away.code, Some(1), "{}", away.output);

    // Never live, and no broker to become so.
    let cold = world.serve_from("nats://127.0.0.1:1", "cold", &[]).await?;
    let admin = format!("http://{}", cold.client.admin);
    let ready = command(&["ready", "--admin", &admin]).await?;
    let wanted = "not ready: the read model has not been live yet\n";
    assert_eq!((ready.code, ready.output.as_str()), (Some(1), wanted));
    let screen = command(&["status", "--admin", &admin]).await?;
    assert!(
        screen.output.contains("see `disconnected` in RUNBOOK.md"),
        "{}",
        screen.output
    );
    let mut watching = spawn_command(&["status", "--watch", "--admin", &admin])?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(watching.try_wait()?.is_none(), "it goes on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_begins_with_what_it_is_and_ends_with_why() -> anyhow::Result<()> {
    let world = World::new().await?;
    let flags = ["--log=service=info,query=debug"];
    let service = world
        .serve_from(&world.broker.server.url(), "model", &flags)
        .await?;
    let refused = service.client.query(Some("no.good.token")).await?;
    assert_eq!(refused.status, 401);
    let log = service.log.clone();
    service.stop().await?;
    let log = std::fs::read_to_string(log)?;
    let lines: Vec<Value> = log
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let (first, last) = (&lines[0], lines.last().context("a last line")?);
    for (member, wanted) in [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("stream", "IDENTITY_EVENTS".to_owned()),
        ("folder", world.data("model").display().to_string()),
        ("servers", world.broker.server.url()),
    ] {
        assert_eq!(first[member], wanted, "{first}");
    }
    assert_eq!(last["message"], "it ends because it was told to");
    let told = lines.iter().find(|line| line["message"] == "told to end");
    assert_eq!(told.context("the signal")?["signal"], "SIGTERM");
    let refusal = lines
        .iter()
        .find(|line| line["message"] == "a token is refused");
    let refusal = refusal.context("a refused token is logged at debug")?;
    assert_eq!(
        (&refusal["level"], &refusal["kind"]),
        (&"DEBUG".into(), &"payload".into())
    );
    assert!(!log.contains("no.good.token"), "a token is never logged");

    // A start that fails says so in the log's own form.
    let taken = world.serve("taken").await?;
    let arguments = world.serve_arguments("taken")?;
    let arguments: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let ended = command(&arguments).await?;
    assert_eq!(ended.code, Some(1));
    let in_json = |line: &str| serde_json::from_str::<Value>(line).ok();
    let told = ended.said.lines().filter_map(in_json).next_back();
    let told = told.with_context(|| ended.said.clone())?;
    assert_eq!(
        (&told["level"], &told["message"]),
        (&"ERROR".into(), &"it ends because it failed".into())
    );
    assert!(
        told["reason"].as_str().unwrap().contains("is in use"),
        "{told}"
    );
    taken.stop().await?;
    Ok(())
}

/// What `NOTIFY_SOCKET` hears, until `last`.
fn heard(socket: &UnixDatagram, last: &str) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    while all.last().is_none_or(|said| said != last) {
        let mut buffer = [0; 256];
        let length = socket
            .recv(&mut buffer)
            .with_context(|| format!("after {all:?}"))?;
        all.push(String::from_utf8(buffer[..length].to_vec())?);
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told() -> anyhow::Result<()> {
    let world = World::new().await?;
    let folder = tempfile::tempdir()?;
    let address = folder.path().join("notify");
    let socket = UnixDatagram::bind(&address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut child = tokio::process::Command::new(binary()?)
        .args(world.serve_arguments("model")?)
        .env("NOTIFY_SOCKET", &address)
        .env("WATCHDOG_USEC", "200000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let first = heard(&socket, "WATCHDOG=1")?;
    assert_eq!(first, ["READY=1", "WATCHDOG=1"]);
    // It goes on.
    heard(&socket, "WATCHDOG=1")?;
    let id = i32::try_from(child.id().context("it runs")?)?;
    kill_process(Pid::from_raw(id).context("a process")?, Signal::TERM)?;
    let rest = heard(&socket, "STOPPING=1")?;
    let signs = rest.iter().filter(|said| *said == "WATCHDOG=1").count();
    assert_eq!(signs + 1, rest.len(), "{rest:?}");
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await??;
    assert!(ended.success());
    Ok(())
}
