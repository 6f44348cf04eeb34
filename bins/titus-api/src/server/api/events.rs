//! Events: every change of jobs, tasks and hosts in the order of their commits, from the stored feeds.
//!
//! A cursor is a store version: everything up to it has been sent. Feeds are read up to one version together, so that
//! no event of another feed can come later with an earlier version.

use std::sync::Arc;
use std::time::Duration;

use titus_core::change::Change;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::job::JobState;
use titus_core::task::TaskState;
use titus_store::Version;
use titus_store::cluster::{Feed, FeedPage};
use tokio::sync::{mpsc, watch};

use super::Api;
use super::find::{job_id, task_id};
use super::write::store_failed;
use crate::convert::millis;
use crate::server::context::CallContext;
use crate::server::error::{ApiError, ErrorKind};
use crate::v1;

/// How long changes are gathered before the feeds are read again.
const GATHER: Duration = Duration::from_millis(20);

/// Events that wait for a slow client.
const BUFFER: usize = 256;

impl Api {
    /// Streams events after a cursor, or from now on.
    ///
    /// # Errors
    /// A cursor or an id that is none; a store that fails; a server that is not ready.
    pub async fn watch_events(
        self: &Arc<Self>,
        context: &CallContext,
        request: v1::WatchEventsRequest,
    ) -> Result<mpsc::Receiver<Result<v1::Event, ApiError>>, ApiError> {
        let only = Only::parse(&request)?;
        let warm = self.fresh(context).await?;
        let after = match request.after.as_str() {
            "" => self.parts.cluster.version().await.map_err(|e| store_failed(&e))?,
            cursor => Version(cursor.parse().map_err(|_| {
                ApiError::invalid("after is not one of our cursors: send one from an earlier event")
            })?),
        };
        let (to, stream) = mpsc::channel(BUFFER);
        let watcher = Watcher {
            api: Arc::clone(self),
            advanced: warm.advanced(),
            only,
            to,
            follow: !request.no_follow,
        };
        drop(warm);
        tokio::spawn(watcher.run(after));
        Ok(stream)
    }
}

/// What a client wants to hear of; nothing given is everything.
#[derive(Debug, Default)]
struct Only {
    job: Option<JobId>,
    task: Option<TaskId>,
    host: Option<HostId>,
}

impl Only {
    fn parse(request: &v1::WatchEventsRequest) -> Result<Self, ApiError> {
        let host = |text: &str| HostId::new(text).map_err(|e| ApiError::invalid(e.to_string()));
        let given = |text: &str| !text.is_empty();
        Ok(Self {
            job: given(&request.job_id)
                .then(|| job_id(&request.job_id))
                .transpose()?,
            task: given(&request.task_id)
                .then(|| task_id(&request.task_id))
                .transpose()?,
            host: given(&request.host_id)
                .then(|| host(&request.host_id))
                .transpose()?,
        })
    }

    /// The feeds in which such events can be.
    fn feeds(&self) -> Vec<Feed> {
        let shard = self
            .job
            .and_then(JobId::shard)
            .or_else(|| self.task.and_then(TaskId::shard));
        match shard {
            Some(shard) => vec![Feed::Shard(shard)],
            None => Feed::all().collect(),
        }
    }

    fn wants(&self, change: &Change) -> bool {
        let (job, task, host) = match change {
            Change::Job(job) => (Some(job.id), None, None),
            Change::JobGone(id) => (Some(*id), None, None),
            Change::Task(task) => (Some(task.job), Some(task.id), task.host),
            Change::TaskGone(id) => (None, Some(*id), None),
            Change::Host(host) => (None, None, Some(host.spec.id)),
            Change::HostGone(id) => (None, None, Some(*id)),
        };
        self.job.is_none_or(|wanted| job == Some(wanted))
            && self.task.is_none_or(|wanted| task == Some(wanted))
            && self.host.is_none_or(|wanted| host == Some(wanted))
    }
}

struct Watcher {
    api: Arc<Api>,
    advanced: watch::Receiver<u64>,
    only: Only,
    to: mpsc::Sender<Result<v1::Event, ApiError>>,
    follow: bool,
}

impl Watcher {
    async fn run(mut self, after: Version) {
        if let Err(error) = self.send_all(after).await {
            let _ = self.to.send(Err(error)).await;
        }
    }

    async fn send_all(&mut self, mut after: Version) -> Result<(), ApiError> {
        loop {
            self.advanced.mark_unchanged();
            after = self.send_after(after).await?;
            if !self.follow || self.to.is_closed() {
                return Ok(());
            }
            let changed = tokio::select! {
                changed = self.advanced.changed() => changed,
                () = self.to.closed() => return Ok(()),
            };
            if changed.is_err() {
                return Err(ApiError::new(
                    ErrorKind::NotReady,
                    "the server is stopping: go on from the last cursor",
                ));
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Sends what the feeds hold after a version; answers up to where they were read.
    async fn send_after(&self, after: Version) -> Result<Version, ApiError> {
        let (mut all, mut complete) = (Vec::new(), None::<Version>);
        for feed in self.only.feeds() {
            let page = self
                .api
                .parts
                .cluster
                .follow(feed, after)
                .await
                .map_err(|e| store_failed(&e))?;
            let FeedPage::Changes {
                changes,
                complete: read,
                ..
            } = page
            else {
                let message = "the cursor is older than the events that are kept: list what there is, then watch from now";
                return Err(ApiError::new(ErrorKind::TooOld, message));
            };
            complete = Some(complete.map_or(read, |least| least.min(read)));
            all.extend(changes);
        }
        let complete = complete.unwrap_or(after);
        all.retain(|(version, _)| *version <= complete);
        // Stable: the entries of one commit keep their order.
        all.sort_by_key(|(version, _)| *version);
        for (version, change) in all.iter().filter(|(_, change)| self.only.wants(change)) {
            if self.to.send(Ok(event(*version, change))).await.is_err() {
                break;
            }
        }
        Ok(complete)
    }
}

/// A change as people and scripts read it.
fn event(version: Version, change: &Change) -> v1::Event {
    use v1::EventKind as Kind;
    let mut event = v1::Event {
        cursor: version.to_string(),
        revision: version.0,
        ..Default::default()
    };
    let kind = match change {
        Change::Job(job) => {
            event.job_id = job.id.to_string();
            event.timestamp_ms = millis(job.status.at);
            job.status.state.name().clone_into(&mut event.state);
            job.status.reason.code().clone_into(&mut event.reason_code);
            event.message.clone_from(&job.status.message);
            match job.status.state {
                JobState::Finished => Kind::JobFinished,
                _ if job.version == 1 => Kind::JobCreated,
                _ => Kind::JobChanged,
            }
        }
        Change::JobGone(id) => {
            event.job_id = id.to_string();
            Kind::JobArchived
        }
        Change::Task(task) => {
            event.task_id = task.id.to_string();
            event.job_id = task.job.to_string();
            event.host_id = task.host.map_or_else(String::new, |host| host.to_string());
            event.timestamp_ms = task.since().map_or(0, millis);
            task.state.name().clone_into(&mut event.state);
            task.reason.code().clone_into(&mut event.reason_code);
            event.message = task.exit.map_or_else(String::new, |exit| exit.to_string());
            match task.state {
                TaskState::Finished => Kind::TaskFinished,
                _ if task.version == 1 => Kind::TaskCreated,
                _ => Kind::TaskChanged,
            }
        }
        Change::TaskGone(id) => {
            event.task_id = id.to_string();
            Kind::TaskArchived
        }
        Change::Host(host) => {
            event.host_id = host.spec.id.to_string();
            event.timestamp_ms = millis(host.since);
            event.state = format!("{:?}", host.health);
            Kind::HostChanged
        }
        Change::HostGone(id) => {
            event.host_id = id.to_string();
            Kind::HostRemoved
        }
    };
    event.kind = kind.into();
    event
}
