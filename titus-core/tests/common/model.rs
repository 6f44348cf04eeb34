//! The same facts as a view, kept in maps and worked out anew for each question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use titus_core::change::Change;
use titus_core::host::HostRecord;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::job::{JobRecord, JobState};
use titus_core::resources::{ResourceKind, Resources};
use titus_core::schedule::{BALANCE, PACKING, PREFERENCES, RuleSet, Rules};
use titus_core::task::{TaskHot, TaskState};
use titus_core::time::Timestamp;
use titus_core::view::ClusterView;

/// What filters and scores of a test's own say of a host: `None` where one refuses it.
pub type Extra<'a> = &'a dyn Fn(JobId, &HostRecord) -> Option<u64>;

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub hosts: BTreeMap<HostId, Arc<HostRecord>>,
    pub jobs: BTreeMap<JobId, Arc<JobRecord>>,
    pub tasks: BTreeMap<TaskId, TaskHot>,
    /// Placements that are assumed.
    pub assumed: BTreeMap<TaskId, HostId>,
}

impl Model {
    /// Takes in a change that is newer than all before.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Job(record) => drop(self.jobs.insert(record.id, Arc::clone(record))),
            Change::JobGone(id) => drop(self.jobs.remove(id)),
            Change::Task(hot) => {
                if hot.state != TaskState::Accepted {
                    self.assumed.remove(&hot.id);
                }
                self.tasks.insert(hot.id, *hot);
            }
            Change::TaskGone(id) => {
                self.assumed.remove(id);
                self.tasks.remove(id);
            }
            Change::Host(record) => drop(self.hosts.insert(record.spec.id, Arc::clone(record))),
            Change::HostGone(id) => drop(self.hosts.remove(id)),
        }
    }

    /// Every record as a change, in the order of kind and id.
    pub fn changes(&self) -> Vec<Change> {
        let hosts = self.hosts.values().map(|record| Change::Host(Arc::clone(record)));
        let jobs = self.jobs.values().map(|record| Change::Job(Arc::clone(record)));
        let tasks = self.tasks.values().map(|hot| Change::Task(*hot));
        hosts.chain(jobs).chain(tasks).collect()
    }

    /// A view that has seen nothing but these records.
    pub fn view(&self) -> ClusterView {
        let mut view = ClusterView::new();
        self.changes().iter().for_each(|change| view.apply(change));
        view
    }

    pub fn shape(&self, job: JobId) -> Resources {
        self.jobs
            .get(&job)
            .map_or(Resources::ZERO, |job| job.spec.resources())
    }

    /// Who takes room on a host: by record, or assumed.
    fn takers(&self, host: HostId, assumed: bool) -> impl Iterator<Item = &TaskHot> {
        self.tasks
            .values()
            .filter(move |task| match self.assumed.get(&task.id) {
                Some(at) => assumed && *at == host,
                None => task.state.holds_host() && task.host == Some(host),
            })
    }

    /// What the records of a host's tasks say is taken.
    pub fn held(&self, host: HostId) -> Resources {
        self.sum(self.takers(host, false))
    }

    pub fn free(&self, host: HostId) -> Resources {
        let Some(record) = self.hosts.get(&host) else {
            return Resources::ZERO;
        };
        record.spec.capacity.saturating_sub(&self.taken(host, record))
    }

    fn taken(&self, host: HostId, record: &HostRecord) -> Resources {
        let by_tasks = self.sum(self.takers(host, true));
        let used = record.desired.used;
        Resources {
            cpu_milli: by_tasks.cpu_milli.max(used.cpu_milli),
            memory_mb: by_tasks.memory_mb.max(used.memory_mb),
            disk_mb: by_tasks.disk_mb.max(used.disk_mb),
            network_mbps: by_tasks.network_mbps.max(used.network_mbps),
            addresses: by_tasks.addresses.max(used.addresses),
            gpu: by_tasks.gpu.max(used.gpu),
        }
    }

    fn sum<'a>(&self, tasks: impl Iterator<Item = &'a TaskHot>) -> Resources {
        let shapes = tasks.map(|task| self.shape(task.job));
        shapes.fold(Resources::ZERO, |sum, shape| {
            sum.checked_add(&shape).expect("small amounts")
        })
    }

    pub fn pending(&self, now: Timestamp) -> BTreeSet<TaskId> {
        let waits = |task: &&TaskHot| {
            let runs = self
                .jobs
                .get(&task.job)
                .is_some_and(|job| job.status.state == JobState::Accepted);
            let due =
                task.not_before.is_none_or(|at| at <= now) && task.times.queued.is_none_or(|at| at <= now);
            task.state == TaskState::Accepted && runs && due && !self.assumed.contains_key(&task.id)
        };
        self.tasks.values().filter(waits).map(|task| task.id).collect()
    }

    fn in_zone(&self, job: JobId, zone: &str) -> usize {
        let hosts = self.hosts.values().filter(|host| host.spec.zone == zone);
        hosts.map(|host| self.of_job(job, host.spec.id)).sum()
    }

    fn of_job(&self, job: JobId, host: HostId) -> usize {
        self.takers(host, true).filter(|task| task.job == job).count()
    }

    /// The first thing that keeps a job's next task from a host.
    pub fn refusal(&self, job: JobId, host: HostId) -> Option<&'static str> {
        let record = &self.hosts[&host];
        let spec = &self.jobs[&job].spec;
        let rules = Rules::of(spec).hard;
        let alone = |task: &TaskHot| {
            let job = self.jobs.get(&task.job);
            job.is_some_and(|job| Rules::of(&job.spec).hard.exclusive_host)
        };
        if !record.takes_tasks() || self.takers(host, true).any(alone) {
            return Some("available");
        }
        self.broken(&rules, job, record).first().copied().or_else(|| {
            let fits = self.free(host).fits(&spec.resources());
            (!fits).then_some("resources")
        })
    }

    /// The rules that a host does not keep.
    fn broken(&self, rules: &RuleSet, job: JobId, host: &HostRecord) -> Vec<&'static str> {
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let open: BTreeSet<&str> = self
            .hosts
            .values()
            .filter(|host| host.takes_tasks())
            .map(|host| host.spec.zone.as_str())
            .collect();
        let fewest = open.iter().map(|zone| self.in_zone(job, zone)).min().unwrap_or(0);
        let empty = self.takers(host.spec.id, true).next().is_none()
            && self.taken(host.spec.id, host) == Resources::ZERO;
        let kept = [
            ("availabilityZone", is(&rules.zone, &host.spec.zone)),
            ("machineType", is(&rules.machine_type, &host.spec.machine_type)),
            ("machineId", is(&rules.machine, host.spec.id.as_str())),
            (
                "zoneBalance",
                !rules.zone_balance || self.in_zone(job, &host.spec.zone) <= fewest,
            ),
            (
                "uniqueHost",
                !rules.unique_host || self.of_job(job, host.spec.id) == 0,
            ),
            ("exclusiveHost", !rules.exclusive_host || empty),
        ];
        kept.iter()
            .filter(|(_, kept)| !kept)
            .map(|(name, _)| *name)
            .collect()
    }

    /// The host that the standard policy wants when a resource is scarce: every host rated, the best by rating, zone
    /// load and name. `extra` is what further filters and scores say of a host.
    pub fn best(&self, job: JobId, scarce: ResourceKind, extra: Extra<'_>) -> Option<HostId> {
        let open = self
            .hosts
            .values()
            .filter(|host| self.refusal(job, host.spec.id).is_none());
        let rated = open.filter_map(|host| {
            let fitness = self.fitness(job, host, scarce) + extra(job, host)?;
            let load = i64::MAX - self.zone_load(&host.spec.zone);
            Some((fitness, load, std::cmp::Reverse(host.spec.id)))
        });
        rated.max().map(|(_, _, id)| id.0)
    }

    fn fitness(&self, job: JobId, host: &HostRecord, scarce: ResourceKind) -> u64 {
        let spec = &self.jobs[&job].spec;
        let soft = Rules::of(spec).soft;
        let set = [
            soft.zone.is_some(),
            soft.machine_type.is_some(),
            soft.machine.is_some(),
            soft.zone_balance,
            soft.unique_host,
            soft.exclusive_host,
        ];
        let set = u64::try_from(set.iter().filter(|set| **set).count()).expect("six");
        let broken = u64::try_from(self.broken(&soft, job, host).len()).expect("six");
        let preferred = u64::from(PREFERENCES.0)
            .checked_div(set)
            .map_or_else(|| u64::from(PREFERENCES.0), |each| each * (set - broken));
        let (free, capacity) = (self.free(host.spec.id), host.spec.capacity);
        let balance = |amounts: &Resources| {
            let (cpu, memory) = (
                share(amounts.cpu_milli, capacity.cpu_milli),
                share(amounts.memory_mb, capacity.memory_mb),
            );
            if scarce == ResourceKind::Cpu {
                4 * memory - 3 * cpu
            } else {
                4 * cpu - 3 * memory
            }
        };
        // A host that must be empty is not asked to stay in balance.
        let alone = Rules::of(spec).hard.exclusive_host;
        let balanced = !alone && balance(&free) >= balance(&spec.resources());
        let both = |of: &Resources| {
            share(of.cpu_milli, capacity.cpu_milli) + share(of.memory_mb, capacity.memory_mb)
        };
        let left = both(&free) - both(&spec.resources());
        let packed = u64::try_from((1 << 21) - left).expect("no more than all") * u64::from(PACKING.0 >> 21);
        preferred
            + packed
            + if balanced || alone {
                u64::from(BALANCE.0)
            } else {
                0
            }
    }

    /// The resource of which the greater share is taken.
    pub fn scarce(&self) -> ResourceKind {
        let capacity = self.capacity(|_| true);
        let taken = self.room(|_| true);
        let cpu = share(taken.cpu_milli, capacity.cpu_milli);
        if cpu >= share(taken.memory_mb, capacity.memory_mb) {
            ResourceKind::Cpu
        } else {
            ResourceKind::Memory
        }
    }

    fn zone_load(&self, zone: &str) -> i64 {
        let (taken, capacity) = (self.room(|z| z == zone), self.capacity(|z| z == zone));
        share(taken.cpu_milli, capacity.cpu_milli) + share(taken.memory_mb, capacity.memory_mb)
    }

    fn capacity(&self, of: impl Fn(&str) -> bool) -> Resources {
        let hosts = self.hosts.values().filter(|host| of(&host.spec.zone));
        hosts.fold(Resources::ZERO, |sum, host| {
            sum.checked_add(&host.spec.capacity).expect("small amounts")
        })
    }

    fn room(&self, of: impl Fn(&str) -> bool) -> Resources {
        let hosts = self.hosts.values().filter(|host| of(&host.spec.zone));
        hosts.fold(Resources::ZERO, |sum, host| {
            let taken = self.sum(self.takers(host.spec.id, true));
            sum.checked_add(&taken).expect("small amounts")
        })
    }
}

/// A share of 2^20, rounded down.
fn share(amount: u64, capacity: u64) -> i64 {
    let part = (amount.min(capacity) << 20).checked_div(capacity).unwrap_or(0);
    i64::try_from(part).expect("at most 2^20")
}
