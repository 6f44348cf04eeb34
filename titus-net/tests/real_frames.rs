//! What a container can do with the frames it sends: hostile ones, made by hand. Each refusal is first shown to
//! be the work of the rules and the ports' settings: without them the same attempt succeeds.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use titus_net::{Datapath, Mac};

mod lab;

use lab::attack::{address, drop_rules, drop_rules_of, lab, set_up};
use lab::{GENEROUS, Place, at, lease, link_outside, on_a_host, run, wait_forwarding, wait_until};

/// Whether anything that `sender` sends from `source` arrives before what `honest` sends later.
fn arrives(sender: &Place, source: Ipv4Addr, honest: &Place, listener: &UdpSocket) -> bool {
    static ROUND: AtomicU64 = AtomicU64::new(0);
    let round = ROUND.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let to = at(address("10.77.0.4"), listener.local_addr().unwrap().port());
    let send = move |source: Ipv4Addr| {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        for _ in 0..10 {
            // The kernel may refuse what its neighbour table says is in vain: that is as good as unsent.
            let _sent = socket.send_to(&round, to);
        }
    };
    sender.enter(move || send(source));
    let honest_source = address("10.77.0.3");
    let (mut buffer, mut seen) = ([0; 8], false);
    listener
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    wait_until("what the honest container sends arrives", || {
        honest.enter(move || send(honest_source));
        while let Ok((_, from)) = listener.recv_from(&mut buffer) {
            seen |= buffer == round && from.ip() == source;
            if buffer == round && from.ip() == honest_source {
                return true;
            }
        }
        false
    });
    seen
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_container_cannot_speak_in_anothers_name() {
    on_a_host(|| async {
        let (datapath, [hostile, honest, victim]) = set_up(lab()).await;
        let listener = victim.enter(|| UdpSocket::bind("0.0.0.0:4000").unwrap());
        let own = address("10.77.0.2");
        assert!(arrives(&hostile, own, &honest, &listener));

        // Another source address, and the same with the hardware address that belongs to it.
        let foreign = address("10.77.0.99");
        hostile.run("ip addr add 10.77.0.99/24 dev eth0");
        assert!(!arrives(&hostile, foreign, &honest, &listener));
        set_mac(&hostile, Mac::of(foreign));
        assert!(!arrives(&hostile, foreign, &honest, &listener));
        // Its own address with another hardware address.
        assert!(!arrives(&hostile, own, &honest, &listener));
        drop_rules();
        // Without learning nobody answers to the new hardware address; so give it back.
        set_mac(&hostile, Mac::of(own));
        assert!(
            arrives(&hostile, foreign, &honest, &listener),
            "only the rules stop it"
        );
        datapath.setup().await.unwrap();
        assert!(!arrives(&hostile, foreign, &honest, &listener));
        assert!(arrives(&hostile, own, &honest, &listener));
    });
}

/// Changes the hardware address of the container `.2` and sets its link up again.
fn set_mac(place: &Place, mac: Mac) {
    place.run("ip link set eth0 down");
    place.run(&format!("ip link set eth0 address {mac}"));
    place.run("ip link set eth0 up");
    wait_forwarding("lab-2");
    let (_, _route_was_there) = place.attempt("ip route replace default via 10.77.0.1");
    for n in [1, 3, 4] {
        let neighbour = address(&format!("10.77.0.{n}"));
        place.run(&format!(
            "ip neigh replace {neighbour} lladdr {} dev eth0",
            Mac::of(neighbour)
        ));
    }
}

/// Sends one frame, in base 16, from the container's link.
fn send_frame(place: &Place, frame: &str) {
    let index = place.enter(|| nix::net::if_::if_nametoindex("eth0").unwrap());
    place.run(&format!("perl tests/lab/frame.pl {index} {frame}"));
}

fn bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(mac: Mac) -> String {
    mac.to_string().replace(':', "")
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_container_cannot_answer_for_another() {
    on_a_host(|| async {
        let (_datapath, [hostile, honest, victim]) = set_up(lab()).await;
        let (thief, owner) = (Mac::of(address("10.77.0.2")), Mac::of(address("10.77.0.3")));
        assert!(honest.pings("10.77.0.4", GENEROUS));
        let believes = |mac: Mac| victim.run("ip neigh show 10.77.0.3").contains(&mac.to_string());
        assert!(believes(owner));
        // "10.77.0.3 is at the thief's", once as its own frame and once in the owner's name.
        let claim = |source: Mac| {
            let to = hex(Mac::of(address("10.77.0.4")));
            let arp = format!("0001080006040002{}0a4d0003{to}0a4d0004", hex(thief));
            send_frame(&hostile, &format!("{to}{}0806{arp}", hex(source)));
        };
        claim(thief);
        claim(owner);
        // Whatever was sent before an answered ping has arrived.
        assert!(honest.pings("10.77.0.4", GENEROUS));
        assert!(believes(owner));
        drop_rules();
        wait_until("without the rules the victim believes it", || {
            claim(thief);
            believes(thief)
        });
    });
}

/// How many frames the rules for ports have dropped.
fn dropped() -> u32 {
    let chain = run("nft list chain bridge titus_lab prerouting");
    let count = chain.split("counter packets ").nth(1).unwrap();
    count.split(' ').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn frames_are_their_senders_in_every_part() {
    on_a_host(|| async {
        let (_datapath, [hostile, other]) = set_up(lab()).await;
        let (own, foreign) = (address("10.77.0.2"), address("10.77.0.3"));
        let frame = |source: Mac, sender: Mac, sender_address: Ipv4Addr| {
            let arp = format!(
                "0001080006040002{}{}",
                hex(sender),
                bytes(&sender_address.octets())
            );
            let target = "0274000000000a4d0001";
            format!(
                "{}{}0806{arp}{target}",
                hex(Mac::of(address("10.77.0.1"))),
                hex(source)
            )
        };
        let vlan = ipv4(
            17,
            "10.77.0.2",
            "10.77.0.1",
            &[0x0f, 0xa0, 0x0f, 0xa0, 0, 8, 0, 0],
        );
        let to_host = hex(Mac::of(address("10.77.0.1"))) + &hex(Mac::of(own));
        let bad = [
            frame(Mac::of(foreign), Mac::of(own), own),
            frame(Mac::of(own), Mac::of(foreign), own),
            frame(Mac::of(own), Mac::of(own), foreign),
            frame(Mac::of(foreign), Mac::of(foreign), foreign),
            format!("{to_host}810000010800{}", bytes(&vlan)),
            format!("{to_host}88b50000"),
        ];
        // What the kernel sends by itself would be counted too.
        for place in [&hostile, &other] {
            place.run("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1");
            assert!(place.pings("10.77.0.1", GENEROUS));
        }
        let mut expected = dropped();
        for frame in bad {
            send_frame(&hostile, &frame);
            expected += 1;
            wait_until("the frame is dropped", || dropped() == expected);
        }
        send_frame(&hostile, &frame(Mac::of(own), Mac::of(own), own));
        send_frame(&hostile, &format!("{to_host}0800{}", bytes(&vlan)));
        assert!(hostile.pings("10.77.0.1", GENEROUS));
        assert_eq!(dropped(), expected, "its own pass");
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_container_cannot_draw_anothers_frames() {
    on_a_host(|| async {
        let (datapath, [hostile, honest, _victim]) = set_up(lab()).await;
        let stolen = Mac::of(address("10.77.0.4"));
        let place_of = || {
            let table = run("bridge fdb show br lab-br");
            let line = table.lines().find(|line| line.starts_with(&stolen.to_string()));
            line.unwrap_or_default()
                .split_whitespace()
                .nth(2)
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(place_of(), "lab-4");
        // By frames that a bridge takes for its own protocols, and by an ordinary one.
        let try_all = || {
            for group in 0..16 {
                send_frame(&hostile, &format!("0180c20000{group:02x}{}88cc0000", hex(stolen)));
            }
            send_frame(
                &hostile,
                &format!("{}{}88b50000", hex(Mac::of(address("10.77.0.3"))), hex(stolen)),
            );
            // Whatever was sent before an answered ping was seen by the bridge.
            assert!(honest.pings("10.77.0.1", GENEROUS));
        };
        try_all();
        assert_eq!(place_of(), "lab-4");
        drop_rules();
        try_all();
        assert_eq!(place_of(), "lab-4", "the ports alone stop it");
        datapath.setup().await.unwrap();
        run("ip link set lab-2 type bridge_slave learning on");
        try_all();
        assert_eq!(place_of(), "lab-4", "the rules alone stop it");
        drop_rules();
        try_all();
        assert_eq!(place_of(), "lab-2", "nothing else stops it");
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn reserved_frames_do_not_bypass_the_rules() {
    on_a_host(|| async {
        let (datapath, [hostile]) = set_up(lab()).await;
        let host = UdpSocket::bind("0.0.0.0:4000").unwrap();
        host.set_nonblocking(true).unwrap();
        // Datagrams to the gateway, from honest and other sources, to groups that a bridge hands up.
        let try_all = || {
            for group in 0..16 {
                for source in ["10.77.0.2", "10.77.0.99", "203.0.113.9"] {
                    let mac = hex(Mac::of(address("10.77.0.2")));
                    let packet = ipv4(17, source, "10.77.0.1", &[0x0f, 0xa0, 0x0f, 0xa0, 0, 8, 0, 0]);
                    send_frame(
                        &hostile,
                        &format!("0180c20000{group:02x}{mac}0800{}", bytes(&packet)),
                    );
                }
            }
            assert!(hostile.pings("10.77.0.1", GENEROUS));
            std::iter::from_fn(|| host.recv_from(&mut [0; 8]).ok()).count()
        };
        assert_eq!(try_all(), 0);
        drop_rules_of("ip");
        assert_eq!(try_all(), 0, "the rules for frames alone stop it");
        datapath.setup().await.unwrap();
        run("ip link set lab-br type bridge group_fwd_mask 0");
        assert_eq!(try_all(), 0, "the IPv4 rules alone stop it");
        drop_rules();
        assert!(try_all() > 0, "only the rules stop it");
    });
}

/// An IPv4 header with its checksum, and what it carries.
fn ipv4(protocol: u8, source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut header = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend(address(source).octets());
    header.extend(address(destination).octets());
    let sum = checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    [&header, payload].concat()
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_container_cannot_break_the_hosts_connections() {
    on_a_host(|| async {
        let outside = Place::outside();
        link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
        let (_datapath, [hostile]) = set_up(lab()).await;
        let there = outside.enter(|| UdpSocket::bind("198.51.100.2:5000").unwrap());
        let here = UdpSocket::bind("198.51.100.1:5001").unwrap();
        here.connect("198.51.100.2:5000").unwrap();
        here.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // "Port unreachable", about the host's datagram: a firewall takes it for a part of that connection.
        let datagram = ipv4(
            17,
            "198.51.100.1",
            "198.51.100.2",
            &[0x13, 0x89, 0x13, 0x88, 0, 8, 0, 0],
        );
        let mut error = [&[3, 3, 0, 0, 0, 0, 0, 0], &datagram[..]].concat();
        let sum = checksum(&error).to_be_bytes();
        error[2..4].copy_from_slice(&sum);
        let packet = ipv4(1, "10.77.0.2", "198.51.100.1", &error);
        let macs = hex(Mac::of(address("10.77.0.1"))) + &hex(Mac::of(address("10.77.0.2")));
        let broken = || {
            here.send(b"hello").unwrap();
            send_frame(&hostile, &format!("{macs}0800{}", bytes(&packet)));
            assert!(hostile.pings("10.77.0.1", GENEROUS));
            here.recv(&mut [0; 8]).unwrap_err().kind() == std::io::ErrorKind::ConnectionRefused
        };
        assert!(!broken());
        drop_rules();
        wait_until("without the rules the host believes it", broken);
        drop(there);
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_container_sees_no_frames_but_its_own() {
    on_a_host(|| async {
        let (_datapath, [one, _two, three]) = set_up(lab()).await;
        assert!(one.pings("10.77.0.3", GENEROUS));
        let seen = || -> u64 {
            let text = three.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
            let line = text.lines().find(|line| line.contains("eth0")).unwrap();
            line.split_whitespace().nth(2).unwrap().parse().unwrap()
        };
        let before = seen();
        for _ in 0..20 {
            assert!(one.pings("10.77.0.3", GENEROUS));
        }
        let _member = one.enter(|| {
            let socket = UdpSocket::bind("10.77.0.2:0").unwrap();
            let (group, own) = ([239, 1, 2, 3].into(), [10, 77, 0, 2].into());
            socket.join_multicast_v4(&group, &own).unwrap();
            for _ in 0..20 {
                socket.send_to(b"x", "239.1.2.3:4000").unwrap();
            }
            socket
        });
        // Unknown to the bridge now: dropped, not flooded.
        run("bridge fdb del 02:74:0a:4d:00:03 dev lab-3 master");
        for _ in 0..20 {
            assert!(!one.pings("10.77.0.3", Duration::from_millis(5)));
        }
        assert!(
            seen() < before + 20,
            "the third container saw frames of the other two"
        );
        let groups = run("bridge mdb show dev lab-br");
        assert!(
            !groups.contains("239.1.2.3"),
            "a container fills the bridge's tables: {groups}"
        );
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn no_ipv6_leaves_a_container() {
    on_a_host(|| async {
        let (_datapath, [one, two]) = set_up(lab()).await;
        for port in ["lab-2", "lab-3"] {
            run(&format!("ip link set {port} type bridge_slave mcast_flood on"));
        }
        one.run("ip -6 addr add fd00::2/64 dev eth0 nodad");
        two.run("ip -6 addr add fd00::3/64 dev eth0 nodad");
        let (one_mac, two_mac) = (Mac::of(address("10.77.0.2")), Mac::of(address("10.77.0.3")));
        one.run(&format!("ip -6 neigh replace fd00::3 lladdr {two_mac} dev eth0"));
        two.run(&format!("ip -6 neigh replace fd00::2 lladdr {one_mac} dev eth0"));
        let _listener = two.listen("[::]:4000");
        assert!(!one.reaches("[fd00::3]:4000".parse().unwrap()));

        drop_rules();
        wait_until("without the rules IPv6 works", || {
            one.reaches("[fd00::3]:4000".parse().unwrap())
        });
    });
}

/// The container's root may send to any netlink socket in its namespace, so also to the one that wires it in.
#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_container_that_forges_answers_harms_only_itself() {
    on_a_host(|| async {
        let (datapath, [honest]) = set_up(lab()).await;
        let hostile = Place::container();
        let mut forger = hostile.spawn(&format!("perl tests/lab/forge.pl {}", std::process::id()));
        let _lines = forger.wait_for("ready");
        // It may drown the kernel's answers: then the attempt ends with an error, and nothing is left of it.
        for _ in 0..2 {
            let outcome = datapath
                .attach(&lease("hostile", "10.77.0.9"), &hostile.netns())
                .await;
            let listed = datapath.list().await.unwrap();
            let wired = listed.iter().any(|found| found.address == address("10.77.0.9"));
            assert_eq!(wired, outcome.is_ok(), "{outcome:?}");
        }
        drop(forger);
        assert!(honest.pings("10.77.0.1", GENEROUS));
        let next = Place::container();
        datapath
            .attach(&lease("next", "10.77.0.10"), &next.netns())
            .await
            .unwrap();
        assert!(next.pings("10.77.0.1", GENEROUS));
        assert!(run("ip -o addr show dev lo").contains("127.0.0.1"));
    });
}
