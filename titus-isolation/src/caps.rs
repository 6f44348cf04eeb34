//! Capability sets as data: names, the kernel's numbers, Docker's default set.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Capabilities in the order of their kernel numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of Linux capabilities, held as the kernel's bit mask.
///
/// ```
/// use titus_isolation::CapabilitySet;
///
/// let set = CapabilitySet::docker_default();
/// assert_eq!(set.bits(), 0xa804_25fb);
/// assert!(!set.contains("SYS_ADMIN"));
/// assert!(set.with("CAP_SYS_PTRACE").is_some_and(|s| s.contains("SYS_PTRACE")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// None at all.
    pub const EMPTY: Self = Self(0);

    /// The fourteen that Docker gives by default: `CapEff` reads `00000000a80425fb`.
    pub const fn docker_default() -> Self {
        Self(0xa804_25fb)
    }

    /// This set and one more, named with or without `CAP_`; `None` for an unknown name.
    pub fn with(self, name: &str) -> Option<Self> {
        Some(Self(self.0 | (1 << number(name)?)))
    }

    /// This set without one; `None` for an unknown name.
    pub fn without(self, name: &str) -> Option<Self> {
        Some(Self(self.0 & !(1 << number(name)?)))
    }

    /// Whether it holds the named one.
    pub fn contains(self, name: &str) -> bool {
        number(name).is_some_and(|n| self.0 & (1 << n) != 0)
    }

    /// The kernel's mask.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The names in it, without `CAP_`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(move |(n, _)| self.0 & (1 << n) != 0)
            .map(|(_, name)| *name)
    }
}

impl Default for CapabilitySet {
    fn default() -> Self {
        Self::docker_default()
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.names().collect::<Vec<_>>().join(" "))
    }
}

fn number(name: &str) -> Option<usize> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|n| *n == bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_dockers_fourteen() {
        let names: Vec<_> = CapabilitySet::docker_default().names().collect();
        assert_eq!(
            names,
            [
                "CHOWN",
                "DAC_OVERRIDE",
                "FOWNER",
                "FSETID",
                "KILL",
                "SETGID",
                "SETUID",
                "SETPCAP",
                "NET_BIND_SERVICE",
                "NET_RAW",
                "SYS_CHROOT",
                "MKNOD",
                "AUDIT_WRITE",
                "SETFCAP"
            ]
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!(CapabilitySet::EMPTY.with("SYS_ADMIM"), None);
        let set = CapabilitySet::EMPTY
            .with("cap_bpf")
            .and_then(|s| s.without("BPF"));
        assert_eq!(set, Some(CapabilitySet::EMPTY));
    }
}
