//! Asking the broker: whether it lets us read, what it says of the stream, what its monitoring shows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::response::Response;
use async_nats::{Client, Event, ServerError};
use projector::{Finding, Permissions, Severity};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::config::NatsConfig;
use crate::nats::{self, NatsError, REQUEST_WITHIN};

/// How long the server's refusals may be on their way after it has answered a ping behind them.
const REFUSALS_WITHIN: Duration = Duration::from_millis(500);
/// A server that writes to disk less often loses more at a power cut than a second's events.
const SYNC_MAX: Duration = Duration::from_secs(1);
/// No server takes it for a request: it is answered with an error.
const NO_REQUEST: &str = "?";

/// What the server refused us.
type Refusals = Arc<Mutex<BTreeSet<String>>>;

/// Everything there is to find, or why nothing can be.
pub(super) async fn look(
    config: &NatsConfig,
    consumers: &[String],
    needed: &[Permissions],
    monitor: Option<&str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let refusals = Refusals::default();
    match connect(config, consumers, Arc::clone(&refusals)).await {
        Err(error) => findings.push(unreadable("connection", &error)),
        Ok(client) => {
            encryption(config, &client, &mut findings);
            permissions(&client, needed, &refusals, &mut findings).await;
            match stream_info(config, client).await {
                Ok(info) => findings.extend(projector::judge_stream(&info)),
                Err(error) => findings.push(unreadable("stream", &error)),
            }
        }
    }
    let interval = match monitor {
        None => Err("the monitoring was not asked".to_owned()),
        Some(url) => sync_interval(url).await,
    };
    match interval {
        Ok(None) => {}
        Ok(Some(interval)) => findings.push(sync_lazy(interval)),
        Err(problem) => findings.push(sync_unknown(&problem)),
    }
    findings
}

async fn connect(
    config: &NatsConfig,
    consumers: &[String],
    refusals: Refusals,
) -> Result<Client, NatsError> {
    let inbox = consumers.first().map(String::as_str).unwrap_or_default();
    let options = nats::options(config)?
        .name("profile-projector doctor")
        .custom_inbox_prefix(projector::inbox_prefix(inbox))
        .request_timeout(Some(REQUEST_WITHIN))
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(said)) = event
                && said.to_ascii_lowercase().contains("permissions violation")
            {
                let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
                refusals.insert(said);
            }
            std::future::ready(())
        });
    nats::connected(options, config).await
}

async fn stream_info(config: &NatsConfig, client: Client) -> Result<Value, NatsError> {
    let connection = nats::Connection::of(client, config.shown_servers());
    let subject = format!("STREAM.INFO.{}", config.stream);
    let nothing = json!({});
    let asking = connection.jetstream.request(subject, &nothing);
    let answer: Response<Value> = match timeout(REQUEST_WITHIN, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => return Err(connection.why_unheard(&config.stream).await),
    };
    match answer {
        Response::Ok(info) => Ok(info),
        Response::Err { error: _ } => Err(connection.why_unheard(&config.stream).await),
    }
}

/// Asks for everything that reading takes, in a way that nothing comes of it, and hears what is refused.
async fn permissions(
    client: &Client,
    needed: &[Permissions],
    refusals: &Refusals,
    findings: &mut Vec<Finding>,
) {
    for needed in needed {
        for subject in &needed.subscribe {
            // Given up at once: only whether it is refused matters.
            let _ = timeout(REQUEST_WITHIN, client.subscribe(subject.clone())).await;
        }
        for subject in &needed.publish {
            let reply = client.new_inbox();
            let asking = client.publish_with_reply(subject.clone(), reply, NO_REQUEST.into());
            let _ = timeout(REQUEST_WITHIN, asking).await;
        }
    }
    let _ = timeout(REQUEST_WITHIN, client.flush()).await;
    tokio::time::sleep(REFUSALS_WITHIN).await;
    let refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
    for said in refusals.iter() {
        findings.push(Finding::new(
            Severity::Danger,
            "permission",
            said.clone(),
            "reading takes it: the service says permission_denied and applies nothing, or cannot rebuild",
            "grant what `profile-projector doctor --permissions` prints",
        ));
    }
}

fn encryption(config: &NatsConfig, client: &Client, findings: &mut Vec<Finding>) {
    let is_near = |host: &str| host == "localhost" || host == "::1" || host.starts_with("127.");
    let is_far = config.servers.iter().any(|server| !is_near(server.host()));
    let is_asked_for = config.tls_ca.is_some() || config.tls_client.is_some();
    if is_far && !is_asked_for && !client.server_info().tls_required {
        findings.push(Finding::new(
            Severity::Danger,
            "tls",
            "the connection is not encrypted",
            "events are personal data, and whoever is in between can change them",
            "enable TLS on the server and give --nats-tls-ca",
        ));
    }
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

fn sync_unknown(problem: &str) -> Finding {
    Finding::new(
        Severity::Note,
        "sync_interval",
        format!("unknown: {problem}"),
        "by default a server syncs every 2 minutes: a power cut can take what was acknowledged since",
        "give --monitor http://HOST:8222 (the server's monitoring address)",
    )
}

fn sync_lazy(interval: Duration) -> Finding {
    Finding::new(
        Severity::Warning,
        "sync_interval",
        format!("the server syncs to disk every {} s", interval.as_secs()),
        "a power cut of all its copies takes what was acknowledged since",
        "set `jetstream { sync_interval: always }` on the three servers of the stream",
    )
}

/// `None` when every write is synced, or nearly.
async fn sync_interval(monitor: &str) -> Result<Option<Duration>, String> {
    let url = format!("{}/jsz?config=true", monitor.trim_end_matches('/'));
    let http = reqwest::Client::builder().timeout(REQUEST_WITHIN).build();
    let http = http.map_err(|error| error.to_string())?;
    let answer = http.get(&url).send().await;
    let body = answer.map_err(|_error| format!("{url} does not answer"))?;
    let body = body.bytes().await.map_err(|error| error.to_string())?;
    let says: Value =
        serde_json::from_slice(&body).map_err(|_error| format!("{url} says no JSON"))?;
    let config = says.get("config").unwrap_or(&Value::Null);
    if config.get("sync_always").and_then(Value::as_bool) == Some(true) {
        return Ok(None);
    }
    let interval = config.get("sync_interval").and_then(Value::as_u64);
    let interval = interval.ok_or_else(|| format!("{url} does not say"))?;
    Ok(Some(Duration::from_nanos(interval)).filter(|interval| SYNC_MAX < *interval))
}
