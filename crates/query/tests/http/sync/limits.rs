//! Every socket ends in time, whatever its client does or leaves undone.

use std::time::Duration;

use convex_wire::Timestamp;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::client::{Client, Heard, OURS, connect, now_ns};
use crate::exchange::PATIENCE;
use crate::running::{Running, Setup, ada, set_profile};
use crate::tokens::token_of;

const SHORT: Duration = Duration::from_millis(300);

pub(super) fn named(frame: Option<CloseFrame>) -> String {
    frame.map_or_else(String::new, |frame| {
        format!("{} {}", u16::from(frame.code), frame.reason)
    })
}

#[tokio::test]
async fn a_quiet_socket_is_pinged_both_ways() {
    let mut setup = Setup::default();
    setup.limits.sync.quiet = SHORT;
    setup.limits.sync.ping_interval = SHORT / 3;
    let running = Running::start(setup).await;
    let mut client = Client::open(running.address).await;
    let (mut frames, mut messages) = (0, 0);
    while messages < 2 {
        match client.hear().await {
            Heard::Ping => frames += 1,
            Heard::Text(message, text) => {
                assert_eq!(message, json!({"type": "Ping"}), "{text}");
                messages += 1;
            }
            other @ (Heard::Closed(_) | Heard::Gone) => panic!("{other:?}"),
        }
    }
    assert!(frames >= 4, "{frames}");
    running.stop().await;
}

#[tokio::test]
async fn a_silent_client_is_dropped() {
    let mut setup = Setup::default();
    setup.limits.sync.silence = SHORT;
    setup.limits.sync.ping_interval = SHORT * 100;
    let running = Running::start(setup).await;
    let mut client = Client::open(running.address).await;
    assert_eq!(named(client.closed().await), "1000 ClientDisconnected");
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_answers_pings_is_not_silent() {
    let mut setup = Setup::default();
    setup.limits.sync.silence = SHORT;
    setup.limits.sync.ping_interval = SHORT / 5;
    setup.limits.sync.quiet = SHORT * 3;
    let running = Running::start(setup).await;
    let mut client = Client::open(running.address).await;
    // The library answers pings while it reads. The message comes after thrice the silence that is allowed.
    assert!(matches!(client.hear_more().await, Heard::Text(..)));
    running.stop().await;
}

#[tokio::test]
async fn messages_that_are_none() {
    let mut setup = Setup::default();
    setup.limits.sync.message_bytes = 1000;
    let running = Running::start(setup).await;
    let cases = [
        (Message::binary(vec![1]), "1011 InternalServerError"),
        (Message::text("x".repeat(1001)), "1009 MessageTooLarge"),
    ];
    for (message, wanted) in cases {
        let mut client = Client::open(running.address).await;
        client.send(message).await;
        assert_eq!(named(client.closed().await), wanted);
    }
    running.stop().await;
}

/// A message of about so many bytes that subscribes.
async fn subscribe_largely(client: &mut Client, bytes: usize) {
    let add = json!({"type": "Add", "queryId": 0, "udfPath": OURS, "args": [{}]});
    let text = json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [add]});
    let mut text = text.to_string();
    let padding = " ".repeat(bytes.saturating_sub(text.len()));
    text.insert_str(1, &padding);
    client.say_text(text).await;
}

#[tokio::test]
async fn a_message_of_up_to_a_mebibyte_is_answered() {
    let running = Running::start(Setup::default()).await;
    for bytes in [60 << 10, 70 << 10, (1 << 20) - 1, 1 << 20] {
        let mut client = Client::open(running.address).await;
        client.say(connect(None)).await;
        subscribe_largely(&mut client, bytes).await;
        assert_eq!(
            client.transition().await[0]["type"],
            "QueryUpdated",
            "{bytes}"
        );
    }
    // The largest is more than the system buffers.
    for bytes in [(1 << 20) + 1, 16 << 20] {
        let mut client = Client::open(running.address).await;
        client.say(connect(None)).await;
        subscribe_largely(&mut client, bytes).await;
        assert_eq!(named(client.closed().await), "1009 MessageTooLarge");
    }
    running.stop().await;
}

#[tokio::test]
async fn large_messages_share_their_room_and_small_ones_need_none() {
    let mut setup = Setup::default();
    setup.limits.requests_bytes = 150 << 10;
    let running = Running::start(setup).await;
    let open = async || {
        let mut client = Client::open(running.address).await;
        client.say(connect(None)).await;
        client
    };
    let (mut first, mut small) = (open().await, open().await);
    subscribe_largely(&mut first, 100 << 10).await;
    first.transition().await;
    for bytes in [100 << 10, 1 << 20] {
        let mut second = open().await;
        subscribe_largely(&mut second, bytes).await;
        assert_eq!(named(second.closed().await), "1013 TooManyLargeMessages");
    }
    for id in 0..32 {
        // Together they are more than one small message has.
        small.add_many(id * 8..(id + 1) * 8).await;
        small.transition().await;
    }
    for text in ["a", "b", "c"] {
        let event = json!({"type": "Event", "eventType": text, "event": text.repeat(40_000)});
        small.say(event).await;
    }
    small.add_many(0..0).await;
    small.transition().await;
    drop(first);
    loop {
        let mut third = open().await;
        subscribe_largely(&mut third, 100 << 10).await;
        match third.hear_more().await {
            Heard::Closed(frame) => assert_eq!(named(frame), "1013 TooManyLargeMessages"),
            Heard::Text(..) => break,
            other @ (Heard::Ping | Heard::Gone) => panic!("{other:?}"),
        }
    }
    running.stop().await;
}

/// What is held once fits where many times as much would not.
#[tokio::test]
async fn sockets_of_one_user_share_the_bytes_of_their_answers() {
    let mut setup = Setup::default();
    setup.limits.sync.transition_bytes = 4 << 20;
    setup.limits.answers_bytes = 300 << 10;
    let mut running = Running::start(setup).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(running.address).await.unwrap();
        let mut client = Client::open_on(stream).await;
        client.subscribe(Some("user_1")).await;
        client.add_many(1..12).await;
        client.transition().await;
        clients.push(client);
    }
    let mut profile = ada();
    profile.bio = Some("b".repeat(250_000).into());
    let user = "j57bq0g31py2qjnt6amgqwq20x6dpzyk";
    running.commit(|batch| set_profile(batch, user, Some(profile)));
    // Each is told of three megabytes while the others have not taken theirs.
    tokio::time::sleep(SHORT).await;
    for client in &mut clients {
        let told = client.transition().await;
        let told = told.as_array().unwrap();
        let updated = told.iter().filter(|told| told["type"] == "QueryUpdated");
        assert_eq!(updated.count(), 12);
    }
    running.stop().await;
}

#[tokio::test]
async fn more_queries_than_a_socket_may_hold() {
    let mut setup = Setup::default();
    setup.limits.sync.queries = 2;
    let running = Running::start(setup).await;
    let mut client = Client::open(running.address).await;
    client.add_many(0..3).await;
    assert_eq!(named(client.closed().await), "1013 TooManyQueries");
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let mut setup = Setup::default();
    setup.limits.sync.send_timeout = SHORT;
    setup.limits.sync.farewell = SHORT;
    let mut running = Running::start(setup).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(running.address).await.unwrap();
    let mut slow = Client::open_on(stream).await;
    slow.say(connect(None)).await;
    slow.authenticate(0, token_of("user_1")).await;
    slow.add_many(0..200).await;
    let (mut quick, _) = Client::subscribed(running.address, Some("user_1")).await;
    let user = "j57bq0g31py2qjnt6amgqwq20x6dpzyk";
    // 200 queries of 30 KB are more than the system buffers.
    for letter in ["a", "b", "c", "d"] {
        let mut profile = ada();
        profile.bio = Some(letter.repeat(30_000).into());
        running.commit(|batch| set_profile(batch, user, Some(profile)));
        // Others are served all the while.
        assert_ne!(quick.transition().await, json!([]));
    }
    tokio::time::sleep(SHORT * 4).await;
    let mut heard = 0;
    let end = loop {
        match slow.hear().await {
            Heard::Text(..) => heard += 1,
            Heard::Ping => {}
            end @ (Heard::Closed(_) | Heard::Gone) => break end,
        }
    };
    assert!(heard < 6, "{heard}");
    assert!(matches!(end, Heard::Gone | Heard::Closed(_)), "{end:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_service_that_stops_says_goodbye_and_another_takes_over() {
    let running = Running::start(Setup::default()).await;
    let (mut client, _) = Client::subscribed(running.address, Some("user_1")).await;
    running.stop.cancel();
    assert_eq!(named(client.closed().await), "1001 GoingAway");
    running.stop().await;

    let running = Running::start(Setup::default()).await;
    let mut again = Client::open(running.address).await;
    again.say(connect(Some(client.ts))).await;
    again.add(0).await;
    again.transition().await;
    assert!(again.ts > client.ts);
    let ahead = Timestamp(now_ns() + 3_600_000_000_000);
    let mut ahead_of_us = Client::open(running.address).await;
    ahead_of_us.say(connect(Some(ahead))).await;
    assert_eq!(
        named(ahead_of_us.closed().await),
        "1011 InternalServerError"
    );
    running.stop().await;
}

#[tokio::test]
async fn without_keys_nobody_is_signed_out() {
    let running = Running::start(Setup {
        jwks: Some("http://127.0.0.1:9/".to_owned()),
        ..Setup::default()
    })
    .await;
    let mut client = Client::open(running.address).await;
    client.authenticate(0, token_of("user_1")).await;
    // No AuthError comes first, which is what signs a user out.
    let Heard::Closed(frame) = client.hear_more().await else {
        panic!("a close frame");
    };
    assert_eq!(named(frame), "1013 AuthUnavailable");
    running.stop().await;
}

/// What each socket did not do, and how long it had.
#[tokio::test]
async fn a_socket_that_is_not_used_is_closed() {
    let mut setup = Setup::default();
    setup.limits.sync.connect_timeout = SHORT;
    setup.limits.sync.query_timeout = SHORT * 3;
    let running = Running::start(setup).await;
    let began = Instant::now();
    let (mut used, _) = Client::subscribed(running.address, None).await;
    let mut silent = Client::open(running.address).await;
    let mut connected = Client::open(running.address).await;
    connected.say(connect(None)).await;
    assert_eq!(named(silent.closed().await), "1013 NotUsed");
    assert_eq!(named(connected.closed().await), "1013 NotUsed");
    assert!(began.elapsed() >= SHORT * 3);
    used.add(1).await;
    assert_eq!(used.transition().await[0]["queryId"], 1);
    running.stop().await;
}

/// A ping frame of a client, of 125 bytes.
fn ping() -> Vec<u8> {
    let mut frame = vec![0x89, 0x80 | 0x7d, 0, 0, 0, 0];
    frame.extend([b'x'; 125]);
    frame
}

/// Pings until the other side takes no more or is gone; how many bytes it took.
async fn flood(stream: &mut TcpStream) -> usize {
    let pings = ping().repeat(100);
    let mut taken = 0;
    loop {
        match timeout(SHORT * 2, stream.write(&pings)).await {
            Ok(Ok(bytes)) => taken += bytes,
            Ok(Err(_)) | Err(_) => return taken,
        }
    }
}

#[tokio::test]
async fn pings_are_taken_as_fast_as_their_answers() {
    let mut setup = Setup::default();
    setup.limits.sync.pings = u32::MAX;
    setup.limits.sync.send_timeout = SHORT * 10;
    setup.limits.sync.farewell = SHORT;
    setup.limits.sync.connect_timeout = Duration::from_mins(1);
    let running = Running::start(setup).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    let mut stream = socket.connect(running.address).await.unwrap();
    let _handshake = Client::open_on(&mut stream).await;
    let taken = flood(&mut stream).await;
    // What the system buffers on the way, and no pongs beside that.
    assert!(taken < 16 << 20, "{taken} bytes of pings were taken");
    // It ends without our reading: reading would let it go on.
    let refused = async { while stream.write(&ping()).await.is_ok() {} };
    let ended = timeout(PATIENCE, refused).await;
    ended.expect("the connection ends");
    running.stop().await;
}

#[tokio::test]
async fn more_pings_than_a_client_has_reason_for() {
    let running = Running::start(Setup::default()).await;
    let mut client = Client::open(running.address).await;
    for _ in 0..65 {
        client.send(Message::Ping(vec![1; 125].into())).await;
    }
    let end = loop {
        if let Some(Heard::Closed(frame)) = client.hear_or_pong().await {
            break frame;
        }
    };
    assert_eq!(named(end), "1013 TooManyPings");
    running.stop().await;
}

#[tokio::test]
async fn equal_queries_of_a_large_profile() {
    let mut setup = Setup::default();
    setup.limits.sync.transition_bytes = 1_000_000;
    let mut running = Running::start(setup).await;
    let mut profile = ada();
    profile.bio = Some("b".repeat(250_000).into());
    let user = "j57bq0g31py2qjnt6amgqwq20x6dpzyk";
    running.commit(|batch| set_profile(batch, user, Some(profile)));
    let (mut client, value) = Client::subscribed(running.address, Some("user_1")).await;
    assert_eq!(value["bio"].as_str().unwrap().len(), 250_000);
    client.add_many(1..257).await;
    assert_eq!(named(client.closed().await), "1013 TooManyQueries");
    let (mut client, _) = Client::subscribed(running.address, Some("user_1")).await;
    client.add_many(1..256).await;
    let told = client.transition().await;
    let told = told.as_array().unwrap();
    let of = |kind: &str| told.iter().filter(|told| told["type"] == kind).count();
    assert_eq!((of("QueryUpdated"), of("QueryFailed")), (3, 252));
    running.stop().await;
}
