//! `erase`: a person out of the stream and out of the read models.
//!
//! In this order: the erasures are published, each is read back from the stream and decoded, the messages
//! are deleted, and what is left is looked at. Interrupted in between, the stream says that the person is
//! gone and the next run deletes the rest; the other way round nothing would be left that tells read
//! models to forget.
//!
//! The person's rows are the same either way: an erasure leaves nothing but a tombstone without a version,
//! whatever came before it. The rows of others need not be, where they claimed the same identity: who
//! they are is computed before anything is done.

mod ask;
mod erasing;
mod others;
mod person;
mod report;

use anyhow::{Context, anyhow, bail};
use domain::{Circle, UserId};
use indicatif::{ProgressBar, ProgressStyle};
use jetstream::StreamInfo;
use query::quarantine::Kept;

use crate::admin_client::AdminClient;
use crate::cli::{ConsentArgs, EraseArgs};
use crate::commands::{block_on, waiting};
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats;
use crate::producer::{Checker, OutgoingEvent};
use crate::signals;
use crate::stored_messages::Reading;

use erasing::Erasures;
use others::Others;
use person::Person;
use report::{Left, Report};

/// How often messages are looked for again: a producer may go on while they are deleted.
const ROUNDS_MAX: u32 = 3;

pub(crate) fn run(args: &EraseArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    let user = &args.user;
    let id = UserId::parse(user).with_context(|| format!("{user:?} is no user id"))?;
    let services = waiting::services(&args.wait)?;
    let checker = Checker::new()?;
    block_on(async {
        let stop = signals::stop_token()?;
        let work = async {
            let connection = nats::connect(&config, "erase").await?;
            let reading = Reading {
                connection: &connection,
                stream: &config.stream,
            };
            let erasing = Erasing {
                args,
                user: id,
                stream: connection.stream(&config.stream).await?,
                reading,
                erasures: Erasures {
                    connection: &connection,
                    reading,
                    checker: &checker,
                    user,
                    request_id: &args.request_id,
                },
                services,
                bar: bar(),
            };
            erasing.run().await
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

/// A spinner that hides itself where there is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(ask::TICK);
    bar
}

struct Erasing<'a> {
    args: &'a EraseArgs,
    user: UserId,
    stream: StreamInfo,
    reading: Reading<'a>,
    erasures: Erasures<'a>,
    services: Vec<AdminClient>,
    bar: ProgressBar,
}

impl Erasing<'_> {
    async fn run(&self) -> anyhow::Result<Report> {
        let mut circle = Circle::of(self.user.clone());
        let person = self.find(&mut circle).await?;
        self.check_possible(&person).await?;
        let unerased = person.unerased(self.user.as_str());
        let events = unerased.iter();
        let events = events.map(|(document, highest)| self.erasures.event(document, *highest, 0));
        let events: Vec<OutgoingEvent> = events.collect::<Result<_, _>>()?;
        let extent = (self.stream.first, self.stream.last);
        let whose = (&self.user, &person);
        let mut others =
            Others::of(self.reading, extent, whose, circle, &events, &self.bar).await?;
        let mut report = Report::of(self.args, &self.stream);
        report.found(&person, others.changed.as_ref());
        if self.args.dry_run {
            self.bar.finish_and_clear();
            return Ok(report.planned(&events, person.messages.len()));
        }
        let name = self.reading.stream;
        let known = waiting::check_known(&self.services, self.erasures.connection, name).await;
        known.context("nothing was published or deleted")?;
        if !(events.is_empty() && person.messages.is_empty()) {
            self.confirm(&report, &events, &person, &others).await?;
        }
        let left = self
            .publish_and_delete(person, &mut others, &mut report)
            .await?;
        report.left_in_stream = left.messages.len();
        report.unproved = left.unerased(self.user.as_str()).len();
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

    async fn find(&self, circle: &mut Circle) -> anyhow::Result<Person> {
        let checker = self.erasures.checker;
        person::find(self.reading, self.user.as_str(), checker, circle, &self.bar).await
    }

    async fn check_possible(&self, person: &Person) -> anyhow::Result<()> {
        let (stream, user) = (self.reading.stream, &self.user);
        if person.is_unknown() && !self.is_kept_somewhere().await? {
            bail!(
                "stream {stream} has nothing of user {user}: is the id right? nothing was done; with --wait the services are asked too"
            );
        }
        if self.stream.deny_delete {
            bail!(
                "stream {stream} denies deletes for ever (deny_delete), so its messages cannot be erased: nothing was done; publish {user}'s erased events to erase the rows, and copy the stream without the person to erase the rest"
            );
        }
        Ok(())
    }

    /// Asks what was not answered by a flag. Where nobody can be asked, the flags have to be there.
    async fn confirm(
        &self,
        report: &Report,
        events: &[OutgoingEvent],
        person: &Person,
        others: &Others,
    ) -> anyhow::Result<()> {
        let ConsentArgs {
            yes,
            accept_changes,
        } = self.args.consent;
        let has_to_accept = others.is_any() && !accept_changes;
        if ask::is_possible() {
            if !yes {
                let plan = report.question(events, person.messages.len(), &self.args.wait.wait);
                ask::whether(plan, &self.bar).await?;
            }
            if has_to_accept {
                let question = format!("{}\nErase nevertheless?", report.changes());
                ask::whether(question, &self.bar).await?;
            }
            return Ok(());
        }
        if has_to_accept {
            let changes = report.changes();
            bail!(
                "{changes}; nothing was published or deleted: add --accept-changes to erase nevertheless"
            );
        }
        if !yes {
            bail!(
                "erase asks before it deletes, and there is no terminal to ask on; nothing was published or deleted: look at it with --dry-run, and add --yes"
            );
        }
        Ok(())
    }

    /// Deletes until nothing is found, and never before each document's erasure is proved stored. Gives
    /// what is left.
    async fn publish_and_delete(
        &self,
        mut person: Person,
        others: &mut Others,
        report: &mut Report,
    ) -> anyhow::Result<Person> {
        for round in 0..ROUNDS_MAX {
            let mut last = person.erasures.last().copied().unwrap_or(0);
            for (document, highest) in person.unerased(self.user.as_str()) {
                let published = self.erasures.publish(&document, highest).await?;
                last = published.sequence.unwrap_or(0).max(last);
                report.published.push(published);
            }
            if round == 0 {
                others
                    .check_still_so(self.reading, &self.user, last)
                    .await?;
            }
            // Before the messages go: a replica recognises the stream by the last ones it has applied.
            let stream = self.reading.stream;
            waiting::applied(
                &self.services,
                self.erasures.connection,
                stream,
                last,
                &self.args.wait,
            )
            .await?;
            let deleted = person::delete(self.reading, &person.messages, &self.bar).await?;
            report.deleted = report.deleted.saturating_add(deleted);
            // Nobody's claims count any more: the erasures are stored.
            person = self.find(&mut Circle::of(self.user.clone())).await?;
            let is_whole = person.unerased(self.user.as_str()).is_empty();
            if person.messages.is_empty() && is_whole {
                break;
            }
        }
        Ok(person)
    }

    async fn kept(&self, service: &AdminClient) -> anyhow::Result<Kept> {
        service.get(&format!("/users/{}", self.user)).await
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
