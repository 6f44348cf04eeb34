//! Another runtime, by its command line: `RUNTIME run`, on a plain folder, with the same namespaces and a system call
//! filter of the same kind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Case, Outcome};

pub(crate) struct Oci {
    runtime: &'static str,
    bundle: PathBuf,
}

const HOST_ROOT: u32 = 1_879_048_192;

impl Oci {
    pub(crate) fn new(runtime: &'static str, rootfs: &Path, bundle: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(bundle)?;
        let config = config(rootfs, runtime)?;
        std::fs::write(bundle.join("config.json"), config)?;
        let mut case = Self {
            runtime,
            bundle: bundle.to_owned(),
        };
        case.launch().map_err(|e| format!("{runtime} run: {e}"))?;
        Ok(case)
    }
}

impl Case for Oci {
    fn name(&self) -> &'static str {
        self.runtime
    }

    fn launch(&mut self) -> Outcome<Duration> {
        let began = Instant::now();
        let mut command = Command::new(self.runtime);
        command
            .arg("--root")
            .arg(self.bundle.join("state"))
            .args(["run", "--bundle"])
            .arg(&self.bundle);
        let output = command.arg("titus-bench-one").stdin(Stdio::null()).output()?;
        let time = began.elapsed();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
        }
        Ok(time)
    }
}

/// As the runtime spec has it. No device list: where cgroup2 is the only mount, it needs a BPF program of its own.
fn config(rootfs: &Path, runtime: &str) -> Outcome<String> {
    let names: Vec<_> = include_str!("../../src/seccomp/list.csv")
        .lines()
        .skip(1)
        .collect();
    let allowed: Vec<_> = names
        .iter()
        .filter_map(|l| l.split_once(",any,,"))
        .map(|(name, _)| name)
        .collect();
    let capabilities: Vec<_> = titus_isolation::CapabilitySet::docker_default()
        .names()
        .map(|n| format!("CAP_{n}"))
        .collect();
    let kinds = ["user", "mount", "pid", "network", "ipc", "uts", "cgroup"];
    let namespaces: Vec<_> = kinds
        .iter()
        .map(|kind| serde_json::json!({"type": kind}))
        .collect();
    let mounts = [("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/dev")]
        .map(|(kind, to)| serde_json::json!({"destination": to, "type": kind, "source": kind}));
    let map = serde_json::json!([{"containerID": 0, "hostID": HOST_ROOT, "size": 65_536}]);
    let config = serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {
            "args": ["/true"], "cwd": "/", "env": ["PATH=/"], "user": {"uid": 0, "gid": 0}, "noNewPrivileges": true,
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": rootfs},
        "mounts": mounts,
        "linux": {
            "namespaces": namespaces, "uidMappings": map, "gidMappings": map,
            "cgroupsPath": format!("/titus-bench-{runtime}"),
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "syscalls": [{"names": allowed, "action": "SCMP_ACT_ALLOW"}],
            },
        },
    });
    Ok(config.to_string())
}
