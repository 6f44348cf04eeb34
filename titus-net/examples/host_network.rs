//! A container's network from outside, without any container runtime: needs root and `nft`.
//!
//! Makes a network, wires a process's namespace in, and removes everything again:
//! `unshare --net sleep 60 & cargo run -p titus-net --features linux --example host_network -- $!`
//!
//! Without an argument it changes nothing and prints what it would do.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use titus_net::plan::plan_attach;
use titus_net::{Datapath, HostNetwork, NetlinkDatapath, Netns, Network};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new("example".parse()?, "10.99.0.0/29".parse()?);
    let datapath = NetlinkDatapath::new(network)?;
    let Some(pid) = std::env::args().nth(1) else {
        return dry_run(&datapath).await;
    };
    let pid: u32 = pid.parse()?;
    let host = HostNetwork::new(Arc::new(datapath), Duration::from_secs(10));
    host.setup().await?;
    let id = "first".parse()?;
    let attachment = host.attach(&id, &Netns::of_pid(pid)).await?;
    println!(
        "process {pid} has {} behind {}",
        attachment.address, attachment.gateway
    );
    println!("{:?}", host.counters());
    host.detach(&id).await?;
    host.teardown().await?;
    Ok(())
}

async fn dry_run(datapath: &NetlinkDatapath) -> Result<(), Box<dyn Error>> {
    for op in datapath.plan_setup().await? {
        println!("{op}");
    }
    let lease = titus_net::Lease {
        id: "first".parse()?,
        address: "10.99.0.2".parse()?,
    };
    for op in plan_attach(datapath.network(), &lease, 1_500)
        .into_iter()
        .flatten()
    {
        println!("{op}");
    }
    Ok(())
}
