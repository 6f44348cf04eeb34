use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names a sandbox on one host: 1 to 64 of `a-z 0-9 - _ .`, beginning with a letter or digit.
///
/// It is used as a folder name and a cgroup name, so it holds nothing that either would interpret.
///
/// ```
/// use titus_isolation::SandboxId;
///
/// assert!(SandboxId::new("task-7").is_ok());
/// assert!(SandboxId::new("../etc").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SandboxId(String);

/// The text is no sandbox id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sandbox id: use 1 to 64 of a-z, 0-9, `-`, `_`, `.`, beginning with a letter or digit")]
pub struct SandboxIdError(String);

impl SandboxId {
    /// Longest id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks and wraps an id.
    pub fn new(id: impl Into<String>) -> Result<Self, SandboxIdError> {
        let id = id.into();
        let first = id
            .as_bytes()
            .first()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if first && rest && id.len() <= Self::MAX_LEN {
            Ok(Self(id))
        } else {
            Err(SandboxIdError(id))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SandboxId {
    type Err = SandboxIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for SandboxId {
    type Error = SandboxIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<SandboxId> for String {
    fn from(id: SandboxId) -> Self {
        id.0
    }
}

/// 65,536 user and group ids of the host that belong to one sandbox and to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdRange(u16);

impl IdRange {
    /// Ids in one range.
    pub const SIZE: u32 = 65_536;
    /// The first host id of the first range; above what distributions, directories and other runtimes hand out.
    pub const BASE: u32 = 1_879_048_192;
    /// How many ranges a host has.
    pub const COUNT: u16 = 4_093;
    /// The range that begins at [`IdRange::BASE`].
    pub const FIRST: Self = Self(0);

    /// The range with this number, counted from 0; `None` past the last.
    pub const fn nth(index: u16) -> Option<Self> {
        if index < Self::COUNT {
            Some(Self(index))
        } else {
            None
        }
    }

    /// The number that [`IdRange::nth`] takes.
    pub const fn index(self) -> u16 {
        self.0
    }

    /// The host id that root inside stands for.
    pub const fn start(self) -> u32 {
        Self::BASE + (self.0 as u32) * Self::SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_nothing_that_a_path_would_interpret() {
        for bad in ["", "-a", ".a", "A", "a/b", "a\0", "ä", "..", &"a".repeat(65)] {
            assert!(SandboxId::new(bad).is_err(), "{bad:?} passed");
        }
        for good in ["a", "0", "a-b_c.d", &"a".repeat(64)] {
            assert!(SandboxId::new(good).is_ok(), "{good:?} refused");
        }
    }

    #[test]
    fn ranges_end_below_the_sign_bit() {
        let last = IdRange::nth(IdRange::COUNT - 1).expect("the last");
        assert_eq!(IdRange::FIRST.start(), 1_879_048_192);
        assert_eq!(last.start(), 2_147_221_504);
        assert!(last.start() + (IdRange::SIZE - 1) <= i32::MAX as u32);
        assert_eq!(IdRange::nth(IdRange::COUNT), None);
    }
}
