//! Requests that want to become a socket, and do not.

use convex_wire::TextMode;
use query::TrustedProxies;

use super::client::Client;
use crate::exchange::{Reply, exchange, request};
use crate::running::{Running, Setup};

const GOOD: [(&str, &str); 4] = [
    ("Connection", "close, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

/// Asks with good headers, one of them changed.
async fn ask(running: &Running, target: &str, changed: (&str, &str)) -> Reply {
    let headers = GOOD.iter().map(|(name, value)| match changed {
        (other, value) if other == *name => (*name, value),
        _ => (*name, *value),
    });
    let more = Some(changed).filter(|(name, _)| GOOD.iter().all(|(known, _)| known != name));
    let headers = headers.chain(more).filter(|(_, value)| !value.is_empty());
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let bytes = String::from_utf8(request("GET", target, &headers, b"")).unwrap();
    let bytes = bytes.replacen("Connection: close\r\n", "", 1);
    exchange(running.address, bytes.as_bytes()).await
}

#[tokio::test]
async fn faults_of_the_handshake() {
    let running = Running::start(Setup::default()).await;
    let new = "/api/1.48.0/sync";
    let close = ("Connection", "close");
    let npm = "Failed to parse client version: unexpected character 'f' while parsing major version number";
    let old = "The Convex npm package at version 0.19.1 is no longer supported. Update your Convex npm version with `npx convex update` or `npm update`.";
    let cases = [
        (
            new,
            close,
            "InvalidConnectionHeader",
            "Connection header did not include upgrade",
        ),
        (
            new,
            ("Upgrade", "h2c"),
            "InvalidUpgradeHeader",
            "Upgrade header did not include websocket",
        ),
        (
            new,
            ("Sec-WebSocket-Key", ""),
            "WebSocketKeyHeaderMissing",
            "Sec-WebSocket-Key header missing",
        ),
        (
            new,
            ("Sec-WebSocket-Version", "12"),
            "InvalidWebSocketVersionHeader",
            "Sec-WebSocket-Version header did not include 13",
        ),
        (
            "/api/sync",
            ("Sec-WebSocket-Version", ""),
            "InvalidWebSocketVersionHeader",
            "Sec-WebSocket-Version header did not include 13",
        ),
        // The version is judged first.
        ("/api/foo/sync", close, "InvalidClientVersion", npm),
        ("/api/0.19.1/sync", close, "ClientVersionUnsupported", old),
    ];
    for (target, changed, code, message) in cases {
        let mut reply = ask(&running, target, changed).await;
        assert_eq!(reply.status, 400, "{target} {changed:?}");
        let wanted = serde_json::json!({"code": code, "message": message}).to_string();
        assert_eq!(std::mem::take(&mut reply.body), wanted);
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            Some("true")
        );
        let state = reply.header("x-convex-deprecation-state");
        assert_eq!(
            state,
            (code == "ClientVersionUnsupported").then_some("Unsupported")
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn other_faults() {
    let running = Running::start(Setup::default()).await;
    let posted = exchange(running.address, &request("POST", "/api/sync", &[], b"")).await;
    assert_eq!(
        (posted.status, posted.header("allow")),
        (405, Some("GET,HEAD"))
    );
    assert_eq!(posted.body, "");
    let plain = exchange(running.address, &request("GET", "/api/sync", &[], b"")).await;
    assert_eq!(plain.status, 400);
    let old = ask(&running, "/api/sync", ("Convex-Client", "rust-0.0.1")).await;
    assert!(
        old.body
            .starts_with(r#"{"code":"ClientVersionUnsupported","#),
        "{}",
        old.body
    );
    let unnamed = ask(&running, "/api/1.48.0/sync", ("Convex-Client", "foo")).await;
    assert!(
        unnamed
            .body
            .starts_with(r#"{"code":"InvalidClientVersion","#),
        "{}",
        unnamed.body
    );
    running.stop().await;
}

#[tokio::test]
async fn no_more_sockets_than_places() {
    let mut setup = Setup {
        texts: TextMode::Redacted,
        ..Setup::default()
    };
    setup.limits.sync.sockets = 2;
    let running = Running::start(setup).await;
    let (mut used, _) = Client::subscribed(running.address, Some("user_1")).await;
    for _ in 0..3 {
        let mut unused = Client::open(running.address).await;
        let _next = Client::open(running.address).await;
        let frame = unused.closed().await.unwrap();
        assert_eq!(frame.reason.as_str(), "TooManySockets");
    }
    // The one that asks for something stays.
    used.add(7).await;
    assert_eq!(used.transition().await[0]["queryId"], 7);
    running.stop().await;
}

#[tokio::test]
async fn an_address_has_its_part_of_the_sockets() {
    let mut setup = Setup::default();
    setup.limits.per_address = 2;
    let running = Running::start(setup).await;
    let first = Client::open(running.address).await;
    let second = Client::open(running.address).await;
    let reply = ask(&running, "/api/1.48.0/sync", GOOD[1]).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    assert!(
        reply.body.starts_with(r#"{"code":"Overloaded","#),
        "{}",
        reply.body
    );
    drop((first, second));
    // Their places are free once the service has seen them go.
    while ask(&running, "/api/1.48.0/sync", GOOD[1]).await.status != 101 {}
    running.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_part_of_the_sockets() {
    let mut setup = Setup::default();
    setup.limits.per_address = 1;
    setup.limits.trusted_proxies = TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]);
    let running = Running::start(setup).await;
    // One that no header names is the proxy's own.
    let _own = Client::open(running.address).await;
    let open = async |client| {
        let forwarded = ("Forwarded", client);
        ask(&running, "/api/1.48.0/sync", forwarded).await.status
    };
    assert_eq!(open("for=127.0.0.1").await, 503);
    assert_eq!(open("for=198.51.100.1").await, 101);
    running.stop().await;
}
