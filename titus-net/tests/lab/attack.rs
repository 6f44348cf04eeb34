//! The network that hostile containers are tried on.

use std::net::Ipv4Addr;

use titus_net::{Datapath, NetlinkDatapath, Network};

use super::{Place, lease, network, run};

pub(crate) const PORT: u16 = 4_000;

pub(crate) fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// A network with the containers `.2`, `.3` and so on.
pub(crate) async fn set_up<const N: usize>(network: Network) -> (NetlinkDatapath, [Place; N]) {
    let datapath = NetlinkDatapath::new(network).unwrap();
    datapath.setup().await.unwrap();
    let containers = [(); N].map(|()| Place::container());
    for (n, place) in containers.iter().enumerate() {
        let address = datapath.network().subnet().usable().nth(n).unwrap();
        let lease = lease(&format!("c{n}"), &address.to_string());
        datapath.attach(&lease, &place.netns()).await.unwrap();
    }
    (datapath, containers)
}

/// Takes the rules away, the set-up stays.
pub(crate) fn drop_rules() {
    drop_rules_of("ip");
    drop_rules_of("bridge");
}

pub(crate) fn drop_rules_of(family: &str) {
    run(&format!("nft delete table {family} titus_lab"));
}

pub(crate) fn lab() -> Network {
    network("lab", "10.77.0.0/24")
}
