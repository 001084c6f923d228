//! A process that follows a broker, for simulations that look at one thing.

use std::time::Duration;

use domain::testing::{Form, Message, named, profile_state};
use domain::{Checkpoint, Phase, Refusal};
use read_model::ReadModel;
use read_model::testing::ForgetfulDisk;
use tokio::time::{Instant, sleep};

use super::broker::Broker;
use super::faults::digest_of;
use super::keep_running;
use super::process::Process;
use crate::config::BatchLimits;

const WITHIN: Duration = Duration::from_mins(3);

fn event(round: u64) -> Message {
    let members = named(&format!("Round {round}"));
    profile_state("u1", "p1", round, &members).message(Form::Binary)
}

/// A process on a disk that survives it.
pub(super) struct Served {
    pub(super) broker: Broker,
    disk: ForgetfulDisk,
    pub(super) process: Process,
    pub(super) published: u64,
}

impl Served {
    /// Live at the end of a stream of `events`.
    pub(super) async fn behind(events: u64) -> Self {
        let broker = Broker::new(1);
        keep_running(&broker);
        let disk = ForgetfulDisk::default();
        let model = ReadModel::on_storage(disk.clone()).unwrap();
        let process = Process::start(&broker, model, BatchLimits::default(), 1);
        let mut served = Self {
            broker,
            disk,
            process,
            published: 0,
        };
        served.publish(events);
        served.until_live().await;
        served
    }

    pub(super) fn publish(&mut self, events: u64) {
        for _ in 0..events {
            self.published += 1;
            self.broker.publish(event(self.published));
        }
    }

    pub(super) fn restart(&mut self) {
        self.process.kill();
        self.disk = self.disk.after_kill();
        let model = ReadModel::on_storage(self.disk.clone()).unwrap();
        self.process = Process::start(&self.broker, model, BatchLimits::default(), 2);
    }

    pub(super) async fn until(&self, what: impl Fn(&domain::Progress) -> bool) {
        let deadline = Instant::now() + WITHIN;
        while !what(&self.process.progress.borrow()) {
            let progress = self.process.progress.borrow().clone();
            assert!(Instant::now() < deadline, "{progress:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn until_live(&self) {
        let last = self.last();
        self.until(|now| now.phase == Phase::Live && now.applied() == last)
            .await;
    }

    pub(super) async fn until_recreated(&self) {
        self.until(|now| matches!(now.phase, Phase::Blocked(Refusal::StreamRecreated { .. })))
            .await;
    }

    pub(super) fn last(&self) -> u64 {
        self.broker
            .0
            .borrow()
            .log
            .as_ref()
            .map_or(0, |log| log.last)
    }

    /// The rows are the fold of the stream.
    pub(super) fn check_rows(&self) {
        let model = ReadModel::on_storage(self.disk.after_kill()).unwrap();
        let reader = model.reader();
        let (applied, log) = (self.process.applied(), self.broker.0.borrow());
        let fold = digest_of(log.log.as_ref().unwrap(), applied);
        assert_eq!(reader.totals().digest, fold);
    }

    pub(super) fn kept(&self) -> Checkpoint {
        let model = ReadModel::on_storage(self.disk.after_kill()).unwrap();
        model.reader().checkpoint().unwrap()
    }
}
