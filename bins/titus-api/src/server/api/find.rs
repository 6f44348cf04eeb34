//! Finding jobs and tasks: the live ones in the view, the archived ones by id in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use titus_core::host::HostRecord;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::job::JobRecord;
use titus_core::task::{TaskHot, TaskState};
use titus_core::view::ClusterView;
use titus_store::cluster::Note;
use titus_store::controller::WarmView;

use super::Api;
use super::write::store_failed;
use crate::convert::{TaskFacts, job_to_proto, task_to_proto};
use crate::server::context::CallContext;
use crate::server::criteria::Criteria;
use crate::server::error::ApiError;
use crate::server::fields::FieldMask;
use crate::server::page::{MAX_PAGE_BYTES, PageRequest, Position};
use crate::v3;

/// Jobs that are looked at before others may run, and may write to the view.
const CHUNK: usize = 1_000;

/// Archived tasks of one job that are looked at.
const MOST_ARCHIVED: usize = 10_000;

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
        let warm = self.fresh(context).await?;
        let mut found: BTreeMap<Position, Arc<JobRecord>> = BTreeMap::new();
        for chunk in candidates(&warm, &criteria).chunks(CHUNK) {
            found.extend(matching_jobs(&warm, &criteria, chunk));
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

    /// One job, active or archived.
    ///
    /// # Errors
    /// An id that is none, a job that nobody knows, a server that is not ready.
    pub async fn find_job(&self, context: &CallContext, id: &str) -> Result<v3::Job, ApiError> {
        let id = job_id(id)?;
        let warm = self.fresh(context).await?;
        let job = self.job_record(&warm, id).await?;
        job.map(|job| job_to_proto(&job))
            .ok_or_else(|| ApiError::no_job(&id.to_string()))
    }

    /// Tasks that match, a page of them: those of active jobs, and where the query names jobs and asks for finished
    /// tasks, also the archived ones.
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
        let warm = self.fresh(context).await?;
        let archived = self.archived_tasks(&warm, &criteria).await?;
        let mut all: Vec<Position> = archived.keys().copied().collect();
        for chunk in candidates(&warm, &criteria).chunks(CHUNK) {
            all.extend(matching_tasks(&warm, &criteria, chunk));
            tokio::task::yield_now().await;
        }
        all.sort_unstable();
        all.dedup();
        let window = page.window(&all);
        let mut page = Page::default();
        for position in window.positions() {
            let known =
                known_task(&warm, TaskId::from_uuid(position.id)).or_else(|| archived.get(position).cloned());
            let shown = match known {
                Some(known) => Some(masked(mask.as_ref(), self.show_whole(&known).await?)),
                None => None,
            };
            if !page.take(shown) {
                break;
            }
        }
        Ok(v3::TaskQueryResult {
            pagination: Some(window.pagination(page.taken)),
            items: page.items,
        })
    }

    /// One task, active or archived.
    ///
    /// # Errors
    /// An id that is none, a task that nobody knows, a server that is not ready.
    pub async fn find_task(&self, context: &CallContext, id: &str) -> Result<v3::Task, ApiError> {
        let (_, known) = self.task_named(context, id).await?;
        self.show_whole(&known).await
    }

    /// The records of a task that a client names, active or archived.
    pub(super) async fn task_named(
        &self,
        context: &CallContext,
        id: &str,
    ) -> Result<(Arc<WarmView>, Known), ApiError> {
        let id = task_id(id)?;
        let warm = self.fresh(context).await?;
        if let Some(known) = known_task(&warm, id) {
            return Ok((warm, known));
        }
        let none = || ApiError::no_task(&id.to_string());
        let found = self.parts.cluster.task(id).await.map_err(|e| store_failed(&e))?;
        let hot = found.ok_or_else(none)?.hot;
        let job = self.job_record(&warm, hot.job).await?.ok_or_else(none)?;
        let known = with_host(&warm, hot, job);
        Ok((warm, known))
    }

    /// A job's record, active or archived.
    pub(super) async fn job_record(
        &self,
        warm: &WarmView,
        id: JobId,
    ) -> Result<Option<Arc<JobRecord>>, ApiError> {
        if let Some(job) = warm.with(|view| view.job(id).map(Arc::clone)) {
            return Ok(Some(job));
        }
        let found = self.parts.cluster.job(id).await.map_err(|e| store_failed(&e))?;
        Ok(found.map(|found| Arc::new(found.record)))
    }

    async fn archived_tasks(
        &self,
        warm: &WarmView,
        criteria: &Criteria,
    ) -> Result<BTreeMap<Position, Known>, ApiError> {
        let mut all = BTreeMap::new();
        let jobs = criteria
            .job_ids()
            .filter(|_| criteria.asks_for_state(TaskState::Finished));
        for id in jobs.into_iter().flatten() {
            let Some(job) = self.job_record(warm, *id).await? else {
                continue;
            };
            if !criteria.job(&job) {
                continue;
            }
            let tasks = self.parts.cluster.archived_tasks(*id, MOST_ARCHIVED).await;
            for task in tasks.map_err(|e| store_failed(&e))? {
                if criteria.task(&task) {
                    all.insert(task_position(&task), with_host(warm, task, Arc::clone(&job)));
                }
            }
        }
        Ok(all)
    }

    /// A task with what was noted about its state.
    async fn show_whole(&self, known: &Known) -> Result<v3::Task, ApiError> {
        let state = known.hot.state;
        let found = self
            .parts
            .cluster
            .task(known.hot.id)
            .await
            .map_err(|e| store_failed(&e))?;
        let notes = found.map_or_else(Vec::new, |found| found.notes);
        let note = notes.iter().rev().find(|note: &&Note| note.state == state);
        Ok(self.show_task(known, note.map_or("", |note| &note.message)))
    }

    pub(super) fn show_task(&self, known: &Known, message: &str) -> v3::Task {
        task_to_proto(&TaskFacts {
            hot: &known.hot,
            job: &known.job,
            host: known.host.as_deref(),
            message,
            base_url: &self.parts.about.base_url,
        })
    }
}

/// A task's records as they were at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) hot: TaskHot,
    pub(crate) job: Arc<JobRecord>,
    pub(crate) host: Option<Arc<HostRecord>>,
}

impl Known {
    pub(super) fn of(view: &ClusterView, hot: TaskHot) -> Option<Self> {
        let job = view.job(hot.job).map(Arc::clone)?;
        Some(Self::on(view, hot, job))
    }

    fn on(view: &ClusterView, hot: TaskHot, job: Arc<JobRecord>) -> Self {
        let host = |id: HostId| view.host(id).map(Arc::clone);
        Self {
            host: hot.host.and_then(host),
            hot,
            job,
        }
    }
}

fn known_task(warm: &WarmView, id: TaskId) -> Option<Known> {
    warm.with(|view| view.task(id).and_then(|hot| Known::of(view, hot)))
}

pub(super) fn with_host(warm: &WarmView, hot: TaskHot, job: Arc<JobRecord>) -> Known {
    warm.with(|view| Known::on(view, hot, job))
}

/// The jobs that may match: those that the query names, or all, in order.
pub(super) fn candidates(warm: &WarmView, criteria: &Criteria) -> Vec<Arc<JobRecord>> {
    warm.with(|view| {
        if let Some(ids) = criteria.job_ids() {
            return ids
                .iter()
                .filter_map(|id| view.job(*id))
                .map(Arc::clone)
                .collect();
        }
        if let Some(ids) = criteria.task_ids() {
            let tasks = ids.iter().filter_map(|id| view.task(*id));
            let jobs: BTreeMap<JobId, ()> = tasks.map(|task| (task.job, ())).collect();
            return jobs
                .keys()
                .filter_map(|id| view.job(*id))
                .map(Arc::clone)
                .collect();
        }
        view.jobs().map(Arc::clone).collect()
    })
}

fn matching_jobs(
    warm: &WarmView,
    criteria: &Criteria,
    jobs: &[Arc<JobRecord>],
) -> Vec<(Position, Arc<JobRecord>)> {
    warm.with(|view| {
        let hits = jobs.iter().filter(|job| job_matches(view, criteria, job));
        hits.map(|job| (job_position(job), Arc::clone(job))).collect()
    })
}

fn matching_tasks(warm: &WarmView, criteria: &Criteria, jobs: &[Arc<JobRecord>]) -> Vec<Position> {
    warm.with(|view| {
        let jobs = jobs.iter().filter(|job| criteria.job(job));
        let tasks = jobs.flat_map(|job| view.tasks_of_job(job.id));
        tasks
            .filter(|task| criteria.task(task))
            .map(|task| task_position(&task))
            .collect()
    })
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

/// A page being filled: as many items as it may hold in bytes, at least one where there is one.
#[derive(Debug)]
struct Page<M> {
    items: Vec<M>,
    /// How many places of the listing the items take, those included whose element has gone meanwhile.
    taken: usize,
    room: usize,
}

impl<M> Default for Page<M> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            taken: 0,
            room: MAX_PAGE_BYTES,
        }
    }
}

impl<M: Message> Page<M> {
    /// Takes the next place of the listing; false when there is no room for its item.
    fn take(&mut self, item: Option<M>) -> bool {
        if let Some(item) = item {
            let size = item.encoded_len() + 8;
            if size > self.room && !self.items.is_empty() {
                return false;
            }
            self.room = self.room.saturating_sub(size);
            self.items.push(item);
        }
        self.taken += 1;
        true
    }
}

fn fill<M: Message>(items: impl Iterator<Item = Option<M>>) -> (Vec<M>, usize) {
    let mut page = Page::default();
    for item in items {
        if !page.take(item) {
            break;
        }
    }
    (page.items, page.taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_in_bytes_and_counts_what_has_gone() {
        let id = |len: usize| Some(v3::JobId { id: "x".repeat(len) });
        let (items, taken) = fill([id(1), None, id(2)].into_iter());
        assert_eq!((items.len(), taken), (2, 3));
        let (items, taken) = fill([id(MAX_PAGE_BYTES / 2), None, id(MAX_PAGE_BYTES / 2), id(1)].into_iter());
        assert_eq!((items.len(), taken), (1, 2));
        let (items, _) = fill([id(MAX_PAGE_BYTES * 2), id(1)].into_iter());
        assert_eq!(items.len(), 1, "one item is always sent");
    }
}
