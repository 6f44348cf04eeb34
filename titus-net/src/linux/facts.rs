//! What has to be known of the host before anything is changed on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use futures::TryStreamExt;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use tracing::warn;

use super::links::{Link, Links, refused};
use super::nft;
use crate::plan::{self, HostFacts, find_overlap};
use crate::{Error, Ipv4Block, Network};

/// Checks that the host has room for the network, and reads what planning needs. `opened` names interfaces that
/// are known to forward only because of this network.
pub(super) async fn gather(
    network: &Network,
    links: &Links,
    opened: &BTreeSet<String>,
) -> Result<HostFacts, Error> {
    let all = links.all().await?;
    check_names(network, &all)?;
    let names: BTreeMap<u32, &str> = all.iter().map(|link| (link.index, link.name.as_str())).collect();
    let name = |index: u32| (*names.get(&index).unwrap_or(&"?")).to_owned();
    let routes = routes(links).await?;
    let mut in_use = addresses(links).await?;
    in_use.extend(
        routes
            .iter()
            .filter_map(|route| Some((destination(route)?, outgoing(route)))),
    );
    let in_use: Vec<_> = in_use
        .into_iter()
        .map(|(block, index)| (block, name(index)))
        .collect();
    if let Some((with, device)) = find_overlap(network, &in_use) {
        return Err(Error::Overlap {
            subnet: network.subnet(),
            with,
            device,
        });
    }
    warn_of_closed_chains(network).await?;
    let uplink_mtu = uplink_mtu(&routes, &all);
    Ok(HostFacts {
        uplink_mtu,
        closed: closed(network, &all, opened).await?,
    })
}

/// That the bridge is the network's own, or one whose making a crash cut short.
pub(super) fn check_bridge(network: &Network, bridge: &Link) -> Result<(), Error> {
    let ours = match &bridge.alias {
        Some(alias) => *alias == network.bridge_alias(),
        None => bridge.mac == network.gateway_mac().octets(),
    };
    if bridge.is_bridge && ours {
        return Ok(());
    }
    Err(Error::Foreign {
        object: format!("link {}", bridge.name),
    })
}

/// The interfaces that this network made forward and that nobody else needs to: neither another network of
/// ours nor a host that has become a router meanwhile.
pub(super) async fn to_close(network: &Network, opened: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    let mut sets = nft::sets(plan::CLOSED_SET).await?;
    let mut own = sets.remove(&plan::table(network)).unwrap_or_default();
    own.extend(opened.iter().cloned());
    if own.is_empty() || is_on(plan::ROUTER_PATH) {
        return Ok(Vec::new());
    }
    let others: BTreeSet<_> = sets.into_values().flatten().collect();
    Ok(own.difference(&others).cloned().collect())
}

/// Links whose names begin like this network's are its own: marked so, or not marked because of a crash.
fn check_names(network: &Network, all: &[Link]) -> Result<(), Error> {
    let prefix = network.port_prefix();
    for link in all.iter().filter(|link| link.name.starts_with(&prefix)) {
        if link.name == network.bridge() {
            check_bridge(network, link)?;
            continue;
        }
        let marked = link
            .alias
            .as_ref()
            .is_none_or(|alias| network.id_of_alias(alias).is_some());
        if network.address_of_port(&link.name).is_none() || !marked {
            return Err(Error::Foreign {
                object: format!("link {}", link.name),
            });
        }
    }
    Ok(())
}

/// The interfaces on which the host does not forward by its own choice: those that do not, and those that do
/// because a network of ours made them.
async fn closed(network: &Network, all: &[Link], opened: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    if is_on(plan::ROUTER_PATH) {
        return Ok(Vec::new());
    }
    let mut opened = opened.clone();
    opened.extend(nft::sets(plan::CLOSED_SET).await?.into_values().flatten());
    let closed = all.iter().filter(|link| {
        let ours = link.name.starts_with(&network.port_prefix()) || is_of_a_network(link);
        let forwards = is_on(&plan::forwarding_path(&link.name)) && !opened.contains(&link.name);
        link.name != "lo" && !ours && !forwards && plan::is_plain(&link.name)
    });
    Ok(closed.map(|link| link.name.clone()).collect())
}

fn is_of_a_network(link: &Link) -> bool {
    link.alias
        .as_ref()
        .is_some_and(|alias| alias.starts_with(crate::ALIAS_MARK))
}

fn is_on(path: &str) -> bool {
    fs::read_to_string(Path::new("/proc/sys").join(path)).is_ok_and(|value| value.trim() == "1")
}

/// Another firewall that drops what passes through keeps containers from the outside; only its owner can tell
/// it not to.
async fn warn_of_closed_chains(network: &Network) -> Result<(), Error> {
    for chain in nft::closed_forward_chains().await? {
        warn!(
            network = %network.name(), %chain,
            "a firewall of the host drops forwarded packets: let it accept those of the bridge",
        );
    }
    Ok(())
}

fn uplink_mtu(routes: &[RouteMessage], all: &[Link]) -> u32 {
    let default = routes
        .iter()
        .filter(|route| destination(route).is_some_and(|block| block.prefix() == 0));
    let links = default.filter_map(|route| all.iter().find(|link| link.index == outgoing(route)));
    links.map(|link| link.mtu).min().unwrap_or(1_500)
}

async fn addresses(links: &Links) -> Result<Vec<(Ipv4Block, u32)>, Error> {
    let dump = links.handle.address().get().execute();
    let messages: Vec<_> = dump
        .try_collect()
        .await
        .map_err(|error| refused("list", "the addresses", error))?;
    let block = |message: rtnetlink::packet_route::address::AddressMessage| {
        let prefix = message.header.prefix_len;
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(IpAddr::V4(address)) => Some(*address),
            _ => None,
        })?;
        Some((Ipv4Block::around(address, prefix)?, message.header.index))
    };
    Ok(messages.into_iter().filter_map(block).collect())
}

async fn routes(links: &Links) -> Result<Vec<RouteMessage>, Error> {
    let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let dump = links.handle.route().get(all).execute();
    dump.try_collect()
        .await
        .map_err(|error| refused("list", "the routes", error))
}

fn destination(route: &RouteMessage) -> Option<Ipv4Block> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    });
    Ipv4Block::around(
        address.unwrap_or(Ipv4Addr::UNSPECIFIED),
        route.header.destination_prefix_length,
    )
}

fn outgoing(route: &RouteMessage) -> u32 {
    let oif = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    };
    route.attributes.iter().find_map(oif).unwrap_or(0)
}
