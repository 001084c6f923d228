//! The operators' routes.

use domain::{Connection, Phase, Refusal};
use serde_json::{Value, json};

use crate::exchange::{exchange, request};
use crate::running::{Running, Setup};

#[tokio::test]
async fn status_has_the_members_of_the_contract() {
    let running = Running::start(Setup::default()).await;
    running
        .progress
        .send_modify(|progress| progress.connection = Connection::Connected);
    let reply = running.admin("/status").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let mut status: Value = serde_json::from_str(&reply.body).unwrap();
    let digest = status.as_object_mut().unwrap().remove("digest").unwrap();
    assert_eq!(digest.as_str().map(str::len), Some(32));
    let keys = status.as_object_mut().unwrap().remove("keys").unwrap();
    assert_eq!(
        (&keys[0]["usable"], &keys[0]["error"]),
        (&json!(true), &Value::Null)
    );
    assert!(keys[0]["source"].as_str().unwrap().ends_with("jwks.json"));
    let last = json!({"sequence": 4711, "stored": "2026-11-23T08:00:01Z"});
    let stream = json!({
        "name": "IDENTITY_EVENTS", "created": "2026-11-23T08:00:00Z", "last": last,
    });
    let wanted = json!({
        "phase": "live", "reason": null, "connection": "connected", "detail": null,
        "stream": stream, "damaged": [], "applied_sequence": 4711, "read_sequence": 4711,
        "tail_sequence": 4711,
        "lag_events": 0, "lag_seconds": 0.0, "users": 6, "profiles": 5,
        "parked_lanes": 0, "parked_records": 0, "parked_by_reason": {},
        "parked_oldest_seconds": null, "outcomes": {}, "version": "0.1.0",
    });
    assert_eq!(status, wanted);
    running.stop().await;
}

#[tokio::test]
async fn status_says_why_it_is_blocked_and_how_far_behind() {
    let running = Running::start(Setup::default()).await;
    running.progress.send_modify(|progress| {
        progress.phase = Phase::Blocked(Refusal::AheadOfLog {
            applied: 4711,
            last: 7,
        });
        progress.tail = Some(4721);
        progress.folded = 4720;
    });
    let status: Value = serde_json::from_str(&running.admin("/status").await.body).unwrap();
    let member = |name: &str| status.get(name).cloned().unwrap_or_default();
    assert_eq!(
        (member("phase"), member("reason")),
        (json!("blocked"), json!("ahead_of_log"))
    );
    assert_eq!(
        member("detail"),
        json!("the rows hold message 4711, but the stream ends at 7")
    );
    assert_eq!(member("lag_events"), json!(10));
    assert_eq!(
        (member("applied_sequence"), member("read_sequence")),
        (json!(4711), json!(4720)),
        "what is read is not durable yet"
    );
    let lag = |status: &Value| status.get("lag_seconds").and_then(Value::as_f64);
    assert!(lag(&status) > Some(1_000.0), "since the last applied one");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seven = std::time::Duration::from_secs(7);
    let waits = now.unwrap().checked_sub(seven).unwrap();
    let unkept_ns = i64::try_from(waits.as_nanos()).ok();
    running
        .progress
        .send_modify(|progress| progress.unkept_ns = unkept_ns);
    let status: Value = serde_json::from_str(&running.admin("/status").await.body).unwrap();
    let lag = lag(&status).unwrap();
    assert!(
        (6.9..60.0).contains(&lag),
        "{lag}: since the first that waits was stored, however long the stream was quiet before"
    );
    running
        .progress
        .send_modify(|progress| progress.tail = None);
    let status: Value = serde_json::from_str(&running.admin("/status").await.body).unwrap();
    assert_eq!(
        status.get("lag_events"),
        Some(&Value::Null),
        "unknown is not zero"
    );
    running.stop().await;
}

#[tokio::test]
async fn ready_means_keys_and_rows_that_were_live() {
    let running = Running::start(Setup::default()).await;
    assert_eq!(running.admin("/livez").await.status, 200);
    running
        .progress
        .send_modify(|progress| progress.phase = Phase::CatchingUp { target: 1 });
    let reply = running.admin("/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(
        reply.body,
        "not ready: the read model has not been live yet\n"
    );
    running
        .progress
        .send_modify(|progress| progress.was_live = true);
    assert_eq!(running.admin("/readyz").await.status, 200);
    running.stop().await;

    let nowhere = Some("http://127.0.0.1:9/".to_owned());
    let running = Running::start(Setup {
        jwks: nowhere,
        ..Setup::default()
    })
    .await;
    let reply = running.admin("/readyz").await;
    assert_eq!(
        reply.body,
        "not ready: no signing keys to check tokens with\n"
    );
    running.stop().await;
}

#[tokio::test]
async fn the_operators_routes_are_not_public() {
    let running = Running::start(Setup::default()).await;
    let page = running.admin("/metrics").await.body;
    assert!(page.contains("profile_projector_users 6\n"), "{page}");
    assert!(page.ends_with("some_metric 1\n"), "{page}");
    for route in ["/status", "/metrics", "/readyz", "/livez"] {
        let reply = exchange(running.address, &request("GET", route, &[], b"")).await;
        assert_eq!(reply.status, 404, "{route}");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_is_about_persons_needs_the_token() {
    let running = Running::start(Setup::default()).await;
    let token = running.admin_token();
    let personal = ["/quarantine", "/quarantine/1", "/users/ada"];
    for target in personal {
        for wrong in ["", "x", &token[1..], &format!("{token}0")] {
            let reply = running.admin_with(target, wrong).await;
            assert_eq!(reply.status, 401, "{target} {wrong:?}");
            assert!(!reply.body.contains(&token), "{}", reply.body);
            let challenge = reply.header("www-authenticate");
            assert_eq!(challenge, Some(r#"Bearer realm="admin""#));
        }
        assert_ne!(running.admin_with(target, &token).await.status, 401);
    }
    for open in ["/livez", "/readyz", "/status", "/metrics"] {
        assert_eq!(running.admin_with(open, "").await.status, 200, "{open}");
    }
    // Another file is another token.
    let other = "0123456789abcdef".repeat(4);
    std::fs::write(running.folder.path().join(query::TOKEN_FILE), &other).unwrap();
    assert_eq!(running.admin_with(personal[0], &token).await.status, 401);
    assert_eq!(running.admin_with(personal[0], &other).await.status, 200);
    running.stop().await;
}

#[tokio::test]
async fn pages_and_other_names_are_refused() {
    let running = Running::start(Setup::default()).await;
    let cases = [
        ("Host: 127.0.0.1:3211", 200),
        ("Host: [::1]:3211", 200),
        ("Host: localhost", 200),
        ("Host: TEST:1", 200),
        ("Host: evil.example", 421),
        ("Host: 127.0.0.1.evil.example", 421),
        ("Host: ", 400),
        ("X: y", 400),
        ("Host: localhost\r\nHost: localhost", 400),
        ("Host: localhost\r\nHost: evil.example", 400),
        ("Host: localhost:1\r\nOrigin: http://localhost:1", 200),
        ("Host: localhost:1\r\nOrigin: http://localhost:2", 403),
        ("Host: localhost\r\nOrigin: https://evil.example", 403),
        ("Host: localhost\r\nOrigin: null", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
        ("Host: localhost\r\nSec-Fetch-Site: same-site", 403),
        ("Host: localhost\r\nSec-Fetch-Site: none", 200),
        // Two of a kind are one too many, and so are forms that no browser writes.
        (
            "Host: localhost\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site",
            403,
        ),
        (
            "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost",
            403,
        ),
        ("Host: localhost\r\nOrigin: evil://localhost", 403),
        ("Host: evil@localhost", 400),
        ("Host: [127.0.0.1]", 400),
        ("Host: localhost:", 400),
        ("Host: localhost:99999", 400),
        ("Host: localhost:1:2", 400),
    ];
    for (headers, status) in cases {
        let asked = format!("GET /status HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n");
        let reply = exchange(running.admin, asked.as_bytes()).await;
        assert_eq!(reply.status, status, "{headers}");
    }
    // The target names a host too.
    let token = running.admin_token();
    for (target, host, status) in [
        ("http://localhost/status", "localhost", 200),
        ("http://evil.example/status", "localhost", 400),
        ("http://localhost/status", "evil.example", 400),
        ("http://localhost:1/quarantine", "localhost", 400),
    ] {
        let asked = format!(
            "GET {target} HTTP/1.1\r\nConnection: close\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let reply = exchange(running.admin, asked.as_bytes()).await;
        assert_eq!(reply.status, status, "{target} {host}");
    }
    // The public listener takes any name, but one.
    for (headers, status) in [("Host: any.example", 200), ("X: y", 400)] {
        let asked = format!("GET / HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n");
        let reply = exchange(running.address, asked.as_bytes()).await;
        assert_eq!(reply.status, status, "{headers}");
    }
    running.stop().await;
}
