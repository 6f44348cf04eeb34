//! How much a job may ask for, in profiles. The tables are `data/limits_*.csv`.

use std::fmt;

/// One thing that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(usize)]
pub enum Limit {
    /// CPU, in thousandths.
    CpuMilli,
    /// Memory, in MB.
    MemoryMb,
    /// Disk, in MB.
    DiskMb,
    /// Network bandwidth, in Mbps.
    NetworkMbps,
    /// GPUs.
    Gpu,
    /// /dev/shm, in MB.
    ShmMb,
    /// Tasks of a batch job.
    BatchSize,
    /// Tasks of a service job.
    ServiceSize,
    /// How long a batch task may run, in seconds.
    RuntimeLimitSec,
    /// Retries of a failed task; more are lowered to the maximum.
    Retries,
    /// The first delay of a retry, in milliseconds.
    RetryDelayMs,
    /// The longest delay of a retry, in milliseconds.
    RetryMaxDelayMs,
    /// The time between SIGTERM and SIGKILL, in seconds.
    KillWaitSec,
    /// Security groups.
    SecurityGroups,
    /// Roles: a minimum of 1 makes the role mandatory.
    IamRole,
    /// A maximum of 0 refuses the image `host`.
    HostImage,
    /// Bytes of one name.
    NameBytes,
    /// Bytes of the entry point.
    EntryPointBytes,
    /// Bytes of the command.
    CommandBytes,
    /// Bytes of the environment, two more for each variable.
    EnvBytes,
    /// Bytes of one map of attributes, two more for each.
    AttributeBytes,
    /// Volumes.
    Volumes,
    /// Bytes of all texts of a request: a stored record has to stay below 100,000.
    RequestBytes,
}

impl Limit {
    /// Every limit, in the tables' order.
    pub const ALL: [Self; 23] = [
        Self::CpuMilli,
        Self::MemoryMb,
        Self::DiskMb,
        Self::NetworkMbps,
        Self::Gpu,
        Self::ShmMb,
        Self::BatchSize,
        Self::ServiceSize,
        Self::RuntimeLimitSec,
        Self::Retries,
        Self::RetryDelayMs,
        Self::RetryMaxDelayMs,
        Self::KillWaitSec,
        Self::SecurityGroups,
        Self::IamRole,
        Self::HostImage,
        Self::NameBytes,
        Self::EntryPointBytes,
        Self::CommandBytes,
        Self::EnvBytes,
        Self::AttributeBytes,
        Self::Volumes,
        Self::RequestBytes,
    ];

    const fn index(self) -> usize {
        self as usize
    }

    /// Its name in the tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuMilli => "cpuMilli",
            Self::MemoryMb => "memoryMb",
            Self::DiskMb => "diskMb",
            Self::NetworkMbps => "networkMbps",
            Self::Gpu => "gpu",
            Self::ShmMb => "shmMb",
            Self::BatchSize => "batchSize",
            Self::ServiceSize => "serviceSize",
            Self::RuntimeLimitSec => "runtimeLimitSec",
            Self::Retries => "retries",
            Self::RetryDelayMs => "retryDelayMs",
            Self::RetryMaxDelayMs => "retryMaxDelayMs",
            Self::KillWaitSec => "killWaitSec",
            Self::SecurityGroups => "securityGroups",
            Self::IamRole => "iamRole",
            Self::HostImage => "hostImage",
            Self::NameBytes => "nameBytes",
            Self::EntryPointBytes => "entryPointBytes",
            Self::CommandBytes => "commandBytes",
            Self::EnvBytes => "envBytes",
            Self::AttributeBytes => "attributeBytes",
            Self::Volumes => "volumes",
            Self::RequestBytes => "requestBytes",
        }
    }
}

/// The bounds of one limit, in its unit, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The least.
    pub min: u64,
    /// What zero or nothing stands for; zero where there is no default.
    pub default: u64,
    /// The most.
    pub max: u64,
    /// The unit, for messages.
    pub unit: &'static str,
}

/// How much a job may ask for: one [`Bound`] a [`Limit`].
///
/// ```
/// use titus_core::spec::{Limit, Limits};
///
/// let limits = Limits::titus();
/// assert_eq!(limits.get(Limit::MemoryMb).min, 512);
/// let roomy = limits.with_maximum(Limit::ServiceSize, 10_000);
/// assert_eq!(roomy.get(Limit::ServiceSize).max, 10_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    bounds: [Bound; Limit::ALL.len()],
}

const TITUS: &str = include_str!("../../data/limits_titus.csv");
const DEV: &str = include_str!("../../data/limits_dev.csv");

impl Limits {
    /// The names that [`named`](Self::named) knows.
    pub const PROFILES: [&'static str; 2] = ["titus", "dev"];

    /// Titus's own minima, defaults and maxima; security groups and a role are mandatory.
    #[must_use]
    pub fn titus() -> Self {
        Self::parse(TITUS).expect("the shipped table parses")
    }

    /// For one machine: no minima, small defaults, Titus's maxima, and the image `host` allowed.
    #[must_use]
    pub fn dev() -> Self {
        Self::parse(DEV).expect("the shipped table parses")
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "titus" => Some(Self::titus()),
            "dev" => Some(Self::dev()),
            _ => None,
        }
    }

    /// No bounds at all: what stored jobs are held against, so that a lowered limit condemns none of them.
    pub(super) const fn unbounded() -> Self {
        let free = Bound {
            min: 0,
            default: 0,
            max: u64::MAX,
            unit: "",
        };
        Self {
            bounds: [free; Limit::ALL.len()],
        }
    }

    /// The bounds of one limit.
    #[must_use]
    pub const fn get(&self, limit: Limit) -> Bound {
        self.bounds[limit.index()]
    }

    /// The same limits with another maximum; a minimum above it is lowered to it.
    #[must_use]
    pub const fn with_maximum(mut self, limit: Limit, max: u64) -> Self {
        let bound = &mut self.bounds[limit.index()];
        bound.max = max;
        if bound.min > max {
            bound.min = max;
        }
        self
    }

    fn parse(csv: &'static str) -> Option<Self> {
        let mut limits = Self::unbounded();
        let mut rows = csv.lines().skip(1);
        for limit in Limit::ALL {
            let [name, min, default, max, unit] =
                <[&str; 5]>::try_from(rows.next()?.split(',').collect::<Vec<_>>()).ok()?;
            let bound = Bound {
                min: min.parse().ok()?,
                default: default.parse().ok()?,
                max: max.parse().ok()?,
                unit,
            };
            let in_order = bound.min <= bound.max && bound.default <= bound.max;
            if name != limit.name() || !in_order {
                return None;
            }
            limits.bounds[limit.index()] = bound;
        }
        rows.next().is_none().then_some(limits)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:16} {:>8} {:>8} {:>10}  unit",
            "limit", "min", "default", "max"
        )?;
        for limit in Limit::ALL {
            let b = self.get(limit);
            let name = limit.name();
            writeln!(
                f,
                "{name:16} {:>8} {:>8} {:>10}  {}",
                b.min, b.default, b.max, b.unit
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_titus_profile_is_as_reviewed() {
        insta::assert_snapshot!(Limits::titus().to_string());
    }

    #[test]
    fn the_dev_profile_is_as_reviewed() {
        insta::assert_snapshot!(Limits::dev().to_string());
    }

    #[test]
    fn profiles_are_found_by_name() {
        for name in Limits::PROFILES {
            assert!(Limits::named(name).is_some());
        }
        assert_eq!(Limits::named("dev"), Some(Limits::dev()));
        assert_eq!(Limits::named("Dev"), None);
    }

    #[test]
    fn a_bad_table_is_refused() {
        let good = DEV;
        assert!(Limits::parse(good).is_some());
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        assert!(Limits::parse(leak(good.replace("cpuMilli", "cpu"))).is_none());
        assert!(Limits::parse(leak(good.replace("gpu,0,0,16", "gpu,17,0,16"))).is_none());
        assert!(Limits::parse(leak(good.replace("gpu,0,0,16", "gpu,0,17,16"))).is_none());
        assert!(Limits::parse(leak(format!("{good}more,0,0,1,x\n"))).is_none());
        assert!(Limits::parse("limit,min,default,max,unit\n").is_none());
    }

    #[test]
    fn a_lowered_maximum_takes_the_minimum_along() {
        let tight = Limits::titus().with_maximum(Limit::MemoryMb, 100);
        assert_eq!(
            (tight.get(Limit::MemoryMb).min, tight.get(Limit::MemoryMb).max),
            (100, 100)
        );
        assert_eq!(tight.get(Limit::DiskMb), Limits::titus().get(Limit::DiskMb));
    }
}
