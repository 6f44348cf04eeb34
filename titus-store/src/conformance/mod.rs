//! The suite that every backend and every wrapper passes: what [`Kv`] and its transactions promise, checked.
//!
//! A case that meets an outcome of chance (a conflict nobody made, an unknown commit) runs again under fresh keys, so a
//! store that injects faults passes as long as it is right.

mod feed;
mod history;
mod isolation;
mod writes;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use titus_core::time::Millis;

use crate::error::Error;
use crate::key::Key;
use crate::kv::{Kv, Read, Txn, Version};

/// How often a case is run again for outcomes of chance before it counts as failed.
const TRIES: u64 = 50;

/// A store to examine.
pub struct Subject {
    kv: Arc<dyn Kv>,
    seed: u64,
    schedules: u64,
    pass: Pass,
}

/// Lets time pass for the store.
type Pass = Box<dyn Fn(Millis) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Subject {
    /// A store on real time, examined with 10,000 random schedules from `seed`. The suite uses keys under the tuples
    /// `("conformance", ...)` and leaves them there.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>, seed: u64) -> Self {
        Self {
            kv,
            seed,
            schedules: 10_000,
            pass: Box::new(|span| Box::pin(tokio::time::sleep(span.as_duration()))),
        }
    }

    /// Another number of random schedules.
    #[must_use]
    pub const fn schedules(mut self, schedules: u64) -> Self {
        self.schedules = schedules;
        self
    }

    /// How time passes for the store, when it does not run on real time.
    #[must_use]
    pub fn time(mut self, pass: impl Fn(Millis) + Send + Sync + 'static) -> Self {
        self.pass = Box::new(move |span| {
            pass(span);
            Box::pin(std::future::ready(()))
        });
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("kv", &self.kv)
            .field("seed", &self.seed)
            .field("schedules", &self.schedules)
            .finish_non_exhaustive()
    }
}

/// A promise that a store breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The case that found it.
    pub case: &'static str,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.seen)
    }
}

macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        /// Runs all cases and answers with the promises that were broken: none, for a store that conforms.
        pub async fn run(subject: &Subject) -> Vec<Failure> {
            let mut failures = Vec::new();
            $(
                let case = stringify!($case);
                tracing::info!(case, "conformance");
                let seen = repeat(subject, case, async |keys: Keys| $module::$case(subject, &keys).await).await;
                failures.extend(seen.map(|seen| Failure { case, seen }));
            )*
            failures
        }
    };
}

cases! {
    writes::own_writes_are_read,
    writes::own_clears_are_read,
    writes::clears_end_before_their_end,
    writes::scans_are_sorted_and_bounded,
    writes::limits_hold,
    writes::old_transactions_end,
    isolation::reads_stay_at_their_version,
    isolation::lost_update,
    isolation::write_skew,
    isolation::phantom,
    isolation::phantom_removed,
    isolation::scans_conflict_only_as_far_as_they_read,
    isolation::snapshot_reads_do_not_conflict,
    isolation::blind_writes_do_not_conflict,
    isolation::read_only_transactions_commit,
    isolation::versions_rise_and_are_seen,
    feed::appends_are_ordered_and_unique,
    feed::appends_do_not_conflict,
    feed::appends_are_not_read_back,
    feed::watches_wake,
    history::history,
}

/// Runs a case, again under fresh keys when chance interfered; answers with what was wrong.
async fn repeat<C>(subject: &Subject, case: &'static str, run: C) -> Option<String>
where
    C: AsyncFn(Keys) -> Outcome,
{
    let mut last = String::new();
    for attempt in 0..TRIES {
        let root = Key::new()
            .text("conformance")
            .uint(subject.seed)
            .text(case)
            .uint(attempt);
        match run(Keys(root)).await {
            Ok(()) => return None,
            Err(Stop::Broken(seen)) => return Some(seen),
            Err(Stop::Failed(error)) => last = format!("{error} ({error:?})"),
        }
    }
    Some(format!(
        "no result after {TRIES} tries, the last of which failed: {last}"
    ))
}

/// The keys of one run of a case.
#[derive(Debug, Clone)]
struct Keys(Key);

impl Keys {
    fn key(&self, name: &str) -> Key {
        self.0.clone().text(name)
    }
}

type Outcome<T = ()> = Result<T, Stop>;

/// Why a case ends early.
enum Stop {
    /// A promise is broken.
    Broken(String),
    /// An operation failed that chance may fail.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Stop::Broken(otherwise()))
    }
}

/// Requires a conflict: a commit that succeeds breaks the promise, another error is chance.
fn ensure_conflict(outcome: crate::Result<Version>, otherwise: &str) -> Outcome {
    match outcome {
        Ok(version) => Err(Stop::Broken(format!(
            "{otherwise}: committed at version {version}"
        ))),
        Err(Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Commits these keys, each with its value.
async fn put(subject: &Subject, entries: &[(&Key, &str)]) -> Outcome<Version> {
    let mut txn = subject.kv.begin().await?;
    for (key, value) in entries {
        txn.set(key, value.as_bytes());
    }
    Ok(txn.commit().await?)
}

/// Reads a text, serializably.
async fn read(txn: &dyn Txn, key: &Key) -> Outcome<Option<String>> {
    let value = txn.get(key, Read::Serializable).await?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
