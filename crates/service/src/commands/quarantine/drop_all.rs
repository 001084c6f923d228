//! `quarantine drop-all`: decisions on all parked records of a group, one for each.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, anyhow, bail};

use super::drop::{check_there, decision};
use super::select::{Groups, each, wanted};
use super::{Source, list};
use crate::admin_client::AdminClient;
use crate::cli::{DropAllArgs, ReadFromArgs};
use crate::commands::{block_on, waiting};
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats;
use crate::printable::counted;
use crate::producer::{OutgoingEvent, send_one};
use crate::signals;

/// The most records given up at once.
const RECORDS_MAX: usize = 100_000;

/// The records of a group.
#[derive(Default)]
struct Found {
    groups: Groups,
    /// User and sequence of each.
    records: Vec<(String, u64)>,
    /// Those whose subject names no user: no decision can be taken on them.
    nobodys: u64,
}

pub(super) fn run(args: &DropAllArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    let services = waiting::services(&args.wait)?;
    let select = &args.select;
    let chosen = [
        &select.user,
        &select.parked_for,
        &select.lane,
        &select.fault,
    ];
    if chosen.into_iter().all(Option::is_none) {
        let error = anyhow!("say which: --user, --parked-for, --lane, --fault or several of them");
        return Err(error.into());
    }
    let chosen = wanted(select)?;
    let source = Source::of(&ReadFromArgs {
        admin: args.admin.clone(),
        admin_token_file: args.wait.admin_token_file.clone(),
        data_dir: args.data_dir.clone(),
    })?;
    block_on(async {
        let found = find(&source, chosen).await?;
        list::print(&found.said())?;
        let decisions = found.decisions(&args.reason)?;
        if args.dry_run || decisions.is_empty() {
            return list::print("nothing was published");
        }
        confirm(args, decisions.len())?;
        let last = publish(&config, &found, &decisions, args, &services).await?;
        let state = if services.is_empty() {
            format!("a service has applied them when its applied_sequence reaches {last}")
        } else {
            "they are applied".to_owned()
        };
        let count = u64::try_from(decisions.len()).unwrap_or(u64::MAX);
        let count = counted(count, "decision", "decisions");
        list::print(&format!("{count}, the last at sequence {last}; {state}"))
    })
}

/// Publishes the decisions in order and waits for the services. Gives the last sequence.
async fn publish(
    config: &NatsConfig,
    found: &Found,
    decisions: &[OutgoingEvent],
    args: &DropAllArgs,
    services: &[AdminClient],
) -> anyhow::Result<u64> {
    let stop = signals::stop_token()?;
    let connection = nats::connect(config, "quarantine-drop").await?;
    // The last of them is the first that a stream of another service may not have.
    let latest = found.records.iter().map(|(_, sequence)| *sequence).max();
    check_there(&connection, &config.stream, latest.unwrap_or(0)).await?;
    let mut last = 0;
    for (done, decision) in decisions.iter().enumerate() {
        let sending = send_one(&connection, &config.stream, decision);
        let sent = stop.run_until_cancelled(sending).await;
        let sent = sent.unwrap_or_else(|| Err(anyhow!("interrupted")));
        let ack = sent.with_context(|| {
            format!(
                "{done} of {} decisions are published; run it again, it is safe to repeat",
                decisions.len()
            )
        })?;
        last = ack.sequence.max(last);
    }
    let waiting = waiting::applied(services, &connection, &config.stream, last, &args.wait);
    let ended = stop.run_until_cancelled(waiting).await;
    ended.unwrap_or_else(|| Err(anyhow!("interrupted while waiting")))?;
    Ok(last)
}

async fn find(source: &Source, wanted: query::quarantine::Wanted) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let take = |entry: query::quarantine::Entry| {
        found.groups.add(&entry);
        let Some(user) = entry.user else {
            found.nobodys = found.nobodys.saturating_add(1);
            return Ok(());
        };
        if RECORDS_MAX <= found.records.len() {
            bail!("these are more than {RECORDS_MAX} records: choose fewer; nothing was published");
        }
        found.records.push((user, entry.sequence));
        Ok(())
    };
    each(source, wanted, take).await?;
    Ok(found)
}

impl Found {
    fn said(&self) -> String {
        let table = self.groups.table();
        match self.nobodys {
            0 => table,
            nobodys => {
                format!("{table}\n{nobodys} of them name no user and cannot be dropped")
            }
        }
    }

    fn decisions(&self, reason: &str) -> anyhow::Result<Vec<OutgoingEvent>> {
        let records = self.records.iter();
        records
            .map(|(user, sequence)| Ok(decision(user, *sequence, reason)?.1))
            .collect()
    }
}

/// Asks on a terminal; a script has to say so.
fn confirm(args: &DropAllArgs, records: usize) -> anyhow::Result<()> {
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        bail!(
            "nobody can be asked whether to give {records} records up: add --yes; nothing was published"
        );
    }
    write!(io::stderr(), "give {records} records up for good? [y/N] ")
        .context("nobody can be asked")?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.context("the answer cannot be read")?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("not confirmed: nothing was published");
    }
    Ok(())
}
