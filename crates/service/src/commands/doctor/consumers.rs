//! Consumers that nobody reads.

use projector::{Finding, Severity};
use serde_json::Value;

/// How many are named.
const NAMED_MAX: usize = 5;

/// Judges what `CONSUMER.LIST` answered; `ours` are the names of this service.
pub(super) fn judge(stream: &str, consumers: &[Value], ours: &[String]) -> Vec<Finding> {
    let is_others = |consumer: &&Value| !ours.iter().any(|ours| ours == name(consumer));
    let unread: Vec<&Value> = consumers
        .iter()
        .filter(|consumer| is_unread(consumer))
        .filter(is_others)
        .collect();
    let names = |passing: bool| -> Vec<&str> {
        let wanted = unread
            .iter()
            .filter(|consumer| is_passing(consumer) == passing);
        wanted.map(|consumer| name(consumer)).collect()
    };
    let (passing, staying) = (names(true), names(false));
    let mut found = Vec::new();
    if !staying.is_empty() {
        found.push(Finding::new(
            Severity::Note,
            "consumers",
            format!("nobody reads {}", some_of(&staying)),
            "they stay for ever, and each counts towards the limits of stream, account and server",
            format!("nats consumer rm {stream} NAME, where nobody comes back for it"),
        ));
    }
    if !passing.is_empty() {
        found.push(Finding::new(
            Severity::Note,
            "consumers",
            format!("nobody reads {}", some_of(&passing)),
            "left behind by an earlier run, or of a reader that pauses",
            "nothing: the server removes them when nobody has asked for a while",
        ));
    }
    found
}

fn name(consumer: &Value) -> &str {
    consumer.get("name").and_then(Value::as_str).unwrap_or("?")
}

/// Nobody waits for a message, and none is pushed to anybody.
fn is_unread(consumer: &Value) -> bool {
    let waiting = consumer.get("num_waiting").and_then(Value::as_u64);
    let is_bound = consumer.get("push_bound").and_then(Value::as_bool);
    waiting.unwrap_or(0) == 0 && is_bound != Some(true)
}

/// The server removes it by itself.
fn is_passing(consumer: &Value) -> bool {
    let threshold = consumer
        .get("config")
        .and_then(|config| config.get("inactive_threshold"));
    threshold
        .and_then(Value::as_u64)
        .is_some_and(|threshold| 0 < threshold)
}

fn some_of(names: &[&str]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED_MAX).copied().collect();
    let first = first.join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn consumers_that_nobody_reads_are_named_but_for_our_own() {
        let minute = json!({"inactive_threshold": 60_000_000_000_u64});
        let mut consumers = vec![
            json!({"name": "svc", "num_waiting": 0}),
            json!({"name": "read", "num_waiting": 1}),
            json!({"name": "pushed", "num_waiting": 0, "push_bound": true}),
            json!({"name": "gone", "num_waiting": 0, "config": minute}),
        ];
        let ours = ["svc".to_owned()];
        let found = judge("S", &consumers, &ours);
        let [gone] = <[Finding; 1]>::try_from(found).unwrap();
        assert_eq!(gone.what, "nobody reads gone");
        let many = (1..=7).map(|n| json!({"name": format!("old-{n}")}));
        consumers.extend(many);
        let [stays, _] = <[Finding; 2]>::try_from(judge("S", &consumers, &ours)).unwrap();
        assert_eq!(
            stays.what,
            "nobody reads old-1, old-2, old-3, old-4, old-5 and 2 more"
        );
        assert_eq!(judge("S", &[json!(null)], &ours).len(), 1);
    }
}
