//! What the server says of a stream. It is read as JSON, so that a member which this release's client does
//! not know is seen too.

use std::time::Duration;

use serde_json::Value;

use super::subjects;

/// What servers allow a stream that sets no limit of its own.
const CONSUMERS_BY_DEFAULT: u64 = 1_000;

/// What the server says of a stream. A member that is absent has its type's zero.
#[derive(Clone, Copy)]
pub(super) struct Stream<'a>(pub(super) &'a Value);

impl<'a> Stream<'a> {
    pub(super) fn config(self, member: &str) -> Option<&'a Value> {
        self.0.get("config")?.get(member)
    }

    pub(super) fn text(self, member: &str) -> &'a str {
        self.config(member).and_then(Value::as_str).unwrap_or("")
    }

    pub(super) fn texts(self, member: &str) -> Vec<&'a str> {
        let texts = self.config(member).and_then(Value::as_array);
        let texts = texts.into_iter().flatten().filter_map(Value::as_str);
        texts.collect()
    }

    pub(super) fn number(self, member: &str) -> i64 {
        self.config(member).and_then(Value::as_i64).unwrap_or(0)
    }

    pub(super) fn duration(self, member: &str) -> Duration {
        Duration::from_nanos(u64::try_from(self.number(member)).unwrap_or(0))
    }

    pub(super) fn is_set(self, member: &str) -> bool {
        self.config(member)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    pub(super) fn state(self, member: &str) -> u64 {
        let state = self.0.get("state").and_then(|state| state.get(member));
        state.and_then(Value::as_u64).unwrap_or(0)
    }

    pub(super) fn mirror(self) -> Option<&'a Value> {
        self.0.get("mirror").filter(|mirror| mirror.is_object())
    }

    /// Whether a full stream refuses what comes, instead of removing what it holds.
    pub(super) fn refuses_new(self) -> bool {
        self.text("discard") == "new"
    }

    pub(super) fn is_on(self, member: &str) -> Option<String> {
        self.is_set(member).then(|| "it is on".to_owned())
    }

    pub(super) fn is_there(self, member: &str) -> Option<String> {
        self.config(member)
            .filter(|value| value.is_object())
            .map(|_| "there is one".to_owned())
    }

    pub(super) fn is_other(self, member: &str, wanted: &str) -> Option<String> {
        let found = self.text(member);
        (found != wanted).then(|| format!("{member} is {found}"))
    }

    pub(super) fn limit(self, member: &str) -> Option<String> {
        let limit = self.number(member);
        (0 < limit).then(|| format!("{member} is {limit}"))
    }

    /// A limit that refuses new messages, with what is used of it.
    pub(super) fn usage(self, member: &str, used: &str) -> Option<String> {
        let limit = self.limit(member).filter(|_| self.refuses_new())?;
        Some(format!("{limit}, {} are used", self.state(used)))
    }

    /// A stream that copies others takes nothing itself.
    pub(super) fn does_not_take(self, wanted: &[&str]) -> Option<String> {
        let taken = self.texts("subjects");
        let is_copy = ["mirror", "sources"]
            .iter()
            .any(|from| self.config(from).is_some_and(|from| !from.is_null()));
        let missing = subjects::missing(&taken, wanted);
        if missing.is_empty() || is_copy && taken.is_empty() {
            return None;
        }
        Some(format!("it does not take {}", missing.join(", ")))
    }
}

pub(super) fn few_consumers_left(stream: Stream<'_>) -> Option<String> {
    let used = stream.state("consumer_count");
    let limit = u64::try_from(stream.number("max_consumers")).unwrap_or(0);
    let limit = if limit == 0 {
        CONSUMERS_BY_DEFAULT
    } else {
        limit
    };
    // One for a rebuild, one for another replica.
    let is_near = limit < used.saturating_add(2) || limit - limit / 10 < used;
    is_near.then(|| format!("{used} of {limit} are taken"))
}

pub(super) fn lagging_copies(stream: Stream<'_>) -> Option<String> {
    let copies = stream.0.get("cluster")?.get("replicas")?.as_array()?;
    let is = |copy: &Value, member| copy.get(member).and_then(Value::as_bool).unwrap_or(false);
    let lags = |copy: &&Value| is(copy, "offline") || !is(copy, "current");
    let name = |copy: &Value| {
        let name = copy.get("name").and_then(Value::as_str);
        name.unwrap_or("a server").to_owned()
    };
    let lagging: Vec<String> = copies.iter().filter(lags).map(name).collect();
    (!lagging.is_empty()).then(|| format!("not current: the copy on {}", lagging.join(", ")))
}
