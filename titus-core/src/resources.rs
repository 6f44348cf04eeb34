//! What a task asks for and what a host has.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Amounts of each resource: milli-cpu, MB, MB, Mbps, addresses, GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Memory in MB.
    pub memory_mb: u64,
    /// Disk in MB.
    pub disk_mb: u64,
    /// Network bandwidth in Mbps.
    pub network_mbps: u64,
    /// IP addresses.
    pub addresses: u64,
    /// GPUs.
    pub gpu: u64,
}

/// One kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceKind {
    /// CPU, in thousandths.
    Cpu,
    /// Memory, in MB.
    Memory,
    /// Disk, in MB.
    Disk,
    /// Network bandwidth, in Mbps.
    Network,
    /// IP addresses.
    Addresses,
    /// GPUs.
    Gpu,
}

impl ResourceKind {
    /// Every kind, in the order in which fit is checked.
    pub const ALL: [Self; 6] = [
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::Network,
        Self::Addresses,
        Self::Gpu,
    ];

    /// Its name and unit, as shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memoryMB",
            Self::Disk => "diskMB",
            Self::Network => "networkMbps",
            Self::Addresses => "addresses",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Resources {
    /// Nothing of anything.
    pub const ZERO: Self = Self {
        cpu_milli: 0,
        memory_mb: 0,
        disk_mb: 0,
        network_mbps: 0,
        addresses: 0,
        gpu: 0,
    };

    /// The amount of one kind.
    #[must_use]
    pub const fn get(&self, kind: ResourceKind) -> u64 {
        match kind {
            ResourceKind::Cpu => self.cpu_milli,
            ResourceKind::Memory => self.memory_mb,
            ResourceKind::Disk => self.disk_mb,
            ResourceKind::Network => self.network_mbps,
            ResourceKind::Addresses => self.addresses,
            ResourceKind::Gpu => self.gpu,
        }
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        Some(Self {
            cpu_milli: f(self.cpu_milli, other.cpu_milli)?,
            memory_mb: f(self.memory_mb, other.memory_mb)?,
            disk_mb: f(self.disk_mb, other.disk_mb)?,
            network_mbps: f(self.network_mbps, other.network_mbps)?,
            addresses: f(self.addresses, other.addresses)?,
            gpu: f(self.gpu, other.gpu)?,
        })
    }

    /// The sum, or `None` where one amount overflows.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        self.zip(other, u64::checked_add)
    }

    /// The difference, or `None` where one amount would be negative.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.zip(other, u64::checked_sub)
    }

    /// The difference, each amount no lower than zero.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        self.zip(other, |a, b| Some(a.saturating_sub(b)))
            .unwrap_or_default()
    }

    /// The first kind of which `self` has less than `asked`.
    #[must_use]
    pub fn first_shortage(&self, asked: &Self) -> Option<ResourceKind> {
        ResourceKind::ALL
            .into_iter()
            .find(|kind| self.get(*kind) < asked.get(*kind))
    }

    /// True when `self` has at least `asked` of everything.
    #[must_use]
    pub fn fits(&self, asked: &Self) -> bool {
        self.first_shortage(asked).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_refuses_what_does_not_fit() {
        let one = Resources {
            cpu_milli: 1,
            memory_mb: 2,
            disk_mb: 3,
            network_mbps: 4,
            addresses: 5,
            gpu: 6,
        };
        assert_eq!(one.checked_sub(&one), Some(Resources::ZERO));
        assert_eq!(Resources::ZERO.checked_sub(&one), None);
        assert_eq!(Resources { gpu: u64::MAX, ..one }.checked_add(&one), None);
        assert_eq!(one.checked_add(&one).unwrap().saturating_sub(&one), one);
        for kind in ResourceKind::ALL {
            let mut short = one;
            match kind {
                ResourceKind::Cpu => short.cpu_milli -= 1,
                ResourceKind::Memory => short.memory_mb -= 1,
                ResourceKind::Disk => short.disk_mb -= 1,
                ResourceKind::Network => short.network_mbps -= 1,
                ResourceKind::Addresses => short.addresses -= 1,
                ResourceKind::Gpu => short.gpu -= 1,
            }
            assert_eq!(short.first_shortage(&one), Some(kind));
        }
    }
}
