//! One socket, from its handshake to its close.

use std::convert::Infallible;
use std::io::ErrorKind;

use convex_wire::sync::{Close, End, Hashed, PING, Received, Session, Token, Transition};
use convex_wire::{Format, FunctionError, FunctionKind, FunctionPath};
use domain::WorkosUserId;
use futures::{SinkExt as _, StreamExt as _};
use read_model::StorageError;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data as OpData, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::incoming::{Incoming, NO_ROOM};
use super::registry::Follower;
use super::value::{Outgoing, Value};
use crate::call::{Wording, check_call};
use crate::crowd::{Place, Use};
use crate::http::chain;
use crate::metrics::{SyncMetrics, shed, socket_ended};
use crate::shares::{Held, Peer, Pool};
use crate::state::wall;
use crate::tally::Counted;
use crate::{QueryState, SyncLimits};

/// Read ahead of a message. The library's own choice is 128 KiB, and eager: most sockets only listen.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// A message is sent in frames of this size, so that a socket keeps no more room for what it sends. Pongs and pings
/// stand beside it.
const FRAME_BYTES: usize = 4 * 1024;

/// Talks with a client until either ends it.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    state: &QueryState,
    stream: S,
    peer: &Peer,
    place: &Place,
) {
    let limits = &state.limits.sync;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * FRAME_BYTES)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let stream = Incoming::new(stream, peer, &state.requests);
    let stream = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let now = Instant::now();
    let mut socket = Socket {
        stream,
        limits,
        peer,
        pool: &state.answers,
        metrics: SyncMetrics::open(),
        began: now,
        next_ping: now,
        told: now,
        heard: now,
        owes_pong: false,
        pings: 0,
    };
    let mut conversation = Conversation {
        state,
        place,
        session: Session::new(state.texts, limits.queries, limits.transition_bytes, check),
        follower: Follower::new(&state.sockets.registry),
        counted: None,
    };
    let Err(ended) = conversation.hold(&mut socket).await;
    drop(conversation);
    let label = ended.label();
    tracing::debug!(reason = label, "a socket ended");
    socket_ended(label);
    // Whether the client hears it or not, the socket is done for.
    let _ = timeout(limits.farewell, socket.close(ended)).await;
}

fn check(path: FunctionPath, called: FunctionKind, args: &RawValue) -> Result<(), FunctionError> {
    check_call(path, called, Wording::Public, args)
}

/// The words for every end.
pub(crate) fn ends() -> impl Iterator<Item = &'static str> {
    let ours = [Ended::Left, Ended::Slow, Ended::Crowded, Ended::Unused];
    let ours = ours.map(|ended| ended.label());
    ours.into_iter().chain(End::LABELS)
}

/// Why a conversation ended.
enum Ended {
    /// The client closed the socket, or broke it off.
    Left,
    /// The client does not take what is sent.
    Slow,
    /// Another one got its place.
    Crowded,
    /// It was opened and not used.
    Unused,
    /// Anything else.
    By(End),
}

impl Ended {
    fn label(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Slow => "slow",
            Self::Crowded => "crowded",
            Self::Unused => "unused",
            Self::By(end) => end.label(),
        }
    }
}

impl From<End> for Ended {
    fn from(end: End) -> Self {
        Self::By(end)
    }
}

/// A socket and when what happened on it.
struct Socket<'l, S> {
    stream: WebSocketStream<Incoming<'l, S>>,
    limits: &'l SyncLimits,
    peer: &'l Peer,
    pool: &'l Pool,
    metrics: SyncMetrics,
    began: Instant,
    next_ping: Instant,
    /// When the client was last sent a message.
    told: Instant,
    /// When the client last sent anything.
    heard: Instant,
    /// A ping is not answered yet.
    owes_pong: bool,
    /// Pings and pongs of the client since our last ping.
    pings: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<'_, S> {
    /// Sends a text and waits until it is on its way.
    async fn tell(&mut self, text: impl Into<Outgoing>) -> Result<(), Ended> {
        let text = text.into();
        let _held = hold_answer(self.peer, self.pool, text.own)?;
        let limit = self.limits.send_timeout;
        sent(timeout(limit, self.send_in_frames(text.pieces)).await)?;
        self.told = Instant::now();
        Ok(())
    }

    async fn send_in_frames(&mut self, text: Vec<Bytes>) -> Result<(), Error> {
        let mut kind = OpData::Text;
        let mut pieces = text
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .peekable();
        while let Some(mut piece) = pieces.next() {
            while !piece.is_empty() {
                let now = piece.split_to(piece.len().min(FRAME_BYTES));
                let is_last = piece.is_empty() && pieces.peek().is_none();
                let frame = Frame::message(now, OpCode::Data(kind), is_last);
                self.stream.send(Message::Frame(frame)).await?;
                kind = OpData::Continue;
            }
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        sent(timeout(self.limits.send_timeout, self.stream.send(message)).await)
    }

    /// Sends what the library holds back: a pong. Nothing is read before it has gone.
    async fn answer_ping(&mut self) -> Result<(), Ended> {
        sent(timeout(self.limits.send_timeout, self.stream.flush()).await)?;
        self.owes_pong = false;
        Ok(())
    }

    /// The next message of the client that is a text. Other frames show that it is there.
    async fn hear(&mut self) -> Result<Utf8Bytes, Ended> {
        loop {
            if self.owes_pong {
                self.answer_ping().await?;
            }
            let message = self.stream.next().await.ok_or(Ended::Left)?;
            self.heard = Instant::now();
            match message {
                Ok(Message::Text(text)) => {
                    self.stream.get_mut().taken();
                    return Ok(text);
                }
                Ok(Message::Ping(payload)) => {
                    self.stream.get_mut().taken_between(payload.len());
                    self.owes_pong = true;
                    self.count_ping()?;
                }
                Ok(Message::Pong(payload)) => {
                    self.stream.get_mut().taken_between(payload.len());
                    self.count_ping()?;
                }
                Ok(Message::Frame(_)) => {}
                Ok(Message::Binary(_)) => return Err(End::Protocol("a binary message").into()),
                Err(Error::Io(error)) if error.kind() == NO_ROOM => {
                    shed("requests");
                    return Err(End::Overloaded("TooManyLargeMessages").into());
                }
                Ok(Message::Close(_))
                | Err(
                    Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                ) => return Err(Ended::Left),
                Err(Error::Capacity(_)) => return Err(End::TooLarge.into()),
                Err(Error::Utf8(_)) => return Err(End::NotUtf8.into()),
                Err(_other) => return Err(End::BadFrame.into()),
            }
        }
    }

    /// Counts a ping, or a pong, which may come unasked.
    fn count_ping(&mut self) -> Result<(), Ended> {
        self.pings = self.pings.saturating_add(1);
        if self.pings > self.limits.pings {
            return Err(End::Overloaded("TooManyPings").into());
        }
        Ok(())
    }

    /// When [`Socket::tick`] has something to do.
    fn next_tick(&self) -> Instant {
        let quiet = self.told + self.limits.quiet;
        let silent = self.heard + self.limits.silence;
        self.next_ping.min(quiet).min(silent)
    }

    async fn tick(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if now >= self.heard + self.limits.silence {
            return Err(End::Disconnected.into());
        }
        if now >= self.next_ping {
            self.next_ping = now + self.limits.ping_interval;
            self.pings = 0;
            self.send(Message::Ping(Bytes::new())).await?;
        }
        if now >= self.told + self.limits.quiet {
            self.tell(PING.to_owned()).await?;
        }
        Ok(())
    }

    /// Says goodbye, and waits for the client to do so.
    async fn close(mut self, ended: Ended) -> Result<(), Error> {
        let end = match ended {
            // The library answers a close frame by itself.
            Ended::Left => None,
            Ended::Slow => Some(End::Overloaded("ClientTooSlow")),
            Ended::Crowded => Some(End::Overloaded("TooManySockets")),
            Ended::Unused => Some(End::Overloaded("NotUsed")),
            Ended::By(end) => Some(end),
        };
        let farewell = end.as_ref().and_then(End::farewell);
        if let Some(farewell) = farewell {
            self.stream.send(Message::text(farewell)).await?;
        }
        let frame = end.as_ref().and_then(End::close);
        self.stream.close(frame.map(close_frame)).await?;
        // After a failed read the library yields nothing more, though the client may still be sending.
        while let Some(Ok(_)) = self.stream.next().await {}
        self.stream.get_mut().linger().await?;
        Ok(())
    }
}

/// Puts what is to be sent on the socket's account.
fn hold_answer(peer: &Peer, pool: &Pool, bytes: usize) -> Result<Held, End> {
    peer.answers().take(pool, bytes).map_err(|_full| {
        shed("answers");
        End::Overloaded("TooManyAnswers")
    })
}

/// How sending went.
fn sent(sent: Result<Result<(), Error>, Elapsed>) -> Result<(), Ended> {
    match sent {
        Ok(Ok(())) => Ok(()),
        Err(_elapsed) => Err(Ended::Slow),
        // The connection has a limit of its own on a write that does not move.
        Ok(Err(Error::Io(error))) if error.kind() == ErrorKind::TimedOut => Err(Ended::Slow),
        Ok(Err(_broken)) => Err(Ended::Left),
    }
}

fn close_frame(close: Close) -> CloseFrame {
    CloseFrame {
        code: close.code.into(),
        reason: Utf8Bytes::from_static(close.reason),
    }
}

/// What is talked about on a socket.
struct Conversation<'q> {
    state: &'q QueryState,
    place: &'q Place,
    session: Session,
    follower: Follower,
    /// Its place among those of its identity.
    counted: Option<Counted<WorkosUserId>>,
}

impl Conversation<'_> {
    async fn hold<S>(&mut self, socket: &mut Socket<'_, S>) -> Result<Infallible, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stop = &self.state.sockets.stop;
        loop {
            let next_tick = socket.next_tick();
            let unused = self.unused(socket.began, socket.limits);
            // Every arm can be dropped and tried again without loss.
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::GoingAway.into()),
                () = self.place.lost() => return Err(Ended::Crowded),
                () = sleep_until(unused.map_or(next_tick, |unused| unused.min(next_tick))) => {
                    if unused.is_some_and(|unused| unused <= Instant::now()) {
                        return Err(Ended::Unused);
                    }
                    socket.tick().await?;
                }
                () = self.follower.woken() => self.session.invalidate(),
                text = socket.hear() => {
                    self.receive(&text?, socket).await?;
                    socket.metrics.subscribed(self.session.subscriptions());
                    self.place.used(self.of_use());
                }
            }
            if let Some(transition) = self.update(&socket.metrics, socket.peer)? {
                socket.tell(transition).await?;
                socket.metrics.transitions.increment(1);
            }
        }
    }

    /// Until when the socket has to be used for something.
    fn unused(&self, began: Instant, limits: &SyncLimits) -> Option<Instant> {
        if !self.session.is_connected() {
            Some(began + limits.connect_timeout)
        } else if !self.session.has_asked() {
            Some(began + limits.query_timeout)
        } else {
            None
        }
    }

    fn of_use(&self) -> Use {
        if !self.session.has_asked() {
            Use::Idle
        } else if self.session.is_anonymous() {
            Use::Busy
        } else {
            Use::Known
        }
    }

    async fn receive<S>(&mut self, text: &str, socket: &mut Socket<'_, S>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.session.receive(text, self.state.now(), wall())? {
            Received::Taken => {}
            Received::Reply(reply) => socket.tell(reply).await?,
            Received::Verify {
                token,
                base_version,
            } => return Ok(self.verify(&token, base_version).await?),
        }
        if self.session.is_anonymous() {
            self.follower.follow(None);
            self.counted = None;
        }
        Ok(())
    }

    /// Takes a place among the sockets of this identity.
    fn count(&mut self, subject: &WorkosUserId) -> Result<(), End> {
        let known = self.counted.as_ref().map(Counted::key);
        if known != Some(subject) {
            let of_one = &self.state.sockets.of_one;
            let counted = of_one.enter(Some(subject.clone()));
            self.counted = counted.map_err(|_full| End::Overloaded("TooManySocketsOfOne"))?;
        }
        Ok(())
    }

    async fn verify(&mut self, token: &Token, base_version: u32) -> Result<(), End> {
        match self.state.verifier.authenticate(token.as_str()).await {
            Ok(identity) => {
                self.count(&identity.subject)?;
                self.session
                    .authenticated(base_version, identity.expires_at)?;
                self.follower.follow(Some(identity.subject));
                Ok(())
            }
            // Nothing is wrong with the token: signing the user out would not mend it.
            Err(error) if error.retry_after_seconds().is_some() => {
                Err(End::Overloaded(error.code()))
            }
            Err(error) => {
                let message = error.message(self.state.texts);
                Err(self.session.refused(message.into_owned()))
            }
        }
    }

    fn update(
        &mut self,
        metrics: &SyncMetrics,
        peer: &Peer,
    ) -> Result<Option<Transition<Value>>, End> {
        let Self {
            state,
            session,
            follower,
            ..
        } = self;
        let Some(update) = session.update(wall())? else {
            return Ok(None);
        };
        let now = state.now();
        metrics.evaluations.increment(u64::from(update.runs()));
        update.finish(now, rand::random, || {
            let json = read(state, follower).map_err(|error| {
                if let Some(count) = crate::flood::to_be_told("row of a socket") {
                    tracing::error!(error = %chain(&error), count, "a row could not be read for a socket");
                }
                End::Internal
            })?;
            follower.value(json, |json| {
                // What is copied into the message is on the account with it.
                let own = if Value::is_shared(&json) {
                    json.len()
                } else {
                    0
                };
                let held = hold_answer(peer, &state.answers, own)?;
                Ok(Value::new(Hashed::new(json), held))
            })
        })
    }
}

/// The query's value for the identity that is followed.
fn read(state: &QueryState, follower: &mut Follower) -> Result<String, StorageError> {
    let answer = state.profile_of(follower.identity())?;
    let mut json = Vec::with_capacity(1024);
    answer::write_profile(&mut json, Format::Encoded, answer.profile()?.as_ref());
    follower.follow_user(answer.user);
    // What is written is texts and the punctuation of JSON.
    Ok(String::from_utf8(json).unwrap_or_default())
}
