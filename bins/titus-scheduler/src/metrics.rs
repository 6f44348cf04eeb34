//! What a scheduler process measures, and what it shows of the cell.

use std::fmt::Error as FmtError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use titus_api::server::Live;
use titus_core::host::HostHealth;
use titus_core::job::JobState;
use titus_core::task::TaskState;
use titus_store::controller::ScheduleCounters;

/// One of the loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loop {
    /// Loading the view.
    Load,
    /// Following a feed.
    Follow,
    /// Renewing the lease.
    Lease,
    /// Reconciling jobs.
    Reconcile,
    /// Placing tasks.
    Schedule,
    /// Giving up hosts.
    Expire,
    /// Archiving.
    Archive,
}

impl Loop {
    /// Its name, as in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Follow => "follow",
            Self::Lease => "lease",
            Self::Reconcile => "reconcile",
            Self::Schedule => "schedule",
            Self::Expire => "expire",
            Self::Archive => "archive",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoopLabels {
    r#loop: &'static str,
}

/// The scheduler's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct SchedulerMetrics {
    ticks: Family<LoopLabels, Histogram>,
    failures: Family<LoopLabels, Counter>,
    lease_changes: Counter,
    shards: Gauge,
    hosts_held: Gauge,
    actions: Arc<AtomicU64>,
    archived: Arc<AtomicU64>,
    live: Arc<Live>,
    schedule: Arc<Mutex<ScheduleCounters>>,
}

impl SchedulerMetrics {
    pub(crate) fn new(live: Arc<Live>, schedule: Arc<Mutex<ScheduleCounters>>) -> Self {
        Self {
            ticks: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_1, 2.0, 18))),
            failures: Family::default(),
            lease_changes: Counter::default(),
            shards: Gauge::default(),
            hosts_held: Gauge::default(),
            actions: Arc::default(),
            archived: Arc::default(),
            live,
            schedule,
        }
    }

    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("titus_scheduler");
        registry.register(
            "tick_seconds",
            "Time that one turn of a loop took",
            self.ticks.clone(),
        );
        registry.register(
            "failures",
            "Turns of a loop that the store failed",
            self.failures.clone(),
        );
        registry.register(
            "lease_changes",
            "Times that the set of owned shards changed",
            self.lease_changes.clone(),
        );
        registry.register(
            "owned_shards",
            "Shards that this process owns",
            self.shards.clone(),
        );
        registry.register(
            "hosts_not_given_up",
            "Silent hosts that are kept because too many are silent at once",
            self.hosts_held.clone(),
        );
        registry.register_collector(Box::new(self.clone()));
    }

    pub(crate) fn ticked(&self, at: Loop, took: Duration) {
        self.ticks
            .get_or_create(&LoopLabels { r#loop: at.name() })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, at: Loop) {
        self.failures
            .get_or_create(&LoopLabels { r#loop: at.name() })
            .inc();
    }

    pub(crate) fn lease_changed(&self) {
        self.lease_changes.inc();
    }

    pub(crate) fn shards(&self, owned: usize) {
        self.shards.set(i64::try_from(owned).unwrap_or(i64::MAX));
    }

    pub(crate) fn hosts_held(&self, held: usize) {
        self.hosts_held.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    pub(crate) fn reconciled(&self, actions: u64) {
        self.actions.store(actions, Ordering::Relaxed);
    }

    pub(crate) fn archived(&self, jobs: u64) {
        self.archived.store(jobs, Ordering::Relaxed);
    }
}

const JOB_STATES: [JobState; 3] = [JobState::Accepted, JobState::KillInitiated, JobState::Finished];
const HEALTHS: [(HostHealth, &str); 3] = [
    (HostHealth::Ready, "ready"),
    (HostHealth::Silent, "silent"),
    (HostHealth::Lost, "lost"),
];

impl Collector for SchedulerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let c = *self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help, value) in [
            ("rounds", "Rounds planned", c.rounds),
            ("placements", "Placements committed", c.placed),
            (
                "placements_refused",
                "Placements that the commit refused",
                c.refused,
            ),
            (
                "placements_failed",
                "Tasks that a round found no host for",
                c.unplaced,
            ),
            (
                "plans_fenced",
                "Plans dropped because the lease did not hold",
                c.fenced,
            ),
            (
                "reconcile_actions",
                "Differences between desired and actual that were acted on",
                self.actions.load(Ordering::Relaxed),
            ),
            (
                "jobs_archived",
                "Jobs moved to the archive",
                self.archived.load(Ordering::Relaxed),
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        self.encode_cell(&mut encoder)
    }
}

impl SchedulerMetrics {
    fn encode_cell(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let Some(warm) = self.live.get() else {
            return Ok(());
        };
        let (tasks, jobs, hosts, oldest, bad) = warm.with(|view| {
            let tasks = view.counts();
            let jobs = JOB_STATES.map(|state| view.jobs().filter(|job| job.status.state == state).count());
            let hosts = HEALTHS.map(|(health, _)| view.hosts().filter(|host| host.health == health).count());
            let now = warm.cluster().clock().now();
            let oldest = view
                .pending(|_| true, now)
                .map(|task| now.since(task.since))
                .max();
            (
                tasks,
                jobs,
                hosts,
                oldest.unwrap_or_default(),
                warm.bad_records().len(),
            )
        });
        let mut family = encoder.encode_descriptor("tasks", "Live tasks by state", None, gauge())?;
        for state in TaskState::ALL {
            let value = ConstGauge::new(i64::from(tasks.of(state)));
            value.encode(family.encode_family(&[("state", state.name())])?)?;
        }
        let mut family = encoder.encode_descriptor("jobs", "Live jobs by state", None, gauge())?;
        for (state, count) in JOB_STATES.iter().zip(jobs) {
            let value = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            value.encode(family.encode_family(&[("state", state.name())])?)?;
        }
        let mut family = encoder.encode_descriptor("hosts", "Hosts by health", None, gauge())?;
        for ((_, name), count) in HEALTHS.iter().zip(hosts) {
            let value = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            value.encode(family.encode_family(&[("health", *name)])?)?;
        }
        let age = ConstGauge::new(oldest.as_duration().as_secs_f64());
        age.encode(encoder.encode_descriptor(
            "queue_age_seconds",
            "Age of the oldest waiting task",
            None,
            gauge(),
        )?)?;
        let bad = ConstGauge::new(i64::try_from(bad).unwrap_or(i64::MAX));
        bad.encode(encoder.encode_descriptor(
            "bad_records",
            "Records set aside as unreadable",
            None,
            gauge(),
        )?)
    }
}

const fn gauge() -> prometheus_client::metrics::MetricType {
    prometheus_client::metrics::MetricType::Gauge
}
