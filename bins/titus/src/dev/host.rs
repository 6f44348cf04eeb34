//! The hosts of `titus dev`: this machine, or some that only pretend.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use titus_agent::executor::{Defaults, Parts};
use titus_agent::host::{HostOptions, this_host};
use titus_agent::images::{FakeImages, Images, StoreImages};
use titus_agent::journal::Journal;
use titus_core::host::HostSpec;
use titus_core::id::HostId;
use titus_core::resources::Resources;
use titus_isolation::fake::FakeRuntime;
use titus_isolation::image::{ImageStore, ImagesConfig};
use titus_isolation::{ContainerRuntime, SandboxConfig, SandboxRuntime};
use titus_net::{Datapath, FakeHost, HostNetwork, NetlinkDatapath, Network};

use super::args::{DevArgs, RuntimeArg};
use super::state::StateDir;
use super::{agent_clock, banner, told};
use crate::exit::{CliError, Exit};

/// What runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Real,
    Fake,
}

/// One host of the process.
#[derive(Debug)]
pub(super) struct DevHost {
    pub(super) spec: HostSpec,
    pub(super) parts: Parts,
}

const COOL_DOWN: Duration = Duration::from_secs(5);
const PIDS_MAX: u64 = 4_096;

/// Real containers as root, unless told otherwise.
pub(super) fn choose(args: &DevArgs) -> Result<Kind, CliError> {
    let root = nix::unistd::geteuid().is_root();
    match args.runtime {
        Some(RuntimeArg::Fake) => Ok(Kind::Fake),
        Some(RuntimeArg::Sandbox) if !root => Err(CliError::new(
            Exit::NotAllowed,
            "--runtime sandbox needs root",
            "run it with sudo, or see the platform at work on fake hosts: titus dev --runtime fake",
        )),
        None if !root => Ok(Kind::Fake),
        Some(RuntimeArg::Sandbox) | None => Ok(Kind::Real),
    }
}

/// Opens the hosts; what an earlier process left on them is still there.
pub(super) async fn open(args: &DevArgs, kind: Kind, state: &StateDir) -> Result<Vec<DevHost>, CliError> {
    match kind {
        Kind::Real => Ok(vec![real(args, state).await?]),
        Kind::Fake => {
            let mut hosts = Vec::new();
            for nth in 0..args.fake_hosts {
                hosts.push(fake(nth, state).await?);
            }
            Ok(hosts)
        }
    }
}

async fn real(args: &DevArgs, state: &StateDir) -> Result<DevHost, CliError> {
    let network = network(args)?;
    let datapath = NetlinkDatapath::new(network).map_err(|e| failed(&e))?;
    let network = Arc::new(HostNetwork::new(Arc::new(datapath), COOL_DOWN));
    network.setup().await.map_err(|e| failed(&e))?;
    let mut config = SandboxConfig::new(state.path().join("sandboxes"));
    config.hidden = vec![state.path().to_path_buf()];
    let opened = tokio::task::spawn_blocking(move || SandboxRuntime::open(config)).await;
    let runtime = match opened {
        Ok(opened) => opened.map_err(|e| failed(&e))?,
        Err(error) => return Err(failed(&error)),
    };
    let options = HostOptions {
        zone: "local".into(),
        machine_type: "local".into(),
        addresses: u64::try_from(network.counters().pool.size).unwrap_or(u64::MAX),
        runtime: "sandbox".into(),
        datapath: "bridge".into(),
        attributes: BTreeMap::from([("diskLimit".into(), "counted, not enforced".into())]),
        ..HostOptions::default()
    };
    let images = Arc::new(StoreImages::new(image_store(args, state).await?));
    let volume_roots = volume_roots(args)?;
    let defaults = Defaults {
        volume_roots,
        name_servers: name_servers(network.network()),
        ..defaults()
    };
    let spec = this_host(options, state.path());
    Ok(DevHost {
        spec,
        parts: parts(Arc::new(runtime), network, images, state.path(), defaults)?,
    })
}

/// Images from a folder, unpacked into the state folder.
async fn image_store(args: &DevArgs, state: &StateDir) -> Result<ImageStore, CliError> {
    let images = args.images.clone().unwrap_or_else(|| state.path().join("images"));
    if args.images.is_none() {
        std::fs::create_dir_all(&images)
            .map_err(|e| CliError::io(format!("cannot make {}", images.display()), &e))?;
    }
    let mut config = ImagesConfig::new(state.path().join("layers"));
    config.images = Some(images);
    config.allow_host = !args.no_host_image;
    match tokio::task::spawn_blocking(move || ImageStore::open(config)).await {
        Ok(opened) => opened.map_err(|e| failed(&e)),
        Err(error) => Err(failed(&error)),
    }
}

async fn fake(nth: u16, state: &StateDir) -> Result<DevHost, CliError> {
    let id = HostId::new(&format!("fake-{}", nth + 1)).map_err(|e| failed(&e))?;
    let network = Network::new(
        "fake".parse().map_err(|e: titus_net::Error| failed(&e))?,
        format!("10.{}.{}.0/24", 128 + nth / 256, nth % 256)
            .parse()
            .map_err(|e: titus_net::Error| failed(&e))?,
    );
    let datapath: Arc<dyn Datapath> = Arc::new(FakeHost::trusting().datapath(network));
    let network = Arc::new(HostNetwork::new(datapath, COOL_DOWN));
    network.setup().await.map_err(|e| failed(&e))?;
    let spec = HostSpec {
        id,
        capacity: Resources {
            cpu_milli: 8_000,
            memory_mb: 32_768,
            disk_mb: 500_000,
            network_mbps: 10_000,
            addresses: 250,
            gpu: 0,
        },
        zone: if nth.is_multiple_of(2) {
            "a".into()
        } else {
            "b".into()
        },
        machine_type: "fake".into(),
        runtime: "fake".into(),
        datapath: "fake".into(),
        attributes: BTreeMap::new(),
    };
    let folder = state.path().join(id.as_str());
    let runtime: Arc<dyn ContainerRuntime> = Arc::new(FakeRuntime::new());
    Ok(DevHost {
        spec,
        parts: parts(runtime, network, Arc::new(FakeImages), &folder, defaults())?,
    })
}

fn parts(
    runtime: Arc<dyn ContainerRuntime>,
    network: Arc<HostNetwork>,
    images: Arc<dyn Images>,
    folder: &Path,
    defaults: Defaults,
) -> Result<Parts, CliError> {
    let journal = Journal::open(folder.join("journal"))
        .map_err(|e| CliError::io(format!("cannot keep a journal in {}", folder.display()), &e))?;
    Ok(Parts {
        runtime,
        network,
        images,
        journal,
        logs: folder.join("logs"),
        defaults,
        clock: agent_clock(),
    })
}

fn defaults() -> Defaults {
    Defaults {
        pids_max: PIDS_MAX,
        log_max_bytes: 16 << 20,
        log_files: 4,
        ..Defaults::default()
    }
}

fn network(args: &DevArgs) -> Result<Network, CliError> {
    let wrong = |option: &str, e: titus_net::Error| CliError::usage(told(&e), format!("correct {option}"));
    let name = args.network.parse().map_err(|e| wrong("--network", e))?;
    let subnet = args.subnet.parse().map_err(|e| wrong("--subnet", e))?;
    Ok(Network::new(name, subnet))
}

fn volume_roots(args: &DevArgs) -> Result<Vec<PathBuf>, CliError> {
    let check = |root: &PathBuf| {
        root.canonicalize()
            .map_err(|e| CliError::io(format!("--volume-root {}", root.display()), &e))
    };
    args.volume_root.iter().map(check).collect()
}

/// The machine's name servers that a container can reach, also where a resolver of its own stands before them.
fn name_servers(network: &Network) -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    network.name_servers(&[
        &read("/etc/resolv.conf"),
        &read("/run/systemd/resolve/resolv.conf"),
    ])
}

/// Ends what must not outlive the process: all of it with a temporary state folder, else nothing that runs.
pub(super) async fn close(args: &DevArgs, kind: Kind, hosts: Vec<DevHost>, state: &StateDir) {
    if kind == Kind::Fake {
        return;
    }
    let end = state.is_temporary() || args.stop_containers;
    for host in hosts {
        let Parts { runtime, network, .. } = host.parts;
        let running = match runtime.list().await {
            Ok(list) => list,
            Err(error) => {
                banner::say(&format!("cannot list the containers: {}", told(&error)));
                continue;
            }
        };
        if !running.is_empty() && !end {
            banner::say(&format!(
                "{} containers run on; titus dev --state-dir {} takes them over again",
                running.len(),
                state.path().display()
            ));
            continue;
        }
        for sandbox in running {
            if let Err(error) = runtime.remove(&sandbox.id).await {
                banner::say(&format!(
                    "container {} was not removed: {}",
                    sandbox.id,
                    told(&error)
                ));
            }
        }
        if let Err(error) = network.teardown().await {
            banner::say(&format!("the network was not removed: {}", told(&error)));
        }
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::new(Exit::Other, told(error), "")
}
