//! Observe streams: what is there, exactly one marker, then every change in its order.
//!
//! The stream watches before it reads, so that nothing falls between. What changed while the snapshot was read is
//! sent after the marker in its last state only, so that no entity ever goes backwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use titus_core::change::Change;
use titus_core::id::{JobId, TaskId};
use titus_core::job::{JobRecord, JobState};
use titus_core::task::TaskHot;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::Api;
use super::find::{Known, job_id, job_matches, masked};
use crate::convert::{job_to_proto, millis};
use crate::server::context::CallContext;
use crate::server::criteria::Criteria;
use crate::server::error::{ApiError, ErrorKind};
use crate::server::fields::FieldMask;
use crate::server::live::{Batch, Seen};
use crate::v3;
use crate::v3::job_change_notification::{JobUpdate, Notification, SnapshotEnd, TaskUpdate};

/// What an observe stream carries.
pub type Observed = Result<v3::JobChangeNotification, ApiError>;

/// Tasks that are read under one hold of the view.
const CHUNK: usize = 64;

/// Notifications that wait for a slow client before its stream stops reading the changes.
const BUFFER: usize = 64;

impl Api {
    /// Observes one job and its tasks; the stream ends after the job has finished.
    ///
    /// # Errors
    /// An id that is none, a job that nobody knows, a server that is not ready.
    pub async fn observe_job(
        self: &Arc<Self>,
        context: &CallContext,
        id: &str,
    ) -> Result<mpsc::Receiver<Observed>, ApiError> {
        let id = job_id(id)?;
        self.fresh(context).await?;
        if self.live().read().job(id).is_none() {
            return Err(ApiError::no_job(&id.to_string()));
        }
        let only = BTreeMap::from([("jobIds".to_owned(), id.to_string())]);
        Ok(self.start(Observer {
            criteria: Criteria::parse(&only)?,
            until_finished: Some(id),
            ..Observer::default()
        }))
    }

    /// Observes every job and task that matches.
    ///
    /// # Errors
    /// Criteria that mean nothing; a server that is not ready.
    pub async fn observe_jobs(
        self: &Arc<Self>,
        context: &CallContext,
        query: v3::ObserveJobsQuery,
    ) -> Result<mpsc::Receiver<Observed>, ApiError> {
        let criteria = Criteria::parse(&query.filtering_criteria)?;
        self.fresh(context).await?;
        Ok(self.start(Observer {
            criteria,
            job_fields: FieldMask::new("com.netflix.titus.Job", &query.job_fields),
            task_fields: FieldMask::new("com.netflix.titus.Task", &query.task_fields),
            until_finished: None,
        }))
    }

    fn start(self: &Arc<Self>, observer: Observer) -> mpsc::Receiver<Observed> {
        let (to, stream) = mpsc::channel(BUFFER);
        let changes = self.live().watch();
        let api = Arc::clone(self);
        tokio::spawn(async move {
            let sink = Sink { api, to };
            if let Err(Stop::With(error)) = observer.run(&sink, changes).await {
                // A client that has gone does not need to be told.
                let _ = sink.to.send(Err(error)).await;
            }
        });
        stream
    }
}

#[derive(Debug, Default)]
struct Observer {
    criteria: Criteria,
    job_fields: Option<FieldMask>,
    task_fields: Option<FieldMask>,
    until_finished: Option<JobId>,
}

/// Why a stream ends before its time.
enum Stop {
    ClientGone,
    With(ApiError),
}

struct Sink {
    api: Arc<Api>,
    to: mpsc::Sender<Observed>,
}

impl Sink {
    async fn send(&self, notification: Notification) -> Result<(), Stop> {
        let message = v3::JobChangeNotification {
            timestamp: millis(self.api.parts.clock.now()),
            notification: Some(notification),
        };
        self.to.send(Ok(message)).await.map_err(|_| Stop::ClientGone)
    }
}

impl Observer {
    async fn run(&self, sink: &Sink, mut changes: broadcast::Receiver<Arc<Batch>>) -> Result<(), Stop> {
        let (read_up_to, over) = self.snapshot(sink).await?;
        sink.send(Notification::SnapshotEnd(SnapshotEnd {})).await?;
        if over {
            return Ok(());
        }
        let (meanwhile, first) = overlap(&mut changes, read_up_to)?;
        for seen in meanwhile
            .iter()
            .chain(first.iter().flat_map(|batch| &batch.changes))
        {
            if self.send_change(sink, seen).await? {
                return Ok(());
            }
        }
        loop {
            let batch = tokio::select! {
                batch = changes.recv() => batch,
                () = sink.to.closed() => return Err(Stop::ClientGone),
            };
            for seen in &batch.map_err(|e| ended(&e))?.changes {
                if self.send_change(sink, seen).await? {
                    return Ok(());
                }
            }
        }
    }

    /// Sends every match. Answers up to which batch the view was surely read, and whether the one job that is
    /// observed is over.
    async fn snapshot(&self, sink: &Sink) -> Result<(u64, bool), Stop> {
        let jobs = sink.api.candidates(&self.criteria);
        let over =
            self.until_finished.is_some() && jobs.iter().all(|job| job.status.state == JobState::Finished);
        for job in &jobs {
            let matches = job_matches(&sink.api.live().read(), &self.criteria, job);
            if matches {
                sink.send(self.show_job(job)).await?;
            }
        }
        for job in jobs.iter().filter(|job| self.criteria.job(job)) {
            for ids in self.tasks_of(sink, job.id).chunks(CHUNK) {
                for known in sink.api.known_tasks(ids) {
                    sink.send(self.show_task(sink, &known)).await?;
                }
            }
        }
        let view = sink.api.live().read();
        let sequence = sink.api.live().reached().sequence;
        drop(view);
        Ok((sequence, over))
    }

    fn tasks_of(&self, sink: &Sink, job: JobId) -> Vec<TaskId> {
        let view = sink.api.live().read();
        let tasks = view.tasks_of_job(job);
        tasks
            .filter(|task| self.criteria.task(task))
            .map(|task| task.id)
            .collect()
    }

    /// Sends a change that matches; true when the stream is over with it.
    async fn send_change(&self, sink: &Sink, seen: &Seen) -> Result<bool, Stop> {
        match &seen.change {
            Change::Job(job) => {
                let matches = job_matches(&sink.api.live().read(), &self.criteria, job);
                if matches {
                    sink.send(self.show_job(job)).await?;
                }
                Ok(self.until_finished == Some(job.id) && job.status.state == JobState::Finished)
            }
            Change::JobGone(id) => Ok(self.until_finished == Some(*id)),
            Change::Task(task) => {
                if let Some(job) = self.job_of(seen, task) {
                    let known = sink.api.with_host(*task, job);
                    sink.send(self.show_task(sink, &known)).await?;
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// The job of a task that matches.
    fn job_of(&self, seen: &Seen, task: &TaskHot) -> Option<Arc<JobRecord>> {
        let job = seen.job.as_ref()?;
        (self.criteria.job(job) && self.criteria.task(task)).then(|| Arc::clone(job))
    }

    fn show_job(&self, job: &JobRecord) -> Notification {
        Notification::JobUpdate(JobUpdate {
            job: Some(masked(self.job_fields.as_ref(), job_to_proto(job))),
            archived: false,
        })
    }

    fn show_task(&self, sink: &Sink, known: &Known) -> Notification {
        Notification::TaskUpdate(TaskUpdate {
            task: Some(masked(self.task_fields.as_ref(), sink.api.show_task(known))),
            moved_from_another_job: false,
            archived: false,
        })
    }
}

/// What was published while the snapshot was read, each entity in its last state, and the first batch after it.
fn overlap(
    changes: &mut broadcast::Receiver<Arc<Batch>>,
    read_up_to: u64,
) -> Result<(Vec<Seen>, Option<Arc<Batch>>), Stop> {
    let mut latest = Latest::default();
    loop {
        match changes.try_recv() {
            Ok(batch) if batch.sequence <= read_up_to => latest.add(&batch),
            Ok(batch) => return Ok((latest.in_order(), Some(batch))),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                return Err(ended(&RecvError::Lagged(missed)));
            }
            Err(_) => return Ok((latest.in_order(), None)),
        }
    }
}

fn ended(error: &RecvError) -> Stop {
    let error = match error {
        RecvError::Lagged(missed) => {
            let message =
                format!("the client fell {missed} batches of changes behind: open the stream again");
            ApiError::new(ErrorKind::SlowConsumer, message)
        }
        RecvError::Closed => ApiError::new(
            ErrorKind::NotReady,
            "the server is stopping: open the stream again",
        ),
    };
    Stop::With(error)
}

/// The last change of each entity, its end apart: what an entity last was is told also when it has gone since.
#[derive(Default)]
struct Latest {
    jobs: BTreeMap<JobId, (usize, Seen)>,
    tasks: BTreeMap<TaskId, (usize, Seen)>,
    gone: Vec<(usize, Seen)>,
    count: usize,
}

impl Latest {
    fn add(&mut self, batch: &Batch) {
        for seen in &batch.changes {
            self.count += 1;
            let entry = (self.count, seen.clone());
            match &seen.change {
                Change::Job(job) => drop(self.jobs.insert(job.id, entry)),
                Change::Task(task) => drop(self.tasks.insert(task.id, entry)),
                Change::JobGone(_) => self.gone.push(entry),
                _ => {}
            }
        }
    }

    fn in_order(self) -> Vec<Seen> {
        let jobs = self.jobs.into_values().chain(self.gone);
        let mut all: Vec<(usize, Seen)> = jobs.chain(self.tasks.into_values()).collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, seen)| seen).collect()
    }
}
