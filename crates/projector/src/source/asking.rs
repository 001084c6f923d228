//! What a request for records asks: as much as is good for us, and no more than the consumer allows.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

/// Records asked for at once.
const RECORDS: u64 = 5_000;
/// Bytes asked for at once. A record that is larger is asked for by itself.
const BYTES: u64 = 8 * 1024 * 1024;
/// How long a request is good for.
const EXPIRES: Duration = Duration::from_secs(10);
/// An idle server gives a sign of life this often while a request waits; it takes no request with less than two
/// of them in its time.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a consumer allows one request to ask, as the server said when it made the consumer: limits of server
/// and account are in it. What is 0 is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) struct Allowed {
    #[serde(default, rename = "max_batch")]
    records: i64,
    #[serde(default, rename = "max_bytes")]
    bytes: i64,
    #[serde(default, rename = "max_expires")]
    expires_ns: i64,
}

/// A request for records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asking {
    /// How many it asks for.
    pub(crate) records: u64,
    /// As it is sent.
    pub(crate) request: String,
}

impl Asking {
    /// As many as are good to have at once.
    pub(crate) fn many(allowed: Allowed) -> Self {
        let bytes = within(BYTES, allowed.bytes);
        Self::of(within(RECORDS, allowed.records), bytes, allowed)
    }

    /// One, of any size.
    pub(crate) fn one(allowed: Allowed) -> Self {
        Self::of(1, 0, allowed)
    }

    /// No bytes are no limit.
    fn of(records: u64, bytes: u64, allowed: Allowed) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let expires = within(nanos(EXPIRES), allowed.expires_ns);
        let request = json!({
            "batch": records,
            "max_bytes": bytes,
            "expires": expires,
            "idle_heartbeat": nanos(HEARTBEAT).min(expires / 2),
        });
        Self {
            records,
            request: request.to_string(),
        }
    }
}

fn within(wanted: u64, limit: i64) -> u64 {
    match u64::try_from(limit) {
        Ok(limit @ 1..) => wanted.min(limit),
        Ok(0) | Err(_) => wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn no_more_is_asked_than_is_allowed() {
        for (config, records, expected) in [
            (
                "{}",
                5_000,
                r#"{"batch":5000,"max_bytes":8388608,"expires":10000000000,"idle_heartbeat":1000000000}"#,
            ),
            (
                r#"{"max_batch":100,"max_bytes":1000,"max_expires":100000000,"other":true}"#,
                100,
                r#"{"batch":100,"max_bytes":1000,"expires":100000000,"idle_heartbeat":50000000}"#,
            ),
            (
                r#"{"max_batch":-1,"max_bytes":0,"max_expires":3600000000000}"#,
                5_000,
                r#"{"batch":5000,"max_bytes":8388608,"expires":10000000000,"idle_heartbeat":1000000000}"#,
            ),
        ] {
            let allowed: Allowed = serde_json::from_str(config).unwrap();
            let asking = Asking::many(allowed);
            let asked: Value = serde_json::from_str(&asking.request).unwrap();
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!((asking.records, asked), (records, expected), "{config}");
            let one: Value = serde_json::from_str(&Asking::one(allowed).request).unwrap();
            assert_eq!((&one["batch"], &one["max_bytes"]), (&1.into(), &0.into()));
        }
    }
}
