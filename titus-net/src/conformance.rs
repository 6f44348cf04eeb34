//! The suite that every [`Datapath`] passes. A failed case panics and names what was expected.
//!
//! Run [`all`] over a [`TestHost`]: the real one in a network namespace of its own, the fake one anywhere.
//! Cases leave nothing behind, so that they run one after another on one host.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a case is a failure of the data path under test"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;

use crate::{AttachmentId, Datapath, Detached, Error, Found, HostNetwork, Lease, Netns, Network};

/// A host on which the cases run.
#[async_trait]
pub trait TestHost: fmt::Debug + Send + Sync {
    /// A new data path over the network, as a new process would make it.
    fn datapath(&self, network: Network) -> Arc<dyn Datapath>;

    /// Starts a container that does nothing, and says where its namespace is.
    async fn start_container(&self) -> Netns;

    /// Ends a container made by [`start_container`](Self::start_container), its namespace with it.
    async fn end_container(&self, netns: &Netns);

    /// The namespace of the host itself.
    fn own_netns(&self) -> Netns;

    /// Waits a little, for what the kernel does in its own time.
    async fn pause(&self);
}

const NOW: Duration = Duration::ZERO;

type Case = for<'a> fn(&'a dyn TestHost) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Every case, with its name.
pub const CASES: &[(&str, Case)] = &[
    ("setup_may_be_repeated", |host| {
        Box::pin(setup_may_be_repeated(host))
    }),
    ("attached_is_listed", |host| Box::pin(attached_is_listed(host))),
    ("attach_replaces_a_leftover", |host| {
        Box::pin(attach_replaces_a_leftover(host))
    }),
    ("detach_is_idempotent", |host| {
        Box::pin(detach_is_idempotent(host))
    }),
    ("a_link_ends_with_its_container", |host| {
        Box::pin(a_link_ends_with_its_container(host))
    }),
    ("bad_namespaces_are_refused", |host| {
        Box::pin(bad_namespaces_are_refused(host))
    }),
    ("foreign_addresses_are_refused", |host| {
        Box::pin(foreign_addresses_are_refused(host))
    }),
    ("attachments_outlive_the_process", |host| {
        Box::pin(attachments_outlive_the_process(host))
    }),
    ("many_at_once", |host| Box::pin(many_at_once(host))),
    ("overlapping_subnets_are_refused", |host| {
        Box::pin(overlapping_subnets_are_refused(host))
    }),
    ("networks_do_not_mix", |host| Box::pin(networks_do_not_mix(host))),
    ("teardown_removes_all", |host| {
        Box::pin(teardown_removes_all(host))
    }),
];

/// Runs every case on `host`.
pub async fn all(host: &dyn TestHost) {
    for (_, case) in CASES {
        case(host).await;
    }
}

fn network(name: &str, subnet: &str) -> Network {
    Network::new(name.parse().unwrap(), subnet.parse().unwrap())
}

fn first() -> Network {
    network("conf1", "10.213.0.0/24")
}

fn id(text: &str) -> AttachmentId {
    text.parse().unwrap()
}

fn lease(name: &str, address: &str) -> Lease {
    Lease {
        id: id(name),
        address: address.parse().unwrap(),
    }
}

fn found(lease: &Lease) -> Found {
    Found {
        address: lease.address,
        id: Some(lease.id.clone()),
    }
}

async fn ready(host: &dyn TestHost) -> Arc<dyn Datapath> {
    let datapath = host.datapath(first());
    datapath.setup().await.unwrap();
    datapath
}

/// Waits, generously, until no link with the address is listed.
async fn wait_gone(host: &dyn TestHost, datapath: &dyn Datapath, address: Ipv4Addr) {
    for _ in 0..3_000 {
        if datapath
            .list()
            .await
            .unwrap()
            .iter()
            .all(|found| found.address != address)
        {
            return;
        }
        host.pause().await;
    }
    panic!("the link of {address} is still there long after its container ended");
}

/// Setting up twice is like once, and what is attached stays.
pub async fn setup_may_be_repeated(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let (lease, netns) = (lease("stays", "10.213.0.2"), host.start_container().await);
    datapath.attach(&lease, &netns).await.unwrap();
    datapath.setup().await.unwrap();
    host.datapath(first()).setup().await.unwrap();
    assert_eq!(datapath.list().await.unwrap(), [found(&lease)]);
    host.end_container(&netns).await;
    datapath.teardown().await.unwrap();
}

/// Listed are exactly the attached, in the order of their addresses.
pub async fn attached_is_listed(host: &dyn TestHost) {
    let datapath = ready(host).await;
    assert_eq!(datapath.list().await.unwrap(), []);
    let (one, two) = (host.start_container().await, host.start_container().await);
    let (high, low) = (lease("high", "10.213.0.200"), lease("low", "10.213.0.30"));
    datapath.attach(&high, &one).await.unwrap();
    datapath.attach(&low, &two).await.unwrap();
    assert_eq!(datapath.list().await.unwrap(), [found(&low), found(&high)]);
    host.end_container(&one).await;
    host.end_container(&two).await;
    datapath.teardown().await.unwrap();
}

/// An address that the caller gives to another attachment is that one's, whatever was left there.
pub async fn attach_replaces_a_leftover(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let (old, new) = (lease("old", "10.213.0.2"), lease("new", "10.213.0.2"));
    let (one, two) = (host.start_container().await, host.start_container().await);
    datapath.attach(&old, &one).await.unwrap();
    datapath.attach(&new, &two).await.unwrap();
    assert_eq!(datapath.list().await.unwrap(), [found(&new)]);
    datapath.attach(&new, &two).await.unwrap();
    assert_eq!(datapath.list().await.unwrap(), [found(&new)]);
    host.end_container(&one).await;
    host.end_container(&two).await;
    datapath.teardown().await.unwrap();
}

/// Detaching a live container removes its link; what is gone, or never was, is fine.
pub async fn detach_is_idempotent(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let (lease, netns) = (lease("goes", "10.213.0.2"), host.start_container().await);
    assert_eq!(datapath.detach(lease.address, NOW).await.unwrap(), Detached::Gone);
    datapath.attach(&lease, &netns).await.unwrap();
    assert_eq!(
        datapath.detach(lease.address, NOW).await.unwrap(),
        Detached::Removed
    );
    assert_eq!(datapath.detach(lease.address, NOW).await.unwrap(), Detached::Gone);
    assert_eq!(datapath.list().await.unwrap(), []);
    datapath.attach(&lease, &netns).await.unwrap();
    host.end_container(&netns).await;
    datapath.teardown().await.unwrap();
}

/// A link ends by itself when its container ends.
pub async fn a_link_ends_with_its_container(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let (lease, netns) = (lease("ends", "10.213.0.2"), host.start_container().await);
    datapath.attach(&lease, &netns).await.unwrap();
    host.end_container(&netns).await;
    wait_gone(host, &*datapath, lease.address).await;
    assert_eq!(datapath.detach(lease.address, NOW).await.unwrap(), Detached::Gone);
    datapath.teardown().await.unwrap();
}

/// A namespace that is gone, and above all the host's own, is refused, and nothing is left of the attempt.
pub async fn bad_namespaces_are_refused(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let ended = host.start_container().await;
    host.end_container(&ended).await;
    let lease = lease("none", "10.213.0.2");
    for netns in [ended, host.own_netns(), Netns::at("/nowhere/at/all")] {
        let error = datapath.attach(&lease, &netns).await.unwrap_err();
        assert!(
            matches!(&error, Error::Netns { id, .. } if *id == lease.id),
            "{netns:?}: {error:?}"
        );
        assert_eq!(datapath.list().await.unwrap(), []);
    }
    datapath.teardown().await.unwrap();
}

/// Addresses that the network does not hand out are refused.
pub async fn foreign_addresses_are_refused(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let netns = host.start_container().await;
    for address in ["10.213.0.0", "10.213.0.1", "10.213.0.255", "10.213.1.2"] {
        let error = datapath.attach(&lease("odd", address), &netns).await.unwrap_err();
        assert!(
            matches!(error, Error::Invalid { what: "address", .. }),
            "{address}: {error:?}"
        );
        assert_eq!(
            datapath.detach(address.parse().unwrap(), NOW).await.unwrap(),
            Detached::Gone,
            "{address}"
        );
    }
    host.end_container(&netns).await;
    datapath.teardown().await.unwrap();
}

/// A new process finds what the last one attached; it adopts the wanted and removes the rest.
pub async fn attachments_outlive_the_process(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let (one, two) = (host.start_container().await, host.start_container().await);
    let (kept, left) = (lease("kept", "10.213.0.9"), lease("left", "10.213.0.4"));
    datapath.attach(&kept, &one).await.unwrap();
    datapath.attach(&left, &two).await.unwrap();
    drop(datapath);

    let network = HostNetwork::new(host.datapath(first()), Duration::from_secs(3_600));
    network.setup().await.unwrap();
    let wanted = BTreeSet::from([kept.id.clone(), id("unborn")]);
    let adoption = network.adopt(&wanted).await.unwrap();
    let adopted: Vec<_> = adoption
        .adopted
        .iter()
        .map(|a| (a.id.clone(), a.address))
        .collect();
    assert_eq!(adopted, [(kept.id.clone(), kept.address)]);
    assert_eq!(adoption.removed, [found(&left)]);
    assert_eq!(adoption.missing, [id("unborn")]);
    assert!(adoption.failed.is_empty(), "{adoption:?}");
    assert_eq!(
        network.attach(&kept.id, &one).await.unwrap().address,
        kept.address
    );
    let again = network.adopt(&wanted).await.unwrap();
    assert!(again.adopted.is_empty() && again.removed.is_empty(), "{again:?}");
    let counters = network.counters();
    assert_eq!((counters.attached, counters.leftovers_removed), (1, 1));
    assert_eq!((counters.pool.used, counters.pool.cooling), (1, 1));
    host.end_container(&one).await;
    host.end_container(&two).await;
    network.teardown().await.unwrap();
}

/// Sixteen attachments at once are as good as one after another.
pub async fn many_at_once(host: &dyn TestHost) {
    let network = Arc::new(HostNetwork::new(host.datapath(first()), Duration::ZERO));
    network.setup().await.unwrap();
    let mut namespaces = Vec::new();
    for _ in 0..16 {
        namespaces.push(host.start_container().await);
    }
    let ids: Vec<_> = (0..16).map(|n| id(&format!("many-{n}"))).collect();
    let attach = |(id, netns)| network.attach(id, netns);
    let outcomes = join_all(ids.iter().zip(&namespaces).map(attach)).await;
    let addresses: BTreeSet<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().address)
        .collect();
    assert_eq!(addresses.len(), 16);
    assert_eq!(host.datapath(first()).list().await.unwrap().len(), 16);
    for netns in &namespaces {
        host.end_container(netns).await;
    }
    for outcome in join_all(ids.iter().map(|id| network.detach(id))).await {
        outcome.unwrap();
    }
    assert_eq!(host.datapath(first()).list().await.unwrap(), []);
    assert_eq!(
        (network.counters().detached, network.counters().pool.used),
        (16, 0)
    );
    network.teardown().await.unwrap();
}

/// A subnet that another network of the host has is refused with the name of that network's bridge.
pub async fn overlapping_subnets_are_refused(host: &dyn TestHost) {
    let datapath = ready(host).await;
    for subnet in ["10.213.0.0/24", "10.213.0.128/25", "10.213.0.0/22"] {
        let error = host.datapath(network("conf2", subnet)).setup().await.unwrap_err();
        let bridge = datapath.network().bridge();
        assert!(
            matches!(&error, Error::Overlap { device, .. } if *device == bridge),
            "{error:?}"
        );
    }
    let changed = host
        .datapath(network("conf1", "10.214.0.0/24"))
        .setup()
        .await
        .unwrap_err();
    assert!(matches!(changed, Error::Foreign { .. }), "{changed:?}");
    datapath.teardown().await.unwrap();
    let second = host.datapath(network("conf2", "10.213.0.0/22"));
    second.setup().await.unwrap();
    second.teardown().await.unwrap();
}

/// Two networks on a host do not see each other's links.
pub async fn networks_do_not_mix(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let other = host.datapath(network("conf2", "10.214.0.0/24"));
    other.setup().await.unwrap();
    let (one, two) = (host.start_container().await, host.start_container().await);
    let (here, there) = (lease("same", "10.213.0.2"), lease("same", "10.214.0.2"));
    datapath.attach(&here, &one).await.unwrap();
    other.attach(&there, &two).await.unwrap();
    assert_eq!(datapath.list().await.unwrap(), [found(&here)]);
    datapath.teardown().await.unwrap();
    assert_eq!(other.list().await.unwrap(), [found(&there)]);
    host.end_container(&one).await;
    host.end_container(&two).await;
    other.teardown().await.unwrap();
}

/// Teardown takes the attachments along, may be repeated, and leaves the host ready for another set-up.
pub async fn teardown_removes_all(host: &dyn TestHost) {
    let datapath = ready(host).await;
    let (lease, netns) = (lease("torn", "10.213.0.2"), host.start_container().await);
    datapath.attach(&lease, &netns).await.unwrap();
    datapath.teardown().await.unwrap();
    datapath.teardown().await.unwrap();
    assert_eq!(datapath.list().await.unwrap(), []);
    assert_eq!(datapath.detach(lease.address, NOW).await.unwrap(), Detached::Gone);
    let error = datapath.attach(&lease, &netns).await.unwrap_err();
    assert!(matches!(error, Error::NotSetUp { .. }), "{error:?}");
    datapath.setup().await.unwrap();
    datapath.attach(&lease, &netns).await.unwrap();
    assert_eq!(datapath.list().await.unwrap(), [found(&lease)]);
    host.end_container(&netns).await;
    datapath.teardown().await.unwrap();
}
