//! Where a server is.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The port that NATS servers have.
const PORT: u16 = 4222;

/// The address of a server, as `nats://` or `tls://`, with whoever it says that we are. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddr(Url);

/// The text is no address of a NATS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no address of a NATS server: expected nats://HOST:PORT")]
pub struct InvalidAddr;

impl FromStr for ServerAddr {
    type Err = InvalidAddr;

    fn from_str(text: &str) -> Result<Self, InvalidAddr> {
        let parsed = if text.contains("://") {
            text.parse()
        } else {
            format!("nats://{text}").parse()
        };
        let url: Url = parsed.map_err(|_not_one| InvalidAddr)?;
        let is_known = matches!(url.scheme(), "nats" | "tls");
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        (is_known && has_host)
            .then_some(Self(url))
            .ok_or(InvalidAddr)
    }
}

impl ServerAddr {
    /// `nats` or `tls`.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// A name or an address; one of IPv6 without brackets.
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.host() {
            Some(Host::Ipv6(_)) => host.trim_start_matches('[').trim_end_matches(']'),
            Some(Host::Domain(_) | Host::Ipv4(_)) | None => host,
        }
    }

    /// Its own, or the usual one.
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or(PORT)
    }

    /// Whether it asks for TLS.
    pub fn tls_required(&self) -> bool {
        self.scheme() == "tls"
    }

    /// Who it says that we are, as it stands there: percent-encoded.
    pub fn username(&self) -> Option<&str> {
        Some(self.0.username()).filter(|user| !user.is_empty())
    }

    /// The password, as it stands there.
    pub fn password(&self) -> Option<&str> {
        self.0.password()
    }
}

impl fmt::Debug for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Without user and password.
impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.scheme(), self.host(), self.port());
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown_without_secrets() {
        for (text, shown, user, password) in [
            ("127.0.0.1", "nats://127.0.0.1:4222", None, None),
            ("nats.example:4223", "nats://nats.example:4223", None, None),
            ("tls://a.example", "tls://a.example:4222", None, None),
            ("nats://[::1]:5", "nats://[::1]:5", None, None),
            ("u:p%20w@a", "nats://a:4222", Some("u"), Some("p%20w")),
            ("nats://t@a:1", "nats://a:1", Some("t"), None),
        ] {
            let read: ServerAddr = text.parse().unwrap();
            assert_eq!(format!("{read} {read:?}"), format!("{shown} {shown}"));
            assert_eq!((read.username(), read.password()), (user, password));
        }
        for wrong in ["", "nats://", "ws://a", "http://a", "a b", "a:99999", "://"] {
            assert_eq!(wrong.parse::<ServerAddr>(), Err(InvalidAddr), "{wrong:?}");
        }
    }
}
