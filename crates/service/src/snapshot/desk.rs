//! Snapshots of a running service. The file stays in the data folder: the operators' listener tells of
//! it, but never of what is in it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use metrics::gauge;
use read_model::Reader;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::make::{FILE_NAME, Made, make};
use crate::keeper::JobState;

/// When the latest snapshot was made.
const MADE: &str = "profile_projector_snapshot_timestamp_seconds";
/// Of what place it is.
const SEQUENCE: &str = "profile_projector_snapshot_sequence";

/// Makes snapshots, one at a time, and tells how far it is.
#[derive(Clone)]
pub(crate) struct SnapshotDesk {
    reader: Reader,
    folder: PathBuf,
    told: Arc<watch::Sender<SnapshotStatus>>,
    stop: CancellationToken,
    /// Not that of the operators' listener, which ends with its requests.
    runtime: Handle,
}

/// The member `snapshot` of `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotStatus {
    pub(crate) state: JobState,
    /// Counts the snapshots since the start.
    pub(crate) number: u64,
    /// Rows that are written.
    pub(crate) rows: u64,
    /// Rows that there are.
    pub(crate) rows_total: u64,
    /// Up to where they hold the stream.
    pub(crate) sequence: Option<u64>,
    /// Of the rows.
    pub(crate) digest: Option<String>,
    /// Of the file.
    pub(crate) hash: Option<String>,
    pub(crate) bytes: Option<u64>,
    /// Why it failed.
    pub(crate) detail: Option<String>,
}

impl SnapshotDesk {
    /// It makes them on the threads of this runtime.
    pub(crate) fn new(reader: Reader, folder: PathBuf, stop: CancellationToken) -> Self {
        let runtime = Handle::current();
        let told = Arc::new(watch::Sender::new(SnapshotStatus::default()));
        Self {
            reader,
            folder,
            told,
            stop,
            runtime,
        }
    }

    /// What became of the latest snapshot, or is becoming of it.
    pub(crate) fn status(&self) -> SnapshotStatus {
        self.told.borrow().clone()
    }

    /// Begins to make one; `false` while another is made.
    fn begin(&self) -> bool {
        let is_new = self.told.send_if_modified(|status| {
            let is_free = status.state != JobState::Running;
            if is_free {
                *status = SnapshotStatus {
                    state: JobState::Running,
                    number: status.number.saturating_add(1),
                    ..SnapshotStatus::default()
                };
            }
            is_free
        });
        if !is_new {
            return false;
        }
        let desk = self.clone();
        self.runtime.spawn(async move {
            let started = Instant::now();
            let making = desk.clone();
            let made = tokio::task::spawn_blocking(move || making.make()).await;
            desk.tell(made.map_err(anyhow::Error::from).flatten(), started);
        });
        true
    }

    fn make(&self) -> anyhow::Result<Made> {
        let inspection = self.reader.inspect();
        let rows_total = inspection.manifest()?.rows;
        make(&inspection, &self.folder.join(FILE_NAME), |rows| {
            self.told.send_modify(|status| {
                (status.rows, status.rows_total) = (rows, rows_total);
            });
            if self.stop.is_cancelled() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
    }

    fn tell(&self, made: anyhow::Result<Made>, started: Instant) {
        match made {
            Ok(made) => {
                let sequence = made.manifest.checkpoint.sequence();
                let (rows, bytes) = (made.manifest.rows, made.bytes);
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(sequence, rows, bytes, seconds, "a snapshot was made");
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                gauge!(MADE).set(now.unwrap_or_default().as_secs_f64());
                gauge!(SEQUENCE).set(u32::try_from(sequence).map_or(f64::MAX, f64::from));
                self.told.send_modify(|status| {
                    *status = SnapshotStatus {
                        number: status.number,
                        ..SnapshotStatus::of(&made)
                    };
                });
            }
            Err(error) => {
                tracing::error!("no snapshot was made: {error:#}");
                self.told.send_modify(|status| {
                    status.state = JobState::Failed;
                    status.detail = Some(format!("{error:#}"));
                });
            }
        }
    }
}

impl SnapshotStatus {
    /// Of one that was made.
    pub(crate) fn of(made: &Made) -> Self {
        let Made {
            manifest,
            hash,
            bytes,
        } = made;
        Self {
            state: JobState::Done,
            rows: manifest.rows,
            rows_total: manifest.rows,
            sequence: Some(manifest.checkpoint.sequence()),
            digest: Some(manifest.totals.digest.to_string()),
            hash: Some(hash.to_string()),
            bytes: Some(*bytes),
            ..Self::default()
        }
    }
}

/// What `POST /snapshot` takes: JSON, which a page of another origin cannot send unasked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {}

/// `POST /snapshot`.
pub(crate) fn routes(desk: SnapshotDesk) -> Router {
    Router::new()
        .route("/snapshot", post(snapshot))
        .with_state(desk)
}

async fn snapshot(
    State(desk): State<SnapshotDesk>,
    Json(Order {}): Json<Order>,
) -> (StatusCode, Json<SnapshotStatus>) {
    let answer = if desk.begin() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::CONFLICT
    };
    (answer, Json(desk.status()))
}

/// Gives the metrics of snapshots their help, and makes them visible before the first.
pub(crate) fn describe_metrics() {
    metrics::describe_gauge!(
        MADE,
        metrics::Unit::Seconds,
        "When the latest snapshot since the start was made, since the epoch; 0 for none"
    );
    metrics::describe_gauge!(
        SEQUENCE,
        "The sequence that the latest snapshot is of; 0 for none"
    );
    gauge!(MADE).set(0.0);
    gauge!(SEQUENCE).set(0.0);
}
