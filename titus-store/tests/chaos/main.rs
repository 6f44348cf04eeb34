//! Two schedulers, five hosts and their users over a store that fails, in random order from a seed: whatever happens, the
//! invariants hold after it, no task starts twice, and when the trouble ends every job becomes what it shall be.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(clippy::future_not_send, reason = "the simulation is single-threaded")]

mod host;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host::Host;
use process::Process;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::invariant::check_invariants;
use titus_core::job::JobState;
use titus_core::rng::{Rng, RngTree};
use titus_core::spec::{
    BatchRequest, Capacity, CapacityUpdate, ImmediateRetry, JobKind, JobRequest, JobSpec, Limits,
    ServiceRequest,
};
use titus_core::task::TaskState;
use titus_core::time::{Millis, Timestamp};
use titus_core::wire::Directive;
use titus_store::backend::MemKv;
use titus_store::clock::{Clock as _, SimClock};
use titus_store::cluster::{Cluster, JobChange, KillRequest, Submission};
use titus_store::controller::WarmView;
use titus_store::fault::{FaultKv, FaultPlan};
use titus_store::{Error, Kv};

const TROUBLE: FaultPlan = FaultPlan {
    conflict: 30,
    unknown_landed: 20,
    unknown_lost: 20,
    backend: 3,
    slow: 10,
    delay: Millis(700),
};

/// Random things that happen before the trouble ends.
const STEPS: usize = 600;

struct World {
    seed: u64,
    rng: Rng,
    clock: Arc<SimClock>,
    kv: Arc<FaultKv<Arc<dyn Kv>>>,
    /// Looks at the store without its faults.
    truth: Cluster,
    processes: Vec<Option<Process>>,
    hosts: Vec<Host>,
    /// Directives under way, some of which arrive late or never.
    mail: Vec<(usize, Directive)>,
    jobs: BTreeMap<String, (JobId, Arc<JobSpec>)>,
    /// The trouble is over: services run on.
    calm: bool,
}

impl World {
    fn new(store: Arc<dyn Kv>, clock: Arc<SimClock>, plan: FaultPlan, seed: u64) -> Self {
        let kv = Arc::new(FaultKv::new(Arc::clone(&store), plan, seed));
        // Together they have room for all that is ever asked for; the small ones are often full.
        let host = |n: usize| {
            let id = HostId::new(&format!("h{n}")).unwrap();
            Host::new(id, ["a", "b", "c"][n % 3], [2, 3, 4, 24, 48][n])
        };
        Self {
            seed,
            rng: RngTree::new(seed).child("chaos"),
            truth: Cluster::new(store, clock.clone()),
            processes: vec![None, None],
            hosts: (0..5).map(host).collect(),
            mail: Vec::new(),
            jobs: BTreeMap::new(),
            calm: false,
            clock,
            kv,
        }
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.rng.below(of as u64)).unwrap()
    }

    fn cluster(&self) -> Cluster {
        Cluster::new(self.kv.clone(), self.clock.clone())
    }

    /// One thing happens.
    async fn step(&mut self) {
        self.clock.advance(Millis(self.rng.below(120)));
        match self.rng.below(100) {
            0..=49 => self.step_process().await,
            50..=69 => self.report_host().await,
            70..=84 => self.deliver().await,
            85..=91 => self.live().await,
            92..=93 => self.submit().await,
            94..=95 => self.change_a_job().await,
            96 => self.kill_a_task().await,
            97 => {
                let host = self.pick(self.hosts.len());
                self.hosts[host].restart();
                // What was under way to the agent that died reaches nobody.
                self.mail.retain(|(to, _)| *to != host);
            }
            98 => {
                let dead = self.pick(self.processes.len());
                self.processes[dead] = None;
            }
            _ => self.clock.advance(Millis(self.rng.below(8_000))),
        }
    }

    async fn step_process(&mut self) {
        let which = self.pick(self.processes.len());
        let number = self.rng.below(10);
        let (cluster, seed) = (self.cluster(), self.rng.next_u64());
        match &mut self.processes[which] {
            // What fails is tried again by a later step.
            Some(process) => _ = process.step(number).await,
            gone => *gone = Process::start(cluster, seed).await.ok(),
        }
    }

    /// A host's report goes to any process; the answer may get lost.
    async fn report_host(&mut self) {
        let host = self.pick(self.hosts.len());
        let report = self.hosts[host].report();
        if let Ok(directive) = self.cluster().sync_host(&report).await {
            self.mail.push((host, directive));
        }
        _ = self.cluster().beat(&[report.host()]).await;
    }

    /// A directive arrives: usually, in any order, and sometimes twice.
    async fn deliver(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let place = self.pick(self.mail.len());
        let (host, directive) = self.mail[place].clone();
        if !self.rng.chance(1, 4) {
            self.mail.swap_remove(place);
        }
        if !self.rng.chance(1, 5) {
            self.hosts[host].take(&directive);
        }
        self.live().await;
    }

    async fn live(&mut self) {
        let now = self.clock.now();
        let jobs = self.jobs.values();
        let batch: BTreeSet<JobId> = jobs
            .filter(|(_, spec)| is_batch(spec))
            .map(|(id, _)| *id)
            .collect();
        let calm = self.calm;
        for host in 0..self.hosts.len() {
            let chance = |job| match (calm, batch.contains(&job)) {
                (false, _) => 5,
                (true, true) => 40,
                (true, false) => 0,
            };
            for task in self.hosts[host].live(now, &mut self.rng, &chance) {
                self.check_start(host, task).await;
            }
        }
    }

    /// No task starts on two hosts, and a replacement only after what it replaces is over.
    async fn check_start(&self, host: usize, task: TaskId) {
        let mut others = self.hosts.iter().enumerate().filter(|(n, _)| *n != host);
        let twice = others
            .find(|(_, other)| other.started.contains(&task))
            .map(|(n, _)| n);
        assert_eq!(
            twice, None,
            "seed {}: task {task} started on {host} too",
            self.seed
        );
        let found = self.truth.task(task).await.unwrap().unwrap();
        if let Some(before) = found.hot.resubmit_of {
            let before = self.truth.task(before).await.unwrap().unwrap();
            assert_eq!(
                before.hot.state,
                TaskState::Finished,
                "seed {}: {task} started beside {before:?}",
                self.seed
            );
        }
    }

    async fn submit(&mut self) {
        let name = format!("job-{}", self.rng.below(12));
        let spec = spec(&name, &mut self.rng);
        let id = JobId::generate(self.clock.now(), spec.shard(), &mut self.rng);
        let submission = Submission {
            id,
            spec: spec.clone(),
            request_key: Some(name.clone()),
        };
        if let Ok(done) = self.cluster().submit(&submission).await {
            let done = done.unwrap();
            let known = self.jobs.entry(name).or_insert((done.id, spec));
            assert_eq!(known.0, done.id, "seed {}: one request made two jobs", self.seed);
        }
    }

    async fn change_a_job(&mut self) {
        let jobs: Vec<JobId> = self.jobs.values().map(|(id, _)| *id).collect();
        if jobs.is_empty() {
            return;
        }
        let job = jobs[self.pick(jobs.len())];
        let desired = Some(u32::try_from(self.rng.below(6)).unwrap());
        let change = if self.rng.chance(1, 4) {
            JobChange::Kill {
                message: "chaos".into(),
            }
        } else {
            JobChange::Capacity(CapacityUpdate {
                desired,
                ..CapacityUpdate::default()
            })
        };
        // Refusals and failures are answers too.
        _ = self.cluster().change_job(job, &change, &Limits::dev()).await;
    }

    async fn kill_a_task(&mut self) {
        let started: Vec<TaskId> = self
            .hosts
            .iter()
            .flat_map(|host| host.started.iter().copied())
            .collect();
        if started.is_empty() {
            return;
        }
        let request = KillRequest {
            task: started[self.pick(started.len())],
            shrink: self.rng.chance(1, 3),
            keep_min: false,
            message: "chaos".into(),
        };
        _ = self.cluster().kill_task(&request).await;
    }

    /// The whole state as it is stored.
    async fn check(&self) {
        let view = WarmView::load(self.truth.clone()).await.unwrap();
        assert!(
            view.bad_records().is_empty(),
            "seed {}: {:?}",
            self.seed,
            view.bad_records()
        );
        let found = view.with(|view| {
            let hosts = view.hosts().map(|host| &**host);
            check_invariants(view.jobs().map(|job| &**job), view.tasks(), hosts)
        });
        assert!(found.is_empty(), "seed {}: {found:?}", self.seed);
    }

    /// The trouble ends: everything happens in order, and a long time passes.
    async fn calm_down(&mut self) {
        self.kv.set_plan(FaultPlan::default());
        self.mail.clear();
        self.calm = true;
        for _ in 0..200 {
            self.clock.advance(Millis(400));
            for slot in 0..self.processes.len() {
                let (cluster, seed) = (self.cluster(), self.rng.next_u64());
                match &mut self.processes[slot] {
                    Some(process) => process.turn().await.unwrap(),
                    gone => *gone = Some(Process::start(cluster, seed).await.unwrap()),
                }
            }
            for host in 0..self.hosts.len() {
                let report = self.hosts[host].report();
                let directive = self.truth.sync_host(&report).await.unwrap();
                self.truth.beat(&[report.host()]).await.unwrap();
                self.hosts[host].take(&directive);
            }
            self.live().await;
        }
    }

    /// Every job is what it shall be.
    async fn check_done(&self) {
        let view = WarmView::load(self.truth.clone()).await.unwrap();
        let hosts: BTreeSet<HostId> = self.hosts.iter().map(|host| host.spec.id).collect();
        for (id, _) in self.jobs.values() {
            let found = self.truth.job(*id).await.unwrap().unwrap();
            let job = found.record;
            let tasks: Vec<_> = view.with(|view| view.tasks_of_job(*id).collect());
            let about = format!(
                "seed {}: {:?} {:?}: {tasks:#?}",
                self.seed, job.status, job.capacity
            );
            match job.spec.kind() {
                _ if found.archived || job.status.state == JobState::Finished => {
                    assert!(tasks.iter().all(|t| t.state == TaskState::Finished), "{about}");
                }
                JobKind::Batch(_) => panic!("a batch job is not over: {about}"),
                JobKind::Service(_) => {
                    assert_eq!(job.status.state, JobState::Accepted, "{about}");
                    let started = tasks.iter().filter(|t| t.state == TaskState::Started).count();
                    assert_eq!(started, job.capacity.desired as usize, "{about}");
                }
            }
            assert!(
                tasks
                    .iter()
                    .all(|t| t.host.is_none_or(|host| hosts.contains(&host))),
                "{about}"
            );
        }
    }
}

fn is_batch(spec: &JobSpec) -> bool {
    matches!(spec.kind(), JobKind::Batch(_))
}

fn spec(name: &str, rng: &mut Rng) -> Arc<JobSpec> {
    let mut request = JobRequest {
        application_name: name.into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "team@example.com".into();
    request.container.image.name = "host".into();
    request.container.entry_point = vec!["true".into()];
    request.container.resources.cpu = 1.0;
    let size = 1 + u32::try_from(rng.below(4)).unwrap();
    if rng.chance(1, 2) {
        let mut batch = BatchRequest {
            size,
            ..BatchRequest::default()
        };
        batch.retry_policy.immediate = Some(ImmediateRetry { retries: 2 });
        request.batch = Some(batch);
    } else {
        let capacity = Capacity {
            min: 0,
            desired: size,
            max: 8,
        };
        request.service = Some(ServiceRequest {
            capacity,
            ..ServiceRequest::default()
        });
    }
    Arc::new(JobSpec::parse(request, &Limits::dev()).unwrap().0)
}

async fn run(store: Arc<dyn Kv>, clock: Arc<SimClock>, plan: FaultPlan, seed: u64) -> World {
    let mut world = World::new(store, clock, plan, seed);
    for step in 0..STEPS {
        world.step().await;
        if step % 10 == 0 {
            world.check().await;
        }
    }
    world.calm_down().await;
    world.check().await;
    world.check_done().await;
    world
}

fn sim_clock() -> Arc<SimClock> {
    Arc::new(SimClock::new(Timestamp::from_millis(1_700_000_000_000)))
}

/// `TITUS_SEED` runs that seed alone; `TITUS_SEEDS` sets how many are run.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match read("TITUS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..read("TITUS_SEEDS").unwrap_or(default),
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_breaks_no_promise() {
    let mut faults = 0;
    let mut started = 0;
    for seed in seeds(20) {
        println!("TITUS_SEED={seed}");
        let clock = sim_clock();
        let mem = MemKv::builder().clock(clock.clone()).build();
        let world = run(Arc::new(mem), clock, TROUBLE, seed).await;
        faults += world.kv.injected();
        started += world.hosts.iter().map(|host| host.started.len()).sum::<usize>();
    }
    println!("{faults} faults, {started} tasks started");
    assert!(
        faults > 1_000 && started > 100,
        "{faults} faults, {started} tasks started"
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_does_the_same() {
    let mut ends = Vec::new();
    for _ in 0..2 {
        let clock = sim_clock();
        let mem = MemKv::builder().clock(clock.clone()).build();
        let world = run(Arc::new(mem.clone()), clock, TROUBLE, 4_711).await;
        let started: Vec<_> = world.hosts.iter().map(|host| host.started.clone()).collect();
        ends.push((started, world.kv.injected(), mem.version().await.unwrap()));
    }
    assert_eq!(ends[0], ends[1]);
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn trouble_breaks_no_promise_on_disk() {
    for seed in seeds(1) {
        println!("TITUS_SEED={seed}");
        let dir = tempfile::tempdir().unwrap();
        let clock = sim_clock();
        let store = titus_store::backend::Embedded::builder()
            .clock(clock.clone())
            .open(dir.path())
            .unwrap();
        // On real time nothing waits for nothing.
        run(Arc::new(store), clock, FaultPlan { slow: 0, ..TROUBLE }, seed).await;
    }
}

#[tokio::test]
async fn the_store_says_when_it_fails() {
    let kv = FaultKv::new(
        MemKv::new(),
        FaultPlan {
            backend: 1_000,
            ..FaultPlan::default()
        },
        1,
    );
    let cluster = Cluster::new(Arc::new(kv), sim_clock());
    assert!(matches!(cluster.version().await, Err(Error::Backend { .. })));
}
