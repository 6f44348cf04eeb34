//! The loops over a memory store: jobs get tasks and hosts, and a second scheduler takes over.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId};
use titus_core::resources::Resources;
use titus_core::rng::RngTree;
use titus_core::spec::{JobRequest, JobSpec, Limits, ServiceRequest};
use titus_core::task::TaskState;
use titus_core::wire::HostReport;
use titus_scheduler::{Scheduler, SchedulerConfig};
use titus_store::backend::MemKv;
use titus_store::clock::SystemClock;
use titus_store::cluster::{Cluster, Submission};
use tokio::sync::watch;
use tokio::task::JoinHandle;

fn cluster() -> Cluster {
    let kv = MemKv::builder().unknown(10, 7).build();
    Cluster::new(Arc::new(kv), Arc::new(SystemClock::new()))
}

fn start(cluster: &Cluster, seed: u64) -> (watch::Sender<bool>, JoinHandle<()>) {
    let scheduler = Scheduler::new(cluster.clone(), SchedulerConfig::default(), &RngTree::new(seed));
    let (stop, stopped) = watch::channel(false);
    (stop, tokio::spawn(scheduler.run(stopped)))
}

async fn add_host(cluster: &Cluster) {
    let capacity = Resources {
        cpu_milli: 64_000,
        memory_mb: 64_000,
        disk_mb: 1_000_000,
        network_mbps: 10_000,
        addresses: 100,
        gpu: 0,
    };
    let spec = HostSpec {
        id: HostId::new("h1").unwrap(),
        capacity,
        zone: "a".into(),
        machine_type: "m".into(),
        runtime: "fake".into(),
        datapath: "fake".into(),
        attributes: BTreeMap::new(),
    };
    let report = HostReport {
        spec,
        generation: 0,
        tasks: Vec::new(),
    };
    cluster.sync_host(&report).await.unwrap();
}

async fn submit(cluster: &Cluster, seed: u64, size: u32) -> JobId {
    let mut request = JobRequest {
        application_name: format!("app{seed}"),
        ..JobRequest::default()
    };
    request.owner.team_email = "team@example.com".into();
    request.container.image.name = "host".into();
    request.container.image.tag = "latest".into();
    request.container.entry_point = vec!["sleep".into()];
    let capacity = titus_core::spec::Capacity {
        min: 0,
        desired: size,
        max: 100,
    };
    request.service = Some(ServiceRequest {
        capacity,
        ..ServiceRequest::default()
    });
    let spec = Arc::new(JobSpec::parse(request, &Limits::dev()).unwrap().0);
    let id = JobId::generate(
        cluster.clock().now(),
        spec.shard(),
        &mut RngTree::new(seed).child("job"),
    );
    let submission = Submission {
        id,
        spec,
        request_key: None,
    };
    cluster.submit(&submission).await.unwrap().unwrap().id
}

async fn launched(cluster: &Cluster, job: JobId, wanted: u32) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let view = titus_store::controller::WarmView::load(cluster.clone())
            .await
            .unwrap();
        let seen = view.with(|view| view.job_counts(job).of(TaskState::Launched));
        if seen == wanted {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{seen} of {wanted} tasks are placed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gets_its_tasks_and_a_host() {
    let cluster = cluster();
    let (stop, running) = start(&cluster, 1);
    let job = submit(&cluster, 1, 5).await;
    add_host(&cluster).await;
    launched(&cluster, job, 5).await;
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_scheduler_takes_over_from_one_that_died_and_from_one_that_stopped() {
    let cluster = cluster();
    add_host(&cluster).await;
    let (_running, first) = start(&cluster, 1);
    let job = submit(&cluster, 1, 3).await;
    launched(&cluster, job, 3).await;
    first.abort();
    let (stop, second) = start(&cluster, 2);
    let job = submit(&cluster, 2, 3).await;
    launched(&cluster, job, 3).await;
    stop.send_replace(true);
    second.await.unwrap();
    let (stop, third) = start(&cluster, 3);
    let job = submit(&cluster, 3, 3).await;
    launched(&cluster, job, 3).await;
    stop.send_replace(true);
    third.await.unwrap();
}
