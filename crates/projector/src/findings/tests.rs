//! Each rule against a stream that it is about, and against one that is as it should be.

use serde_json::{Map, Value, json};

use super::settings::rules;
use super::*;

/// A stream as it should be.
fn sound() -> Value {
    let mut config: Value =
        serde_json::from_str(include_str!("../../../../deploy/nats/stream.json")).unwrap();
    config["num_replicas"] = json!(3);
    config["allow_atomic"] = json!(true);
    json!({
        "config": config,
        "state": {"messages": 9, "bytes": 900, "first_seq": 1, "last_seq": 9, "consumer_count": 4},
        "cluster": {"replicas": [{"name": "n2", "current": true}, {"name": "n3", "current": true}]},
    })
}

/// What is changed of a stream as it should be, and what is found then.
const CASES: &str = r#"
{"config/storage": "memory"} => danger storage: storage is memory
{"config/num_replicas": 1} => warning num_replicas: 1 of 3 copies
{"cluster/replicas": [{"name": "n2", "current": true, "offline": true}, {"name": "n3"}]} => warning replicas: not current: the copy on n2, n3
{"config/persist_mode": "async"} => danger persist_mode: it is async
{"config/compression": "none"} => note compression: there is none
{"config/retention": "interest"} => danger retention: retention is interest
{"config/max_msgs": 10} => warning max_msgs: max_msgs is 10, 9 are used
{"config/max_msgs": 10, "config/discard": "old"} => danger max_msgs: max_msgs is 10 + warning discard: it is old
{"config/max_bytes": 1000} => warning max_bytes: max_bytes is 1000, 900 are used
{"config/max_bytes": 1000, "config/discard": "old"} => danger max_bytes: max_bytes is 1000 + warning discard: it is old
{"config/max_age": 3600000000000} => danger max_age: messages are removed after 3600 s
{"config/max_msgs_per_subject": 5} => danger max_msgs_per_subject: max_msgs_per_subject is 5
{"config/allow_msg_schedules": true} => danger allow_msg_schedules: it is on
{"config/subject_delete_marker_ttl": 60000000000} => warning subject_delete_marker_ttl: markers stand for 60 s
{"state/first_seq": 5} => note first message: the stream begins at 5: what was before cannot be read
{"state/first_seq": 10, "state/last_seq": 0} =>
{"config/deny_purge": false} => warning deny_purge: it is off
{"config/allow_rollup_hdrs": true} => danger allow_rollup_hdrs: it is on
{"config/allow_msg_ttl": true} => danger allow_msg_ttl: it is on
{"config/deny_delete": true} => note deny_delete: it is on
{"config/subjects": ["identity.v1.u1.user", "identity.v1.*.profile"]} => danger subjects: it does not take identity.v1.*.user + warning subjects: it does not take identity.v1.*.quarantine
{"config/subjects": ["identity.v1.>"]} =>
{"config/subjects": ["identity.>", "orders.*"]} => warning subjects: it also takes identity.>, orders.*
{"config/subject_transform": {"src": ">", "dest": "x.>"}} => danger subject_transform: there is one
{"config/allow_msg_counter": true} => danger allow_msg_counter: it is on
{"config/no_ack": true} => danger no_ack: it is on
{"config/sealed": true} => warning sealed: it is sealed
{"config/max_msg_size": 262144} => warning max_msg_size: it is 262144 bytes
{"config/max_msg_size": 1048576} =>
{"config/duplicate_window": 5000000000} => warning duplicate_window: it is 5 s
{"config/allow_atomic": false} => note allow_atomic: it is off
{"config/max_consumers": 5} => warning max_consumers: 4 of 5 are taken
{"config/max_consumers": 6} =>
{"state/consumer_count": 950} => warning max_consumers: 950 of 1000 are taken
{"config/republish": {"dest": "x.>"}} => warning republish: there is one
{"config/mirror": {"name": "O"}, "config/subjects": [], "mirror": {"name": "O", "active": 1000000}} => note mirror: the stream is a mirror
{"mirror": {"name": "O", "active": -1}} => note mirror: the stream is a mirror + danger mirror: it has not heard of its origin for more than 30 s
{"config/mirror_direct": true} => note mirror_direct: it is on
{"config/sources": [{"name": "O"}], "config/subjects": []} => warning sources: the stream is made of others
"#;

/// What is found when these members, named by their places, are otherwise.
fn found(changes: &Map<String, Value>) -> Vec<String> {
    let mut info = sound();
    for (place, value) in changes {
        let mut member = &mut info;
        for name in place.split('/') {
            member = &mut member[name];
        }
        *member = value.clone();
    }
    let found = judge_stream(&info).into_iter();
    found
        .map(|found| {
            format!(
                "{} {}: {}",
                found.severity.word(),
                found.subject,
                found.what
            )
        })
        .collect()
}

#[test]
fn each_rule_finds_its_own() {
    assert_eq!(found(&Map::new()), Vec::<String>::new());
    let cases = CASES.lines().filter_map(|line| line.split_once(" =>"));
    for (changes, expected) in cases {
        let found = found(&serde_json::from_str(changes).unwrap());
        assert_eq!(found.join(" + "), expected.trim(), "{changes}");
    }
    for rule in rules() {
        let begin = format!(" {} {}: ", rule.severity.word(), rule.subject);
        assert!(CASES.contains(&begin), "no case finds{begin}");
    }
}

#[test]
fn an_answer_that_says_nothing_is_judged_too() {
    for info in [
        json!(null),
        json!({}),
        json!({"config": 7, "state": "x", "cluster": []}),
    ] {
        assert!(!judge_stream(&info).is_empty(), "{info}");
    }
}

#[test]
fn the_runbook_has_a_row_for_every_rule() {
    let runbook = include_str!("../../../../deploy/RUNBOOK.md");
    for rule in rules() {
        let row = format!(
            "| `{}` | {} | {} |",
            rule.subject,
            rule.severity.word(),
            rule.why
        );
        assert!(runbook.contains(&row), "the runbook lacks {row}");
    }
}

#[test]
fn a_danger_is_named_with_its_mend() {
    let mut info = sound();
    info["config"]["max_age"] = json!(3_600_000_000_000_i64);
    info["config"]["deny_purge"] = json!(false);
    let [danger] = <[Finding; 1]>::try_from(dangers(&info)).unwrap();
    assert_eq!(danger.mend, "nats stream edit IDENTITY_EVENTS --max-age=0");
}
