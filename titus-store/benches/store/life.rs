//! What one task's life writes, from the submission of its job to its archive: bytes and transactions a task, for a job
//! of 500 tasks on 20 hosts. The budget is 4 kB and 4 transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId};
use titus_core::reconcile::Limits as ReconcileLimits;
use titus_core::resources::Resources;
use titus_core::rng::RngTree;
use titus_core::schedule::StandardPlanner;
use titus_core::spec::{BatchRequest, JobRequest, JobSpec, Limits};
use titus_core::task::{Exit, StageTimes};
use titus_core::time::{Millis, Timestamp};
use titus_core::wire::{Directive, HostReport, Phase, TaskReport};
use titus_store::backend::MemKv;
use titus_store::clock::{Clock as _, SimClock};
use titus_store::cluster::{Cluster, LeaseKeeper, MemberId, Submission};
use titus_store::controller::{
    ArchiveController, ReconcileController, Retention, ScheduleController, WarmView,
};
use titus_store::{Entry, KeyRange, Kv, Read, Result, Txn, Version};

const TASKS: u32 = 500;
const HOSTS: usize = 20;

/// Counts what is written.
#[derive(Debug)]
struct Counting(MemKv, Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    commits: AtomicU64,
}

struct CountingTxn(Box<dyn Txn>, Arc<Counts>, u64);

#[async_trait]
impl Kv for Counting {
    async fn begin(&self) -> Result<Box<dyn Txn>> {
        Ok(Box::new(CountingTxn(self.0.begin().await?, self.1.clone(), 0)))
    }

    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()> {
        self.0.changed(prefix, since).await
    }

    async fn version(&self) -> Result<Version> {
        self.0.version().await
    }
}

#[async_trait]
impl Txn for CountingTxn {
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
        self.2 += (key.len() + value.len()) as u64;
        self.0.set(key, value);
    }

    fn clear(&mut self, range: &KeyRange) {
        self.2 += (range.start.len() + range.end.len()) as u64;
        self.0.clear(range);
    }

    fn append(&mut self, prefix: &[u8], value: &[u8]) {
        self.2 += (prefix.len() + 13 + value.len()) as u64;
        self.0.append(prefix, value);
    }

    async fn commit(self: Box<Self>) -> Result<Version> {
        let version = self.0.commit().await?;
        self.1.bytes.fetch_add(self.2, Ordering::Relaxed);
        self.1.commits.fetch_add(u64::from(self.2 > 0), Ordering::Relaxed);
        Ok(version)
    }
}

pub(crate) fn measure() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let counts = runtime.block_on(live());
    let (bytes, commits) = (
        counts.bytes.load(Ordering::Relaxed),
        counts.commits.load(Ordering::Relaxed),
    );
    let each = |total: u64| total as f64 / f64::from(TASKS);
    for (metric, value, budget) in [
        ("bytes_per_task_life", each(bytes), 4_096.0),
        ("transactions_per_task_life", each(commits), 4.0),
    ] {
        println!(
            r#"{{"bench":"store","case":"tasks={TASKS} hosts={HOSTS}","metric":"{metric}","value":{value:.2},"baseline":"budget","baseline_value":{budget},"ratio":{:.3},"min":{value:.2},"max":{value:.2},"n":1,"quality":{{}}}}"#,
            value / budget
        );
    }
}

async fn live() -> Arc<Counts> {
    let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let counts = Arc::new(Counts::default());
    let kv = Counting(MemKv::builder().clock(clock.clone()).build(), counts.clone());
    let cluster = Cluster::new(Arc::new(kv), clock.clone());
    let tree = RngTree::new(1);
    let mut rng = tree.child("ids");
    let mut keeper = LeaseKeeper::new(
        cluster.clone(),
        MemberId::generate(&mut rng),
        Duration::from_secs(3_600),
    );
    keeper.tick().await.unwrap();
    let lease = keeper.lease().unwrap().clone();
    let hosts: Vec<HostSpec> = (0..HOSTS).map(host).collect();
    for spec in &hosts {
        sync(&cluster, spec, None, Phase::Preparing).await;
    }
    counts.bytes.store(0, Ordering::Relaxed);
    counts.commits.store(0, Ordering::Relaxed);

    let spec = Arc::new(job());
    let id = JobId::generate(clock.now(), spec.shard(), &mut rng);
    let request_key = Some("bench".to_owned());
    cluster
        .submit(&Submission {
            id,
            spec,
            request_key,
        })
        .await
        .unwrap()
        .unwrap();
    let warm = WarmView::load(cluster.clone()).await.unwrap();
    let mut reconcile = ReconcileController::new(ReconcileLimits::default(), tree.child("reconcile"));
    let mut schedule = ScheduleController::new(Box::new(StandardPlanner::new()), tree.child("plan"));
    reconcile.look_at_all(&warm);
    reconcile.tick(&warm, &lease).await.unwrap();
    warm.catch_up(cluster.version().await.unwrap()).await.unwrap();
    schedule.tick(&warm, &lease).await.unwrap();
    for spec in &hosts {
        let mut directive = None;
        for phase in [Phase::Preparing, Phase::Preparing, Phase::Running, Phase::Ended] {
            clock.advance(Millis(50));
            directive = Some(sync(&cluster, spec, directive.as_ref(), phase).await);
        }
    }
    warm.catch_up(cluster.version().await.unwrap()).await.unwrap();
    reconcile.tick(&warm, &lease).await.unwrap();
    warm.catch_up(cluster.version().await.unwrap()).await.unwrap();
    let retention = Retention {
        finished: Millis::ZERO,
        ..Retention::default()
    };
    ArchiveController::new(retention)
        .tick(&warm, &lease)
        .await
        .unwrap();
    let archived = cluster.archived_tasks(id, TASKS as usize).await.unwrap();
    assert_eq!(archived.len(), TASKS as usize, "the job did not run to its end");
    counts
}

/// One report in which all tasks of the directive are in this phase.
async fn sync(cluster: &Cluster, spec: &HostSpec, directive: Option<&Directive>, phase: Phase) -> Directive {
    let now = Some(cluster.clock().now());
    let reached = |at: Phase| now.filter(|_| phase >= at);
    let told = directive
        .iter()
        .flat_map(|directive| &directive.tasks)
        .map(|task| TaskReport {
            task: task.task,
            phase,
            exit: (phase == Phase::Ended).then_some(Exit::Code(0)),
            reason: None,
            message: String::new(),
            address: Some([10, 0, 0, 1].into()),
            times: StageTimes {
                preparing: now,
                image: now,
                network: now,
                started: reached(Phase::Running),
                finished: reached(Phase::Ended),
                ..StageTimes::default()
            },
        });
    let report = HostReport {
        spec: spec.clone(),
        generation: directive.map_or(0, |directive| directive.generation),
        tasks: told.collect(),
    };
    cluster.sync_host(&report).await.unwrap()
}

fn host(number: usize) -> HostSpec {
    let plenty = 1_000_000;
    HostSpec {
        id: HostId::new(&format!("host-{number:04}")).unwrap(),
        capacity: Resources {
            cpu_milli: 32_000,
            memory_mb: plenty,
            disk_mb: 10 * plenty,
            network_mbps: plenty,
            addresses: 250,
            gpu: 0,
        },
        zone: "a".into(),
        machine_type: "m".into(),
        runtime: "none".into(),
        datapath: "none".into(),
        attributes: [].into(),
    }
}

fn job() -> JobSpec {
    let mut request = JobRequest {
        application_name: "bench".into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "bench@example.com".into();
    request.container.image.name = "host".into();
    request.container.resources.cpu = 1.0;
    request.batch = Some(BatchRequest {
        size: TASKS,
        ..BatchRequest::default()
    });
    JobSpec::parse(request, &Limits::dev()).unwrap().0
}
