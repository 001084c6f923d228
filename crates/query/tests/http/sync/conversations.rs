//! The conversations of `conversations.txt`, each with a service of its own.
//!
//! `>` is a message of the client, where `CONNECT` stands for a Connect, `TOKEN {changes}` for a token as `tokens::mint`
//! makes it, and `OURS` for our query. `<` is a message of the server, where a Transition is its versions and its
//! modifications, `FULL` the fixture's profile, and `RID` any request id. `profile` gives the fixture's user another
//! name, `owner` lets its identity be another user, `close` is the end.

use serde_json::Value;

use super::client::{Client, Heard, OURS, connect};
use crate::running::{FULL, Running, Setup, ada, set_owner, set_profile};
use crate::tokens;

const CONVERSATIONS: &str = include_str!("conversations.txt");
const ID: &str = "[Request ID: ";
const USER: &str = "j57bq0g31py2qjnt6amgqwq20x6dpzyk";

/// What the client says, with the short forms written out.
fn spoken(text: &str) -> String {
    if text == "CONNECT" {
        return connect(None).to_string();
    }
    let ours = format!(r#""udfPath":"{OURS}""#);
    let text = text.replace("OURS", &ours);
    match text.split_once(" TOKEN ") {
        None => text,
        Some((version, changes)) => {
            let token = tokens::mint(&serde_json::from_str(changes).unwrap());
            format!(
                r#"{{"type":"Authenticate","baseVersion":{version},"tokenType":"User","value":"{token}"}}"#
            )
        }
    }
}

/// What the server says, in the short form.
fn shortened(message: &Value, text: &str) -> String {
    let mut text = text.replace(FULL, "FULL");
    if message["type"] == "Transition" {
        let version = |at: &str| format!("{},{}", message[at]["querySet"], message[at]["identity"]);
        let (_, rest) = text.split_once(r#""modifications":"#).unwrap();
        let (modifications, _) = rest.rsplit_once(r#","clientClockSkew":"#).unwrap();
        text = format!(
            "{} {} {modifications}",
            version("startVersion"),
            version("endVersion")
        );
    }
    match text.find(ID) {
        // The ids of mutations are of the contract, those of queries random.
        Some(at) if text.contains("QueryFailed") => {
            let end = at + text[at..].find(']').unwrap();
            format!("{}RID{}", &text[..at + ID.len()], &text[end..])
        }
        _ => text,
    }
}

async fn heard(client: &mut Client) -> String {
    match client.hear_more().await {
        Heard::Text(message, text) => format!("< {}", shortened(&message, &text)),
        Heard::Closed(None) => "close".to_owned(),
        Heard::Closed(Some(frame)) => format!("close {} {}", u16::from(frame.code), frame.reason),
        Heard::Gone => "gone".to_owned(),
        Heard::Ping => unreachable!(),
    }
}

/// Plays a conversation, and writes it down as it was.
async fn play(conversation: &str) -> String {
    let mut running = Running::start(Setup::default()).await;
    let mut client = Client::open(running.address).await;
    let mut said = Vec::new();
    for line in conversation.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            ">" => client.say_text(spoken(rest)).await,
            "profile" => {
                running.commit(|batch| {
                    let mut profile = ada();
                    profile.display_name = rest.into();
                    set_profile(batch, USER, (rest != "none").then_some(profile));
                });
            }
            "owner" => {
                let user = (rest != "none").then_some(rest);
                running.commit(|batch| set_owner(batch, "user_1", user));
            }
            "<" | "close" => {
                said.push(heard(&mut client).await);
                continue;
            }
            _ => {}
        }
        said.push(line.to_owned());
    }
    if !conversation.contains("\nclose") {
        let last = r#"{"type":"Action","requestId":9,"udfPath":"last","args":[]}"#;
        client.say_text(last.to_owned()).await;
        let next = heard(&mut client).await;
        assert!(
            next.starts_with(r#"< {"type":"ActionResponse","requestId":9,"#),
            "{conversation}\n{next}"
        );
    }
    drop(client);
    running.stop().await;
    said.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation() {
    let mut failed = Vec::new();
    let mut played = Vec::new();
    for wanted in CONVERSATIONS.split("\n\n") {
        let found = play(wanted).await;
        if found != wanted.trim_end() {
            failed.push(found.clone());
        }
        played.push(found);
    }
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/http/sync/conversations.txt"
        );
        std::fs::write(path, played.join("\n\n") + "\n").unwrap();
        return;
    }
    println!("{} conversations, {} failed", played.len(), failed.len());
    assert!(failed.is_empty(), "\n{}", failed.join("\n\n"));
}
