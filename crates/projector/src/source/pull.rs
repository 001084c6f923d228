//! Pulling: asking for records, accounting for what comes, handing it over in chunks.

use std::time::Duration;

use domain::{Checkpoint, Connection, Passed, Sequence};
use jetstream::{Message, block};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::asking::{Allowed, Asking};
use super::attach::{Attached, bounds, message_time, stream_info};
use super::ledger::{Delivery, Doubt, Ledger};
use super::link::{Connect, Link, Records};
use super::{End, Source, Trouble};
use crate::chunk::{Chunk, Place};
use crate::config::Config;
use crate::standing::RECORDS;
use crate::writer::Feed;

/// How long a pull may outlive that before the server is doubted.
const PULL_MAX: Duration = Duration::from_secs(15);
/// Longer than this without a sign of life, and the attachment is doubted.
const SILENCE_MAX: Duration = Duration::from_millis(2_500);
/// How often silence and the connection are looked at.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// How often the stream's tail and identity are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a message may be there, asked for, and not delivered by a server that gives signs of life.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// Records, or bytes of them, that are worth a hand-over of their own.
const CHUNK_RECORDS: usize = 512;
const CHUNK_BYTES: usize = 1024 * 1024;

/// What the reply subject of every record begins with.
const ACK_PREFIX: &[u8] = b"$JS.ACK.";

/// One attachment's reading.
struct Pulling<'a, L: Link> {
    link: &'a L,
    records: L::Records,
    config: &'a Config,
    ledger: Ledger,
    inbox: String,
    many: Asking,
    one: Asking,
    /// The next record may be larger than the bytes that are asked for at once.
    is_large: bool,
    subject: String,
}

impl<C: Connect> Source<C> {
    /// Reads until something ends the attachment.
    pub(super) async fn pull(&mut self, link: &C::Link, attached: Attached) -> End {
        let mut waiting = Chunk::default();
        let end = match self.try_pull(link, attached, &mut waiting).await {
            Ok(end) | Err(end) => end,
        };
        // What was accounted for before the end is good, and the position is behind it.
        if !waiting.is_empty() && self.feed.send(Feed::Records(waiting)).await.is_err() {
            return End::Stopped;
        }
        end
    }

    async fn try_pull(
        &mut self,
        link: &C::Link,
        attached: Attached,
        waiting: &mut Chunk,
    ) -> Result<End, End> {
        let Attached {
            mut position,
            allowed,
            ..
        } = attached;
        let inbox = link.new_inbox();
        let subject = format!("{inbox}.*");
        self.doing.waits_for("a connection for records");
        let opening = link.records(&self.config, &subject);
        let records = opening.await.map_err(End::Trouble)?;
        let after = position.sequence();
        let mut pulling = Pulling::new(link, records, &self.config, inbox, after, allowed);
        let mut checks = interval(CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        loop {
            // Credit is the only brake: with a chunk waiting for the writer, nothing is asked.
            if is_full(waiting) {
                self.doing.waits_for("the writer");
            } else {
                self.doing.waits_for(RECORDS);
                pulling.ask()?;
            }
            tokio::select! {
                // In order, so that a simulation runs alike each time; the rare ones first.
                biased;
                Some(refusal) = self.setbacks.recv() => return Ok(End::SetBack(refusal)),
                _ = checks.tick() => {
                    pulling.check()?;
                    if LOOK_EVERY <= looked.elapsed() {
                        looked = Instant::now();
                        let tail = self.look(link, &position).await?;
                        pulling.check_owed(tail).await?;
                    }
                }
                room = room(&self.feed, is_full(waiting)), if !waiting.is_empty() => {
                    let Some(room) = room else { return Ok(End::Stopped) };
                    room.send(Feed::Records(std::mem::take(waiting)));
                }
                frames = pulling.records.next() => {
                    let frames = frames?;
                    let count = frames.len();
                    waiting.begin(frames);
                    let mut may_jump = position.applied.is_none();
                    let mut at = 0;
                    while at < count {
                        let taken = pulling.take(&mut at, may_jump, waiting, &mut position);
                        self.position = Some(position.clone());
                        taken?;
                        if at < count {
                            self.check_hole(link, &position).await?;
                            may_jump = true;
                        }
                    }
                    if let Some(void) = pulling.ledger.found_void() {
                        self.teller.void(void);
                    }
                }
            }
        }
    }

    /// A hole in the sequences is where messages were deleted, and legal; but if everything before its
    /// end is gone, they were removed before they were read. The first message only moves forward, so
    /// what holds now held when the records behind the hole were sent.
    async fn check_hole(&self, link: &C::Link, position: &Checkpoint) -> Result<(), End> {
        let bounds = bounds(&stream_info(link, &self.config).await?)?;
        if bounds.stream != position.stream {
            return Err(Doubt::StreamChanged.into());
        }
        position.resume(&bounds, &[])?;
        Ok(())
    }

    /// Looks at the stream itself: its tail, and whether it is still the one that was verified.
    async fn look(&self, link: &C::Link, position: &Checkpoint) -> Result<u64, End> {
        let bounds = bounds(&stream_info(link, &self.config).await?)?;
        if bounds.stream != position.stream || bounds.last < position.sequence() {
            return Err(Doubt::StreamChanged.into());
        }
        self.teller.tail(bounds.last);
        Ok(bounds.last)
    }
}

impl<'a, L: Link> Pulling<'a, L> {
    fn new(
        link: &'a L,
        records: L::Records,
        config: &'a Config,
        inbox: String,
        position: u64,
        allowed: Allowed,
    ) -> Self {
        Self {
            link,
            records,
            config,
            ledger: Ledger::new(position, Instant::now()),
            inbox,
            many: Asking::many(allowed),
            one: Asking::one(allowed),
            is_large: false,
            subject: config.api.subject(&format!(
                "CONSUMER.MSG.NEXT.{}.{}",
                config.stream, config.consumer
            )),
        }
    }

    /// Asks for more when half of what was asked for has come. Each request has its own reply subject, so that
    /// its end can be told.
    fn ask(&mut self) -> Result<(), End> {
        while self.ledger.credit() <= self.many.records / 2 {
            let asking = if std::mem::take(&mut self.is_large) {
                &self.one
            } else {
                &self.many
            };
            let id = self.ledger.asked(asking.records, Instant::now());
            let reply = format!("{}.{id}", self.inbox);
            let request = asking.request.as_bytes();
            self.records.ask(&self.subject, &reply, request)?;
        }
        Ok(())
    }

    /// Accounts for the messages of what was read last, from `at`; the position goes behind the records.
    /// Stops at the first one that jumps over a sequence, if it may not.
    fn take(
        &mut self,
        at: &mut usize,
        may_jump: bool,
        waiting: &mut Chunk,
        position: &mut Checkpoint,
    ) -> Result<(), End> {
        let now = Instant::now();
        let mut passed = Passed::default();
        let mut end = Ok(());
        while let Some(message) = waiting.message(*at) {
            // What has a place in the stream is a record, whatever its headers say.
            if message.reply.starts_with(ACK_PREFIX) {
                match self.account(&message, may_jump, now) {
                    Ok(Some(place)) => {
                        passed.push(place.at);
                        waiting.push(place, *at);
                    }
                    Ok(None) => break,
                    Err(doubt) => end = Err(doubt.into()),
                }
            } else {
                end = self.word(&message, now);
            }
            if end.is_err() {
                break;
            }
            *at = at.saturating_add(1);
        }
        if passed.last().is_some() {
            *position = position.advanced_over(&passed);
        }
        end
    }

    /// `None` for one that jumps over a sequence and may not.
    fn account(
        &mut self,
        message: &Message<'_>,
        may_jump: bool,
        now: Instant,
    ) -> Result<Option<Place>, Doubt> {
        let reply = str::from_utf8(message.reply).ok();
        let delivery = reply.and_then(Delivery::parse).ok_or(Doubt::Foreign)?;
        if delivery.stream != self.config.stream || delivery.consumer != self.config.consumer {
            return Err(Doubt::Foreign);
        }
        if !may_jump && self.ledger.next_sequence() < delivery.sequence {
            return Ok(None);
        }
        Ok(Some(Place {
            at: self.ledger.accept(&delivery, now)?,
            pending: delivery.pending,
        }))
    }

    /// A word of the server on one of our requests.
    fn word(&mut self, message: &Message<'_>, now: Instant) -> Result<(), End> {
        let said = block::status(message.headers).ok_or(Doubt::Foreign)?;
        let subject = str::from_utf8(message.subject).unwrap_or_default();
        let id = subject.rsplit('.').next().and_then(|id| id.parse().ok());
        match said.code {
            100 => {
                let number = |name| block::value(message.headers, name)?.parse().ok();
                let delivered = number("Nats-Last-Consumer");
                let passed = number("Nats-Last-Stream");
                Ok(self.ledger.heartbeat(delivered, passed, now)?)
            }
            // No messages; the request timed out, or was used up by bytes.
            404 | 408 => {
                self.ledger.ended(id, now);
                Ok(())
            }
            409 if is_too_large(said.text) => {
                self.is_large = true;
                self.ledger.ended(id, now);
                Ok(())
            }
            409 if ends_pull(said.text) => {
                self.ledger.ended(id, now);
                Ok(())
            }
            // It will refuse the next one too.
            400 | 409 if refuses_request(said.code, said.text) => Err(End::Trouble(Trouble {
                connection: Connection::ConsumerRefused,
                detail: format!(
                    "the server refuses requests for records: {} {}",
                    said.code, said.text
                ),
            })),
            // The consumer is gone, moved or changed.
            code => Err(Doubt::ConsumerEnded {
                said: format!("{code} {}", said.text),
            }
            .into()),
        }
    }

    /// A consumer may give signs of life and no records.
    async fn check_owed(&mut self, tail: u64) -> Result<(), End> {
        let owed = self.ledger.owed(tail, Instant::now(), STALLED_AFTER);
        let Some(at) = owed.and_then(Sequence::new) else {
            return Ok(());
        };
        match message_time(self.link, self.config, at).await? {
            Some(_is_there) => Err(Doubt::Stalled { sequence: at.get() }.into()),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), End> {
        if let Some(trouble) = self.link.told_trouble() {
            return Err(End::Trouble(trouble));
        }
        Ok(self.ledger.check(Instant::now(), SILENCE_MAX, PULL_MAX)?)
    }
}

/// The text of a 409 for a message that has no room in the bytes that a request has left.
fn is_too_large(said: &str) -> bool {
    said.eq_ignore_ascii_case("Message Size Exceeds MaxBytes")
}

/// The texts of a 409 that ends one request and no more.
fn ends_pull(said: &str) -> bool {
    said.eq_ignore_ascii_case("Batch Completed")
        || said.to_ascii_lowercase().starts_with("exceeded maxwaiting")
}

/// Whether a request asks more than is allowed.
fn refuses_request(code: u16, said: &str) -> bool {
    code == 400 || said.to_ascii_lowercase().starts_with("exceeded maxrequest")
}

/// Whether there is enough for the writer to be busy with.
fn is_full(waiting: &Chunk) -> bool {
    CHUNK_RECORDS <= waiting.len() || CHUNK_BYTES <= waiting.bytes()
}

/// Room for a chunk as soon as there is any; for less than a chunk only once the writer has nothing
/// else to do. Few records go at once when it is quiet, and many together when it is not.
async fn room(feed: &mpsc::Sender<Feed>, is_full: bool) -> Option<mpsc::Permit<'_, Feed>> {
    if is_full {
        return feed.reserve().await.ok();
    }
    feed.reserve_many(feed.max_capacity()).await.ok()?.next()
}
