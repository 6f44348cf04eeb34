//! What a transaction sees of its own writes, and how much it may write.

use titus_core::time::Millis;

use super::{Keys, Outcome, Stop, Subject, ensure, put, read};
use crate::error::Error;
use crate::key::Key;
use crate::kv::{Entry, KeyRange, Read, Txn};
use crate::limits::{MAX_KEY, MAX_TRANSACTION, MAX_VALUE};

pub(super) async fn own_writes_are_read(subject: &Subject, keys: &Keys) -> Outcome {
    let (a, b, c) = (keys.key("a"), keys.key("b"), keys.key("c"));
    put(subject, &[(&a, "old"), (&c, "kept")]).await?;
    let mut txn = subject.kv.begin().await?;
    txn.set(&a, b"1");
    txn.set(&a, b"2");
    txn.set(&b, b"3");
    let own = read(&*txn, &a).await?;
    ensure(own.as_deref() == Some("2"), || {
        format!("own write reads as {own:?}")
    })?;
    let scanned = names(&*txn, keys, 10).await?;
    ensure(scanned == ["2", "3", "kept"], || {
        format!("own writes scan as {scanned:?}")
    })?;
    let first = names(&*txn, keys, 1).await?;
    ensure(first == ["2"], || format!("the first of them scans as {first:?}"))?;
    let other = read(&*subject.kv.begin().await?, &a).await?;
    ensure(other.as_deref() == Some("old"), || {
        format!("others read uncommitted {other:?}")
    })?;
    txn.commit().await?;
    let after = names(&*subject.kv.begin().await?, keys, 10).await?;
    ensure(after == ["2", "3", "kept"], || format!("committed as {after:?}"))
}

pub(super) async fn own_clears_are_read(subject: &Subject, keys: &Keys) -> Outcome {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| keys.key(name));
    put(subject, &[(&a, "a"), (&b, "b"), (&d, "d")]).await?;
    let mut txn = subject.kv.begin().await?;
    txn.set(&c, b"c");
    txn.clear(&KeyRange::new(b.clone().into_bytes(), keys.key("e").into_bytes()));
    for key in [&b, &c, &d] {
        let left = read(&*txn, key).await?;
        ensure(left.is_none(), || format!("a cleared key reads as {left:?}"))?;
    }
    let left = names(&*txn, keys, 10).await?;
    ensure(left == ["a"], || format!("after the clear the scan is {left:?}"))?;
    txn.set(&c, b"again");
    let left = names(&*txn, keys, 10).await?;
    ensure(left == ["a", "again"], || {
        format!("after a set behind the clear the scan is {left:?}")
    })?;
    txn.commit().await?;
    let after = names(&*subject.kv.begin().await?, keys, 10).await?;
    ensure(after == ["a", "again"], || format!("committed as {after:?}"))
}

pub(super) async fn clears_end_before_their_end(subject: &Subject, keys: &Keys) -> Outcome {
    let [a, b, c] = ["a", "b", "c"].map(|name| keys.key(name));
    put(subject, &[(&a, "a"), (&b, "b"), (&c, "c")]).await?;
    let mut txn = subject.kv.begin().await?;
    txn.clear(&KeyRange::new(a.into_bytes(), c.clone().into_bytes()));
    txn.clear(&KeyRange::new(c.clone().into_bytes(), c.into_bytes()));
    txn.commit().await?;
    let left = names(&*subject.kv.begin().await?, keys, 10).await?;
    ensure(left == ["c"], || format!("clearing a to c left {left:?}"))
}

pub(super) async fn scans_are_sorted_and_bounded(subject: &Subject, keys: &Keys) -> Outcome {
    let mut txn = subject.kv.begin().await?;
    for i in [3_u64, 1, 256, 2, 255, 0] {
        txn.set(&keys.0.clone().uint(i), i.to_string().as_bytes());
    }
    txn.commit().await?;
    let txn = subject.kv.begin().await?;
    let mut rest = keys.0.children();
    let mut seen = Vec::new();
    loop {
        let page = txn.scan(&rest, 4, Read::Serializable).await?;
        ensure(page.len() <= 4, || {
            format!("asked for 4 entries, got {}", page.len())
        })?;
        let Some(last) = page.last() else { break };
        rest = rest.after(&last.key);
        seen.extend(texts(&page));
    }
    ensure(seen == ["0", "1", "2", "3", "255", "256"], || {
        format!("paged as {seen:?}")
    })?;
    let none = txn.scan(&keys.0.children(), 0, Read::Serializable).await?;
    ensure(none.is_empty(), || "a limit of 0 returned entries".into())
}

pub(super) async fn limits_hold(subject: &Subject, keys: &Keys) -> Outcome {
    let key_of = |len: usize| {
        let mut key = keys.key("k").to_vec();
        key.resize(len, b'x');
        key
    };
    expect_size(subject, &[(&key_of(MAX_KEY), &[0; MAX_VALUE])], None).await?;
    expect_size(subject, &[(&key_of(MAX_KEY + 1), &[])], Some("key")).await?;
    expect_size(subject, &[(&key_of(100), &[0; MAX_VALUE + 1])], Some("value")).await?;
    let value = vec![0; MAX_VALUE];
    let many: Vec<Vec<u8>> = (0..=MAX_TRANSACTION / MAX_VALUE)
        .map(|i| keys.0.clone().uint(i as u64).to_vec())
        .collect();
    let large: Vec<(&[u8], &[u8])> = many.iter().map(|key| (&key[..], &value[..])).collect();
    expect_size(subject, &large, Some("transaction")).await?;
    let txn = subject.kv.begin().await?;
    match txn.get(&key_of(MAX_KEY + 1), Read::Snapshot).await {
        Err(Error::TooLarge { what: "key", .. }) => Ok(()),
        Err(error @ Error::Backend { .. }) => Err(error.into()),
        other => Err(Stop::Broken(format!("reading a key over the limit: {other:?}"))),
    }
}

/// Commits these entries and expects the limit named, or none.
async fn expect_size(subject: &Subject, entries: &[(&[u8], &[u8])], refused: Option<&str>) -> Outcome {
    let mut txn = subject.kv.begin().await?;
    for (key, value) in entries {
        txn.set(key, value);
    }
    match (txn.commit().await, refused) {
        (Ok(_), None) => Ok(()),
        (Err(Error::TooLarge { what, size, limit }), Some(expected)) => {
            ensure(what == expected && size > limit, || {
                format!("refused a {what} of {size} for {limit}, expected the {expected}")
            })
        }
        (Ok(_), Some(expected)) => ensure(false, || format!("a {expected} over the limit was committed")),
        (Err(error), _) => Err(error.into()),
    }
}

pub(super) async fn old_transactions_end(subject: &Subject, keys: &Keys) -> Outcome {
    let (a, b) = (keys.key("a"), keys.key("b"));
    put(subject, &[(&a, "a")]).await?;
    let mut reader = subject.kv.begin().await?;
    let mut quiet = subject.kv.begin().await?;
    let mut busy = subject.kv.begin().await?;
    for txn in [&mut reader, &mut quiet, &mut busy] {
        read(&**txn, &a).await?;
        txn.set(&b, b"x");
    }
    (subject.pass)(Millis(5_500)).await;
    ensure_too_old(reader.get(&a, Read::Snapshot).await, "a read")?;
    ensure_too_old(quiet.commit().await, "a commit")?;
    put(subject, &[(&b, "b")]).await?;
    ensure_too_old(busy.commit().await, "a commit behind another")
}

/// Requires a conflict: the transaction is older than 5 s.
fn ensure_too_old<T: std::fmt::Debug>(outcome: Result<T, Error>, what: &str) -> Outcome {
    match outcome {
        Err(Error::Conflict(_)) => Ok(()),
        Ok(done) => Err(Stop::Broken(format!(
            "{what} after 5.5 s succeeded with {done:?}"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// The values under the case's keys.
async fn names(txn: &dyn Txn, keys: &Keys, limit: usize) -> Outcome<Vec<String>> {
    let found = txn
        .scan(&Key::children(&keys.0), limit, Read::Serializable)
        .await?;
    Ok(texts(&found))
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
        .collect()
}
