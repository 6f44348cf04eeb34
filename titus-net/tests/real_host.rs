//! A network's life on a host: it respects what is there, survives crashes, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use titus_net::{Error, HostNetwork, NetlinkDatapath, Netns};

mod lab;

use lab::{Place, Running, id, inventory, link_outside, network, on_a_host, run};

/// A host with an uplink and a default route.
fn with_uplink() -> Place {
    // Its addresses come and go by themselves for a second.
    run("sysctl -q -w net.ipv6.conf.default.disable_ipv6=1");
    let outside = Place::outside();
    link_outside(&outside, "wan0", "198.51.100.1", "198.51.100.2");
    run("ip route add default via 198.51.100.2");
    outside
}

fn host_network(name: &str, subnet: &str) -> HostNetwork {
    let datapath = NetlinkDatapath::new(network(name, subnet)).unwrap();
    HostNetwork::new(Arc::new(datapath), Duration::ZERO)
}

/// Waits until the host is as it was, and says what is not.
#[track_caller]
fn assert_restored(before: &str) {
    let before: BTreeSet<_> = before.lines().collect();
    let mut differences = Vec::new();
    let deadline = Instant::now() + lab::GENEROUS;
    while Instant::now() < deadline {
        let after = inventory();
        let after: BTreeSet<_> = after.lines().collect();
        differences = before
            .symmetric_difference(&after)
            .map(|line| (*line).to_owned())
            .collect();
        if differences.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{differences:#?}");
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn teardown_leaves_the_host_as_it_was() {
    on_a_host(|| async {
        run("sysctl -q -w net.ipv4.ip_forward=0");
        let outside = with_uplink();
        run("nft add table ip somebody");
        outside.listen("0.0.0.0:4000");
        let before = inventory();
        let (first, second) = (
            host_network("one", "10.77.0.0/24"),
            host_network("two", "10.78.0.0/24"),
        );
        first.setup().await.unwrap();
        let one_network = inventory();
        assert!(one_network.contains("net/ipv4/conf/wan0/forwarding = 1"));
        second.setup().await.unwrap();
        let containers = [(); 3].map(|()| Place::container());
        for (n, place) in containers.iter().enumerate() {
            first.attach(&id(&format!("c{n}")), &place.netns()).await.unwrap();
        }
        second.teardown().await.unwrap();
        assert!(
            inventory().contains("net/ipv4/conf/wan0/forwarding = 1"),
            "the first needs it"
        );
        second.setup().await.unwrap();
        first.teardown().await.unwrap();
        assert!(
            inventory().contains("net/ipv4/conf/wan0/forwarding = 1"),
            "the second needs it"
        );
        second.teardown().await.unwrap();
        assert_restored(&before);
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_host_made_a_router_meanwhile_stays_one() {
    on_a_host(|| async {
        run("sysctl -q -w net.ipv4.ip_forward=0");
        let _outside = with_uplink();
        let network = host_network("one", "10.77.0.0/24");
        network.setup().await.unwrap();
        run("sysctl -q -w net.ipv4.ip_forward=1");
        network.teardown().await.unwrap();
        assert_eq!(run("cat /proc/sys/net/ipv4/conf/wan0/forwarding").trim(), "1");
        network.setup().await.unwrap();
        assert!(
            !run("nft list ruleset").contains("set closed"),
            "a router's links are not held apart"
        );
        network.teardown().await.unwrap();
        assert_eq!(run("cat /proc/sys/net/ipv4/conf/wan0/forwarding").trim(), "1");
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn flushed_rules_come_back_with_the_next_set_up() {
    on_a_host(|| async {
        run("sysctl -q -w net.ipv4.ip_forward=0");
        let _outside = with_uplink();
        let before = inventory();
        let network = host_network("one", "10.77.0.0/24");
        network.setup().await.unwrap();
        let place = Place::container();
        network.attach(&id("a"), &place.netns()).await.unwrap();
        let rules = run("nft --stateless list ruleset");
        assert!(rules.contains("wan0"), "the uplink was opened");
        run("nft flush ruleset");
        network.setup().await.unwrap();
        assert_eq!(run("nft --stateless list ruleset"), rules);
        assert!(place.pings("10.77.0.1", lab::GENEROUS));
        run("nft flush ruleset");
        network.teardown().await.unwrap();
        assert_restored(&before);
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn subnets_and_names_in_use_are_refused_and_nothing_changes() {
    on_a_host(|| async {
        let _outside = with_uplink();
        run("ip route add 10.64.0.0/10 via 198.51.100.2");
        run("ip addr add 172.20.5.9/16 dev wan0");
        run("ip link add foreign-br type bridge");
        run("ip link add odd-2 type veth peer name odd-3");
        run("ip link set odd-2 alias mine");
        let before = inventory();
        for (name, subnet, complaint) in [
            (
                "one",
                "10.77.0.0/24",
                "subnet 10.77.0.0/24 overlaps 10.64.0.0/10 on wan0; choose another subnet",
            ),
            (
                "one",
                "172.20.0.0/24",
                "subnet 172.20.0.0/24 overlaps 172.20.0.0/16 on wan0; choose another subnet",
            ),
            (
                "foreign",
                "10.1.0.0/24",
                "link foreign-br exists and was not made by this network",
            ),
            (
                "odd",
                "10.1.0.0/24",
                "link odd-2 exists and was not made by this network",
            ),
        ] {
            let network = host_network(name, subnet);
            let error = network.setup().await.unwrap_err();
            assert!(error.to_string().starts_with(complaint), "{error}");
        }
        assert!(matches!(
            host_network("foreign", "10.1.0.0/24").teardown().await,
            Err(Error::Foreign { .. })
        ));
        assert_restored(&before);
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_namespace_may_be_given_as_a_file_and_must_be_a_container() {
    on_a_host(|| async {
        let network = host_network("one", "10.77.0.0/24");
        network.setup().await.unwrap();
        let place = Place::container();
        let file = OwnedFd::from(File::open(place.netns().path().unwrap()).unwrap());
        let attachment = network.attach(&id("a"), &Netns::from(file)).await.unwrap();
        assert_eq!(
            (attachment.port.as_str(), attachment.address.to_string().as_str()),
            ("one-2", "10.77.0.2")
        );
        let link = place.run("ip -o link show eth0");
        assert!(
            link.contains(&attachment.mac.to_string()) && link.contains("mtu 1500"),
            "{link}"
        );

        for (wrong, complaint) in [
            ("/proc/self/ns/user", "it cannot be entered"),
            ("/proc/self/status", "it is no namespace"),
            ("/proc/thread-self/ns/net", "it is the host's own"),
        ] {
            let error = network.attach(&id("b"), &Netns::at(wrong)).await.unwrap_err();
            assert!(error.to_string().contains(complaint), "{wrong}: {error}");
        }
        // A container that has its own `eth0` already.
        let error = network.attach(&id("b"), &place.netns()).await.unwrap_err();
        assert!(matches!(&error, Error::Netns { .. }), "{error}");
        assert!(
            error.to_string().ends_with("it already has an interface eth0"),
            "{error}"
        );
        assert!(run("ip -o link").contains("one-2") && !run("ip -o link").contains("one-3"));
        // One that refuses the last of the steps inside.
        let stubborn = Place::container();
        stubborn.run("ip link set lo up");
        stubborn.run("ip route add default dev lo");
        let error = network.attach(&id("b"), &stubborn.netns()).await.unwrap_err();
        assert_eq!(error.to_string(), "could not route through 10.77.0.1");
        assert!(!run("ip -o link").contains("one-3"), "nothing is left of it");
        assert!(
            !stubborn.run("ip -o link").contains("eth0"),
            "nothing is left of it"
        );
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn the_mtu_is_that_of_the_uplink() {
    on_a_host(|| async {
        let _outside = with_uplink();
        run("ip link set wan0 mtu 1400");
        let network = host_network("one", "10.77.0.0/24");
        network.setup().await.unwrap();
        let place = Place::container();
        network.attach(&id("a"), &place.netns()).await.unwrap();
        assert!(place.run("ip -o link show eth0").contains("mtu 1400"));
        assert!(run("ip -o link show one-2").contains("mtu 1400"));
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn the_network_works_as_soon_as_attach_returns() {
    on_a_host(|| async {
        let network = host_network("one", "10.77.0.0/24");
        network.setup().await.unwrap();
        for n in 0..20 {
            let place = Place::container();
            let attachment = network
                .attach(&id(&format!("c{n}")), &place.netns())
                .await
                .unwrap();
            let state = run(&format!("bridge link show dev {}", attachment.port));
            assert!(state.contains("state forwarding"), "{state}");
        }
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_runtime_of_many_threads_works_too() {
    on_a_host(|| async {
        // Its threads are made here, so that they are on this host.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let work = runtime.spawn(async {
            let network = Arc::new(host_network("one", "10.77.0.0/24"));
            network.setup().await.unwrap();
            let places = [(); 8].map(|()| Place::container());
            let attach = |(n, place): (usize, &Place)| {
                let (network, id, netns) = (network.clone(), id(&format!("c{n}")), place.netns());
                tokio::spawn(async move { network.attach(&id, &netns).await })
            };
            let tasks: Vec<_> = places.iter().enumerate().map(attach).collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            assert!(places[7].pings("10.77.0.1", lab::GENEROUS));
            network.teardown().await.unwrap();
        });
        work.await.unwrap();
        runtime.shutdown_background();
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_missing_nft_names_its_package() {
    on_a_host(|| async {
        // The programs are hidden from this thread only, which ends with the test.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount --make-rprivate /");
        let nft = run("which -a nft");
        for place in nft
            .lines()
            .map(|path| std::path::Path::new(path).parent().unwrap())
        {
            // By its full name, since what hides `nft` may hide `mount`.
            let _hidden = lab::attempt(&format!("/usr/bin/mount -t tmpfs none {}", place.display()));
        }
        let error = host_network("one", "10.77.0.0/24").setup().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the program nft was not found; install the package nftables"
        );
    });
}

/// Runs one of this file's helpers below in a process of its own, on the host of this thread.
fn helper(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("TITUS_NET_HELPER", name).stdout(Stdio::piped());
    command
}

fn is_helper(name: &str) -> bool {
    std::env::var("TITUS_NET_HELPER").is_ok_and(|helper| helper == name)
}

fn block_on(body: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(body);
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn without_rights_the_error_says_so() {
    on_a_host(|| async {
        let this = helper("helper_without_rights");
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--"])
            .arg(this.get_program())
            .args(this.get_args());
        let output = command
            .env("TITUS_NET_HELPER", "helper_without_rights")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert!(String::from_utf8_lossy(&output.stdout).contains("said so"));
    });
}

#[test]
#[ignore = "is run by without_rights_the_error_says_so"]
fn helper_without_rights() {
    if !is_helper("helper_without_rights") {
        return;
    }
    block_on(async {
        let network = host_network("one", "10.77.0.0/24");
        let error = network.setup().await.unwrap_err();
        assert!(matches!(&error, Error::Permission { .. }), "{error:?}");
        assert!(error.to_string().ends_with("run as root"), "{error}");
        println!("said so");
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn kill_9_loses_no_attachment_and_leaves_none_behind() {
    on_a_host(|| async {
        let before = inventory();
        let containers = [(); 8].map(|()| Place::container());
        let pids: Vec<_> = containers.iter().map(|place| place.pid().to_string()).collect();
        for kill in 0..12_u64 {
            let child = helper("helper_attaches")
                .env("TITUS_NET_PIDS", pids.join(" "))
                .spawn();
            let mut child = Running(child.unwrap());
            // The test harness writes its own words before the first line.
            let lines = child.wait_for("set up");
            std::thread::sleep(Duration::from_micros(kill * 1_500));
            drop(child);
            let acknowledged: BTreeSet<_> = lines
                .filter_map(|line| Some(id(line.strip_prefix("attached ")?)))
                .collect();

            let network = host_network("crash", "10.77.0.0/24");
            network.setup().await.unwrap();
            let adoption = network.adopt(&acknowledged).await.unwrap();
            let adopted: BTreeSet<_> = adoption.adopted.iter().map(|a| a.id.clone()).collect();
            assert_eq!(adopted, acknowledged, "kill {kill}: {adoption:?}");
            assert!(adoption.failed.is_empty(), "kill {kill}: {adoption:?}");
            for attachment in &adoption.adopted {
                let place = &containers[attachment.id.as_str()[1..].parse::<usize>().unwrap()];
                assert!(place.pings("10.77.0.1", lab::GENEROUS), "{attachment:?}");
            }
            // As a new process that wants none of them.
            let adoption = host_network("crash", "10.77.0.0/24")
                .adopt(&BTreeSet::new())
                .await
                .unwrap();
            assert_eq!(adoption.removed.len(), acknowledged.len());
            assert!(!run("ip -o link").contains("crash-2"));
        }
        host_network("crash", "10.77.0.0/24").teardown().await.unwrap();
        drop(containers);
        assert_restored(&before);
    });
}

#[test]
#[ignore = "is run by kill_9_loses_no_attachment_and_leaves_none_behind"]
fn helper_attaches() {
    if !is_helper("helper_attaches") {
        return;
    }
    block_on(async {
        let network = host_network("crash", "10.77.0.0/24");
        network.setup().await.unwrap();
        println!("set up");
        for (n, pid) in std::env::var("TITUS_NET_PIDS").unwrap().split(' ').enumerate() {
            let name = format!("c{n}");
            network
                .attach(&id(&name), &Netns::of_pid(pid.parse().unwrap()))
                .await
                .unwrap();
            println!("attached {name}");
        }
        std::future::pending::<()>().await;
    });
}

#[test]
#[ignore = "needs root: makes network namespaces, links and rules"]
fn a_link_without_its_mark_is_removed_and_not_adopted() {
    on_a_host(|| async {
        let place = Place::container();
        let network = host_network("one", "10.77.0.0/24");
        network.setup().await.unwrap();
        run(&format!(
            "ip link add one-9 master one-br type veth peer name eth0 netns {}",
            place.pid()
        ));
        let adoption = network.adopt(&BTreeSet::from([id("a")])).await.unwrap();
        assert_eq!((adoption.adopted.len(), adoption.removed.len()), (0, 1));
        assert_eq!(
            (
                adoption.removed[0].id.as_ref(),
                network.counters().leftovers_removed
            ),
            (None, 1)
        );
        assert!(!run("ip -o link").contains("one-9"));
        // And when its address is wanted before anybody looked for leftovers.
        run(&format!(
            "ip link add one-2 master one-br type veth peer name eth0 netns {}",
            place.pid()
        ));
        network.attach(&id("b"), &place.netns()).await.unwrap();
        assert!(place.pings("10.77.0.1", lab::GENEROUS));
    });
}
