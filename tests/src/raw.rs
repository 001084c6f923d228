//! Publishing byte by byte: what other clients send and ours would not.

use std::net::SocketAddr;

use anyhow::ensure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that says what it is told to.
pub struct RawPublisher(TcpStream);

impl RawPublisher {
    /// Connects to a server that asks for nothing.
    pub async fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        let mut publisher = Self(TcpStream::connect(server).await?);
        let connect = br#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"protocol":1}"#;
        publisher.0.write_all(connect).await?;
        publisher.0.write_all(b"\r\n").await?;
        publisher.settle().await?;
        Ok(publisher)
    }

    /// Publishes with this header block; without a block as a message without headers.
    pub async fn publish(
        &mut self,
        subject: &[u8],
        block: &[u8],
        payload: &[u8],
    ) -> anyhow::Result<()> {
        let mut frame = if block.is_empty() {
            b"PUB ".to_vec()
        } else {
            b"HPUB ".to_vec()
        };
        frame.extend_from_slice(subject);
        if !block.is_empty() {
            frame.extend_from_slice(format!(" {}", block.len()).as_bytes());
        }
        let all = block.len() + payload.len();
        frame.extend_from_slice(format!(" {all}\r\n").as_bytes());
        for part in [block, payload, b"\r\n"] {
            frame.extend_from_slice(part);
        }
        Ok(self.0.write_all(&frame).await?)
    }

    /// Waits until the server has read everything.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        self.0.write_all(b"PING\r\n").await?;
        let mut heard = Vec::new();
        while !heard.windows(6).any(|six| six == b"PONG\r\n") {
            ensure!(self.0.read_buf(&mut heard).await? != 0, "the server closed");
            let said = String::from_utf8_lossy(&heard);
            ensure!(!said.contains("-ERR"), "the server refused: {said}");
        }
        Ok(())
    }
}
