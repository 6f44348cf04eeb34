use super::*;
use crate::{HostService, Protocol};

fn network() -> Network {
    let service = |protocol, port| HostService { protocol, port };
    let services = vec![
        service(Protocol::Udp, 53),
        service(Protocol::Tcp, 53),
        service(Protocol::Tcp, 80),
    ];
    let denied = ["169.254.0.0/16", "100.100.100.200/32"].map(|block| block.parse().unwrap());
    let network = Network::new("lab".parse().unwrap(), "10.77.0.0/29".parse().unwrap());
    network
        .with_services(services)
        .unwrap()
        .with_denied(denied.to_vec())
        .unwrap()
}

fn lease(address: &str) -> Lease {
    Lease {
        id: "web-1".parse().unwrap(),
        address: address.parse().unwrap(),
    }
}

fn text(ops: &[NetOp]) -> String {
    ops.iter().map(|op| format!("{op}\n")).collect()
}

/// The dry run of a network's whole life, reviewed like code. `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_plans_are_those_written_down() {
    let facts = HostFacts {
        uplink_mtu: 1_400,
        closed: vec!["eth0".to_owned(), "eth1".to_owned()],
    };
    let network = network();
    let lease = lease("10.77.0.2");
    let plans = [
        text(&plan_setup(&network, &facts)),
        text(&plan_attach(&network, &lease, 1_400).unwrap()),
        text(&plan_detach(&network, lease.address).unwrap()),
        text(&plan_teardown(
            &network,
            &["lab-2".to_owned()],
            &["eth0".to_owned()],
        )),
    ];
    let plans = plans.join("\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/plan.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &plans).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        plans, golden,
        "if this is meant, run again with UPDATE_GOLDEN=1 and read the difference"
    );
}

#[test]
fn a_plain_network_has_no_empty_sets() {
    let network = network()
        .with_denied(vec![])
        .unwrap()
        .with_services(vec![])
        .unwrap();
    let rules = Rules {
        network: &network,
        closed: &[],
    }
    .to_string();
    for absent in ["denied", CLOSED_SET, "dport"] {
        assert!(!rules.contains(absent), "{absent} in {rules}");
    }
}

#[test]
fn the_networks_mtu_goes_before_the_uplinks() {
    let facts = HostFacts {
        uplink_mtu: 1_400,
        closed: vec![],
    };
    let mtu = |network: &Network| {
        plan_setup(network, &facts).iter().find_map(|op| match op {
            NetOp::Bridge { mtu, .. } => Some(*mtu),
            _ => None,
        })
    };
    assert_eq!(mtu(&network()), Some(1_400));
    assert_eq!(mtu(&network().with_mtu(9_001).unwrap()), Some(9_001));
}

#[test]
fn foreign_addresses_have_no_plan() {
    for address in ["10.77.0.1", "10.77.0.7", "10.77.0.8", "192.0.2.1"] {
        assert_eq!(plan_attach(&network(), &lease(address), 1_500), None, "{address}");
        assert_eq!(
            plan_detach(&network(), address.parse().unwrap()),
            None,
            "{address}"
        );
    }
}

/// Rules before links, marks last: at no moment is a container without rules, or half-made and marked.
#[test]
fn the_order_holds_at_every_crash() {
    let facts = HostFacts {
        uplink_mtu: 1_500,
        closed: vec!["eth0".to_owned()],
    };
    let setup = plan_setup(&network(), &facts);
    assert!(matches!(setup[0], NetOp::LoadRules { .. }));
    let attach = plan_attach(&network(), &lease("10.77.0.3"), 1_500).unwrap();
    assert!(matches!(attach.last(), Some(NetOp::Label { .. })));
    let teardown = plan_teardown(&network(), &["lab-3".to_owned()], &["eth0".to_owned()]);
    assert!(matches!(teardown.last(), Some(NetOp::DropRules { .. })));
    assert!(matches!(&teardown[0], NetOp::DropLink { name } if name == "lab-3"));
}

#[test]
fn overlaps_are_found_but_not_with_oneself() {
    let on = |block: &str, device: &str| (block.parse::<Ipv4Block>().unwrap(), device.to_owned());
    let find = |in_use: &[(Ipv4Block, String)]| find_overlap(&network(), in_use);
    assert_eq!(
        find(&[
            on("0.0.0.0/0", "eth0"),
            on("10.77.0.0/29", "lab-br"),
            on("10.77.0.8/29", "eth0")
        ]),
        None
    );
    let clash = on("10.77.0.4/32", "eth0");
    assert_eq!(find(&[on("192.0.2.0/24", "eth0"), clash.clone()]), Some(clash));
    assert!(find(&[on("10.0.0.0/8", "tun0")]).is_some());
}

#[test]
fn only_plain_names_are_written_in_rules() {
    for name in ["eth0", "br-0a1b", "veth12@x", "a.100", "wg_0"] {
        assert!(is_plain(name), "{name}");
    }
    for name in ["", "a\"b", "a*", "a}b", "a;b", "ä"] {
        assert!(!is_plain(name), "{name}");
    }
}
