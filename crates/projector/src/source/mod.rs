//! The source: attaches to the stream, verifies it, and reads it for the writer.
//!
//! An attachment is trusted only while everything that was delivered can be accounted for. Any
//! [`Doubt`] ends it; the next one starts behind the last record that was handed over.

mod alone;
mod asking;
mod attach;
mod client;
mod ledger;
pub(crate) mod link;
mod pull;

use domain::{Checkpoint, Connection, Refusal};
use metrics::counter;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::findings::Finding;
use crate::metrics::ATTACHED;
use crate::source::link::{Connect, Link};
use crate::standing::Doing;
use crate::supervision::{Attempt, Supervisor};
use crate::teller::Teller;
use crate::writer::Feed;

pub(crate) use alone::Stumbles;
pub(crate) use attach::Outlook;
pub(crate) use client::Nats;
pub(crate) use ledger::Doubt;

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
        let link = Nats.connect(config).await.map_err(End::Trouble)?;
        attach::verify(&link, config, Some(held)).await
    };
    match asked.await {
        Ok(_) => Ok(()),
        Err(End::Refused(refusal)) => Err(refusal.into()),
        Err(other) => Err(LogError::Unreadable(other.to_string())),
    }
}

/// Reads the stream for the writer.
pub(crate) struct Source<C> {
    pub(crate) connector: C,
    pub(crate) config: Config,
    /// Behind the last record that was handed over; `None` before the stream was ever seen.
    pub(crate) position: Option<Checkpoint>,
    pub(crate) feed: mpsc::Sender<Feed>,
    /// What the writer could not keep, and why.
    pub(crate) setbacks: mpsc::Receiver<Refusal>,
    pub(crate) teller: Teller,
    /// The dangers that the last attachment found.
    pub(crate) standing: Vec<Finding>,
    pub(crate) stumbles: Stumbles,
    pub(crate) doing: Doing,
}

impl<C: Connect> Source<C> {
    /// Runs until it is stopped or the writer is gone.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let watching = self
            .doing
            .clone()
            .watch(self.teller.clone(), self.feed.clone());
        tokio::select! {
            biased;
            () = self.read(stop) => {}
            () = watching => {}
        }
    }

    async fn read(mut self, stop: CancellationToken) {
        let mut link = None;
        let mut supervisor = Supervisor::default();
        let feed = self.feed.clone();
        loop {
            let started = Instant::now();
            let from = self.position.clone();
            let end = tokio::select! {
                biased;
                () = stop.cancelled() => End::Stopped,
                () = feed.closed() => End::Stopped,
                end = self.attachment(&mut link) => end,
            };
            let attempt = Attempt {
                lasted: started.elapsed(),
                has_moved: from != self.position,
                chance: self.connector.chance(),
            };
            let Some(verdict) = supervisor.ended(&end, attempt) else {
                break;
            };
            self.note_stumble(&end);
            self.doing.ended(end.to_string());
            self.tell(end, verdict.say);
            self.doing.waits_for("the next attempt");
            if verdict.reconnect
                && let Some(link) = &link
            {
                link.reconnect().await;
            }
            if let Some(dead) = &link
                && dead.is_gone()
            {
                tracing::warn!("the client ended, and another one is made");
                link = None;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = feed.closed() => break,
                () = sleep(verdict.wait) => {}
            }
        }
        if let Some(link) = link {
            attach::leave(&link, &self.config).await;
        }
    }

    /// One attachment, from connecting to whatever ends it.
    async fn attachment(&mut self, link: &mut Option<C::Link>) -> End {
        match self.try_attachment(link).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn try_attachment(&mut self, link: &mut Option<C::Link>) -> Result<End, End> {
        let link = if let Some(link) = link {
            link
        } else {
            self.doing.waits_for("a connection");
            link.insert(self.connect().await?)
        };
        self.doing
            .waits_for("the broker's answers about stream and consumer");
        let mut attached = attach::attach(link, &self.config, self.position.as_ref()).await?;
        let dangers = std::mem::take(&mut attached.dangers);
        let position = attached.position.clone();
        let stream = position.stream.clone();
        let outlook = attached.outlook;
        let after = position.sequence();
        self.position = Some(position);
        self.tell_dangers(dangers);
        let told = Feed::Attached {
            stream,
            after,
            outlook,
        };
        self.doing.waits_for("the writer");
        if self.feed.send(told).await.is_err() {
            return Ok(End::Stopped);
        }
        tracing::info!(
            stream = %self.config.stream, tail = outlook.tail,
            applied = self.position.as_ref().map_or(0, Checkpoint::sequence),
            "attached to the stream"
        );
        self.read_alone(link).await?;
        Ok(self.pull(link, attached).await)
    }

    async fn connect(&self) -> Result<C::Link, End> {
        let connecting = self.connector.connect(&self.config);
        connecting.await.map_err(End::Trouble)
    }

    /// Logs each danger once, as long as it stands.
    fn tell_dangers(&mut self, found: Vec<Finding>) {
        for danger in found.iter().filter(|found| !self.standing.contains(found)) {
            let Finding {
                subject,
                what,
                why,
                mend,
                ..
            } = danger;
            tracing::warn!(why, mend, "danger: {subject}: {what}");
        }
        self.standing = found;
    }

    /// Counts an end, logs it if it is news, and tells those who watch.
    fn tell(&mut self, end: End, is_news: bool) {
        let word = match &end {
            End::Stopped => return,
            End::Doubt(doubt) => doubt.word(),
            End::Trouble(trouble) => trouble.connection.word(),
            End::Refused(refusal) | End::SetBack(refusal) => refusal.word(),
        };
        counter!(ATTACHED, "after" => word).increment(1);
        match end {
            End::Stopped => {}
            End::Doubt(doubt) => {
                tracing::info!(doubt = word, "attaching to the stream again: {doubt}");
            }
            End::Trouble(Trouble { connection, detail }) => {
                self.teller.lost(connection, &detail);
                if is_news {
                    tracing::error!(connection = word, "the stream cannot be read: {detail}");
                }
            }
            End::Refused(refusal) => self.tell_refusal(refusal, is_news),
            End::SetBack(refusal) => {
                self.position = self.teller.checkpoint();
                self.tell_refusal(refusal, is_news);
            }
        }
    }

    fn tell_refusal(&self, refusal: Refusal, is_news: bool) {
        if is_news {
            tracing::error!(
                reason = refusal.word(),
                "nothing more is applied, the rows so far are served: {refusal}"
            );
        }
        self.teller.refused(refusal);
    }
}
