//! The recipes of the page on trust undo what a hostile neighbour wrote: each is run as it stands there.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use domain::apply;
use domain::testing::{Form, Message, named, profile_state, records, user_erased, user_state};
use read_model::{Options, ReadModel};
use serde_json::{Value, json};
use tests::broker::project_file;
use tests::service::{Ended, Service, binary, run};
use tests::world::World;

/// The commands below a heading.
fn commands(heading: &str) -> String {
    let page = project_file("deploy/TRUST.md").unwrap();
    let (_, section) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n##").next().unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let commands: Vec<&str> = lines.collect();
    assert!(!commands.is_empty(), "{heading} has no commands");
    commands.join("\n")
}

/// Where an operator sits: beside the service, with the variables of the deployment.
struct Desk<'w> {
    world: &'w World,
    service: Service,
    data: PathBuf,
}

impl<'w> Desk<'w> {
    fn at(world: &'w World, service: Service, data: &str) -> anyhow::Result<Self> {
        let programs = world.data("bin");
        std::fs::create_dir_all(&programs)?;
        let program = programs.join("profile-projector");
        if !program.exists() {
            symlink(binary()?, program)?;
        }
        let data = world.data(data);
        Ok(Self {
            world,
            service,
            data,
        })
    }

    /// Follows a recipe.
    async fn follow(&self, heading: &str, variables: &[(&str, &str)]) -> anyhow::Result<Ended> {
        let mut command = tokio::process::Command::new("bash");
        let programs = self.world.data("bin");
        let mut path = OsString::from(&programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command
            .args(["-euo", "pipefail", "-c", &commands(heading)])
            .current_dir(&programs)
            .env_clear()
            .env("PATH", path)
            .env("PROFILE_PROJECTOR_NATS_URL", self.world.broker.server.url())
            .env(
                "PROFILE_PROJECTOR_ADMIN",
                format!("http://{}", self.service.client.admin),
            )
            .env("PROFILE_PROJECTOR_DATA_DIR", &self.data)
            .envs(variables.iter().copied());
        let ended = run(command).await?;
        anyhow::ensure!(ended.code == Some(0), "{heading}: {ended:?}");
        Ok(ended)
    }

    /// What the query answers to an identity.
    async fn name_for(&self, identity: &str) -> anyhow::Result<Value> {
        let token = self.world.token(identity)?;
        let answer = self.service.client.query(Some(&token)).await?;
        Ok(answer.body["value"]["displayName"].clone())
    }

    async fn publish(&self, messages: Vec<Message>) -> anyhow::Result<u64> {
        let last = self.world.broker.publish(messages).await?;
        self.service.applied(last).await?;
        Ok(last)
    }
}

/// Ada, who is user `u1` with the profile `p1`, and another user.
fn people() -> Vec<Message> {
    vec![
        user_state("u1", 1, "user_ada").message(Form::Binary),
        profile_state("u1", "p1", 1, &named("Ada")).message(Form::Binary),
        user_state("u2", 1, "user_mallory").message(Form::Binary),
        profile_state("u2", "p2", 1, &named("Mallory")).message(Form::Binary),
    ]
}

fn user(identity: &str) -> String {
    let state = json!({"workosUserId": identity, "email": "someone@example.com", "isActive": true,
        "createdAt": 1_795_420_800_000_u64, "updatedAt": 1_795_420_920_000_u64});
    state.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_profile() -> anyhow::Result<()> {
    let world = World::new().await?;
    let desk = Desk::at(&world, world.serve("model").await?, "model")?;
    desk.publish(people()).await?;
    let hostile = profile_state("u1", "p1", 2, &named("Hostile")).message(Form::Binary);
    let bad = desk.publish(vec![hostile]).await?;
    assert_eq!(desk.name_for("user_ada").await?, "Hostile");
    let seen = desk.follow("## Undo", &[("U", "u1")]).await?;
    let messages = seen
        .output
        .lines()
        .filter(|line| line.starts_with("{\"sequence\""));
    assert_eq!(messages.count(), 3, "{seen:?}");
    let (state, bad) = (named("Ada").to_string(), bad.to_string());
    let variables = [
        ("U", "u1"),
        ("P", "p1"),
        ("NEXT", "3"),
        ("STATE", &state),
        ("BAD", &bad),
    ];
    let followed = desk.follow("### A hostile profile", &variables).await?;
    assert!(
        followed.output.contains(r#""displayName":"Ada""#),
        "{followed:?}"
    );
    assert_eq!(desk.name_for("user_ada").await?, "Ada");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_identity() -> anyhow::Result<()> {
    let world = World::new().await?;
    let desk = Desk::at(&world, world.serve("model").await?, "model")?;
    desk.publish(people()).await?;
    // Each has the other's: the token of one reads the other's profile.
    let hostile = [
        ("u2", 2, "user_nobody"),
        ("u1", 2, "user_mallory"),
        ("u2", 3, "user_ada"),
    ];
    let hostile = hostile
        .map(|(user, version, identity)| user_state(user, version, identity).message(Form::Binary));
    desk.publish(hostile.to_vec()).await?;
    assert_eq!(desk.name_for("user_mallory").await?, "Ada");
    assert_eq!(desk.name_for("user_ada").await?, "Mallory");
    let (right, thief) = (user("user_ada"), user("user_other"));
    let variables = [
        ("U", "u1"),
        ("THIEF", "u2"),
        ("NEXT", "3"),
        ("NEXT_OF_THIEF", "4"),
        ("STATE", &right),
        ("STATE_OF_THIEF", &thief),
    ];
    desk.follow("### A stolen identity", &variables).await?;
    assert_eq!(desk.name_for("user_ada").await?, "Ada");
    assert_eq!(desk.name_for("user_mallory").await?, Value::Null);
    assert_eq!(desk.name_for("user_other").await?, "Mallory");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_erasure() -> anyhow::Result<()> {
    let world = World::new().await?;
    let desk = Desk::at(&world, world.serve("model").await?, "model")?;
    desk.publish(people()).await?;
    let bad = desk
        .publish(vec![user_erased("u1", 2).message(Form::Binary)])
        .await?;
    assert_eq!(desk.name_for("user_ada").await?, Value::Null);
    let (bad, state, identity) = (bad.to_string(), named("Ada").to_string(), user("user_ada"));
    let variables = [
        ("U", "u1"),
        ("BAD", &*bad),
        ("NEW_U", "u1-again"),
        ("NEW_P", "p1-again"),
        ("USER_STATE", &identity),
        ("STATE", &state),
    ];
    let followed = desk.follow("### A hostile erasure", &variables).await?;
    assert!(
        followed.output.contains(r#""displayName":"Ada""#),
        "{followed:?}"
    );
    assert_eq!(desk.name_for("user_ada").await?, "Ada");
    Ok(())
}

/// Makes a folder of made-up rows, which say that they are of the stream as the rows of `right` are.
fn poisoned(right: &Path, folder: &Path) {
    let right = ReadModel::open(right, Options::default()).unwrap();
    let checkpoint = right.reader().checkpoint().unwrap();
    let mut hostile = people();
    hostile[1] = profile_state("u1", "p1", 1, &named("Hostile")).message(Form::Binary);
    let mut model = ReadModel::open(folder, Options::default()).unwrap();
    let mut batch = model.begin();
    for record in &records(&hostile) {
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
    }
    batch.commit(checkpoint).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_snapshot() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.broker.create_bucket("snapshots").await?;
    let last = world.broker.publish(people()).await?;
    let right = world.serve("right").await?;
    right.applied(last).await?;
    right.stop().await?;
    poisoned(&world.data("right"), &world.data("hostile"));
    let (url, folder) = (world.broker.server.url(), world.data("hostile"));
    let folder = folder.to_str().unwrap();
    let put = [
        "snapshot",
        "object:snapshots/latest",
        "--data-dir",
        folder,
        "--nats-url",
        &url,
    ];
    let put = tests::service::command(&put).await?;
    assert_eq!(put.code, Some(0), "{put:?}");

    let begin = ["--from-snapshot", "object:snapshots/latest"];
    let replica = world.serve_from(&url, "model", &begin).await?;
    replica.applied(last).await?;
    let desk = Desk::at(&world, replica, "model")?;
    assert_eq!(desk.name_for("user_ada").await?, "Hostile");
    desk.follow("### A poisoned snapshot", &[]).await?;
    assert_eq!(desk.name_for("user_ada").await?, "Ada");
    let next = world.serve_from(&url, "next", &begin).await?;
    next.applied(last).await?;
    let token = world.token("user_ada")?;
    let answer = next.client.query(Some(&token)).await?;
    assert_eq!(answer.body["value"]["displayName"], "Ada");
    Ok(())
}
