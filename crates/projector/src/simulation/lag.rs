//! What is left to come of a stream, and a consumer that does not deliver it.

use std::time::Duration;

use domain::{Phase, Progress};
use tokio::time::{Instant, sleep};

use super::in_simulated_time;
use super::served::Served;

fn reached(now: &Progress, sequence: u64) -> bool {
    now.phase == Phase::Live && now.lag_events() == 0 && sequence <= now.reached()
}

#[test]
fn a_deleted_tail_is_reached() {
    in_simulated_time(async {
        let mut served = Served::behind(5).await;
        // While nobody reads.
        served.process.kill();
        served.publish(1);
        served.broker.delete(6);
        served.restart();
        served.until(|now| reached(now, 6)).await;
        // While somebody reads, and the broker is slow.
        served.broker.0.borrow_mut().is_slow = true;
        served.publish(2);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(served.process.progress.borrow().lag_events(), 2);
        served.broker.delete(8);
        served.broker.delete(7);
        served.broker.0.borrow_mut().is_slow = false;
        served.until(|now| reached(now, 8)).await;
        assert_eq!(served.process.applied(), 5);
    });
}

#[test]
fn what_the_stream_never_had_is_no_lag() {
    in_simulated_time(async {
        let mut served = Served::behind(0).await;
        served.process.kill();
        served.publish(50);
        served.broker.purge_below(51);
        served.restart();
        served.until(|now| reached(now, 50)).await;
        served.publish(1);
        served.until(|now| now.applied() == 51).await;
    });
}

#[test]
fn a_consumer_that_delivers_nothing_is_replaced() {
    in_simulated_time(async {
        let mut served = Served::behind(5).await;
        served.broker.pause();
        served.publish(1);
        let started = Instant::now();
        served.until_live().await;
        assert!(started.elapsed() < Duration::from_secs(20));
        // One that has nothing to deliver is not.
        served.broker.pause();
        sleep(Duration::from_mins(2)).await;
        let state = served.broker.0.borrow();
        assert!(state.consumer.as_ref().is_some_and(|held| held.is_paused));
    });
}
