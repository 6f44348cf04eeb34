//! Refuses what cannot be run before anything is made.

use std::path::{Component, Path};

use crate::error::Error;
use crate::facts::HostFacts;
use crate::spec::{RootFs, SandboxSpec};

/// The most text that arguments and environment may hold together, well under the kernel's exec limit.
const MAX_ARGUMENTS: usize = 1 << 20;

pub(super) fn spec(spec: &SandboxSpec) -> Result<(), Error> {
    command(spec)?;
    names(spec)?;
    paths(spec)?;
    numbers(spec)
}

pub(super) fn host(spec: &SandboxSpec, facts: &HostFacts) -> Result<(), Error> {
    let needed = [
        "root",
        "kernel 5.12 or later",
        "user namespaces",
        "seccomp filters",
    ];
    if let Some(missing) = facts.missing.iter().find(|m| needed.contains(&m.what.as_str())) {
        return Err(Error::missing(&missing.what, &missing.why, &missing.fix));
    }
    if matches!(spec.rootfs, RootFs::Layers(_)) && facts.idmapped_mounts == Some(false) {
        return Err(Error::missing(
            "id-mapped mounts",
            format!(
                "overlay on an id-mapped mount of {} was refused",
                facts.state_dir.display()
            ),
            "use a kernel from 5.19 and ext4, xfs or btrfs for the image folder; the image `host` works without",
        ));
    }
    Ok(())
}

fn invalid(spec: &SandboxSpec, field: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::Invalid {
        id: spec.id.to_string(),
        field: field.into(),
        problem: problem.into(),
    }
}

fn command(spec: &SandboxSpec) -> Result<(), Error> {
    if spec.args.first().is_none_or(String::is_empty) {
        return Err(invalid(
            spec,
            "args",
            "it names no command; put the program first",
        ));
    }
    if spec.args.iter().any(|a| a.contains('\0')) {
        return Err(invalid(spec, "args", "an argument holds a zero byte"));
    }
    for (index, variable) in spec.env.iter().enumerate() {
        let name = variable.name();
        if name.is_empty() || name.contains(['=', '\0']) || variable.expose().contains('\0') {
            return Err(invalid(
                spec,
                format!("env[{index}]"),
                "a name must not be empty or hold `=`, and neither part may hold a zero byte",
            ));
        }
    }
    let text: usize = spec.args.iter().map(String::len).sum::<usize>()
        + spec
            .env
            .iter()
            .map(|v| v.name().len() + v.expose().len())
            .sum::<usize>();
    if text > MAX_ARGUMENTS {
        let problem = format!("with the arguments it holds {text} bytes; the most is {MAX_ARGUMENTS}");
        return Err(invalid(spec, "env", problem));
    }
    Ok(())
}

fn names(spec: &SandboxSpec) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    if spec.hostname.is_empty() || spec.hostname.len() > 64 || !spec.hostname.chars().all(plain) {
        return Err(invalid(
            spec,
            "hostname",
            "use 1 to 64 letters, digits, `-`, `_`, `.`",
        ));
    }
    if let Some((_, name)) = spec
        .hosts
        .iter()
        .find(|(_, name)| name.is_empty() || !name.chars().all(plain))
    {
        return Err(invalid(spec, "hosts", format!("{name:?} is no host name")));
    }
    let account = |text: &str| !text.is_empty() && text.len() <= 64 && !text.contains([':', '\n', '\0']);
    if !account(&spec.user.user) || !spec.user.group.as_deref().is_none_or(account) {
        return Err(invalid(spec, "user", "use a name or a number from 0 to 65535"));
    }
    Ok(())
}

fn paths(spec: &SandboxSpec) -> Result<(), Error> {
    absolute(spec, "cwd", &spec.cwd)?;
    for (index, volume) in spec.volumes.iter().enumerate() {
        let field = format!("volumes[{index}]");
        absolute(spec, &format!("{field}.target"), &volume.target)?;
        let kernel_files = ["/proc", "/sys", "/dev"]
            .iter()
            .any(|p| volume.target.starts_with(p));
        if kernel_files || volume.target == Path::new("/") {
            return Err(invalid(
                spec,
                format!("{field}.target"),
                "it must not cover /, /proc, /sys or /dev",
            ));
        }
        absolute(spec, &format!("{field}.root"), &volume.root)?;
        let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
        if volume.source.as_os_str().is_empty() || !volume.source.components().all(plain) {
            return Err(invalid(
                spec,
                format!("{field}.source"),
                "use a path relative to the root, without `..`; `.` is not needed",
            ));
        }
    }
    for path in spec.masked_paths.iter().chain(&spec.readonly_paths) {
        absolute(spec, "masked_paths and readonly_paths", path)?;
        if !path.starts_with("/proc") && !path.starts_with("/sys") {
            return Err(invalid(
                spec,
                "masked_paths and readonly_paths",
                "they are for /proc and /sys",
            ));
        }
    }
    absolute(spec, "logs.dir", &spec.logs.dir)?;
    rootfs(spec)
}

fn rootfs(spec: &SandboxSpec) -> Result<(), Error> {
    match &spec.rootfs {
        RootFs::Host => Ok(()),
        RootFs::Layers(layers) => {
            for layer in layers {
                absolute(spec, "rootfs.layers", layer)?;
                if layer.to_str().is_none_or(|l| l.contains([':', ',', '\\'])) {
                    return Err(invalid(
                        spec,
                        "rootfs.layers",
                        "a path must be UTF-8 without `:`, `,`, `\\`",
                    ));
                }
            }
            let parents: std::collections::BTreeSet<_> = layers.iter().map(|l| l.parent()).collect();
            if parents.len() != 1 {
                return Err(invalid(
                    spec,
                    "rootfs.layers",
                    "there must be some, and all in one folder",
                ));
            }
            Ok(())
        }
    }
}

fn absolute(spec: &SandboxSpec, field: &str, path: &Path) -> Result<(), Error> {
    let plain = |c: Component<'_>| matches!(c, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(plain) {
        let problem = format!("`{}` must be absolute and without `..`", path.display());
        return Err(invalid(spec, field, problem));
    }
    if path.as_os_str().len() > 1_024 || path.to_str().is_none_or(|p| p.contains('\0')) {
        return Err(invalid(
            spec,
            field,
            "a path must be UTF-8 and at most 1,024 bytes long",
        ));
    }
    Ok(())
}

fn numbers(spec: &SandboxSpec) -> Result<(), Error> {
    let limits = &spec.resources;
    let least = [
        ("resources.milli_cpu", limits.milli_cpu, 10),
        ("resources.memory_bytes", limits.memory_bytes, 4 << 20),
        ("resources.pids_max", limits.pids_max, 1),
        ("resources.shm_bytes", Some(limits.shm_bytes), 4_096),
        ("logs.max_bytes", Some(spec.logs.max_bytes), 4_096),
        ("logs.files", Some(u64::from(spec.logs.files)), 1),
    ];
    for (field, value, least) in least {
        if value.is_some_and(|v| v < least) {
            return Err(invalid(spec, field, format!("the least is {least}")));
        }
    }
    for limit in &spec.rlimits {
        if !RLIMITS.contains(&limit.name.as_str()) || limit.soft > limit.hard {
            let problem = format!(
                "`{}`: use one of {} with soft <= hard",
                limit.name,
                RLIMITS.join(" ")
            );
            return Err(invalid(spec, "rlimits", problem));
        }
    }
    Ok(())
}

const RLIMITS: [&str; 15] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
];
