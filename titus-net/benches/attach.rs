//! What an attachment costs from a warm set-up, against the same kernel work by bare netlink messages:
//! a pair of links made, one end moved into the namespace, addressed and set up. Needs root.
//!
//! Prints one JSON object per case; a table goes to standard error. Each sample is one attachment to a fresh
//! namespace, ours and the baseline's in turn, on a host (a network namespace) of its own.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use futures::channel::oneshot;
use futures::future::join_all;
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};
use titus_net::{HostNetwork, NetlinkDatapath, Netns, Network};
use tokio::time::sleep;

const SAMPLES: usize = 41;
const WARM_UP: usize = 6;
/// The kernel cleans up after a namespace in its own time.
const SETTLE: Duration = Duration::from_millis(30);

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("attach: skipped, needs root");
        return;
    }
    // The main thread's namespace is that of this process only.
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    // Ours gives its ports no IPv6 addresses: neither does the baseline.
    let _there_if_ipv6_is = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for parallel in [1, 16] {
            measure(parallel).await;
        }
    });
}

async fn measure(parallel: usize) {
    let network = Network::new("bench".parse().unwrap(), "10.77.0.0/22".parse().unwrap());
    let host = HostNetwork::new(Arc::new(NetlinkDatapath::new(network).unwrap()), Duration::ZERO);
    host.setup().await.unwrap();
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + SAMPLES {
        // Each goes first in every other round, so that neither always follows the other's cleaning up.
        if round % 2 == 0 {
            ours.push(sample_ours(&host, parallel).await);
            bare.push(sample_bare(&handle, parallel).await);
        } else {
            bare.push(sample_bare(&handle, parallel).await);
            ours.push(sample_ours(&host, parallel).await);
        }
    }
    host.teardown().await.unwrap();
    report(
        parallel,
        &mut ours.split_off(WARM_UP),
        &mut bare.split_off(WARM_UP),
    );
}

async fn sample_ours(host: &HostNetwork, parallel: usize) -> Duration {
    let places: Vec<_> = (0..parallel).map(|_| Place::start()).collect();
    let ids: Vec<_> = (0..parallel).map(|n| format!("c{n}").parse().unwrap()).collect();
    let start = Instant::now();
    let attach = async |(id, place): (_, &Place)| host.attach(id, &place.netns()).await.unwrap();
    join_all(ids.iter().zip(&places).map(attach)).await;
    let elapsed = start.elapsed();
    drop(places);
    for id in &ids {
        host.detach(id).await.unwrap();
    }
    sleep(SETTLE).await;
    elapsed
}

async fn sample_bare(handle: &Handle, parallel: usize) -> Duration {
    let places: Vec<_> = (0..parallel).map(|_| Place::start()).collect();
    let start = Instant::now();
    let attach = |(n, place)| bare_attach(handle, place, n);
    join_all(places.iter().enumerate().map(attach)).await;
    let elapsed = start.elapsed();
    drop(places);
    await_gone(handle).await;
    sleep(SETTLE).await;
    elapsed
}

/// The floor: the pair, the move, the address, both ends up, and no more.
async fn bare_attach(handle: &Handle, place: &Place, n: usize) {
    let (name, netns) = (format!("bare{n}"), File::open(place.path()).unwrap());
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name("eth0")
        .setns_by_fd(netns.as_raw_fd())
        .build();
    let pair = LinkVeth::new(&name, "eth0")
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .up()
        .build();
    handle.link().add(pair).execute().await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        setns(netns, CloneFlags::CLONE_NEWNET).unwrap();
        let _context = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        send.send(handle).unwrap_or_else(|_| panic!("it is waited for"));
    });
    let inside = receive.await.unwrap();
    let link = inside
        .link()
        .get()
        .match_name("eth0")
        .execute()
        .try_next()
        .await
        .unwrap()
        .unwrap();
    let index = link.header.index;
    let up = LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build();
    inside.link().change(up).execute().await.unwrap();
    let address = IpAddr::from([10, 99, 0, 2]);
    inside.address().add(index, address, 24).execute().await.unwrap();
}

async fn await_gone(handle: &Handle) {
    loop {
        let links: Vec<_> = handle.link().get().execute().try_collect().await.unwrap();
        let bare = |link: &rtnetlink::packet_route::link::LinkMessage| format!("{link:?}").contains("\"bare");
        if !links.iter().any(bare) {
            return;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

fn report(parallel: usize, ours: &mut [Duration], bare: &mut [Duration]) {
    ours.sort();
    bare.sort();
    let per = |time: Duration| time.as_secs_f64() * 1_000.0 / f64::from(u32::try_from(parallel).unwrap());
    let (value, floor) = (per(ours[ours.len() / 2]), per(bare[bare.len() / 2]));
    let (min, max, ratio) = (per(ours[0]), per(ours[ours.len() - 1]), value / floor);
    println!(
        "{{\"bench\":\"attach\",\"case\":\"parallel={parallel}\",\"metric\":\"attach_ms\",\"value\":{value:.3},\
         \"baseline\":\"bare veth pair\",\"baseline_value\":{floor:.3},\"ratio\":{ratio:.2},\
         \"min\":{min:.3},\"max\":{max:.3},\"n\":{},\"quality\":{{}}}}",
        ours.len()
    );
    eprintln!("attach, {parallel:2} at once: {value:7.3} ms each, bare {floor:7.3} ms, ratio {ratio:.2}");
}

/// A process that sleeps in a network namespace of its own.
struct Place(Child);

impl Place {
    fn start() -> Self {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--net", "--", "sleep", "1000"])
            .stdin(Stdio::null());
        let place = Self(command.spawn().unwrap());
        let comm = format!("/proc/{}/comm", place.0.id());
        while std::fs::read_to_string(&comm).unwrap().trim() != "sleep" {
            std::thread::sleep(Duration::from_millis(1));
        }
        place
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn netns(&self) -> Netns {
        Netns::of_pid(self.0.id())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}
