//! Transactions side by side: what must conflict, and what must not.

use super::{Keys, Outcome, Subject, ensure, ensure_conflict, put, read};
use crate::kv::{KeyRange, Read};

pub(super) async fn reads_stay_at_their_version(subject: &Subject, keys: &Keys) -> Outcome {
    let [a, b, c] = ["a", "b", "c"].map(|name| keys.key(name));
    put(subject, &[(&a, "1"), (&b, "1")]).await?;
    let txn = subject.kv.begin().await?;
    let mut other = subject.kv.begin().await?;
    other.set(&a, b"2");
    other.clear(&KeyRange::one(&b));
    other.set(&c, b"2");
    other.commit().await?;
    let seen = [
        read(&*txn, &a).await?,
        read(&*txn, &b).await?,
        read(&*txn, &c).await?,
    ];
    let expected = [Some("1".to_owned()), Some("1".to_owned()), None];
    ensure(seen == expected, || {
        format!("a later commit shows in an earlier transaction: {seen:?}")
    })?;
    let scanned = txn.scan(&keys.0.children(), 10, Read::Snapshot).await?;
    ensure(
        scanned.len() == 2 && scanned.iter().all(|e| e.value == "1"),
        || format!("a later commit shows in an earlier transaction's scan: {scanned:?}"),
    )
}

pub(super) async fn lost_update(subject: &Subject, keys: &Keys) -> Outcome {
    let a = keys.key("a");
    put(subject, &[(&a, "0")]).await?;
    let (mut first, mut second) = (subject.kv.begin().await?, subject.kv.begin().await?);
    read(&*first, &a).await?;
    read(&*second, &a).await?;
    first.set(&a, b"1");
    second.set(&a, b"1");
    first.commit().await?;
    ensure_conflict(second.commit().await, "the second of two increments of one key")
}

pub(super) async fn write_skew(subject: &Subject, keys: &Keys) -> Outcome {
    let (a, b) = (keys.key("a"), keys.key("b"));
    put(subject, &[(&a, "on call"), (&b, "on call")]).await?;
    let (mut first, mut second) = (subject.kv.begin().await?, subject.kv.begin().await?);
    for txn in [&first, &second] {
        read(&**txn, &a).await?;
        read(&**txn, &b).await?;
    }
    first.set(&a, b"off");
    second.set(&b, b"off");
    first.commit().await?;
    ensure_conflict(
        second.commit().await,
        "both of two that read both keys and write one each",
    )
}

pub(super) async fn phantom(subject: &Subject, keys: &Keys) -> Outcome {
    let range = keys.0.children();
    let (mut first, mut second) = (subject.kv.begin().await?, subject.kv.begin().await?);
    for txn in [&first, &second] {
        let found = txn.scan(&range, 10, Read::Serializable).await?;
        ensure(found.is_empty(), || format!("fresh keys hold {found:?}"))?;
    }
    first.set(&keys.key("a"), b"only one");
    second.set(&keys.key("b"), b"only one");
    first.commit().await?;
    ensure_conflict(second.commit().await, "a scan that missed an inserted key")
}

pub(super) async fn phantom_removed(subject: &Subject, keys: &Keys) -> Outcome {
    let (a, sum) = (keys.key("a"), keys.key("sum"));
    put(subject, &[(&a, "1")]).await?;
    let (mut first, mut second) = (subject.kv.begin().await?, subject.kv.begin().await?);
    second.scan(&KeyRange::prefix(&a), 10, Read::Serializable).await?;
    first.clear(&keys.0.children());
    first.commit().await?;
    second.set(&sum, b"1");
    ensure_conflict(
        second.commit().await,
        "a scan of a key that a range clear removed",
    )
}

pub(super) async fn scans_conflict_only_as_far_as_they_read(subject: &Subject, keys: &Keys) -> Outcome {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| keys.key(name));
    put(subject, &[(&a, "1"), (&b, "1"), (&c, "1")]).await?;
    let mut txn = subject.kv.begin().await?;
    txn.scan(&keys.0.children(), 2, Read::Serializable).await?;
    put(subject, &[(&c, "2")]).await?;
    txn.set(&d, b"ok");
    txn.commit().await?;

    let mut txn = subject.kv.begin().await?;
    txn.scan(&keys.0.children(), 2, Read::Serializable).await?;
    put(subject, &[(&b, "2")]).await?;
    txn.set(&d, b"not ok");
    ensure_conflict(
        txn.commit().await,
        "a change of the last entry that a scan returned",
    )
}

pub(super) async fn snapshot_reads_do_not_conflict(subject: &Subject, keys: &Keys) -> Outcome {
    let (a, b) = (keys.key("a"), keys.key("b"));
    put(subject, &[(&a, "1")]).await?;
    let mut txn = subject.kv.begin().await?;
    txn.get(&a, Read::Snapshot).await?;
    txn.scan(&keys.0.children(), 10, Read::Snapshot).await?;
    put(subject, &[(&a, "2")]).await?;
    txn.set(&b, b"1");
    txn.commit().await?;
    Ok(())
}

pub(super) async fn blind_writes_do_not_conflict(subject: &Subject, keys: &Keys) -> Outcome {
    let a = keys.key("a");
    let (mut first, mut second) = (subject.kv.begin().await?, subject.kv.begin().await?);
    first.set(&a, b"1");
    second.set(&a, b"2");
    second.commit().await?;
    first.commit().await?;
    let last = read(&*subject.kv.begin().await?, &a).await?;
    ensure(last.as_deref() == Some("1"), || {
        format!("the later commit is not the last: {last:?}")
    })
}

pub(super) async fn read_only_transactions_commit(subject: &Subject, keys: &Keys) -> Outcome {
    let a = keys.key("a");
    let txn = subject.kv.begin().await?;
    let at = txn.read_version();
    read(&*txn, &a).await?;
    put(subject, &[(&a, "1")]).await?;
    let version = txn.commit().await?;
    ensure(version == at, || format!("read at {at}, committed at {version}"))
}

pub(super) async fn versions_rise_and_are_seen(subject: &Subject, keys: &Keys) -> Outcome {
    let a = keys.key("a");
    let mut latest = subject.kv.version().await?;
    for round in 0..10 {
        let committed = put(subject, &[(&a, &round.to_string())]).await?;
        ensure(committed > latest, || {
            format!("version {committed} was committed after {latest}")
        })?;
        latest = committed;
        let now = subject.kv.version().await?;
        ensure(now >= committed, || {
            format!("the store is at {now} after committing {committed}")
        })?;
        let txn = subject.kv.begin().await?;
        ensure(txn.read_version() >= committed, || {
            format!("read at {} after committing {committed}", txn.read_version())
        })?;
        let seen = read(&*txn, &a).await?;
        ensure(seen == Some(round.to_string()), || {
            format!("read {seen:?} after writing {round}")
        })?;
    }
    Ok(())
}
