//! The client of a request, for the limits per client.
//!
//! The client is the other end of the connection or, if that is a trusted proxy, the rightmost address
//! of `X-Forwarded-For` that is not one: everything to the left of it is only claimed by the client.
//! Trusted are this machine and `TRUSTED_PROXIES`. Private addresses are not: others on the same network
//! could impersonate any client.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use ipnet::IpNet;

/// The bits of an IPv6 address that a client may choose: providers assign at least a /64.
const HOST_BITS: u128 = u64::MAX as u128;

/// The client's address, in the extensions of every request whose client is known. An IPv6 client is its
/// /64 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Puts the [`ClientAddress`] into the extensions of requests.
pub(super) fn identify<B>(trusted: &[IpNet]) -> impl Fn(Request<B>) -> Request<B> + Clone + use<B> {
    let trusted: Arc<[IpNet]> = trusted.into();
    move |mut request| {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        if let Some(client) = peer.and_then(|peer| client(peer, request.headers(), &trusted)) {
            request.extensions_mut().insert(ClientAddress(client));
        }
        request
    }
}

/// Returns the client; `None` if it is a trusted proxy that does not specify one, or this machine itself.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| address.is_loopback() || trusted.iter().any(|range| range.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        warn_of_unknown_proxy(client, headers);
    }
    for hop in forwarded(headers).into_iter().rev() {
        if !is_trusted(&client) {
            break;
        }
        // A proxy that does not say where a request came from is the last known hop.
        let Some(hop) = address(hop) else { break };
        client = hop;
    }
    Some(client).filter(|client| !is_trusted(client)).map(network)
}

/// Returns the addresses of `X-Forwarded-For`. Several headers are one list.
fn forwarded(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all("x-forwarded-for").iter().flat_map(|line| line.to_str().unwrap_or_default().split(',')).collect()
}

/// Parses an address, which some proxies write with its port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !HOST_BITS).into(),
    }
}

/// Logs once that a proxy seems not to be configured: until it is, all its clients share one limit.
fn warn_of_unknown_proxy(peer: IpAddr, headers: &HeaderMap) {
    static HAS_WARNED: AtomicBool = AtomicBool::new(false);
    let is_private = match peer {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    };
    if is_private && headers.contains_key("x-forwarded-for") && !HAS_WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!("X-Forwarded-For from {peer} is ignored; if it is your proxy, add it to TRUSTED_PROXIES");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client, when only this machine is trusted.
    fn of(peer: &str, forwarded: &[&str]) -> Option<String> {
        behind(&[], peer, forwarded)
    }

    fn behind(trusted: &[&str], peer: &str, forwarded: &[&str]) -> Option<String> {
        let trusted: Vec<IpNet> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        client(peer.parse().unwrap(), &headers, &trusted).map(|client| client.to_string())
    }

    fn some(client: &str) -> Option<String> {
        Some(client.to_owned())
    }

    #[test]
    fn without_a_proxy_the_client_is_the_peer() {
        assert_eq!(of("203.0.113.7", &[]), some("203.0.113.7"));
        assert_eq!(of("127.0.0.1", &[]), None, "this machine is not a client");
    }

    #[test]
    fn only_a_trusted_peer_may_set_the_client() {
        for peer in
            ["203.0.113.7", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.0.1", "fd00:0:0:1::"]
        {
            assert_eq!(of(peer, &["198.51.100.9"]), some(peer));
        }
        for peer in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(peer, &["198.51.100.9"]), some("198.51.100.9"), "{peer}");
        }
        assert_eq!(behind(&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.9"]), some("198.51.100.9"));
        assert_eq!(behind(&["10.0.0.0/8"], "::ffff:10.1.2.3", &["198.51.100.9"]), some("198.51.100.9"));
        assert_eq!(behind(&["10.0.0.0/8"], "11.1.2.3", &["198.51.100.9"]), some("11.1.2.3"));
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_trusted() {
        assert_eq!(of("127.0.0.1", &["1.1.1.1, 198.51.100.9"]), some("198.51.100.9"));
        assert_eq!(of("127.0.0.1", &["1.1.1.1", "2.2.2.2,198.51.100.9"]), some("198.51.100.9"));
        let proxies = ["10.0.0.0/8", "2001:db8:1::/48"];
        assert_eq!(behind(&proxies, "10.0.0.1", &["1.1.1.1, 198.51.100.9, 10.0.0.2"]), some("198.51.100.9"));
        assert_eq!(behind(&proxies, "10.0.0.1", &["198.51.100.9, 2001:db8:1::5, 127.0.0.1"]), some("198.51.100.9"));
        assert_eq!(behind(&proxies, "10.0.0.1", &["10.0.0.3, 10.0.0.2"]), None, "only proxies are known");
    }

    #[test]
    fn addresses_to_the_left_of_an_unreadable_one_are_ignored() {
        for line in ["1.1.1.1, unknown", "1.1.1.1,", "1.1.1.1, _hidden", "1.1.1.1, 10.0.0.256"] {
            assert_eq!(of("127.0.0.1", &[line]), None, "{line}");
        }
        assert_eq!(behind(&["10.0.0.0/8"], "203.0.113.7", &["unknown"]), some("203.0.113.7"));
    }

    #[test]
    fn an_address_may_have_a_port_or_be_mapped() {
        for line in ["198.51.100.9:443", "::ffff:198.51.100.9", "[::ffff:198.51.100.9]", "[::ffff:198.51.100.9]:443"] {
            assert_eq!(of("127.0.0.1", &[line]), some("198.51.100.9"), "{line}");
        }
        assert_eq!(of("::ffff:198.51.100.9", &[]), some("198.51.100.9"));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let client = some("2001:db8:0:7::");
        assert_eq!(of("2001:db8:0:7:1:2:3:4", &[]), client);
        for line in ["2001:db8:0:7::9", "[2001:db8:0:7:ffff:ffff:ffff:ffff]:443"] {
            assert_eq!(of("::1", &[line]), client, "{line}");
        }
        assert_ne!(of("2001:db8:0:8::1", &[]), client);
    }
}
