//! What is archived can be found for its time, and is gone after it: also of a job that never ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::time::Duration;

use titus_core::id::{JobId, TaskId};
use titus_core::reconcile::Action;
use titus_core::rng::{Rng, RngTree};
use titus_core::spec::{Capacity, JobRequest, JobSpec, Limits, ServiceRequest};
use titus_core::task::{ReasonCode, TaskHot};
use titus_core::time::{Millis, Timestamp};
use titus_store::backend::MemKv;
use titus_store::clock::{Clock as _, SimClock};
use titus_store::cluster::{Cluster, Lease, LeaseKeeper, MemberId, Submission};

struct World {
    clock: Arc<SimClock>,
    cluster: Cluster,
    lease: Lease,
    spec: Arc<JobSpec>,
    job: JobId,
    rng: Rng,
}

impl World {
    /// A service job in a cell of its own, with 1 % of commits answered `Unknown`.
    async fn new() -> Self {
        let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let kv = MemKv::builder().clock(clock.clone()).unknown(10, 5).build();
        let cluster = Cluster::new(Arc::new(kv), clock.clone());
        let mut rng = RngTree::new(5).child("world");
        let mut keeper = LeaseKeeper::new(
            cluster.clone(),
            MemberId::generate(&mut rng),
            Duration::from_secs(1),
        );
        keeper.tick().await.unwrap();
        let mut request = JobRequest {
            application_name: "app".into(),
            ..JobRequest::default()
        };
        request.owner.team_email = "team@example.com".into();
        request.container.image.name = "host".into();
        let capacity = Capacity {
            min: 0,
            desired: 1,
            max: 9,
        };
        request.service = Some(ServiceRequest {
            capacity,
            ..ServiceRequest::default()
        });
        let spec = Arc::new(JobSpec::parse(request, &Limits::dev()).unwrap().0);
        let job = JobId::generate(clock.now(), spec.shard(), &mut rng);
        let submission = Submission {
            id: job,
            spec: spec.clone(),
            request_key: None,
        };
        cluster.submit(&submission).await.unwrap().unwrap();
        Self {
            lease: keeper.lease().unwrap().clone(),
            clock,
            cluster,
            spec,
            job,
            rng,
        }
    }

    async fn apply(&self, action: Action) {
        let shard = self.spec.shard();
        let held = self
            .cluster
            .apply_actions(&self.lease, shard, self.job, &[action])
            .await;
        assert!(held.unwrap());
    }

    fn task(&mut self, index: u32, resubmit_of: Option<TaskId>) -> TaskHot {
        let id = TaskId::generate(self.clock.now(), self.spec.shard(), &mut self.rng);
        let task = TaskHot::accepted(id, self.job, index, self.clock.now());
        TaskHot { resubmit_of, ..task }
    }

    async fn create(&self, task: TaskHot) -> bool {
        self.apply(Action::Create(Box::new(task))).await;
        self.cluster.task(task.id).await.unwrap().is_some()
    }

    async fn kill(&self, task: TaskId) {
        let reason = ReasonCode::Killed;
        self.apply(Action::Kill { task, reason }).await;
    }
}

#[tokio::test]
async fn archived_tasks_of_a_job_that_never_ends_are_forgotten_by_age() {
    let mut world = World::new().await;
    let mut before = None;
    let mut tasks = Vec::new();
    for _ in 0..500 {
        let task = world.task(0, before);
        assert!(world.create(task).await);
        world.kill(task.id).await;
        world.apply(Action::Archive { task: task.id }).await;
        before = Some(task.id);
        tasks.push(task.id);
        world.clock.advance(Millis(1_000));
    }
    let found = world.cluster.task(tasks[0]).await.unwrap().unwrap();
    assert!(found.archived);
    let kept = world.cluster.archived_tasks(world.job, 1_000).await.unwrap();
    assert_eq!(kept.iter().map(|t| t.id).collect::<Vec<_>>(), tasks);

    let dropped = world
        .cluster
        .drop_archived(world.clock.now() - Millis(100_000))
        .await
        .unwrap();
    // An unknown outcome is looked up again, and what is gone already is not counted twice.
    assert!((200..=400).contains(&dropped), "{dropped}");
    let kept = world.cluster.archived_tasks(world.job, 1_000).await.unwrap();
    assert_eq!(kept.iter().map(|t| t.id).collect::<Vec<_>>(), tasks[400..]);
    assert!(world.cluster.task(tasks[0]).await.unwrap().is_none());
    assert!(world.cluster.task(tasks[499]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_slot_takes_a_new_task_only_in_place_of_its_last_one() {
    let mut world = World::new().await;
    let first = world.task(0, None);
    assert!(world.create(first).await);
    let twin = world.task(0, None);
    assert!(!world.create(twin).await, "the slot is taken");
    let early = world.task(0, Some(first.id));
    assert!(!world.create(early).await, "its task is not over");
    world.kill(first.id).await;
    let stranger = world.task(0, Some(twin.id));
    assert!(!world.create(stranger).await, "it replaces another one");
    let second = world.task(0, Some(first.id));
    assert!(world.create(second).await);
    world.kill(second.id).await;
    let late = world.task(0, Some(first.id));
    assert!(!world.create(late).await, "the first was replaced before");
    let other_slot = world.task(1, None);
    assert!(world.create(other_slot).await);
}
