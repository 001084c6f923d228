//! Frames that are none, frames that ask for nothing, and an identity that wants all sockets.

use tokio::time::timeout;

use super::client::{Client, Heard, connect};
use super::limits::named;
use crate::exchange::PATIENCE;
use crate::running::{Running, Setup};
use crate::tokens::token_of;

/// A frame of a client, masked with zeros, as it stands in RFC 6455.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn bytes_that_are_no_websocket_are_told_as_that() {
    let running = Running::start(Setup::default()).await;
    let unmasked = vec![0x81, 1, b'x'];
    let cases = [
        ("a reserved bit", frame(0xc1, b"x"), "1002 ProtocolError"),
        ("a reserved opcode", frame(0x83, b"x"), "1002 ProtocolError"),
        ("a ping in pieces", frame(0x09, b"x"), "1002 ProtocolError"),
        (
            "a continuation of nothing",
            frame(0x80, b"x"),
            "1002 ProtocolError",
        ),
        (
            "a text within a text",
            [frame(0x01, b"x"), frame(0x81, b"y")].concat(),
            "1002 ProtocolError",
        ),
        ("no mask", unmasked, "1002 ProtocolError"),
        ("no UTF-8", frame(0x81, b"\xff\xfe"), "1007 InvalidUtf8"),
        (
            "half a letter",
            [frame(0x01, b"\xc3"), frame(0x80, b"x")].concat(),
            "1007 InvalidUtf8",
        ),
    ];
    for (name, bytes, wanted) in cases {
        let mut client = Client::open(running.address).await;
        client.send_raw(&bytes).await;
        assert_eq!(named(client.closed().await), wanted, "{name}");
    }
    running.stop().await;
}

#[tokio::test]
async fn pongs_that_nobody_asked_for_are_counted() {
    let running = Running::start(Setup::default()).await;
    let mut client = Client::open(running.address).await;
    client.send_raw(&frame(0x8a, b"").repeat(1000)).await;
    assert_eq!(named(client.closed().await), "1013 TooManyPings");
    running.stop().await;
}

#[tokio::test]
async fn an_identity_has_its_part_of_the_sockets() {
    let mut setup = Setup::default();
    (setup.limits.sync.sockets, setup.limits.sync.sockets_of_one) = (16, 100);
    let running = Running::start(setup).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(Client::subscribed(running.address, Some("user_1")).await);
    }
    let mut fifth = Client::open(running.address).await;
    fifth.say(connect(None)).await;
    fifth.authenticate(0, token_of("user_1")).await;
    assert_eq!(named(fifth.closed().await), "1013 TooManySocketsOfOne");
    Client::subscribed(running.address, Some("user_min")).await;
    // Signing in again is no second place, and one that is given up is free.
    let (first, _) = held.first_mut().unwrap();
    first.authenticate(1, token_of("user_1")).await;
    first.transition().await;
    held.pop();
    timeout(PATIENCE, async {
        loop {
            let mut client = Client::open(running.address).await;
            client.say(connect(None)).await;
            client.authenticate(0, token_of("user_1")).await;
            if let Heard::Text(..) = client.hear_more().await {
                break;
            }
        }
    })
    .await
    .unwrap();
    running.stop().await;
}
