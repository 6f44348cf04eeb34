//! The kernel's data path passes the suite, wires containers in and out, and survives kill -9.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use titus_net::conformance::{self, TestHost};
use titus_net::{Datapath, NetlinkDatapath, Netns, Network};

mod lab;

use lab::{Place, on_a_host};

#[derive(Debug, Default)]
struct RealHost {
    places: Mutex<BTreeMap<u32, Place>>,
}

#[async_trait]
impl TestHost for RealHost {
    fn datapath(&self, network: Network) -> Arc<dyn Datapath> {
        Arc::new(NetlinkDatapath::new(network).unwrap())
    }

    async fn start_container(&self) -> Netns {
        let place = Place::container();
        let netns = place.netns();
        self.places.lock().unwrap().insert(place.pid(), place);
        netns
    }

    async fn end_container(&self, netns: &Netns) {
        let mut places = self.places.lock().unwrap();
        places.retain(|_, place| place.netns().path() != netns.path());
    }

    fn own_netns(&self) -> Netns {
        Netns::at("/proc/thread-self/ns/net")
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn conformance() {
    for &(name, case) in conformance::CASES {
        println!("{name}");
        on_a_host(move || async move { case(&RealHost::default()).await });
    }
}
