//! Alerts and boards: what Prometheus' own tool says of them, and that a real Prometheus finds in a service what they ask for.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;
use tests::broker::{eventually, project_file};
use tests::service::SOON;
use tests::tools::{judged, root, tool};
use tests::world::World;

const RULES: &str = "deploy/prometheus/rules.yaml";
const BOARDS: [&str; 2] = [
    "deploy/grafana/overview.json",
    "deploy/grafana/internals.json",
];

#[test]
fn the_rules_fire_when_they_should_and_only_then() -> anyhow::Result<()> {
    let promtool = tool("prometheus")?.join("promtool");
    let folder = root().join("deploy/prometheus");
    let run =
        |words: [&str; 3]| judged(Command::new(&promtool).args(words).current_dir(&folder), "");
    run(["check", "rules", "rules.yaml"])?;
    run(["test", "rules", "rules_test.yaml"])?;
    Ok(())
}

/// A Prometheus that scrapes one service each second; ended with this handle.
struct Prometheus {
    address: SocketAddr,
    process: tokio::process::Child,
    _folder: TempDir,
}

impl Prometheus {
    fn of(service: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let rules = root().join(RULES).canonicalize()?;
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\n\
            scrape_configs:\n  - job_name: profile-projector\n    static_configs: [{{ targets: ['{service}'] }}]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, config)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let process = tokio::process::Command::new(tool("prometheus")?.join("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut url = reqwest::Url::parse(&format!("http://{}/api/v1/{path}", self.address))?;
        url.query_pairs_mut().extend_pairs(query);
        let answer = reqwest::get(url).await?.text().await?;
        let answer: Value = serde_json::from_str(&answer)?;
        anyhow::ensure!(answer["status"] == "success", "{query:?}: {answer}");
        Ok(answer["data"].clone())
    }

    /// How many series an expression gives.
    async fn series(&self, expression: &str) -> anyhow::Result<usize> {
        let found = self.ask("query", &[("query", expression)]).await?;
        Ok(found["result"].as_array().map_or(1, Vec::len))
    }
}

/// The selectors in an expression: a metric with its labels. One with alternatives stands once for each of them.
fn selectors(expression: &str) -> Vec<String> {
    let starts = ["profile_projector_", "process_", "up{"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = starts
        .iter()
        .flat_map(|start| expression.match_indices(start));
    let whole = starts.filter(|(at, _)| {
        !expression[..*at].ends_with(is_name) && !expression[..*at].ends_with('"')
    });
    whole
        .flat_map(|(at, _)| {
            let rest = &expression[at..];
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let labels = rest[end..]
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'));
            let labels = labels.map_or("", |(labels, _)| labels);
            alternatives(labels)
                .into_iter()
                .map(|labels| format!("{}{{{labels}}}", &rest[..end]))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn alternatives(labels: &str) -> Vec<String> {
    let listed = labels.split_once("=~\"").and_then(|(before, rest)| {
        let (values, after) = rest.split_once('"')?;
        values.contains('|').then(|| {
            let each = values.split('|');
            each.map(|value| format!("{before}=\"{value}\"{after}"))
                .collect()
        })
    });
    listed.unwrap_or_else(|| vec![labels.to_owned()])
}

/// Every expression of a board.
fn expressions(board: &Value) -> Vec<String> {
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    let filled = expressions.map(|expression| {
        expression
            .replace("$__rate_interval", "30s")
            .replace("$job", "profile-projector")
            .replace("$instance", ".*")
    });
    filled.collect()
}

#[test]
fn the_boards_lead_to_each_other() -> anyhow::Result<()> {
    let boards: Vec<Value> = BOARDS
        .iter()
        .map(|board| Ok(serde_json::from_str(&project_file(board)?)?))
        .collect::<anyhow::Result<_>>()?;
    for (board, other) in [(&boards[0], &boards[1]), (&boards[1], &boards[0])] {
        let uid = other["uid"].as_str().context("a board has a name")?;
        assert_eq!(board["links"][0]["url"], format!("/d/{uid}"));
        for panel in board["panels"].as_array().unwrap() {
            let is_row = panel["type"] == "row";
            assert!(
                is_row || !panel["description"].as_str().unwrap().is_empty(),
                "{panel}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_selector_is_found_with_each_of_its_values() {
    let found =
        selectors("sum by (le) (rate(process_x[5m])) + up{job=\"profile_projector_x\",a=~\"b|c\"}");
    let wanted = [
        "process_x{}",
        "up{job=\"profile_projector_x\",a=\"b\"}",
        "up{job=\"profile_projector_x\",a=\"c\"}",
    ];
    assert_eq!(
        BTreeSet::from_iter(found),
        BTreeSet::from(wanted.map(str::to_owned))
    );
}

/// What is asked for is there before anything went wrong, or nobody would ever see it go wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_finds_in_a_service_all_that_rules_and_boards_ask_for() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let mut prometheus = Prometheus::of(service.client.admin)?;
    eventually("two scrapes", SOON, async || {
        let scrapes = "count_over_time(up{job=\"profile-projector\"}[1m]) > 2";
        let found = prometheus.series(scrapes).await.ok()?;
        (found == 1).then_some(())
    })
    .await?;
    assert!(
        prometheus.process.try_wait()?.is_none(),
        "it is ours that answers"
    );
    let groups = prometheus.ask("rules", &[]).await?;
    let rules = groups["groups"][0]["rules"].as_array().context("rules")?;
    let runbook = project_file("deploy/RUNBOOK.md")?;
    let tested = project_file("deploy/prometheus/rules_test.yaml")?;
    let mut asked = Vec::new();
    for rule in rules {
        let name = rule["name"].as_str().context("a rule has a name")?;
        assert!(
            runbook.contains(&format!("\n### `{name}`\n")),
            "the runbook lacks {name}"
        );
        assert!(
            tested.contains(&format!("\"{name}\"")),
            "nothing says when {name} fires"
        );
        let labels = &rule["labels"]["severity"];
        assert!(labels == "critical" || labels == "warning", "{rule}");
        let url = format!("RUNBOOK.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], url);
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{rule}");
        }
        // None of them goes wrong in a service that is well.
        assert_ne!(rule["state"], "firing", "{rule}");
        assert_eq!(rule["health"], "ok", "{rule}");
        asked.push(rule["query"].as_str().context("a rule asks")?.to_owned());
    }
    assert_eq!(
        runbook.matches("\n### `ProfileProjector").count(),
        rules.len()
    );
    for board in BOARDS {
        let board: Value = serde_json::from_str(&project_file(board)?)?;
        asked.extend(expressions(&board));
    }
    assert!(asked.len() > 70, "{}", asked.len());
    let mut missing = Vec::new();
    for expression in asked {
        prometheus.series(&expression).await?;
        let selectors = selectors(&expression);
        assert!(!selectors.is_empty(), "{expression} asks for nothing");
        for selector in selectors {
            if prometheus.series(&selector).await? == 0 {
                missing.push(selector);
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    Ok(())
}
