//! The committer: one thread that takes all waiting transactions, checks them in order, and writes the survivors as one
//! batch that is synced once.
//!
//! A round is seen by readers and answered only after the sync. When writing fails, nobody knows how much of the round is
//! on disk: the round is answered `Unknown` and nothing is written any more.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use fjall::{PersistMode, Readable};
use tokio::sync::oneshot;

use super::folder::failure;
use super::{Shared, VERSION_KEY, Visible};
use crate::clock::lock;
use crate::error::{Error, Result};
use crate::kv::{KeyRange, Version};
use crate::local::Intent;
use crate::local::conflict::Commit;

/// The most bytes that one round takes in before it is written.
const ROUND_BYTES: usize = 8 << 20;

/// A transaction that waits for its turn.
pub(super) struct Request {
    pub(super) intent: Intent,
    pub(super) reply: oneshot::Sender<Result<Version>>,
}

/// The thread's state.
pub(super) struct Committer {
    shared: Arc<Shared>,
    version: Version,
}

/// The transactions of a round that passed, and what they write together.
#[derive(Default)]
struct Round {
    accepted: Vec<(oneshot::Sender<Result<Version>>, Version)>,
    /// The last value of each key: a key may stand in a batch only once.
    mutations: BTreeMap<Bytes, Option<Bytes>>,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let version = lock(&shared.visible).version;
        Self { shared, version }
    }

    /// Serves requests until all handles are gone.
    pub(super) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let waiting = gather(first, requests);
            if self.shared.broken.get().is_some() {
                refuse(&self.shared, waiting);
            } else {
                self.serve(waiting);
            }
        }
        self.shared.watches.close();
    }

    fn serve(&mut self, waiting: Vec<Request>) {
        let now = self.shared.clock.elapsed();
        lock(&self.shared.window).expire(now);
        let mut round = Round::default();
        for Request { intent, reply } in waiting {
            match self.stage(intent, now, &mut round.mutations) {
                Ok(version) => round.accepted.push((reply, version)),
                Err(refused) => answer(reply, Err(refused)),
            }
        }
        if !round.accepted.is_empty() {
            self.write(round);
        }
    }

    /// Checks one transaction and, when it passes, adds its mutations to the round.
    fn stage(
        &mut self,
        intent: Intent,
        now: Duration,
        staged: &mut BTreeMap<Bytes, Option<Bytes>>,
    ) -> Result<Version> {
        let mut window = lock(&self.shared.window);
        window
            .check(intent.read_version, &intent.reads)
            .map_err(Error::Conflict)?;
        let version = Version(self.version.0 + 1);
        let mutations = intent
            .writes
            .resolve(version, |range| live_keys(&self.shared, staged, range))?;
        self.version = version;
        let keys = mutations.iter().map(|(key, _)| key.clone()).collect();
        window.record(Commit {
            version,
            at: now,
            keys,
        });
        staged.extend(mutations);
        Ok(version)
    }

    fn write(&self, round: Round) {
        let shared = &self.shared;
        let before = shared.clock.elapsed();
        if let Err(error) = self.persist(&round) {
            tracing::error!(%error, folder = %shared.folder.path().display(), "write failed: the store must be reopened");
            // Only this thread sets it, and only once: no round is written afterwards.
            drop(shared.broken.set(Arc::new(error)));
            for (reply, _) in round.accepted {
                answer(reply, Err(Error::Unknown));
            }
            return;
        }
        let took = shared.clock.elapsed().saturating_sub(before);
        *lock(&shared.visible) = Visible {
            version: self.version,
            snapshot: shared.db.snapshot(),
        };
        shared.metrics.observe_batch(round.accepted.len(), took);
        shared.metrics.observe_window(lock(&shared.window).len());
        let keys: Vec<Bytes> = round.mutations.into_keys().collect();
        shared.watches.wake(&keys);
        for (reply, version) in round.accepted {
            answer(reply, Ok(version));
        }
    }

    fn persist(&self, round: &Round) -> fjall::Result<()> {
        let mut batch = self.shared.db.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in &round.mutations {
            match value {
                Some(value) => batch.insert(&self.shared.data, key.clone(), value.clone()),
                None => batch.remove(&self.shared.data, key.clone()),
            }
        }
        batch.insert(&self.shared.meta, VERSION_KEY, self.version.0.to_be_bytes());
        batch.commit()
    }
}

/// The first request and all that wait behind it, up to a size.
fn gather(first: Request, requests: &mpsc::Receiver<Request>) -> Vec<Request> {
    let mut bytes = first.intent.writes.size();
    let mut waiting = vec![first];
    while bytes < ROUND_BYTES
        && let Ok(next) = requests.try_recv()
    {
        bytes += next.intent.writes.size();
        waiting.push(next);
    }
    waiting
}

fn refuse(shared: &Shared, waiting: Vec<Request>) {
    for request in waiting {
        answer(request.reply, Err(shared.broken()));
    }
}

fn answer(reply: oneshot::Sender<Result<Version>>, outcome: Result<Version>) {
    if reply.send(outcome).is_err() {
        tracing::debug!("a transaction's caller left before the answer");
    }
}

/// The keys of a range that exist now: those on disk, as changed by the transactions before in this round.
fn live_keys(
    shared: &Shared,
    staged: &BTreeMap<Bytes, Option<Bytes>>,
    range: &KeyRange,
) -> Result<Vec<Bytes>> {
    let bounds = (Bound::Included(&range.start), Bound::Excluded(&range.end));
    let mut live: Vec<Bytes> = staged
        .range::<Bytes, _>(bounds)
        .filter(|(_, value)| value.is_some())
        .map(|(key, _)| key.clone())
        .collect();
    let snapshot = lock(&shared.visible).snapshot.clone();
    for guard in snapshot.range(&shared.data, &range.start[..]..&range.end[..]) {
        let key = guard
            .key()
            .map_err(|e| failure("read", shared.folder.path(), e))?;
        let key = Bytes::from(key);
        if !staged.contains_key(&key) {
            live.push(key);
        }
    }
    Ok(live)
}
