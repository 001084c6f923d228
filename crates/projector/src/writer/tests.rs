//! What the writer says while it folds.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Fingerprint, Progress, Sequence, StreamId};
use jetstream::Frames;
use read_model::ReadModel;
use read_model::testing::ForgetfulDisk;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::sleep;
use tracing::subscriber::DefaultGuard;

use super::{Feed, Writer};
use crate::alarms::Alarms;
use crate::announcer::Announcer;
use crate::chunk::{Chunk, Place};
use crate::config::BatchLimits;
use crate::source::Outlook;
use crate::teller::Teller;

const TAIL: u64 = 6_000;

/// A chunk of records that no release understands, one a user.
fn junk(range: std::ops::RangeInclusive<u64>) -> Feed {
    let mut bytes = Vec::new();
    for sequence in range.clone() {
        write!(bytes, "MSG identity.v1.u{sequence}.user 1 r 1\r\n{{\r\n").unwrap();
    }
    let mut chunk = Chunk::default();
    chunk.begin(Frames::parse(bytes.into()).unwrap());
    for (at, sequence) in range.enumerate() {
        let at_sequence = Fingerprint {
            sequence: Sequence::new(sequence).unwrap(),
            time_ns: 5,
        };
        let place = Place {
            at: at_sequence,
            pending: TAIL.saturating_sub(sequence),
        };
        chunk.push(place, at);
    }
    Feed::Records(chunk)
}

fn attached() -> Feed {
    Feed::Attached {
        stream: StreamId {
            name: "S".into(),
            created_ns: 1,
        },
        after: 0,
        outlook: Outlook {
            tail: TAIL,
            pending: TAIL,
            counted_to: TAIL,
            void_to: 0,
        },
    }
}

fn started(is_served: bool) -> (mpsc::Sender<Feed>, watch::Receiver<Progress>) {
    let (feed, records) = mpsc::channel(4);
    let (setback, _) = mpsc::channel(1);
    let (teller, progress) = Teller::new(Progress::default(), is_served);
    let writer = Writer {
        model: ReadModel::on_storage(ForgetfulDisk::default()).unwrap(),
        setback,
        refusal: None,
        feed: records,
        announcer: Announcer {
            teller,
            commits: broadcast::channel(4).0,
            alarms: Alarms::new(is_served),
        },
        limits: BatchLimits::default(),
        until: None,
    };
    tokio::spawn(writer.run());
    (feed, progress)
}

/// The log of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn kept(&self) -> DefaultGuard {
        let log = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false);
        tracing::subscriber::set_default(lines.with_writer(move || log.clone()).finish())
    }

    /// The lines about records since the last look.
    fn about_records(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| line.contains("record"));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_told_before_it_is_durable() {
    let (feed, mut progress) = started(false);
    feed.send(attached()).await.unwrap();
    progress.wait_for(|now| now.tail.is_some()).await.unwrap();
    feed.send(junk(1..=500)).await.unwrap();
    feed.send(junk(501..=900)).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let is_news = progress.has_changed().unwrap();
    let now = progress.borrow().clone();
    assert_eq!((now.read(), now.applied()), (900, 0));
    assert!(!is_news, "nobody waits for what may be read again");
    feed.send(junk(901..=TAIL)).await.unwrap();
    progress
        .wait_for(|now| now.applied() == TAIL)
        .await
        .unwrap();
    assert_eq!(progress.borrow().read(), TAIL);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_parked_records_is_a_few_lines() {
    let log = Log::default();
    let _kept = log.kept();
    let (feed, mut progress) = started(true);
    feed.send(attached()).await.unwrap();
    feed.send(junk(1..=TAIL - 10)).await.unwrap();
    feed.send(junk(TAIL - 9..=TAIL)).await.unwrap();
    progress
        .wait_for(|now| now.applied() == TAIL)
        .await
        .unwrap();
    let lines = log.about_records();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("record is parked")));
    sleep(Duration::from_secs(61)).await;
    let lines = log.about_records();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines.concat().contains("parked=5995"), "{lines:#?}");
    // A quiet minute, and the next one is named again.
    sleep(Duration::from_secs(61)).await;
    feed.send(junk(TAIL + 1..=TAIL + 1)).await.unwrap();
    let next = |now: &Progress| now.applied() == TAIL + 1;
    progress.wait_for(next).await.unwrap();
    let lines = log.about_records();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines.concat().contains("sequence=6001"), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_fold_beside_the_live_rows_names_none() {
    let log = Log::default();
    let _kept = log.kept();
    let (feed, mut progress) = started(false);
    feed.send(attached()).await.unwrap();
    feed.send(junk(1..=TAIL)).await.unwrap();
    progress
        .wait_for(|now| now.applied() == TAIL)
        .await
        .unwrap();
    assert!(log.about_records().is_empty(), "they were named long ago");
    drop(feed);
    while progress.changed().await.is_ok() {}
    let lines = log.about_records();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines.concat().contains("INFO") && lines.concat().contains("parked=6000"));
}
