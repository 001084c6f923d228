//! The rules for a stream's settings and state.

use std::time::Duration;

use serde_json::Value;

use super::stream::{Stream, few_consumers_left, lagging_copies};
use super::subjects::{self, DECISIONS, DOCUMENTS};
use super::{Finding, MESSAGE_BYTES_MAX, Severity};
use Mend::{Do, Edit};

/// A mirror that heard nothing of its origin for this long may have lost it.
const MIRROR_ACTIVE_MAX: Duration = Duration::from_secs(30);
/// A retry within this time must not be stored twice.
const DEDUPE_MIN: Duration = Duration::from_mins(2);

/// What comes of events that are removed.
const GAP: &str =
    "events that were not read are lost (blocked: retention_gap), and a rebuild gives other rows";
const LOST: &str = "what was acknowledged is gone with one server or disk";
const FULL: &str = "at the limit nothing can be published; with discard new nothing is lost";
const ANYONE: &str = "whoever publishes can remove events: make the stream anew without it";

/// What is looked for, and what is said when it is there.
pub(super) struct Rule {
    pub(super) severity: Severity,
    pub(super) subject: &'static str,
    look: Look,
    pub(super) why: &'static str,
    mend: Mend,
}

/// Says what it sees, if it is something to say.
type Look = fn(Stream<'_>) -> Option<String>;

/// How a finding is mended.
enum Mend {
    /// By this flag of `nats stream edit`.
    Edit(&'static str),
    Do(&'static str),
}

const fn danger(subject: &'static str, look: Look, why: &'static str, mend: Mend) -> Rule {
    rule(Severity::Danger, subject, look, why, mend)
}

const fn warning(subject: &'static str, look: Look, why: &'static str, mend: Mend) -> Rule {
    rule(Severity::Warning, subject, look, why, mend)
}

const fn note(subject: &'static str, look: Look, why: &'static str, mend: Mend) -> Rule {
    rule(Severity::Note, subject, look, why, mend)
}

const fn rule(
    severity: Severity,
    subject: &'static str,
    look: Look,
    why: &'static str,
    mend: Mend,
) -> Rule {
    Rule {
        severity,
        subject,
        look,
        why,
        mend,
    }
}

/// How well the stream keeps what it has acknowledged.
const KEEPING: &[Rule] = &[
    danger(
        "storage",
        |stream| stream.is_other("storage", "file"),
        LOST,
        Do("make the stream anew with file storage, and rebuild"),
    ),
    warning(
        "num_replicas",
        |stream| {
            let copies = stream.number("num_replicas");
            (copies < 3).then(|| format!("{copies} of 3 copies"))
        },
        LOST,
        Edit("--replicas 3"),
    ),
    warning(
        "replicas",
        lagging_copies,
        "with another one lost, the stream stands still or loses events",
        Do("bring that server back"),
    ),
    danger(
        "persist_mode",
        |stream| (stream.text("persist_mode") == "async").then(|| "it is async".to_owned()),
        "events are acknowledged before they are written",
        Do("make the stream anew with persist_mode default, and rebuild"),
    ),
    note(
        "compression",
        |stream| (stream.text("compression") != "s2").then(|| "there is none".to_owned()),
        "events repeat themselves: compressed they take about a tenth, and reading them is hardly slower",
        Edit("--compression s2"),
    ),
];

/// What removes messages from it by itself.
const REMOVING: &[Rule] = &[
    danger(
        "retention",
        |stream| stream.is_other("retention", "limits"),
        GAP,
        Do("make the stream anew with limits retention"),
    ),
    danger(
        "max_msgs",
        |stream| stream.limit("max_msgs").filter(|_| !stream.refuses_new()),
        GAP,
        Edit("--max-msgs=-1"),
    ),
    danger(
        "max_bytes",
        |stream| stream.limit("max_bytes").filter(|_| !stream.refuses_new()),
        GAP,
        Edit("--max-bytes=-1"),
    ),
    danger(
        "max_age",
        |stream| {
            let age = stream.duration("max_age");
            (!age.is_zero()).then(|| format!("messages are removed after {} s", age.as_secs()))
        },
        GAP,
        Edit("--max-age=0"),
    ),
    danger(
        "max_msgs_per_subject",
        |stream| stream.limit("max_msgs_per_subject"),
        GAP,
        Edit("--max-msgs-per-subject=-1"),
    ),
    danger(
        "allow_msg_schedules",
        |stream| stream.is_on("allow_msg_schedules"),
        "a schedule puts messages into the stream and removes others from it by itself",
        Do("keep schedules in a stream of their own: make this one anew without them"),
    ),
    warning(
        "subject_delete_marker_ttl",
        |stream| {
            let kept = stream.duration("subject_delete_marker_ttl");
            (!kept.is_zero()).then(|| format!("markers stand for {} s", kept.as_secs()))
        },
        "where the server removes messages it publishes markers, which are no events and are parked",
        Do("switch it off, and see max_age"),
    ),
    note(
        "first message",
        |stream| {
            let (first, last) = (stream.state("first_seq"), stream.state("last_seq"));
            let is_cut = 1 < first && 0 < last;
            is_cut.then(|| format!("the stream begins at {first}: what was before cannot be read"))
        },
        "a rebuild gives what is left; right if what is gone was erased, wrong otherwise",
        Do("if it was not erased, have producers publish whole states again"),
    ),
];

/// What lets others remove messages from it.
const PERMITTING: &[Rule] = &[
    warning(
        "discard",
        |stream| (!stream.refuses_new()).then(|| "it is old".to_owned()),
        "a limit that is set one day removes the oldest events instead of refusing new ones",
        Edit("--discard new"),
    ),
    warning(
        "deny_purge",
        |stream| (!stream.is_set("deny_purge")).then(|| "it is off".to_owned()),
        "one command empties the stream",
        Edit("--deny-purge"),
    ),
    danger(
        "allow_rollup_hdrs",
        |stream| stream.is_on("allow_rollup_hdrs"),
        GAP,
        Do(ANYONE),
    ),
    danger(
        "allow_msg_ttl",
        |stream| stream.is_on("allow_msg_ttl"),
        GAP,
        Do(ANYONE),
    ),
    note(
        "deny_delete",
        |stream| stream.is_on("deny_delete"),
        "a person's messages cannot be deleted when the person has to be forgotten",
        Do("it cannot be switched off: encrypt what is personal with keys that can be deleted"),
    ),
];

/// What it takes from producers.
const TAKING: &[Rule] = &[
    danger(
        "subjects",
        |stream| stream.does_not_take(DOCUMENTS),
        "such events cannot be published, or not for everybody",
        Do("give it the subjects of deploy/nats/stream.json"),
    ),
    warning(
        "subjects",
        |stream| stream.does_not_take(DECISIONS),
        "`quarantine drop` cannot publish what an operator decided",
        Do("give it the subjects of deploy/nats/stream.json"),
    ),
    warning(
        "subjects",
        |stream| {
            let foreign = subjects::foreign(&stream.texts("subjects"));
            (!foreign.is_empty()).then(|| format!("it also takes {}", foreign.join(", ")))
        },
        "what is no event of the contract is parked, one record each",
        Do("give other messages a stream of their own"),
    ),
    danger(
        "subject_transform",
        |stream| stream.is_there("subject_transform"),
        "events are stored under other subjects than they were published to: what names no user is parked",
        Do("take the transform away"),
    ),
    danger(
        "allow_msg_counter",
        |stream| stream.is_on("allow_msg_counter"),
        "the stream takes counters alone: no event can be published",
        Do("make the stream anew without it"),
    ),
    danger(
        "no_ack",
        |stream| stream.is_on("no_ack"),
        "producers are not told whether their events are stored",
        Do("switch acknowledgements on"),
    ),
    warning(
        "sealed",
        |stream| stream.is_set("sealed").then(|| "it is sealed".to_owned()),
        "nothing can be published any more",
        Do("make another stream; a seal cannot be broken"),
    ),
    warning(
        "max_msgs",
        |stream| stream.usage("max_msgs", "messages"),
        FULL,
        Edit("--max-msgs=-1"),
    ),
    warning(
        "max_bytes",
        |stream| stream.usage("max_bytes", "bytes"),
        FULL,
        Edit("--max-bytes=-1"),
    ),
    warning(
        "max_msg_size",
        |stream| {
            let largest = usize::try_from(stream.number("max_msg_size")).unwrap_or(0);
            let is_small = 0 < largest && largest < MESSAGE_BYTES_MAX;
            is_small.then(|| format!("it is {largest} bytes"))
        },
        "the event contract allows 256 KiB beside headers: a larger profile cannot be published",
        Edit("--max-msg-size=-1"),
    ),
    warning(
        "duplicate_window",
        |stream| {
            let window = stream.duration("duplicate_window");
            (window < DEDUPE_MIN).then(|| format!("it is {} s", window.as_secs()))
        },
        "a producer's retry after it is stored twice; rows stay right, the stream grows",
        Edit("--dupe-window 10m"),
    ),
    note(
        "allow_atomic",
        |stream| (!stream.is_set("allow_atomic")).then(|| "it is off".to_owned()),
        "`publish --atomic` sends a new user and its profile one after the other: one may come without the other",
        Do("switch it on if producers send pairs (nats-server 2.12 or newer)"),
    ),
];

/// Who reads it, and where its messages come from if not from producers alone.
const SHARING: &[Rule] = &[
    warning(
        "max_consumers",
        few_consumers_left,
        "at the limit a further replica, and a rebuild beside one, gets no consumer",
        Do("remove consumers that nobody reads, or raise the limit"),
    ),
    warning(
        "republish",
        |stream| stream.is_there("republish"),
        "whoever may subscribe to its subjects reads everybody's events",
        Do("take it away, or republish headers alone"),
    ),
    note(
        "mirror",
        |stream| stream.mirror().map(|_| "the stream is a mirror".to_owned()),
        "messages that are deleted there for a person's erasure stay here",
        Do("delete them here too"),
    ),
    danger(
        "mirror",
        |stream| {
            let active = stream.mirror()?.get("active").and_then(Value::as_i64);
            let active = u64::try_from(active.unwrap_or(-1)).map(Duration::from_nanos);
            let is_heard = active.is_ok_and(|active| active <= MIRROR_ACTIVE_MAX);
            (!is_heard).then(|| "it has not heard of its origin for more than 30 s".to_owned())
        },
        "an origin that was made anew is not followed, and nothing says so",
        Do("look at the origin; a mirror of a stream made anew has to be made anew too"),
    ),
    note(
        "mirror_direct",
        |stream| stream.is_on("mirror_direct"),
        "direct reads of the origin are answered here too: older, and with what was deleted there",
        Do("switch it off; this service reads no message directly"),
    ),
    warning(
        "sources",
        |stream| {
            let sources = stream.config("sources").and_then(Value::as_array);
            let is_made = sources.is_some_and(|sources| !sources.is_empty());
            is_made.then(|| "the stream is made of others".to_owned())
        },
        "its numbers are its own: two such streams must not stand in for each other",
        Do("read the origin, or a mirror of it"),
    ),
];

/// Judges what `STREAM.INFO` answered.
pub fn judge_stream(info: &Value) -> Vec<Finding> {
    let stream = Stream(info);
    let find = |rule: &Rule| {
        let mend = match rule.mend {
            Edit(flag) => format!("nats stream edit {} {flag}", stream.text("name")),
            Do(what) => what.to_owned(),
        };
        let what = (rule.look)(stream)?;
        Some(Finding::new(
            rule.severity,
            rule.subject,
            what,
            rule.why,
            mend,
        ))
    };
    rules().filter_map(find).collect()
}

/// The dangers among them.
pub(crate) fn dangers(info: &Value) -> Vec<Finding> {
    let mut found = judge_stream(info);
    found.retain(|finding| finding.severity == Severity::Danger);
    found
}

pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    [KEEPING, REMOVING, PERMITTING, TAKING, SHARING]
        .into_iter()
        .flatten()
}
