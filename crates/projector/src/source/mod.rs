//! The source: attaches to the stream, verifies it, and reads it for the writer.
//!
//! An attachment is trusted only while everything that was delivered can be accounted for. Any
//! [`Doubt`] ends it; the next one starts behind the last record that was handed over.

mod attach;
mod client;
mod counts;
mod ledger;
mod pull;

use std::time::Duration;

use domain::{Checkpoint, Connection, Refusal};
use metrics::counter;
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::metrics::ATTACHED;
use crate::source::client::Link;
use crate::source::ledger::Doubt;
use crate::teller::Teller;
use crate::writer::Feed;

/// Between attempts: from the first to the second, doubled, with jitter.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// An attachment that lasted this long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// How often a refused stream is looked at again.
const REFUSED_RETRY: Duration = Duration::from_secs(5);
/// Silences in a row after which the connection itself is doubted.
const SILENCES_MAX: u32 = 3;

/// Why the stream cannot be read now, for people and for `/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) connection: Connection,
    pub(crate) detail: String,
}

/// Why an attachment ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("stopped")]
    Stopped,
    #[error("{0}")]
    Doubt(#[from] Doubt),
    #[error("{}", .0.detail)]
    Trouble(Trouble),
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The writer could not keep what was handed over.
    #[error("{0}")]
    SetBack(Refusal),
}

/// Why rows are not to be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The stream is not the one that they were made from, or not as it was.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The stream could not be asked; what is wrong and what to do about it.
    #[error("{0}")]
    Unreadable(String),
}

/// Asks the stream whether it goes on from `held`, as every attachment does.
pub async fn check_log(config: &Config, held: &Checkpoint) -> Result<(), LogError> {
    let asked = async {
        let link = Link::connect(config).await.map_err(End::Trouble)?;
        attach::verify(&link, config, Some(held)).await
    };
    match asked.await {
        Ok(_) => Ok(()),
        Err(End::Refused(refusal)) => Err(refusal.into()),
        Err(other) => Err(LogError::Unreadable(other.to_string())),
    }
}

/// Reads the stream for the writer.
pub(crate) struct Source {
    config: Config,
    /// Behind the last record that was handed over; `None` before the stream was ever seen.
    position: Option<Checkpoint>,
    feed: mpsc::Sender<Feed>,
    /// What the writer could not keep, and why.
    setbacks: mpsc::Receiver<Refusal>,
    teller: Teller,
    /// The last record of each subject alone is read, in one attachment: another one would be of
    /// another state.
    last_states: bool,
}

impl Source {
    pub(crate) fn new(
        config: Config,
        position: Option<Checkpoint>,
        feed: mpsc::Sender<Feed>,
        setbacks: mpsc::Receiver<Refusal>,
        teller: Teller,
        last_states: bool,
    ) -> Self {
        Self {
            config,
            position,
            feed,
            setbacks,
            teller,
            last_states,
        }
    }

    /// Runs until it is stopped or the writer is gone.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut link = None;
        let mut pause = Pause::default();
        let mut silences = 0;
        let mut told = None;
        let feed = self.feed.clone();
        loop {
            let started = Instant::now();
            let from = self.position.clone();
            let end = tokio::select! {
                () = stop.cancelled() => End::Stopped,
                () = feed.closed() => End::Stopped,
                end = self.attachment(&mut link) => end,
            };
            if started.elapsed() >= GOOD_AFTER || from != self.position {
                pause = Pause::default();
                silences = 0;
            }
            let wait = match end {
                End::Stopped => break,
                End::Doubt(doubt) => {
                    counter!(ATTACHED, "after" => doubt.word()).increment(1);
                    tracing::info!(
                        doubt = doubt.word(),
                        "attaching to the stream again: {doubt}"
                    );
                    silences = if let Doubt::Silence { .. } = doubt {
                        silences + 1
                    } else {
                        0
                    };
                    told = None;
                    pause.next()
                }
                End::Trouble(trouble) => {
                    counter!(ATTACHED, "after" => trouble.connection.word()).increment(1);
                    self.tell_trouble(&trouble, &mut told);
                    pause.next()
                }
                End::Refused(refusal) => {
                    counter!(ATTACHED, "after" => refusal.word()).increment(1);
                    self.tell_refusal(refusal, &mut told);
                    REFUSED_RETRY
                }
                End::SetBack(refusal) => {
                    counter!(ATTACHED, "after" => refusal.word()).increment(1);
                    self.position = self.teller.checkpoint();
                    self.tell_refusal(refusal, &mut told);
                    REFUSED_RETRY
                }
            };
            if self.last_states && self.position.is_some() {
                break;
            }
            if silences >= SILENCES_MAX
                && let Some(link) = &link
            {
                silences = 0;
                Link::reconnect(link).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = feed.closed() => break,
                () = sleep(wait) => {}
            }
        }
        if let Some(link) = link {
            attach::leave(&link, &self.config).await;
        }
    }

    /// One attachment, from connecting to whatever ends it.
    async fn attachment(&mut self, link: &mut Option<Link>) -> End {
        match self.try_attachment(link).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn try_attachment(&mut self, link: &mut Option<Link>) -> Result<End, End> {
        let link = match link {
            Some(link) => link,
            None => link.insert(Link::connect(&self.config).await.map_err(End::Trouble)?),
        };
        let attached = if self.last_states {
            attach::attach_to_last(link, &self.config).await?
        } else {
            attach::attach(link, &self.config, self.position.as_ref()).await?
        };
        let position = attached.position.clone();
        let stream = position.stream.clone();
        let (tail, is_at_end) = (attached.tail, attached.is_at_end);
        let after = position.sequence();
        self.position = Some(position);
        let told = Feed::Attached {
            stream,
            after,
            tail,
            is_at_end,
        };
        if self.feed.send(told).await.is_err() {
            return Ok(End::Stopped);
        }
        tracing::info!(
            stream = %self.config.stream, tail,
            applied = self.position.as_ref().map_or(0, Checkpoint::sequence),
            "attached to the stream"
        );
        Ok(self.pull(link, attached).await)
    }

    /// A trouble is logged when it is another than the one before.
    fn tell_trouble(&self, trouble: &Trouble, told: &mut Option<String>) {
        self.teller.lost(trouble.connection, &trouble.detail);
        if told.as_ref() != Some(&trouble.detail) {
            let connection = trouble.connection.word();
            tracing::error!(connection, "the stream cannot be read: {}", trouble.detail);
            *told = Some(trouble.detail.clone());
        }
    }

    fn tell_refusal(&self, refusal: Refusal, told: &mut Option<String>) {
        let text = refusal.to_string();
        if told.as_ref() != Some(&text) {
            tracing::error!(
                reason = refusal.word(),
                "nothing more is applied, the rows so far are served: {text}"
            );
            *told = Some(text);
        }
        self.teller.refused(refusal);
    }
}

/// The wait between attempts: doubled each time, up to a bound, with jitter.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(RETRY_MIN)
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(rand::rng().random_range(0.5..1.0));
        self.0 = (self.0 * 2).min(RETRY_MAX);
        wait
    }
}
