//! What each operation guards against, one guard a test: something else happens at the worst moment, between an
//! operation's reads and its commit, or the caller is wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use titus_core::host::{HostHealth, HostSpec};
use titus_core::id::{HostId, JobId, PlanId, TaskId};
use titus_core::reconcile::Action;
use titus_core::resources::{ResourceKind, Resources};
use titus_core::rng::{Rng, RngTree};
use titus_core::schedule::{Placement, Plan, RefusalReason};
use titus_core::spec::{BatchRequest, JobRequest, JobSpec, Limits};
use titus_core::task::{ReasonCode, TaskHot};
use titus_core::time::{Millis, Timestamp};
use titus_core::wire::HostReport;
use titus_store::backend::MemKv;
use titus_store::clock::{Clock as _, SimClock};
use titus_store::cluster::{Cluster, Feed, FeedPage, Lease, LeaseKeeper, MemberId, Submission};
use titus_store::controller::WarmView;
use titus_store::key::Parts;
use titus_store::{Entry, KeyRange, Kv, Read, Result, Txn, Version};

const LEASE: Duration = Duration::from_secs(1);

type Deed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A store in which something happens right before a transaction begins or commits.
struct Meddling {
    inner: MemKv,
    /// How many calls until then, and what.
    at_begin: Plot,
    at_commit: Plot,
}

type Plot = Arc<Mutex<Option<(usize, Deed)>>>;

impl fmt::Debug for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

async fn unfold(plot: &Plot) {
    let deed = {
        let mut plot = plot.lock().unwrap();
        match plot.take() {
            Some((0, deed)) => Some(deed),
            Some((calls, deed)) => {
                *plot = Some((calls - 1, deed));
                None
            }
            None => None,
        }
    };
    if let Some(deed) = deed {
        deed.await;
    }
}

#[async_trait]
impl Kv for Meddling {
    async fn begin(&self) -> Result<Box<dyn Txn>> {
        unfold(&self.at_begin).await;
        let plot = Arc::clone(&self.at_commit);
        Ok(Box::new(MeddlingTxn(self.inner.begin().await?, plot, false)))
    }

    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()> {
        self.inner.changed(prefix, since).await
    }

    async fn version(&self) -> Result<Version> {
        self.inner.version().await
    }
}

struct MeddlingTxn(Box<dyn Txn>, Plot, bool);

#[async_trait]
impl Txn for MeddlingTxn {
    fn read_version(&self) -> Version {
        self.0.read_version()
    }

    async fn get(&self, key: &[u8], read: Read) -> Result<Option<Bytes>> {
        self.0.get(key, read).await
    }

    async fn scan(&self, range: &KeyRange, limit: usize, read: Read) -> Result<Vec<Entry>> {
        self.0.scan(range, limit, read).await
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.2 = true;
        self.0.set(key, value);
    }

    fn clear(&mut self, range: &KeyRange) {
        self.2 = true;
        self.0.clear(range);
    }

    fn append(&mut self, prefix: &[u8], value: &[u8]) {
        self.2 = true;
        self.0.append(prefix, value);
    }

    async fn commit(self: Box<Self>) -> Result<Version> {
        if self.2 {
            unfold(&self.1).await;
        }
        self.0.commit().await
    }
}

struct World {
    clock: Arc<SimClock>,
    kv: Arc<Meddling>,
    /// Through the store that meddles.
    cluster: Cluster,
    /// Past it.
    direct: Cluster,
    keeper: LeaseKeeper,
    lease: Lease,
    rng: Rng,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let inner = MemKv::builder().clock(clock.clone()).build();
        let kv = Arc::new(Meddling {
            inner: inner.clone(),
            at_begin: Plot::default(),
            at_commit: Plot::default(),
        });
        let cluster = Cluster::new(kv.clone(), clock.clone());
        let mut rng = RngTree::new(9).child("guards");
        let mut keeper = LeaseKeeper::new(cluster.clone(), MemberId::generate(&mut rng), LEASE);
        keeper.tick().await.unwrap();
        let lease = keeper.lease().unwrap().clone();
        Self {
            direct: Cluster::new(Arc::new(inner), clock.clone()),
            clock,
            kv,
            cluster,
            keeper,
            lease,
            rng,
        }
    }

    /// `deed` happens before the commit with this number, counted from now.
    fn before_commit(&self, number: usize, deed: impl Future<Output = ()> + Send + 'static) {
        *self.kv.at_commit.lock().unwrap() = Some((number, Box::pin(deed)));
    }

    fn challenger(&mut self) -> LeaseKeeper {
        LeaseKeeper::new(self.cluster.clone(), MemberId::generate(&mut self.rng), LEASE)
    }

    async fn submit(&mut self, sequence: &str, size: u32) -> (JobId, Arc<JobSpec>) {
        let spec = spec(sequence, size);
        let id = JobId::generate(self.clock.now(), spec.shard(), &mut self.rng);
        let submission = Submission {
            id,
            spec: spec.clone(),
            request_key: Some(sequence.into()),
        };
        self.direct.submit(&submission).await.unwrap().unwrap();
        (id, spec)
    }

    async fn create(&mut self, job: JobId, spec: &JobSpec, count: u32) -> Vec<TaskId> {
        let tasks: Vec<TaskHot> = (0..count)
            .map(|index| {
                let id = TaskId::generate(self.clock.now(), spec.shard(), &mut self.rng);
                TaskHot::accepted(id, job, index, self.clock.now())
            })
            .collect();
        let ids = tasks.iter().map(|task| task.id).collect();
        self.apply(
            job,
            spec,
            tasks
                .into_iter()
                .map(|task| Action::Create(Box::new(task)))
                .collect(),
        )
        .await;
        ids
    }

    async fn apply(&self, job: JobId, spec: &JobSpec, actions: Vec<Action>) {
        let held = self
            .direct
            .apply_actions(&self.lease, spec.shard(), job, &actions)
            .await;
        assert!(held.unwrap());
    }

    /// Placements of these tasks on one host, whether it has room or not.
    fn plan(&mut self, job: JobId, spec: &JobSpec, tasks: &[TaskId], host: HostId) -> Plan {
        let placement = |task: &TaskId| Placement {
            task: *task,
            job,
            host,
            resources: spec.resources(),
            host_generation: 0,
        };
        Plan {
            id: PlanId::generate(self.clock.now(), spec.shard(), &mut self.rng),
            placements: tasks.iter().map(placement).collect(),
            unplaced: Vec::new(),
        }
    }
}

fn spec(sequence: &str, size: u32) -> Arc<JobSpec> {
    let mut request = JobRequest {
        application_name: "app".into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "team@example.com".into();
    request.container.image.name = "host".into();
    request.container.resources.cpu = 1.0;
    request.job_group_info.sequence = sequence.into();
    request.batch = Some(BatchRequest {
        size,
        ..BatchRequest::default()
    });
    Arc::new(JobSpec::parse(request, &Limits::dev()).unwrap().0)
}

/// Registers a host of two CPUs, of which the container of a task takes one.
async fn register(cluster: &Cluster, name: &str) -> HostId {
    let id = HostId::new(name).unwrap();
    cluster.sync_host(&report(id, 1)).await.unwrap();
    id
}

/// The report of a host without tasks that acts on a directive.
fn report(id: HostId, generation: u64) -> HostReport {
    let spec = HostSpec {
        id,
        capacity: Resources {
            cpu_milli: 2_000,
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
        attributes: [].into(),
    };
    HostReport {
        spec,
        generation,
        tasks: Vec::new(),
    }
}

#[tokio::test]
async fn a_plan_over_a_hosts_room_is_refused_in_part_and_its_repeat_finds_its_own_work() {
    let mut world = World::new().await;
    let host = register(&world.direct, "h1").await;
    let (job, spec) = world.submit("v1", 3).await;
    let tasks = world.create(job, &spec, 3).await;
    let plan = world.plan(job, &spec, &tasks, host);
    for _ in 0..2 {
        let done = world.cluster.commit(&plan, &world.lease).await.unwrap();
        assert_eq!(done.placed.len(), 2, "{done:?}");
        assert_eq!(done.refused.len(), 1, "{done:?}");
        assert_eq!(done.refused[0].reason, RefusalReason::NoRoom(ResourceKind::Cpu));
    }
    let other = world.plan(job, &spec, &tasks[..1], host);
    let done = world.cluster.commit(&other, &world.lease).await.unwrap();
    assert_eq!(done.refused[0].reason, RefusalReason::TaskNotWaiting);
}

#[tokio::test]
async fn two_plans_at_once_do_not_fill_a_host_twice() {
    let mut world = World::new().await;
    let host = register(&world.direct, "h1").await;
    let (job, spec) = world.submit("v1", 4).await;
    let tasks = world.create(job, &spec, 4).await;
    let first = world.plan(job, &spec, &tasks[..2], host);
    let second = world.plan(job, &spec, &tasks[2..], host);
    let (direct, lease) = (world.direct.clone(), world.lease.clone());
    world.before_commit(0, async move {
        assert_eq!(direct.commit(&second, &lease).await.unwrap().placed.len(), 2);
    });
    let done = world.cluster.commit(&first, &world.lease).await.unwrap();
    assert_eq!((done.placed.len(), done.refused.len()), (0, 2), "{done:?}");
}

#[tokio::test]
async fn a_lease_lost_in_the_middle_of_a_commit_commits_nothing() {
    let mut world = World::new().await;
    let host = register(&world.direct, "h1").await;
    let (job, spec) = world.submit("v1", 1).await;
    let tasks = world.create(job, &spec, 1).await;
    let plan = world.plan(job, &spec, &tasks, host);
    let mut other = world.challenger();
    let clock = world.clock.clone();
    world.before_commit(0, async move {
        for _ in 0..8 {
            clock.advance(Millis(200));
            other.tick().await.unwrap();
        }
        assert_eq!(other.lease().unwrap().shards().count(), 64);
    });
    let done = world.cluster.commit(&plan, &world.lease).await.unwrap();
    assert!(done.fenced && done.placed.is_empty(), "{done:?}");
    assert_eq!(world.direct.task(tasks[0]).await.unwrap().unwrap().hot.host, None);
}

#[tokio::test]
async fn a_renewal_that_lands_before_a_take_over_wins() {
    let mut world = World::new().await;
    let mut other = world.challenger();
    for _ in 0..5 {
        other.tick().await.unwrap();
        world.clock.advance(Millis(200));
    }
    // The tick that would take over first renews its own lease, then commits the take-over.
    let mut owner = std::mem::replace(&mut world.keeper, other);
    let renewed = Arc::new(Mutex::new(false));
    let flag = Arc::clone(&renewed);
    world.before_commit(1, async move {
        owner.tick().await.unwrap();
        *flag.lock().unwrap() = true;
        assert_eq!(owner.lease().unwrap().shards().count(), 64);
    });
    world.keeper.tick().await.unwrap();
    assert!(*renewed.lock().unwrap(), "the challenger did not try");
    assert_eq!(world.keeper.lease().unwrap().shards().count(), 0);
}

#[tokio::test]
async fn a_sign_of_life_that_lands_first_keeps_a_host() {
    let world = World::new().await;
    let host = register(&world.direct, "h1").await;
    world.direct.beat(&[host]).await.unwrap();
    let seen = world.direct.host_beats().await.unwrap()[0].beat;
    world.clock.advance(Millis(1));
    let direct = world.direct.clone();
    world.before_commit(0, async move { direct.beat(&[host]).await.unwrap() });
    world
        .cluster
        .set_host_health(host, HostHealth::Lost, seen)
        .await
        .unwrap();
    let alive = world.direct.host_beats().await.unwrap()[0];
    assert_eq!(alive.health, HostHealth::Ready);
    world
        .cluster
        .set_host_health(host, HostHealth::Lost, alive.beat)
        .await
        .unwrap();
    assert_eq!(
        world.direct.host_beats().await.unwrap()[0].health,
        HostHealth::Lost
    );
}

#[tokio::test]
async fn a_job_that_runs_is_not_archived() {
    let mut world = World::new().await;
    let (job, spec) = world.submit("v1", 1).await;
    let moved = world
        .direct
        .archive_job(&world.lease, spec.shard(), job, &[])
        .await
        .unwrap();
    assert!(!moved);
    assert!(!world.direct.job(job).await.unwrap().unwrap().archived);
}

#[tokio::test]
async fn what_happens_while_a_view_loads_is_in_it() {
    let mut world = World::new().await;
    let (early, _) = world.submit("early", 1).await;
    let late_spec = spec("late", 1);
    let late = JobId::generate(world.clock.now(), late_spec.shard(), &mut world.rng);
    let direct = world.direct.clone();
    let submission = Submission {
        id: late,
        spec: late_spec,
        request_key: None,
    };
    // 64 shards are read, jobs and tasks of each in turn, and hosts last: by then the job's shard was read.
    let deed = async move {
        direct.submit(&submission).await.unwrap().unwrap();
    };
    *world.kv.at_begin.lock().unwrap() = Some((128, Box::pin(deed)));
    let warm = WarmView::load(world.cluster.clone()).await.unwrap();
    assert!(
        world.kv.at_begin.lock().unwrap().is_none(),
        "the job was never submitted"
    );
    assert!(warm.with(|view| view.job(early).is_some() && view.job(late).is_some()));
}

#[tokio::test]
async fn a_feed_is_followed_whole_over_pages_that_end_in_the_middle_of_a_commit() {
    let mut world = World::new().await;
    let start = world.direct.version().await.unwrap();
    let (job, spec) = world.submit("v1", 1).await;
    world.create(job, &spec, 4_321).await;
    let feed = Feed::from(spec.shard());
    let (mut after, mut seen, mut pages) = (start, Vec::new(), 0);
    loop {
        let FeedPage::Changes {
            changes,
            bad,
            complete,
            more,
        } = world.direct.follow(feed, after).await.unwrap()
        else {
            panic!("the feed is too old");
        };
        assert!(bad.is_empty());
        pages += 1;
        seen.extend(changes.into_iter().map(|(version, _)| version));
        after = complete;
        if !more {
            break;
        }
    }
    assert_eq!(seen.len(), 4_322);
    assert!(pages > 1 && seen.is_sorted());
    assert_eq!(after, world.direct.version().await.unwrap());
}

/// The kinds of keys that a store holds: the first element of each.
async fn kinds(cluster: &Cluster) -> BTreeSet<String> {
    let txn = cluster.kv().begin().await.unwrap();
    let all = txn
        .scan(&KeyRange::new("", "\u{7F}"), 100_000, Read::Snapshot)
        .await
        .unwrap();
    all.iter()
        .map(|entry| Parts::of(&entry.key).text().unwrap())
        .collect()
}

#[tokio::test]
async fn a_job_that_is_forgotten_leaves_nothing() {
    let mut world = World::new().await;
    let host = register(&world.direct, "h1").await;
    let before = kinds(&world.direct).await;
    let (job, spec) = world.submit("v1", 2).await;
    let tasks = world.create(job, &spec, 2).await;
    let plan = world.plan(job, &spec, &tasks[..1], host);
    world.direct.commit(&plan, &world.lease).await.unwrap();
    for kind in [
        "on", "ready", "name", "slot", "job", "spec", "task", "req", "reqexp",
    ] {
        assert!(kinds(&world.direct).await.contains(kind), "{kind}");
    }
    let reason = ReasonCode::Killed;
    let kill = |task: &TaskId| Action::Kill { task: *task, reason };
    world.apply(job, &spec, tasks.iter().map(kill).collect()).await;
    // The host acts on its newest directive and has no such task: it is lost.
    let generation = world.direct.directive(host).await.unwrap().generation;
    world.direct.sync_host(&report(host, generation)).await.unwrap();
    let message = "done".into();
    world
        .apply(job, &spec, vec![Action::FinishJob { reason, message }])
        .await;
    assert!(
        world
            .direct
            .archive_job(&world.lease, spec.shard(), job, &tasks)
            .await
            .unwrap()
    );
    let archived = world.direct.job(job).await.unwrap().unwrap();
    assert!(archived.archived);
    world.clock.advance(Millis::from_secs(3_601));
    world.direct.drop_request_keys(world.clock.now()).await.unwrap();
    assert_eq!(world.direct.drop_archived(world.clock.now()).await.unwrap(), 3);
    let feeds_may_stay = |kind: &String| kind != "feed";
    let left: BTreeSet<String> = kinds(&world.direct)
        .await
        .into_iter()
        .filter(feeds_may_stay)
        .collect();
    assert!(left.is_subset(&before), "left: {left:?}, before: {before:?}");
}
