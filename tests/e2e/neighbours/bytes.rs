//! What hostile clients send, byte for byte.

use serde_json::{Value, json};
use tests::client::{RUN, subscribing};

pub(super) fn post(target: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(super) const UPGRADE: &[u8] = b"GET /api/1.48.0/sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

pub(super) fn ping() -> Vec<u8> {
    let mut ping = vec![0x89, 0x80 | 0x7d, 0, 0, 0, 0];
    ping.extend([b'x'; 125]);
    ping
}

/// The messages of a socket that subscribes twelve times to one query.
pub(super) fn subscription(token: &str) -> Vec<u8> {
    let [connect, authenticate, subscribe] = subscribing(token);
    let mut subscribe: Value = serde_json::from_str(&subscribe).unwrap();
    let add = subscribe["modifications"][0].clone();
    let adds = (0..12).map(|id| {
        let mut add = add.clone();
        add["queryId"] = json!(id);
        add
    });
    subscribe["modifications"] = adds.collect();
    texts([connect, authenticate, subscribe.to_string()])
}

/// Text messages of a socket, of 126 bytes or more each.
pub(super) fn texts<const COUNT: usize>(texts: [String; COUNT]) -> Vec<u8> {
    let mut frames = Vec::new();
    for text in texts {
        let length = u16::try_from(text.len()).unwrap();
        frames.extend([0x81, 0x80 | 0x7e]);
        frames.extend(length.to_be_bytes());
        frames.extend([0; 4]);
        frames.extend(text.into_bytes());
    }
    frames
}

/// A frame of HTTP/2.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A header's field, neither indexed nor compressed (RFC 7541).
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = Vec::new();
        if let Some(mut rest) = text.len().checked_sub(127) {
            bytes.push(127);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        } else {
            bytes.push(u8::try_from(text.len()).unwrap());
        }
        bytes.extend(text.as_bytes());
        bytes
    };
    [vec![0], text(name), text(value)].concat()
}

/// What every client of HTTP/2 sends first.
pub(super) fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes
}

/// A connection that lets nothing be sent to it and asks as often as it may.
pub(super) fn http2(token: &str, body: Option<&[u8]>) -> Vec<u8> {
    // INITIAL_WINDOW_SIZE: 0.
    let mut bytes = preface();
    bytes.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    let bearer = format!("Bearer {token}");
    let header = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", RUN),
        ("content-type", "application/json"),
        ("authorization", &bearer),
    ];
    let header: Vec<u8> = header
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect();
    for stream in (1..128).step_by(2) {
        bytes.extend(frame(1, 4, stream, &header));
        if let Some(body) = body {
            bytes.extend(frame(0, 1, stream, body));
        }
    }
    bytes
}

/// The first message of a TLS 1.3 client that offers X25519 (RFC 8446): the server answers it with its certificate and a
/// signature.
pub(super) fn client_hello() -> Vec<u8> {
    let extension = |kind: u16, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap();
        [&kind.to_be_bytes()[..], &length.to_be_bytes(), content].concat()
    };
    let extensions = [
        // supported_groups, signature_algorithms (ECDSA and RSA-PSS), supported_versions.
        extension(10, &[0, 2, 0, 29]),
        extension(13, &[0, 8, 4, 3, 5, 3, 8, 4, 8, 7]),
        extension(43, &[2, 3, 4]),
        // key_share: any 32 bytes are a key.
        extension(51, &[&[0, 36, 0, 29, 0, 32][..], &[9; 32]].concat()),
    ]
    .concat();
    let ciphers = [0, 6, 0x13, 1, 0x13, 2, 0x13, 3];
    let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &ciphers,
        &[1, 0],
        &length,
        &extensions,
    ]
    .concat();
    let length = u8::try_from(body.len()).unwrap();
    let message = [&[1, 0, 0, length][..], &body].concat();
    [&[22, 3, 1, 0, length + 4][..], &message].concat()
}
