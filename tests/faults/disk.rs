//! The disk of the read model: full, and not to be written.

use std::os::unix::fs::{PermissionsExt, chown};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::broker::eventually;
use tests::oracle::Oracle;
use tests::service::{Ended, SOON, Service, command, run_as};
use tests::small_disk::SmallDisk;
use tests::world::World;

use crate::load::large;
use crate::matrix::{REFUSED, Seen, told};
use crate::people::{PEOPLE, live, registrations, settled, sound};

const MIB: u64 = 1024 * 1024;
/// Some more than twice what the people of the tests take.
const DISK: u64 = 64 * MIB;

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

/// A limit of file sizes fails writes as a quota does, and can be lifted.
pub(crate) async fn size_limited() -> anyhow::Result<Seen> {
    let (world, service) = settled().await?;
    let size = world
        .data("model")
        .join("read-model.redb")
        .metadata()?
        .len();
    service.limit_files(Some(size))?;
    let at = fills_up(&world, &service).await?;
    let recovery = goes_on(&world, &service, || service.limit_files(None)).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["disk_low"],
        recoveries: vec![recovery],
        note: format!("at message {at}"),
    })
}

/// A disk that has no space left, under the running service and at its start.
pub(crate) async fn full() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let disk = SmallDisk::at(&world.data("model"), DISK).await?;
    let last = world.broker.publish(registrations()).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    live(&service).await?;
    disk.fill(0)?;
    let at = fills_up(&world, &service).await?;
    let first = goes_on(&world, &service, || disk.free()).await?;
    // Full again, it is ended and started.
    disk.fill(0)?;
    let more = world.broker.publish((1_000..1_020).flat_map(large)).await?;
    told(&service, "blocked", "disk_low", REFUSED).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    told(&service, "blocked", "disk_low", REFUSED).await?;
    all_answered(&world, &service).await?;
    let second = goes_on(&world, &service, || disk.free()).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["disk_low"],
        recoveries: vec![first, second],
        note: format!("at message {at}, and from a start at {more}"),
    })
}

/// A second file does not fit beside the live one: each job says so and leaves no room taken, and the live
/// service goes on.
pub(crate) async fn full_in_a_rebuild() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let data = world.data("model");
    let disk = SmallDisk::at(&data, DISK).await?;
    world.broker.publish(registrations()).await?;
    let last = world.broker.publish((0..20).flat_map(large)).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    live(&service).await?;
    let admin = format!("http://{}", service.client.admin);
    // The disk is in a mount namespace of its own, where nobody finds it by the service's open files.
    let token = data.join("admin-token");
    let token = token.to_str().context("a path is text")?;
    let to = ["--admin", &admin, "--admin-token-file", token];
    let rebuild = [&["rebuild"][..], &to].concat();
    let rollback = [&["rebuild", "--rollback"][..], &to].concat();
    let verify = [&["verify"][..], &to].concat();
    let mut published = 20..24;
    let mut recoveries = Vec::new();
    disk.fill(5 * MIB)?;
    for job in [&rebuild[..], &verify] {
        no_room_for(job).await?;
        let files = std::fs::read_dir(&data)?.map(|entry| anyhow::Ok(entry?.file_name()));
        let files = files.collect::<anyhow::Result<Vec<_>>>()?;
        let left = files
            .iter()
            .filter(|name| name.to_string_lossy().ends_with(".redb"));
        ensure!(left.count() == 1, "{job:?} left {files:?}");
        // What it had taken is there for the live rows.
        let since = Instant::now();
        let last = world
            .broker
            .publish(published.clone().flat_map(large))
            .await?;
        service.applied(last).await?;
        recoveries.push(since.elapsed());
        published = published.end..published.end + 4;
        sound(&world, &service).await?;
    }
    disk.free()?;
    done(&rebuild).await?;
    let last = world.broker.publish(published.flat_map(large)).await?;
    service.applied(last).await?;
    disk.fill(0)?;
    no_room_for(&rollback).await?;
    ensure!(
        data.join("read-model.previous.redb").is_file(),
        "it is gone"
    );
    disk.free()?;
    done(&rollback).await?;
    sound(&world, &service).await?;
    Ok(Seen {
        recoveries,
        note:
            "rebuild, verify, rollback, snapshot: each fails with the reason and can be done again"
                .into(),
        ..Seen::default()
    })
}

async fn no_room_for(job: &[&str]) -> anyhow::Result<()> {
    let Ended { code, said, .. } = command(job).await?;
    let is_told = code == Some(1) && said.contains("No space left on device");
    ensure!(is_told, "{job:?}: {code:?}: {said}");
    Ok(())
}

async fn done(job: &[&str]) -> anyhow::Result<()> {
    let Ended { code, said, .. } = command(job).await?;
    ensure!(code == Some(0), "{job:?}: {code:?}: {said}");
    Ok(())
}

/// Publishes until the service says that there is no room; every user is answered from the last rows that
/// were kept. Gives the message that these are of.
async fn fills_up(world: &World, service: &Service) -> anyhow::Result<Value> {
    let mut people = 0;
    eventually("a full file", SOON * 3, async || {
        let more = (people..people + 4).flat_map(large);
        world.broker.publish(more).await.ok()?;
        people += 4;
        let status = service.client.status().await.ok()?;
        (status["phase"] == "blocked").then_some(())
    })
    .await?;
    let status = told(service, "blocked", "disk_low", REFUSED).await?;
    all_answered(world, service).await?;
    Ok(status["applied_sequence"].clone())
}

async fn all_answered(world: &World, service: &Service) -> anyhow::Result<()> {
    for n in 0..PEOPLE {
        let token = world.token(&format!("user_{n}"))?;
        let answer = service.client.query(Some(&token)).await?;
        ensure!(
            answer.body["value"]["userId"] == format!("u{n}"),
            "{answer:?}"
        );
    }
    Ok(())
}

/// From when there is room on, everything that was published is applied. Gives the time that it took.
async fn goes_on(
    world: &World,
    service: &Service,
    give_room: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let since = Instant::now();
    give_room()?;
    let last = Oracle::of(&world.broker).await?.last;
    service.applied(last).await?;
    let recovery = since.elapsed();
    sound(world, service).await?;
    Ok(recovery)
}

/// No room even for an empty file: it says so and ends, and the next start makes it whole.
pub(crate) async fn full_at_the_start() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let disk = SmallDisk::at(&world.data("model"), DISK).await?;
    disk.fill(0)?;
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"];
    for (before, model, reason) in [
        (&[][..], "model", "No space left on device"),
        (&limited, "other", "File too large"),
    ] {
        let ended = run_as(before, None, &world.serve_arguments(model)?).await?;
        let Ended { code, said, .. } = ended;
        ensure!(
            code == Some(1) && said.contains("error: "),
            "{code:?}: {said}"
        );
        ensure!(said.contains(reason), "no {reason} in {said}");
    }
    disk.free()?;
    for model in ["model", "other"] {
        let service = world.serve(model).await?;
        live(&service).await?;
        let file = world.data(model).join("read-model.redb");
        ensure!(file.is_file(), "no file");
    }
    Ok(Seen {
        note: "ends with the reason; the next start is good".into(),
        ..Seen::default()
    })
}

pub(crate) async fn folder_read_only() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let data = world.data("model");
    std::fs::create_dir(&data)?;
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o500))?;
    // Nobody is kept from writing who may do everything.
    let user = rustix::process::geteuid().is_root().then_some(NOBODY);
    if let Some(user) = user {
        chown(&data, Some(user), Some(user))?;
        world.open_to_all()?;
    }
    let Ended { code, said, .. } = run_as(&[], user, &world.serve_arguments("model")?).await?;
    ensure!(code == Some(1), "{code:?}: {said}");
    for part in [
        "error: cannot open",
        "let this user write there, or give another --data-dir",
    ] {
        ensure!(said.contains(part), "no {part} in {said}");
    }
    Ok(Seen {
        note: "ends with the reason".into(),
        ..Seen::default()
    })
}
