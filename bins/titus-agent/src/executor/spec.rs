//! From a job's launch text to a sandbox's specification.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use titus_core::agent::Sandbox;
use titus_core::id::TaskId;
use titus_core::spec::{HostVolume, LaunchSpec};
use titus_isolation::{EnvVar, Limit, LogConfig, SandboxId, SandboxSpec, User, Volume};

use crate::images::ReadyImage;

/// What a host adds to every container.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// Folders of the host below which volumes may lie.
    pub volume_roots: Vec<PathBuf>,
    /// Name servers; the host's own, without those on its loopback.
    pub name_servers: Vec<IpAddr>,
    /// The most processes and threads of one container.
    pub pids_max: u64,
    /// Bytes of one log file before it is rotated.
    pub log_max_bytes: u64,
    /// Log files kept of each stream.
    pub log_files: u32,
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MIB: u64 = 1 << 20;

/// The sandbox's name: the task's id.
pub(super) fn sandbox_id(task: TaskId) -> SandboxId {
    SandboxId::new(task.to_string()).expect("a UUID is a sandbox id")
}

/// Puts the sandbox's specification together.
///
/// # Errors
/// What is wrong with the job, for its owner: there is no command, or a volume is not allowed.
pub(super) fn sandbox_spec(
    task: TaskId,
    sandbox: &Sandbox,
    image: &ReadyImage,
    address: Option<IpAddr>,
    logs: PathBuf,
    defaults: &Defaults,
) -> Result<SandboxSpec, String> {
    let launch = &*sandbox.launch;
    let log = LogConfig {
        dir: logs,
        max_bytes: defaults.log_max_bytes,
        files: defaults.log_files,
    };
    let mut spec = SandboxSpec::new(
        sandbox_id(task),
        image.rootfs.clone(),
        arguments(launch, image)?,
        log,
    );
    spec.env = environment(sandbox, image);
    if !image.working_dir.is_empty() {
        spec.cwd = PathBuf::from(&image.working_dir);
    }
    spec.user = User::parse(&image.user);
    spec.hosts = address
        .map(|address| (address, spec.hostname.clone()))
        .into_iter()
        .collect();
    spec.name_servers.clone_from(&defaults.name_servers);
    spec.resources.milli_cpu = Some(launch.resources.cpu_milli.max(10));
    spec.resources.memory_bytes = Some(launch.resources.memory_mb.saturating_mul(MIB));
    spec.resources.pids_max = Some(defaults.pids_max);
    spec.resources.shm_bytes = launch.shm_mb.saturating_mul(MIB);
    spec.resources.disk_bytes = Some(launch.resources.disk_mb.saturating_mul(MIB));
    // Few hosts have project quotas; the planner still counts disk, and the host says so in its attributes.
    spec.unenforced.insert(Limit::Disk);
    spec.volumes = launch
        .volumes
        .iter()
        .map(|v| volume(v, &defaults.volume_roots))
        .collect::<Result<_, _>>()?;
    Ok(spec)
}

/// The command line, as images define it: the job's entry point replaces the image's along with its command.
fn arguments(launch: &LaunchSpec, image: &ReadyImage) -> Result<Vec<String>, String> {
    let (entry, command) = match (launch.entry_point.is_empty(), launch.command.is_empty()) {
        (false, _) => (&launch.entry_point, &launch.command),
        (true, false) => (&image.entrypoint, &launch.command),
        (true, true) => (&image.entrypoint, &image.command),
    };
    let all: Vec<String> = entry.iter().chain(command).cloned().collect();
    if all.is_empty() {
        return Err(
            "there is no command: neither the job nor its image names one; set container.entryPoint".into(),
        );
    }
    Ok(all)
}

fn environment(sandbox: &Sandbox, image: &ReadyImage) -> Vec<EnvVar> {
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([("PATH", PATH), ("HOME", "/")]);
    all.extend(
        image
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    all.extend(
        sandbox
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose())),
    );
    all.into_iter()
        .map(|(name, value)| EnvVar::new(name, value))
        .collect()
}

fn volume(volume: &HostVolume, roots: &[PathBuf]) -> Result<Volume, String> {
    let path = Path::new(&volume.host_path);
    let plain = path
        .components()
        .all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let root = roots.iter().find(|root| plain && path.starts_with(root));
    let Some(root) = root else {
        return Err(match roots {
            [] => format!(
                "volume {}: this host gives no folders to containers (--volume-root)",
                volume.host_path
            ),
            roots => format!(
                "volume {}: this host gives only folders below {roots:?} to containers",
                volume.host_path
            ),
        });
    };
    let target = PathBuf::from(&volume.mount_path);
    // The root itself is given by its name below its parent, which the operator has named as well.
    if let (true, Some(parent), Some(name)) = (path == root, root.parent(), root.file_name()) {
        return Ok(Volume {
            root: parent.to_path_buf(),
            source: PathBuf::from(name),
            target,
        });
    }
    let source = path.strip_prefix(root).expect("it starts with the root");
    Ok(Volume {
        root: root.clone(),
        source: source.to_path_buf(),
        target,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use titus_core::id::JobId;
    use titus_core::resources::Resources;
    use titus_core::spec::{ImageRequest, Secret};
    use titus_core::time::Millis;
    use titus_isolation::RootFs;

    use super::*;

    fn launch() -> LaunchSpec {
        LaunchSpec {
            application: "web".into(),
            image: ImageRequest::default(),
            entry_point: vec![],
            command: vec![],
            env: BTreeMap::new(),
            resources: Resources {
                cpu_milli: 250,
                memory_mb: 64,
                disk_mb: 10,
                ..Resources::ZERO
            },
            shm_mb: 8,
            volumes: vec![],
            grace: Millis(0),
        }
    }

    fn build(launch: LaunchSpec, image: &ReadyImage, roots: &[&str]) -> Result<SandboxSpec, String> {
        let sandbox = Sandbox {
            job: JobId::from_bytes([1; 16]),
            launch: Arc::new(launch),
            env: vec![("A".into(), Secret::new("job")), ("B".into(), Secret::new("b"))],
        };
        let defaults = Defaults {
            volume_roots: roots.iter().map(PathBuf::from).collect(),
            pids_max: 99,
            ..Defaults::default()
        };
        let address = Some("10.0.0.7".parse().unwrap());
        sandbox_spec(
            TaskId::from_bytes([2; 16]),
            &sandbox,
            image,
            address,
            "/logs".into(),
            &defaults,
        )
    }

    fn image() -> ReadyImage {
        ReadyImage {
            env: vec![("A".into(), "image".into()), ("C".into(), "c".into())],
            entrypoint: vec!["/entry".into()],
            command: vec!["image-arg".into()],
            working_dir: "/srv".into(),
            user: "7:8".into(),
            ..ReadyImage::bare(RootFs::Host)
        }
    }

    #[test]
    fn the_jobs_command_goes_before_the_images_as_images_define_it() {
        let words = |w: &[&str]| w.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |entry: &[&str], command: &[&str]| {
            build(
                LaunchSpec {
                    entry_point: words(entry),
                    command: words(command),
                    ..launch()
                },
                &image(),
                &[],
            )
            .unwrap()
            .args
        };
        assert_eq!(of(&[], &[]), ["/entry", "image-arg"]);
        assert_eq!(of(&[], &["x"]), ["/entry", "x"]);
        assert_eq!(of(&["/own"], &[]), ["/own"]);
        assert_eq!(of(&["/own"], &["x"]), ["/own", "x"]);
        let nothing = build(launch(), &ReadyImage::bare(RootFs::Host), &[]).unwrap_err();
        assert!(nothing.contains("container.entryPoint"), "{nothing}");
    }

    #[test]
    fn the_jobs_environment_wins_over_the_images() {
        let spec = build(launch(), &image(), &[]).unwrap();
        let env: Vec<(&str, &str)> = spec.env.iter().map(|v| (v.name(), v.expose())).collect();
        assert_eq!(
            env,
            [
                ("A", "job"),
                ("B", "b"),
                ("C", "c"),
                ("HOME", "/"),
                ("PATH", PATH)
            ]
        );
    }

    #[test]
    fn limits_user_folder_and_hosts_file_are_carried_over() {
        let spec = build(launch(), &image(), &[]).unwrap();
        assert_eq!(spec.resources.milli_cpu, Some(250));
        assert_eq!(spec.resources.memory_bytes, Some(64 << 20));
        assert_eq!(spec.resources.pids_max, Some(99));
        assert_eq!(spec.resources.shm_bytes, 8 << 20);
        assert_eq!((spec.user, spec.cwd), (User::parse("7:8"), PathBuf::from("/srv")));
        assert_eq!(spec.hosts, [("10.0.0.7".parse().unwrap(), spec.hostname.clone())]);
    }

    #[test]
    fn volumes_come_only_from_below_an_allowed_root() {
        let of = |path: &str, roots: &[&str]| {
            let volumes = vec![HostVolume {
                host_path: path.into(),
                mount_path: "/in".into(),
            }];
            build(LaunchSpec { volumes, ..launch() }, &image(), roots).map(|s| s.volumes)
        };
        let good = of("/data/a/b", &["/data/a"]).unwrap();
        assert_eq!(
            good,
            [Volume {
                root: "/data/a".into(),
                source: "b".into(),
                target: "/in".into()
            }]
        );
        let whole = of("/data/a", &["/data/a"]).unwrap();
        assert_eq!(
            (whole[0].root.as_path(), whole[0].source.as_path()),
            (Path::new("/data"), Path::new("a"))
        );
        for (path, roots) in [
            ("/data/a", &[][..]),
            ("/etc", &["/data"]),
            ("/data/../etc", &["/data"]),
            ("/database", &["/data"]),
            ("data/a", &["/data"]),
        ] {
            assert!(of(path, roots).is_err(), "{path} {roots:?}");
        }
    }
}
