//! A data path in memory, with failures on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::plan::find_overlap;
use crate::{AttachmentId, Datapath, Detached, Error, Found, Ipv4Block, Lease, Netns, Network};

/// A host in memory: its bridges, links, routes and namespaces outlive the data paths made on it, as a
/// kernel's outlive a process.
///
/// ```
/// use titus_net::{Datapath, FakeHost, Lease, Network};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), titus_net::Error> {
/// let host = FakeHost::default();
/// let network = Network::new("demo".parse()?, "10.88.0.0/24".parse()?);
/// let datapath = host.datapath(network);
/// datapath.setup().await?;
/// let lease = Lease { id: "web-1".parse()?, address: "10.88.0.2".parse().unwrap() };
/// datapath.attach(&lease, &host.start_container()).await?;
/// assert_eq!(datapath.list().await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakeHost {
    kernel: Arc<Mutex<Kernel>>,
}

#[derive(Debug, Default)]
struct Kernel {
    routes: Vec<(Ipv4Block, String)>,
    bridges: BTreeMap<String, Bridge>,
    namespaces: BTreeSet<PathBuf>,
    started: u64,
    failures: BTreeMap<FakeCall, u32>,
    cut_short: u32,
    stalls: Option<FakeCall>,
    trusting: bool,
}

#[derive(Debug)]
struct Bridge {
    alias: String,
    links: BTreeMap<Ipv4Addr, Link>,
}

#[derive(Debug)]
struct Link {
    id: Option<AttachmentId>,
    namespace: PathBuf,
}

/// A call of a data path that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FakeCall {
    /// [`Datapath::setup`].
    Setup,
    /// [`Datapath::attach`].
    Attach,
    /// [`Datapath::detach`].
    Detach,
    /// [`Datapath::list`].
    List,
    /// [`Datapath::teardown`].
    Teardown,
}

impl FakeHost {
    /// A host that takes every namespace path but its own for an existing one: for use with containers that
    /// something else pretends to run.
    #[must_use]
    pub fn trusting() -> Self {
        let host = Self::default();
        host.kernel().trusting = true;
        host
    }

    /// A data path on this host, as a new process would have it.
    pub fn datapath(&self, network: Network) -> FakeDatapath {
        FakeDatapath {
            host: self.clone(),
            network,
        }
    }

    /// Starts a container, which has a namespace.
    pub fn start_container(&self) -> Netns {
        let mut kernel = self.kernel();
        kernel.started += 1;
        let path = PathBuf::from(format!("/fake/{}/ns/net", kernel.started));
        kernel.namespaces.insert(path.clone());
        Netns::at(path)
    }

    /// Ends a container; its namespace and the link in it end with it.
    pub fn end_container(&self, netns: &Netns) {
        let Some(path) = netns.path() else { return };
        let mut kernel = self.kernel();
        kernel.namespaces.remove(path);
        for bridge in kernel.bridges.values_mut() {
            bridge.links.retain(|_, link| link.namespace != path);
        }
    }

    /// The namespace of the host itself.
    pub fn own_netns() -> Netns {
        Netns::of_pid(1)
    }

    /// Adds a route or an address of the host.
    pub fn add_route(&self, block: Ipv4Block, device: &str) {
        self.kernel().routes.push((block, device.to_owned()));
    }

    /// Adds a link that none of our networks made.
    pub fn add_link(&self, name: &str) {
        let bridge = Bridge {
            alias: String::new(),
            links: BTreeMap::new(),
        };
        self.kernel().bridges.insert(name.to_owned(), bridge);
    }

    /// Lets the next `times` calls fail, before they change anything.
    pub fn fail_next(&self, call: FakeCall, times: u32) {
        self.kernel().failures.insert(call, times);
    }

    /// Lets the next attachment stop half-way, as in a crash: it fails and leaves a link without an id.
    pub fn cut_next_attach_short(&self) {
        self.kernel().cut_short += 1;
    }

    /// Lets the next such call never end, before it changes anything: its future can only be dropped.
    pub fn stall_next(&self, call: FakeCall) {
        self.kernel().stalls = Some(call);
    }

    async fn stall(&self, call: FakeCall) {
        let stalled = self.kernel().stalls.take_if(|stalled| *stalled == call).is_some();
        if stalled {
            std::future::pending::<()>().await;
        }
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel {
    fn gate(&mut self, call: FakeCall, network: &Network) -> Result<(), Error> {
        match self.failures.get_mut(&call) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(kernel_error("perform the injected failure", &network.bridge()))
            }
            _ => Ok(()),
        }
    }

    fn bridge(&mut self, network: &Network) -> Result<&mut Bridge, Error> {
        let bridge = self.bridges.get_mut(&network.bridge());
        let ours = bridge.filter(|bridge| bridge.alias == network.bridge_alias());
        ours.ok_or_else(|| Error::NotSetUp {
            network: network.name().clone(),
        })
    }
}

fn kernel_error(operation: &'static str, object: &str) -> Error {
    Error::Kernel {
        operation,
        object: object.to_owned(),
        source: "the fake host refused".into(),
    }
}

/// A [`Datapath`] on a [`FakeHost`].
#[derive(Clone, Debug)]
pub struct FakeDatapath {
    host: FakeHost,
    network: Network,
}

#[async_trait]
impl Datapath for FakeDatapath {
    fn network(&self) -> &Network {
        &self.network
    }

    async fn setup(&self) -> Result<(), Error> {
        self.host.stall(FakeCall::Setup).await;
        let mut kernel = self.host.kernel();
        kernel.gate(FakeCall::Setup, &self.network)?;
        let (name, alias) = (self.network.bridge(), self.network.bridge_alias());
        if kernel
            .bridges
            .get(&name)
            .is_some_and(|bridge| bridge.alias != alias)
        {
            return Err(Error::Foreign {
                object: format!("link {name}"),
            });
        }
        if let Some((with, device)) = find_overlap(&self.network, &kernel.routes) {
            return Err(Error::Overlap {
                subnet: self.network.subnet(),
                with,
                device,
            });
        }
        kernel.bridges.entry(name.clone()).or_insert_with(|| Bridge {
            alias,
            links: BTreeMap::new(),
        });
        let route = (self.network.subnet().block(), name);
        if !kernel.routes.contains(&route) {
            kernel.routes.push(route);
        }
        Ok(())
    }

    async fn attach(&self, lease: &Lease, netns: &Netns) -> Result<(), Error> {
        self.host.stall(FakeCall::Attach).await;
        let mut kernel = self.host.kernel();
        kernel.gate(FakeCall::Attach, &self.network)?;
        self.network.check(lease)?;
        let refuse = |why: &str| {
            Err(Error::Netns {
                id: lease.id.clone(),
                why: why.to_owned(),
            })
        };
        let Some(path) = netns.path() else {
            return refuse("the fake host knows namespaces by path only");
        };
        if FakeHost::own_netns().path() == Some(path) {
            return refuse("it is the host's own");
        }
        if !kernel.trusting && !kernel.namespaces.contains(path) {
            return refuse("it does not exist");
        }
        let cut = kernel.cut_short > 0;
        kernel.cut_short -= u32::from(cut);
        let id = (!cut).then(|| lease.id.clone());
        let bridge = kernel.bridge(&self.network)?;
        bridge.links.insert(
            lease.address,
            Link {
                id,
                namespace: path.to_owned(),
            },
        );
        if cut {
            Err(kernel_error("finish the attachment on", &self.network.bridge()))
        } else {
            Ok(())
        }
    }

    async fn detach(&self, address: Ipv4Addr, _patience: Duration) -> Result<Detached, Error> {
        self.host.stall(FakeCall::Detach).await;
        let mut kernel = self.host.kernel();
        kernel.gate(FakeCall::Detach, &self.network)?;
        let link = kernel
            .bridge(&self.network)
            .ok()
            .and_then(|bridge| bridge.links.remove(&address));
        Ok(link.map_or(Detached::Gone, |_| Detached::Removed))
    }

    async fn list(&self) -> Result<Vec<Found>, Error> {
        self.host.stall(FakeCall::List).await;
        let mut kernel = self.host.kernel();
        kernel.gate(FakeCall::List, &self.network)?;
        let Ok(bridge) = kernel.bridge(&self.network) else {
            return Ok(Vec::new());
        };
        Ok(bridge
            .links
            .iter()
            .map(|(&address, link)| Found {
                address,
                id: link.id.clone(),
            })
            .collect())
    }

    async fn teardown(&self) -> Result<(), Error> {
        self.host.stall(FakeCall::Teardown).await;
        let mut kernel = self.host.kernel();
        kernel.gate(FakeCall::Teardown, &self.network)?;
        if kernel.bridge(&self.network).is_ok() {
            let name = self.network.bridge();
            kernel.bridges.remove(&name);
            kernel.routes.retain(|(_, device)| *device != name);
        }
        Ok(())
    }
}
