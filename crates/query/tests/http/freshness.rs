//! `Read-Model-Sequence` and `Read-Model-Min-Sequence`.

use std::time::Duration;

use query::Limits;

use crate::exchange::{ask_with, exchange};
use crate::running::{Running, Setup};
use crate::tokens;

const WANTED: &str = "Read-Model-Min-Sequence";

async fn with(limits: Limits) -> Running {
    Running::start(Setup {
        limits,
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn an_answer_tells_its_sequence() {
    let running = with(Limits::default()).await;
    let bearer = format!("Bearer {}", tokens::token_of("user_1"));
    for headers in [
        &[][..],
        &[("Authorization", bearer.as_str())],
        &[(WANTED, "4711")],
    ] {
        let reply = exchange(running.address, &ask_with(headers)).await;
        assert_eq!(reply.header("read-model-sequence"), Some("4711"));
    }
    running.stop().await;
}

#[tokio::test]
async fn an_answer_waits_for_the_sequence_it_shall_have() {
    let mut running = with(Limits::default()).await;
    let asked = signed_in("user_1", "4712");
    let waiting = tokio::spawn(exchange_owned(running.address, asked));
    // A request that needs no newer rows is not held up by one that does.
    assert_eq!(running.ask().await.status, 200);
    assert!(!waiting.is_finished());
    running.commit_at(4712, |_| {});
    running.applied(4712);
    let reply = waiting.await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("read-model-sequence"), Some("4712"));
    running.stop().await;
}

/// The query with a token and a sequence.
fn signed_in(subject: &str, wanted: &str) -> Vec<u8> {
    let bearer = format!("Bearer {}", tokens::token_of(subject));
    ask_with(&[("Authorization", bearer.as_str()), (WANTED, wanted)])
}

async fn exchange_owned(address: std::net::SocketAddr, asked: Vec<u8>) -> crate::exchange::Reply {
    exchange(address, &asked).await
}

#[tokio::test]
async fn a_wait_ends() {
    let sequence_timeout = Duration::from_millis(50);
    let running = with(Limits {
        sequence_timeout,
        ..Limits::default()
    })
    .await;
    let reply = exchange(running.address, &signed_in("user_1", "4712")).await;
    assert_eq!(reply.status, 503);
    let body = r#"{"code":"ReadModelBehind","message":"The read model is at sequence 4711 and did not reach 4712 in time."}"#;
    assert_eq!(
        (reply.body.as_str(), reply.header("retry-after")),
        (body, Some("1"))
    );
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_sequence_is_refused() {
    let running = with(Limits::default()).await;
    for bad in ["", "x", "-1", "+1", "1.0", "99999999999999999999"] {
        let reply = exchange(running.address, &ask_with(&[(WANTED, bad)])).await;
        assert_eq!(reply.status, 400, "{bad}");
        let body = r#"{"code":"BadMinSequence","message":"Read-Model-Min-Sequence must be a whole number, e.g. 4711"}"#;
        assert_eq!(reply.body, body);
    }
    running.stop().await;
}

#[tokio::test]
async fn more_requests_than_places_are_shed() {
    let running = with(Limits {
        in_flight: 1,
        ..Limits::default()
    })
    .await;
    let waiting = tokio::spawn(exchange_owned(running.address, signed_in("user_1", "4712")));
    let reply = loop {
        let reply = running.ask().await;
        if reply.status != 200 {
            break reply;
        }
    };
    assert_eq!(reply.status, 503);
    let body = r#"{"code":"Overloaded","message":"The service has more requests at hand than it takes on. Try again shortly."}"#;
    assert_eq!(
        (reply.body.as_str(), reply.header("retry-after")),
        (body, Some("1"))
    );
    running.applied(4712);
    assert_eq!(waiting.await.unwrap().status, 200);
    assert_eq!(running.ask().await.status, 200, "the place is free again");
    running.stop().await;
}

#[tokio::test]
async fn nobody_waits_without_a_token_or_for_what_is_far_ahead() {
    let running = with(Limits {
        sequence_timeout: Duration::from_hours(1),
        waiting: 1,
        ..Limits::default()
    })
    .await;
    let honest = tokio::spawn(exchange_owned(running.address, signed_in("user_1", "4712")));
    for (asked, why) in [
        (ask_with(&[(WANTED, "4712")]), "without a token"),
        (signed_in("user_min", "4000000000"), "far before it"),
    ] {
        for _ in 0..20 {
            let reply = exchange(running.address, &asked).await;
            assert_eq!(reply.status, 503);
            assert!(reply.body.contains(why), "{}", reply.body);
        }
    }
    running.applied(4712);
    assert_eq!(honest.await.unwrap().status, 200);
    running.stop().await;
}

#[tokio::test]
async fn one_identity_does_not_take_all_places() {
    let running = with(Limits {
        waiting_of_one: 1,
        ..Limits::default()
    })
    .await;
    let greedy = |_| {
        let asked = signed_in("user_1", "4712");
        tokio::spawn(exchange_owned(running.address, asked))
    };
    let mut greedy: Vec<_> = (0..2).map(greedy).collect();
    let (first, _, rest) = futures::future::select_all(greedy.drain(..)).await;
    assert_eq!(first.unwrap().status, 503, "the second has no place");
    let other = signed_in("user_min", "4712");
    let other = tokio::spawn(exchange_owned(running.address, other));
    running.applied(4712);
    assert_eq!(other.await.unwrap().status, 200);
    for waiting in rest {
        assert_eq!(waiting.await.unwrap().status, 200);
    }
    running.stop().await;
}
