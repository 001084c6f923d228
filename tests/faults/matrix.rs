//! Running rows and telling what they saw.

use std::any::Any;
use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::FutureExt;
use serde_json::Value;
use tests::broker::{eventually, project_file};
use tests::service::Service;

/// Rows at a time: they mostly wait.
const AT_ONCE: usize = 6;
const ROW_WITHIN: Duration = Duration::from_mins(4);
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// How a refusal is logged, whatever its reason.
pub(crate) const REFUSED: &str = "nothing more is applied, the rows so far are served";
/// How a stream that cannot be read is logged, whatever the reason.
pub(crate) const UNREADABLE: &str = "the stream cannot be read";

/// One situation.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> Running,
}

type Running = Pin<Box<dyn Future<Output = anyhow::Result<Seen>>>>;

/// A row that is called like the function that runs it.
macro_rules! row {
    ($module:ident::$function:ident) => {
        $crate::matrix::Row {
            name: concat!(stringify!($module), "::", stringify!($function)),
            run: || Box::pin($module::$function()),
        }
    };
}
pub(crate) use row;

/// What a row saw, for the table.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The words that the operator was told, in order.
    pub(crate) words: Vec<&'static str>,
    /// Each from the moment that the fault was mended until a new event was applied.
    pub(crate) recoveries: Vec<Duration>,
    /// Anything else worth telling.
    pub(crate) note: String,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if !self.words.is_empty() {
            parts.push(self.words.join(", "));
        }
        let mut sorted: Vec<f64> = self.recoveries.iter().map(Duration::as_secs_f64).collect();
        sorted.sort_by(f64::total_cmp);
        if let [least, .., most] = sorted[..] {
            let (times, median) = (sorted.len(), sorted[sorted.len() / 2]);
            parts.push(format!(
                "back in {least:.2} to {most:.2} s, median {median:.2} of {times}"
            ));
        } else if let [only] = sorted[..] {
            parts.push(format!("back in {only:.2} s"));
        }
        if !self.note.is_empty() {
            parts.push(self.note.clone());
        }
        f.write_str(&parts.join("; "))
    }
}

/// Runs the rows that the command line asks for and prints the table. `--list`, `--exact` and a word
/// mean what they do for other tests.
pub(crate) fn run(rows: &[Row]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let word = arguments.iter().find(|argument| is_word(argument));
    let wanted = |row: &&Row| match word {
        None => !is_given("--ignored"),
        Some(word) if is_given("--exact") => row.name == word,
        Some(word) => row.name.contains(word.as_str()),
    };
    let rows: Vec<&Row> = rows.iter().filter(wanted).collect();
    if is_given("--list") {
        for row in rows {
            println!("{}: test", row.name);
        }
        return ExitCode::SUCCESS;
    }
    let next = AtomicUsize::new(0);
    let take_rows = || {
        let rest = std::iter::from_fn(|| {
            let at = next.fetch_add(1, Ordering::Relaxed);
            Some((at, rows.get(at)?))
        });
        let done = rest.map(|(at, row)| {
            let (took, result) = timed(row.run);
            let ended = if result.is_ok() { "ok" } else { "FAILED" };
            println!("{} ... {ended}", row.name);
            (at, took, result)
        });
        done.collect::<Vec<_>>()
    };
    let mut results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(take_rows)).collect();
        let done = workers.into_iter().map(|worker| worker.join().unwrap());
        done.flatten().collect()
    });
    results.sort_by_key(|(at, ..)| *at);
    let mut table = format!("\n{:<52} {:>6}  told; back\n", "situation", "s");
    let mut failed = 0;
    for (row, (_, took, result)) in rows.iter().zip(results) {
        let seen = match result {
            Ok(seen) => seen.to_string(),
            Err(problem) => {
                failed += 1;
                format!("FAILED: {problem:#}")
            }
        };
        writeln!(
            table,
            "{:<52} {:>6.1}  {seen}",
            row.name,
            took.as_secs_f64()
        )
        .unwrap();
    }
    println!("{table}\n{} rows, {failed} failed", rows.len());
    ExitCode::from(u8::from(failed != 0))
}

/// Whether an argument names rows: neither a flag nor the value of `--format`.
fn is_word(argument: &str) -> bool {
    !argument.starts_with('-') && !["terse", "pretty", "json"].contains(&argument)
}

/// Runs a row on a runtime of its own: one that is busy must not keep the others from their deadlines.
fn timed(run: fn() -> Running) -> (Duration, anyhow::Result<Seen>) {
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        let guarded = AssertUnwindSafe(run()).catch_unwind();
        tokio::time::timeout(ROW_WITHIN, guarded).await
    });
    let result = match ended {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(anyhow::anyhow!(text_of(panic.as_ref()))),
        Err(_elapsed) => Err(anyhow::anyhow!("it did not end within {ROW_WITHIN:?}")),
    };
    (started.elapsed(), result)
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

/// Waits until `/status` says this phase and this word (its reason or its connection), and holds that
/// metrics, log and runbook say the same.
pub(crate) async fn told(
    service: &Service,
    phase: &str,
    word: &'static str,
    log: &str,
) -> anyhow::Result<Value> {
    let what = format!("{phase}, {word}");
    let found = eventually(&what, TOLD_WITHIN, async || {
        let status = service.client.status().await.ok()?;
        let is_word = status["reason"] == word || status["connection"] == word;
        let is_told = status["phase"] == phase && is_word && status["detail"].is_string();
        is_told.then_some(status)
    });
    let status = found.await.with_context(|| last_lines(service))?;
    let metrics = service.client.operator("/metrics").await?.1;
    for line in [
        format!("profile_projector_phase{{phase=\"{phase}\"}} 1"),
        format!("profile_projector_attachments_total{{after=\"{word}\"}}"),
    ] {
        ensure!(metrics.contains(&line), "no {line} in {metrics}");
    }
    let text = std::fs::read_to_string(&service.log)?;
    let mut lines = text.lines();
    let is_logged = lines.any(|line| line.contains(word) && line.contains(log));
    ensure!(is_logged, "no line with {word} and {log} in {text}");
    let runbook = project_file("deploy/RUNBOOK.md")?;
    for entry in [&format!("### `{word}`"), log] {
        ensure!(runbook.contains(entry), "the runbook lacks {entry}");
    }
    Ok(status)
}

fn last_lines(service: &Service) -> String {
    let log = std::fs::read_to_string(&service.log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
