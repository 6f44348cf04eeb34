//! An address per container: pools, links, routes, NAT and isolation on one Linux host.
//!
//! A [`Network`] is a subnet on a bridge. [`AddressPool`] decides who has which address; the functions of
//! [`plan`] say what has to be done to the kernel, as data; a `Datapath` does it, and `HostNetwork` puts the
//! three together. Each is usable alone. The defaults hold pure code only; nothing here knows what a job is.
//!
//! ```
//! use titus_net::plan::{plan_attach, plan_setup, HostFacts};
//! use titus_net::{AddressPool, Network};
//!
//! let network = Network::new("demo".parse()?, "10.88.0.0/24".parse()?);
//! let mut pool = AddressPool::new(network.subnet(), 10_000);
//! let lease = pool.request(&"web-1".parse()?, 0).expect("a new pool has addresses");
//! assert_eq!(lease.address.to_string(), "10.88.0.2");
//!
//! let facts = HostFacts { uplink_mtu: 1_500, closed: vec!["eth0".to_owned()] };
//! for op in plan_setup(&network, &facts).into_iter().chain(plan_attach(&network, &lease, 1_500).unwrap()) {
//!     println!("{op}");
//! }
//! # Ok::<(), titus_net::Error>(())
//! ```
//!
//! # Map
//!
//! | Part | What | Feature |
//! |---|---|---|
//! | [`Network`], [`NetworkName`], [`AttachmentId`], [`HostService`] | what a network is, and all names derived from it | |
//! | [`Ipv4Block`], [`Subnet`], [`Mac`] | addresses | |
//! | [`AddressPool`], [`Refusal`] | who has which address | |
//! | [`plan`] | what is done to the kernel, as data | |
//! | [`resolv_conf`], [`hosts_file`] | how containers find names | |
//! | [`limits`] | the bounds of all of these | |
//! | `Datapath`, `HostNetwork` | the seam and the whole | `host` |
//! | `NetlinkDatapath` | the Linux kernel | `linux` |
//! | `FakeDatapath` | a data path in memory | `fake` |
//! | `conformance` | the suite for data paths | `conformance` |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod error;
mod files;
mod spec;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "host")]
mod datapath;
#[cfg(feature = "fake")]
mod fake;
#[cfg(feature = "host")]
mod host;
pub mod limits;
#[cfg(feature = "linux")]
mod linux;
pub mod plan;
mod pool;

pub use address::{Ipv4Block, Mac, Subnet};
#[cfg(feature = "host")]
pub use datapath::{Datapath, Detached, Found, Netns};
pub use error::Error;
#[cfg(feature = "fake")]
pub use fake::{FakeCall, FakeDatapath, FakeHost};
pub use files::{hosts_file, resolv_conf};
#[cfg(feature = "host")]
pub use host::{Adoption, Counters, HostNetwork};
#[cfg(feature = "linux")]
pub use linux::NetlinkDatapath;
pub use pool::{AddressPool, NotAdopted, PoolCounts, Refusal, RefusalReason};
#[cfg(feature = "linux")]
use spec::ALIAS_MARK;
pub use spec::{Attachment, AttachmentId, HostService, Lease, Network, NetworkName, Protocol};
