//! A TCP proxy that does to a connection what networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Chunks that are on their way at most, in each direction.
const WAY_CHUNKS: usize = 4_096;

/// What becomes of bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They go through.
    Pass,
    /// Bytes are taken and vanish; what lost any is cut as soon as the mode changes.
    BlackHole,
    /// Connections are reset, new ones too.
    Reset,
    /// Bytes wait this long.
    Delay(Duration),
    /// One byte at a time.
    Dribble,
    /// Each connection is reset once it has brought so many bytes from the server.
    ResetAfter(usize),
    /// Each connection brings so many bytes more; what follows vanishes as in a black hole.
    HoldAfter(usize),
}

/// Stands before a server; ends with this handle.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    open: watch::Sender<usize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port of loopback.
    pub async fn before(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(Mode::Pass);
        let mut tasks = JoinSet::new();
        let (open, _) = watch::channel(0);
        tasks.spawn(accept(listener, port, modes, open.clone()));
        Ok(Self {
            address,
            mode,
            open,
            _tasks: tasks,
        })
    }

    /// Where clients of NATS connect.
    pub fn nats_url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Changes what becomes of bytes from now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Resets the connections that there are, and lets new ones through.
    pub async fn cut(&self) {
        self.set(Mode::Reset);
        let mut open = self.open.subscribe();
        // This handle has a sender, so there is always an answer.
        let _ = open.wait_for(|open| *open == 0).await;
        self.set(Mode::Pass);
    }
}

/// A connection that is open.
struct Open(watch::Sender<usize>);

impl Open {
    fn one_of(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn accept(
    listener: TcpListener,
    port: u16,
    modes: watch::Receiver<Mode>,
    open: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (open, connection) = (Open::one_of(&open), connection(client, port, modes.clone()));
        connections.spawn(async move {
            connection.await;
            drop(open);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(client: TcpStream, port: u16, modes: watch::Receiver<Mode>) {
    // A connection that ends with bytes in flight is reset, which is what this one should look like.
    let _ = client.set_zero_linger();
    let _ = client.set_nodelay(true);
    if *modes.borrow() == Mode::Reset {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, modes.clone(), false) => {}
        () = pump(from_server, to_client, modes, true) => {}
    }
}

/// Bytes on their way, and when they arrive.
type OnTheWay = (Instant, Mode, Vec<u8>);

/// Forwards until an end closes or the mode cuts it.
async fn pump(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    modes: watch::Receiver<Mode>,
    is_of_server: bool,
) {
    let (way, arriving) = mpsc::channel(WAY_CHUNKS);
    tokio::select! {
        () = take(from, way, modes, is_of_server) => {}
        () = give(arriving, to) => {}
    }
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    way: mpsc::Sender<OnTheWay>,
    mut modes: watch::Receiver<Mode>,
    is_of_server: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut has_lost = false;
    // Since the mode changed.
    let mut brought: usize = 0;
    loop {
        let mode = *modes.borrow_and_update();
        let loses = matches!(mode, Mode::BlackHole | Mode::HoldAfter(_));
        if mode == Mode::Reset || (has_lost && !loses) {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = modes.changed() => match changed {
                Ok(()) => {
                    brought = 0;
                    continue;
                }
                Err(_ended) => return,
            }
        };
        let mut bytes = match read.ok().and_then(|read| buffer.get(..read)) {
            None | Some([]) => return,
            Some(bytes) => bytes.to_vec(),
        };
        let mode = *modes.borrow();
        let delay = match mode {
            Mode::BlackHole => {
                has_lost = true;
                continue;
            }
            Mode::Delay(delay) => delay,
            Mode::HoldAfter(most) | Mode::ResetAfter(most) if is_of_server => {
                bytes.truncate(most.saturating_sub(brought));
                Duration::ZERO
            }
            Mode::Pass | Mode::Reset | Mode::Dribble | Mode::ResetAfter(_) | Mode::HoldAfter(_) => {
                Duration::ZERO
            }
        };
        brought = brought.saturating_add(bytes.len());
        if way
            .send((Instant::now() + delay, mode, bytes))
            .await
            .is_err()
        {
            return;
        }
        match mode {
            Mode::ResetAfter(most) if is_of_server && most <= brought => {
                // What was brought arrives before the end does.
                while way.capacity() < WAY_CHUNKS {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                return;
            }
            Mode::HoldAfter(most) if is_of_server && most <= brought => has_lost = true,
            Mode::Pass
            | Mode::BlackHole
            | Mode::Reset
            | Mode::Delay(_)
            | Mode::Dribble
            | Mode::ResetAfter(_)
            | Mode::HoldAfter(_) => {}
        }
    }
}

async fn give(mut arriving: mpsc::Receiver<OnTheWay>, mut to: impl AsyncWrite + Unpin) {
    while let Some((when, mode, bytes)) = arriving.recv().await {
        tokio::time::sleep_until(when).await;
        let given = if mode == Mode::Dribble {
            dribble(&mut to, &bytes).await
        } else {
            to.write_all(&bytes).await
        };
        if given.is_err() {
            return;
        }
    }
}

async fn dribble(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        to.write_all(std::slice::from_ref(byte)).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}
