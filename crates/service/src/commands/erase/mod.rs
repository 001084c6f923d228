//! `erase`: a person out of the stream and out of the read models.
//!
//! The erasures are published first and the messages deleted after. Interrupted in between, the stream
//! says that the person is gone and the next run deletes the rest; the other way round nothing would be
//! left that tells read models to forget. Rows are the same either way: an erasure leaves nothing but a
//! tombstone without a version, whatever came before it.

mod person;
mod report;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use async_nats::jetstream::stream::Stream;
use domain::{ProfileId, UserId, Version};
use indicatif::{ProgressBar, ProgressStyle};
use query::quarantine::Kept;
use serde_json::{Value, json};

use crate::admin_client::AdminClient;
use crate::cli::EraseArgs;
use crate::commands::{block_on, waiting};
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats::{self, Connection, REQUEST_WITHIN};
use crate::producer::{Checker, OutgoingEvent, send_one};
use crate::signals;

use person::Person;
use report::{Left, Published, Report};

/// How often messages are looked for again: a producer may go on while they are deleted.
const ROUNDS_MAX: u32 = 3;

pub(crate) fn run(args: &EraseArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    let user = &args.user;
    UserId::parse(user).with_context(|| format!("{user:?} is no user id"))?;
    let services = waiting::services(&args.wait)?;
    let checker = Checker::new()?;
    block_on(async {
        let stop = signals::stop_token()?;
        let work = async {
            let connection = nats::connect(&config, "profile-projector erase").await?;
            let mut denied = connection.denied.clone();
            let erasing = Erasing {
                args,
                stream_name: &config.stream,
                stream: open(&connection, &config.stream).await?,
                connection: &connection,
                checker,
                services,
                bar: bar(),
            };
            tokio::select! {
                biased;
                Ok(problem) = denied.wait_for(Option::is_some) => {
                    let problem = problem.clone().map(|problem| problem.to_string());
                    bail!("{}", problem.unwrap_or_default())
                }
                report = erasing.run() => report,
            }
        };
        let report = Box::pin(stop.run_until_cancelled(work)).await;
        let again = "interrupted; run it again to go on, nothing that was done is lost";
        let report = report.ok_or_else(|| anyhow!(again))??;
        report.tell(args.json)?;
        if report.is_done() {
            Ok(())
        } else {
            Err(Failure::Told)
        }
    })
}

async fn open(connection: &Connection, name: &str) -> anyhow::Result<Stream> {
    let asked = tokio::time::timeout(REQUEST_WITHIN, connection.jetstream.get_stream(name)).await;
    match asked {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) | Err(_) => match connection.denied.borrow().clone() {
            Some(denied) => Err(denied.into()),
            None => Err(connection.why_unheard(name).await.into()),
        },
    }
}

/// A spinner that hides itself where there is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

struct Erasing<'a> {
    args: &'a EraseArgs,
    connection: &'a Connection,
    stream_name: &'a str,
    stream: Stream,
    checker: Checker,
    services: Vec<AdminClient>,
    bar: ProgressBar,
}

impl Erasing<'_> {
    async fn run(&self) -> anyhow::Result<Report> {
        let user = &self.args.user;
        let person = person::find(&self.stream, user, &self.bar).await?;
        if person.is_unknown() && !self.is_kept_somewhere().await? {
            let stream = self.stream_name;
            bail!(
                "stream {stream} has nothing of user {user}: is the id right? nothing was done; with --wait the services are asked too"
            );
        }
        if self.stream.cached_info().config.deny_delete {
            let stream = self.stream_name;
            bail!(
                "stream {stream} denies deletes for ever (deny_delete), so its messages cannot be erased: nothing was done; publish {user}'s erased events to erase the rows, and copy the stream without the person to erase the rest"
            );
        }
        let mut report = Report::of(self.args, self.stream.cached_info());
        let events = self.erasures(&person)?;
        if self.args.dry_run {
            self.bar.finish_and_clear();
            return Ok(report.planned(&events, person.messages.len()));
        }
        let mut last = person.erasures.last().copied().unwrap_or(0);
        for event in &events {
            let ack = send_one(self.connection, self.stream_name, event).await?;
            last = last.max(ack.sequence);
            report.published.push(Published {
                id: event.id.clone(),
                sequence: Some(ack.sequence),
            });
        }
        // Before the messages go: a replica recognises the stream by the last ones it has applied.
        waiting::applied(&self.services, self.stream_name, last, &self.args.wait).await?;
        let left = self.delete(person, &mut report).await?;
        report.left_in_stream = left.messages.len();
        for service in &self.services {
            let kept = self.kept(service).await?;
            report.services.push(Left {
                url: service.url().to_owned(),
                is_erased: kept.is_erased(),
                kept,
            });
        }
        self.bar.finish_and_clear();
        Ok(report)
    }

    /// Deletes until nothing is found, and gives what is left.
    async fn delete(&self, mut person: Person, report: &mut Report) -> anyhow::Result<Person> {
        for _round in 0..ROUNDS_MAX {
            let deleted = person::delete(&self.stream, &person.messages, &self.bar).await?;
            report.deleted = report.deleted.saturating_add(deleted);
            person = person::find(&self.stream, &self.args.user, &self.bar).await?;
            if person.messages.is_empty() {
                break;
            }
        }
        Ok(person)
    }

    async fn kept(&self, service: &AdminClient) -> anyhow::Result<Kept> {
        service.get(&format!("/users/{}", self.args.user)).await
    }

    async fn is_kept_somewhere(&self) -> anyhow::Result<bool> {
        for service in &self.services {
            let kept = self.kept(service).await?;
            let Kept {
                applied_sequence, ..
            } = kept;
            if kept != nothing(applied_sequence) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is to be published: an erasure for each document that has none, the user's last. The
    /// user's is enough for the read model; those of profiles are for whoever else reads the stream.
    fn erasures(&self, person: &Person) -> anyhow::Result<Vec<OutgoingEvent>> {
        let user = format!("user:{}", self.args.user);
        // Ids are read from bad events too.
        let is_profile = |document: &&String| {
            let id = document.strip_prefix("profile:");
            id.is_some_and(|id| ProfileId::parse(id).is_ok())
        };
        let profiles = person.versions.keys().filter(is_profile);
        let documents = profiles.chain([&user]);
        let missing = documents.filter(|document| !person.erased.contains(*document));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let now = u64::try_from(now).context("the clock is far off")?;
        missing
            .map(|document| {
                let version = person.versions.get(document).copied().unwrap_or(0);
                let version = version.saturating_add(1).min(Version::MAX);
                let event = self.erasure(document, version, now)?;
                let checked = self.checker.check_event(&event);
                checked.map_err(|faults| {
                    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                    anyhow!(
                        "the erasure of {document} is no event: {}",
                        faults.join("; ")
                    )
                })
            })
            .collect()
    }

    fn erasure(&self, document: &str, version: u64, now: u64) -> anyhow::Result<Value> {
        let (kind, id) = document.split_once(':').context("a document has a kind")?;
        let user = &self.args.user;
        Ok(json!({
            "specversion": "1.0", "id": format!("{document}:{version}"),
            "source": "/profile-projector/erase", "type": format!("app.connvo.{kind}.erased.v1"),
            "subject": user,
            "data": {
                "entity": {"kind": kind, "id": id, "userId": user, "version": version},
                "erasedAt": now, "requestId": self.args.request_id,
            },
        }))
    }
}

/// What a service keeps of somebody it has never heard of.
fn nothing(applied_sequence: u64) -> Kept {
    Kept {
        applied_sequence,
        user: "absent".to_owned(),
        profiles: 0,
        profile_tombstones: 0,
        identities: 0,
        parked: 0,
        awaiting: 0,
    }
}
