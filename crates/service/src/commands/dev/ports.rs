//! The ports of `dev`: the defaults of the other commands where they are free, else those of the last start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use serde::{Deserialize, Serialize};

use super::folder::DevFolder;

/// What other commands ask by default.
const DEFAULTS: Ports = Ports {
    listen: 3210,
    admin: 3211,
    nats: 4222,
};
/// The file of the last start.
const FILE: &str = "ports.json";

/// The ports, on the loopback address. 0 is any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Ports {
    pub(super) listen: u16,
    pub(super) admin: u16,
    pub(super) nats: u16,
}

impl Ports {
    /// Those to try now.
    pub(super) fn of(folder: &DevFolder) -> Self {
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        // A file that cannot be read says nothing of a last start.
        let last: Self = serde_json::from_str(&text).unwrap_or_default();
        Self::free(DEFAULTS, last)
    }

    fn free(defaults: Self, last: Self) -> Self {
        let one_of = |ports: [u16; 2]| {
            let mut ports = ports.into_iter().filter(|port| *port != 0);
            ports.find(|port| is_free(*port)).unwrap_or(0)
        };
        Self {
            listen: one_of([defaults.listen, last.listen]),
            admin: one_of([defaults.admin, last.admin]),
            nats: one_of([defaults.nats, last.nats]),
        }
    }

    /// Without those that somebody took since they were chosen: another `dev` may start at the same moment. `None` if they
    /// all are free still, so that whatever failed failed otherwise.
    pub(super) fn without_taken(self) -> Option<Self> {
        let free = |port: u16| if is_free(port) { port } else { 0 };
        let now = Self {
            listen: free(self.listen),
            admin: free(self.admin),
            nats: free(self.nats),
        };
        (now != self).then_some(now)
    }

    /// Remembers those that were taken, for the next start.
    pub(super) fn remember(self, folder: &DevFolder) -> anyhow::Result<()> {
        let text = serde_json::to_string(&self)?;
        folder.write_private(&folder.join(FILE), &text)
    }
}

/// An address of this machine.
pub(super) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(local(port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_gives_way_to_that_of_the_last_start() {
        let taken = TcpListener::bind(local(0)).unwrap();
        let taken = (taken.local_addr().unwrap().port(), taken);
        let free = || {
            TcpListener::bind(local(0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port()
        };
        let (listen, admin, nats) = (free(), free(), free());
        let defaults = Ports {
            listen,
            admin: taken.0,
            nats: taken.0,
        };
        let last = Ports {
            listen: nats,
            admin,
            nats: taken.0,
        };
        let expected = Ports {
            listen,
            admin,
            nats: 0,
        };
        assert_eq!(Ports::free(defaults, last), expected);
        assert_eq!(expected.without_taken(), None);
        let since = Ports {
            nats: taken.0,
            ..expected
        };
        assert_eq!(since.without_taken(), Some(expected));
    }
}
