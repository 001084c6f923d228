//! Whatever a client sends, it gets an answer of the contract, and the next client gets one too.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::exchange::{exchange, request};
use crate::running::{Running, Setup};

const REQUESTS: usize = 500;

/// A method, a target, headers and a body, each near to what is right.
fn requests() -> impl Strategy<Value = (String, String, Vec<(String, String)>, Vec<u8>)> {
    let method = prop_oneof![4 => Just("POST".to_owned()), 1 => "[A-Z]{1,7}"];
    let route = prop::sample::select(vec![
        "run/profiles/queries/getCurrentUserProfile",
        "query",
        "query_batch",
        "query_at_ts",
        "query_ts",
        "function",
        "mutation",
    ]);
    let tail = "([/?][a-zA-Z0-9%:._=&/-]{0,12})?";
    let target = (route, tail).prop_map(|(route, tail)| format!("/api/{route}{tail}"));
    let name = prop::sample::select(vec![
        "Authorization",
        "Convex-Client",
        "Convex-Request-Id",
        "Read-Model-Min-Sequence",
        "Origin",
        "Content-Type",
    ]);
    let value = "((Bearer|Convex|npm-|python-) ?)?[ -~ä]{0,30}";
    let headers = prop::collection::vec((name.prop_map(str::to_owned), value), 0..4);
    let headers = headers.prop_map(|mut headers| {
        // What comes first counts, so this one does in half of all requests.
        headers.insert(
            headers.len() / 2,
            ("Content-Type".to_owned(), "application/json".to_owned()),
        );
        headers
    });
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        r#"\{"(path|args|queries)":(\{\}|\[\]|null|"[a-z:/$]{0,9}"|-?[0-9]{1,4}e[0-9]{1,3}),"(args|ts)":[\[\]{}0-9"$a:]{0,12}\}"#
            .prop_map(String::into_bytes),
    ];
    (method, target, headers, body)
}

#[tokio::test]
async fn gets_an_answer_of_the_contract() {
    let limits = query::Limits {
        sequence_timeout: std::time::Duration::from_millis(1),
        ..query::Limits::default()
    };
    let running = Running::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..REQUESTS {
        let (method, target, headers, body) = requests().new_tree(&mut runner).unwrap().current();
        let sent = request(&method, &target, &headers, &body);
        let reply = exchange(running.address, &sent).await;
        let legal = [200, 400, 401, 403, 404, 405, 500, 503].contains(&reply.status);
        let shown = String::from_utf8_lossy(&sent);
        assert!(legal, "{} for {shown}", reply.status);
        let timestamp = target.contains("query_at_ts");
        assert!(
            reply.status != 500 || timestamp,
            "{} for {shown}",
            reply.body
        );
    }
    assert_eq!(running.ask().await.status, 200);
    running.stop().await;
}
