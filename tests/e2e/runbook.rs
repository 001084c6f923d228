//! The runbook says what the service says: each word, metric and line that it quotes is one that can be seen.

use std::collections::BTreeSet;
use std::path::Path;

use domain::testing::{Form, profile_patched, user_state};
use domain::{Connection, Outcome, ParkReason, Phase, Progress, Refusal};
use futures::TryStreamExt;
use serde_json::json;
use tests::broker::{eventually, project_file};
use tests::service::{Ended, SOON, command};
use tests::world::World;

use crate::tidy::sources;

fn runbook() -> String {
    project_file("deploy/RUNBOOK.md").unwrap()
}

/// Its entries: their words and texts.
fn entries(runbook: &str) -> Vec<(&str, &str)> {
    let sections = runbook.split("\n### `").skip(1);
    let entry = sections.filter_map(|section| section.split_once("`\n\n"));
    entry
        .map(|(word, text)| (word, text.split("\n#").next().unwrap().trim()))
        .collect()
}

/// The rows of the table under a heading: their cells.
fn table<'t>(runbook: &'t str, heading: &str) -> Vec<Vec<&'t str>> {
    let (_, section) = runbook.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    // `\|` is a bar in a cell.
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = rows.skip(1).map(|row| row.split(" | ").collect());
    cells.filter(|cells: &Vec<&str>| cells.len() > 1).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// All code, each text in one piece and with an ellipsis for what is filled in.
fn code() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    let mut code = String::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let line = line.trim();
            match line.strip_suffix('\\') {
                Some(begun) => code.push_str(begun),
                None => code.extend([line, "\n"]),
            }
        }
    }
    let mut pieces = code.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((filled, rest)) if !filled.contains('\n') => text.extend(["…", rest]),
            _ => text.extend(["{", piece]),
        }
    }
    text
}

#[test]
fn it_has_an_entry_for_every_word_and_for_no_other() {
    let runbook = runbook();
    let entries = entries(&runbook);
    let words: Vec<&str> = Phase::WORDS
        .into_iter()
        .chain(Refusal::WORDS)
        .chain(Connection::ALL.map(Connection::word))
        .chain(ParkReason::ALL.map(ParkReason::as_str))
        .chain([Progress::STANDING_STILL])
        .collect();
    for word in &words {
        let texts: Vec<&str> = entries
            .iter()
            .filter_map(|(found, text)| (found == word).then_some(*text))
            .collect();
        assert_eq!(texts.len(), 1, "entries for {word}: {texts:?}");
        assert!(texts[0].len() > 5, "the entry {word} says nothing");
    }
    let doubts = project_file("crates/projector/src/source/ledger.rs").unwrap();
    // Alarms are held against their rules elsewhere.
    let others = entries
        .iter()
        .filter(|(word, _)| !word.starts_with("ProfileProjector"));
    for (word, _text) in others {
        let is_doubt = doubts.contains(&format!(" => \"{word}\""));
        assert!(words.contains(word) || is_doubt, "there is no {word}");
    }
}

#[test]
fn its_outcomes_are_those_of_the_projection() {
    let runbook = runbook();
    let rows = table(&runbook, "Outcomes");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    let outcomes = Outcome::ALL.map(|outcome| {
        let is_parked = matches!(outcome, Outcome::Parked(_));
        if is_parked {
            "parked{…}"
        } else {
            outcome.as_str()
        }
    });
    assert_eq!(listed, BTreeSet::from(outcomes));
}

/// The metrics that it names, with a label and its values where they stand beside the name.
fn metrics(runbook: &str) -> Vec<(&str, Option<(&str, &str)>)> {
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let starts = runbook.match_indices("profile_projector_");
    let is_whole = |at: &usize| runbook[..*at].ends_with(is_other);
    let named = starts.map(|(at, _)| at).filter(is_whole).map(|at| {
        let rest = &runbook[at..];
        let (name, rest) = rest.split_at(rest.find(is_other).unwrap());
        let label = rest.strip_prefix('{').and_then(|rest| {
            let (label, rest) = rest.split_once('=')?;
            Some((label, rest.trim_start_matches('~').split('"').nth(1)?))
        });
        (name, label)
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_it_names_is_one_of_a_service() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let patch = profile_patched("u1", "p1", 9, &json!({"bio": "x"}));
    let last = world
        .broker
        .publish([
            user_state("u1", 1, "user_1").message(Form::Binary),
            patch.message(Form::Binary),
        ])
        .await?;
    service.applied(last).await?;
    service.client.query(Some(&world.token("user_1")?)).await?;
    let stream = world.broker.stream().await?;
    let consumers: Vec<String> = stream.consumer_names().try_collect().await?;
    stream.delete_consumer(&consumers[0]).await?;
    let shown = eventually("an attachment made anew", SOON, async || {
        let shown = service.client.operator("/metrics").await.ok()?.1;
        shown.contains("attachments_total{after=").then_some(shown)
    })
    .await?;
    // A histogram has buckets of its unit.
    for bucket in [
        "batch_records_bucket{le=\"1000\"}",
        "commit_duration_seconds_bucket{le=\"0.01\"}",
    ] {
        assert!(shown.contains(bucket), "no {bucket} in {shown}");
    }
    let (runbook, code) = (runbook(), code());
    let entries = entries(&runbook);
    let named = metrics(&runbook);
    assert!(named.len() > 10);
    for (metric, label) in named {
        let of_it = |line: &&str| {
            let rest = line.strip_prefix(metric);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
        };
        let line = shown.lines().find(of_it);
        let line = line.unwrap_or_else(|| panic!("no {metric} in {shown}"));
        let Some((label, values)) = label else {
            continue;
        };
        assert!(line.contains(&format!("{label}=\"")), "no {label}: {line}");
        // `…` and `<…>` stand for any.
        let values = values.split("\\|").filter(|value| !value.contains('…'));
        for value in values.filter(|value| !value.starts_with('<')) {
            let is_word = entries.iter().any(|(word, _)| *word == value);
            let is_outcome = Outcome::ALL.iter().any(|known| known.as_str() == value);
            // A result has no list of its own.
            let is_result = label == "result" && code.contains(&format!("\"{value}\""));
            let is_known = is_word || is_outcome || is_result || label == "code";
            assert!(is_known, "{metric}: there is no {label} {value}");
        }
    }
    Ok(())
}

#[test]
fn every_line_of_the_log_that_it_quotes_is_logged() {
    let (runbook, code) = (runbook(), code());
    let said = runbook
        .split("log\nsays `")
        .chain(runbook.split("log says `"));
    let said = said.filter_map(|text| text.split('`').next());
    let said: Vec<&str> = said.filter(|text| !text.starts_with('#')).collect();
    let other = table(&runbook, "Other lines of the log");
    let other: Vec<&str> = other.iter().flat_map(|row| quoted(row[0])).collect();
    assert!(
        said.len() > 4 && other.len() > 5,
        "{} and {}",
        said.len(),
        other.len()
    );
    for line in said.into_iter().chain(other) {
        let line = line.split('<').next().unwrap_or(line);
        assert!(code.contains(&format!("\"{line}")), "nothing says {line}");
    }
}

/// Starts that fail, each with what they say.
async fn failed_starts(world: &World) -> anyhow::Result<Vec<String>> {
    let (no_folder, no_file, damaged) = (world.data("a"), world.data("b"), world.data("c"));
    std::fs::write(&no_folder, "")?;
    for folder in [&no_file, &damaged] {
        std::fs::create_dir(folder)?;
    }
    std::fs::create_dir(no_file.join("read-model.redb"))?;
    std::fs::write(damaged.join("read-model.redb"), "no rows")?;
    let first = world.serve("model").await?;
    let mut said = Vec::new();
    for name in ["a/below", "b", "c", "model"] {
        let arguments = world.serve_arguments(name)?;
        let arguments: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
        let ended: Ended = command(&arguments).await?;
        assert_eq!(ended.code, Some(1), "{}", ended.said);
        said.push(ended.said);
    }
    first.stop().await?;
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn its_last_words_are_those_of_the_service() -> anyhow::Result<()> {
    let (runbook, code) = (runbook(), code());
    let said = failed_starts(&World::new().await?).await?;
    let rows = table(&runbook, "How it ends");
    let words: Vec<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    assert!(words.len() > 4);
    for last in &words {
        let last = last.trim_end_matches(" …");
        let is_said = said.iter().any(|said| said.contains(last));
        // A failing disk is simulated elsewhere.
        let is_disk = last == "a batch could not be written" && code.contains(last);
        assert!(is_said || is_disk, "nothing says {last}: {said:?}");
    }
    for said in said {
        let is_explained = words
            .iter()
            .any(|words| said.contains(words.trim_end_matches(" …")));
        assert!(is_explained, "the runbook lacks {said}");
    }
    Ok(())
}
