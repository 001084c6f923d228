//! Rules of the tree that a program can check.

use std::path::{Path, PathBuf};

use domain::{Connection, Phase, Refusal};
use tests::broker::project_file;

/// What a crate may name among its dependencies, of those that have one owner.
const OWNED: [(&str, &[&str]); 5] = [
    ("redb", &["read-model"]),
    ("axum", &["query", "service"]),
    ("jsonwebtoken", &["query", "service"]),
    ("async-nats", &["projector", "service", "tests"]),
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

const CRATES: [&str; 8] = [
    "domain",
    "event-lines",
    "convex-wire",
    "read-model",
    "projector",
    "query",
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
            "read-model" => &["tokio", "convex-wire", "projector", "query", "service"],
            "projector" => &["convex-wire", "query", "service"],
            "query" => &["projector", "service"],
            _ => &[],
        };
        for other in forbidden {
            assert!(!ours.contains(other), "{name} must not depend on {other}");
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
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

#[test]
fn the_runbook_has_an_entry_for_every_word() {
    let runbook = project_file("deploy/RUNBOOK.md").unwrap();
    let connections = Connection::ALL.map(Connection::word);
    let words = Phase::WORDS.into_iter().chain(Refusal::WORDS);
    for word in words.chain(connections) {
        let entry = format!("\n### `{word}`\n\n");
        let (_, text) = runbook
            .split_once(&entry)
            .unwrap_or_else(|| panic!("no entry {word}"));
        let text = text.split("\n#").next().unwrap();
        assert!(text.len() > 5, "the entry {word} says nothing");
    }
}
