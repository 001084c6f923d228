//! The operators' routes: alive, ready, how far, how much. On a listener of their own, never on the
//! public one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use domain::{Checkpoint, Outcome, Phase, Progress};
use read_model::Inspection;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use crate::auth::KeysStatus;
use crate::exposition::Exposition;
use crate::single_flight::SingleFlight;
use crate::{AdminDoor, QueryState, figures, quarantine};

/// What the operators' routes need.
pub struct Admin {
    /// Whose progress and figures they tell.
    pub query: Arc<QueryState>,
    /// Writes what others measure.
    pub more_metrics: Box<dyn Fn(&mut Exposition) + Send + Sync>,
    /// What others tell in `/status`, by the member's name.
    pub more_status: Box<dyn Fn() -> BTreeMap<&'static str, serde_json::Value> + Send + Sync>,
    /// Who may ask about persons.
    pub door: Arc<AdminDoor>,
    /// Cancelled when the process begins to stop: it is not ready from then on.
    pub stopping: CancellationToken,
}

/// The operators' routes.
pub fn router(admin: Admin) -> Router {
    let about_persons = admin.door.guard(quarantine::routes());
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/status", shared("application/json", Admin::status))
        .route(
            "/metrics",
            shared("text/plain; version=0.0.4", Admin::metrics),
        )
        .merge(about_persons)
        .with_state(Arc::new(admin))
}

type Shared = State<Arc<Admin>>;

async fn readyz(State(admin): Shared) -> impl IntoResponse {
    match admin.unready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        ),
    }
}

/// What costs more to write than a probe does: many who ask share one writing.
fn shared(kind: &'static str, write: fn(&Admin) -> Vec<u8>) -> MethodRouter<Arc<Admin>> {
    let flight = Arc::new(SingleFlight::default());
    get(move |State(admin): Shared| {
        let flight = Arc::clone(&flight);
        async move {
            let text = flight.get(|| write(&admin).into()).await;
            ([(CONTENT_TYPE, kind)], text)
        }
    })
}

impl Admin {
    fn status(&self) -> Vec<u8> {
        // Its members are texts and numbers: nothing of it can fail to be written.
        serde_json::to_vec(&Status::of(self)).unwrap_or_default()
    }

    fn metrics(&self) -> Vec<u8> {
        let mut page = Exposition::default();
        figures::write(&mut page, self);
        (self.more_metrics)(&mut page);
        page.into_text().into_bytes()
    }

    /// Why requests should go elsewhere. Lag is no reason: all replicas would leave together.
    pub(crate) fn unready(&self) -> Option<&'static str> {
        let progress = self.query.progress.borrow();
        if self.stopping.is_cancelled() {
            Some("stopping")
        } else if !self.query.verifier.ready() {
            Some("no signing keys to check tokens with")
        } else if !self.query.reader.damages().is_empty() {
            Some("a stored row is damaged")
        } else if progress.was_live || progress.phase == Phase::Live {
            None
        } else {
            Some("the read model has not been live yet")
        }
    }
}

/// Rows and progress at one moment.
pub(crate) struct Look {
    pub(crate) inspection: Inspection,
    pub(crate) progress: Progress,
}

impl Look {
    /// Every figure is of one commit, which may be newer than what was told of.
    pub(crate) fn of(query: &QueryState) -> Self {
        let mut progress = query.progress.borrow().clone();
        let inspection = query.reader.inspect();
        if let Some(checkpoint) = inspection.checkpoint() {
            progress.checkpoint = Some(checkpoint.clone());
        }
        Self {
            inspection,
            progress,
        }
    }
}

/// The members of `/status`.
#[derive(Serialize)]
struct Status {
    phase: &'static str,
    reason: Option<&'static str>,
    connection: &'static str,
    detail: Option<String>,
    stream: Option<Stream>,
    /// Rows that are not what was written, as far as they were read; a rebuild heals them.
    damaged: Vec<String>,
    /// The last one whose effect is durable, and answered.
    applied_sequence: u64,
    /// The last one that is read and folded; above the applied one only until the next commit.
    read_sequence: u64,
    /// Null while the broker was not asked.
    tail_sequence: Option<u64>,
    lag_events: Option<u64>,
    lag_seconds: Option<f64>,
    users: u64,
    profiles: u64,
    parked_lanes: u64,
    parked_records: u64,
    /// Reasons that records are parked for now.
    parked_by_reason: BTreeMap<&'static str, u64>,
    /// How long ago the stream got the oldest of them.
    parked_oldest_seconds: Option<u64>,
    /// Those that came to be at least once.
    outcomes: BTreeMap<&'static str, u64>,
    digest: String,
    /// Where the keys of tokens come from.
    keys: Vec<KeysStatus>,
    version: &'static str,
    #[serde(flatten)]
    more: BTreeMap<&'static str, serde_json::Value>,
}

#[derive(Serialize)]
struct Stream {
    name: String,
    created: Option<String>,
    /// The message that was applied last: it tells this stream's history from another's.
    last: Option<Last>,
}

#[derive(Serialize)]
struct Last {
    sequence: u64,
    stored: Option<String>,
}

impl Status {
    fn of(admin: &Admin) -> Self {
        let query = &admin.query;
        let Look {
            inspection,
            progress,
        } = Look::of(query);
        let totals = inspection.totals();
        // Whoever asks how it is must be answered, also when a row cannot be read.
        let oldest = quarantine::oldest(&inspection).ok().flatten();
        let outcomes = totals.outcomes.iter().filter(|(_, count)| *count != 0);
        let (reason, refusal) = match &progress.phase {
            Phase::Blocked(refusal) => (Some(refusal.word()), Some(refusal.to_string())),
            Phase::Starting | Phase::CatchingUp { .. } | Phase::Live => {
                let waits = progress.standing_still();
                let reason = waits.map(|_| Progress::STANDING_STILL);
                (reason, waits.map(ToOwned::to_owned))
            }
        };
        Self {
            phase: progress.phase.word(),
            reason,
            connection: progress.connection.word(),
            detail: progress.detail.clone().or(refusal),
            stream: progress.checkpoint.as_ref().map(Stream::of),
            damaged: inspection
                .damages()
                .iter()
                .map(ToString::to_string)
                .collect(),
            applied_sequence: progress.applied(),
            read_sequence: progress.read(),
            tail_sequence: progress.tail,
            lag_events: progress.tail.map(|_| progress.lag_events()),
            lag_seconds: lag_seconds(&progress),
            users: totals.users,
            profiles: totals.profiles,
            parked_lanes: totals.parked_lanes,
            parked_records: totals.parked_records,
            parked_by_reason: quarantine::by_reason(&totals),
            parked_oldest_seconds: oldest.and_then(|oldest| oldest.age_seconds),
            outcomes: outcomes
                .map(|(outcome, count)| (Outcome::as_str(outcome), count))
                .collect(),
            digest: totals.digest.to_string(),
            keys: query.verifier.status(),
            version: env!("CARGO_PKG_VERSION"),
            more: (admin.more_status)(),
        }
    }
}

impl Stream {
    fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            name: checkpoint.stream.name.to_string(),
            created: rfc3339(checkpoint.stream.created_ns),
            last: checkpoint.applied.map(|applied| Last {
                sequence: applied.sequence.get(),
                stored: rfc3339(applied.time_ns),
            }),
        }
    }
}

/// A time of the broker as text.
pub(crate) fn rfc3339(time_ns: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(time_ns.into()).ok()?;
    time.format(&Rfc3339).ok()
}

/// How long ago a time of the broker was, by this machine's clock.
pub(crate) fn since(time_ns: i64) -> Option<Duration> {
    let time = Duration::from_nanos(u64::try_from(time_ns).ok()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(time))
}

/// How old the oldest record that is not applied is, at most: the first that was read, or else the last one that
/// was applied. Null while that is unknown.
pub(crate) fn lag_seconds(progress: &Progress) -> Option<f64> {
    progress.tail?;
    if progress.lag_events() == 0 {
        return Some(0.0);
    }
    let applied = || Some(progress.checkpoint.as_ref()?.applied?.time_ns);
    let time_ns = progress.unkept_ns.or_else(applied)?;
    since(time_ns).map(|since| since.as_secs_f64())
}
