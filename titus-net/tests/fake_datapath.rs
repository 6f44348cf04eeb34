//! The data path in memory passes the suite, and fails on demand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use titus_net::conformance::{self, TestHost};
use titus_net::{
    AttachmentId, Datapath, Detached, Error, FakeCall, FakeHost, HostNetwork, Netns, Network, PoolCounts,
    RefusalReason,
};

#[derive(Debug)]
struct Fake(FakeHost);

#[async_trait]
impl TestHost for Fake {
    fn datapath(&self, network: Network) -> Arc<dyn Datapath> {
        Arc::new(self.0.datapath(network))
    }

    async fn start_container(&self) -> Netns {
        self.0.start_container()
    }

    async fn end_container(&self, netns: &Netns) {
        self.0.end_container(netns);
    }

    fn own_netns(&self) -> Netns {
        FakeHost::own_netns()
    }

    async fn pause(&self) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn conformance() {
    conformance::all(&Fake(FakeHost::default())).await;
}

const COOL_DOWN: Duration = Duration::from_millis(100);

/// A network of five addresses on a fake host, with a clock of its own.
async fn network(host: &FakeHost) -> (HostNetwork, Arc<AtomicU64>) {
    let network = Network::new("fake".parse().unwrap(), "10.9.0.0/29".parse().unwrap());
    let clock = Arc::new(AtomicU64::new(0));
    let now = clock.clone();
    let network = HostNetwork::new(Arc::new(host.datapath(network)), COOL_DOWN)
        .with_clock(move || now.load(Ordering::Relaxed));
    network.setup().await.unwrap();
    (network, clock)
}

fn id(text: &str) -> AttachmentId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_failed_attach_keeps_its_address_until_it_is_tried_again() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    let netns = host.start_container();
    host.fail_next(FakeCall::Attach, 1);
    assert!(matches!(
        network.attach(&id("a"), &netns).await,
        Err(Error::Kernel { .. })
    ));
    let counters = network.counters();
    assert_eq!(
        (counters.attach_failures, counters.attached, counters.pool.used),
        (1, 0, 1)
    );
    assert!(network.attachments().is_empty());
    let attachment = network.attach(&id("a"), &netns).await.unwrap();
    assert_eq!(attachment.address.to_string(), "10.9.0.2");
    assert_eq!(network.attachments(), [attachment]);
}

#[tokio::test]
async fn a_reserved_address_is_the_one_attached() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    let reserved = network.reserve(&id("a")).unwrap();
    network.reserve(&id("b")).unwrap();
    assert!(network.attachments().is_empty());
    assert_eq!(
        network.attach(&id("a"), &host.start_container()).await.unwrap(),
        reserved
    );
    assert_eq!(network.detach(&id("b")).await.unwrap(), Detached::Gone);
    assert_eq!(
        network.counters().pool,
        PoolCounts {
            size: 5,
            free: 3,
            used: 1,
            cooling: 1
        }
    );
}

#[tokio::test]
async fn a_failed_detach_keeps_the_address() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    network.attach(&id("a"), &host.start_container()).await.unwrap();
    host.fail_next(FakeCall::Detach, 1);
    assert!(network.detach(&id("a")).await.is_err());
    assert_eq!(
        (network.counters().detach_failures, network.counters().pool.used),
        (1, 1)
    );
    assert_eq!(network.detach(&id("a")).await.unwrap(), Detached::Removed);
    assert_eq!(network.detach(&id("a")).await.unwrap(), Detached::Gone);
    assert_eq!(
        (network.counters().detached, network.counters().pool.used),
        (1, 0)
    );
}

#[tokio::test]
async fn exhaustion_and_cool_down_are_told_apart_and_pass() {
    let host = FakeHost::default();
    let (network, clock) = network(&host).await;
    for n in 0..5 {
        network
            .attach(&id(&format!("c{n}")), &host.start_container())
            .await
            .unwrap();
    }
    let refused = network
        .attach(&id("late"), &host.start_container())
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no address for late: all 5 addresses are in use"
    );
    let released = network.detach(&id("c3")).await.unwrap();
    assert_eq!(released, Detached::Removed);
    let refused = network.reserve(&id("late")).unwrap_err();
    let Error::NoAddress { refusal, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.reason, RefusalReason::Cooling { ready_at_ms: 100 });
    clock.store(100, Ordering::Relaxed);
    assert_eq!(
        network.reserve(&id("late")).unwrap().address.to_string(),
        "10.9.0.5"
    );
    assert_eq!(network.counters().refused, 2);
}

#[tokio::test]
async fn a_link_cut_short_by_a_crash_is_removed_and_not_adopted() {
    let host = FakeHost::default();
    let (first, _) = network(&host).await;
    let netns = host.start_container();
    host.cut_next_attach_short();
    first.attach(&id("a"), &netns).await.unwrap_err();
    drop(first);

    let (second, _) = network(&host).await;
    let wanted = BTreeSet::from([id("a")]);
    host.fail_next(FakeCall::Detach, 1);
    let adoption = second.adopt(&wanted).await.unwrap();
    assert_eq!(
        (
            adoption.adopted.len(),
            adoption.removed.len(),
            adoption.failed.len()
        ),
        (0, 0, 1)
    );
    assert_eq!(adoption.missing, [id("a")]);
    assert_ne!(
        second.reserve(&id("b")).unwrap().address,
        adoption.failed[0].0.address
    );
    let adoption = second.adopt(&wanted).await.unwrap();
    assert_eq!((adoption.removed.len(), adoption.failed.len()), (1, 0));
    assert_eq!(second.counters().leftovers_removed, 1);
}

#[tokio::test]
async fn adopting_never_touches_what_this_object_attached() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    network.attach(&id("a"), &host.start_container()).await.unwrap();
    let adoption = network.adopt(&BTreeSet::new()).await.unwrap();
    assert!(adoption.removed.is_empty() && adoption.adopted.is_empty());
    assert_eq!(network.attachments().len(), 1);
}

#[tokio::test]
async fn foreign_links_and_routes_are_respected() {
    let host = FakeHost::default();
    host.add_route("10.9.0.0/16".parse().unwrap(), "eth0");
    host.add_route("0.0.0.0/0".parse().unwrap(), "eth0");
    let spec = |name: &str, subnet: &str| Network::new(name.parse().unwrap(), subnet.parse().unwrap());
    let error = host
        .datapath(spec("fake", "10.9.0.0/29"))
        .setup()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "subnet 10.9.0.0/29 overlaps 10.9.0.0/16 on eth0; choose another subnet"
    );
    host.add_link("fake-br");
    let error = host
        .datapath(spec("fake", "10.10.0.0/29"))
        .setup()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error:?}");
}

#[tokio::test]
async fn other_failures_reach_the_caller() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    for call in [FakeCall::Setup, FakeCall::List, FakeCall::Teardown] {
        host.fail_next(call, 1);
    }
    assert!(network.setup().await.is_err());
    assert!(network.adopt(&BTreeSet::new()).await.is_err());
    assert!(network.teardown().await.is_err());
    network.setup().await.unwrap();
}

#[tokio::test]
async fn teardown_gives_all_addresses_back() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    network.attach(&id("a"), &host.start_container()).await.unwrap();
    network.teardown().await.unwrap();
    assert_eq!(
        network.counters().pool,
        PoolCounts {
            size: 5,
            free: 4,
            used: 0,
            cooling: 1
        }
    );
    assert!(network.attachments().is_empty());
}

#[tokio::test]
async fn a_trusting_host_believes_in_namespaces_but_not_in_its_own() {
    let (network, _) = network(&FakeHost::trusting()).await;
    let elsewhere = Netns::at("/somebody/elses/ns");
    network.attach(&id("a"), &elsewhere).await.unwrap();
    assert!(network.attach(&id("b"), &FakeHost::own_netns()).await.is_err());
}

/// Polls a call once, and gives it up if that does not end it.
async fn begin<T>(call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        outcome = call => Some(outcome),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test]
async fn a_call_given_up_half_way_may_be_repeated() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    let netns = host.start_container();
    host.stall_next(FakeCall::Attach);
    assert!(begin(network.attach(&id("a"), &netns)).await.is_none());
    network.attach(&id("a"), &netns).await.unwrap();
    host.stall_next(FakeCall::Detach);
    assert!(begin(network.detach(&id("a"))).await.is_none());
    assert_eq!(network.detach(&id("a")).await.unwrap(), Detached::Removed);
    assert_eq!(network.counters().pool.used, 0);
}

#[tokio::test]
async fn two_calls_for_one_attachment_do_not_mix() {
    let host = FakeHost::default();
    let (network, _) = network(&host).await;
    let netns = host.start_container();
    host.stall_next(FakeCall::Attach);
    let (id, other) = (id("a"), id("b"));
    let mut first = Box::pin(network.attach(&id, &netns));
    assert!(begin(&mut first).await.is_none());
    assert!(matches!(
        network.attach(&id, &netns).await,
        Err(Error::Busy { .. })
    ));
    assert!(matches!(network.detach(&id).await, Err(Error::Busy { .. })));
    network.attach(&other, &host.start_container()).await.unwrap();
    drop(first);
    network.detach(&id).await.unwrap();
    assert_eq!(network.attachments().len(), 1);
}
