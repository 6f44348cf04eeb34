use std::fmt;

use super::mounts::{MountStep, Tree};
use super::{Plan, SandboxPlan};
use crate::cgroup::Join;
use crate::spec::IdRange;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.iter().try_for_each(|op| writeln!(f, "host: {op}"))?;
        write!(f, "{}", self.sandbox)
    }
}

impl fmt::Display for SandboxPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.join {
            Join::Write(procs) => {
                for file in procs {
                    writeln!(f, "launcher: join {}", file.display())?;
                }
                writeln!(f, "launcher: clone user mount pid net ipc uts")?;
            }
            Join::CloneInto(group) => {
                writeln!(
                    f,
                    "launcher: clone user mount pid net ipc uts into {}",
                    group.display()
                )?;
            }
        }
        writeln!(f, "launcher: map ids 0 {} {}", self.ids.start(), IdRange::SIZE)?;
        for (index, tree) in self.trees.iter().enumerate() {
            writeln!(f, "launcher: open tree {index} {tree}")?;
        }
        writeln!(
            f,
            "init: become root inside, own cgroup namespace, private mounts"
        )?;
        self.mounts
            .iter()
            .try_for_each(|step| writeln!(f, "init: {step}"))?;
        writeln!(f, "init: change root to mounts/root, host name {}", self.hostname)?;
        writeln!(f, "init: output to {}", self.logs)?;
        writeln!(f, "init: wait at the gate")?;
        write!(f, "{}", self.process)
    }
}

impl fmt::Display for super::ProcessPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "command: new session, umask 022, default signals, oom_score_adj {}",
            self.oom_score_adj
        )?;
        for limit in &self.rlimits {
            writeln!(f, "command: rlimit {} {} {}", limit.name, limit.soft, limit.hard)?;
        }
        let group = self.user.group.as_deref().unwrap_or("of the user");
        writeln!(f, "command: user {} group {group}", self.user.user)?;
        writeln!(f, "command: capabilities {:?}", self.capabilities)?;
        writeln!(
            f,
            "command: no new privileges; seccomp: clone3 -> ENOSYS, arguments and calls not listed -> EPERM"
        )?;
        writeln!(f, "command: in {} with {:?}", self.cwd.display(), self.env)?;
        writeln!(f, "command: exec {:?}", self.args)
    }
}

impl fmt::Display for crate::spec::LogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} files of {} bytes a stream",
            self.dir.display(),
            self.files,
            self.max_bytes
        )
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostRoot => f.write_str("/ alone, read-only, nodev, nosuid"),
            Self::Layers(path) => write!(f, "{} id-mapped, read-only", path.display()),
            Self::Volume(v) => {
                write!(
                    f,
                    "{} beneath {} read-only, nodev, nosuid, no links",
                    v.source.display(),
                    v.root.display()
                )
            }
        }
    }
}

impl fmt::Display for MountStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach { tree, target } => write!(f, "mount tree {tree} on {target}"),
            Self::Overlay { lower, target, .. } => {
                write!(f, "mount overlay of {} on {target}", lower.join(" "))
            }
            Self::Fresh {
                kind,
                target,
                data,
                writable,
                ..
            } => {
                let access = if *writable { "" } else { " read-only" };
                let comma = if data.is_empty() { "" } else { " " };
                write!(f, "mount {kind} on {target}{access}{comma}{data}")
            }
            Self::Device(node) => write!(f, "show device {}", node.name()),
            Self::Dir { path, mode } => write!(f, "make dir {path} {mode:04o}"),
            Self::File { path, text } => write!(f, "write {path} {text:?}"),
            Self::Link { path, to } => write!(f, "link {path} -> {to}"),
            Self::Whiteout(path) => write!(f, "whiteout {path}"),
            Self::Mask(path) => write!(f, "mask {path}"),
            Self::ReadOnly(path) => write!(f, "make read-only {path}"),
            Self::Volume { tree, target } => write!(f, "mount tree {tree} on {} inside", target.display()),
        }
    }
}
