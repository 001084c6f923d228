//! What a stream's settings and state endanger, from what the server says of them. Read as JSON, so
//! that a member which this release's client does not know is seen too.

use std::time::Duration;

use serde_json::Value;

use super::finding::{Finding, Severity};
use Severity::{Danger, Note, Warning};

/// A mirror that heard nothing of its origin for this long may have lost it.
const MIRROR_ACTIVE_MAX: Duration = Duration::from_secs(30);
/// A retry within this time must not be stored twice.
const DEDUPE_MIN: Duration = Duration::from_mins(2);
/// What the event contract allows.
const EVENT_BYTES_MAX: i64 = 256 * 1024;

/// Judges what `STREAM.INFO` answered.
pub(super) fn judge(info: &Value) -> Vec<Finding> {
    let empty = Value::Null;
    let stream = Stream {
        config: info.get("config").unwrap_or(&empty),
        info,
    };
    let mut findings = Vec::new();
    stream.keeping(&mut findings);
    stream.limits(&mut findings);
    stream.permitting(&mut findings);
    stream.taking(&mut findings);
    stream.origin(&mut findings);
    stream.state(&mut findings);
    stream.copies(&mut findings);
    findings
}

/// What comes of events that are removed.
const GAP: &str =
    "events that were not read are lost (blocked: retention_gap), and a rebuild gives other rows";

struct Stream<'a> {
    config: &'a Value,
    info: &'a Value,
}

impl Stream<'_> {
    fn text(&self, member: &str) -> &str {
        self.config
            .get(member)
            .and_then(Value::as_str)
            .unwrap_or("")
    }

    fn number(&self, member: &str) -> i64 {
        self.config.get(member).and_then(Value::as_i64).unwrap_or(0)
    }

    fn is_set(&self, member: &str) -> bool {
        self.config
            .get(member)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// The change that mends a setting.
    fn edit(&self, flag: &str) -> String {
        format!("nats stream edit {} {flag}", self.text("name"))
    }

    /// How well it keeps what it has acknowledged.
    fn keeping(&self, findings: &mut Vec<Finding>) {
        const LOST: &str = "what was acknowledged is gone with one server or disk";
        if self.text("storage") != "file" {
            let what = format!("storage is {}", self.text("storage"));
            let mend = "make the stream anew with file storage, and rebuild";
            findings.push(Finding::new(Danger, "storage", what, LOST, mend));
        }
        let replicas = self.number("num_replicas");
        if replicas < 3 {
            let what = format!("{replicas} of 3 copies");
            let mend = self.edit("--replicas 3");
            findings.push(Finding::new(Warning, "num_replicas", what, LOST, mend));
        }
        if self.text("persist_mode") == "async" {
            let why = "events are acknowledged before they are written";
            let mend = "make the stream anew with persist_mode default, and rebuild";
            findings.push(Finding::new(
                Danger,
                "persist_mode",
                "it is async",
                why,
                mend,
            ));
        }
        if self.text("compression") != "s2" {
            let why = "events repeat themselves: compressed they take about a tenth, and reading them is hardly slower";
            let mend = self.edit("--compression s2");
            findings.push(Finding::new(
                Note,
                "compression",
                "there is none",
                why,
                mend,
            ));
        }
    }

    /// What removes messages from it by itself.
    fn limits(&self, findings: &mut Vec<Finding>) {
        if self.text("retention") != "limits" {
            let what = format!("retention is {}", self.text("retention"));
            let mend = "make the stream anew with limits retention";
            findings.push(Finding::new(Danger, "retention", what, GAP, mend));
        }
        let discards_new = self.text("discard") == "new";
        for (member, flag) in [
            ("max_msgs", "--max-msgs=-1"),
            ("max_bytes", "--max-bytes=-1"),
        ] {
            let limit = self.number(member);
            if limit <= 0 {
                continue;
            }
            let what = format!("{member} is {limit}");
            let mend = self.edit(flag);
            findings.push(if discards_new {
                let why = "at the limit nothing can be published; with discard new nothing is lost";
                Finding::new(Warning, member, what, why, mend)
            } else {
                Finding::new(Danger, member, what, GAP, mend)
            });
        }
        let age = self.number("max_age");
        if age > 0 {
            let what = format!("messages are removed after {} s", age / 1_000_000_000);
            findings.push(Finding::new(
                Danger,
                "max_age",
                what,
                GAP,
                self.edit("--max-age=0"),
            ));
        }
        if self.number("max_msgs_per_subject") > 0 {
            let what = format!(
                "max_msgs_per_subject is {}",
                self.number("max_msgs_per_subject")
            );
            let mend = self.edit("--max-msgs-per-subject=-1");
            findings.push(Finding::new(
                Danger,
                "max_msgs_per_subject",
                what,
                GAP,
                mend,
            ));
        }
    }

    /// What lets others remove messages from it.
    fn permitting(&self, findings: &mut Vec<Finding>) {
        if self.text("discard") != "new" {
            let why = "a limit that is set one day removes the oldest events instead of refusing new ones";
            let mend = self.edit("--discard new");
            findings.push(Finding::new(Warning, "discard", "it is old", why, mend));
        }
        if !self.is_set("deny_purge") {
            let why = "one command empties the stream";
            let mend = self.edit("--deny-purge");
            findings.push(Finding::new(Warning, "deny_purge", "it is off", why, mend));
        }
        for member in ["allow_rollup_hdrs", "allow_msg_ttl"] {
            if self.is_set(member) {
                let mend = "whoever publishes can remove events: make the stream anew without it";
                findings.push(Finding::new(Danger, member, "it is on", GAP, mend));
            }
        }
        if self.is_set("deny_delete") {
            let why = "a person's messages cannot be deleted when the person has to be forgotten";
            let mend =
                "it cannot be switched off: encrypt what is personal with keys that can be deleted";
            findings.push(Finding::new(Note, "deny_delete", "it is on", why, mend));
        }
    }

    /// What it takes from producers.
    fn taking(&self, findings: &mut Vec<Finding>) {
        let window =
            Duration::from_nanos(u64::try_from(self.number("duplicate_window")).unwrap_or(0));
        if window < DEDUPE_MIN {
            let what = format!("it is {} s", window.as_secs());
            let why =
                "a producer's retry after it is stored twice; rows stay right, the stream grows";
            let mend = self.edit("--dupe-window 10m");
            findings.push(Finding::new(Warning, "duplicate_window", what, why, mend));
        }
        let largest = self.number("max_msg_size");
        if largest > 0 && largest < EVENT_BYTES_MAX {
            let what = format!("it is {largest} bytes");
            let why = "the event contract allows 256 KiB: a larger profile cannot be published";
            let mend = self.edit("--max-msg-size=-1");
            findings.push(Finding::new(Warning, "max_msg_size", what, why, mend));
        }
        if self.is_set("sealed") {
            let why = "nothing can be published any more";
            let mend = "make another stream; a seal cannot be broken";
            findings.push(Finding::new(Warning, "sealed", "it is sealed", why, mend));
        }
    }

    /// Where its messages come from, if not from producers alone.
    fn origin(&self, findings: &mut Vec<Finding>) {
        const COPIES: &str = "messages that are deleted there for a person's erasure stay here";
        if let Some(mirror) = self.info.get("mirror").filter(|mirror| mirror.is_object()) {
            let mend = "delete them here too";
            findings.push(Finding::new(
                Note,
                "mirror",
                "the stream is a mirror",
                COPIES,
                mend,
            ));
            let active = mirror.get("active").and_then(Value::as_i64).unwrap_or(-1);
            let active = u64::try_from(active).map(Duration::from_nanos);
            if active.is_ok_and(|active| active <= MIRROR_ACTIVE_MAX) {
                return;
            }
            let why = "an origin that was made anew is not followed, and nothing says so";
            let mend = "look at the origin; a mirror of a stream made anew has to be made anew too";
            let what = "it has not heard of its origin for more than 30 s";
            findings.push(Finding::new(Danger, "mirror", what, why, mend));
        }
        let sources = self.config.get("sources").and_then(Value::as_array);
        if sources.is_some_and(|sources| !sources.is_empty()) {
            let why = "its numbers are its own: two such streams must not stand in for each other";
            let mend = "read the origin, or a mirror of it";
            findings.push(Finding::new(
                Warning,
                "sources",
                "the stream is made of others",
                why,
                mend,
            ));
        }
    }

    fn state(&self, findings: &mut Vec<Finding>) {
        let state = |member: &str| {
            let state = self.info.get("state").and_then(|state| state.get(member));
            state.and_then(Value::as_u64).unwrap_or(0)
        };
        let (first, last) = (state("first_seq"), state("last_seq"));
        if first > 1 && last > 0 {
            let what = format!("it begins at message {first}");
            let why =
                "a rebuild gives what is left; right if what is gone was erased, wrong otherwise";
            let mend = "if it was not erased, have producers publish whole states again";
            findings.push(Finding::new(Note, "first message", what, why, mend));
        }
    }

    fn copies(&self, findings: &mut Vec<Finding>) {
        let cluster = self.info.get("cluster");
        let replicas = cluster.and_then(|cluster| cluster.get("replicas"));
        for replica in replicas.and_then(Value::as_array).into_iter().flatten() {
            let is = |member: &str| {
                replica
                    .get(member)
                    .and_then(Value::as_bool)
                    .unwrap_or(false)
            };
            if is("offline") || !is("current") {
                let name = replica
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or("a server");
                let what = format!("the copy on {name} is not current");
                let why = "with another one lost, the stream stands still or loses events";
                let mend = "bring that server back";
                findings.push(Finding::new(Warning, "replicas", what, why, mend));
            }
        }
    }
}
