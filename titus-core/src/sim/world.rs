//! The event loop, and what each event does.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Faults, START, SimConfig, SimFailure, SimReport};
use super::event::{Agenda, Event, HostIx};
use super::host::SimHost;
use super::ledger::Ledger;
use super::store::Store;
use super::workload::Program;
use crate::agent::Input;
use crate::host::HostSpec;
use crate::id::{HostId, JobId};
use crate::job::JobRecord;
use crate::resources::Resources;
use crate::rng::{Rng, RngTree};
use crate::schedule::StandardPlanner;
use crate::spec::JobKind;
use crate::time::{Millis, Timestamp};
use crate::view::ClusterView;

/// The labelled streams: one more draw in one does not move the others.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) faults: Rng,
    pub(super) hosts: Rng,
    pub(super) ids: Rng,
    pub(super) jobs: Rng,
    pub(super) links: Rng,
    pub(super) orders: Rng,
    pub(super) plans: Rng,
}

pub(super) struct World {
    pub(super) config: SimConfig,
    pub(super) now: Timestamp,
    pub(super) agenda: Agenda,
    pub(super) rng: Streams,
    pub(super) store: Store,
    pub(super) view: ClusterView,
    pub(super) planner: StandardPlanner,
    pub(super) hosts: Vec<SimHost>,
    pub(super) by_name: BTreeMap<HostId, HostIx>,
    pub(super) programs: BTreeMap<JobId, Program>,
    /// The host that never comes back.
    pub(super) gone: Option<HostIx>,
    pub(super) ledger: Ledger,
    pub(super) submitted: u16,
    /// When the schedule controller looks next at tasks that it could not place, or not yet.
    pub(super) plan_at: Option<Timestamp>,
    pub(super) wakes: BTreeMap<JobId, Timestamp>,
    /// Events that would only repeat what another one is already going to do.
    pub(super) pending: BTreeSet<&'static str>,
    pub(super) checked_writes: u64,
}

impl World {
    pub(super) fn new(config: &SimConfig) -> Self {
        let tree = RngTree::new(config.seed);
        let mut world = Self {
            config: *config,
            now: START,
            agenda: Agenda::default(),
            rng: Streams {
                faults: tree.child("faults"),
                hosts: tree.child("hosts"),
                ids: tree.child("ids"),
                jobs: tree.child("jobs"),
                links: tree.child("links"),
                orders: tree.child("orders"),
                plans: tree.child("plans"),
            },
            store: Store::default(),
            view: ClusterView::new(),
            planner: StandardPlanner::new(),
            hosts: (0..config.hosts)
                .map(|n| SimHost::new(host_spec(n), START))
                .collect(),
            by_name: BTreeMap::new(),
            programs: BTreeMap::new(),
            gone: None,
            ledger: Ledger::default(),
            submitted: 0,
            plan_at: None,
            wakes: BTreeMap::new(),
            pending: BTreeSet::new(),
            checked_writes: 0,
        };
        world.by_name = world
            .hosts
            .iter()
            .enumerate()
            .map(|(ix, h)| (h.spec.id, ix))
            .collect();
        world.set_out();
        world
    }

    fn set_out(&mut self) {
        for host in 0..self.hosts.len() {
            let start = self.now + Millis(self.rng.hosts.below(2_000));
            self.agenda.at(start, Event::AgentStart { host, boot: 0 });
            self.plan_troubles(host);
        }
        self.agenda.at(self.now + Millis(1), Event::Submit);
        self.agenda.at(self.now + Millis::from_secs(5), Event::Expire);
        self.agenda.at(self.now + Millis::from_secs(20), Event::Order);
    }

    pub(super) fn run(mut self) -> Result<SimReport, SimFailure> {
        let end = START + self.config.busy + self.config.quiet;
        while let Some((when, event)) = self.agenda.next() {
            self.now = when.max(self.now);
            self.store.counts.events += 1;
            let [kind, one, two] = event.mark();
            let at = self.now.since(START).0;
            self.store.mix(&[at, kind, one, two]);
            let looks = matches!(event, Event::Expire);
            self.happen(event);
            self.follow_up();
            self.check()?;
            if looks && self.is_quiet() && self.unsettled().is_empty() {
                return self.report();
            }
            if self.now > end {
                let wrong = self.unsettled();
                return Err(self.failure(wrong));
            }
        }
        Err(self.failure(vec!["nothing happens any more".into()]))
    }

    fn report(mut self) -> Result<SimReport, SimFailure> {
        self.feed();
        let stale = self.stale_view();
        if !stale.is_empty() {
            return Err(self.failure(stale));
        }
        self.store.counts.starts = self.ledger.count;
        Ok(SimReport {
            hash: self.store.hash,
            span: self.now.since(START),
            counts: self.store.counts,
        })
    }

    pub(super) fn failure(&self, wrong: Vec<String>) -> SimFailure {
        SimFailure {
            config: Box::new(self.config),
            at: self.now.since(START),
            event: self.store.counts.events,
            wrong,
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.now >= START + self.config.busy
    }

    pub(super) fn faults(&self) -> Faults {
        if self.is_quiet() {
            Faults::NONE
        } else {
            self.config.faults
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Submit => self.submit(),
            Event::Order => self.order(),
            Event::Reconcile => self.reconcile(),
            Event::Plan => self.plan(),
            Event::Commit(plan) => self.commit(&plan),
            Event::Feed => self.feed(),
            Event::Expire => self.expire(),
            Event::Send { host, session } => self.send(host, session),
            Event::Report {
                host,
                session,
                revision,
                report,
            } => self.reported(host, session, revision, &report),
            Event::Directive {
                host,
                session,
                directive,
            } => {
                self.tell(host, session, Input::Directive(*directive));
            }
            Event::Timer { host, session } => self.timer(host, session),
            Event::Effect {
                host,
                session,
                command,
            } => self.effect(host, session, *command),
            Event::Answer {
                host,
                session,
                task,
                step,
                outcome,
            } => {
                self.tell(host, session, Input::Done { task, step, outcome });
            }
            Event::Exit {
                host,
                boot,
                task,
                exit,
            } => {
                if self.hosts[host].boot == boot && self.hosts[host].exit(task, exit, self.now) {
                    let session = self.hosts[host].session;
                    let message = String::new();
                    self.tell(host, session, Input::Exited { task, exit, message });
                }
            }
            Event::AgentCrash { host } => self.crash_agent(host),
            Event::AgentStart { host, boot } => self.start_agent(host, boot),
            Event::HostCrash { host } => self.crash_host(host),
            Event::HostBoot { host } => self.boot_host(host),
            Event::Partition { host, cut } => self.partition(host, cut),
        }
    }
}

pub(super) fn is_service(job: &JobRecord) -> bool {
    matches!(job.spec.kind(), JobKind::Service(_))
}

fn host_spec(n: u16) -> HostSpec {
    HostSpec {
        id: HostId::new(&format!("host{n}")).expect("letters and digits"),
        capacity: Resources {
            cpu_milli: 16_000,
            memory_mb: 64_000,
            disk_mb: 100_000,
            network_mbps: 10_000,
            addresses: 50,
            gpu: 0,
        },
        zone: format!("zone{}", n % 3),
        machine_type: "m5.4xlarge".into(),
        runtime: "sim".into(),
        datapath: "sim".into(),
        attributes: BTreeMap::new(),
    }
}
