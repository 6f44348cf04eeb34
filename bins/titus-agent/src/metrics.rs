//! What the agent measures.

use std::fmt::Error as FmtError;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use titus_core::agent::{AgentStats, Outcome, Step};
use titus_core::task::StageTimes;
use titus_core::wire::{HostReport, Phase};
use titus_net::HostNetwork;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// The agent's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    steps: Family<StepLabels, Histogram>,
    stages: Family<StageLabels, Histogram>,
    tasks: Family<StageLabels, Gauge>,
    machine: Family<StageLabels, Gauge>,
    syncs: Family<ResultLabels, Counter>,
    generation: Gauge,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            steps: Family::new_with_constructor(seconds),
            stages: Family::new_with_constructor(seconds),
            tasks: Family::default(),
            machine: Family::default(),
            syncs: Family::default(),
            generation: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Registers everything, and the network's counters beside it.
    pub fn register(&self, registry: &mut Registry, network: Arc<HostNetwork>) {
        let registry = registry.sub_registry_with_prefix("titus_agent");
        registry.register(
            "step_seconds",
            "Time that a launch or clean-up step took",
            self.steps.clone(),
        );
        registry.register(
            "launch_stage_seconds",
            "Time from placement to a launch stage",
            self.stages.clone(),
        );
        registry.register("tasks", "Tasks on the host by phase", self.tasks.clone());
        registry.register(
            "machine",
            "Tasks and commands of the host agent by stage",
            self.machine.clone(),
        );
        registry.register(
            "syncs",
            "Conversations with the control plane by result",
            self.syncs.clone(),
        );
        registry.register(
            "directive_generation",
            "Generation that the host acts on",
            self.generation.clone(),
        );
        registry.register_collector(Box::new(NetworkCounters(network)));
    }

    pub(crate) fn step(&self, step: Step, outcome: &Outcome, took: Duration) {
        let result = if matches!(outcome, Outcome::Failed { .. }) {
            "failed"
        } else {
            "done"
        };
        self.steps
            .get_or_create(&StepLabels {
                step: step.name(),
                result,
            })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn synced(&self, ok: bool) {
        self.syncs
            .get_or_create(&ResultLabels {
                result: if ok { "done" } else { "failed" },
            })
            .inc();
    }

    pub(crate) fn machine(&self, stats: &AgentStats) {
        for (stage, count) in [
            ("queued", stats.queued),
            ("launching", stats.launching),
            ("running", stats.running),
            ("stopping", stats.stopping),
            ("stuck", stats.stuck),
            ("undoing", stats.undoing),
            ("undo_retries", stats.undo_retries),
            ("unacknowledged", stats.unacknowledged),
            ("only_logs", stats.only_logs),
            ("commands", stats.commands),
            (
                "refused_directives",
                usize::try_from(stats.refused_directives).unwrap_or(usize::MAX),
            ),
        ] {
            self.machine
                .get_or_create(&StageLabels { stage })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn reported(&self, report: &HostReport) {
        self.generation
            .set(i64::try_from(report.generation).unwrap_or(i64::MAX));
        let phases = [
            (Phase::Preparing, "preparing"),
            (Phase::Running, "running"),
            (Phase::Stopping, "stopping"),
            (Phase::Ended, "ended"),
        ];
        for (phase, stage) in phases {
            let count = report.tasks.iter().filter(|t| t.phase == phase).count();
            self.tasks
                .get_or_create(&StageLabels { stage })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn launched(&self, times: &StageTimes) {
        let Some(start) = times.preparing else { return };
        for (stage, at) in [
            ("image", times.image),
            ("network", times.network),
            ("started", times.started),
        ] {
            if let Some(at) = at {
                let took = at.since(start).as_duration().as_secs_f64();
                self.stages.get_or_create(&StageLabels { stage }).observe(took);
            }
        }
    }
}

#[derive(Debug)]
struct NetworkCounters(Arc<HostNetwork>);

impl Collector for NetworkCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let c = self.0.counters();
        for (name, help, value) in [
            (
                "network_attached",
                "Containers wired into the network",
                c.attached,
            ),
            (
                "network_detached",
                "Containers taken out of the network",
                c.detached,
            ),
            (
                "network_attach_failures",
                "Containers that could not be wired",
                c.attach_failures,
            ),
            (
                "network_detach_failures",
                "Links that could not be removed",
                c.detach_failures,
            ),
            (
                "network_refused",
                "Requests without an address to give",
                c.refused,
            ),
            (
                "network_leftovers_removed",
                "Links of nobody that were removed",
                c.leftovers_removed,
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, help, value) in [
            ("network_addresses_free", "Addresses that nobody has", c.pool.free),
            ("network_addresses_used", "Addresses in use", c.pool.used),
            (
                "network_addresses_cooling",
                "Addresses that rest before they are used again",
                c.pool.cooling,
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
