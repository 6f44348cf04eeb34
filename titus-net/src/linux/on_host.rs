//! The operations in the host's network namespace.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage,
};
use rtnetlink::packet_route::neighbour::{NeighbourFlags, NeighbourState};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth};
use tokio::time::{Instant, sleep};

use super::links::{Link, Links, errno, refused};
use super::nft;
use crate::plan::{CONTAINER_LINK, NetOp};
use crate::{Error, Mac};

/// All reserved groups that a bridge can be told to forward. It hands frames to the others up beside the rules
/// for its ports, so it forwards all, for the rules to drop.
const FORWARDABLE_GROUPS: u16 = 0xfff8;

/// The kernel takes a millisecond, and a second when many links change at once.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn perform(links: &Links, op: &NetOp) -> Result<(), Error> {
    match op {
        NetOp::LoadRules { text } => nft::load(text.clone()).await,
        NetOp::DropRules { table } => nft::drop_tables(table).await,
        NetOp::Bridge {
            name,
            mac,
            mtu,
            alias,
        } => make_bridge(links, name, *mac, *mtu, alias).await,
        NetOp::Sysctl {
            path,
            value,
            optional,
        } => write_setting(path.clone(), value, *optional).await,
        NetOp::HostAddress {
            link,
            address,
            prefix,
        } => {
            let index = existing(links, link).await?.index;
            let add = links
                .handle
                .address()
                .add(index, IpAddr::V4(*address), *prefix)
                .replace();
            add.execute()
                .await
                .map_err(|error| refused("give an address to", link, error))
        }
        NetOp::Guard { port } => links.change("guard port", guarded(port)).await,
        NetOp::Forward { port, mac } => forward(links, port, *mac).await,
        NetOp::AwaitPort { port } => await_port(links, port).await,
        NetOp::Label { port, alias } => {
            let message = LinkMessageBuilder::<LinkUnspec>::new()
                .name(port.as_str())
                .alias(alias.as_str());
            links.change("label port", message.build()).await
        }
        NetOp::DropLink { name } => links.remove(name).await,
        // The rest happen inside, or need the namespace: see `make_pair`.
        _ => Ok(()),
    }
}

/// Makes a pair of links, one end in the namespace; `false` when an end's name is taken.
pub(super) async fn make_pair(links: &Links, op: &NetOp, bridge: &Link, netns: &File) -> Result<bool, Error> {
    let NetOp::Veth { port, mac, mtu, .. } = op else {
        return Ok(true);
    };
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(CONTAINER_LINK)
        .address(mac.octets().to_vec())
        .mtu(*mtu)
        .setns_by_fd(netns.as_raw_fd())
        .build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(port.as_str())
        .mtu(*mtu)
        .controller(bridge.index)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    match links.handle.link().add(pair).execute().await {
        Ok(()) => Ok(true),
        Err(error) if errno(&error) == libc::EEXIST => Ok(false),
        Err(error) => Err(refused("make link", port, error)),
    }
}

async fn make_bridge(links: &Links, name: &str, mac: Mac, mtu: u32, alias: &str) -> Result<(), Error> {
    if links.find(name).await?.is_none() {
        let bridge = LinkBridge::new(name).address(mac.octets().to_vec()).build();
        let add = links.handle.link().add(bridge).execute().await;
        add.map_err(|error| refused("make bridge", name, error))?;
    }
    let bridge = LinkBridge::new(name)
        .mcast_snooping(false)
        .group_fwd_mask(FORWARDABLE_GROUPS);
    links
        .change("set up bridge", bridge.alias(alias).mtu(mtu).up().build())
        .await
}

/// A port's settings. Hardware addresses are told to the bridge, never learnt from what a container sends.
fn guarded(port: &str) -> LinkMessage {
    let message = LinkBridgePort::new(0).name(port);
    let message = message
        .learning(false)
        .flood(false)
        .mcast_flood(false)
        .guard(true)
        .root_block(true)
        .up();
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return message.build();
    }
    let no_address = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    message
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![no_address]))
        .build()
}

async fn forward(links: &Links, port: &str, mac: Mac) -> Result<(), Error> {
    let index = existing(links, port).await?.index;
    let entry = links.handle.neighbours().add_bridge(index, &mac.octets());
    let entry = entry
        .state(NeighbourState::Noarp)
        .flags(NeighbourFlags::Controller)
        .replace();
    entry
        .execute()
        .await
        .map_err(|error| refused("forward to", port, error))
}

async fn await_port(links: &Links, port: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PORT_PATIENCE;
    while !existing(links, port).await?.forwards {
        if Instant::now() >= deadline {
            let source = format!("it passes no frames after {PORT_PATIENCE:?}").into();
            return Err(Error::Kernel {
                operation: "wait for port",
                object: port.to_owned(),
                source,
            });
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn existing(links: &Links, name: &str) -> Result<Link, Error> {
    let gone = || Error::Kernel {
        operation: "find link",
        object: name.to_owned(),
        source: "it is gone".into(),
    };
    links.find(name).await?.ok_or_else(gone)
}

async fn write_setting(path: String, value: &'static str, optional: bool) -> Result<(), Error> {
    let object = path.clone();
    let write = move || {
        let path = Path::new("/proc/sys").join(path);
        let old = fs::read_to_string(&path)?;
        if old.trim() == value {
            Ok(())
        } else {
            fs::write(&path, value)
        }
    };
    let written = tokio::task::spawn_blocking(write)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    match written {
        Err(error) if optional && error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Error::Permission {
            operation: format!("write /proc/sys/{object}"),
            source: error.into(),
        }),
        written => written.map_err(|error| Error::Kernel {
            operation: "write setting",
            object,
            source: error.into(),
        }),
    }
}
