//! A replica begins with a snapshot and reads the rest, or says why it does not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domain::testing::{Form, Message, named, profile_patched, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::STREAM;
use tests::service::{Service, run_to_end};
use tests::world::World;

/// Users with profiles, and something parked.
fn people(range: std::ops::Range<u64>) -> Vec<Message> {
    let mut messages: Vec<Message> = range
        .clone()
        .flat_map(|n| {
            let (user, profile) = (format!("u{n}"), format!("p{n}"));
            [
                user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
                profile_state(&user, &profile, 1, &named(&format!("Person {n}")))
                    .message(Form::Binary),
            ]
        })
        .collect();
    let user = format!("u{}", range.start);
    let patch = profile_patched(&user, "p", 9, &json!({"bio": "x"}));
    messages.push(patch.message(Form::Binary));
    messages
}

/// A command of this world, with its broker and a data folder.
async fn command(
    world: &World,
    data: &str,
    words: &[&str],
) -> anyhow::Result<(Option<i32>, String)> {
    let (url, data) = (world.broker.server.url(), world.data(data));
    let data = data.display().to_string();
    let mut arguments = words.to_vec();
    arguments.extend(["--nats-url", &url, "--data-dir", &data]);
    run_to_end(&arguments).await
}

/// The same; it has to go well.
async fn done(world: &World, data: &str, words: &[&str]) -> anyhow::Result<()> {
    let (code, said) = command(world, data, words).await?;
    anyhow::ensure!(code == Some(0), "{said}");
    Ok(())
}

/// The same; it has to fail. What it said.
async fn refused(world: &World, data: &str, words: &[&str]) -> anyhow::Result<String> {
    let (code, said) = command(world, data, words).await?;
    anyhow::ensure!(code == Some(1), "{code:?} {said}");
    Ok(said)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // A service makes it at its first start, whatever it serves.
        .filter(|name| name != "admin-token")
        .collect();
    names.sort();
    names
}

fn live(status: &Value) -> bool {
    status["phase"] == "live"
}

async fn begun_with(world: &World, data: &str, snapshot: &str) -> anyhow::Result<Service> {
    let url = world.broker.server.url();
    world
        .serve_from(&url, data, &["--from-snapshot", snapshot])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_replica_begins_with_a_file_or_an_object() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.broker.create_bucket("snapshots").await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..500)).await?;
    let first = service.applied(last).await?;
    let admin = format!("http://{}", service.client.admin);

    let file = world.data("backup.snapshot");
    let file = file.to_str().unwrap();
    let object = "object:snapshots/eu/latest";
    done(&world, "model", &["snapshot", file, "--admin", &admin]).await?;
    done(&world, "model", &["snapshot", object, "--admin", &admin]).await?;
    assert_eq!(names(&world.data("model")), ["read-model.redb"]);
    let mode = Path::new(file).metadata()?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let told = service.client.status().await?["snapshot"].clone();
    assert_eq!(told["sequence"], json!(last), "{told}");
    assert_eq!(told["digest"], first["digest"], "{told}");
    let metrics = service.client.operator("/metrics").await?.1;
    assert!(metrics.contains(&format!("profile_projector_snapshot_sequence {last}")));

    // The stopped one gives the same bytes.
    service.stop().await?;
    let again = world.data("again.snapshot");
    done(&world, "model", &["snapshot", again.to_str().unwrap()]).await?;
    assert_eq!(std::fs::read(&again)?, std::fs::read(file)?);

    let last = world.broker.publish(people(500..600)).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    let expected = service.status_when("live", live).await?;
    for (data, snapshot) in [("file", file), ("object", object)] {
        let replica = begun_with(&world, data, snapshot).await?;
        replica.applied(last).await?;
        let status = replica.status_when("live", live).await?;
        for member in ["digest", "users", "profiles", "parked_records", "outcomes"] {
            assert_eq!(status[member], expected[member], "{member}");
        }
        let attached = std::fs::read_to_string(&replica.log)?;
        let from = format!("\"applied\":{}", first["applied_sequence"]);
        assert!(attached.contains(&from), "it read the tail alone");
        replica.stop().await?;
        // A second start finds its own rows, and needs no snapshot.
        let replica = begun_with(&world, data, "/no/such.snapshot").await?;
        replica.status_when("live", live).await?;
        replica.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_does_not_fit_is_refused_with_its_reason() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..50)).await?;
    service.applied(last).await?;
    service.stop().await?;
    let path = world.data("a.snapshot");
    let file = path.to_str().unwrap();
    done(&world, "model", &["snapshot", file]).await?;

    let said = refused(&world, "model", &["restore", file]).await?;
    assert!(said.contains("already"), "{said}");
    assert!(said.contains("--replace"), "{said}");
    let said = refused(&world, "new", &["restore", file, "--stream", "OTHER"]).await?;
    assert!(said.contains("of stream IDENTITY_EVENTS"), "{said}");
    let said = refused(&world, "new", &["restore", "object:none/x"]).await?;
    assert!(said.contains("there is no object store none"), "{said}");
    assert!(said.contains("nats object add none"), "{said}");
    let said = refused(&world, "none", &["snapshot", file]).await?;
    assert!(said.contains("there is no read model in"), "{said}");
    let live = world.data("model").join("read-model.redb");
    let said = refused(&world, "model", &["snapshot", live.to_str().unwrap()]).await?;
    assert!(said.contains("is no snapshot"), "{said}");

    let whole = std::fs::read(&path)?;
    let cut = world.data("cut.snapshot");
    let cut_file = cut.to_str().unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 9])?;
    let said = refused(&world, "new", &["restore", cut_file]).await?;
    assert!(said.contains("it is cut off"), "{said}");
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&cut, &changed)?;
    let said = refused(&world, "new", &["restore", cut_file]).await?;
    assert!(said.contains("it is damaged"), "{said}");
    let mut other = whole.clone();
    other[16] = 99;
    std::fs::write(&cut, &other)?;
    let said = refused(&world, "new", &["restore", cut_file]).await?;
    assert!(said.contains("layout 99"), "{said}");
    assert!(names(&world.data("new")).is_empty());

    // The stream lost what the snapshot holds, then it is another one.
    let jetstream = world.broker.jetstream().await?;
    jetstream.delete_stream(STREAM).await?;
    world.broker.create_stream().await?;
    let said = refused(&world, "new", &["restore", file]).await?;
    assert!(said.contains("folded from a stream created at"), "{said}");
    assert!(names(&world.data("new")).is_empty());
    // `serve` says it too, and builds the rows from the stream when it is told to.
    let flags = ["serve", "--from-snapshot", file, "--workos-client-id", "c"];
    let said = refused(&world, "new", &flags).await?;
    assert!(said.contains("--or-rebuild"), "{said}");
    let url = world.broker.server.url();
    world.broker.publish(people(7..9)).await?;
    let flags = ["--from-snapshot", file, "--or-rebuild"];
    let service = world.serve_from(&url, "new", &flags).await?;
    let users = |status: &Value| status["users"] == 2;
    service.status_when("two users", users).await?;
    service.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_make_place_when_told_to_and_are_kept() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..50)).await?;
    service.applied(last).await?;
    let path = world.data("a.snapshot");
    let file = path.to_str().unwrap();
    let said = refused(&world, "model", &["restore", file, "--replace"]).await?;
    assert!(said.contains("stop the service first"), "{said}");
    let admin = format!("http://{}", service.client.admin);
    done(&world, "model", &["snapshot", file, "--admin", &admin]).await?;
    // Another service's folder is not ours.
    let other = world.serve("other").await?;
    other.applied(last).await?;
    let said = refused(&world, "other", &["snapshot", file, "--admin", &admin]).await?;
    assert!(said.contains("is --data-dir its folder"), "{said}");
    other.stop().await?;
    service.stop().await?;
    done(&world, "model", &["restore", file, "--replace"]).await?;
    let found = names(&world.data("model"));
    let expected = ["read-model.previous.redb", "read-model.redb"];
    assert!(
        expected
            .iter()
            .all(|name| found.contains(&(*name).to_owned())),
        "{found:?}"
    );
    let service = world.serve("model").await?;
    service.applied(last).await?;
    service.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_snapshot_left_goes_at_the_next_start() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.broker.publish(people(0..3)).await?;
    let url = world.broker.server.url();
    let service = world.serve_from(&url, "model", &[]).await?;
    service.status_when("live", live).await?;
    service.stop().await?;
    let folder = world.data("model");
    let kept = names(&folder);
    for left in ["read-model.snapshot", "read-model.snapshot.unfinished"] {
        std::fs::write(folder.join(left), "everybody's profiles")?;
    }
    let service = world.serve_from(&url, "model", &[]).await?;
    service.status_when("live", live).await?;
    assert_eq!(names(&folder), kept);
    service.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_beginning_is_damaged_is_not_blamed_on_the_stream() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.broker.publish(people(0..3)).await?;
    let url = world.broker.server.url();
    let service = world.serve_from(&url, "model", &[]).await?;
    service.status_when("live", live).await?;
    service.stop().await?;
    let path = world.data("snapshot");
    let shown = path.to_str().unwrap();
    done(&world, "model", &["snapshot", shown]).await?;
    let mut bytes = std::fs::read(&path)?;
    let name = bytes
        .windows(STREAM.len())
        .position(|found| found == STREAM.as_bytes());
    bytes[name.unwrap()] ^= 1;
    std::fs::write(&path, &bytes)?;
    let said = refused(&world, "new", &["restore", shown]).await?;
    assert!(
        said.contains("it is damaged: its hash is not that of its contents"),
        "{said}"
    );
    assert!(names(&world.data("new")).is_empty());
    Ok(())
}
