//! Finding jobs and tasks in the view.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use titus_core::host::HostRecord;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::job::JobRecord;
use titus_core::task::TaskHot;
use titus_core::view::ClusterView;

use super::Api;
use crate::convert::{TaskFacts, job_to_proto, task_to_proto};
use crate::server::context::CallContext;
use crate::server::criteria::Criteria;
use crate::server::error::ApiError;
use crate::server::fields::FieldMask;
use crate::server::page::{MAX_PAGE_BYTES, PageRequest, Position};
use crate::v3;

/// Jobs that are looked at before others may run, and may write to the view.
const CHUNK: usize = 1_000;

impl Api {
    /// Active jobs that match, a page of them.
    ///
    /// # Errors
    /// Criteria or a page that mean nothing; a server that is not ready.
    pub async fn find_jobs(
        &self,
        context: &CallContext,
        query: v3::JobQuery,
    ) -> Result<v3::JobQueryResult, ApiError> {
        let criteria = Criteria::parse(&query.filtering_criteria)?;
        let page = PageRequest::parse(query.page)?;
        let mask = FieldMask::new("com.netflix.titus.Job", &query.fields);
        self.fresh(context).await?;
        let mut found: BTreeMap<Position, Arc<JobRecord>> = BTreeMap::new();
        for chunk in self.candidates(&criteria).chunks(CHUNK) {
            let view = self.live().read();
            let hits = chunk.iter().filter(|job| job_matches(&view, &criteria, job));
            found.extend(hits.map(|job| (job_position(job), Arc::clone(job))));
            drop(view);
            tokio::task::yield_now().await;
        }
        let all: Vec<Position> = found.keys().copied().collect();
        let window = page.window(&all);
        let jobs = window.positions().iter().map(|position| found.get(position));
        let shown = jobs.map(|job| job.map(|job| masked(mask.as_ref(), job_to_proto(job))));
        let (items, taken) = fill(shown);
        Ok(v3::JobQueryResult {
            items,
            pagination: Some(window.pagination(taken)),
        })
    }

    /// One job.
    ///
    /// # Errors
    /// An id that is none, a job that nobody knows, a server that is not ready.
    pub async fn find_job(&self, context: &CallContext, id: &str) -> Result<v3::Job, ApiError> {
        let id = job_id(id)?;
        self.fresh(context).await?;
        let job = self.live().read().job(id).map(Arc::clone);
        job.map(|job| job_to_proto(&job))
            .ok_or_else(|| ApiError::no_job(&id.to_string()))
    }

    /// Tasks of active jobs that match, a page of them.
    ///
    /// # Errors
    /// Criteria or a page that mean nothing; a server that is not ready.
    pub async fn find_tasks(
        &self,
        context: &CallContext,
        query: v3::TaskQuery,
    ) -> Result<v3::TaskQueryResult, ApiError> {
        let criteria = Criteria::parse(&query.filtering_criteria)?;
        let page = PageRequest::parse(query.page)?;
        let mask = FieldMask::new("com.netflix.titus.Task", &query.fields);
        self.fresh(context).await?;
        let mut all = Vec::new();
        for chunk in self.candidates(&criteria).chunks(CHUNK) {
            let view = self.live().read();
            let jobs = chunk.iter().filter(|job| criteria.job(job));
            let tasks = jobs.flat_map(|job| view.tasks_of_job(job.id));
            all.extend(
                tasks
                    .filter(|task| criteria.task(task))
                    .map(|task| task_position(&task)),
            );
            drop(view);
            tokio::task::yield_now().await;
        }
        all.sort_unstable();
        let window = page.window(&all);
        let ids = window
            .positions()
            .iter()
            .map(|position| TaskId::from_uuid(position.id));
        let known = ids.map(|id| self.known_task(id));
        let shown = known.map(|task| task.map(|task| masked(mask.as_ref(), self.show_task(&task))));
        let (items, taken) = fill(shown);
        Ok(v3::TaskQueryResult {
            items,
            pagination: Some(window.pagination(taken)),
        })
    }

    /// One task.
    ///
    /// # Errors
    /// An id that is none, a task that nobody knows, a server that is not ready.
    pub async fn find_task(&self, context: &CallContext, id: &str) -> Result<v3::Task, ApiError> {
        let known = self.task_named(context, id).await?;
        Ok(self.show_task(&known))
    }

    /// The records of a task that a client names.
    pub(super) async fn task_named(&self, context: &CallContext, id: &str) -> Result<Known, ApiError> {
        let id = task_id(id)?;
        self.fresh(context).await?;
        self.known_task(id)
            .ok_or_else(|| ApiError::no_task(&id.to_string()))
    }

    fn known_task(&self, id: TaskId) -> Option<Known> {
        let view = self.live().read();
        let hot = view.task(id)?;
        Known::new(&view, hot)
    }

    pub(super) fn known_tasks(&self, ids: &[TaskId]) -> Vec<Known> {
        let view = self.live().read();
        let tasks = ids.iter().filter_map(|id| view.task(*id));
        tasks.filter_map(|hot| Known::new(&view, hot)).collect()
    }

    pub(super) fn with_host(&self, hot: TaskHot, job: Arc<JobRecord>) -> Known {
        let view = self.live().read();
        let host = hot.host.and_then(|id| view.host(id)).map(Arc::clone);
        Known { hot, job, host }
    }

    pub(super) fn show_task(&self, known: &Known) -> v3::Task {
        task_to_proto(&TaskFacts {
            hot: &known.hot,
            job: &known.job,
            host: known.host.as_deref(),
            message: "",
            base_url: &self.parts.about.base_url,
        })
    }

    /// The jobs that may match: those that the query names, or all, in order.
    pub(super) fn candidates(&self, criteria: &Criteria) -> Vec<Arc<JobRecord>> {
        let view = self.live().read();
        if let Some(ids) = criteria.job_ids() {
            return ids
                .iter()
                .filter_map(|id| view.job(*id))
                .map(Arc::clone)
                .collect();
        }
        if let Some(ids) = criteria.task_ids() {
            let jobs = ids
                .iter()
                .filter_map(|id| view.task(*id))
                .map(|task| (task.job, ()));
            let jobs: BTreeMap<JobId, ()> = jobs.collect();
            return jobs
                .keys()
                .filter_map(|id| view.job(*id))
                .map(Arc::clone)
                .collect();
        }
        view.jobs().map(Arc::clone).collect()
    }
}

/// A task's records as the view had them at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) hot: TaskHot,
    pub(crate) job: Arc<JobRecord>,
    pub(crate) host: Option<Arc<HostRecord>>,
}

impl Known {
    fn new(view: &ClusterView, hot: TaskHot) -> Option<Self> {
        let host = |id: HostId| view.host(id).map(Arc::clone);
        Some(Self {
            job: view.job(hot.job).map(Arc::clone)?,
            host: hot.host.and_then(host),
            hot,
        })
    }
}

pub(super) fn job_matches(view: &ClusterView, criteria: &Criteria, job: &JobRecord) -> bool {
    criteria.job(job)
        && (!criteria.asks_for_tasks() || view.tasks_of_job(job.id).any(|task| criteria.task(&task)))
}

pub(super) fn job_id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|e| ApiError::invalid(format!("{e}")))
}

pub(super) fn task_id(text: &str) -> Result<TaskId, ApiError> {
    text.parse().map_err(|e| ApiError::invalid(format!("{e}")))
}

fn job_position(job: &JobRecord) -> Position {
    Position {
        at: job.created.as_millis(),
        id: job.id.uuid(),
    }
}

fn task_position(task: &TaskHot) -> Position {
    Position {
        at: task.times.queued.unwrap_or_default().as_millis(),
        id: task.id.uuid(),
    }
}

pub(super) fn masked<M: Message + Default>(mask: Option<&FieldMask>, message: M) -> M {
    match mask {
        Some(mask) => mask.apply(&message),
        None => message,
    }
}

/// As many items as a page may hold in bytes, at least one where there is one; and how many places of the listing
/// they take, those included whose element has gone meanwhile.
fn fill<M: Message>(items: impl Iterator<Item = Option<M>>) -> (Vec<M>, usize) {
    let mut room = MAX_PAGE_BYTES;
    let (mut page, mut taken) = (Vec::new(), 0);
    for item in items {
        if let Some(item) = item {
            let size = item.encoded_len() + 8;
            if size > room && !page.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            page.push(item);
        }
        taken += 1;
    }
    (page, taken)
}
