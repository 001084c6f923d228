//! The disk of the read model: full, and not to be written.

use std::os::unix::fs::{PermissionsExt, chown};
use std::time::Instant;

use anyhow::ensure;
use tests::broker::eventually;
use tests::oracle::Oracle;
use tests::service::{Ended, SOON, run_as};
use tests::world::World;

use crate::load::large;
use crate::matrix::{REFUSED, Seen, told};
use crate::people::{live, settled, sound};

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

/// A limit of file sizes fails writes as a full disk does, and can be lifted.
pub(crate) async fn full() -> anyhow::Result<Seen> {
    let (world, service) = settled().await?;
    let size = world
        .data("model")
        .join("read-model.redb")
        .metadata()?
        .len();
    service.limit_files(Some(size))?;
    let mut people = 0;
    eventually("a full file", SOON * 3, async || {
        let more = (people..people + 4).flat_map(large);
        world.broker.publish(more).await.ok()?;
        people += 4;
        let status = service.client.status().await.ok()?;
        (status["phase"] == "blocked").then_some(())
    })
    .await?;
    let status = told(&service, "blocked", "disk_low", REFUSED).await?;
    // Every user is answered from the last rows that were kept, while the disk stays full.
    for n in 0..20 {
        let token = world.token(&format!("user_{n}"))?;
        let answer = service.client.query(Some(&token)).await?;
        ensure!(
            answer.body["value"]["userId"] == format!("u{n}"),
            "{answer:?}"
        );
    }
    let since = Instant::now();
    service.limit_files(None)?;
    let last = Oracle::of(&world.broker).await?.last;
    service.applied(last).await?;
    let recovery = since.elapsed();
    sound(&world, &service).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["disk_low"],
        recoveries: vec![recovery],
        note: format!("full at message {}", status["applied_sequence"]),
    })
}

/// No room even for an empty file: it says so and ends, and the next start makes it whole.
pub(crate) async fn full_at_the_start() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let data = world.data("model");
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"];
    let Ended { code, said, .. } = run_as(&limited, None, &world.serve_arguments("model")?).await?;
    ensure!(
        code == Some(1) && said.contains("error: "),
        "{code:?}: {said}"
    );
    ensure!(said.contains("File too large"), "{said}");
    let service = world.serve("model").await?;
    live(&service).await?;
    ensure!(data.join("read-model.redb").is_file(), "no file");
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
