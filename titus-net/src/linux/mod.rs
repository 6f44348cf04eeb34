//! The data path of the Linux kernel: links and routes by netlink, rules by `nft`.

use std::collections::BTreeSet;
use std::mem;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use self::links::{Link, Links};
use self::netns::Inside;
use crate::plan::{self, HostFacts, NetOp};
use crate::{Datapath, Detached, Error, Found, Lease, Netns, Network};

mod facts;
mod inside;
mod links;
mod netns;
mod nft;
mod on_host;

/// How long wiring may take. A hostile container can keep the kernel's answers from a socket in its namespace.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Ports that have not become fewer for this long do not end by themselves.
const SETTLED: Duration = Duration::from_millis(250);

/// A [`Datapath`] on the network namespace of the thread that makes it, usually the host's own.
///
/// Needs root (`CAP_NET_ADMIN` and `CAP_SYS_ADMIN`), the program `nft`, and a tokio runtime with I/O and time
/// switched on. IPv6 is not offered: containers' IPv6 frames are dropped at their ports.
#[derive(Debug)]
pub struct NetlinkDatapath {
    network: Network,
    links: Links,
    memory: Mutex<Memory>,
}

/// What set-up made, noted so that it need not be looked up, or cannot any more when somebody flushed the rules.
#[derive(Debug, Default)]
struct Memory {
    bridge: Option<Link>,
    /// The interfaces that were made to forward.
    opened: BTreeSet<String>,
}

impl NetlinkDatapath {
    /// Opens a netlink connection on the current runtime; changes nothing yet.
    pub fn new(network: Network) -> Result<Self, Error> {
        Ok(Self {
            network,
            links: Links::open()?,
            memory: Mutex::default(),
        })
    }

    /// What [`setup`](Datapath::setup) would do on this host now, for a dry run.
    pub async fn plan_setup(&self) -> Result<Vec<NetOp>, Error> {
        Ok(plan::plan_setup(&self.network, &self.facts().await?))
    }

    async fn facts(&self) -> Result<HostFacts, Error> {
        let opened = self.memory().opened.clone();
        facts::gather(&self.network, &self.links, &opened).await
    }

    /// The bridge that set-up made, looked up once.
    async fn bridge(&self) -> Result<Link, Error> {
        let known = self.memory().bridge.clone();
        if let Some(bridge) = known {
            return Ok(bridge);
        }
        let name = self.network.bridge();
        let Some(bridge) = self.links.find(&name).await? else {
            return Err(Error::NotSetUp {
                network: self.network.name().clone(),
            });
        };
        facts::check_bridge(&self.network, &bridge)?;
        self.memory().bridge = Some(bridge.clone());
        Ok(bridge)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wire(&self, lease: &Lease, ops: &[NetOp], bridge: &Link, inside: &Inside) -> Result<(), Error> {
        for op in ops {
            debug!(id = %lease.id, %op, "network operation");
            match op {
                NetOp::Veth { .. } => self.make_pair(lease, op, bridge, inside).await?,
                op if op.is_inside() => inside::perform(&inside.links, op).await?,
                op => on_host::perform(&self.links, op).await?,
            }
        }
        Ok(())
    }

    /// Makes the pair, in place of what is left of an earlier one with the same address.
    async fn make_pair(
        &self,
        lease: &Lease,
        op: &NetOp,
        bridge: &Link,
        inside: &Inside,
    ) -> Result<(), Error> {
        if on_host::make_pair(&self.links, op, bridge, &inside.file).await? {
            return Ok(());
        }
        self.drop_port(lease.address).await?;
        if on_host::make_pair(&self.links, op, bridge, &inside.file).await? {
            return Ok(());
        }
        let why = format!("it already has an interface {}", plan::CONTAINER_LINK);
        Err(Error::Netns {
            id: lease.id.clone(),
            why,
        })
    }

    /// The ports that are left when those of ended containers are gone, which is cheaper than to remove them.
    async fn settled_ports(&self) -> Result<Vec<(Ipv4Addr, Link)>, Error> {
        let mut ports = self.ports().await?;
        let mut since = Instant::now();
        while !ports.is_empty() && since.elapsed() < SETTLED {
            sleep(LOOK_AGAIN).await;
            let left = self.ports().await?;
            if left.len() < ports.len() {
                since = Instant::now();
            }
            ports = left;
        }
        Ok(ports)
    }

    async fn drop_port(&self, address: Ipv4Addr) -> Result<(), Error> {
        for op in plan::plan_detach(&self.network, address).unwrap_or_default() {
            on_host::perform(&self.links, &op).await?;
        }
        Ok(())
    }

    /// The links that are ports of this network, marked or not.
    async fn ports(&self) -> Result<Vec<(Ipv4Addr, Link)>, Error> {
        let links = self.links.all().await?.into_iter();
        let port = |link: Link| {
            self.network
                .address_of_port(&link.name)
                .map(|address| (address, link))
        };
        let mut ports: Vec<_> = links.filter_map(port).collect();
        ports.sort_by_key(|(address, _)| *address);
        Ok(ports)
    }
}

#[async_trait]
impl Datapath for NetlinkDatapath {
    fn network(&self) -> &Network {
        &self.network
    }

    async fn setup(&self) -> Result<(), Error> {
        let facts = self.facts().await?;
        self.memory().opened = facts.closed.iter().cloned().collect();
        for op in plan::plan_setup(&self.network, &facts) {
            debug!(network = %self.network.name(), %op, "network operation");
            on_host::perform(&self.links, &op).await?;
        }
        self.memory().bridge = None;
        self.bridge().await.map(drop)
    }

    async fn attach(&self, lease: &Lease, netns: &Netns) -> Result<(), Error> {
        self.network.check(lease)?;
        let bridge = self.bridge().await?;
        let inside = netns::enter(&lease.id, netns).await?;
        let ops = plan::plan_attach(&self.network, lease, bridge.mtu).unwrap_or_default();
        let wiring = timeout(PATIENCE, self.wire(lease, &ops, &bridge, &inside)).await;
        let outcome = wiring.unwrap_or_else(|late| {
            let object = lease.id.to_string();
            Err(Error::Kernel {
                operation: "wire in",
                object,
                source: late.into(),
            })
        });
        if outcome.is_err()
            && let Err(error) = self.drop_port(lease.address).await
        {
            warn!(id = %lease.id, %error, "the link of a failed attachment stays until it is detached");
        }
        outcome
    }

    async fn detach(&self, address: Ipv4Addr, patience: Duration) -> Result<Detached, Error> {
        let Some(port) = self.network.port(address) else {
            return Ok(Detached::Gone);
        };
        let deadline = Instant::now() + patience;
        while self.links.find(&port).await?.is_some() {
            if Instant::now() >= deadline {
                self.drop_port(address).await?;
                return Ok(Detached::Removed);
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(Detached::Gone)
    }

    async fn list(&self) -> Result<Vec<Found>, Error> {
        let id = |link: Link| link.alias.and_then(|alias| self.network.id_of_alias(&alias));
        let ports = self.ports().await?.into_iter();
        Ok(ports
            .map(|(address, link)| Found {
                address,
                id: id(link),
            })
            .collect())
    }

    async fn teardown(&self) -> Result<(), Error> {
        let Memory { opened, .. } = mem::take(&mut *self.memory());
        if let Some(bridge) = self.links.find(&self.network.bridge()).await? {
            facts::check_bridge(&self.network, &bridge)?;
        }
        let ports = self.settled_ports().await?.into_iter();
        let ports: Vec<_> = ports.map(|(_, link)| link.name).collect();
        let close = facts::to_close(&self.network, &opened).await?;
        let mut outcome = Ok(());
        for op in plan::plan_teardown(&self.network, &ports, &close) {
            debug!(network = %self.network.name(), %op, "network operation");
            if let Err(error) = on_host::perform(&self.links, &op).await {
                warn!(network = %self.network.name(), %op, %error, "teardown goes on after a failure");
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }
}
