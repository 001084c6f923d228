//! Conversations over the sync protocol, from `conversations.txt`.
//!
//! `>` is a message of the client, `<` one of the server, `value` what the query gives from then on, `time` the clock,
//! `verified` and `refused` the verdict on the token at hand, `changed` an invalidation, `texts` the texts' mode, and
//! `close` how the server ends it. Whatever the server says has to stand there, in its order.

use std::fmt::Write as _;
use std::time::Duration;

use convex_wire::args::check_empty;
use convex_wire::sync::{End, Hashed, Received, Session};
use convex_wire::{FunctionError, FunctionKind, FunctionPath, TextMode, Timestamp};
use serde_json::value::RawValue;

use crate::OURS;

const CONVERSATIONS: &str = include_str!("conversations.txt");
const QUERIES_MAX: usize = 3;
const BYTES_MAX: usize = 1 << 20;

pub(crate) fn check(
    path: FunctionPath,
    called: FunctionKind,
    args: &RawValue,
) -> Result<(), FunctionError> {
    if path != FunctionPath::from_text(OURS).unwrap() {
        Err(FunctionError::NotPublic(path))
    } else if called == FunctionKind::Query {
        Ok(check_empty(&path, args)?)
    } else {
        Err(FunctionError::NotA { path, called })
    }
}

struct Play {
    session: Session,
    now: Timestamp,
    value: String,
    runs: u64,
    base_version: Option<u32>,
    said: String,
}

impl Play {
    fn new() -> Self {
        Self {
            session: Session::new(TextMode::Verbose, QUERIES_MAX, BYTES_MAX, check),
            now: Timestamp(1_700_000_000_000_000_000),
            value: "null".to_owned(),
            runs: 0,
            base_version: None,
            said: String::new(),
        }
    }

    fn wall(&self) -> Duration {
        Duration::from_nanos(self.now.0)
    }

    fn step(&mut self, line: &str) -> Result<(), End> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            ">" => match self.session.receive(rest, self.now, self.wall())? {
                Received::Taken => {}
                Received::Reply(reply) => writeln!(self.said, "< {reply}").unwrap(),
                Received::Verify { base_version, .. } => {
                    self.base_version = Some(base_version);
                    return Ok(());
                }
            },
            "verified" => {
                let base_version = self.base_version.take().unwrap();
                let expires_at = rest.parse().unwrap();
                self.session.authenticated(base_version, expires_at)?;
            }
            "refused" => return Err(self.session.refused(rest.to_owned())),
            "value" => rest.clone_into(&mut self.value),
            "time" => self.now = Timestamp(rest.parse().unwrap()),
            "changed" => self.session.invalidate(),
            "texts" => {
                self.session = Session::new(TextMode::Redacted, QUERIES_MAX, BYTES_MAX, check);
            }
            other => unreachable!("no such step: {other}"),
        }
        self.update()
    }

    fn update(&mut self) -> Result<(), End> {
        let Some(update) = self.session.update(self.wall())? else {
            return Ok(());
        };
        let runs = &mut self.runs;
        let random = || {
            *runs += 1;
            *runs
        };
        let value = || Ok::<_, ()>(Hashed::new(self.value.clone()));
        if let Some(transition) = update.finish(self.now, random, value).unwrap() {
            writeln!(self.said, "< {transition}").unwrap();
        }
        Ok(())
    }

    fn end(&mut self, end: &End) {
        if let Some(farewell) = end.farewell() {
            writeln!(self.said, "< {farewell}").unwrap();
        }
        let frame = end.close();
        let frame = frame.map_or(String::new(), |c| format!(" {} {}", c.code, c.reason));
        writeln!(self.said, "close{frame}").unwrap();
    }
}

/// Plays what the client does in a conversation, and writes it down with what the server does.
fn play(conversation: &str) -> String {
    let mut play = Play::new();
    for line in conversation.lines() {
        if line.starts_with('#') {
            writeln!(play.said, "{line}").unwrap();
        } else if !line.starts_with("< ") && !line.starts_with("close") {
            writeln!(play.said, "{line}").unwrap();
            if let Err(end) = play.step(line) {
                play.end(&end);
                break;
            }
        }
    }
    play.said
}

#[test]
fn conversations() {
    let played: Vec<_> = CONVERSATIONS.split("\n\n").map(play).collect();
    let wanted: Vec<_> = CONVERSATIONS.split("\n\n").map(str::trim_end).collect();
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/goldens/conversations.txt"
        );
        std::fs::write(path, played.join("\n")).unwrap();
        return;
    }
    for (played, wanted) in played.iter().zip(wanted) {
        assert_eq!(played.trim_end(), wanted);
    }
}
