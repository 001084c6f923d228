//! Reading a stream record by record, without rows: for commands that fold, write or look at it.

use std::fmt;
use std::ops::ControlFlow;

use domain::{Connection, Fingerprint, Phase, Progress, RecordRef};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::projector::CHUNKS_MAX;
use crate::source::{Nats, Source, Stumbles};
use crate::standing::Doing;
use crate::teller::Teller;
use crate::writer::Feed;

/// Why a stream was not read to where it was to be.
#[derive(Debug)]
pub enum ReadingError<E> {
    /// It cannot be read; what is wrong and what to do about it.
    Unreadable(String),
    /// Whoever took the records failed.
    Taker(E),
}

impl<E: fmt::Display> fmt::Display for ReadingError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::Taker(error) => error.fmt(f),
        }
    }
}

/// Lends every record of the stream to `each`, in order and each once, until `each` breaks off or the
/// stream has no more. What is lost on the way is read again; a stream that cannot be read ends it.
pub async fn read_log<E>(
    config: Config,
    mut each: impl FnMut(Fingerprint, &RecordRef<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<(), ReadingError<E>> {
    let (feed, mut records) = mpsc::channel(CHUNKS_MAX);
    // Nothing is kept here, so nothing is ever set back.
    let (_setback, setbacks) = mpsc::channel(1);
    let (teller, mut progress) = Teller::new(Progress::default(), false);
    let source = Source {
        connector: Nats,
        config,
        position: None,
        feed,
        setbacks,
        teller,
        standing: Vec::new(),
        stumbles: Stumbles::default(),
        doing: Doing::default(),
    };
    let stop = CancellationToken::new();
    let reading = tokio::spawn(source.run(stop.clone()));
    let ended = loop {
        let next = tokio::select! {
            biased;
            next = records.recv() => next,
            trouble = progress.wait_for(has_trouble) => {
                let why = trouble.ok().and_then(|progress| progress.detail.clone());
                break Err(ReadingError::Unreadable(why.unwrap_or_default()));
            }
        };
        match next {
            Some(Feed::Attached { outlook, .. }) => {
                if outlook.pending == 0 {
                    break Ok(());
                }
            }
            None => {
                let why = "the reading ended before the stream did".to_owned();
                break Err(ReadingError::Unreadable(why));
            }
            Some(Feed::Records(chunk)) => {
                let mut is_done = false;
                let taken = chunk.try_each(|place, record| {
                    let flow = each(place.at, record)?;
                    is_done = place.pending == 0 || flow.is_break();
                    Ok(flow)
                });
                match taken {
                    Ok(()) if is_done => break Ok(()),
                    Ok(()) => {}
                    Err(error) => break Err(ReadingError::Taker(error)),
                }
            }
        }
    };
    stop.cancel();
    drop(records);
    // It gives its consumer back; a panic of it has ended the records.
    let _ = reading.await;
    ended
}

fn has_trouble(progress: &Progress) -> bool {
    let is_cut_off = progress.connection != Connection::Connected && progress.detail.is_some();
    is_cut_off || matches!(progress.phase, Phase::Blocked(_))
}
