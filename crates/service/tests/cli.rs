//! The binary's exit codes and what it says, for the commands that need no server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};

const FAULTY: &str = include_str!("../golden/faulty.ndjson");
const PEOPLE: &str = include_str!("../../../schemas/examples/people.ndjson");

/// Exit code, standard output, standard error.
type Ended = (Option<i32>, String, String);

fn run(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_profile-projector"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn check_tells_by_its_exit_code() {
    let right = "13 events checked, 0 invalid, 0 faults\n".to_owned();
    let empty = String::new;
    assert_eq!(run(&["check", "-"], &[], PEOPLE), (Some(0), right, empty()));
    let faults = include_str!("../golden/check.txt").to_owned();
    assert_eq!(
        run(&["check", "-"], &[], FAULTY),
        (Some(1), faults, empty())
    );
    let faults = include_str!("../golden/check.json.txt").to_owned();
    let flags = ["check", "-", "--json"];
    assert_eq!(run(&flags, &[], FAULTY), (Some(1), faults, empty()));
}

#[test]
fn the_contract_is_printed_listed_and_written() {
    let updated = include_str!("../../../schemas/events/app.connvo.user.updated.v1.json");
    let asyncapi = include_str!("../../../schemas/asyncapi.json");
    let answer = include_str!("../../../schemas/answer.json");
    for (arguments, expected) in [
        (["schema", "app.connvo.user.updated.v1"], updated),
        (["schema", "user.updated"], updated),
        (["schema", "--asyncapi"], asyncapi),
        (["schema", "--answer"], answer),
    ] {
        let (code, printed, said) = run(&arguments, &[], "");
        assert_eq!((code, said.as_str()), (Some(0), ""), "{arguments:?}");
        assert_eq!(printed, expected, "{arguments:?}");
    }
    let (code, printed, _) = run(&["schema"], &[], "");
    assert_eq!((code, printed.lines().count()), (Some(0), 15));
    let (code, _, said) = run(&["schema", "user.renamed"], &[], "");
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: there is no document user.renamed;"),
        "{said}"
    );

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let (code, ..) = run(&["schema", "--output", dir.to_str().unwrap()], &[], "");
    assert_eq!(code, Some(0));
    let file = dir.join("events/app.connvo.user.updated.v1.json");
    assert_eq!(std::fs::read_to_string(file).unwrap(), updated);
}

#[test]
fn a_wrong_configuration_is_another_exit_code_than_a_failure() {
    let (code, _, said) = run(&["serve"], &[("PROFILE_PROJECTOR_LISTEN", "here")], "");
    assert_eq!(code, Some(2));
    assert!(
        said.starts_with("error: the configuration has 2 faults:"),
        "{said}"
    );
    assert!(
        said.contains("PROFILE_PROJECTOR_LISTEN=127.0.0.1:3210"),
        "{said}"
    );

    let (code, _, said) = run(&["serve", "--listn", "x"], &[], "");
    assert_eq!(code, Some(2));
    assert!(said.contains("'--listn'"), "{said}");

    let (code, _, said) = run(&["check", "no/such.ndjson"], &[], "");
    assert_eq!(code, Some(1));
    let expected = "error: no/such.ndjson cannot be read: No such file or directory (os error 2)\n";
    assert_eq!(said, expected);
}

/// What `serve` says of these variables, which have no issuer among them.
fn serve_with(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let named: Vec<_> = variables
        .iter()
        .map(|(name, value)| (format!("PROFILE_PROJECTOR_{name}"), *value))
        .collect();
    let named: Vec<_> = named.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let (code, _, said) = run(&["serve"], &named, "");
    (code, said)
}

#[test]
fn a_fault_names_the_variable_that_it_came_from() {
    let (code, said) = serve_with(&[("LISTEN", "here"), ("KEEP_ALIVE_SECONDS", "75s")]);
    assert_eq!(code, Some(2));
    for part in [
        "  PROFILE_PROJECTOR_LISTEN is no address: expected IP:PORT",
        "  PROFILE_PROJECTOR_KEEP_ALIVE_SECONDS is no number from 1 to 3600",
        "  --workos-client-id is missing",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let variable = [("PROFILE_PROJECTOR_LISTEN", "here")];
    let (_, _, said) = run(&["serve", "--listen", "there"], &variable, "");
    assert!(said.contains("  --listen is no address"), "{said}");
}

#[test]
fn switches_are_told_in_the_usual_words_and_empty_is_unset() {
    let missing = "error: configuration: --workos-client-id is missing";
    for word in ["1", "0", "true", "FALSE", "yes", "no", "On", "off", ""] {
        let (code, said) = serve_with(&[("VERBOSE_ERRORS", word), ("LISTEN", "")]);
        assert_eq!(code, Some(2), "{word}: {said}");
        assert!(said.starts_with(missing), "{word}: {said}");
    }
    for word in ["maybe", "2", " "] {
        let (code, said) = serve_with(&[("VERBOSE_ERRORS", word)]);
        assert_eq!(code, Some(2), "{word}: {said}");
        let named = "error: configuration: PROFILE_PROJECTOR_VERBOSE_ERRORS is neither 1, true,";
        assert!(said.starts_with(named), "{word}: {said}");
    }
    // One that is off needs nothing that one that is on needs.
    let (_, said) = serve_with(&[("OR_REBUILD", "no")]);
    assert!(said.starts_with(missing), "{said}");
    let (code, said) = serve_with(&[("OR_REBUILD", "yes")]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--from-snapshot"), "{said}");
    // Another command is not concerned.
    let variable = [("PROFILE_PROJECTOR_VERBOSE_ERRORS", "maybe")];
    assert_eq!(run(&["check", "-"], &variable, PEOPLE).0, Some(0));
}

#[test]
fn what_is_meant_once_has_no_variable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("written.ndjson");
    let variables = [
        ("PROFILE_PROJECTOR_JSON", "1"),
        ("PROFILE_PROJECTOR_DRY_RUN", "1"),
        ("PROFILE_PROJECTOR_UNTIL", "1"),
        ("PROFILE_PROJECTOR_DIGEST", "true"),
        ("PROFILE_PROJECTOR_WRITE", file.to_str().unwrap()),
        ("PROFILE_PROJECTOR_OUTPUT", file.to_str().unwrap()),
        ("PROFILE_PROJECTOR_REBUILD", "nonsense"),
    ];
    for command in [["check", "-"], ["replay", "-"], ["schema", "user.updated"]] {
        let with = run(&command, &variables, PEOPLE);
        assert_eq!(with.0, Some(0), "{command:?}: {}", with.2);
        let without = run(&command, &[], PEOPLE);
        assert_eq!((with.0, &with.1), (without.0, &without.1), "{command:?}");
        let said = with
            .2
            .strip_prefix("warning: set, and read by no command: ");
        let said = said.unwrap_or_default();
        assert_eq!(said.matches("give the flag --").count(), variables.len());
        assert_eq!(said.lines().count(), 1, "one warning: {said}");
    }
    assert!(!file.exists());
}

#[test]
fn a_password_is_not_shown() {
    let url = (
        "PROFILE_PROJECTOR_NATS_URL",
        "nats://me:hunter2@127.0.0.1:1",
    );
    for arguments in [&["serve"][..], &["serve", "--help"], &["publish", "--help"]] {
        let (_, printed, said) = run(arguments, &[url], "");
        assert!(!printed.contains("hunter2") && !said.contains("hunter2"));
    }
}

#[test]
fn a_token_is_printed_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let (code, token, said) = run(
        &["token", "--data-dir", dir, "--subject", "user_1"],
        &[],
        "",
    );
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(token.trim_end().split('.').count(), 3);
    assert_eq!(token.lines().count(), 1);
}

#[test]
fn an_example_is_printed_in_the_form_that_is_asked_for() {
    let example = |flags: &[&str]| run(&[&["schema"], flags].concat(), &[], "");
    let (_, structured, _) = example(&["user.deleted", "--example"]);
    let (_, binary, _) = example(&["user.deleted", "--example", "binary"]);
    let (_, command, _) = example(&["user.deleted", "--example", "nats"]);
    assert!(structured.starts_with(r#"{"specversion":"1.0","id":"user:jd7f:5","#));
    assert!(binary.starts_with(r#"{"subject":"identity.v1.jd7f.user","headers":{"#));
    assert_eq!(command, include_str!("../golden/schema_example.txt"));
    for line in [structured, binary] {
        let right = "1 event checked, 0 invalid, 0 faults\n";
        assert_eq!(run(&["check", "-"], &[], &line).1, right);
    }
    let (code, _, said) = example(&["--example"]);
    let missing = "error: --example is of one type: schema user.updated --example\n";
    assert_eq!((code, said.as_str()), (Some(1), missing));
    let (code, _, said) = example(&["common", "--example"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "error: common has no example\n")
    );
}

#[test]
fn dev_says_where_its_nats_server_can_listen() {
    let (code, _, said) = run(&["dev", "--nats-listen", "10.0.0.1:4222"], &[], "");
    let fault = "error: configuration: --nats-listen is neither on 127.0.0.1 nor on 0.0.0.0 (example: --nats-listen 0.0.0.0:4222)\n";
    assert_eq!((code, said.as_str()), (Some(2), fault));
}
