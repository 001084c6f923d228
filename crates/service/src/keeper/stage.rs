//! The stages of a job: each is named in `/status`, and says it when it takes long.
//!
//! Those that only read and write files are bounded by the files alone, and a disk may be slow.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Keeper;
use super::status::Stage;

/// A stage that takes longer says so.
const LONG: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Keeper {
    /// Does a stage of a job.
    pub(super) async fn in_stage<T>(&self, stage: Stage, doing: impl Future<Output = T>) -> T {
        self.tell(|status| {
            status.stage = Some(stage);
            status.detail = None;
        });
        let begun = Instant::now();
        let mut doing = pin!(doing);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut doing => {
                    self.handle.waits_for(None);
                    return done;
                }
                _ = looks.tick() => self.look_at(stage, begun.elapsed()),
            }
        }
    }

    fn look_at(&self, stage: Stage, elapsed: Duration) {
        // What is read tells of itself.
        if elapsed < LONG || stage == Stage::Reading {
            return;
        }
        let (word, seconds) = (stage.word(), elapsed.as_secs());
        let why = match stage {
            Stage::Reading => "",
            Stage::Compacting | Stage::Checking => "a large file, or a slow disk",
            Stage::Waiting => "the live rows are not as far yet",
            Stage::Swapping => {
                "what came meanwhile is applied to the new rows, and both are compared"
            }
        };
        let said = format!("{word} for {seconds} s: {why}");
        self.tell(|status| status.detail = Some(said.clone()));
        if stage == Stage::Swapping {
            self.handle.waits_for(Some(format!("a job is {said}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use read_model::{Options, ReadModel};
    use tokio::time::sleep;

    use super::*;
    use crate::config::NatsConfig;
    use crate::log_access::LogAccess;

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_takes_long_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let model = ReadModel::open(folder.path(), Options::default()).unwrap();
        let nats = NatsConfig::plain("nats://127.0.0.1:1".parse().unwrap(), "S");
        let log = LogAccess::asking(nats);
        let (keeper, handle, desk) = Keeper::new(log, folder.path().to_owned(), model);
        for stage in [Stage::Compacting, Stage::Swapping] {
            let doing = async {
                sleep(LOOK_EVERY).await;
                let now = desk.status();
                assert_eq!((now.stage, now.detail), (Some(stage), None));
                sleep(LONG + LOOK_EVERY).await;
                let said = desk.status().detail.unwrap();
                let expected = format!("{} for 1", stage.word());
                assert!(said.starts_with(&expected), "{said}");
                handle.progress.borrow().standing_still().map(str::to_owned)
            };
            let stood = keeper.in_stage(stage, doing).await;
            assert_eq!(stood.is_some(), stage == Stage::Swapping, "{stood:?}");
            assert_eq!(handle.progress.borrow().standing_still(), None);
        }
    }
}
