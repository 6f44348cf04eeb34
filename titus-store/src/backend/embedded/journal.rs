//! The journal's tail, looked at before fjall opens it.
//!
//! When a machine loses power while a batch is synced, any part of that batch may be missing: its end, or pages in its
//! middle. fjall cuts off a batch that lacks its end and refuses one with a hole; and it takes a hole between two whole
//! batches for the end, and drops what was acknowledged behind it. So the journal is read here first. Each batch is synced
//! before the next one is written; what is not whole is therefore a torn tail if no whole batch follows, which is cut off
//! and kept beside, and damage if one does, which is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::folder::{backend, io_failure};
use crate::error::Result;

/// What fjall writes at the head of its `version` file, and at the end of every batch, in the format that is read here.
const MAGIC: &[u8] = b"FJL\x03";

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Cuts a torn tail off the newest journal; refuses journals that are damaged elsewhere.
pub(super) fn mend(folder: &Path, data: &Path) -> Result<()> {
    let fail = |source: io::Error| io_failure("read the journal of", folder, source);
    // Another format is fjall's own to judge.
    let known = fs::read(data.join("version")).is_ok_and(|version| version.starts_with(MAGIC));
    if !known {
        return Ok(());
    }
    let journals = journals(data).map_err(fail)?;
    for (place, path) in journals.iter().enumerate() {
        let bytes = written_part(path).map_err(fail)?;
        let newest = place + 1 == journals.len();
        match survey(&bytes) {
            Tail::Whole => {}
            Tail::Torn(at) if newest => cut(folder, path, &bytes, at).map_err(fail)?,
            Tail::Torn(at) | Tail::Damaged(at) => {
                let source = format!("{} is damaged at byte {at}", path.display());
                return Err(backend("open", folder, DAMAGED, source.into()));
            }
        }
    }
    Ok(())
}

const DAMAGED: &str = "its journal is damaged before its end: restore the store from a backup";

/// Oldest first.
fn journals(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|ext| ext == "jnl")) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The file up to where it has blocks: behind what is written lies empty room of many megabytes.
fn written_part(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(about.blocks() * 512).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[derive(Debug, PartialEq, Eq)]
enum Tail {
    /// Whole batches, then nothing.
    Whole,
    /// What begins here is no batch, and none follows.
    Torn(usize),
    /// What begins here is no batch, and one follows.
    Damaged(usize),
}

fn survey(bytes: &[u8]) -> Tail {
    let mut at = 0;
    while let Some(length) = batch(&bytes[at..]) {
        at += length;
    }
    let rest = &bytes[at..];
    if rest.iter().all(|byte| *byte == 0) {
        Tail::Whole
    } else if (1..rest.len()).any(|from| batch(&rest[from..]).is_some()) {
        Tail::Damaged(at)
    } else {
        Tail::Torn(at)
    }
}

/// The length of the whole batch that `bytes` begin with.
fn batch(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    if byte(&mut rest)? != START {
        return None;
    }
    let count = u32::from_le_bytes(array(&mut rest)?);
    let _sequence: [u8; 8] = array(&mut rest)?;
    let items = rest;
    for _ in 0..count {
        skip_item(&mut rest)?;
    }
    let checksum = xxhash_rust::xxh3::xxh3_64(&items[..items.len() - rest.len()]);
    let ends = byte(&mut rest)? == END
        && u64::from_le_bytes(array(&mut rest)?) == checksum
        && take(&mut rest, MAGIC.len())? == MAGIC;
    ends.then_some(bytes.len() - rest.len())
}

fn skip_item(rest: &mut &[u8]) -> Option<()> {
    match byte(rest)? {
        ITEM => {
            let _kind_compression_and_keyspace = take(rest, 1 + 1 + 8)?;
            let key = u16::from_le_bytes(array(rest)?);
            let _value_in_memory: [u8; 4] = array(rest)?;
            let value = u32::from_le_bytes(array(rest)?);
            take(rest, usize::from(key) + usize::try_from(value).ok()?)?;
        }
        CLEAR => _ = take(rest, 8)?,
        _ => return None,
    }
    Some(())
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    array::<1>(rest).map(|[byte]| byte)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

/// Ends the journal at its last whole batch, and keeps what is cut off beside it.
fn cut(folder: &Path, journal: &Path, bytes: &[u8], at: usize) -> io::Result<()> {
    let kept = folder.join(format!("torn-tail-{at}"));
    fs::write(&kept, &bytes[at..])?;
    let file = OpenOptions::new().write(true).open(journal)?;
    file.set_len(at as u64)?;
    file.sync_all()?;
    tracing::warn!(
        folder = %folder.display(),
        at,
        bytes = bytes.len() - at,
        kept = %kept.display(),
        "the journal's last batch was torn and is cut off; nothing of it was acknowledged"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sequence number, which no checksum covers; the page that holds it holds checked bytes as well.
    const UNCHECKED: std::ops::Range<usize> = 5..13;

    /// A batch of one item, as fjall writes it.
    fn written(key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut item = vec![ITEM, 0, 0];
        item.extend(7_u64.to_le_bytes());
        item.extend(u16::try_from(key.len()).unwrap().to_le_bytes());
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        item.extend([length, length].concat());
        item.extend([key, value].concat());
        let mut batch = vec![START];
        batch.extend(1_u32.to_le_bytes());
        batch.extend(42_u64.to_le_bytes());
        batch.extend(&item);
        batch.push(END);
        batch.extend(xxhash_rust::xxh3::xxh3_64(&item).to_le_bytes());
        batch.extend(MAGIC);
        batch
    }

    #[test]
    fn batches_are_whole_up_to_the_empty_room() {
        let (a, b) = (written(b"a", b"1"), written(b"b", &[0; 50]));
        let journal = [&a[..], &b, &[0; 100]].concat();
        assert_eq!(batch(&journal), Some(a.len()));
        assert_eq!(survey(&journal), Tail::Whole);
        assert_eq!(survey(&[]), Tail::Whole);
    }

    #[test]
    fn what_is_missing_of_the_last_batch_is_a_torn_tail() {
        let (a, b) = (written(b"a", b"1"), written(b"b", &[9; 50]));
        for missing in 0..b.len() {
            if UNCHECKED.contains(&missing) {
                continue;
            }
            let mut journal = [&a[..], &b].concat();
            journal[a.len() + missing] ^= 0xFF;
            assert_eq!(
                survey(&journal),
                Tail::Torn(a.len()),
                "byte {missing} of {}",
                b.len()
            );
            let short = [&a[..], &b[..missing]].concat();
            let expected = if missing == 0 {
                Tail::Whole
            } else {
                Tail::Torn(a.len())
            };
            assert_eq!(survey(&short), expected, "{missing} of {}", b.len());
        }
    }

    #[test]
    fn a_whole_batch_behind_the_fault_makes_it_damage() {
        let (a, b, c) = (written(b"a", b"1"), written(b"b", &[9; 50]), written(b"c", b"3"));
        for hole in [0, 20, b.len() - 1] {
            let mut journal = [&a[..], &b, &c].concat();
            journal[a.len() + hole] ^= 0xFF;
            assert_eq!(survey(&journal), Tail::Damaged(a.len()));
        }
        let mut journal = [&a[..], &b, &c].concat();
        journal[a.len()..a.len() + b.len()].fill(0);
        assert_eq!(survey(&journal), Tail::Damaged(a.len()));
    }
}
