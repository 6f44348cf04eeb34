//! What is done to the kernel, as data: planned here by pure functions, printed for a dry run, performed by
//! the data path without any choice left.

use std::fmt;
use std::net::Ipv4Addr;

use crate::{Ipv4Block, Lease, Mac, Network};

mod rules;
#[cfg(test)]
mod tests;

pub use rules::{CLOSED_SET, Rules, TABLE_PREFIX, is_plain, table};

/// The switch that makes the whole host a router, a path below `/proc/sys`.
pub const ROUTER_PATH: &str = "net/ipv4/ip_forward";

/// The name of the interface inside a container.
pub const CONTAINER_LINK: &str = "eth0";

/// What planning needs to know of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The MTU of the link that the host's default route leaves by, or 1,500 without one.
    pub uplink_mtu: u32,
    /// The interfaces whose packets the host does not forward by its own choice. Answers to containers come
    /// in there, so they are made to forward, and held apart from each other by a rule. Empty on a router.
    pub closed: Vec<String>,
}

/// One operation on the kernel. Its text is a line of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetOp {
    /// Load rules, replacing the tables of the same names, all or nothing.
    LoadRules {
        /// In the language of `nft -f`.
        text: String,
    },
    /// Remove the rules, if they are there.
    DropRules {
        /// The name of the tables.
        table: String,
    },
    /// Make the bridge, unless it is there and ours, and set it up.
    Bridge {
        /// Its name.
        name: String,
        /// Its hardware address, fixed so that it does not change with its ports.
        mac: Mac,
        /// Bytes.
        mtu: u32,
        /// The text that marks it as ours.
        alias: String,
    },
    /// Write a setting below `/proc/sys`, unless it has the value.
    Sysctl {
        /// The path below `/proc/sys`.
        path: String,
        /// The value.
        value: &'static str,
        /// Whether its absence is fine, because then the kernel lacks what it would switch off.
        optional: bool,
    },
    /// Give a host's link an address, unless it has it.
    HostAddress {
        /// The link.
        link: String,
        /// The address.
        address: Ipv4Addr,
        /// The number of leading bits that are on the link.
        prefix: u8,
    },
    /// Make a pair of links, one end a port of the bridge, the other in the container, both down.
    Veth {
        /// The host's end.
        port: String,
        /// The bridge that it joins.
        bridge: String,
        /// The hardware address of the container's end.
        mac: Mac,
        /// Bytes.
        mtu: u32,
    },
    /// Let a port neither learn nor be flooded, so that it gets no frames but its own, then set it up.
    Guard {
        /// The port.
        port: String,
    },
    /// Tell the bridge which hardware address is behind the port.
    Forward {
        /// The port.
        port: String,
        /// The hardware address behind it.
        mac: Mac,
    },
    /// Inside: set the loopback link and the container's link up.
    InsideUp,
    /// Inside: give the container's link its address.
    InsideAddress {
        /// The address.
        address: Ipv4Addr,
        /// The number of leading bits that are on the link.
        prefix: u8,
    },
    /// Inside: note the gateway's hardware address, which saves asking for it.
    InsideNeighbour {
        /// The gateway.
        address: Ipv4Addr,
        /// Its hardware address.
        mac: Mac,
    },
    /// Inside: route everything else through the gateway.
    InsideRoute {
        /// The gateway.
        gateway: Ipv4Addr,
    },
    /// Wait until the bridge passes the port's frames, which follows its being up after a moment. Without it a
    /// container's first packet may be lost, and TCP tries again only after a second.
    AwaitPort {
        /// The port.
        port: String,
    },
    /// Mark a port as the attachment's. Comes last: an unmarked port is one left by a crash.
    Label {
        /// The port.
        port: String,
        /// The text that marks it.
        alias: String,
    },
    /// Remove a link of the host, if it is there.
    DropLink {
        /// The link.
        name: String,
    },
}

impl NetOp {
    /// Whether it happens in the container's network namespace.
    pub fn is_inside(&self) -> bool {
        use NetOp::{InsideAddress, InsideNeighbour, InsideRoute, InsideUp};
        matches!(
            self,
            InsideUp | InsideAddress { .. } | InsideNeighbour { .. } | InsideRoute { .. }
        )
    }
}

impl fmt::Display for NetOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadRules { text } => write!(f, "nft -f - <<END\n{text}END"),
            Self::DropRules { table } => write!(f, "drop nft tables {table}"),
            Self::Bridge {
                name,
                mac,
                mtu,
                alias,
            } => {
                write!(f, "bridge {name} mac {mac} mtu {mtu} alias {alias:?}")
            }
            Self::Sysctl { path, value, .. } => write!(f, "write {value} to /proc/sys/{path}"),
            Self::HostAddress {
                link,
                address,
                prefix,
            } => write!(f, "address {address}/{prefix} on {link}"),
            Self::Veth {
                port,
                bridge,
                mac,
                mtu,
            } => {
                write!(
                    f,
                    "veth {port} on {bridge}, {CONTAINER_LINK} mac {mac} in the container, mtu {mtu}"
                )
            }
            Self::Guard { port } => write!(f, "port {port} up, no learning, no flooding"),
            Self::Forward { port, mac } => write!(f, "forward {mac} to {port}"),
            Self::InsideUp => write!(f, "inside: lo and {CONTAINER_LINK} up"),
            Self::InsideAddress { address, prefix } => {
                write!(f, "inside: address {address}/{prefix} on {CONTAINER_LINK}")
            }
            Self::InsideNeighbour { address, mac } => write!(f, "inside: neighbour {address} is {mac}"),
            Self::InsideRoute { gateway } => write!(f, "inside: default route via {gateway}"),
            Self::AwaitPort { port } => write!(f, "wait for port {port}"),
            Self::Label { port, alias } => write!(f, "port {port} alias {alias:?}"),
            Self::DropLink { name } => write!(f, "drop link {name}"),
        }
    }
}

/// What makes a network, in an order in which a container is at no moment without its rules. Doing it again
/// changes nothing.
pub fn plan_setup(network: &Network, facts: &HostFacts) -> Vec<NetOp> {
    let bridge = network.bridge();
    let own = |key, value| NetOp::Sysctl {
        path: format!("net/ipv4/conf/{bridge}/{key}"),
        value,
        optional: false,
    };
    let mut ops = vec![
        NetOp::LoadRules {
            text: Rules {
                network,
                closed: &facts.closed,
            }
            .to_string(),
        },
        NetOp::Bridge {
            name: bridge.clone(),
            mac: network.gateway_mac(),
            mtu: network.mtu().unwrap_or(facts.uplink_mtu),
            alias: network.bridge_alias(),
        },
        own("rp_filter", "1"),
        own("arp_ignore", "1"),
        own("send_redirects", "0"),
        own("accept_redirects", "0"),
        own("accept_source_route", "0"),
        own("forwarding", "1"),
        NetOp::Sysctl {
            path: format!("net/ipv6/conf/{bridge}/disable_ipv6"),
            value: "1",
            optional: true,
        },
        NetOp::HostAddress {
            link: bridge.clone(),
            address: network.subnet().gateway(),
            prefix: network.subnet().prefix(),
        },
    ];
    ops.extend(facts.closed.iter().map(|link| forwarding(link, "1")));
    ops
}

/// The setting that lets packets which come in by `link` be forwarded, a path below `/proc/sys`.
pub fn forwarding_path(link: &str) -> String {
    format!("net/ipv4/conf/{link}/forwarding")
}

/// A link of the host's own may go away at any time.
fn forwarding(link: &str, value: &'static str) -> NetOp {
    NetOp::Sysctl {
        path: forwarding_path(link),
        value,
        optional: true,
    }
}

/// What wires one container in; `None` when the lease's address is not one of the network's.
pub fn plan_attach(network: &Network, lease: &Lease, mtu: u32) -> Option<Vec<NetOp>> {
    let port = network.port(lease.address)?;
    let mac = Mac::of(lease.address);
    let gateway = network.subnet().gateway();
    Some(vec![
        NetOp::Veth {
            port: port.clone(),
            bridge: network.bridge(),
            mac,
            mtu,
        },
        NetOp::Guard { port: port.clone() },
        NetOp::Forward {
            port: port.clone(),
            mac,
        },
        NetOp::InsideUp,
        NetOp::InsideAddress {
            address: lease.address,
            prefix: network.subnet().prefix(),
        },
        NetOp::InsideNeighbour {
            address: gateway,
            mac: network.gateway_mac(),
        },
        NetOp::InsideRoute { gateway },
        NetOp::AwaitPort { port: port.clone() },
        NetOp::Label {
            port,
            alias: network.port_alias(&lease.id),
        },
    ])
}

/// What takes a container out that has not ended; `None` when the address is not one of the network's.
pub fn plan_detach(network: &Network, address: Ipv4Addr) -> Option<Vec<NetOp>> {
    Some(vec![NetOp::DropLink {
        name: network.port(address)?,
    }])
}

/// What removes a network with the given ports, the rules last. `close` names the interfaces that a network of
/// ours made forward and that nobody else needs to.
pub fn plan_teardown(network: &Network, ports: &[String], close: &[String]) -> Vec<NetOp> {
    let links = ports.iter().cloned().chain([network.bridge()]);
    let drop_links = links.map(|name| NetOp::DropLink { name });
    let close = close.iter().map(|link| forwarding(link, "0"));
    drop_links
        .chain(close)
        .chain([NetOp::DropRules {
            table: table(network),
        }])
        .collect()
}

/// The first address or route of the host, with its interface, that a network's subnet overlaps. What is on
/// the network's own bridge does not count, nor does a default route.
pub fn find_overlap<'a>(
    network: &Network,
    in_use: impl IntoIterator<Item = &'a (Ipv4Block, String)>,
) -> Option<(Ipv4Block, String)> {
    let (own, bridge) = (network.subnet().block(), network.bridge());
    let clashes = |(block, device): &&(Ipv4Block, String)| {
        *device != bridge && block.prefix() > 0 && block.overlaps(&own)
    };
    in_use.into_iter().find(clashes).cloned()
}
