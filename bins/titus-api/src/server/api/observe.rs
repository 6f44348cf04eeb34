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
use titus_store::controller::{ViewChange, WarmView};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::sync::mpsc;

use super::Api;
use super::find::{Known, candidates, job_id, job_matches, masked, with_host};
use super::write::store_failed;
use crate::convert::{job_to_proto, millis};
use crate::server::context::CallContext;
use crate::server::criteria::Criteria;
use crate::server::error::{ApiError, ErrorKind};
use crate::server::fields::FieldMask;
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
    /// An id that is none, a job that is not active, a server that is not ready.
    pub async fn observe_job(
        self: &Arc<Self>,
        context: &CallContext,
        id: &str,
    ) -> Result<mpsc::Receiver<Observed>, ApiError> {
        let id = job_id(id)?;
        let warm = self.fresh(context).await?;
        if !warm.with(|view| view.job(id).is_some()) {
            self.bring_up(&warm, id).await?;
        }
        let only = BTreeMap::from([("jobIds".to_owned(), id.to_string())]);
        let observer = Observer {
            criteria: Criteria::parse(&only)?,
            until_finished: Some(id),
            ..Observer::default()
        };
        Ok(self.start(warm, observer))
    }

    /// Brings a job into the view that the store has and the view has not yet.
    async fn bring_up(&self, warm: &WarmView, id: JobId) -> Result<(), ApiError> {
        let cluster = &self.parts.cluster;
        let found = cluster.job(id).await.map_err(|e| store_failed(&e))?;
        if found.is_none_or(|found| found.archived) {
            return Err(ApiError::no_job(&id.to_string()));
        }
        let version = cluster.version().await.map_err(|e| store_failed(&e))?;
        warm.catch_up(version).await.map_err(|e| store_failed(&e))
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
        let observer = Observer {
            criteria: Criteria::parse(&query.filtering_criteria)?,
            job_fields: FieldMask::new("com.netflix.titus.Job", &query.job_fields),
            task_fields: FieldMask::new("com.netflix.titus.Task", &query.task_fields),
            until_finished: None,
        };
        let warm = self.fresh(context).await?;
        Ok(self.start(warm, observer))
    }

    fn start(self: &Arc<Self>, warm: Arc<WarmView>, observer: Observer) -> mpsc::Receiver<Observed> {
        let (to, stream) = mpsc::channel(BUFFER);
        let changes = warm.observe();
        let api = Arc::clone(self);
        tokio::spawn(async move {
            let sink = Sink { api, to };
            if let Err(Stop::With(error)) = observer.run(warm, &sink, changes).await {
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
    async fn run(
        &self,
        warm: Arc<WarmView>,
        sink: &Sink,
        mut changes: broadcast::Receiver<ViewChange>,
    ) -> Result<(), Stop> {
        let over = self.snapshot(&warm, sink).await?;
        // Changes are sent under the view's lock: what is in the queue now may be in the snapshot, the rest is not.
        let meanwhile = warm.with(|_| changes.len());
        sink.send(Notification::SnapshotEnd(SnapshotEnd {})).await?;
        if over {
            return Ok(());
        }
        for change in overlap(&mut changes, meanwhile)? {
            if self.send_change(&warm, sink, &change).await? {
                return Ok(());
            }
        }
        // Not to keep a view that was replaced: its end closes the changes.
        let view = Arc::downgrade(&warm);
        drop(warm);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change.map_err(|e| ended(&e))?,
                () = sink.to.closed() => return Err(Stop::ClientGone),
            };
            let warm = view.upgrade().ok_or_else(|| ended(&RecvError::Closed))?;
            if self.send_change(&warm, sink, &change.change).await? {
                return Ok(());
            }
        }
    }

    /// Sends every match; true when the one job that is observed is over.
    async fn snapshot(&self, warm: &WarmView, sink: &Sink) -> Result<bool, Stop> {
        let jobs = candidates(warm, &self.criteria);
        for job in &jobs {
            if warm.with(|view| job_matches(view, &self.criteria, job)) {
                sink.send(self.show_job(job)).await?;
            }
        }
        for job in jobs.iter().filter(|job| self.criteria.job(job)) {
            for ids in self.tasks_of(warm, job.id).chunks(CHUNK) {
                for known in known_tasks(warm, ids) {
                    sink.send(self.show_task(sink, &known)).await?;
                }
            }
        }
        Ok(self.until_finished.is_some() && jobs.iter().all(|job| job.status.state == JobState::Finished))
    }

    fn tasks_of(&self, warm: &WarmView, job: JobId) -> Vec<TaskId> {
        warm.with(|view| {
            let tasks = view.tasks_of_job(job);
            tasks
                .filter(|task| self.criteria.task(task))
                .map(|task| task.id)
                .collect()
        })
    }

    /// Sends a change that matches; true when the stream is over with it.
    async fn send_change(&self, warm: &WarmView, sink: &Sink, change: &Change) -> Result<bool, Stop> {
        match change {
            Change::Job(job) => {
                if warm.with(|view| job_matches(view, &self.criteria, job)) {
                    sink.send(self.show_job(job)).await?;
                }
                Ok(self.until_finished == Some(job.id) && job.status.state == JobState::Finished)
            }
            Change::JobGone(id) => Ok(self.until_finished == Some(*id)),
            Change::Task(task) if self.criteria.task(task) => {
                if let Some(job) = self.job_of(warm, sink, task).await? {
                    let known = with_host(warm, *task, job);
                    sink.send(self.show_task(sink, &known)).await?;
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// The job of a task, where it matches; also one that was archived since.
    async fn job_of(
        &self,
        warm: &WarmView,
        sink: &Sink,
        task: &TaskHot,
    ) -> Result<Option<Arc<JobRecord>>, Stop> {
        if self
            .criteria
            .job_ids()
            .is_some_and(|ids| !ids.contains(&task.job))
        {
            return Ok(None);
        }
        let job = sink.api.job_record(warm, task.job).await.map_err(Stop::With)?;
        Ok(job.filter(|job| self.criteria.job(job)))
    }

    fn show_job(&self, job: &JobRecord) -> Notification {
        Notification::JobUpdate(JobUpdate {
            job: Some(masked(self.job_fields.as_ref(), job_to_proto(job))),
            archived: false,
        })
    }

    fn show_task(&self, sink: &Sink, known: &Known) -> Notification {
        Notification::TaskUpdate(TaskUpdate {
            task: Some(masked(self.task_fields.as_ref(), sink.api.show_task(known, ""))),
            moved_from_another_job: false,
            archived: false,
        })
    }
}

fn known_tasks(warm: &WarmView, ids: &[TaskId]) -> Vec<Known> {
    warm.with(|view| {
        let tasks = ids.iter().filter_map(|id| view.task(*id));
        tasks.filter_map(|hot| Known::of(view, hot)).collect()
    })
}

/// The next `count` changes, each entity in its last state.
fn overlap(changes: &mut broadcast::Receiver<ViewChange>, count: usize) -> Result<Vec<Change>, Stop> {
    let mut latest = Latest::default();
    for _ in 0..count {
        match changes.try_recv() {
            Ok(change) => latest.add(change.change),
            Err(TryRecvError::Lagged(missed)) => return Err(ended(&RecvError::Lagged(missed))),
            Err(TryRecvError::Closed) => return Err(ended(&RecvError::Closed)),
            Err(TryRecvError::Empty) => break,
        }
    }
    Ok(latest.in_order())
}

fn ended(error: &RecvError) -> Stop {
    let error = match error {
        RecvError::Lagged(missed) => {
            let message = format!("the client fell {missed} changes too far behind: open the stream again");
            ApiError::new(ErrorKind::SlowConsumer, message)
        }
        RecvError::Closed => ApiError::new(
            ErrorKind::NotReady,
            "the server's view was replaced: open the stream again",
        ),
    };
    Stop::With(error)
}

/// The last change of each entity, its end apart: what an entity last was is told also when it has gone since.
#[derive(Default)]
struct Latest {
    jobs: BTreeMap<JobId, (usize, Change)>,
    tasks: BTreeMap<TaskId, (usize, Change)>,
    gone: Vec<(usize, Change)>,
    count: usize,
}

impl Latest {
    fn add(&mut self, change: Change) {
        self.count += 1;
        let place = self.count;
        match &change {
            Change::Job(job) => drop(self.jobs.insert(job.id, (place, change))),
            Change::Task(task) => drop(self.tasks.insert(task.id, (place, change))),
            Change::JobGone(_) => self.gone.push((place, change)),
            _ => {}
        }
    }

    fn in_order(self) -> Vec<Change> {
        let jobs = self.jobs.into_values().chain(self.gone);
        let mut all: Vec<(usize, Change)> = jobs.chain(self.tasks.into_values()).collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, change)| change).collect()
    }
}
