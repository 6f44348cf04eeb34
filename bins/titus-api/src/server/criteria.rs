//! Filtering criteria: one set of keys for jobs and tasks, parsed once, then a predicate.

use std::collections::{BTreeMap, BTreeSet};

use titus_core::id::{JobId, TaskId};
use titus_core::job::{JobRecord, JobState};
use titus_core::spec::JobKind;
use titus_core::task::{TaskHot, TaskState};

use super::error::ApiError;

/// The keys that a query may name.
pub(crate) const KEYS: [&str; 22] = [
    "jobIds",
    "taskIds",
    "owner",
    "applicationName",
    "appName",
    "imageName",
    "imageTag",
    "capacityGroup",
    "jobGroupStack",
    "jobGroupDetail",
    "jobGroupSequence",
    "jobType",
    "attributes",
    "attributes.op",
    "labels",
    "labels.op",
    "jobState",
    "taskStates",
    "taskStateReasons",
    "needsMigration",
    "skipSystemFailures",
    "platformSidecar",
];

/// A query's criteria: all of them must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Criteria {
    job_ids: Option<BTreeSet<JobId>>,
    task_ids: Option<BTreeSet<TaskId>>,
    equal: Vec<(JobField, String)>,
    batch: Option<bool>,
    attributes: BTreeMap<String, BTreeSet<String>>,
    any_attribute: bool,
    job_state: Option<JobState>,
    task_states: Option<Vec<TaskState>>,
    reasons: Option<BTreeSet<String>>,
    skip_system_failures: bool,
    /// A criterion that nothing here can meet.
    nothing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobField {
    Owner,
    Application,
    ImageName,
    ImageTag,
    CapacityGroup,
    Stack,
    Detail,
    Sequence,
}

impl JobField {
    fn of(self, job: &JobRecord) -> &str {
        let request = job.spec.request();
        match self {
            Self::Owner => &request.owner.team_email,
            Self::Application => &request.application_name,
            Self::ImageName => &request.container.image.name,
            Self::ImageTag => &request.container.image.tag,
            Self::CapacityGroup => &request.capacity_group,
            Self::Stack => &request.job_group_info.stack,
            Self::Detail => &request.job_group_info.detail,
            Self::Sequence => &request.job_group_info.sequence,
        }
    }
}

impl Criteria {
    /// Parses the criteria of a query. Enum values count in any case.
    ///
    /// # Errors
    /// A key or a value that means nothing.
    pub(crate) fn parse(given: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let mut criteria = Self::default();
        for (key, value) in given {
            criteria.add(key, value)?;
        }
        Ok(criteria)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<(), ApiError> {
        match key {
            "jobIds" => self.job_ids = Some(ids(key, value)?),
            "taskIds" => self.task_ids = Some(ids(key, value)?),
            "owner" => self.equal(JobField::Owner, value),
            "applicationName" | "appName" => self.equal(JobField::Application, value),
            "imageName" => self.equal(JobField::ImageName, value),
            "imageTag" => self.equal(JobField::ImageTag, value),
            "capacityGroup" => self.equal(JobField::CapacityGroup, value),
            "jobGroupStack" => self.equal(JobField::Stack, value),
            "jobGroupDetail" => self.equal(JobField::Detail, value),
            "jobGroupSequence" => self.equal(JobField::Sequence, value),
            "jobType" => self.batch = Some(is_batch(value)?),
            "attributes" | "labels" => self.add_attributes(value),
            "attributes.op" | "labels.op" => self.any_attribute = !value.eq_ignore_ascii_case("and"),
            "jobState" => self.job_state = Some(job_state(value)?),
            "taskStates" => self.task_states = Some(task_states(value)?),
            "taskStateReasons" => self.reasons = Some(words(value).map(str::to_owned).collect()),
            "skipSystemFailures" => self.skip_system_failures = flag(key, value)?,
            "needsMigration" => self.nothing |= flag(key, value)?,
            "platformSidecar" => self.nothing |= !value.is_empty(),
            unknown => {
                let shown: String = unknown.chars().take(80).collect();
                let keys = KEYS.join(", ");
                return Err(ApiError::invalid(format!(
                    "{shown:?} is not a criterion: use one of {keys}"
                )));
            }
        }
        Ok(())
    }

    fn equal(&mut self, field: JobField, value: &str) {
        self.equal.push((field, value.to_owned()));
    }

    fn add_attributes(&mut self, value: &str) {
        for word in words(value) {
            let (key, wanted) = word.split_once(':').map_or((word, None), |(k, v)| (k, Some(v)));
            let values = self.attributes.entry(key.to_owned()).or_default();
            values.extend(wanted.map(str::to_owned));
        }
    }

    /// True when a job meets the criteria that concern jobs.
    #[must_use]
    pub(crate) fn job(&self, job: &JobRecord) -> bool {
        !self.nothing
            && self.job_ids.as_ref().is_none_or(|ids| ids.contains(&job.id))
            && self.equal.iter().all(|(field, value)| field.of(job) == value)
            && self
                .batch
                .is_none_or(|batch| batch == matches!(job.spec.kind(), JobKind::Batch(_)))
            && self.job_state.is_none_or(|state| state == job.status.state)
            && self.attributes_match(&job.spec.request().attributes)
    }

    fn attributes_match(&self, own: &BTreeMap<String, String>) -> bool {
        let holds = |(key, wanted): (&String, &BTreeSet<String>)| {
            own.get(key)
                .is_some_and(|value| wanted.is_empty() || wanted.contains(value))
        };
        let mut asked = self.attributes.iter();
        self.attributes.is_empty()
            || if self.any_attribute {
                asked.any(holds)
            } else {
                asked.all(holds)
            }
    }

    /// True when a task meets the criteria that concern tasks; its job must meet the others.
    #[must_use]
    pub(crate) fn task(&self, task: &TaskHot) -> bool {
        let failed_by_system = task.state == TaskState::Finished && task.reason.is_system_error();
        !self.nothing
            && self.task_ids.as_ref().is_none_or(|ids| ids.contains(&task.id))
            && self
                .task_states
                .as_ref()
                .is_none_or(|states| states.contains(&task.state))
            && self
                .reasons
                .as_ref()
                .is_none_or(|all| all.contains(task.reason.code()))
            && !(self.skip_system_failures && failed_by_system)
    }

    /// True when a job only matches where one of its tasks does.
    #[must_use]
    pub(crate) const fn asks_for_tasks(&self) -> bool {
        self.task_ids.is_some() || self.task_states.is_some() || self.reasons.is_some()
    }

    /// True when the criteria name this state of tasks.
    #[must_use]
    pub(crate) fn asks_for_state(&self, state: TaskState) -> bool {
        self.task_states
            .as_ref()
            .is_some_and(|states| states.contains(&state))
    }

    /// The jobs that alone can match, where the query names them.
    #[must_use]
    pub(crate) const fn job_ids(&self) -> Option<&BTreeSet<JobId>> {
        self.job_ids.as_ref()
    }

    /// The tasks that alone can match, where the query names them.
    #[must_use]
    pub(crate) const fn task_ids(&self) -> Option<&BTreeSet<TaskId>> {
        self.task_ids.as_ref()
    }
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn ids<T: std::str::FromStr<Err = titus_core::id::IdError> + Ord>(
    key: &str,
    list: &str,
) -> Result<BTreeSet<T>, ApiError> {
    let parse = |word: &str| word.parse().map_err(|e| ApiError::invalid(format!("{key}: {e}")));
    words(list).map(parse).collect()
}

fn is_batch(value: &str) -> Result<bool, ApiError> {
    if value.eq_ignore_ascii_case("batch") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("service") {
        Ok(false)
    } else {
        Err(unknown("jobType", value, "batch, service"))
    }
}

fn job_state(value: &str) -> Result<JobState, ApiError> {
    let all = [JobState::Accepted, JobState::KillInitiated, JobState::Finished];
    let found = all
        .into_iter()
        .find(|state| state.name().eq_ignore_ascii_case(value));
    found.ok_or_else(|| unknown("jobState", value, "Accepted, KillInitiated, Finished"))
}

fn task_states(list: &str) -> Result<Vec<TaskState>, ApiError> {
    if words(list).any(|word| word.eq_ignore_ascii_case("any")) {
        return Ok(TaskState::ALL.to_vec());
    }
    let one = |word: &str| {
        let found = TaskState::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(word));
        let names = || TaskState::ALL.map(TaskState::name).join(", ");
        found.ok_or_else(|| unknown("taskStates", word, &format!("any, {}", names())))
    };
    words(list).map(one).collect()
}

fn flag(key: &str, value: &str) -> Result<bool, ApiError> {
    value
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| unknown(key, value, "true, false"))
}

fn unknown(key: &str, value: &str, valid: &str) -> ApiError {
    let shown: String = value.chars().take(80).collect();
    ApiError::invalid(format!("{key} cannot be {shown:?}: use one of {valid}"))
}

#[cfg(test)]
mod tests;
