//! Tells the service manager that started us how the process is, where there is one (`sd_notify`).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// Where to tell it.
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    fn of(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that takes nothing must not hold the service up.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    fn say(&self, state: &str) {
        if let Err(error) = self.socket.send_to_addr(state.as_bytes(), &self.address) {
            tracing::debug!(%error, state, "the service manager does not listen");
        }
    }
}

/// Says that the service is ready, that it lives as often as is asked for, and that it stops.
pub(crate) async fn keep_told(stop: CancellationToken) -> anyhow::Result<()> {
    let Some(address) = env::var_os("NOTIFY_SOCKET") else {
        stop.cancelled().await;
        return Ok(());
    };
    let manager = match Manager::of(&address) {
        Ok(manager) => manager,
        Err(error) => {
            tracing::warn!(%error, "the service manager of NOTIFY_SOCKET cannot be told anything");
            stop.cancelled().await;
            return Ok(());
        }
    };
    manager.say("READY=1");
    match watchdog() {
        // Twice as often as it is waited for.
        Some(limit) => {
            let mut ticks = interval(limit / 2);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                manager.say("WATCHDOG=1");
            }
        }
        None => stop.cancelled().await,
    }
    manager.say("STOPPING=1");
    Ok(())
}

/// How long the manager waits for a sign of life.
fn watchdog() -> Option<Duration> {
    let micros = env::var_os("WATCHDOG_USEC")?;
    let micros: u64 = micros.to_str()?.parse().ok()?;
    (1_000 <= micros).then(|| Duration::from_micros(micros))
}
