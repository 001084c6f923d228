//! Replays asked for line by line, of a process that stays.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use domain::testing::{Form, named, profile_patched, profile_state, user_state};
use serde_json::{Value, json};
use tests::service::{binary, command};

struct Asked {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Asked {
    fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(binary()?)
            .args(["replay", "--serve"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Ok(Self {
            child,
            input,
            output,
        })
    }

    fn ask(&mut self, line: &[u8]) -> anyhow::Result<Value> {
        self.input.write_all(line)?;
        self.input.write_all(b"\n")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Ends its input: the exit code, and what it said on standard error.
    fn end(self) -> anyhow::Result<(Option<i32>, String)> {
        drop(self.input);
        let ended = self.child.wait_with_output()?;
        Ok((ended.status.code(), String::from_utf8(ended.stderr)?))
    }
}

/// Three events of somebody, as a file has them.
fn events(number: u64) -> Vec<Value> {
    let (user, profile) = (format!("u{number}"), format!("p{number}"));
    let events = [
        user_state(&user, 1, &format!("user_{number}")),
        profile_state(&user, &profile, 1, &named(&format!("Name {number}"))),
        profile_patched(&user, &profile, 2, &json!({"bio": "I build looms."})),
    ];
    let text = events.map(|event| event.message(Form::Structured).payload);
    text.iter()
        .map(|text| serde_json::from_slice(text).unwrap())
        .collect()
}

#[tokio::test]
async fn a_thousand_replays_are_one_process_and_each_is_as_of_a_file() -> anyhow::Result<()> {
    let mut asked = Asked::start()?;
    asked.ask(br#"{"events":[]}"#)?;
    let requests: Vec<(u64, String)> = (0..1000)
        .map(|number| {
            let sub = format!("user_{number}");
            let request = json!({"id": number, "events": events(number), "as": [sub]});
            (number, request.to_string())
        })
        .collect();
    let begun = Instant::now();
    let mut answers = Vec::new();
    for (_, request) in &requests {
        answers.push(asked.ask(request.as_bytes())?);
    }
    let each = begun.elapsed() / 1000;
    println!("replay --serve: {each:?} a replay of 3 events");
    for ((number, _), answer) in requests.iter().zip(&answers) {
        let name = &answer["answers"][format!("user_{number}")]["displayName"];
        assert_eq!(name, &format!("Name {number}"));
        assert_eq!(answer["id"], *number);
    }
    assert_eq!(asked.end()?, (Some(0), String::new()));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.ndjson");
    let lines: Vec<String> = events(999).iter().map(Value::to_string).collect();
    std::fs::write(&file, lines.join("\n"))?;
    let of_file = command(&["replay", file.to_str().unwrap(), "--digest"]).await?;
    assert_eq!(answers[999]["digest"], of_file.output.trim());
    Ok(())
}

#[test]
fn garbage_is_answered_and_ends_nothing() -> anyhow::Result<()> {
    let mut asked = Asked::start()?;
    let secret = "grace@example.com";
    let long = format!(r#"{{"id":"{}"#, secret.repeat(1_000_000));
    let garbage: [&[u8]; 8] = [
        b"\xff\xfe\0",
        b"{",
        b"null",
        b"[[[[[[[[",
        long.as_bytes(),
        br#"{"events":[{"grace@example.com":1}]}"#,
        br#"{"events":{},"grace@example.com":[]}"#,
        br#"{"events":[],"as":["grace@example.com","a\nb",""]}"#,
    ];
    for line in garbage {
        let told = asked.ask(line)?;
        let message = told["error"]["message"].as_str().unwrap();
        assert!(!message.contains(secret), "{message}");
    }
    let deep = "[".repeat(100_000);
    assert!(asked.ask(deep.as_bytes())?["error"].is_object());
    let told = asked.ask(json!({"events": events(1)}).to_string().as_bytes())?;
    assert_eq!(told["profiles"], 1, "{told}");
    assert_eq!(asked.end()?, (Some(0), String::new()));
    Ok(())
}

#[tokio::test]
async fn it_takes_no_file_beside_and_ends_with_its_input() -> anyhow::Result<()> {
    let both = command(&["replay", "events.ndjson", "--serve"]).await?;
    assert_eq!(both.code, Some(2), "{both:?}");
    let ended = command(&["replay", "--serve"]).await?;
    assert_eq!(
        (ended.code, ended.output.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    Ok(())
}
