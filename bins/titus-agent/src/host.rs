//! What this machine has for tasks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use titus_core::host::HostSpec;
use titus_core::id::HostId;
use titus_core::resources::Resources;

/// What an operator says of a host; the rest is measured.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Its name; the machine's when `None`.
    pub id: Option<HostId>,
    /// The zone that it stands in.
    pub zone: String,
    /// Its machine type.
    pub machine_type: String,
    /// The bandwidth that it has, in Mbps; 1,000 when `None`.
    pub network_mbps: Option<u64>,
    /// Addresses for containers.
    pub addresses: u64,
    /// The runtime in use.
    pub runtime: String,
    /// The data path in use.
    pub datapath: String,
    /// Further attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Describes this machine. Memory keeps a tenth (at least 256 MB where there is so much) for the host itself.
#[must_use]
pub fn this_host(options: HostOptions, disk: &Path) -> HostSpec {
    let memory = total_memory_mb().unwrap_or(1_024);
    let reserve = (memory / 10).max(256).min(memory / 2);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut attributes = options.attributes;
    attributes.insert("kernel".into(), kernel());
    HostSpec {
        id: options.id.unwrap_or_else(machine_name),
        capacity: Resources {
            cpu_milli: u64::try_from(cpus).unwrap_or(1).saturating_mul(1_000),
            memory_mb: memory - reserve,
            disk_mb: free_disk_mb(disk).unwrap_or(10_000),
            network_mbps: options.network_mbps.unwrap_or(1_000),
            addresses: options.addresses,
            gpu: 0,
        },
        zone: options.zone,
        machine_type: options.machine_type,
        runtime: options.runtime,
        datapath: options.datapath,
        attributes,
    }
}

/// The machine's name, made fit for a host id.
#[must_use]
pub fn machine_name() -> HostId {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    host_id_from(&name)
}

fn host_id_from(name: &str) -> HostId {
    let fit: String = name
        .trim()
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(HostId::MAX)
        .collect();
    HostId::new(&fit).unwrap_or_else(|_| HostId::new("host").expect("a fixed, valid name"))
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn total_memory_mb() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kb: u64 = text
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kb / 1_024)
}

fn free_disk_mb(path: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_machine_name_becomes_a_host_id() {
        for (name, id) in [
            ("Web_01.Example\n", "web-01.example"),
            ("", "host"),
            ("___", "host"),
            ("-a", "a"),
        ] {
            assert_eq!(host_id_from(name).as_str(), id, "{name:?}");
        }
        assert_eq!(host_id_from(&"x".repeat(99)).as_str().len(), HostId::MAX);
    }

    #[test]
    fn this_machine_has_something_of_each() {
        let spec = this_host(
            HostOptions {
                addresses: 9,
                ..HostOptions::default()
            },
            Path::new("/"),
        );
        let Resources {
            cpu_milli,
            memory_mb,
            disk_mb,
            network_mbps,
            addresses,
            gpu: _,
        } = spec.capacity;
        assert!(
            cpu_milli >= 1_000 && memory_mb >= 64 && disk_mb > 0 && network_mbps == 1_000 && addresses == 9
        );
    }
}
