//! Texts that cost much to write, written once for all who ask meanwhile.

use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Between two writings lies this many times what the first one took, so that a fifth of one core is the most that
/// anybody can make us spend on it.
const PAUSE_FACTOR: u32 = 4;
/// But no more than this: a writing that took long was as a rule one that had to wait for the processor.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// A text of which at most one is written at a time. Whoever asks while one is written gets the next one: what is
/// answered was never begun before it was asked for.
#[derive(Default)]
pub(crate) struct SingleFlight(Mutex<Option<Written>>);

struct Written {
    began: Instant,
    /// When the next one may be written.
    next: Instant,
    text: Bytes,
}

impl SingleFlight {
    pub(crate) async fn get(&self, write: impl FnOnce() -> Bytes) -> Bytes {
        let asked = Instant::now();
        // It is fair: whoever asked first writes for those who wait behind.
        let mut last = self.0.lock().await;
        if let Some(last) = &*last {
            if last.began > asked {
                return last.text.clone();
            }
            sleep_until(last.next).await;
        }
        let began = Instant::now();
        let text = write();
        let ended = Instant::now();
        let pause = ended
            .duration_since(began)
            .saturating_mul(PAUSE_FACTOR)
            .min(PAUSE_MAX);
        *last = Some(Written {
            began,
            next: ended + pause,
            text: text.clone(),
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_share_one_and_nobody_gets_an_old_one() {
        let (flight, written) = (SingleFlight::default(), AtomicU32::new(0));
        let ask = || {
            flight.get(|| {
                std::thread::sleep(Duration::from_millis(1));
                let number = written.fetch_add(1, Ordering::Relaxed);
                Bytes::from(number.to_string())
            })
        };
        let first = join_all((0..100).map(|_| ask())).await;
        // The first of them began before the others had asked.
        assert!(written.load(Ordering::Relaxed) <= 2);
        assert_eq!(first.last().unwrap(), "1");
        assert_eq!(ask().await, "2", "what is asked now is written now");
    }
}
