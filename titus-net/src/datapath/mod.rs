//! The seam between a network's decisions and the kernel.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{AttachmentId, Error, Lease, Network};

/// Links, addresses, routes and rules of one network on one host.
///
/// The order of calls: [`setup`](Self::setup), then any mix of [`attach`](Self::attach),
/// [`detach`](Self::detach) and [`list`](Self::list), many at once for different addresses; at the end
/// [`teardown`](Self::teardown). All state is in the kernel: a new object over the same network, in a new
/// process, sees what the last one made.
#[async_trait]
pub trait Datapath: fmt::Debug + Send + Sync {
    /// The network.
    fn network(&self) -> &Network;

    /// Makes what all attachments share, or completes it when it is there; running containers notice nothing.
    /// To be repeated now and then, since a host's firewall may flush the rules when it is loaded again.
    async fn setup(&self) -> Result<(), Error>;

    /// Gives the namespace a link with the lease's address and a way out. What is left of an earlier
    /// attachment with this address is replaced. After an error nothing is left of it.
    async fn attach(&self, lease: &Lease, netns: &Netns) -> Result<(), Error>;

    /// Sees to it that no link with this address is left. A link ends by itself soon after its namespace,
    /// which is much cheaper than to remove it; that is waited for up to `patience`.
    async fn detach(&self, address: Ipv4Addr, patience: Duration) -> Result<Detached, Error>;

    /// The links of containers that the kernel has, in the order of their addresses.
    async fn list(&self) -> Result<Vec<Found>, Error>;

    /// Removes all that [`setup`](Self::setup) and [`attach`](Self::attach) made and nothing else. Nothing
    /// there is fine.
    async fn teardown(&self) -> Result<(), Error>;
}

/// A container's network namespace.
///
/// Best made inside the container's own user namespace; then the container's root owns it and may bind port
/// 80 there. It is never the host's own: that is refused.
#[derive(Clone, Debug)]
pub struct Netns(Source);

#[derive(Clone, Debug)]
enum Source {
    Path(PathBuf),
    Fd(Arc<OwnedFd>),
}

impl Netns {
    /// The namespace of a process, which must not be reaped while the namespace is being attached.
    pub fn of_pid(pid: u32) -> Self {
        Self(Source::Path(PathBuf::from(format!("/proc/{pid}/ns/net"))))
    }

    /// The namespace that a file stands for, as `/proc/PID/ns/net` or a bind mount of one.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(Source::Path(path.into()))
    }

    /// Its path, if it was named by one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::Path(path) => Some(path),
            Source::Fd(_) => None,
        }
    }

    /// Its open file, if it was given as one.
    pub fn fd(&self) -> Option<&Arc<OwnedFd>> {
        match &self.0 {
            Source::Path(_) => None,
            Source::Fd(fd) => Some(fd),
        }
    }
}

impl From<OwnedFd> for Netns {
    fn from(fd: OwnedFd) -> Self {
        Self(Source::Fd(Arc::new(fd)))
    }
}

/// How [`Datapath::detach`] found the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// It was gone.
    Gone,
    /// It was there and was removed.
    Removed,
}

/// A container's link that the kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address that the link is for.
    pub address: Ipv4Addr,
    /// The attachment, unless a crash came before it was noted.
    pub id: Option<AttachmentId>,
}
