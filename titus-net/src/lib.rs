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
//! # What holds
//!
//! Whoever is root in a container, with every right in its namespaces, can be assumed hostile. Each line is a
//! test of `tests/real_isolation.rs` or `tests/real_frames.rs`, where the attempt first fails and then
//! succeeds without the rules.
//!
//! | A container | Test |
//! |---|---|
//! | reaches other containers of its network and, by the host's address, the outside | `containers_reach_each_other_and_the_host_reaches_them`, `the_outside_sees_the_hosts_address_and_cannot_open_connections` |
//! | reaches nothing of the host but a ping and named services | `the_host_is_out_of_reach`, `named_services_are_reached_at_the_gateway_only` |
//! | does not reach instance metadata, here or beyond | `the_host_is_out_of_reach`, `metadata_beyond_the_host_is_out_of_reach` |
//! | cannot use another's address or hardware address | `a_container_cannot_speak_in_anothers_name`, `a_container_cannot_answer_for_another`, `a_foreign_source_does_not_leave_the_host` |
//! | cannot break the host's connections to others | `a_container_cannot_break_the_hosts_connections` |
//! | cannot draw or see another's frames | `a_container_cannot_draw_anothers_frames`, `a_container_sees_no_frames_but_its_own` |
//! | cannot pass the rules by frames that bridges treat apart | `reserved_frames_do_not_bypass_the_rules` |
//! | has no IPv6 beyond its own loopback, and no VLANs | `no_ipv6_leaves_a_container`, `frames_are_their_senders_in_every_part` |
//! | does not reach containers of other networks | `networks_of_one_host_do_not_reach_each_other` |
//! | is not spoken for by the outside | `the_outside_cannot_speak_in_a_containers_name` |
//! | does not make the host a router for others | `a_host_that_did_not_forward_becomes_no_router` |
//!
//! Containers of one network are not kept from each other, and bandwidth is not shaped.
//!
//! # Map
//!
//! | Part | What | Feature |
//! |---|---|---|
//! | [`Network`], [`NetworkName`], [`AttachmentId`], [`HostService`] | what a network is, and all names derived from it | |
//! | [`Ipv4Block`], [`Subnet`], [`Mac`] | addresses | |
//! | [`AddressPool`], [`Refusal`] | who has which address | |
//! | [`plan`] | what is done to the kernel, as data | |
//! | [`limits`] | the bounds of all of these | |
//! | `Datapath`, `HostNetwork` | the seam and the whole | `host` |
//! | `NetlinkDatapath` | the Linux kernel | `linux` |
//! | `FakeDatapath` | a data path in memory | `fake` |
//! | `conformance` | the suite for data paths | `conformance` |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod error;
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
mod resolver;

pub use address::{Ipv4Block, Mac, Subnet};
#[cfg(feature = "host")]
pub use datapath::{Datapath, Detached, Found, Netns};
pub use error::Error;
#[cfg(feature = "fake")]
pub use fake::{FakeCall, FakeDatapath, FakeHost};
#[cfg(feature = "host")]
pub use host::{Adoption, Counters, HostNetwork};
#[cfg(feature = "linux")]
pub use linux::NetlinkDatapath;
pub use pool::{AddressPool, NotAdopted, PoolCounts, Refusal, RefusalReason};
#[cfg(feature = "linux")]
use spec::ALIAS_MARK;
pub use spec::{Attachment, AttachmentId, HostService, Lease, Network, NetworkName, Protocol};
