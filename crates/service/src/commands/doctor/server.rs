//! What a server says of itself: its release, its largest message, its clock, and how it writes to disk.

use std::time::{Duration, SystemTime};

use projector::{Finding, MESSAGE_BYTES_MAX, Severity};
use reqwest::Url;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::account::is_near;
use crate::admin_client::shown;
use jetstream::REQUEST_WITHIN;

/// The oldest release that this service is for.
const RELEASE_MIN: (u64, u64) = (2, 11);
/// More than this between two clocks is not the network's.
const CLOCK_MAX: Duration = Duration::from_secs(5);
/// A server that writes to disk less often loses more at a power cut than a second's events.
const SYNC_MAX: Duration = Duration::from_secs(1);
/// Some kilobytes are the rule.
const MONITORING_BYTES_MAX: usize = 1024 * 1024;

/// Judges what a server says at every connection.
pub(super) fn judge(version: &str, max_payload: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if release < RELEASE_MIN {
        found.push(Finding::new(
            Severity::Danger,
            "server version",
            format!("it is {version}"),
            "this service is for nats-server 2.11 and newer; releases of 2.10 lost whole streams at a crash",
            "upgrade the servers; `publish --atomic` needs 2.12",
        ));
    }
    if max_payload < MESSAGE_BYTES_MAX {
        found.push(Finding::new(
            Severity::Warning,
            "max_payload",
            format!("it is {max_payload} bytes"),
            "the event contract allows 256 KiB beside headers: a larger profile cannot be published",
            "set `max_payload: 1MB` in the servers' configuration, which is its default",
        ));
    }
    found
}

/// Compares the server's time with ours, between which its answer was under way.
pub(super) fn clock(says: &str, asked_at: SystemTime, heard_at: SystemTime) -> Option<Finding> {
    let says: SystemTime = OffsetDateTime::parse(says, &Rfc3339).ok()?.into();
    let ahead = asked_at.duration_since(says).unwrap_or_default();
    let behind = says.duration_since(heard_at).unwrap_or_default();
    let (apart, word) = if ahead < behind {
        (behind, "behind")
    } else {
        (ahead, "ahead of")
    };
    (CLOCK_MAX < apart).then(|| {
        Finding::new(
            Severity::Warning,
            "clock",
            format!(
                "this machine's is {} s {word} the server's",
                apart.as_secs()
            ),
            "tokens are judged by this machine's clock, and lag_seconds compares both",
            "have both set by NTP",
        )
    })
}

/// Asks a server's monitoring.
pub(super) async fn monitoring(monitor: &str) -> Result<Vec<Finding>, String> {
    let url = Url::parse(&format!(
        "{}/jsz?config=true",
        monitor.trim_end_matches('/')
    ));
    let url = url.ok().filter(Url::has_host);
    let url = url.ok_or("--monitor is no address (example: http://127.0.0.1:8222)")?;
    let shown = shown(&url);
    let http = reqwest::Client::builder().timeout(REQUEST_WITHIN).build();
    let http = http.map_err(|error| error.to_string())?;
    let answer = http.get(url).send().await;
    let mut answer = answer.map_err(|_error| format!("{shown} does not answer"))?;
    let mut body = Vec::new();
    loop {
        let more = answer.chunk().await;
        let more = more.map_err(|_error| format!("{shown} does not answer to its end"))?;
        let Some(more) = more else { break };
        if MONITORING_BYTES_MAX < body.len() + more.len() {
            return Err(format!("{shown} says too much"));
        }
        body.extend_from_slice(&more);
    }
    let says: Value =
        serde_json::from_slice(&body).map_err(|_error| format!("{shown} says no JSON"))?;
    judge_monitoring(&says).ok_or_else(|| format!("{shown} does not say"))
}

/// `None` when it does not tell how often the server syncs.
fn judge_monitoring(says: &Value) -> Option<Vec<Finding>> {
    let config = says.get("config")?;
    let mut found = Vec::new();
    let interval = match config.get("sync_always").and_then(Value::as_bool) {
        Some(true) => Duration::ZERO,
        Some(false) | None => Duration::from_nanos(config.get("sync_interval")?.as_u64()?),
    };
    if SYNC_MAX < interval {
        found.push(Finding::new(
            Severity::Warning,
            "sync_interval",
            format!("the server syncs to disk every {} s", interval.as_secs()),
            "a power cut of all its copies takes what was acknowledged since",
            "set `jetstream { sync_interval: always }` on the three servers of the stream",
        ));
    }
    let storage = |of: &Value, member| of.get(member).and_then(Value::as_i64);
    if let (Some(used), Some(limit)) = (storage(says, "storage"), storage(config, "max_storage"))
        && is_near(used, limit)
    {
        found.push(Finding::new(
            Severity::Warning,
            "max_storage",
            format!("{used} of the server's {limit} bytes are used"),
            "at the limit nothing can be published",
            "give JetStream more room on this server",
        ));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn lines(found: impl IntoIterator<Item = Finding>) -> Vec<String> {
        let line = |found: Finding| format!("{}: {}", found.subject, found.what);
        found.into_iter().map(line).collect()
    }

    #[test]
    fn old_releases_and_small_messages_are_found() {
        const MIB: usize = 1 << 20;
        for (version, max_payload, expected) in [
            ("2.15.1", MIB, &[][..]),
            ("2.11.0-RC.1", MIB, &[]),
            ("3.0.0", MIB, &[]),
            ("2.10.29", MIB, &["server version: it is 2.10.29"]),
            ("", MIB, &["server version: it is "]),
            ("2.12.0", 262_144, &["max_payload: it is 262144 bytes"]),
        ] {
            assert_eq!(lines(judge(version, max_payload)), expected, "{version}");
        }
    }

    #[test]
    fn clocks_that_are_apart_are_found_whatever_the_way_takes() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (says, expected) in [
            ("1970-01-01T00:16:40Z", None),
            ("1970-01-01T00:16:45Z", None),
            (
                "1970-01-01T00:17:00Z",
                Some("clock: this machine's is 10 s behind the server's"),
            ),
            (
                "1970-01-01T00:16:30Z",
                Some("clock: this machine's is 10 s ahead of the server's"),
            ),
            ("soon", None),
        ] {
            let found = lines(clock(says, at(1_000), at(1_010)));
            assert_eq!(found.first().map(String::as_str), expected, "{says}");
        }
    }

    #[tokio::test]
    async fn the_password_of_a_monitoring_address_is_not_told() {
        query::auth::install_crypto();
        for (monitor, expected) in [
            (
                "http://ada:secret@127.0.0.1:1/",
                "http://127.0.0.1:1/jsz?config=true does not answer",
            ),
            (
                "ada:secret@127.0.0.1:1",
                "--monitor is no address (example: http://127.0.0.1:8222)",
            ),
        ] {
            let said = monitoring(monitor).await.unwrap_err();
            assert_eq!(said, expected);
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        query::auth::install_crypto();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let talking = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let _request = client.read_u8().await.unwrap();
            let mut sent = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while sent.is_ok() {
                sent = client.write_all(&[b' '; 4096]).await;
            }
        });
        let said = monitoring(&url).await.unwrap_err();
        assert_eq!(said, format!("{url}/jsz?config=true says too much"));
        // It is hung up on.
        talking.await.unwrap();
    }

    #[test]
    fn lazy_syncs_and_full_servers_are_found() {
        let lazy = "sync_interval: the server syncs to disk every 120 s";
        let full = "max_storage: 95 of the server's 100 bytes are used";
        let (often, seldom) = (1_000_000_000_i64, 120_000_000_000_i64);
        for (says, expected) in [
            (
                json!({"config": {"sync_interval": seldom}}),
                Some(&[lazy][..]),
            ),
            (
                json!({"config": {"sync_interval": seldom, "sync_always": true}}),
                Some(&[]),
            ),
            (
                json!({"config": {"sync_interval": often, "max_storage": 100}, "storage": 95}),
                Some(&[full]),
            ),
            (
                json!({"config": {"sync_interval": often, "max_storage": 0}, "storage": 95}),
                Some(&[]),
            ),
            (json!({"config": {}}), None),
            (json!("?"), None),
        ] {
            let found = judge_monitoring(&says).map(lines);
            assert_eq!(
                found.as_deref().map(<[String]>::len),
                expected.map(<[&str]>::len)
            );
            assert_eq!(
                found.unwrap_or_default(),
                expected.unwrap_or_default(),
                "{says}"
            );
        }
    }
}
