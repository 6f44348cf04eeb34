//! What the messages of a job say, with everything that may be missing settled.

use titus_api::v3;
use titus_api::v3::job_descriptor::JobSpec;

/// A job's message, read.
#[derive(Debug)]
pub(super) struct JobFacts<'a> {
    pub(super) application: &'a str,
    pub(super) group: &'a str,
    pub(super) owner: &'a str,
    pub(super) image: String,
    pub(super) kind: &'static str,
    pub(super) capacity: v3::Capacity,
    pub(super) desired: u32,
    pub(super) is_batch: bool,
    pub(super) enabled: bool,
    pub(super) state: &'static str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    pub(super) created: u64,
}

impl<'a> JobFacts<'a> {
    pub(super) fn of(job: &'a v3::Job) -> Self {
        let descriptor = job.job_descriptor.as_ref();
        let status = job.status.as_ref();
        let first = job.status_history.first().or(status);
        let spec = descriptor.and_then(|d| d.job_spec.as_ref());
        let (kind, capacity, enabled) = match spec {
            Some(JobSpec::Batch(batch)) => ("batch", of_size(batch.size), true),
            Some(JobSpec::Service(service)) => {
                ("service", service.capacity.unwrap_or_default(), service.enabled)
            }
            None => ("service", v3::Capacity::default(), true),
        };
        Self {
            application: descriptor.map_or("", |d| &d.application_name),
            group: descriptor.map_or("", |d| &d.capacity_group),
            owner: descriptor
                .and_then(|d| d.owner.as_ref())
                .map_or("", |o| &o.team_email),
            image: descriptor
                .and_then(|d| d.container.as_ref())
                .and_then(|c| c.image.as_ref())
                .map_or_else(String::new, image),
            kind,
            capacity,
            desired: capacity.desired,
            is_batch: kind == "batch",
            enabled,
            state: status.map_or("", |s| s.state().as_str_name()),
            reason: status.map_or("", |s| &s.reason_code),
            message: status.map_or("", |s| &s.reason_message),
            created: first.map_or(0, |s| s.timestamp),
        }
    }
}

const fn of_size(size: u32) -> v3::Capacity {
    v3::Capacity {
        min: size,
        max: size,
        desired: size,
    }
}

/// `name:tag`, `name@digest`, or both.
fn image(image: &v3::Image) -> String {
    let mut text = image.name.clone();
    if !image.tag.is_empty() {
        text += ":";
        text += &image.tag;
    }
    if !image.digest.is_empty() {
        text += "@";
        text += &image.digest;
    }
    text
}

/// True for a job that is over.
pub(super) fn is_finished(job: &v3::Job) -> bool {
    job.status
        .as_ref()
        .is_some_and(|s| s.state() == v3::job_status::JobState::Finished)
}

#[cfg(test)]
pub(crate) mod tests {
    use titus_api::convert::descriptor_from_request;
    use titus_api::v3::job_status::JobState;
    use titus_core::spec::{JobRequest, example};

    use super::*;

    fn job(id: &str, example: &str, states: &[(JobState, &str, u64)]) -> v3::Job {
        let request: JobRequest = serde_saphyr::from_str(example).unwrap();
        let mut history: Vec<v3::JobStatus> = states
            .iter()
            .map(|(state, reason, at)| v3::JobStatus {
                state: (*state).into(),
                reason_code: (*reason).to_owned(),
                reason_message: String::new(),
                timestamp: *at,
            })
            .collect();
        let status = history.pop();
        v3::Job {
            id: id.to_owned(),
            job_descriptor: Some(descriptor_from_request(&request)),
            status,
            status_history: history,
            version: None,
        }
    }

    pub(crate) fn batch() -> v3::Job {
        let states = [
            (JobState::Accepted, "normal", 1_700_000_000_000),
            (JobState::Finished, "normal", 1_700_000_001_500),
        ];
        job("0198f3c2-1111-8abc-8000-000000000001", example::BATCH, &states)
    }

    pub(crate) fn service() -> v3::Job {
        let states = [(JobState::Accepted, "normal", 1_700_000_000_000)];
        job("0198f3c2-1111-8abc-8000-000000000002", example::SERVICE, &states)
    }

    #[test]
    fn a_job_is_read_and_an_empty_message_is_no_trouble() {
        let service = service();
        let facts = JobFacts::of(&service);
        assert_eq!((facts.kind, facts.desired, facts.capacity.max), ("service", 2, 4));
        assert_eq!((facts.image.as_str(), facts.state), ("host:latest", "Accepted"));
        let batch = batch();
        let facts = JobFacts::of(&batch);
        assert_eq!((facts.kind, facts.capacity.min), ("batch", 2));
        assert_eq!(facts.created, 1_700_000_000_000);
        assert!(is_finished(&batch) && !is_finished(&service));
        assert_eq!(JobFacts::of(&v3::Job::default()).application, "");
    }

    #[test]
    fn images_are_written_as_users_write_them() {
        let named = |tag: &str, digest: &str| {
            image(&v3::Image {
                name: "a/b".into(),
                tag: tag.into(),
                digest: digest.into(),
            })
        };
        assert_eq!(named("1", ""), "a/b:1");
        assert_eq!(named("", "sha256:x"), "a/b@sha256:x");
        assert_eq!(named("1", "sha256:x"), "a/b:1@sha256:x");
    }
}
