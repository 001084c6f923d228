//! Names of this crate's metrics, with unit and help. The tokens' are in `auth`.

use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, Unit};

/// Requests answered, by `route` and `code`, the class of the status.
pub const REQUESTS: &str = "profile_projector_requests_total";
/// From the end of a request's header to its answer, of requests that run the query.
pub const REQUEST_SECONDS: &str = "profile_projector_request_duration_seconds";
/// Connections that are open, by `listener`.
pub const CONNECTIONS: &str = "profile_projector_connections";
/// Connections that ended, by `listener` and `reason`.
pub const CONNECTIONS_ENDED: &str = "profile_projector_connections_ended_total";

/// Sockets of the sync protocol that are open.
pub const SOCKETS: &str = "profile_projector_sync_sockets";
/// Queries that sockets are subscribed to.
pub const SUBSCRIPTIONS: &str = "profile_projector_sync_subscriptions";
/// Sockets that ended, by `reason`; `slow` are clients that did not take what was sent.
pub const SOCKETS_ENDED: &str = "profile_projector_sync_sockets_ended_total";
/// What was refused or ended because a bound was reached, by `what`.
pub const SHED: &str = "profile_projector_shed_total";
/// Transitions sent.
pub const TRANSITIONS: &str = "profile_projector_sync_transitions_total";
/// Values read for sockets.
pub const EVALUATIONS: &str = "profile_projector_sync_evaluations_total";
/// Sockets woken by a commit.
pub const WAKES: &str = "profile_projector_sync_wakes_total";

/// Why connections end.
const CONNECTION_ENDS: [&str; 9] = [
    "age", "broken", "closed", "crowded", "flood", "idle", "silent", "slow", "stop",
];

/// Gives every metric of this crate its help, and makes it visible before anything happens.
pub fn describe() {
    ::metrics::describe_counter!(REQUESTS, "Requests answered, by route and class of status");
    ::metrics::describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time from a request's header to its answer, of requests that run the query"
    );
    ::metrics::describe_gauge!(CONNECTIONS, "Open connections, by listener");
    ::metrics::describe_counter!(
        CONNECTIONS_ENDED,
        "Connections that ended, by listener and reason"
    );
    ::metrics::describe_gauge!(SOCKETS, "Open sockets of the sync protocol");
    ::metrics::describe_gauge!(SUBSCRIPTIONS, "Queries that open sockets are subscribed to");
    ::metrics::describe_counter!(SOCKETS_ENDED, "Sockets that ended, by reason");
    ::metrics::describe_counter!(
        SHED,
        "Refused or ended because a bound was reached, by what ran out"
    );
    ::metrics::describe_counter!(TRANSITIONS, "Transitions sent to sockets");
    ::metrics::describe_counter!(EVALUATIONS, "Values read for sockets");
    ::metrics::describe_counter!(WAKES, "Sockets woken by a commit");
    for listener in ["public", "admin"] {
        ::metrics::gauge!(CONNECTIONS, "listener" => listener).increment(0.0);
        for reason in CONNECTION_ENDS {
            ::metrics::counter!(CONNECTIONS_ENDED, "listener" => listener, "reason" => reason)
                .increment(0);
        }
    }
    ::metrics::gauge!(SOCKETS).increment(0.0);
    ::metrics::gauge!(SUBSCRIPTIONS).increment(0.0);
    for reason in crate::sync::ends() {
        ::metrics::counter!(SOCKETS_ENDED, "reason" => reason).increment(0);
    }
    for name in [TRANSITIONS, EVALUATIONS, WAKES] {
        ::metrics::counter!(name).increment(0);
    }
    crate::auth::describe_metrics();
}

/// Routes that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// They run the query once, or refuse to.
    Query,
    /// It runs it several times.
    Batch,
    /// They begin a socket.
    Sync,
    /// What is answered without rows, and what there is not.
    Other,
}

impl RouteKind {
    fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Batch => "batch",
            Self::Sync => "sync",
            Self::Other => "other",
        }
    }
}

/// The class of a status.
fn class(status: u16) -> usize {
    match status {
        ..200 => 0,
        200..300 => 1,
        300..500 => 2,
        500.. => 3,
    }
}

/// The metrics of a route, looked up once: a request then costs two atomic additions.
pub(crate) struct RouteMetrics {
    seconds: Option<Histogram>,
    requests: [Counter; 4],
}

impl RouteMetrics {
    /// Registers with the recorder that is installed now.
    pub(crate) fn new(kind: RouteKind) -> Self {
        let route = kind.word();
        let is_timed = matches!(kind, RouteKind::Query | RouteKind::Batch);
        Self {
            seconds: is_timed.then(|| ::metrics::histogram!(REQUEST_SECONDS, "route" => route)),
            requests: ["1xx", "2xx", "4xx", "5xx"].map(|code| {
                let counter = ::metrics::counter!(REQUESTS, "route" => route, "code" => code);
                counter.increment(0);
                counter
            }),
        }
    }

    pub(crate) fn answered(&self, status: u16, elapsed: Duration) {
        if let Some(seconds) = &self.seconds {
            seconds.record(elapsed);
        }
        if let Some(counter) = self.requests.get(class(status)) {
            counter.increment(1);
        }
    }
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
    debug_assert!(CONNECTION_ENDS.contains(&reason), "{reason} is not listed");
    ::metrics::counter!(CONNECTIONS_ENDED, "listener" => listener, "reason" => reason).increment(1);
}

/// A socket's metrics. It counts as open until this is dropped.
pub(crate) struct SyncMetrics {
    open: Gauge,
    subscribed: Gauge,
    /// This socket's part of them.
    subscriptions: usize,
    pub(crate) transitions: Counter,
    pub(crate) evaluations: Counter,
}

impl SyncMetrics {
    pub(crate) fn open() -> Self {
        let open = ::metrics::gauge!(SOCKETS);
        open.increment(1.0);
        Self {
            open,
            subscribed: ::metrics::gauge!(SUBSCRIPTIONS),
            subscriptions: 0,
            transitions: ::metrics::counter!(TRANSITIONS),
            evaluations: ::metrics::counter!(EVALUATIONS),
        }
    }
}

impl SyncMetrics {
    /// The socket is subscribed to so many queries now.
    pub(crate) fn subscribed(&mut self, now: usize) {
        let difference = |more: usize, than: usize| {
            f64::from(u32::try_from(more.saturating_sub(than)).unwrap_or(u32::MAX))
        };
        self.subscribed
            .increment(difference(now, self.subscriptions));
        self.subscribed
            .decrement(difference(self.subscriptions, now));
        self.subscriptions = now;
    }
}

impl Drop for SyncMetrics {
    fn drop(&mut self) {
        self.subscribed(0);
        self.open.decrement(1.0);
    }
}

pub(crate) fn socket_ended(reason: &'static str) {
    debug_assert!(
        crate::sync::ends().any(|end| end == reason),
        "{reason} is not listed"
    );
    ::metrics::counter!(SOCKETS_ENDED, "reason" => reason).increment(1);
}

/// What can be shed.
const SHED_WHAT: [&str; 10] = [
    "connections",
    "sockets",
    "address",
    "identity",
    "requests",
    "answers",
    "in_flight",
    "streams",
    "waiting",
    "frames",
];

/// Registers what can be shed, so that its first time can be told from none.
pub(crate) fn begin_shed() {
    for what in SHED_WHAT {
        ::metrics::counter!(SHED, "what" => what).increment(0);
    }
}

/// Counts what is refused or ended because a bound was reached.
pub(crate) fn shed(what: &'static str) {
    ::metrics::counter!(SHED, "what" => what).increment(1);
    if let Some(count) = crate::flood::to_be_told(what) {
        tracing::warn!(
            what,
            count,
            "a bound is reached: see profile_projector_shed_total"
        );
    }
}
