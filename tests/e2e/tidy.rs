//! Rules of the tree that a program can check.

use std::path::{Path, PathBuf};

use tests::broker::project_file;
use tests::service::command;

/// What a crate may name among its dependencies, of those that have one owner.
const OWNED: [(&str, &[&str]); 5] = [
    ("redb", &["read-model"]),
    ("axum", &["query", "service"]),
    ("jsonwebtoken", &["query", "service"]),
    ("async-nats", &["jetstream", "tests"]),
    ("anyhow", &["service", "tests"]),
];

fn manifest(name: &str) -> String {
    let folder = if name == "tests" {
        "tests".into()
    } else {
        format!("crates/{name}")
    };
    project_file(&format!("{folder}/Cargo.toml")).unwrap()
}

/// The dependencies that are not for tests alone.
fn dependencies(name: &str) -> Vec<String> {
    let manifest = manifest(name);
    let (_, after) = manifest.split_once("\n[dependencies]\n").unwrap();
    let table = after.split("\n[").next().unwrap();
    let names = table
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(Into::into)
        .collect()
}

const CRATES: [&str; 12] = [
    "answer",
    "devkit",
    "domain",
    "event-lines",
    "convex-wire",
    "read-model",
    "jetstream",
    "projector",
    "query",
    "replay-kit",
    "service",
    "tests",
];

#[test]
fn one_crate_knows_one_thing() {
    for name in CRATES {
        let dependencies = dependencies(name);
        for (owned, owners) in OWNED {
            let named = dependencies.iter().any(|dependency| dependency == owned);
            assert!(
                !named || owners.contains(&name),
                "{name} must not know {owned}"
            );
        }
        let ours: Vec<&str> = dependencies.iter().map(String::as_str).collect();
        let forbidden: &[&str] = match name {
            "domain" | "convex-wire" => &[
                "tokio",
                "domain",
                "event-lines",
                "convex-wire",
                "read-model",
                "projector",
                "query",
                "service",
            ],
            "event-lines" => &[
                "tokio",
                "convex-wire",
                "read-model",
                "projector",
                "query",
                "service",
            ],
            "read-model" | "replay-kit" => {
                &["tokio", "convex-wire", "projector", "query", "service"]
            }
            "jetstream" => &[
                "domain",
                "convex-wire",
                "read-model",
                "projector",
                "query",
                "service",
            ],
            "projector" => &["convex-wire", "query", "service"],
            "query" => &["projector", "service"],
            "answer" => &["tokio", "projector", "query", "service"],
            "devkit" => &["projector", "query", "read-model", "service"],
            _ => &[],
        };
        for other in forbidden {
            assert!(!ours.contains(other), "{name} must not depend on {other}");
        }
    }
}

pub(crate) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_opens_with_its_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    sources(&root.join("tests"), &mut files);
    assert!(files.len() > 50);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} opens without a page",
            file.display()
        );
    }
}

/// Commands and flags that the pages name are those of `--help`.
#[tokio::test]
async fn the_pages_name_commands_that_exist() {
    let pages = [
        "README.md",
        "deploy/README.md",
        "deploy/RUNBOOK.md",
        "schemas/README.md",
    ];
    for page in pages {
        let text = project_file(page).unwrap();
        let named: Vec<&str> = text
            .split('`')
            .filter_map(|quoted| quoted.strip_prefix("profile-projector "))
            .collect();
        assert!(!named.is_empty(), "{page} names no command");
        for line in named {
            let is_letter = |b: u8| b.is_ascii_lowercase() || b == b'-';
            let is_word = |word: &&str| !word.starts_with('-') && word.bytes().all(is_letter);
            let mut words: Vec<&str> = line.split_whitespace().take_while(is_word).collect();
            words.truncate(2);
            let help = command(&[&words[..], &["--help"]].concat()).await.unwrap();
            assert_eq!(help.code, Some(0), "{page}: {line}: {}", help.said);
            let is_end = |c: char| !c.is_ascii_lowercase() && c != '-';
            let flags = line.split(is_end).filter(|word| word.starts_with("--"));
            for flag in flags.filter(|flag| *flag != "--help") {
                assert!(help.output.contains(flag), "{page}: {line}: no {flag}");
            }
        }
    }
}

/// Relative links of every page lead to files, those to headings to headings, and a source file
/// that the maps name exists.
#[test]
fn the_pages_lead_to_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut pages = Vec::new();
    for folder in [".", "crates", "deploy", "schemas"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 10);
    let mut sources_of_crates = Vec::new();
    sources(&root.join("crates"), &mut sources_of_crates);
    sources(&root.join("tests"), &mut sources_of_crates);
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for (_, link) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let link = link.split(')').next().unwrap();
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let target = std::fs::read_to_string(&target).unwrap();
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == heading),
                    "{}: {link}",
                    page.display()
                );
            }
        }
        for named in text.split('`').skip(1).step_by(2) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
            let is_source = Path::new(named).extension().is_some_and(|end| end == "rs");
            if is_source && named.chars().all(is_path) {
                let found = sources_of_crates.iter().any(|file| file.ends_with(named));
                assert!(found, "{}: no file {named}", page.display());
            }
        }
    }
}

#[test]
fn each_decision_has_a_number_of_its_own() {
    let page = project_file("crates/DECISIONS.md").unwrap();
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let mut numbers: Vec<&str> = headings
        .map(|line| line.split('.').next().unwrap())
        .collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(40 < all);
    assert_eq!(numbers.len(), all);
}

/// The anchor that public forges make of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
