//! Which stream it is, by what it holds.

use super::in_simulated_time;
use super::served::Served;

#[test]
fn a_moved_creation_time_is_the_same_history_where_a_message_is_known() {
    in_simulated_time(async {
        for (events, deleted) in [(1, 0..0), (3, 3..4), (100, 40..100), (100, 1..41)] {
            let mut served = Served::behind(events).await;
            let before = served.kept();
            for sequence in deleted {
                served.broker.delete(sequence);
            }
            served.broker.move_created();
            served.publish(2);
            served.until_live().await;
            let after = served.kept();
            assert_ne!(after.stream, before.stream, "the new time is kept");
            served.restart();
            served.publish(1);
            served.until_live().await;
            assert_eq!(served.kept().stream, after.stream);
        }
    });
}

#[test]
fn it_is_kept_before_the_next_message_comes() {
    in_simulated_time(async {
        let mut served = Served::behind(5).await;
        served.process.kill();
        let before = served.kept();
        served.broker.move_created();
        served.restart();
        served.until_live().await;
        let told = served.process.progress.borrow().checkpoint.clone().unwrap();
        assert_ne!(told.stream, before.stream);
        assert_eq!(served.kept(), told);
        let others = told.in_stream(before.stream.clone());
        assert_eq!(others, before, "nothing else changes");
    });
}

#[test]
fn a_stream_made_anew_is_refused_however_young() {
    in_simulated_time(async {
        for events in [1, 2, 5, 40] {
            for again in [0, 1, events, events + 3] {
                let mut served = Served::behind(events).await;
                served.broker.make_anew();
                served.published = 0;
                served.publish(again);
                served.until_recreated().await;
                served.restart();
                served.until_recreated().await;
                assert_eq!(served.process.applied(), events);
            }
        }
    });
}

#[test]
fn a_moved_creation_time_is_refused_where_no_known_message_is_left() {
    in_simulated_time(async {
        let mut served = Served::behind(30).await;
        served.broker.purge_below(31);
        served.publish(5);
        served.until_live().await;
        served.broker.purge_below(36);
        served.broker.move_created();
        served.until_recreated().await;
        let progress = served.process.progress.borrow().clone();
        let detail = progress.detail.unwrap();
        assert!(detail.ends_with("is left in it"), "{detail}");
    });
}

#[test]
fn before_the_first_message_any_stream_is_taken() {
    in_simulated_time(async {
        let mut served = Served::behind(0).await;
        served.broker.make_anew();
        served.publish(4);
        served.until_live().await;
        served.restart();
        served.until_live().await;
    });
}
