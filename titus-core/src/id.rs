//! Identifiers: newtypes, so that one kind never stands in for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rng::Rng;
use crate::shard::ShardId;
use crate::time::Timestamp;

/// An identifier that does not parse: which kind, what was given, what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a {kind}: expected {expected}")]
pub struct IdError {
    /// The kind of identifier that was asked for, as `job id`.
    pub kind: &'static str,
    /// What was given, cut to 80 characters.
    pub given: String,
    /// The form that would have been accepted.
    pub expected: &'static str,
}

impl IdError {
    fn new(kind: &'static str, given: &str, expected: &'static str) -> Self {
        Self {
            kind,
            given: given.chars().take(80).collect(),
            expected,
        }
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id: 48 bits of milliseconds, 12 of shard, 62 from `rng` (UUID version 8).
            #[must_use]
            pub fn generate(now: Timestamp, shard: ShardId, rng: &mut Rng) -> Self {
                Self(routed_uuid(now, shard, rng))
            }

            /// Takes any UUID as it is: ids made elsewhere are opaque.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id as a UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The 16 bytes, which sort by time.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                *self.0.as_bytes()
            }

            /// The inverse of [`to_bytes`](Self::to_bytes).
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The shard written into the id, or `None` for an id that we did not make.
            #[must_use]
            pub fn shard(self) -> Option<ShardId> {
                shard_of_uuid(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError::new($kind, text, "a UUID"))
            }
        }
    )*};
}

uuid_ids! {
    /// A job's id.
    JobId = "job id";
    /// A task's id.
    TaskId = "task id";
    /// The id of one plan of one round: how a commit recognises its own work.
    PlanId = "plan id";
}

fn routed_uuid(now: Timestamp, shard: ShardId, rng: &mut Rng) -> Uuid {
    let millis = u128::from(now.as_millis().unsigned_abs()) & 0xFFFF_FFFF_FFFF;
    let random = u128::from(rng.next_u64() >> 2);
    let bits = (millis << 80) | (0x8 << 76) | (u128::from(shard.get()) << 64) | (0b10 << 62) | random;
    Uuid::from_u128(bits)
}

fn shard_of_uuid(uuid: Uuid) -> Option<ShardId> {
    let bits = uuid.as_u128();
    let version = (bits >> 76) & 0xF;
    let shard = u16::try_from((bits >> 64) & 0xFFF).ok()?;
    if version == 8 { ShardId::new(shard) } else { None }
}

/// A host's name: 1 to 40 characters of `a-z`, `0-9`, `.` and `-`, first a letter or digit; stored inline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl HostId {
    /// The longest name, in bytes.
    pub const MAX: usize = 40;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`IdError`] when the name is empty, too long or has another character.
    pub fn new(name: &str) -> Result<Self, IdError> {
        let bytes = name.as_bytes();
        let ok = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || *b == b'.';
        let first_ok = bytes
            .first()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !first_ok || bytes.len() > Self::MAX || !bytes.iter().all(ok) {
            return Err(IdError::new(
                "host id",
                name,
                "1 to 40 of a-z 0-9 . - with a letter or digit first",
            ));
        }
        let mut own = [0; Self::MAX];
        own[..bytes.len()].copy_from_slice(bytes);
        let len = u8::try_from(bytes.len()).expect("checked against MAX above");
        Ok(Self { bytes: own, len })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("only ASCII is accepted")
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HostId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl Serialize for HostId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HostId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// SHA-256 of a job's launch text: a host is sent the text once, then only this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpecDigest(pub [u8; 32]);

impl fmt::Display for SpecDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SpecDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::RngTree;

    #[test]
    fn a_generated_id_is_a_version_8_uuid_that_names_its_shard_and_sorts_by_time() {
        let mut rng = RngTree::new(7).child("ids");
        let shard = ShardId::new(63).unwrap();
        let early = JobId::generate(Timestamp::from_millis(1_000), shard, &mut rng);
        let late = JobId::generate(Timestamp::from_millis(1_001), shard, &mut rng);
        assert_eq!(early.uuid().get_version_num(), 8);
        assert_eq!(early.uuid().get_variant(), uuid::Variant::RFC4122);
        assert_eq!(early.shard(), Some(shard));
        assert!(early < late);
        assert_eq!(JobId::from_bytes(early.to_bytes()), early);
    }

    #[test]
    fn an_id_from_elsewhere_names_no_shard() {
        let id: TaskId = "123e4567-e89b-42d3-a456-426614174000".parse().unwrap();
        assert_eq!(id.shard(), None);
        let err = "job-1".parse::<JobId>().unwrap_err();
        assert_eq!(err.to_string(), "\"job-1\" is not a job id: expected a UUID");
    }

    #[test]
    fn host_names_are_bounded() {
        assert_eq!(HostId::new("i-0a1.b").unwrap().as_str(), "i-0a1.b");
        assert!(HostId::new(&"a".repeat(40)).is_ok());
        for bad in ["", "-a", "A", "a b", "a/b", "ä", &"a".repeat(41)] {
            assert!(HostId::new(bad).is_err(), "{bad:?}");
        }
    }
}
