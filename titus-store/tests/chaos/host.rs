//! A host that does what its directives say, keeps what it did through restarts, and remembers all that it started.

use std::collections::{BTreeMap, BTreeSet};

use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::resources::Resources;
use titus_core::rng::Rng;
use titus_core::task::{Exit, StageTimes};
use titus_core::time::Timestamp;
use titus_core::wire::{Directive, HostReport, Phase, TaskReport, Wanted};

pub(crate) struct Host {
    pub(crate) spec: HostSpec,
    generation: u64,
    tasks: BTreeMap<TaskId, Container>,
    /// Everything that ever started here.
    pub(crate) started: BTreeSet<TaskId>,
}

struct Container {
    job: JobId,
    started: Option<Timestamp>,
    stop: bool,
    exit: Option<Exit>,
}

impl Host {
    pub(crate) fn new(id: HostId, zone: &str, cpus: u64) -> Self {
        let capacity = Resources {
            cpu_milli: cpus * 1_000,
            memory_mb: 64_000,
            disk_mb: 1_000_000,
            network_mbps: 10_000,
            addresses: 250,
            gpu: 0,
        };
        let spec = HostSpec {
            id,
            capacity,
            zone: zone.into(),
            machine_type: "m".into(),
            runtime: "fake".into(),
            datapath: "fake".into(),
            attributes: BTreeMap::new(),
        };
        Self {
            spec,
            generation: 0,
            tasks: BTreeMap::new(),
            started: BTreeSet::new(),
        }
    }

    pub(crate) fn report(&self) -> HostReport {
        let tasks = self.tasks.iter().map(|(task, container)| container.report(*task));
        HostReport {
            spec: self.spec.clone(),
            generation: self.generation,
            tasks: tasks.collect(),
        }
    }

    /// Takes a directive, unless it is older than the one in force. What it does not name is stopped and forgotten.
    pub(crate) fn take(&mut self, directive: &Directive) {
        if directive.generation < self.generation {
            return;
        }
        self.generation = directive.generation;
        let named: BTreeSet<TaskId> = directive.tasks.iter().map(|t| t.task).collect();
        self.tasks.retain(|task, _| named.contains(task));
        for named in &directive.tasks {
            let container = self.tasks.entry(named.task).or_insert(Container {
                job: named.job,
                started: None,
                stop: false,
                exit: None,
            });
            container.stop |= named.wanted == Wanted::Stop;
        }
    }

    /// A moment passes: containers start, run, and end with a job's chance in percent. Answers with those that started.
    pub(crate) fn live(
        &mut self,
        now: Timestamp,
        rng: &mut Rng,
        chance: &dyn Fn(JobId) -> u64,
    ) -> Vec<TaskId> {
        let mut new = Vec::new();
        for (task, container) in &mut self.tasks {
            match container {
                Container { exit: Some(_), .. } => {}
                Container { stop: true, .. } => container.exit = Some(Exit::Signal(15)),
                Container { started: None, .. } => {
                    container.started = Some(now);
                    assert!(
                        self.started.insert(*task),
                        "task {task} starts again on {}",
                        self.spec.id
                    );
                    new.push(*task);
                }
                _ if rng.chance(chance(container.job), 100) => {
                    container.exit = Some(Exit::Code(u8::from(rng.chance(1, 4))))
                }
                _ => {}
            }
        }
        new
    }

    /// The machine restarts: containers are gone, the agent's journal is not.
    pub(crate) fn restart(&mut self) {
        self.generation = 0;
        for container in self.tasks.values_mut().filter(|c| c.started.is_some()) {
            container.exit = container.exit.or(Some(Exit::Unknown));
        }
    }
}

impl Container {
    fn report(&self, task: TaskId) -> TaskReport {
        TaskReport {
            task,
            phase: match (self.exit, self.started) {
                (Some(_), _) => Phase::Ended,
                (None, Some(_)) => Phase::Running,
                (None, None) => Phase::Preparing,
            },
            exit: self.exit,
            reason: None,
            message: String::new(),
            address: None,
            times: StageTimes {
                preparing: self.started,
                started: self.started,
                ..StageTimes::default()
            },
        }
    }
}
