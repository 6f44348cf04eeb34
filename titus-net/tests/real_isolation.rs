//! What a container reaches and what it does not, against containers that are root in their namespaces and
//! hostile. Each refusal is first shown to be the work of the rules: without them the same attempt succeeds.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use titus_net::{Datapath, HostService, Protocol};

mod lab;

use lab::attack::{PORT, address, drop_rules, drop_rules_of, lab, set_up};
use lab::{GENEROUS, Place, at, link_outside, network, on_a_host, run, wait_until};

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn nothing_depends_on_the_bridges_netfilter() {
    for on in ["0", "1"] {
        on_a_host(move || async move {
            // There only where the kernel has it; elsewhere it is as if off.
            let (_, _set) = lab::attempt(&format!("sysctl -q -w net.bridge.bridge-nf-call-iptables={on}"));
            let outside = Place::outside();
            link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
            let (_datapath, [one, two]) = set_up(lab()).await;
            let _listeners = [two.listen("0.0.0.0:4000"), outside.listen("0.0.0.0:4000")];
            let _host = TcpListener::bind("0.0.0.0:4000").unwrap();
            for (host, expected) in [
                ("10.77.0.3", true),
                ("198.51.100.2", true),
                ("10.77.0.1", false),
                ("198.51.100.1", false),
            ] {
                assert_eq!(
                    one.reaches(at(address(host), PORT)),
                    expected,
                    "{host}, with {on}"
                );
            }
        });
    }
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn containers_reach_each_other_and_the_host_reaches_them() {
    on_a_host(|| async {
        let (_datapath, [one, two]) = set_up(lab()).await;
        let listener = two.listen("0.0.0.0:4000");
        let there = at(address("10.77.0.3"), PORT);
        one.connect(there).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), address("10.77.0.2"));
        std::net::TcpStream::connect_timeout(&there, GENEROUS).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), address("10.77.0.1"));
        assert!(
            two.reaches(at(address("127.0.0.1"), PORT)),
            "its own loopback link is up"
        );
        assert!(one.pings("10.77.0.1", GENEROUS));
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn the_outside_sees_the_hosts_address_and_cannot_open_connections() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        let (_datapath, [container]) = set_up(lab()).await;
        let listener = outside.listen("198.51.100.2:4000");
        container.connect(at(address("198.51.100.2"), PORT)).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), address("198.51.100.1"));

        let _inside = container.listen("0.0.0.0:4000");
        outside.run("ip route add 10.77.0.0/24 via 198.51.100.1");
        assert!(!outside.reaches(at(address("10.77.0.2"), PORT)));
        drop_rules();
        assert!(
            outside.reaches(at(address("10.77.0.2"), PORT)),
            "only the rules stop it"
        );
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_host_that_did_not_forward_becomes_no_router() {
    on_a_host(|| async {
        run("sysctl -q -w net.ipv4.ip_forward=0");
        let (left, right) = (Place::outside(), Place::outside());
        link_outside(&left, "wan0", "198.51.100.1", "198.51.100.2");
        link_outside(&right, "lan0", "203.0.113.1", "203.0.113.2");
        left.run("ip route add 203.0.113.0/24 via 198.51.100.1");
        right.run("ip route add 198.51.100.0/24 via 203.0.113.1");
        let _listener = right.listen("0.0.0.0:4000");
        let there = at(address("203.0.113.2"), PORT);
        assert!(!left.reaches(there), "the host forwards nothing");
        let (_datapath, [container]) = set_up(lab()).await;
        assert!(container.reaches(there));
        assert!(
            !left.reaches(there),
            "the network must not open the host to others"
        );
        drop_rules();
        assert!(left.reaches(there), "only the rules stop it");
        assert_eq!(run("cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
    });
}

/// Where a container might find the host: the gateway, another address, loopback, metadata.
const HOST: [&str; 4] = ["10.77.0.1", "198.51.100.1", "127.0.0.1", "169.254.169.254"];

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn the_host_is_out_of_reach() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        run("ip addr add 169.254.169.254/32 dev lo");
        // What kube-proxy does to a host: loopback addresses become reachable from its links.
        run("sysctl -q -w net.ipv4.conf.all.route_localnet=1");
        let (datapath, [container]) = set_up(lab()).await;
        let _listener = TcpListener::bind("0.0.0.0:4000").unwrap();
        // A hostile container sends even loopback addresses out by its link.
        container.run("sysctl -q -w net.ipv4.conf.all.route_localnet=1");
        container.run("ip addr flush dev lo");

        let reached = || HOST.map(|host| container.reaches(at(address(host), PORT)));
        assert_eq!(reached(), [false; 4]);
        run("sysctl -q -w net.ipv4.conf.all.rp_filter=0");
        run("sysctl -q -w net.ipv4.conf.lab-br.rp_filter=0");
        assert_eq!(reached(), [false; 4]);
        drop_rules();
        assert_eq!(reached(), [true; 4], "only the rules stop it");
        datapath.setup().await.unwrap();
        assert_eq!(reached(), [false; 4]);
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn arp_tells_no_other_address_of_the_host() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        let (_datapath, [hostile]) = set_up(lab()).await;
        hostile.run("ip route add 198.51.100.0/24 dev eth0");
        let told = || {
            assert!(!hostile.reaches(at(address("198.51.100.1"), PORT)));
            hostile.run("ip neigh show 198.51.100.1").contains("lladdr")
        };
        assert!(!told());
        run("sysctl -q -w net.ipv4.conf.lab-br.arp_ignore=0");
        wait_until("without the setting it is told", told);
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn metadata_beyond_the_host_is_out_of_reach() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        outside.run("ip addr add 169.254.169.254/32 dev lo");
        run("ip route add 169.254.169.254/32 via 198.51.100.2");
        let _listener = outside.listen("0.0.0.0:4000");
        let metadata = at(address("169.254.169.254"), PORT);
        let (_datapath, [container]) = set_up(lab()).await;
        assert!(!container.reaches(metadata));
        // Nor by an address that somebody's rules translate into it, or it into.
        run("nft -f tests/lab/translate.nft");
        assert!(!container.reaches(metadata), "translated to 198.51.100.2");
        assert!(
            !container.reaches(at(address("192.0.2.80"), PORT)),
            "translated to 169.254.169.254"
        );
        drop_rules_of("ip");
        run("nft -f tests/lab/masquerade.nft");
        assert!(container.reaches(metadata), "only the rules stop it");
        assert!(
            container.reaches(at(address("192.0.2.80"), PORT)),
            "only the rules stop it"
        );
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn named_services_are_reached_at_the_gateway_only() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        let service = |protocol| HostService { protocol, port: PORT };
        let network = lab()
            .with_services(vec![service(Protocol::Tcp), service(Protocol::Udp)])
            .unwrap();
        let (_datapath, [container]) = set_up(network).await;
        let _listeners = [PORT, PORT + 1].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        assert!(container.reaches(at(address("10.77.0.1"), PORT)));
        assert!(!container.reaches(at(address("10.77.0.1"), PORT + 1)));
        assert!(!container.reaches(at(address("198.51.100.1"), PORT)));
        let host = UdpSocket::bind("10.77.0.1:4000").unwrap();
        let socket = container.enter(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        exchange(&socket, &host, "10.77.0.1:4000");
    });
}

/// Sends until the other end has it; UDP may lose.
fn exchange(from: &UdpSocket, to: &UdpSocket, address: &str) {
    to.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 16];
    wait_until("the datagram arrives", || {
        from.send_to(b"hello", address).unwrap();
        to.recv_from(&mut buffer).is_ok()
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn networks_of_one_host_do_not_reach_each_other() {
    on_a_host(|| async {
        let (_lab, [one]) = set_up(lab()).await;
        let (_other, [two]) = set_up(network("other", "10.78.0.0/24")).await;
        let _listener = two.listen("0.0.0.0:4000");
        let _back = one.listen("0.0.0.0:4000");
        assert!(!one.reaches(at(address("10.78.0.2"), PORT)));
        assert!(!two.reaches(at(address("10.77.0.2"), PORT)));
        drop_rules();
        run("nft delete table ip titus_other");
        assert!(
            one.reaches(at(address("10.78.0.2"), PORT)),
            "only the rules stop it"
        );
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_foreign_source_does_not_leave_the_host() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        let (_datapath, [hostile]) = set_up(lab()).await;
        // The rules for frames stop it first, so take them away.
        drop_rules_of("bridge");
        let filter = run("cat /proc/sys/net/ipv4/conf/lab-br/rp_filter");
        let filter_paths = |on: &str| run(&format!("sysctl -q -w net.ipv4.conf.lab-br.rp_filter={on}"));
        run("sysctl -q -w net.ipv4.conf.all.rp_filter=0");
        filter_paths("0");
        hostile.run("ip addr add 203.0.113.9/32 dev lo");
        let there = outside.listen_udp("198.51.100.2:4000");
        let send = |source: &str| {
            let from = at(address(source), 0);
            hostile.enter(move || {
                UdpSocket::bind(from)
                    .unwrap()
                    .send_to(b"x", "198.51.100.2:4000")
                    .unwrap()
            });
            there.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            there.recv_from(&mut [0; 8]).ok().map(|(_, from)| from.ip())
        };
        wait_until("its own arrives", || {
            send("10.77.0.2") == Some(address("198.51.100.1").into())
        });
        while there.recv_from(&mut [0; 8]).is_ok() {}
        assert_eq!(send("203.0.113.9"), None, "the rules for packets alone stop it");
        drop_rules_of("ip");
        filter_paths(filter.trim());
        assert_eq!(
            send("203.0.113.9"),
            None,
            "the filter of reverse paths alone stops it"
        );
        filter_paths("0");
        wait_until("only these stop it", || {
            send("203.0.113.9") == Some(address("203.0.113.9").into())
        });
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn the_outside_cannot_speak_in_a_containers_name() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        let (_datapath, [_container]) = set_up(lab()).await;
        run("sysctl -q -w net.ipv4.conf.all.rp_filter=0");
        run("sysctl -q -w net.ipv4.conf.wan0.rp_filter=0");
        outside.run("ip addr add 10.77.0.50/32 dev lo");
        let host = UdpSocket::bind("198.51.100.1:4000").unwrap();
        host.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let send = |source: &str| {
            let from = at(address(source), 0);
            outside.enter(move || {
                UdpSocket::bind(from)
                    .unwrap()
                    .send_to(b"x", "198.51.100.1:4000")
                    .unwrap()
            });
            host.recv_from(&mut [0; 8]).is_ok()
        };
        wait_until("its own arrives", || send("198.51.100.2"));
        while host.recv_from(&mut [0; 8]).is_ok() {}
        assert!(!send("10.77.0.50"));
        drop_rules();
        wait_until("only the rules stop it", || send("10.77.0.50"));
    });
}
