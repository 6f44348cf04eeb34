//! The 64 shards of a cell, and the stable hash that assigns to them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The capacity group that is used when a job names none; it alone spans shards.
pub const DEFAULT_GROUP: &str = "DEFAULT";

/// One of a cell's 64 shards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct ShardId(u16);

impl ShardId {
    /// How many shards a cell has: everywhere and for ever.
    pub const COUNT: u16 = 64;

    /// The shard with this number, if there is one.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number, 0 to 63.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// All shards in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The shard that a text hashes to.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let slot = stable_hash(text.as_bytes()) % u64::from(Self::COUNT);
        Self(u16::try_from(slot).expect("below 64"))
    }

    /// The shard of a job: its capacity group's, except that the jobs of `DEFAULT` spread by application.
    #[must_use]
    pub fn of_job(capacity_group: &str, application: &str) -> Self {
        Self::of(if capacity_group == DEFAULT_GROUP {
            application
        } else {
            capacity_group
        })
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.0)
    }
}

impl From<ShardId> for u16 {
    fn from(shard: ShardId) -> Self {
        shard.0
    }
}

impl TryFrom<u16> for ShardId {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("shard {number} does not exist: a cell has 0 to 63"))
    }
}

/// FNV-1a with a final mix: never changes, since ids and keys depend on it.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(stable_hash(b""), 17_058_014_651_485_797_458);
        assert_eq!(ShardId::of("web").get(), 33);
        let spread: std::collections::BTreeSet<_> =
            (0..1_000).map(|i| ShardId::of(&format!("g{i}"))).collect();
        assert_eq!(spread.len(), 64);
    }

    #[test]
    fn only_the_default_group_spreads_by_application() {
        assert_eq!(ShardId::of_job("gold", "a"), ShardId::of_job("gold", "b"));
        assert_eq!(ShardId::of_job(DEFAULT_GROUP, "a"), ShardId::of("a"));
        assert!(ShardId::new(64).is_none());
    }
}
