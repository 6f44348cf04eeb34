//! Checked requests by job: they never change, so each is read once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use titus_core::id::JobId;
use titus_core::job::JobRecord;
use titus_core::shard::ShardId;
use titus_core::spec::JobSpec;

use super::keys;
use super::record::{job, request};
use super::tx::Tx;
use crate::error::Result;

/// A few megabytes at most: jobs beyond this are read again.
const MOST: usize = 4_096;

/// A bounded cache.
#[derive(Debug, Default)]
pub(super) struct SpecCache(Mutex<BTreeMap<JobId, Arc<JobSpec>>>);

impl SpecCache {
    pub(super) fn insert(&self, id: JobId, spec: Arc<JobSpec>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            // Ids sort by age: the oldest job is the likeliest to be over.
            all.pop_first();
        }
        all.insert(id, spec);
    }

    fn find(&self, id: JobId) -> Option<Arc<JobSpec>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// The checked request of a job; `None` when the store has none.
    pub(super) async fn get(&self, tx: &Tx, shard: ShardId, id: JobId) -> Result<Option<Arc<JobSpec>>> {
        if let Some(spec) = self.find(id) {
            return Ok(Some(spec));
        }
        let Some(bytes) = tx.peek(&keys::spec(shard, id)).await? else {
            return Ok(None);
        };
        let spec = checked(id, &bytes)?;
        self.insert(id, Arc::clone(&spec));
        Ok(Some(spec))
    }

    /// A job whole: record and request.
    pub(super) async fn job(&self, tx: &Tx, shard: ShardId, id: JobId) -> Result<Option<JobRecord>> {
        let Some(bytes) = tx.get(&keys::job(shard, id)).await? else {
            return Ok(None);
        };
        let stored = job::decode(&bytes)?;
        let Some(spec) = self.get(tx, shard, id).await? else {
            return Ok(None);
        };
        stored.with(spec).map(Some)
    }
}

/// Takes a stored request; what is wrong with it is reported and stops nothing.
pub(super) fn checked(id: JobId, bytes: &[u8]) -> Result<Arc<JobSpec>> {
    let (spec, problems) = JobSpec::from_stored(request::decode(bytes)?);
    if !problems.0.is_empty() {
        tracing::warn!(job = %id, %problems, "a stored job breaks today's rules; it is kept as it is");
    }
    Ok(Arc::new(spec))
}
