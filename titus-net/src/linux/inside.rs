//! The operations in a container's network namespace.

use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use super::links::{Links, refused};
use crate::Error;
use crate::plan::{CONTAINER_LINK, NetOp};

/// The loopback link is the first of every namespace.
const LOOPBACK: u32 = 1;

pub(super) async fn perform(links: &Links, op: &NetOp) -> Result<(), Error> {
    match op {
        NetOp::InsideUp => {
            links.change("set up link", up(LOOPBACK)).await?;
            links
                .change("set up link", up(container_link(links).await?))
                .await
        }
        NetOp::InsideAddress { address, prefix } => {
            let index = container_link(links).await?;
            let add = links.handle.address().add(index, IpAddr::V4(*address), *prefix);
            add.execute()
                .await
                .map_err(|error| refused("give an address to", CONTAINER_LINK, error))
        }
        NetOp::InsideNeighbour { address, mac } => {
            let index = container_link(links).await?;
            let add = links.handle.neighbours().add(index, IpAddr::V4(*address));
            let add = add.link_layer_address(&mac.octets());
            add.execute()
                .await
                .map_err(|error| refused("note the gateway on", CONTAINER_LINK, error))
        }
        NetOp::InsideRoute { gateway } => {
            let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(*gateway).build();
            let add = links.handle.route().add(route).execute().await;
            add.map_err(|error| refused("route through", &gateway.to_string(), error))
        }
        _ => Ok(()),
    }
}

fn up(index: u32) -> LinkMessage {
    LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build()
}

async fn container_link(links: &Links) -> Result<u32, Error> {
    let link = links.find(CONTAINER_LINK).await?;
    link.map(|link| link.index).ok_or_else(|| Error::Kernel {
        operation: "find link",
        object: CONTAINER_LINK.to_owned(),
        source: "it is gone".into(),
    })
}
