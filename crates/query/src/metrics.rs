//! Names of this crate's metrics, with unit and help. The tokens' are in `auth`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::{Counter, Gauge, Histogram, Unit};

/// Requests answered, by `route` (its template) and `status`.
pub const REQUESTS: &str = "query_requests_total";
/// From the end of a request's header to its answer, by `route`.
pub const REQUEST_SECONDS: &str = "query_request_seconds";
/// Connections that are open, by `listener`.
pub const CONNECTIONS: &str = "query_connections";
/// Connections that ended, by `listener` and `reason`.
pub const CONNECTIONS_ENDED: &str = "query_connections_ended_total";

/// Sockets of the sync protocol that are open.
pub const SOCKETS: &str = "query_sync_sockets";
/// Sockets that ended, by `reason`; `slow` are clients that did not take what was sent.
pub const SOCKETS_ENDED: &str = "query_sync_sockets_ended_total";
/// What was refused or ended because a bound was reached, by `what`.
pub const SHED: &str = "query_shed_total";
/// Transitions sent.
pub const TRANSITIONS: &str = "query_sync_transitions_total";
/// Values read for sockets.
pub const EVALUATIONS: &str = "query_sync_evaluations_total";
/// Sockets woken by a commit.
pub const WAKES: &str = "query_sync_wakes_total";

/// Rows of the read model whose check failed when they were read.
pub const DAMAGED: &str = "query_damaged_rows";

/// Tells the recorder what the metrics mean.
pub fn describe() {
    ::metrics::describe_counter!(
        REQUESTS,
        Unit::Count,
        "Requests answered, by route and status"
    );
    ::metrics::describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time from a request's header to its answer, by route"
    );
    ::metrics::describe_gauge!(CONNECTIONS, Unit::Count, "Open connections, by listener");
    ::metrics::describe_counter!(
        CONNECTIONS_ENDED,
        Unit::Count,
        "Connections that ended, by listener and reason"
    );
    ::metrics::describe_gauge!(SOCKETS, Unit::Count, "Open sockets of the sync protocol");
    ::metrics::describe_counter!(SOCKETS_ENDED, Unit::Count, "Sockets that ended, by reason");
    ::metrics::describe_counter!(
        SHED,
        Unit::Count,
        "Refused or ended because a bound was reached, by what ran out"
    );
    ::metrics::describe_counter!(TRANSITIONS, Unit::Count, "Transitions sent to sockets");
    ::metrics::describe_counter!(EVALUATIONS, Unit::Count, "Values read for sockets");
    ::metrics::describe_gauge!(
        DAMAGED,
        "Stored rows that were found damaged since the read model was opened"
    );
    ::metrics::describe_counter!(WAKES, Unit::Count, "Sockets woken by a commit");
}

/// The statuses that have a counter of their own; any other counts as `other`.
const STATUSES: [(u16, &str); 11] = [
    (101, "101"),
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (500, "500"),
    (503, "503"),
    (0, "other"),
];

/// The metrics of a route, looked up once: a request then costs two atomic additions.
pub(crate) struct RouteMetrics {
    seconds: Histogram,
    requests: [(u16, Counter); STATUSES.len()],
}

impl RouteMetrics {
    /// Registers with the recorder that is installed now.
    pub(crate) fn new(route: &'static str) -> Self {
        Self {
            seconds: ::metrics::histogram!(REQUEST_SECONDS, "route" => route),
            requests: STATUSES.map(|(status, label)| {
                let counter = ::metrics::counter!(REQUESTS, "route" => route, "status" => label);
                (status, counter)
            }),
        }
    }

    pub(crate) fn answered(&self, status: u16, elapsed: Duration) {
        self.seconds.record(elapsed);
        let own = self.requests.iter().find(|(known, _)| *known == status);
        if let Some((_, counter)) = own.or(self.requests.last()) {
            counter.increment(1);
        }
    }
}

pub(crate) fn damaged(rows: usize) {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    ::metrics::gauge!(DAMAGED).set(f64::from(rows));
}

/// Counts a connection for as long as it lives.
pub(crate) struct OpenConnection(Gauge);

impl OpenConnection {
    pub(crate) fn new(listener: &'static str) -> Self {
        let gauge = ::metrics::gauge!(CONNECTIONS, "listener" => listener);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

pub(crate) fn connection_ended(listener: &'static str, reason: &'static str) {
    ::metrics::counter!(CONNECTIONS_ENDED, "listener" => listener, "reason" => reason).increment(1);
}

/// A socket's metrics. It counts as open until this is dropped.
pub(crate) struct SyncMetrics {
    open: Gauge,
    pub(crate) transitions: Counter,
    pub(crate) evaluations: Counter,
}

impl SyncMetrics {
    pub(crate) fn open() -> Self {
        let open = ::metrics::gauge!(SOCKETS);
        open.increment(1.0);
        Self {
            open,
            transitions: ::metrics::counter!(TRANSITIONS),
            evaluations: ::metrics::counter!(EVALUATIONS),
        }
    }
}

impl Drop for SyncMetrics {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

pub(crate) fn socket_ended(reason: &'static str) {
    ::metrics::counter!(SOCKETS_ENDED, "reason" => reason).increment(1);
}

/// Each kind is said in the log at most so often, with how often it happened since.
const SHED_TOLD_EVERY: Duration = Duration::from_mins(1);

/// What can be shed.
const SHED_WHAT: [&str; 8] = [
    "connections",
    "sockets",
    "address",
    "requests",
    "answers",
    "in_flight",
    "streams",
    "waiting",
];

/// Registers what can be shed, so that its first time can be told from none.
pub(crate) fn begin_shed() {
    for what in SHED_WHAT {
        ::metrics::counter!(SHED, "what" => what).increment(0);
    }
}

/// When a kind was last told of, and how often it happened since.
#[derive(Default)]
struct Shed {
    told: Option<Instant>,
    untold: u64,
}

/// Counts what is refused or ended because a bound was reached.
pub(crate) fn shed(what: &'static str) {
    static SO_FAR: Mutex<BTreeMap<&str, Shed>> = Mutex::new(BTreeMap::new());
    ::metrics::counter!(SHED, "what" => what).increment(1);
    let mut so_far = SO_FAR.lock().unwrap_or_else(PoisonError::into_inner);
    let shed = so_far.entry(what).or_default();
    shed.untold = shed.untold.saturating_add(1);
    let is_recent = |told: Instant| told.elapsed() < SHED_TOLD_EVERY;
    if shed.told.is_some_and(is_recent) {
        return;
    }
    let count = std::mem::take(&mut shed.untold);
    shed.told = Some(Instant::now());
    drop(so_far);
    tracing::warn!(what, count, "a bound is reached: see query_shed_total");
}
