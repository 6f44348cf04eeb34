//! The cluster layer and its controllers over a memory store that answers one commit in a hundred with "unknown".

#![allow(clippy::unwrap_used, clippy::future_not_send, reason = "tests on one thread")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::job::JobState;
use titus_core::reconcile::Limits as ReconcileLimits;
use titus_core::resources::Resources;
use titus_core::rng::{Rng, RngTree};
use titus_core::schedule::StandardPlanner;
use titus_core::spec::{BatchRequest, Capacity, CapacityUpdate, JobRequest, JobSpec, Limits, ServiceRequest};
use titus_core::task::{Exit, ReasonCode, TaskState};
use titus_core::time::{Millis, Timestamp};
use titus_core::wire::{Directive, HostReport, Phase, TaskReport, Wanted};
use titus_store::backend::MemKv;
use titus_store::clock::{Clock, SimClock};
use titus_store::cluster::{
    Cluster, JobChange, KillRequest, LeaseKeeper, MemberId, Submission, SubmitRefused,
};
use titus_store::controller::{
    ArchiveController, ReconcileController, Retention, ScheduleController, WarmView,
};

const LEASE: Duration = Duration::from_secs(1);

/// One scheduler process over a store, with hosts that do what their directives say at once.
struct World {
    clock: Arc<SimClock>,
    cluster: Cluster,
    warm: WarmView,
    keeper: LeaseKeeper,
    schedule: ScheduleController,
    reconcile: ReconcileController,
    hosts: BTreeMap<HostId, Host>,
    rng: Rng,
}

struct Host {
    spec: HostSpec,
    directive: Option<Directive>,
    /// What each task of the host does: `None` runs until it is stopped.
    exits: BTreeMap<TaskId, Exit>,
    exit: Option<Exit>,
}

impl Host {
    fn report(&self) -> HostReport {
        let mut tasks = Vec::new();
        for task in self.directive.iter().flat_map(|d| &d.tasks) {
            let exit = match task.wanted {
                Wanted::Stop => Some(Exit::Signal(15)),
                Wanted::Run => self.exits.get(&task.task).copied().or(self.exit),
            };
            tasks.push(TaskReport {
                task: task.task,
                phase: if exit.is_some() {
                    Phase::Ended
                } else {
                    Phase::Running
                },
                exit,
                reason: None,
                message: String::new(),
                address: None,
                times: Default::default(),
            });
        }
        HostReport {
            spec: self.spec.clone(),
            generation: self.directive.as_ref().map_or(0, |d| d.generation),
            tasks,
        }
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let kv = MemKv::builder().clock(clock.clone()).unknown(10, seed).build();
        Self::over(Cluster::new(Arc::new(kv), clock.clone()), clock, seed).await
    }

    async fn over(cluster: Cluster, clock: Arc<SimClock>, seed: u64) -> Self {
        let tree = RngTree::new(seed);
        let member = MemberId::generate(&mut tree.child("member"));
        Self {
            warm: WarmView::load(cluster.clone()).await.unwrap(),
            keeper: LeaseKeeper::new(cluster.clone(), member, LEASE),
            schedule: ScheduleController::new(Box::new(StandardPlanner::new()), tree.child("plan")),
            reconcile: ReconcileController::new(ReconcileLimits::default(), tree.child("reconcile")),
            hosts: BTreeMap::new(),
            rng: tree.child("world"),
            clock,
            cluster,
        }
    }

    async fn host(&mut self, name: &str, cpus: u64, exit: Option<Exit>) -> HostId {
        let id = HostId::new(name).unwrap();
        let spec = HostSpec {
            id,
            capacity: Resources {
                cpu_milli: cpus * 1_000,
                memory_mb: 64_000,
                disk_mb: 1_000_000,
                network_mbps: 10_000,
                addresses: 250,
                gpu: 0,
            },
            zone: "a".into(),
            machine_type: "m".into(),
            runtime: "fake".into(),
            datapath: "fake".into(),
            attributes: BTreeMap::new(),
        };
        self.hosts.insert(
            id,
            Host {
                spec,
                directive: None,
                exits: BTreeMap::new(),
                exit,
            },
        );
        self.sync(id).await;
        id
    }

    async fn sync(&mut self, id: HostId) {
        let host = self.hosts.get_mut(&id).unwrap();
        host.directive = Some(self.cluster.sync_host(&host.report()).await.unwrap());
        self.cluster.beat(&[id]).await.unwrap();
    }

    /// One turn of everything.
    async fn turn(&mut self) {
        self.clock.advance(Millis(200));
        if self.keeper.tick().await.unwrap() {
            self.reconcile.look_at_all(&self.warm);
        }
        self.catch_up().await;
        let lease = self.keeper.lease().unwrap().clone();
        self.reconcile.tick(&self.warm, &lease).await.unwrap();
        self.catch_up().await;
        self.schedule.tick(&self.warm, &lease).await.unwrap();
        self.catch_up().await;
        for id in self.hosts.keys().copied().collect::<Vec<_>>() {
            self.sync(id).await;
        }
        self.catch_up().await;
    }

    async fn turns(&mut self, n: usize) {
        for _ in 0..n {
            self.turn().await;
        }
    }

    async fn catch_up(&self) {
        self.warm
            .catch_up(self.cluster.version().await.unwrap())
            .await
            .unwrap();
    }

    async fn submit(&mut self, spec: Arc<JobSpec>) -> JobId {
        let id = JobId::generate(self.clock.now(), spec.shard(), &mut self.rng);
        let submission = Submission {
            id,
            spec,
            request_key: Some(format!("key-{id}")),
        };
        self.cluster.submit(&submission).await.unwrap().unwrap().id
    }

    fn states(&self, job: JobId) -> Vec<(u32, TaskState)> {
        self.warm
            .with(|view| view.tasks_of_job(job).map(|t| (t.index, t.state)).collect())
    }

    fn count(&self, job: JobId, state: TaskState) -> u32 {
        self.warm.with(|view| view.job_counts(job).of(state))
    }

    fn job_state(&self, job: JobId) -> Option<JobState> {
        self.warm.with(|view| view.job(job).map(|j| j.status.state))
    }

    /// What is promised on each host is what its tasks take.
    async fn check_rooms(&self) {
        let fresh = WarmView::load(self.cluster.clone()).await.unwrap();
        let problems = fresh.with(|view| {
            let hosts = view.hosts().map(|h| &**h);
            titus_core::invariant::check_invariants(view.jobs().map(|j| &**j), view.tasks(), hosts)
        });
        assert!(problems.is_empty(), "{problems:?}");
    }
}

fn request(app: &str) -> JobRequest {
    let mut request = JobRequest {
        application_name: app.into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "team@example.com".into();
    request.container.image.name = "host".into();
    request.container.image.tag = "latest".into();
    request.container.entry_point = vec!["true".into()];
    request.container.resources.cpu = 1.0;
    request
}

fn parse(request: JobRequest) -> Arc<JobSpec> {
    Arc::new(JobSpec::parse(request, &Limits::dev()).unwrap().0)
}

fn batch(app: &str, size: u32, retries: u32) -> Arc<JobSpec> {
    let mut batch = BatchRequest {
        size,
        ..BatchRequest::default()
    };
    batch.retry_policy.immediate = Some(titus_core::spec::ImmediateRetry { retries });
    parse(JobRequest {
        batch: Some(batch),
        ..request(app)
    })
}

fn service(app: &str, desired: u32) -> Arc<JobSpec> {
    let capacity = Capacity {
        min: 0,
        desired,
        max: 100,
    };
    parse(JobRequest {
        service: Some(ServiceRequest {
            capacity,
            ..ServiceRequest::default()
        }),
        ..request(app)
    })
}

#[tokio::test]
async fn a_batch_job_runs_to_its_end_and_is_archived() {
    for seed in 0..20 {
        let mut world = World::new(seed).await;
        world.host("h1", 4, Some(Exit::Code(0))).await;
        let job = world.submit(batch("words", 6, 0)).await;
        world.turns(8).await;
        assert_eq!(
            world.job_state(job),
            Some(JobState::Finished),
            "seed {seed}: {:?}",
            world.states(job)
        );
        assert_eq!(world.count(job, TaskState::Finished), 6, "seed {seed}");
        world.check_rooms().await;
        let lease = world.keeper.lease().unwrap().clone();
        let retention = Retention {
            finished: Millis::ZERO,
            ..Retention::default()
        };
        let mut archive = ArchiveController::new(retention);
        archive.tick(&world.warm, &lease).await.unwrap();
        world.catch_up().await;
        assert_eq!(world.job_state(job), None);
        let found = world.cluster.job(job).await.unwrap().unwrap();
        assert!(found.archived && found.record.status.state == JobState::Finished);
        let tasks = world.cluster.archived_tasks(job, 100).await.unwrap();
        assert_eq!(tasks.len(), 6);
        assert!(
            tasks
                .iter()
                .all(|t| t.exit == Some(Exit::Code(0)) && t.reason == ReasonCode::Normal)
        );
        world.clock.advance(Millis(Retention::default().archived.0 + 1));
        world.keeper.tick().await.unwrap();
        archive.tick(&world.warm, &lease).await.unwrap();
        assert!(world.cluster.job(job).await.unwrap().is_none());
        assert!(world.cluster.task(tasks[0].id).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_failed_task_is_replaced_as_often_as_its_job_allows() {
    let mut world = World::new(1).await;
    world.host("h1", 4, Some(Exit::Code(3))).await;
    let job = world.submit(batch("fails", 1, 2)).await;
    world.turns(60).await;
    assert_eq!(world.job_state(job), Some(JobState::Finished));
    let tasks: Vec<_> = world.warm.with(|view| view.tasks_of_job(job).collect());
    assert_eq!(tasks.len(), 3, "{tasks:?}");
    assert!(
        tasks
            .iter()
            .all(|t| t.exit == Some(Exit::Code(3)) && t.reason == ReasonCode::Failed)
    );
    world.check_rooms().await;
}

#[tokio::test]
async fn a_service_is_kept_at_its_size_through_kills_and_scaling() {
    for seed in 0..10 {
        let mut world = World::new(seed).await;
        world.host("h1", 4, None).await;
        world.host("h2", 4, None).await;
        let job = world.submit(service("web", 3)).await;
        world.turns(5).await;
        assert_eq!(
            world.count(job, TaskState::Started),
            3,
            "seed {seed}: {:?}",
            world.states(job)
        );
        let victim = world.warm.with(|view| view.tasks_of_job(job).next().unwrap().id);
        let kill = KillRequest {
            task: victim,
            shrink: false,
            keep_min: false,
            message: "test".into(),
        };
        world.cluster.kill_task(&kill).await.unwrap().unwrap();
        world.turns(20).await;
        assert_eq!(
            world.count(job, TaskState::Started),
            3,
            "seed {seed}: {:?}",
            world.states(job)
        );
        let killed = world.cluster.task(victim).await.unwrap().unwrap();
        assert_eq!(killed.hot.reason, ReasonCode::Killed);
        let update = CapacityUpdate {
            desired: Some(7),
            ..CapacityUpdate::default()
        };
        let change = JobChange::Capacity(update);
        world
            .cluster
            .change_job(job, &change, &Limits::dev())
            .await
            .unwrap()
            .unwrap();
        world.turns(5).await;
        assert_eq!(world.count(job, TaskState::Started), 7, "seed {seed}");
        let down = JobChange::Capacity(CapacityUpdate {
            desired: Some(1),
            ..CapacityUpdate::default()
        });
        world
            .cluster
            .change_job(job, &down, &Limits::dev())
            .await
            .unwrap()
            .unwrap();
        world.turns(5).await;
        assert_eq!(world.count(job, TaskState::Started), 1, "seed {seed}");
        let stop = JobChange::Kill {
            message: "done".into(),
        };
        world
            .cluster
            .change_job(job, &stop, &Limits::dev())
            .await
            .unwrap()
            .unwrap();
        world.turns(5).await;
        assert_eq!(world.job_state(job), Some(JobState::Finished), "seed {seed}");
        world.check_rooms().await;
    }
}

#[tokio::test]
async fn what_finds_no_room_waits_with_its_reason_until_there_is_room() {
    let mut world = World::new(5).await;
    world.host("h1", 2, None).await;
    let job = world.submit(service("wide", 3)).await;
    world.turns(4).await;
    assert_eq!(world.count(job, TaskState::Started), 2);
    let waiting = world
        .schedule
        .waiting()
        .lock()
        .unwrap()
        .get(&job)
        .unwrap()
        .clone();
    assert_eq!(waiting.report.hosts, 1);
    assert_eq!(
        waiting.report.rejections.iter().map(|r| r.hosts).sum::<u64>(),
        1,
        "{}",
        waiting.report
    );
    // The first back-off of a second passes once; the next one is longer than what follows here.
    world.turns(3).await;
    let rounds = world.schedule.counters().lock().unwrap().rounds;
    world.turns(5).await;
    assert_eq!(
        world.schedule.counters().lock().unwrap().rounds,
        rounds,
        "planned again without a reason"
    );
    world.host("h2", 2, None).await;
    world.turns(3).await;
    assert_eq!(world.count(job, TaskState::Started), 3);
    assert!(world.schedule.waiting().lock().unwrap().is_empty());
    world.check_rooms().await;
}

#[tokio::test]
async fn a_request_key_makes_one_job_and_a_sequence_is_unique() {
    let mut world = World::new(3).await;
    let mut named = request("app");
    named.batch = Some(BatchRequest {
        size: 1,
        ..BatchRequest::default()
    });
    named.job_group_info.sequence = "v001".into();
    let spec = parse(named);
    let first = world.submit(Arc::clone(&spec)).await;
    let again = Submission {
        id: JobId::generate(world.clock.now(), spec.shard(), &mut world.rng),
        spec: Arc::clone(&spec),
        request_key: Some(format!("key-{first}")),
    };
    let repeated = world.cluster.submit(&again).await.unwrap().unwrap();
    assert!(repeated.repeated && repeated.id == first);
    let other = Submission {
        request_key: None,
        ..again
    };
    let refused = world.cluster.submit(&other).await.unwrap().unwrap_err();
    assert_eq!(
        refused,
        SubmitRefused::NameTaken {
            name: "app---v001".into(),
            by: first
        }
    );
    world.clock.advance(Millis::from_secs(3_601));
    assert_eq!(
        world.cluster.drop_request_keys(world.clock.now()).await.unwrap(),
        1
    );
}

#[tokio::test]
async fn a_silent_owner_loses_its_shards_and_is_fenced() {
    let mut world = World::new(4).await;
    world.host("h1", 4, None).await;
    world.turns(2).await;
    let old = world.keeper.lease().unwrap().clone();
    assert_eq!(old.shards().count(), 64);
    let mut other = LeaseKeeper::new(world.cluster.clone(), MemberId::generate(&mut world.rng), LEASE);
    for _ in 0..3 {
        world.clock.advance(Millis(200));
        world.keeper.tick().await.unwrap();
        assert!(!other.tick().await.unwrap(), "a living owner keeps its shards");
    }
    for _ in 0..6 {
        world.clock.advance(Millis(200));
        other.tick().await.unwrap();
    }
    assert_eq!(other.lease().unwrap().shards().count(), 64);
    assert!(
        world.keeper.lease().is_none(),
        "not renewed for half a lease: plans nothing"
    );
    let job = world.submit(service("web", 1)).await;
    world.catch_up().await;
    world.reconcile.look_at_all(&world.warm);
    world.reconcile.tick(&world.warm, &old).await.unwrap();
    world.catch_up().await;
    assert_eq!(world.states(job), [], "the old owner writes nothing");
    world.keeper.tick().await.unwrap();
    assert_eq!(world.keeper.lease().unwrap().shards().count(), 0);
    other.give_away().await.unwrap();
    world.clock.advance(Millis(200));
    assert!(
        world.keeper.tick().await.unwrap(),
        "what is given away is taken at once"
    );
    assert_eq!(world.keeper.lease().unwrap().shards().count(), 64);
}

#[tokio::test]
async fn a_new_process_finds_everything_as_it_was() {
    let mut world = World::new(6).await;
    world.host("h1", 4, None).await;
    let job = world.submit(service("web", 2)).await;
    world.turns(5).await;
    let before = world.states(job);
    let mut next = World::over(world.cluster.clone(), world.clock.clone(), 77).await;
    assert_eq!(next.states(job), before);
    next.hosts = std::mem::take(&mut world.hosts);
    for _ in 0..8 {
        next.clock.advance(Millis(200));
        next.keeper.tick().await.unwrap();
    }
    next.turns(3).await;
    assert_eq!(next.states(job), before);
    next.check_rooms().await;
}

#[tokio::test]
async fn old_feed_entries_are_dropped_and_followers_are_told() {
    let mut world = World::new(8).await;
    world.host("h1", 4, None).await;
    let start = world.cluster.version().await.unwrap();
    let job = world.submit(batch("old", 1, 0)).await;
    let feed = job.shard().unwrap().into();
    world.cluster.compact_feeds(world.clock.now()).await.unwrap();
    world.clock.advance(Millis::from_secs(3_700));
    world.cluster.compact_feeds(world.clock.now()).await.unwrap();
    let page = world.cluster.follow(feed, start).await.unwrap();
    assert_eq!(page, titus_store::cluster::FeedPage::TooOld);
    let fresh = WarmView::load(world.cluster.clone()).await.unwrap();
    assert!(fresh.with(|view| view.job(job).is_some()));
}
