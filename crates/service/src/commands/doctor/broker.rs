//! Asking the broker: whether it lets us read, and what it says of the stream, of the account and of itself.

use std::time::SystemTime;

use jetstream::ApiPrefix;
use projector::{Finding, Permissions, Severity};
use serde_json::{Value, json};

use super::connection::{Connection, Unheard};
use super::report::Report;
use super::{account, consumers, server};
use crate::config::NatsConfig;
use crate::nats::NatsError;
use crate::printable::counted;

/// A page of consumers has 256.
const CONSUMER_PAGES_MAX: usize = 8;

/// Looks at everything that the broker tells. Gives what it says of the stream.
pub(super) async fn look(
    config: &NatsConfig,
    ours: &[String],
    needed: &[Permissions],
    report: &mut Report,
) -> Option<Value> {
    let inbox = ours.first().map(String::as_str).unwrap_or_default();
    let connection = match Connection::open(config, inbox).await {
        Ok(connection) => connection,
        Err(error) => {
            report.blind(unreadable("connection", &error));
            return None;
        }
    };
    let info = connection.0.nats.info();
    report.see("server", format!("nats-server {}", info.version));
    report.find(server::judge(&info.version, info.max_payload));
    report.find(unencrypted(config, info.tls_required));
    for said in connection.refused(needed).await {
        report.find([Finding::new(
            Severity::Danger,
            "permission",
            said,
            "reading takes it: the service says permission_denied and applies nothing, or cannot rebuild",
            "grant what `profile-projector doctor --permissions` prints",
        )]);
    }
    let stream = stream(config, &connection, report).await;
    account(&config.api, &connection, stream.as_ref(), report).await;
    if stream.is_some() {
        consumers(config, ours, &connection, report).await;
    }
    stream
}

async fn stream(
    config: &NatsConfig,
    connection: &Connection,
    report: &mut Report,
) -> Option<Value> {
    let asked_at = SystemTime::now();
    let request = format!("STREAM.INFO.{}", config.stream);
    match connection.ask(&request, &json!({})).await {
        Ok(info) => {
            report.see("stream", extent(&info));
            report.find(projector::judge_stream(&info));
            let says = info.get("ts").and_then(Value::as_str).unwrap_or_default();
            report.find(server::clock(says, asked_at, SystemTime::now()));
            Some(info)
        }
        Err(unheard) => {
            let error = why(unheard, config, connection).await;
            let found = unreadable("stream", &error);
            if matches!(error, NatsError::StreamMissing { .. }) {
                report.find([found]);
            } else {
                report.blind(found);
            }
            None
        }
    }
}

async fn why(unheard: Unheard, config: &NatsConfig, connection: &Connection) -> NatsError {
    let servers = config.shown_servers();
    match unheard {
        Unheard::Denied(said) => NatsError::PermissionDenied { said },
        Unheard::Silent => NatsError::TimedOut {
            servers,
            asked: "what the stream is",
        },
        Unheard::Refused(_) => connection.0.why_unheard(&config.stream).await,
    }
}

/// What a stream holds.
fn extent(info: &Value) -> String {
    let state = |member: &str| {
        let state = info.get("state").and_then(|state| state.get(member));
        state.and_then(Value::as_u64).unwrap_or(0)
    };
    let name = info.get("config").and_then(|config| config.get("name"));
    let name = name.and_then(Value::as_str).unwrap_or("without a name");
    let (messages, first, last) = (state("messages"), state("first_seq"), state("last_seq"));
    let messages = counted(messages, "message", "messages");
    format!("{name}, {messages} from {first} to {last}")
}

async fn account(
    api: &ApiPrefix,
    connection: &Connection,
    stream: Option<&Value>,
    report: &mut Report,
) {
    match connection.ask("INFO", &json!({})).await {
        Ok(info) => {
            report.see("account", account::holds(&info));
            report.find(account::judge(&info, stream));
        }
        Err(unheard) => report.not_seen(
            "account",
            &unheard.to_string(),
            "whether the account is near its limits is not known",
            grant(&api.subject("INFO")),
        ),
    }
}

async fn consumers(
    config: &NatsConfig,
    ours: &[String],
    connection: &Connection,
    report: &mut Report,
) {
    let stream = config.stream.as_str();
    let request = format!("CONSUMER.LIST.{stream}");
    let mut found: Vec<Value> = Vec::new();
    for _page in 0..CONSUMER_PAGES_MAX {
        let page = json!({"offset": found.len()});
        match connection.ask(&request, &page).await {
            Ok(mut page) => {
                let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
                let Some(Value::Array(page)) = page.get_mut("consumers").map(Value::take) else {
                    break;
                };
                let is_last = page.is_empty();
                found.extend(page);
                if is_last || total <= u64::try_from(found.len()).unwrap_or(u64::MAX) {
                    break;
                }
            }
            Err(unheard) => {
                report.not_seen(
                    "consumers",
                    &unheard.to_string(),
                    "whether earlier runs left consumers behind is not known",
                    grant(&config.api.subject(&request)),
                );
                return;
            }
        }
    }
    report.see("consumers", format!("{} of the stream", found.len()));
    report.find(consumers::judge(stream, &found, ours));
}

fn grant(subject: &str) -> String {
    format!("grant {subject} to this user, or look as one who has it; the service does not need it")
}

fn unencrypted(config: &NatsConfig, is_required: bool) -> Option<Finding> {
    let is_near = |host: &str| host == "localhost" || host == "::1" || host.starts_with("127.");
    let mut servers = config.servers.iter();
    let is_far = servers.any(|server| !is_near(server.host()) && !server.tls_required());
    let is_asked_for = config.tls.is_required();
    (is_far && !is_asked_for && !is_required).then(|| {
        Finding::new(
            Severity::Danger,
            "tls",
            "the connection is not encrypted",
            "events are personal data, and whoever is in between can change them",
            "enable TLS on the server and give --nats-tls-ca",
        )
    })
}

fn unreadable(subject: &'static str, error: &NatsError) -> Finding {
    Finding::new(
        Severity::Danger,
        subject,
        error.to_string(),
        "the service cannot read the stream either",
        "see the entry for its `connection` in deploy/RUNBOOK.md",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_server_in_clear_text_is_found() {
        for (server, is_required, is_found) in [
            ("nats://127.0.0.1", false, false),
            ("nats://[::1]", false, false),
            ("nats://nats.example", false, true),
            ("nats://nats.example", true, false),
            // The server may leave it to its clients.
            ("tls://nats.example", false, false),
        ] {
            let config = NatsConfig::plain(server.parse().unwrap(), "S");
            let found = unencrypted(&config, is_required);
            assert_eq!(found.is_some(), is_found, "{server} {is_required}");
        }
    }
}
