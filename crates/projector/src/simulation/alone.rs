//! A message that does not come by the consumer: it is asked for by itself, and named if that fails too.

use std::time::Duration;

use domain::{Phase, Progress, Refusal};
use tokio::time::{Instant, sleep};

use super::broker::Harm;
use super::in_simulated_time;
use super::served::Served;

const HARMS: [Harm; 4] = [Harm::NoFrame, Harm::Cut, Harm::Swallowed, Harm::Withheld];

fn harm(served: &Served, sequence: u64, harm: Harm, times: u32) {
    let mut state = served.broker.0.borrow_mut();
    state.harmed.insert(sequence, (harm, times));
}

fn unreadable(now: &Progress) -> Option<u64> {
    let Phase::Blocked(Refusal::MessageUnreadable { sequence, .. }) = &now.phase else {
        return None;
    };
    Some(sequence.get())
}

#[test]
fn a_place_that_fails_a_few_times_is_passed() {
    in_simulated_time(async {
        for what in HARMS {
            for times in 1..=3 {
                let mut served = Served::behind(5).await;
                harm(&served, 7, what, times);
                served.publish(6);
                served.until_live().await;
                served.check_rows();
            }
        }
    });
}

#[test]
fn a_message_that_no_consumer_gives_is_read_by_itself() {
    in_simulated_time(async {
        for what in HARMS {
            let mut served = Served::behind(5).await;
            // Some behind each other, one alone, the last one; and a deleted one before the first.
            for sequence in [8, 9, 10, 15, 20] {
                harm(&served, sequence, what, u32::MAX);
            }
            served.publish(15);
            served.broker.delete(7);
            let started = Instant::now();
            served.until_live().await;
            assert!(started.elapsed() < Duration::from_mins(3), "{what:?}");
            served.check_rows();
            assert_eq!(served.process.progress.borrow().detail, None);
        }
    });
}

#[test]
fn a_message_that_nothing_gives_is_named_until_it_comes() {
    in_simulated_time(async {
        for what in HARMS {
            let mut served = Served::behind(5).await;
            harm(&served, 8, what, u32::MAX);
            served.broker.0.borrow_mut().unreadable = Some(8);
            served.publish(6);
            served.until(|now| unreadable(now) == Some(8)).await;
            assert_eq!(served.process.applied(), 7, "what is before it is applied");
            // It stays named, whatever is tried meanwhile.
            for _ in 0..600 {
                sleep(Duration::from_millis(100)).await;
                let now = served.process.progress.borrow().clone();
                assert_eq!(unreadable(&now), Some(8), "{now:?}");
                assert!(now.detail.unwrap().contains("from 8 on cannot be read"));
            }
            // By either way.
            if what == Harm::Cut {
                served.broker.0.borrow_mut().unreadable = None;
            } else {
                served.broker.0.borrow_mut().harmed.clear();
            }
            served.until_live().await;
            served.check_rows();
        }
    });
}

#[test]
fn a_message_that_nothing_gives_may_be_deleted() {
    in_simulated_time(async {
        let mut served = Served::behind(5).await;
        harm(&served, 6, Harm::NoFrame, u32::MAX);
        served.broker.0.borrow_mut().unreadable = Some(6);
        served.publish(1);
        served.until(|now| unreadable(now) == Some(6)).await;
        served.broker.delete(6);
        served
            .until(|now| now.phase == Phase::Live && now.lag_events() == 0)
            .await;
    });
}

#[test]
fn ends_at_the_tail_are_held_against_no_message() {
    in_simulated_time(async {
        let mut served = Served::behind(5).await;
        for _ in 0..9 {
            served.broker.cut();
            sleep(Duration::from_secs(7)).await;
        }
        served.broker.0.borrow_mut().unreadable = Some(6);
        served.publish(1);
        served.until_live().await;
    });
}
