//! `quarantine drop`: publishes the decision to give up one parked record. The stream carries it, so
//! every replica and every rebuild takes it at the same place.

use std::io::{self, Write};

use anyhow::{Context, anyhow, bail};
use domain::UserId;
use jetstream::PublishAck;
use query::quarantine::Shown;
use serde_json::{Value, json};

use super::{ADMIN, parked};
use crate::admin_client::AdminClient;
use crate::cli::DropArgs;
use crate::commands::{block_on, waiting};
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats::{self, Connection};
use crate::printable;
use crate::producer::{Checker, OutgoingEvent, send_one};
use crate::signals;

pub(super) fn run(args: &DropArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    let services = waiting::services(&args.wait)?;
    let (event, outgoing) = decision(&args.user, args.sequence, &args.reason)?;
    block_on(async {
        let nearest = nearest(args)?;
        for service in services.iter().chain(&nearest) {
            check_parked(service, args).await?;
        }
        if args.dry_run {
            return tell(args, &json!({"dry_run": true, "event": event}), || {
                format!("would publish to {}: {event}", outgoing.subject)
            });
        }
        let stop = signals::stop_token()?;
        let work = async {
            let connection = nats::connect(&config, "quarantine-drop").await?;
            check_there(&connection, &config.stream, args.sequence).await?;
            let ack = send_one(&connection, &config.stream, &outgoing).await?;
            waiting::applied(
                &services,
                &connection,
                &config.stream,
                ack.sequence,
                &args.wait,
            )
            .await?;
            for service in &services {
                check_gone(service, args.sequence).await?;
            }
            anyhow::Ok(ack)
        };
        let ack = stop.run_until_cancelled(work).await;
        let ack =
            ack.ok_or_else(|| anyhow!("interrupted; run it again, it is safe to repeat"))??;
        let applied = !services.is_empty();
        let told = json!({
            "dry_run": false, "event": event, "stream": ack.stream, "sequence": ack.sequence,
            "duplicate": ack.duplicate, "applied": applied,
        });
        tell(args, &told, || sentence(args, &ack, applied))
    })
}

fn sentence(args: &DropArgs, ack: &PublishAck, applied: bool) -> String {
    let (record, decision) = (args.sequence, ack.sequence);
    let there = if ack.duplicate {
        " (it was there already)"
    } else {
        ""
    };
    let state = if applied {
        "it is applied, and the record is gone".to_owned()
    } else {
        format!("a service has applied it when its applied_sequence reaches {decision}")
    };
    format!("record {record}: the decision is at sequence {decision}{there}; {state}")
}

fn tell(args: &DropArgs, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let said = if args.json { value.to_string() } else { text() };
    writeln!(io::stdout(), "{}", printable::text(&said)).context("nobody reads the output")?;
    Ok(())
}

/// The event, checked as any producer's is. Its id follows from what it is about, so that a decision
/// taken twice is one.
pub(super) fn decision(
    user: &str,
    sequence: u64,
    reason: &str,
) -> anyhow::Result<(Value, OutgoingEvent)> {
    UserId::parse(user).with_context(|| format!("{user:?} is no user id"))?;
    let event = json!({
        "specversion": "1.0", "id": format!("quarantine:{user}:{sequence}"),
        "source": "/profile-projector/quarantine-drop", "type": "app.connvo.quarantine.dropped.v1",
        "subject": user, "data": {"userId": user, "sequence": sequence, "reason": reason},
    });
    let checked = Checker::new()?.check_event(&event);
    let outgoing = checked.map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        anyhow!("the decision is not one: {}", faults.join("; "))
    })?;
    Ok((event, outgoing))
}

/// A decision on a message that the stream does not have yet would mean nothing, and stay.
pub(super) async fn check_there(
    connection: &Connection,
    stream: &str,
    sequence: u64,
) -> anyhow::Result<()> {
    // Where it does not answer, publishing says why.
    if let Ok(found) = connection.stream(stream).await {
        let last = found.last;
        if last < sequence {
            bail!(
                "there is no record {sequence}: stream {stream} ends at {last}; nothing was published"
            );
        }
    }
    Ok(())
}

/// Who is asked whether the record is parked, where no service is waited for. A decision on one that is not means
/// nothing, and stays.
fn nearest(args: &DropArgs) -> anyhow::Result<Option<AdminClient>> {
    if args.force || !args.wait.wait.is_empty() {
        return Ok(None);
    }
    let url = args.admin.as_deref().unwrap_or(ADMIN);
    let token_file = args.wait.admin_token_file.as_deref();
    AdminClient::new(url, token_file).map(Some)
}

/// Whoever mistypes a sequence is told before anything is published.
async fn check_parked(service: &AdminClient, args: &DropArgs) -> anyhow::Result<()> {
    let (url, sequence, user) = (service.url(), args.sequence, &args.user);
    let asked = parked(service, sequence).await.with_context(|| {
        format!(
            "whether record {sequence} is parked is not known, and nothing was published: name its service with --admin URL \
             or --wait URL, or --force to ask none"
        )
    });
    let Some(Shown { entry, .. }) = asked? else {
        bail!("record {sequence} is not parked at {url}: nothing was published");
    };
    match &entry.user {
        Some(whose) if whose == user => Ok(()),
        Some(whose) => bail!(
            "record {sequence} is parked for user {whose}, not for {user}: nothing was published"
        ),
        None => bail!(
            "record {sequence} cannot be dropped: its subject names no user, and a decision names one; nothing was published"
        ),
    }
}

async fn check_gone(service: &AdminClient, sequence: u64) -> anyhow::Result<()> {
    if parked(service, sequence).await?.is_some() {
        let url = service.url();
        bail!("record {sequence} is still parked at {url}, though the decision is applied there");
    }
    Ok(())
}
