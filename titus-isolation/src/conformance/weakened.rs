use crate::plan::{MountStep, Plan, Tree};
use crate::seccomp::{self, Filters};

/// Parts of the hardening that an escape test leaves out, to see its attempt succeed before it sees it refused.
///
/// No production interface takes it; it is here because the sandbox's own tests are a crate of their own.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weakened {
    /// Install filters that allow every system call.
    pub no_seccomp: bool,
    /// Let processes inside trace the init and look at its descriptors.
    pub traceable_init: bool,
    /// Show the host's root file system without the deletions over homes, temporary files and state.
    pub nothing_hidden: bool,
    /// Show the host's files as owned by root inside.
    pub host_ids_mapped: bool,
    /// Neither mask nor protect any file of `/proc` and `/sys`.
    pub open_kernel_files: bool,
    /// Follow links on the way to a volume's source.
    pub volumes_follow_links: bool,
}

impl Weakened {
    pub(crate) fn apply(self, plan: &mut Plan) {
        plan.sandbox.process.traceable_init = self.traceable_init;
        if self.nothing_hidden {
            plan.sandbox
                .mounts
                .retain(|step| !matches!(step, MountStep::Whiteout(_)));
            let covers = |name: &str| {
                ["tmp", "root", "run"]
                    .iter()
                    .any(|n| name == format!("mounts/top/{n}"))
            };
            plan.sandbox
                .mounts
                .retain(|s| !matches!(s, MountStep::Dir { path, .. } if covers(path)));
        }
        if self.open_kernel_files {
            let closed = |step: &MountStep| matches!(step, MountStep::Mask(_) | MountStep::ReadOnly(_));
            plan.sandbox.mounts.retain(|step| !closed(step));
        }
        for tree in &mut plan.sandbox.trees {
            match tree {
                Tree::HostRoot if self.host_ids_mapped => *tree = Tree::Layers("/".into()),
                Tree::Volume(volume) if self.volumes_follow_links => {
                    *tree = Tree::Layers(volume.root.join(&volume.source));
                }
                _ => {}
            }
        }
    }

    /// `None`: the filters stay as they are.
    pub(crate) fn filters(self) -> std::io::Result<Option<Filters>> {
        if self.no_seccomp {
            seccomp::allowing_all().map(Some)
        } else {
            Ok(None)
        }
    }
}
