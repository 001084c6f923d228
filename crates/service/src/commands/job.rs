//! Jobs of a running service, as `rebuild` and `verify` ask for them: handed in, watched, told of.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{HumanCount, ProgressBar};
use reqwest::StatusCode;
use serde::Deserialize;

use super::bar;
use crate::admin_client::AdminClient;
use crate::cli::AdminArgs;
use crate::exit::Failure;
use crate::keeper::{Job, JobKind, JobState, JobStatus, Stage};
use crate::signals;

/// How often the service is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks the service of `admin` for a job and watches it to its end.
pub(super) async fn ask(admin: &AdminArgs, job: Job) -> Result<(), Failure> {
    let service = AdminClient::of(admin)?;
    let stop = signals::stop_token()?;
    let (answer, begun): (_, JobStatus) = service.post("/jobs", &job).await?;
    if answer == StatusCode::CONFLICT {
        let kind = begun.kind.map_or("job", JobKind::word);
        let problem = anyhow!("a {kind} is under way already: see the member job of /status");
        return Err(problem.into());
    }
    let bar = bar::of("events");
    let ended = tokio::select! {
        ended = watch(&service, begun.number, &bar) => ended,
        () = stop.cancelled() => {
            Err(anyhow!("no longer watched; the service goes on, see the member job of /status"))
        }
    };
    bar.finish_and_clear();
    conclude(&ended?, &mut io::stdout().lock())
}

/// The member of `/status` that jobs are about.
#[derive(Deserialize)]
struct Status {
    job: JobStatus,
}

/// Shows progress until the job has ended.
async fn watch(service: &AdminClient, number: u64, bar: &ProgressBar) -> anyhow::Result<JobStatus> {
    loop {
        let Status { job } = service.get("/status").await?;
        anyhow::ensure!(
            job.number == number,
            "the service was started again meanwhile: an unfinished rebuild goes on by itself, see the \
             member job of /status"
        );
        if job.state != JobState::Running {
            return Ok(job);
        }
        show(bar, &job);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Shows how far a job is: what it has read, and whether that is all.
pub(super) fn show(shown: &ProgressBar, job: &JobStatus) {
    let target = job.target_sequence.unwrap_or(0);
    bar::advance(shown, job.read_sequence, target);
    let is_read = target != 0 && target <= job.read_sequence;
    let mut said = format!("{} parked", HumanCount(job.parked_records));
    match (&job.detail, job.stage) {
        (Some(detail), _) => said.extend(["; ", detail]),
        (None, Some(Stage::Reading) | None) if is_read => {
            said.push_str("; all is read: writing, checking, comparing");
        }
        (None, Some(Stage::Reading) | None) => {}
        (None, Some(stage)) => said.extend(["; all is read: ", stage.word()]),
    }
    bar::note(shown, &said);
}

/// Tells what a job came to, and gives the command's end.
pub(super) fn conclude(job: &JobStatus, out: &mut impl Write) -> Result<(), Failure> {
    let kind = job.kind.unwrap_or(JobKind::Verify);
    let word = kind.word();
    if job.state != JobState::Done {
        let why = job.detail.as_deref();
        let why = why.unwrap_or("the service gives no reason");
        let rest = match kind {
            JobKind::Verify => "nothing was compared",
            JobKind::GiveUp => "nothing was removed",
            JobKind::Rebuild | JobKind::Rollback => "what was served is served still",
        };
        return Err(anyhow!("the {word} failed, {rest}: {why}").into());
    }
    if kind == JobKind::GiveUp {
        let said = writeln!(out, "the last good read model is removed");
        return Ok(said.context("standard output is gone")?);
    }
    let JobStatus {
        applied_sequence,
        parked_records,
        ..
    } = job;
    let compared = match (kind, job.equal) {
        (JobKind::Verify, Some(true)) => "the live rows are the fold of the stream",
        (JobKind::Verify, Some(false)) => "the live rows are NOT the fold of the stream:",
        (JobKind::Verify, None) => "nothing was compared:",
        (_, Some(true)) => "equal to what was served before",
        (_, Some(false)) => "different from what was served before:",
        (_, None) => "not compared with what was served before:",
    };
    writeln!(
        out,
        "{word} done at sequence {applied_sequence}, {parked_records} parked; {compared}"
    )
    .and_then(|()| {
        let mut lines = job.differences.iter().chain(&job.note);
        lines.try_for_each(|line| writeln!(out, "  {line}"))
    })
    .context("standard output is gone")?;
    if kind == JobKind::Verify && job.equal != Some(true) {
        return Err(Failure::Told);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(job: &JobStatus) -> String {
        let mut out = Vec::new();
        let ended = conclude(job, &mut out);
        let out = String::from_utf8(out).unwrap();
        match ended {
            Ok(()) => out,
            Err(Failure::Told) => format!("{out}exit code 1\n"),
            Err(failure) => format!("{out}error: {failure}\n"),
        }
    }

    #[test]
    fn every_end_has_its_words() {
        let mut text = String::new();
        for kind in [
            JobKind::Rebuild,
            JobKind::Rollback,
            JobKind::Verify,
            JobKind::GiveUp,
        ] {
            let done = JobStatus {
                state: JobState::Done,
                number: 1,
                kind: Some(kind),
                applied_sequence: 12,
                target_sequence: Some(10),
                parked_records: 3,
                equal: Some(true),
                ..JobStatus::default()
            };
            text += &said(&done);
            text += &said(&JobStatus {
                equal: Some(false),
                differences: vec![
                    "users: 2 live, 3 built".into(),
                    "users of u1 differs".into(),
                ],
                ..done.clone()
            });
            text += &said(&JobStatus {
                equal: None,
                differences: vec!["the live rows are of another stream".into()],
                ..done.clone()
            });
            text += &said(&JobStatus {
                state: JobState::Failed,
                detail: Some("the disk is full".into()),
                ..done
            });
        }
        crate::golden::assert("jobs.txt", &text);
    }
}
