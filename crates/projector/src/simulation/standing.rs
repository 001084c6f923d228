//! Whatever makes it stand still: it says so within 15 seconds, and no more when it goes on.

use std::time::Duration;

use domain::{Connection, Phase, Progress};
use tokio::time::{Instant, sleep};

use super::broker::{Harm, State};
use super::in_simulated_time;
use super::served::Served;

const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// What is done to a broker.
type Harms = fn(&mut State);

/// Whether `/status` says why nothing moves.
fn is_told(now: &Progress) -> bool {
    let is_cut_off = now.connection != Connection::Connected && now.detail.is_some();
    is_cut_off || matches!(now.phase, Phase::Blocked(_)) || now.standing_still().is_some()
}

/// Does something to a broker that has one more event; how long it takes until that is told.
async fn told_after(served: &mut Served, harm: impl FnOnce(&mut State)) -> Duration {
    harm(&mut served.broker.0.borrow_mut());
    let since = Instant::now();
    served.publish(1);
    served.until(is_told).await;
    since.elapsed()
}

#[test]
fn every_wait_has_a_reason_in_time() {
    in_simulated_time(async {
        let harms: [(&str, Harms); 6] = [
            ("nothing is heard", |state| state.is_deaf = true),
            ("nobody is there", |state| {
                state.is_up = false;
                state.connect_anew();
            }),
            ("each answer takes its time", |state| {
                state.answers_in = Duration::from_millis(4_900);
                state.connect_anew();
            }),
            ("a consumer that is slow", |state| state.is_slow = true),
            ("a message that is withheld", |state| {
                state.harmed.insert(6, (Harm::Withheld, u32::MAX));
            }),
            ("a connection that ends at once, each time", |state| {
                state.harmed.insert(6, (Harm::Cut, u32::MAX));
                state.unreadable = Some(6);
            }),
        ];
        for (name, harm) in harms {
            let mut served = Served::behind(5).await;
            let took = told_after(&mut served, harm).await;
            println!("{name}: told after {took:?}");
            assert!(took <= TOLD_WITHIN, "{name}: {took:?}");
            {
                let mut state = served.broker.0.borrow_mut();
                (state.is_deaf, state.is_up, state.is_slow) = (false, true, false);
                state.answers_in = Duration::from_millis(1);
                state.harmed.clear();
                state.unreadable = None;
            }
            served.until_live().await;
            served.until(|now| !is_told(now)).await;
        }
    });
}

#[test]
fn a_start_that_gets_nowhere_has_a_reason_in_time() {
    in_simulated_time(async {
        let mut served = Served::behind(5).await;
        served.process.kill();
        served.broker.0.borrow_mut().answers_in = Duration::from_millis(4_900);
        served.restart();
        let since = Instant::now();
        served.until(is_told).await;
        assert!(since.elapsed() <= TOLD_WITHIN);
        served.broker.0.borrow_mut().answers_in = Duration::from_millis(1);
        served.until_live().await;
    });
}

#[test]
fn an_idle_stream_is_no_reason() {
    in_simulated_time(async {
        let served = Served::behind(5).await;
        for _ in 0..120 {
            sleep(Duration::from_secs(1)).await;
            assert!(!is_told(&served.process.progress.borrow()));
        }
    });
}
