//! Versioned records: the first byte of every stored value is its version.
//!
//! A reader knows every version that was ever written; an unknown one is an error that names record and version, never
//! a default. Hot records are written by hand at a fixed width with [`Writer`] and [`Reader`]; cold ones are the version
//! byte and a protobuf message.

use bytes::Bytes;

use crate::error::{Error, RecordProblem, Result};

/// Writes a fixed-width record, field by field, big-endian.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins a record of this version.
    #[must_use]
    pub fn new(version: u8) -> Self {
        Self(vec![version])
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes as they are; the reader knows how many.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The finished record.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a record that [`Writer`] wrote.
#[derive(Debug)]
pub struct Reader<'a> {
    record: &'static str,
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// Opens a record whose version must be one of `known`, and returns that version.
    ///
    /// # Errors
    /// [`Error::Record`] with the version that was found, or with the length when there is none.
    pub fn open(record: &'static str, known: &[u8], bytes: &'a [u8]) -> Result<(u8, Self)> {
        let (version, rest) = split_version(record, known, bytes)?;
        let len = bytes.len();
        Ok((version, Self { record, rest, len }))
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Error::Record`] when the record ends before; so do all readers here.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    ///
    /// # Errors
    /// See [`u8`](Self::u8).
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// See [`u8`](Self::u8).
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// See [`u8`](Self::u8).
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// See [`u8`](Self::u8).
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// As many bytes as the array holds.
    ///
    /// # Errors
    /// See [`u8`](Self::u8).
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| self.wrong_length())?;
        self.rest = rest;
        Ok(*head)
    }

    /// The given number of bytes.
    ///
    /// # Errors
    /// See [`u8`](Self::u8).
    pub fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| self.wrong_length())?;
        self.rest = rest;
        Ok(head)
    }

    /// The error for a field that holds a value that cannot be.
    #[must_use]
    pub const fn invalid(&self, field: &'static str) -> Error {
        Error::Record {
            record: self.record,
            problem: RecordProblem::Field(field),
        }
    }

    /// Ends the record.
    ///
    /// # Errors
    /// [`Error::Record`] when bytes are left.
    pub fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.wrong_length())
        }
    }

    const fn wrong_length(&self) -> Error {
        Error::Record {
            record: self.record,
            problem: RecordProblem::Length(self.len),
        }
    }
}

/// A protobuf message behind a version byte.
pub fn encode_message(version: u8, message: &impl prost::Message) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(version);
    message
        .encode(&mut bytes)
        .expect("a vector grows, so encoding into it cannot run out of room");
    bytes.into()
}

/// The inverse of [`encode_message`].
///
/// # Errors
/// [`Error::Record`] when the version is not `version` or the message does not parse.
pub fn decode_message<M: prost::Message + Default>(
    record: &'static str,
    version: u8,
    bytes: &[u8],
) -> Result<M> {
    let (_, message) = split_version(record, &[version], bytes)?;
    M::decode(message).map_err(|_| Error::Record {
        record,
        problem: RecordProblem::Field("protobuf message"),
    })
}

fn split_version<'a>(record: &'static str, known: &[u8], bytes: &'a [u8]) -> Result<(u8, &'a [u8])> {
    let problem = match bytes.split_first() {
        Some((version, rest)) if known.contains(version) => return Ok((*version, rest)),
        Some((version, _)) => RecordProblem::Version(*version),
        None => RecordProblem::Length(0),
    };
    Err(Error::Record { record, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_order_and_the_length_is_checked() {
        let mut writer = Writer::new(3);
        writer.u8(1).u16(2).u32(3).u64(4).i64(-5).raw(b"ab");
        let bytes = writer.finish();
        let (version, mut reader) = Reader::open("thing", &[2, 3], &bytes).unwrap();
        assert_eq!(version, 3);
        assert_eq!(
            (reader.u8().unwrap(), reader.u16().unwrap(), reader.u32().unwrap()),
            (1, 2, 3)
        );
        assert_eq!((reader.u64().unwrap(), reader.i64().unwrap()), (4, -5));
        assert_eq!(reader.slice(2).unwrap(), b"ab");
        assert!(reader.u8().is_err());
        reader.finish().unwrap();
        let (_, reader) = Reader::open("thing", &[3], &bytes).unwrap();
        let error = reader.finish().unwrap_err().to_string();
        assert!(
            error.starts_with("read thing: its length of 26 bytes is wrong;"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_version_is_named() {
        for (bytes, problem) in [
            (&b"\x07xx"[..], RecordProblem::Version(7)),
            (&b""[..], RecordProblem::Length(0)),
        ] {
            let error = Reader::open("job", &[1], bytes).unwrap_err();
            assert!(
                matches!(error, Error::Record { record: "job", problem: found } if found == problem),
                "{error}"
            );
        }
    }

    #[test]
    fn a_message_round_trips_behind_its_version() {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Text {
            #[prost(string, tag = "1")]
            text: String,
        }
        let text = Text { text: "hello".into() };
        let bytes = encode_message(2, &text);
        assert_eq!(bytes[0], 2);
        assert_eq!(decode_message::<Text>("text", 2, &bytes).unwrap(), text);
        assert!(decode_message::<Text>("text", 1, &bytes).is_err());
        assert!(decode_message::<Text>("text", 2, &bytes[..3]).is_err());
    }
}
