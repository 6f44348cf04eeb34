//! Appended entries and the wake-up calls for them.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{Keys, Outcome, Stop, Subject, ensure, put};
use crate::key::{Key, Stamp};
use crate::kv::{Read, Version};

/// Far longer than a wake-up takes: what it bounds is a call that never comes.
const NEVER: Duration = Duration::from_secs(60);

pub(super) async fn appends_are_ordered_and_unique(subject: &Subject, keys: &Keys) -> Outcome {
    let mut expected = Vec::new();
    for round in 0..20 {
        let mut txn = subject.kv.begin().await?;
        let entries: Vec<String> = (0..=round % 4).map(|i| format!("{round}.{i}")).collect();
        for entry in &entries {
            txn.append(&keys.0, entry.as_bytes());
        }
        let version = txn.commit().await?;
        expected.extend(entries.into_iter().map(|entry| (version, entry)));
    }
    let found = subject
        .kv
        .begin()
        .await?
        .scan(&keys.0.children(), 1_000, Read::Snapshot)
        .await?;
    let mut seen = Vec::new();
    for entry in found {
        let stamp = Stamp::of_key(&entry.key)?;
        ensure(entry.key == stamp.key_under(&keys.0), || {
            format!("an odd key: {:?}", entry.key)
        })?;
        seen.push((stamp.version, String::from_utf8_lossy(&entry.value).into_owned()));
    }
    ensure(seen == expected, || {
        format!("appended {expected:?}, found {seen:?}")
    })
}

pub(super) async fn appends_do_not_conflict(subject: &Subject, keys: &Keys) -> Outcome {
    let (mut first, mut second) = (subject.kv.begin().await?, subject.kv.begin().await?);
    first.append(&keys.0, b"1");
    second.append(&keys.0, b"2");
    second.commit().await?;
    first.commit().await?;
    let found = subject
        .kv
        .begin()
        .await?
        .scan(&keys.0.children(), 10, Read::Snapshot)
        .await?;
    let order: Vec<&[u8]> = found.iter().map(|e| &e.value[..]).collect();
    ensure(order == [b"2", b"1"], || {
        format!("entries are not in order of commit: {found:?}")
    })
}

pub(super) async fn appends_are_not_read_back(subject: &Subject, keys: &Keys) -> Outcome {
    let mut txn = subject.kv.begin().await?;
    txn.append(&keys.0, b"1");
    let own = txn.scan(&keys.0.children(), 10, Read::Serializable).await?;
    ensure(own.is_empty(), || {
        format!("an appended entry shows before its commit: {own:?}")
    })?;
    txn.commit().await?;
    Ok(())
}

pub(super) async fn watches_wake(subject: &Subject, keys: &Keys) -> Outcome {
    let (feed, single) = (keys.key("feed"), keys.key("single"));
    let before = subject.kv.version().await?;
    wakes(
        subject,
        &feed,
        before,
        async || append(subject, &feed).await,
        "an append",
    )
    .await?;
    let before = subject.kv.version().await?;
    wakes(
        subject,
        &single,
        before,
        async || put(subject, &[(&single, "1")]).await,
        "a set",
    )
    .await?;
    // Level-triggered: a change that happened before the call counts as well.
    for (key, what) in [(&feed, "an earlier append"), (&single, "an earlier set")] {
        wakes(subject, key, Version(0), async || Ok(Version(0)), what).await?;
    }
    Ok(())
}

/// Waits for `key` while `change` happens, and fails when the call never comes.
async fn wakes(
    subject: &Subject,
    key: &Key,
    since: Version,
    change: impl AsyncFn() -> Outcome<Version>,
    what: &str,
) -> Outcome {
    let mut call = pin!(subject.kv.changed(key, since));
    let early = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    change().await?;
    let outcome = match early {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => tokio::time::timeout(NEVER, call).await,
    };
    match outcome {
        Ok(woken) => Ok(woken?),
        Err(_) => Err(Stop::Broken(format!("nobody was woken by {what}"))),
    }
}

async fn append(subject: &Subject, feed: &Key) -> Outcome<Version> {
    let mut txn = subject.kv.begin().await?;
    txn.append(feed, b"x");
    Ok(txn.commit().await?)
}
