//! A TCP proxy before a NATS server that spoils what the server sends, or speaks in its stead.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Which message does not come as the server sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoils {
    /// Every message comes.
    Nothing,
    /// The message at this place of a stream, when a consumer delivers it.
    Delivery(u64),
    /// The same, and the answer to a request for it alone.
    DeliveryAndAnswer(u64),
    /// These bytes stand before every message.
    Before(&'static [u8]),
    /// These bytes come in the stead of the next message, and nothing more.
    Instead(&'static [u8]),
    /// These bytes, again and again, in the stead of the next message.
    Endless(&'static [u8]),
    /// The same in the stead of the next answer to a request; records come.
    EndlessAnswer(&'static [u8]),
    /// Connections are taken, told this, and heard no more.
    Says(&'static [u8]),
}

/// Bytes a second of what has no end.
const FLOOD: usize = 8 * 1024 * 1024;

/// Stands before a server; ends with this handle.
#[derive(Debug)]
pub struct Garbler {
    address: SocketAddr,
    spoils: watch::Sender<Spoils>,
    _tasks: JoinSet<()>,
}

impl Garbler {
    /// Listens on a free port of loopback.
    pub async fn before(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (spoils, now) = watch::channel(Spoils::Nothing);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, port, now));
        Ok(Self {
            address,
            spoils,
            _tasks: tasks,
        })
    }

    /// Where clients of NATS connect.
    pub fn nats_url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Changes what is spoilt from now on.
    pub fn set(&self, spoils: Spoils) {
        self.spoils.send_replace(spoils);
    }
}

async fn accept(listener: TcpListener, port: u16, spoils: watch::Receiver<Spoils>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let spoils = spoils.clone();
        connections.spawn(async move {
            // A connection that fails is one that ends.
            let _ = connection(client, port, spoils).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(
    mut client: TcpStream,
    port: u16,
    mut spoils: watch::Receiver<Spoils>,
) -> anyhow::Result<()> {
    let speaks = *spoils.borrow_and_update();
    if let Spoils::Says(words) = speaks {
        client.write_all(words).await?;
        spoils.changed().await?;
        return Ok(());
    }
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    tokio::select! {
        copied = tokio::io::copy(&mut from_client, &mut to_server) => copied.map(drop)?,
        ended = forward(from_server, to_client, spoils.clone()) => ended?,
        // Who is to speak now does so to new connections.
        ended = spoils.wait_for(|now| matches!(now, Spoils::Says(_))) => drop(ended?),
    }
    Ok(())
}

/// Forwards frame by frame.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut spoils: watch::Receiver<Spoils>,
) -> anyhow::Result<()> {
    let mut waiting = Vec::new();
    while from.read_buf(&mut waiting).await? != 0 {
        while let Some((line, frame)) = first_frame(&waiting) {
            let now = *spoils.borrow_and_update();
            let is_message = line.contains("MSG ");
            match now {
                Spoils::Before(bytes) if is_message => to.write_all(bytes).await?,
                Spoils::Instead(bytes) if is_message => {
                    to.write_all(bytes).await?;
                    spoils.changed().await?;
                    return Ok(());
                }
                Spoils::Endless(bytes) if is_message => {
                    return flood(to, bytes, spoils).await;
                }
                Spoils::EndlessAnswer(bytes) if is_message && frame_is_answer(frame) => {
                    return flood(to, bytes, spoils).await;
                }
                Spoils::Nothing
                | Spoils::Delivery(_)
                | Spoils::DeliveryAndAnswer(_)
                | Spoils::Before(_)
                | Spoils::Instead(_)
                | Spoils::Endless(_)
                | Spoils::EndlessAnswer(_)
                | Spoils::Says(_) => {
                    if is_spoilt(&line, frame, now) {
                        to.write_all(b"\0\0\0").await?;
                    }
                }
            }
            to.write_all(frame).await?;
            let taken = frame.len();
            waiting.drain(..taken);
        }
    }
    Ok(())
}

async fn flood(
    mut to: OwnedWriteHalf,
    bytes: &[u8],
    spoils: watch::Receiver<Spoils>,
) -> anyhow::Result<()> {
    to.write_all(bytes).await?;
    let more = vec![b'x'; FLOOD / 100];
    while !spoils.has_changed()? {
        to.write_all(&more).await?;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok(())
}

fn frame_is_answer(frame: &[u8]) -> bool {
    String::from_utf8_lossy(frame).contains("io.nats.jetstream.api")
}

/// The first whole frame: its line, and all of it.
fn first_frame(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let line = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    let mut words = line.split_whitespace();
    let body = match words.next() {
        Some("MSG" | "HMSG") => words.next_back()?.parse::<usize>().ok()? + 2,
        _ => 0,
    };
    let frame = bytes.get(..end + body)?;
    Some((line, frame))
}

fn is_spoilt(line: &str, frame: &[u8], spoils: Spoils) -> bool {
    let (sequence, also_answers) = match spoils {
        Spoils::Nothing
        | Spoils::Before(_)
        | Spoils::Instead(_)
        | Spoils::Endless(_)
        | Spoils::EndlessAnswer(_)
        | Spoils::Says(_) => return false,
        Spoils::Delivery(sequence) => (sequence, false),
        Spoils::DeliveryAndAnswer(sequence) => (sequence, true),
    };
    let mut words = line.split_whitespace();
    let reply = words.find_map(|word| word.strip_prefix("$JS.ACK."));
    let place = reply.and_then(|reply| reply.split('.').nth(3));
    let is_delivery = place == Some(sequence.to_string().as_str());
    let answer = format!("\"seq\":{sequence},");
    let is_answer = String::from_utf8_lossy(frame).contains(&answer);
    is_delivery || (also_answers && is_answer)
}
