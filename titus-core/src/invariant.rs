//! What is true of every state of a cell: one check for tests, for the simulation and for operators.

use std::collections::BTreeMap;
use std::fmt;

use crate::host::HostRecord;
use crate::id::{HostId, JobId, TaskId};
use crate::job::{JobRecord, JobState};
use crate::resources::{ResourceKind, Resources};
use crate::spec::JobKind;
use crate::task::{TaskHot, TaskState};
use crate::view::ClusterView;

/// Something that must never be so, and is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvariantViolation {
    /// The room that a host's record promises is not what its tasks hold.
    UsedDiffers {
        /// The host.
        host: HostId,
        /// What its record says.
        recorded: Resources,
        /// What its tasks hold together; saturated.
        held: Resources,
    },
    /// More is promised on a host than it has.
    OverCapacity {
        /// The host.
        host: HostId,
        /// Of what.
        kind: ResourceKind,
    },
    /// Two tasks of one slot are live at once.
    SlotTakenTwice {
        /// The one task.
        task: TaskId,
        /// The other.
        other: TaskId,
    },
    /// A live task's slot does not exist in its batch job.
    NoSuchSlot {
        /// The task.
        task: TaskId,
        /// Its slot.
        index: u32,
    },
    /// A task is placed and has no host, or waits and has one.
    PlacementDiffers {
        /// The task.
        task: TaskId,
        /// Its state.
        state: TaskState,
    },
    /// A task holds room on a host that does not exist.
    HostMissing {
        /// The task.
        task: TaskId,
        /// The host.
        host: HostId,
    },
    /// A task's job does not exist.
    JobMissing {
        /// The task.
        task: TaskId,
        /// The job.
        job: JobId,
    },
    /// A job is over and has a live task.
    JobOver {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskId,
    },
    /// Two active jobs have the same unique name.
    NameTakenTwice {
        /// The one job.
        job: JobId,
        /// The other.
        other: JobId,
    },
    /// A task does not say when it entered its state, or why it is being killed.
    Undated {
        /// The task.
        task: TaskId,
        /// Its state.
        state: TaskState,
    },
    /// A record has version 0, which none ever has.
    Unversioned {
        /// The job.
        job: JobId,
        /// The task, where it is one of its tasks.
        task: Option<TaskId>,
    },
}

impl fmt::Display for InvariantViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedDiffers { host, recorded, held } => {
                write!(
                    f,
                    "host {host} has {recorded:?} promised, its tasks hold {held:?}"
                )
            }
            Self::OverCapacity { host, kind } => {
                write!(f, "host {host} has more {kind} promised than it has")
            }
            Self::SlotTakenTwice { task, other } => {
                write!(f, "tasks {task} and {other} are live in the same slot")
            }
            Self::NoSuchSlot { task, index } => {
                write!(
                    f,
                    "task {task} is live in slot {index}, which its job does not have"
                )
            }
            Self::PlacementDiffers { task, state } => {
                write!(
                    f,
                    "task {task} is {state}, which does not fit with whether it has a host"
                )
            }
            Self::HostMissing { task, host } => {
                write!(f, "task {task} holds room on host {host}, which does not exist")
            }
            Self::JobMissing { task, job } => write!(f, "task {task} is of job {job}, which does not exist"),
            Self::JobOver { job, task } => write!(f, "job {job} is over and its task {task} is not"),
            Self::NameTakenTwice { job, other } => {
                write!(f, "the active jobs {job} and {other} have the same unique name")
            }
            Self::Undated { task, state } => {
                write!(f, "task {task} is {state} and does not say since when, or why")
            }
            Self::Unversioned {
                job,
                task: Some(task),
            } => write!(f, "task {task} of job {job} has version 0"),
            Self::Unversioned { job, task: None } => write!(f, "job {job} has version 0"),
        }
    }
}

/// Checks a whole state: every job, task and host that is not archived. Empty when all is well; else sorted by host,
/// then by task.
#[must_use]
pub fn check_invariants<'a>(
    jobs: impl IntoIterator<Item = &'a JobRecord>,
    tasks: impl IntoIterator<Item = TaskHot>,
    hosts: impl IntoIterator<Item = &'a HostRecord>,
) -> Vec<InvariantViolation> {
    let mut check = Check {
        jobs: jobs.into_iter().map(|job| (job.id, job)).collect(),
        hosts: hosts
            .into_iter()
            .map(|host| (host.spec.id, (host, Resources::ZERO)))
            .collect(),
        slots: BTreeMap::new(),
        found: Vec::new(),
    };
    check.jobs();
    for task in tasks {
        check.task(&task);
    }
    check.hosts();
    check.found
}

/// Checks what a view holds. What its rounds assume beyond the records is not looked at.
#[must_use]
pub fn check_view(view: &ClusterView) -> Vec<InvariantViolation> {
    check_invariants(
        view.jobs().map(AsRef::as_ref),
        view.tasks(),
        view.hosts().map(AsRef::as_ref),
    )
}

struct Check<'a> {
    jobs: BTreeMap<JobId, &'a JobRecord>,
    hosts: BTreeMap<HostId, (&'a HostRecord, Resources)>,
    slots: BTreeMap<(JobId, u32), TaskId>,
    found: Vec<InvariantViolation>,
}

impl Check<'_> {
    fn jobs(&mut self) {
        let mut names: BTreeMap<String, JobId> = BTreeMap::new();
        for job in self.jobs.values() {
            if job.version == 0 {
                self.found.push(InvariantViolation::Unversioned {
                    job: job.id,
                    task: None,
                });
            }
            let active = job.status.state != JobState::Finished;
            if let Some(name) = job.spec.unique_name().filter(|_| active)
                && let Some(other) = names.insert(name, job.id)
            {
                self.found.push(InvariantViolation::NameTakenTwice {
                    job: other,
                    other: job.id,
                });
            }
        }
    }

    fn task(&mut self, task: &TaskHot) {
        if task.version == 0 {
            self.found.push(InvariantViolation::Unversioned {
                job: task.job,
                task: Some(task.id),
            });
        }
        let explained = task.state != TaskState::KillInitiated || task.kill_reason.is_some();
        if task.since().is_none() || !explained {
            self.found.push(InvariantViolation::Undated {
                task: task.id,
                state: task.state,
            });
        }
        self.placement(task);
        self.job_of(task);
    }

    fn placement(&mut self, task: &TaskHot) {
        let holds = task.state.holds_host();
        match task.host {
            None if holds => {}
            Some(_) if task.state == TaskState::Accepted => {}
            Some(host) if holds => {
                let asked = self.jobs.get(&task.job).map(|job| job.spec.resources());
                let Some((_, held)) = self.hosts.get_mut(&host) else {
                    self.found
                        .push(InvariantViolation::HostMissing { task: task.id, host });
                    return;
                };
                *held = plus(held, &asked.unwrap_or_default());
                return;
            }
            _ => return,
        }
        self.found.push(InvariantViolation::PlacementDiffers {
            task: task.id,
            state: task.state,
        });
    }

    fn job_of(&mut self, task: &TaskHot) {
        let Some(job) = self.jobs.get(&task.job) else {
            self.found.push(InvariantViolation::JobMissing {
                task: task.id,
                job: task.job,
            });
            return;
        };
        if task.state == TaskState::Finished {
            return;
        }
        if job.status.state == JobState::Finished {
            self.found.push(InvariantViolation::JobOver {
                job: job.id,
                task: task.id,
            });
        }
        if matches!(job.spec.kind(), JobKind::Batch(batch) if task.index >= batch.size) {
            self.found.push(InvariantViolation::NoSuchSlot {
                task: task.id,
                index: task.index,
            });
        }
        if let Some(other) = self.slots.insert((task.job, task.index), task.id) {
            self.found
                .push(InvariantViolation::SlotTakenTwice { task: task.id, other });
        }
    }

    fn hosts(&mut self) {
        for (id, (host, held)) in &self.hosts {
            let recorded = host.desired.used;
            if recorded != *held {
                self.found.push(InvariantViolation::UsedDiffers {
                    host: *id,
                    recorded,
                    held: *held,
                });
            }
            if let Some(kind) = host.spec.capacity.first_shortage(&recorded) {
                self.found
                    .push(InvariantViolation::OverCapacity { host: *id, kind });
            }
        }
    }
}

fn plus(a: &Resources, b: &Resources) -> Resources {
    Resources {
        cpu_milli: a.cpu_milli.saturating_add(b.cpu_milli),
        memory_mb: a.memory_mb.saturating_add(b.memory_mb),
        disk_mb: a.disk_mb.saturating_add(b.disk_mb),
        network_mbps: a.network_mbps.saturating_add(b.network_mbps),
        addresses: a.addresses.saturating_add(b.addresses),
        gpu: a.gpu.saturating_add(b.gpu),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::HostSpec;
    use crate::id::PlanId;
    use crate::spec::{BatchRequest, JobRequest, JobSpec, Limits};
    use crate::task::{self, ReasonCode};
    use crate::time::Timestamp;

    const T0: Timestamp = Timestamp::from_millis(1_000);

    struct State {
        jobs: Vec<JobRecord>,
        tasks: Vec<TaskHot>,
        hosts: Vec<HostRecord>,
    }

    impl State {
        /// Two jobs of one task each, one task running on the only host.
        fn sound() -> Self {
            let jobs = vec![job(1, "v1"), job(2, "v2")];
            let mut host = HostRecord::new(host_spec(), T0);
            host.desired.used = jobs[0].spec.resources();
            let waits = TaskHot::accepted(TaskId::from_bytes([4; 16]), jobs[1].id, 0, T0);
            let placed = TaskHot::accepted(TaskId::from_bytes([3; 16]), jobs[0].id, 0, T0);
            let placed = task::place(&placed, PlanId::from_bytes([9; 16]), host.spec.id, T0).unwrap();
            Self {
                jobs,
                tasks: vec![placed, waits],
                hosts: vec![host],
            }
        }

        fn check(&self) -> Vec<InvariantViolation> {
            check_invariants(&self.jobs, self.tasks.iter().copied(), &self.hosts)
        }
    }

    fn host_spec() -> HostSpec {
        let plenty = 1_000_000;
        HostSpec {
            id: HostId::new("h1").unwrap(),
            capacity: Resources {
                cpu_milli: plenty,
                memory_mb: plenty,
                disk_mb: plenty,
                network_mbps: plenty,
                addresses: plenty,
                gpu: 0,
            },
            zone: "a".into(),
            machine_type: "m".into(),
            runtime: "fake".into(),
            datapath: "fake".into(),
            attributes: [].into(),
        }
    }

    fn job(n: u8, sequence: &str) -> JobRecord {
        let mut request = JobRequest {
            application_name: "app".into(),
            ..JobRequest::default()
        };
        request.owner.team_email = "you@example.com".into();
        request.container.image.name = "host".into();
        request.job_group_info.sequence = sequence.into();
        request.batch = Some(BatchRequest {
            size: 1,
            ..BatchRequest::default()
        });
        let (spec, _) = JobSpec::parse(request, &Limits::dev()).unwrap();
        JobRecord::accepted(JobId::from_bytes([n; 16]), Arc::new(spec), T0)
    }

    fn names(found: &[InvariantViolation]) -> Vec<String> {
        let name = |v: &InvariantViolation| format!("{v:?}").split([' ', '{']).next().map(str::to_owned);
        found.iter().filter_map(name).collect()
    }

    #[test]
    fn a_sound_state_is_sound() {
        assert_eq!(State::sound().check(), []);
    }

    #[test]
    fn each_violation_is_found() {
        type Break = fn(&mut State);
        let cases: [(&str, Break); 13] = [
            ("UsedDiffers", |s| s.hosts[0].desired.used = Resources::ZERO),
            ("UsedDiffers", |s| {
                s.tasks[0] = task::lost(&s.tasks[0], T0).unwrap();
            }),
            ("OverCapacity", |s| {
                s.hosts[0].spec.capacity.memory_mb = 1;
            }),
            ("SlotTakenTwice", |s| {
                let twin = TaskHot {
                    id: TaskId::from_bytes([5; 16]),
                    ..s.tasks[1]
                };
                s.tasks.push(twin);
            }),
            ("NoSuchSlot", |s| s.tasks[1].index = 1),
            ("PlacementDiffers", |s| s.tasks[1].host = Some(host_spec().id)),
            ("HostMissing", |s| {
                s.hosts.clear();
            }),
            ("JobMissing", |s| {
                s.jobs.truncate(1);
            }),
            ("JobOver", |s| {
                s.jobs[1].enter(JobState::Finished, ReasonCode::Normal, "", T0);
            }),
            ("NameTakenTwice", |s| s.jobs.push(job(7, "v1"))),
            ("Undated", |s| s.tasks[1].times.queued = None),
            ("Unversioned", |s| s.tasks[1].version = 0),
            ("Unversioned", |s| s.jobs[1].version = 0),
        ];
        for (name, break_it) in cases {
            let mut state = State::sound();
            break_it(&mut state);
            let found = state.check();
            assert_eq!(names(&found), [name], "{found:?}");
            assert!(found[0].to_string().len() > 20);
        }
    }

    #[test]
    fn a_kill_without_a_reason_is_found() {
        let mut state = State::sound();
        state.tasks[0].host = None;
        assert_eq!(names(&state.check()), ["PlacementDiffers", "UsedDiffers"]);
        let mut state = State::sound();
        state.tasks[0] = task::kill(&state.tasks[0], ReasonCode::Killed, T0).unwrap();
        assert_eq!(state.check(), []);
        state.tasks[0].kill_reason = None;
        assert_eq!(names(&state.check()), ["Undated"]);
    }
}
