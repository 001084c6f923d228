//! Whose word about a client's address is taken: that of proxies that were named.
//!
//! A proxy appends the address that it sees, so the addresses are read from the right, and the first one that is no
//! proxy of ours is the client's. What stands to the left of it is the client's own word.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use axum::http::header::{FORWARDED, HeaderName};
use axum::http::{HeaderMap, HeaderValue};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses that share their first bits: an address, or `ADDRESS/BITS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// Why a text is no network of proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// It is none at all.
    #[error("expected an address such as 10.0.0.7, or a network such as 10.0.0.0/8 or fd00::/8")]
    Syntax,
    /// It holds clients too, and each of them could name any address as its own.
    #[error(
        "that many addresses are no proxies of yours, and whoever has one of them would be believed: name the proxies' \
         own network, of at least {BITS_MIN_OF_4} bits (IPv4) or {BITS_MIN_OF_6} (IPv6)"
    )]
    TooWide,
}

/// The largest private networks are 10.0.0.0/8 and `fc00::/7`.
const BITS_MIN_OF_4: u32 = 8;
const BITS_MIN_OF_6: u32 = 7;

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_fault| InvalidNetwork::Syntax)?;
        let all: u32 = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), str::parse);
        let bits = bits.ok().filter(|bits| *bits <= all);
        let bits = bits.ok_or(InvalidNetwork::Syntax)?;
        // As a peer's address is taken: the last 32 bits are an address of IPv4.
        if let (IpAddr::V6(six), Some(bits)) = (address, bits.checked_sub(96))
            && let Some(four) = six.to_ipv4_mapped()
        {
            return Self::of(four.into(), bits);
        }
        Self::of(address, bits)
    }
}

impl Network {
    fn of(address: IpAddr, bits: u32) -> Result<Self, InvalidNetwork> {
        let bits_min = match address {
            IpAddr::V4(_) => BITS_MIN_OF_4,
            IpAddr::V6(_) => BITS_MIN_OF_6,
        };
        if bits < bits_min {
            return Err(InvalidNetwork::TooWide);
        }
        Ok(Self { address, bits })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let differing = ours.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let differing = ours.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// The proxies in front of the listener.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// These and no others.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether a connection from there is one of theirs.
    pub(crate) fn are_at(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }

    /// Whose request it is that came over a connection from `peer`.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.are_at(peer) {
            return peer;
        }
        let x_forwarded_for = entries(headers, &X_FORWARDED_FOR).map(address);
        let forwarded = entries(headers, &FORWARDED).map(forwarded_for);
        match (
            self.nearest(x_forwarded_for, peer),
            self.nearest(forwarded, peer),
        ) {
            (Some(one), None) | (None, Some(one)) => one,
            (Some(one), Some(other)) if one == other => one,
            // No proxy writes two truths: one of them is what the client sent.
            (Some(_), Some(_)) | (None, None) => peer,
        }
    }

    /// The first address from the right that is not a proxy's; the last that is, where something else follows. `None`
    /// without any entry.
    fn nearest(
        &self,
        entries: impl Iterator<Item = Option<IpAddr>>,
        peer: IpAddr,
    ) -> Option<IpAddr> {
        let mut nearest = None;
        for entry in entries {
            let Some(address) = entry else {
                return nearest.or(Some(peer));
            };
            nearest = Some(address);
            if !self.are_at(address) {
                break;
            }
        }
        nearest
    }
}

/// What a client counts as in limits per address. A network of 64 bits is what one client of IPv6 has.
pub(crate) fn counted_as(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let mask = u128::MAX << 64;
            IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & mask))
        }
    }
}

/// The entries of a header's lists, from the right.
fn entries<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().rev();
    // What is no text is an entry that names nobody.
    values.flat_map(|value: &HeaderValue| value.to_str().unwrap_or("?").rsplit(','))
}

/// An address as proxies write it: bare, with a port, in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => match text.split_once(':') {
            Some((four, port)) if !port.contains(':') => four,
            _ => text,
        },
    };
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

/// The `for` of an element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        let networks = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"];
        TrustedProxies::new(networks.map(|text| text.parse().unwrap()).to_vec())
    }

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let client = proxies().client(peer.parse().unwrap(), &map);
        client.to_string()
    }

    #[test]
    fn only_a_named_proxy_is_believed_and_the_client_is_what_it_saw() {
        let x = "x-forwarded-for";
        for (peer, headers, expected) in [
            // Nobody else is believed.
            ("203.0.113.9", vec![(x, "198.51.100.1")], "203.0.113.9"),
            ("10.1.2.3", vec![], "10.1.2.3"),
            ("10.1.2.3", vec![(x, "198.51.100.1")], "198.51.100.1"),
            // What the client wrote itself stands to the left.
            (
                "10.1.2.3",
                vec![(x, "1.1.1.1, 198.51.100.1")],
                "198.51.100.1",
            ),
            (
                "10.1.2.3",
                vec![(x, "1.1.1.1"), (x, "198.51.100.1")],
                "198.51.100.1",
            ),
            // A chain of our own proxies.
            (
                "10.1.2.3",
                vec![(x, "1.1.1.1,198.51.100.1, 192.0.2.7,10.9.9.9")],
                "198.51.100.1",
            ),
            ("10.1.2.3", vec![(x, "10.5.5.5, 10.9.9.9")], "10.5.5.5"),
            // Rubbish ends the reading: what is known is the nearest proxy.
            ("10.1.2.3", vec![(x, "198.51.100.1, unknown")], "10.1.2.3"),
            (
                "10.1.2.3",
                vec![(x, "198.51.100.1, unknown, 10.9.9.9")],
                "10.9.9.9",
            ),
            ("10.1.2.3", vec![(x, "")], "10.1.2.3"),
            ("10.1.2.3", vec![(x, "198.51.100.1:4711")], "198.51.100.1"),
            ("10.1.2.3", vec![(x, "::ffff:198.51.100.1")], "198.51.100.1"),
            ("fd00::1", vec![(x, "[2001:db8::5]:443")], "2001:db8::5"),
            ("fd00::1", vec![(x, "2001:db8::5")], "2001:db8::5"),
            (
                "10.1.2.3",
                vec![(
                    "forwarded",
                    r#"for=1.1.1.1, For="[2001:db8::5]:80";proto=https"#,
                )],
                "2001:db8::5",
            ),
            ("10.1.2.3", vec![("forwarded", "proto=https")], "10.1.2.3"),
            // A header that the proxy passed on unread cannot stand in for the one it wrote.
            (
                "10.1.2.3",
                vec![("forwarded", "for=1.1.1.1"), (x, "198.51.100.1")],
                "10.1.2.3",
            ),
            (
                "10.1.2.3",
                vec![("forwarded", "for=198.51.100.1"), (x, "198.51.100.1")],
                "198.51.100.1",
            ),
        ] {
            assert_eq!(client(peer, &headers), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn networks() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/-1",
            "localhost",
            "/8",
        ] {
            let fault = text.parse::<Network>();
            assert_eq!(fault, Err(InvalidNetwork::Syntax), "{text}");
        }
        for text in [
            "0.0.0.0/0",
            "::/0",
            "128.0.0.0/1",
            "2000::/3",
            "::ffff:0.0.0.0/96",
        ] {
            let fault = text.parse::<Network>();
            assert_eq!(fault, Err(InvalidNetwork::TooWide), "{text}");
        }
        let holds = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.holds(address.parse().unwrap())
        };
        assert!(holds("203.0.0.0/8", "203.0.113.9") && !holds("203.0.0.0/8", "::1"));
        assert!(holds("10.0.0.7", "10.0.0.7") && !holds("10.0.0.7", "10.0.0.6"));
        assert!(holds("172.16.0.0/12", "172.31.255.255") && !holds("172.16.0.0/12", "172.32.0.0"));
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe00::1"));
        assert!(holds("::ffff:10.0.0.7", "10.0.0.7") && holds("::ffff:10.0.0.0/104", "10.9.9.9"));
        assert!(!holds("::ffff:10.0.0.0/104", "11.0.0.1"));
        let counted = |address: &str| counted_as(address.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("203.0.113.9"), "203.0.113.9");
    }
}
