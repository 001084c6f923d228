//! What a user would do instead: upsert the stream into `PostgreSQL`, in batches of 5,000 events, each a
//! transaction with its checkpoint.
//!
//! Tuned in its favour: commits are not waited for, the write-ahead log has room, rows are dumb JSON.

use std::collections::HashMap;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::Message;
use serde::Deserialize;
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls};

use crate::reader;

/// Events in a transaction.
const BATCH: usize = 5_000;

const TABLES: &str = "
    create table users (id text primary key, version bigint not null, workos_id text unique);
    create table profiles (user_id text primary key, id text, version bigint not null, state json);
    create table checkpoint (id boolean primary key, sequence bigint not null);
    insert into checkpoint values (true, 0);";
const USERS: &str = "
    insert into users select * from unnest($1::text[], $2::bigint[], $3::text[])
    on conflict (id) do update set version = excluded.version, workos_id = excluded.workos_id
    where excluded.version > users.version";
const PROFILES: &str = "
    insert into profiles
    select u, i, v, s::json from unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) t(u, i, v, s)
    on conflict (user_id) do update
    set id = excluded.id, version = excluded.version, state = excluded.state
    where excluded.version > profiles.version";

/// A server of its own, on a socket in a folder of its own; ended with this handle.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        if is_root()? {
            let uid = id_of("postgres")?;
            chown(folder.path(), Some(uid), None)?;
        }
        let server = Self { programs, folder };
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-A", "trust", "--no-sync", "-U", "postgres"],
        )?;
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c shared_buffers=1GB \
             -c synchronous_commit=off -c max_wal_size=8GB -c checkpoint_timeout=30min",
            server.folder.path().display()
        );
        server.run(
            "pg_ctl",
            &[
                "-D",
                &data,
                "-w",
                "-l",
                &format!("{data}.log"),
                "-o",
                &options,
                "start",
            ],
        )?;
        Ok(server)
    }

    /// The folder of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Runs one of its programs, as somebody else than root, which it refuses.
    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let program = self.programs.join(program);
        let mut command = if is_root()? {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let status = command
            .args(arguments)
            .current_dir("/")
            .stdout(Stdio::null())
            .status()?;
        ensure!(
            status.success(),
            "{} ended with {status}",
            program.display()
        );
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

/// Where Debian puts the programs of its newest version.
fn programs() -> anyhow::Result<PathBuf> {
    let missing = "PostgreSQL is not installed: apt-get install postgresql";
    let versions = std::fs::read_dir("/usr/lib/postgresql").context(missing)?;
    let versions = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    versions
        .filter(|programs| programs.join("initdb").is_file())
        .max()
        .context(missing)
}

fn is_root() -> anyhow::Result<bool> {
    Ok(id(&["-u"])? == 0)
}

fn id_of(user: &str) -> anyhow::Result<u32> {
    id(&["-u", user])
}

fn id(arguments: &[&str]) -> anyhow::Result<u32> {
    let said = Command::new("id").args(arguments).output()?;
    Ok(String::from_utf8(said.stdout)?.trim().parse()?)
}

/// Reads the stream as the bare reader does, on a thread of its own, and upserts it on another.
pub(crate) fn upsert(url: &str, events: u64, socket: &Path) -> anyhow::Result<Duration> {
    let (send, receive) = mpsc::channel(2);
    let url = url.to_owned();
    let started = Instant::now();
    let reading = std::thread::spawn(move || -> anyhow::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut batch = Batch::default();
            reader::read(&url, events, async |messages| {
                for message in &messages {
                    batch.take(message)?;
                    if BATCH <= batch.events {
                        send.send(std::mem::take(&mut batch)).await?;
                    }
                }
                Ok(())
            })
            .await?;
            Ok(send.send(batch).await?)
        })
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(write(receive, socket, events))?;
    let elapsed = started.elapsed();
    let read = reading.join();
    read.map_err(|_panic| anyhow::anyhow!("the reader panicked"))??;
    Ok(elapsed)
}

async fn write(
    mut batches: mpsc::Receiver<Batch>,
    socket: &Path,
    events: u64,
) -> anyhow::Result<()> {
    let address = format!("host={} user=postgres", socket.display());
    let (mut client, connection) = tokio_postgres::connect(&address, NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute(TABLES).await?;
    let mut sequence = 0;
    while let Some(batch) = batches.recv().await {
        sequence += i64::try_from(batch.events)?;
        batch.write(&mut client, sequence).await?;
    }
    let kept: i64 = client
        .query_one("select sequence from checkpoint", &[])
        .await?
        .get(0);
    ensure!(
        u64::try_from(kept)? == events,
        "{kept} of {events} events were kept"
    );
    drop(client);
    Ok(connection.await??)
}

#[derive(Deserialize)]
struct Data<'a, S> {
    #[serde(borrow)]
    entity: Entity<'a>,
    state: S,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entity<'a> {
    id: &'a str,
    user_id: String,
    version: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    workos_user_id: String,
}

/// The latest rows of some events: a statement cannot touch a row twice.
#[derive(Default)]
struct Batch {
    events: usize,
    users: HashMap<String, (i64, String)>,
    profiles: HashMap<String, (String, i64, String)>,
}

impl Batch {
    fn take(&mut self, message: &Message) -> anyhow::Result<()> {
        self.events += 1;
        if message.subject.ends_with(".user") {
            let Data { entity, state } =
                serde_json::from_slice::<Data<'_, User>>(&message.payload)?;
            let row = (entity.version, state.workos_user_id);
            self.users.insert(entity.user_id, row);
        } else {
            let Data { entity, state } =
                serde_json::from_slice::<Data<'_, &RawValue>>(&message.payload)?;
            let row = (entity.id.to_owned(), entity.version, state.get().to_owned());
            self.profiles.insert(entity.user_id, row);
        }
        Ok(())
    }

    async fn write(self, client: &mut Client, sequence: i64) -> anyhow::Result<()> {
        let transaction = client.transaction().await?;
        let (ids, rest): (Vec<_>, Vec<_>) = self.users.into_iter().unzip();
        let (versions, identities): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
        transaction
            .execute(USERS, &[&ids, &versions, &identities])
            .await?;
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (user, (id, version, state)) in self.profiles {
            columns.0.push(user);
            columns.1.push(id);
            columns.2.push(version);
            columns.3.push(state);
        }
        let (users, ids, versions, states) = columns;
        transaction
            .execute(PROFILES, &[&users, &ids, &versions, &states])
            .await?;
        transaction
            .execute("update checkpoint set sequence = $1", &[&sequence])
            .await?;
        Ok(transaction.commit().await?)
    }
}
