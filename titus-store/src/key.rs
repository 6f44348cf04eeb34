//! Keys: tuples in FoundationDB's encoding, whose bytes sort as the tuples do.
//!
//! The encoding is the published one of FoundationDB's tuple layer, for the element types that we use: bytes, text,
//! integers of up to 64 bits, UUIDs and versionstamps.

use std::fmt;

use bytes::Bytes;

use crate::error::{Error, RecordProblem, Result};
use crate::kv::{KeyRange, Version};

const BYTES: u8 = 0x01;
const TEXT: u8 = 0x02;
const ZERO: u8 = 0x14;
const UUID: u8 = 0x30;
const STAMP: u8 = 0x33;

/// A key under construction: one call an element.
///
/// ```
/// use titus_store::key::{Key, Parts};
///
/// let key = Key::new().text("task").int(7).bytes(b"x");
/// let mut parts = Parts::of(&key);
/// assert_eq!((parts.text()?, parts.int()?, parts.bytes()?), ("task".into(), 7, b"x".to_vec()));
/// # Ok::<(), titus_store::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Key(Vec<u8>);

impl Key {
    /// The empty tuple.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends bytes.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.escaped(BYTES, bytes)
    }

    /// Appends text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.escaped(TEXT, text.as_bytes())
    }

    /// Appends an integer.
    #[must_use]
    pub fn int(mut self, value: i64) -> Self {
        let magnitude = value.unsigned_abs();
        let len = byte_len(magnitude);
        if value < 0 {
            self.0.push(ZERO - len);
            // Negative numbers are stored as their one's complement, so that they sort.
            self.push_low_bytes(!magnitude, len);
        } else {
            self.0.push(ZERO + len);
            self.push_low_bytes(magnitude, len);
        }
        self
    }

    /// Appends an unsigned integer; the same element as [`int`](Self::int) where both can hold the number.
    #[must_use]
    pub fn uint(mut self, value: u64) -> Self {
        let len = byte_len(value);
        self.0.push(ZERO + len);
        self.push_low_bytes(value, len);
        self
    }

    /// Appends the 16 bytes of a UUID.
    #[must_use]
    pub fn uuid(mut self, uuid: [u8; 16]) -> Self {
        self.0.push(UUID);
        self.0.extend_from_slice(&uuid);
        self
    }

    /// Appends a versionstamp.
    #[must_use]
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.0.push(STAMP);
        self.0.extend_from_slice(&stamp.to_bytes());
        self
    }

    /// All keys that begin with this tuple, the tuple itself excluded.
    #[must_use]
    pub fn children(&self) -> KeyRange {
        let bound = |last: u8| {
            let mut key = self.0.clone();
            key.push(last);
            key
        };
        KeyRange::new(bound(0x00), bound(0xFF))
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }

    fn escaped(mut self, code: u8, bytes: &[u8]) -> Self {
        self.0.push(code);
        for byte in bytes {
            self.0.push(*byte);
            if *byte == 0 {
                self.0.push(0xFF);
            }
        }
        self.0.push(0);
        self
    }

    fn push_low_bytes(&mut self, value: u64, len: u8) {
        let bytes = value.to_be_bytes();
        self.0.extend_from_slice(&bytes[8 - usize::from(len)..]);
    }
}

impl std::ops::Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// How many bytes a number needs without its leading zeros.
fn byte_len(value: u64) -> u8 {
    u8::try_from((64 - value.leading_zeros()).div_ceil(8)).expect("at most 8")
}

/// Reads a key element by element.
#[derive(Debug)]
pub struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// Reads a key from its begin.
    #[must_use]
    pub const fn of(key: &'a [u8]) -> Self {
        Self(key)
    }

    /// The next element, which must be bytes.
    ///
    /// # Errors
    /// [`Error::Record`] when the key has another element here, or none; so do all readers here.
    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        self.expect(BYTES, "bytes")?;
        self.unescaped()
    }

    /// The next element, which must be text.
    ///
    /// # Errors
    /// See [`bytes`](Self::bytes).
    pub fn text(&mut self) -> Result<String> {
        self.expect(TEXT, "text")?;
        String::from_utf8(self.unescaped()?).map_err(|_| wrong("text"))
    }

    /// The next element, which must be an integer that fits.
    ///
    /// # Errors
    /// See [`bytes`](Self::bytes).
    pub fn int(&mut self) -> Result<i64> {
        i64::try_from(self.integer()?).map_err(|_| wrong("integer"))
    }

    /// The next element, which must be an integer of zero or more.
    ///
    /// # Errors
    /// See [`bytes`](Self::bytes).
    pub fn uint(&mut self) -> Result<u64> {
        u64::try_from(self.integer()?).map_err(|_| wrong("unsigned integer"))
    }

    /// The next element, which must be a UUID.
    ///
    /// # Errors
    /// See [`bytes`](Self::bytes).
    pub fn uuid(&mut self) -> Result<[u8; 16]> {
        self.expect(UUID, "uuid")?;
        self.array("uuid")
    }

    /// The next element, which must be a versionstamp.
    ///
    /// # Errors
    /// See [`bytes`](Self::bytes).
    pub fn stamp(&mut self) -> Result<Stamp> {
        self.expect(STAMP, "versionstamp")?;
        Ok(Stamp::from_bytes(self.array("versionstamp")?))
    }

    /// True when no element is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn expect(&mut self, code: u8, what: &'static str) -> Result<()> {
        match self.0.split_first() {
            Some((found, rest)) if *found == code => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(wrong(what)),
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| wrong(what))?;
        self.0 = rest;
        Ok(*head)
    }

    fn unescaped(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut at = 0;
        loop {
            match (self.0.get(at), self.0.get(at + 1)) {
                (Some(0), Some(0xFF)) => {
                    out.push(0);
                    at += 2;
                }
                (Some(0), _) => break,
                (Some(byte), _) => {
                    out.push(*byte);
                    at += 1;
                }
                (None, _) => return Err(wrong("terminator")),
            }
        }
        self.0 = &self.0[at + 1..];
        Ok(out)
    }

    fn integer(&mut self) -> Result<i128> {
        let (code, rest) = self.0.split_first().ok_or_else(|| wrong("integer"))?;
        let len = usize::from(code.abs_diff(ZERO));
        if len > 8 {
            return Err(wrong("integer"));
        }
        let (digits, rest) = rest.split_at_checked(len).ok_or_else(|| wrong("integer"))?;
        self.0 = rest;
        let stored = digits.iter().fold(0_i128, |n, b| (n << 8) | i128::from(*b));
        Ok(if *code < ZERO {
            stored - ((1_i128 << (8 * len)) - 1)
        } else {
            stored
        })
    }
}

const fn wrong(what: &'static str) -> Error {
    Error::Record {
        record: "key",
        problem: RecordProblem::Field(what),
    }
}

/// The place of an appended entry: commit version, then order within it. Stamps sort by time of commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    /// The version of the commit.
    pub version: Version,
    /// Which of the transactions that share the version; always 0 where none do.
    pub batch: u16,
    /// Which of the transaction's appended entries.
    pub order: u16,
}

impl Stamp {
    /// The first stamp that a commit after `version` can have.
    #[must_use]
    pub const fn after(version: Version) -> Self {
        Self {
            version: Version(version.0 + 1),
            batch: 0,
            order: 0,
        }
    }

    /// Ten bytes of commit, two of order, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.version.0.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.batch.to_be_bytes());
        bytes[10..].copy_from_slice(&self.order.to_be_bytes());
        bytes
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            version: Version(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            batch: u16::from_be_bytes([i, j]),
            order: u16::from_be_bytes([k, l]),
        }
    }

    /// The key of the entry that was appended under `prefix`: the prefix, then this stamp as a tuple element.
    #[must_use]
    pub fn key_under(self, prefix: &[u8]) -> Bytes {
        Key(prefix.to_vec()).stamp(self).into_bytes()
    }

    /// The stamp at the end of an appended entry's key.
    ///
    /// # Errors
    /// [`Error::Record`] when the key does not end in a stamp.
    pub fn of_key(key: &[u8]) -> Result<Self> {
        let start = key.len().checked_sub(13).ok_or_else(|| wrong("versionstamp"))?;
        Parts::of(&key[start..]).stamp()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.version, self.batch, self.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundationdb_tuple::{Element, Uuid, Versionstamp, pack, unpack};
    use proptest::prelude::*;

    const INTS: [i64; 15] = [
        0,
        1,
        -1,
        255,
        256,
        -255,
        -256,
        65_535,
        65_536,
        -65_536,
        i32::MAX as i64,
        i32::MIN as i64,
        i64::MAX,
        i64::MIN,
        i64::MIN + 1,
    ];

    #[test]
    fn golden_bytes_of_the_published_encoding() {
        assert_eq!(*Key::new().bytes(b"foo\x00bar"), *b"\x01foo\x00\xFFbar\x00");
        assert_eq!(
            *Key::new().text("F\u{d4}O\u{0}bar"),
            *b"\x02F\xC3\x94O\x00\xFFbar\x00"
        );
        assert_eq!(*Key::new().int(-5_551_212), *b"\x11\xABK\x93");
        assert_eq!(*Key::new().int(0), [ZERO]);
        assert_eq!(
            *Key::new().uint(u64::MAX),
            *b"\x1C\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
        );
    }

    #[test]
    fn every_element_is_what_the_tuple_layer_writes() {
        for n in INTS {
            assert_eq!(*Key::new().int(n), pack(&n), "{n}");
            assert_eq!(Parts::of(&pack(&n)).int().unwrap(), n);
        }
        for n in [0_u64, 1, 1 << 63, u64::MAX] {
            assert_eq!(*Key::new().uint(n), pack(&n), "{n}");
            assert_eq!(Parts::of(&pack(&n)).uint().unwrap(), n);
        }
        let uuid = [7, 0, 255, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        assert_eq!(*Key::new().uuid(uuid), pack(&Uuid::from_bytes(uuid)));
        let stamp = Stamp {
            version: Version(0x0102_0304_0506_0708),
            batch: 9,
            order: 10,
        };
        let theirs = Versionstamp::complete([1, 2, 3, 4, 5, 6, 7, 8, 0, 9], 10);
        assert_eq!(*Key::new().stamp(stamp), pack(&theirs));
    }

    #[test]
    fn a_stamp_is_found_at_the_end_of_its_key() {
        let stamp = Stamp::after(Version(41));
        let prefix = Key::new().text("feed").int(3);
        let key = stamp.key_under(&prefix);
        assert_eq!(Stamp::of_key(&key).unwrap(), stamp);
        assert!(prefix.children().contains(&key));
        assert!(Stamp::of_key(b"short").is_err());
        assert_eq!(stamp.to_string(), "42.0.0");
    }

    #[test]
    fn children_are_the_longer_tuples_only() {
        let key = Key::new().text("a");
        assert!(key.children().contains(&key.clone().int(i64::MIN)));
        assert!(key.children().contains(&key.clone().stamp(Stamp::default())));
        assert!(!key.children().contains(&key));
        assert!(!key.children().contains(&Key::new().text("a\u{0}")));
    }

    #[test]
    fn damaged_keys_are_errors() {
        for bytes in [
            &b""[..],
            b"\x01abc",
            b"\x16\x01",
            b"\x30abc",
            b"\x33abc",
            b"\x05\x01",
            b"\x02\xFF\x00",
        ] {
            let mut errors = vec![Parts::of(bytes).bytes().err(), Parts::of(bytes).text().err()];
            errors.extend([Parts::of(bytes).int().err(), Parts::of(bytes).uint().err()]);
            errors.extend([Parts::of(bytes).uuid().err(), Parts::of(bytes).stamp().err()]);
            assert!(errors.iter().all(Option::is_some), "{bytes:?}: {errors:?}");
        }
        assert!(Parts::of(&Key::new().int(-1)).uint().is_err());
        assert!(Parts::of(&Key::new().uint(u64::MAX)).int().is_err());
    }

    proptest! {
        #[test]
        fn tuples_agree_with_the_tuple_layer_and_sort_alike(
            a in (any::<Vec<u8>>(), ".*", any::<i64>(), any::<[u8; 16]>()),
            b in (any::<Vec<u8>>(), ".*", any::<i64>(), any::<[u8; 16]>()),
        ) {
            let ours = |t: &(Vec<u8>, String, i64, [u8; 16])| Key::new().bytes(&t.0).text(&t.1).int(t.2).uuid(t.3);
            let (x, y) = (ours(&a), ours(&b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            let theirs = pack(&(a.0.as_slice(), a.1.as_str(), a.2, Uuid::from_bytes(a.3)));
            prop_assert_eq!(&*x, theirs.as_slice());
            let elements: Vec<Element<'_>> = unpack(&x).unwrap();
            prop_assert_eq!(elements.len(), 4);
            let mut parts = Parts::of(&x);
            let back = (parts.bytes().unwrap(), parts.text().unwrap(), parts.int().unwrap(), parts.uuid().unwrap());
            prop_assert_eq!(back, a);
            prop_assert!(parts.is_empty());
        }
    }
}
