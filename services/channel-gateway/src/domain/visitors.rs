//! Who follows short links, as far as it can be told apart without a person to ask.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Returns what stands for the place somebody comes from: the address of the connection or, where a proxy of ours tells it in
/// a field, the last address there, which the proxy wrote and nobody before it. An IPv6 address stands for its /64: so
/// many addresses one subscriber has at least.
pub fn place(peer: Option<IpAddr>, told: Option<&str>) -> IpAddr {
    let told = told.and_then(|told| read(told.rsplit(',').next()?.trim()));
    let address = told.or(peer).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Some proxies write the port as well.
fn read(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let whole = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| whole()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_connections_or_what_the_proxy_told_last() {
        for (peer, told, expected) in [
            ("192.0.2.7", None, "192.0.2.7"),
            ("::ffff:192.0.2.7", None, "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::"),
            ("10.0.0.1", Some("192.0.2.7"), "192.0.2.7"),
            ("10.0.0.1", Some("6.6.6.6, 192.0.2.7"), "192.0.2.7"),
            ("10.0.0.1", Some("192.0.2.7:4711"), "192.0.2.7"),
            ("10.0.0.1", Some("[2001:db8::1]:4711"), "2001:db8::"),
            ("10.0.0.1", Some("[2001:db8::1]"), "2001:db8::"),
            ("10.0.0.1", Some("unknown"), "10.0.0.1"),
            ("10.0.0.1", Some(""), "10.0.0.1"),
        ] {
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(place(peer.parse().ok(), told), expected, "{peer} {told:?}");
        }
        assert!(place(None, None).is_unspecified());
    }
}
