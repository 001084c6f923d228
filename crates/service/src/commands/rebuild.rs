//! `rebuild`: asks a running service to build its read model anew, and watches.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::StatusCode;
use serde::Deserialize;

use crate::admin_client::AdminClient;
use crate::cli::RebuildArgs;
use crate::exit::Failure;
use crate::keeper::{Job, JobKind, JobState, JobStatus};
use crate::signals;

/// How often the service is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &RebuildArgs) -> Result<(), Failure> {
    let service = AdminClient::new(&args.admin.admin)?;
    let kind = if args.rollback {
        JobKind::Rollback
    } else {
        JobKind::Rebuild
    };
    let job = Job {
        kind,
        accept_loss: args.accept_loss,
    };
    super::block_on(async {
        let stop = signals::stop_token()?;
        let (answer, begun): (_, JobStatus) = service.post("/rebuild", &job).await?;
        if answer == StatusCode::CONFLICT {
            let kind = begun.kind.map_or("job", JobKind::word);
            let problem =
                anyhow!("a {kind} is under way already: see the member rebuild of /status");
            return Err(problem.into());
        }
        let bar = bar();
        let ended = tokio::select! {
            ended = watch(&service, begun.number, &bar) => ended,
            () = stop.cancelled() => {
                Err(anyhow!("no longer watched; the service goes on, see the member rebuild of /status"))
            }
        };
        bar.finish_and_clear();
        conclude(&ended?, &mut io::stdout().lock())
    })
}

/// The member of `/status` that this command is about.
#[derive(Deserialize)]
struct Status {
    rebuild: JobStatus,
}

/// Shows progress until the job has ended.
async fn watch(service: &AdminClient, number: u64, bar: &ProgressBar) -> anyhow::Result<JobStatus> {
    loop {
        let Status { rebuild } = service.get("/status").await?;
        anyhow::ensure!(
            rebuild.number == number,
            "the service was started again meanwhile: an unfinished rebuild goes on by itself, see the \
             member rebuild of /status"
        );
        if rebuild.state != JobState::Running {
            return Ok(rebuild);
        }
        bar.set_length(rebuild.target_sequence.unwrap_or(0));
        bar.set_position(rebuild.applied_sequence);
        let waits = rebuild.detail.map(|detail| format!("; {detail}"));
        bar.set_message(format!(
            "{} parked{}",
            rebuild.parked_records,
            waits.unwrap_or_default()
        ));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// On standard error, and only where that is a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let template = "{bar:30} {pos}/{len} events  {per_sec}  {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn conclude(status: &JobStatus, out: &mut impl Write) -> Result<(), Failure> {
    let kind = status.kind.map_or("job", JobKind::word);
    if status.state != JobState::Done {
        let why = status
            .detail
            .as_deref()
            .unwrap_or("the service gives no reason");
        return Err(anyhow!("the {kind} failed, what was served is served still: {why}").into());
    }
    let JobStatus {
        applied_sequence,
        parked_records,
        ..
    } = status;
    let compared = match status.equal {
        Some(true) => "equal to what was served before",
        Some(false) => "different from what was served before:",
        None => "not compared with what was served before:",
    };
    let told = writeln!(
        out,
        "{kind} done at sequence {applied_sequence}, {parked_records} parked; {compared}"
    )
    .and_then(|()| {
        let mut lines = status.differences.iter();
        lines.try_for_each(|line| writeln!(out, "  {line}"))
    });
    told.context("standard output is gone")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &JobStatus) -> String {
        let mut out = Vec::new();
        match conclude(status, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(failure) => format!("error: {failure}"),
        }
    }

    #[test]
    fn every_end_has_its_words() {
        let done = JobStatus {
            state: JobState::Done,
            number: 1,
            kind: Some(JobKind::Rebuild),
            applied_sequence: 12,
            target_sequence: Some(10),
            parked_records: 3,
            equal: Some(true),
            ..JobStatus::default()
        };
        assert_eq!(
            said(&done),
            "rebuild done at sequence 12, 3 parked; equal to what was served before\n"
        );
        let different = JobStatus {
            equal: Some(false),
            differences: vec![
                "users: 2 live, 3 built".into(),
                "users of u1 differs".into(),
            ],
            kind: Some(JobKind::Rollback),
            ..done.clone()
        };
        assert_eq!(
            said(&different),
            "rollback done at sequence 12, 3 parked; different from what was served before:\n  \
             users: 2 live, 3 built\n  users of u1 differs\n"
        );
        let failed = JobStatus {
            state: JobState::Failed,
            detail: Some("the disk is full".into()),
            ..done
        };
        assert_eq!(
            said(&failed),
            "error: the rebuild failed, what was served is served still: the disk is full"
        );
    }
}
