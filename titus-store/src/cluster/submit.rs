//! Submit: one transaction of the same size for 1 task and for 10,000.

use super::transact;
use std::sync::Arc;

use titus_core::id::JobId;
use titus_core::job::JobRecord;
use titus_core::spec::JobSpec;
use titus_core::time::Millis;

use super::record::request;
use super::tx::id_of;
use super::{Cluster, REQUEST_KEY_LIFE, keys};
use crate::error::Result;
use crate::kv::Version;

/// A job to be submitted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its id, made by the caller; a repeat of the same request answers with the first one's.
    pub id: JobId,
    /// What is asked for.
    pub spec: Arc<JobSpec>,
    /// The caller's own key for the request: two submissions with the same key make one job.
    pub request_key: Option<String>,
}

/// A submitted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The job.
    pub id: JobId,
    /// The version from which on it is seen.
    pub version: Version,
    /// True when an earlier request with the same key had made it.
    pub repeated: bool,
}

/// Why a submission was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitRefused {
    /// Another active job has the same group sequence.
    #[error("job with group sequence {name} exists ({by}): stop it or choose another sequence")]
    NameTaken {
        /// The name, as `app-stack-detail-sequence`.
        name: String,
        /// The job that has it.
        by: JobId,
    },
}

impl Cluster {
    /// Takes a job in. It is durable when this answers.
    ///
    /// # Errors
    /// The store's; the refusal is a value inside.
    pub async fn submit(&self, submission: &Submission) -> Result<Result<Submitted, SubmitRefused>> {
        let now = self.clock.now();
        let record = JobRecord::accepted(submission.id, Arc::clone(&submission.spec), now);
        let (outcome, version) = transact!(self, "submit", |mut tx| {
            let Submission {
                id,
                spec,
                request_key,
            } = submission;
            if let Some(key) = request_key {
                if let Some(made) = tx.get(&keys::request(key)).await? {
                    let made = job_id(&made)?;
                    return Ok((tx, Ok((made, made != *id))));
                }
                tx.set(&keys::request(key), &id.to_bytes());
                let life = Millis(u64::try_from(REQUEST_KEY_LIFE.as_millis()).unwrap_or(u64::MAX));
                tx.set(&keys::request_expiry(now + life, key), &[]);
            } else if tx.get(&keys::job(spec.shard(), *id)).await?.is_some() {
                return Ok((tx, Ok((*id, false))));
            }
            if let Some(name) = spec.unique_name() {
                if let Some(by) = tx.get(&keys::name(&name)).await? {
                    let by = job_id(&by)?;
                    return Ok((
                        tx,
                        if by == *id {
                            Ok((*id, false))
                        } else {
                            Err((name, by))
                        },
                    ));
                }
                tx.set(&keys::name(&name), &id.to_bytes());
            }
            tx.set(&keys::spec(spec.shard(), *id), &request::encode(spec.request()));
            tx.put_job(&record);
            Ok((tx, Ok((*id, false))))
        })?;
        Ok(match outcome {
            Ok((id, repeated)) => {
                self.specs.insert(submission.id, Arc::clone(&submission.spec));
                tracing::info!(job = %id, repeated, application = submission.spec.application(), "job submitted");
                Ok(Submitted {
                    id,
                    version,
                    repeated,
                })
            }
            Err((name, by)) => Err(SubmitRefused::NameTaken { name, by }),
        })
    }
}

fn job_id(bytes: &[u8]) -> Result<JobId> {
    id_of("job id", bytes).map(JobId::from_bytes)
}
