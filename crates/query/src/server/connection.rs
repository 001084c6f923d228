//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::{self, Future};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, HOST};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, PollSemaphore};

use super::Listening;
use super::frames::{Metered, Purse};
use super::pace::{Pace, Paced};
use super::sending::TakenInTime;
use super::sniff::{Protocol, sniff};
use super::streams::{Streams, in_turn};
use super::turns::InTurns;
use crate::Limits;
use crate::crowd::{Place, Use};
use crate::metrics::{OpenConnection, connection_ended};
use crate::shares::Peer;

/// An HTTP/2 client that is silent for this long is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long it has to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The least that the HTTP/1 library takes for what it reads.
const BUFFER_BYTES_MIN: usize = 8192;
/// What an HTTP/2 client may send of one body, and of all, before it is read.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024;
/// What of an HTTP/2 answer is ready to be sent.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// Why a connection ended, as its metric says it.
type Reason = &'static str;

/// Serves a connection until it ends by itself, by a limit, by `stop`, or because another one needs its place.
pub(super) async fn serve(
    stream: TcpStream,
    peer: Peer,
    place: Place,
    server: Arc<Listening>,
    stop: CancellationToken,
) {
    let _open = OpenConnection::new(server.name);
    let place = Arc::new(place);
    let (Ok(reason) | Err(reason)) = tokio::select! {
        ended = begin(stream, peer, &place, &server, &stop) => ended,
        () = place.lost() => Err("crowded"),
    };
    connection_ended(server.name, reason);
}

async fn begin(
    stream: TcpStream,
    peer: Peer,
    place: &Arc<Place>,
    server: &Listening,
    stop: &CancellationToken,
) -> Result<Reason, Reason> {
    // A small answer must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true).map_err(|_gone| "broken")?;
    let limit = server.limits.first_byte_timeout;
    let Some(tls) = &server.tls else {
        let (protocol, io) = open(sniff(stream), limit, stop).await?.ok_or("closed")?;
        let io = InTurns::new(io);
        return Ok(speak(protocol, io, peer, place, server, stop).await);
    };
    // One shakes hands at a time: newcomers leave the other cores to those who are in.
    let turn = PollSemaphore::new(Arc::clone(&server.handshakes));
    let shaking = tls.accept(InTurns::new(stream));
    let io = open(in_turn(shaking, turn), limit, stop).await?;
    let protocol = match io.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        Some(_) | None => Protocol::Http1,
    };
    Ok(speak(protocol, io, peer, place, server, stop).await)
}

/// Waits for the protocol to be known.
async fn open<T>(
    opened: impl Future<Output = io::Result<T>>,
    limit: Duration,
    stop: &CancellationToken,
) -> Result<T, Reason> {
    tokio::select! {
        () = stop.cancelled() => Err("stop"),
        opened = timeout(limit, opened) => match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(_broken)) => Err("broken"),
            Err(_elapsed) => Err("silent"),
        },
    }
}

async fn speak(
    protocol: Protocol,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    seat: &Arc<Place>,
    server: &Listening,
    stop: &CancellationToken,
) -> Reason {
    let limits = &server.limits;
    let io = TakenInTime::new(io, limits.write_timeout);
    let routes = TowerToHyperService::new(server.router.clone());
    let (under_way, seen) = watch::channel(0);
    let under_way = Arc::new(under_way);
    let seat = Arc::clone(seat);
    let routes = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let counted = UnderWay::count(&under_way, &seat);
        let answered = has_one_host(&request).then(|| routes.call(request));
        async move {
            let response = match answered {
                Some(answered) => answered.await,
                None => Ok(StatusCode::BAD_REQUEST.into_response()),
            };
            drop(counted);
            response
        }
    });
    match protocol {
        Protocol::Http1 => speak_http1(io, routes, limits, stop).await,
        Protocol::Http2 => speak_http2(io, routes, seen, server, stop).await,
    }
}

async fn speak_http1<F>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future = F>,
    limits: &Limits,
    stop: &CancellationToken,
) -> Reason
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let pace = Arc::new(Pace::new(limits));
    let io = TokioIo::new(Paced::new(io, Arc::clone(&pace)));
    let counting = Arc::clone(&pace);
    let routes = service_fn(move |request| {
        let pace = Arc::clone(&counting);
        let was_sent_ahead = pace.asked();
        let answered = routes.call(request);
        async move {
            if was_sent_ahead {
                yield_now().await;
            }
            let mut response = answered.await?;
            if pace.answered() {
                say_goodbye(&mut response);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1_of(limits)
        .serve_connection(io, routes)
        .with_upgrades();
    let farewell = |connection: Pin<&mut _>| {
        http1::UpgradeableConnection::graceful_shutdown(connection);
    };
    match until_end(connection, farewell, limits, stop, pace.overdue()).await {
        "closed" if pace.is_old() => "age",
        reason => reason,
    }
}

async fn speak_http2<F>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future = F>,
    under_way: watch::Receiver<usize>,
    server: &Listening,
    stop: &CancellationToken,
) -> Reason
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let limits = &server.limits;
    let purse = Arc::new(Purse::default());
    let io = TokioIo::new(Metered::new(io, Arc::clone(&purse)));
    let earning = Arc::clone(&purse);
    let routes = service_fn(move |request| {
        let purse = Arc::clone(&earning);
        let answered = routes.call(request);
        async move {
            let response = answered.await;
            purse.answered();
            response
        }
    });
    let streams = Streams::new(limits, Arc::clone(&server.streams));
    let _guard = streams.guard();
    let connection = http2_of(limits, streams).serve_connection(io, routes);
    let farewell = |connection: Pin<&mut _>| http2::Connection::graceful_shutdown(connection);
    let overdue = async {
        tokio::select! {
            () = sleep(limits.connection_age) => "age",
            () = idle(under_way, limits.idle_timeout) => "idle",
        }
    };
    match until_end(connection, farewell, limits, stop, overdue).await {
        "broken" if purse.is_overdrawn() => "flood",
        reason => reason,
    }
}

/// Whether a request says once whom it is for. One of HTTP/1.0 need not.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let named = request.headers().get_all(HOST).iter().count();
    let in_target = usize::from(request.uri().authority().is_some());
    match request.version() {
        Version::HTTP_11 => named == 1,
        Version::HTTP_2 => named <= 1 && 1 <= named + in_target,
        _ => named <= 1,
    }
}

fn http1_of(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(BUFFER_BYTES_MIN));
    builder
}

fn http2_of(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    builder
}

/// Has a connection end with its answer. Closed while it idles, it could lose a request that is on its way.
fn say_goodbye(response: &mut Response<Body>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}

/// Drives a connection. One that must end is told so first, and has [`Limits::farewell`] to do it.
async fn until_end<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    farewell: impl FnOnce(Pin<&mut C>),
    limits: &Limits,
    stop: &CancellationToken,
    overdue: impl Future<Output = Reason>,
) -> Reason {
    let mut connection = pin!(connection);
    let reason = tokio::select! {
        // The connection first: what it does decides when it is overdue.
        biased;
        ended = connection.as_mut() => return match ended {
            Ok(()) => "closed",
            Err(error) if error.is_timeout() => "slow",
            Err(_broken) => "broken",
        },
        () = stop.cancelled() => "stop",
        reason = overdue => reason,
    };
    if reason != "slow" {
        farewell(connection.as_mut());
        // Whether it took the hint or is dropped now, it ends for the same reason.
        let _ = timeout(limits.farewell, connection).await;
    }
    reason
}

/// Ends when there was no request for `limit`.
async fn idle(mut under_way: watch::Receiver<usize>, limit: Duration) {
    loop {
        let busy = *under_way.borrow_and_update() != 0;
        let changed = under_way.changed();
        let changed = if busy {
            changed.await
        } else {
            let Ok(changed) = timeout(limit, changed).await else {
                return;
            };
            changed
        };
        if changed.is_err() {
            // The connection is gone, and with it whoever waits for this.
            return future::pending().await;
        }
    }
}

/// Counts a request while it is under way.
struct UnderWay {
    count: Arc<watch::Sender<usize>>,
    place: Arc<Place>,
}

impl UnderWay {
    fn count(count: &Arc<watch::Sender<usize>>, place: &Arc<Place>) -> Self {
        count.send_modify(|count| *count += 1);
        place.used(Use::Busy);
        let (count, place) = (Arc::clone(count), Arc::clone(place));
        Self { count, place }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.count
            .send_modify(|count| *count = count.saturating_sub(1));
        if *self.count.borrow() == 0 {
            self.place.used(Use::Idle);
        }
    }
}
