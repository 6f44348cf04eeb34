//! The bytes of everything that is stored, held against files that never change: what one version of this program wrote,
//! all later ones read.
//!
//! A new format gets a new version byte and a new file; the old file stays, and what it holds must still be read. A file
//! that is missing is written when `TITUS_GOLDEN=write` is set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use titus_core::host::{HostDesired, HostHealth, HostSpec};
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::job::{JobRecord, JobState};
use titus_core::resources::Resources;
use titus_core::shard::ShardId;
use titus_core::spec::{
    BackOffRetry, BatchRequest, Capacity, ConstraintsRequest, ContainerRequest, DelayedRetry, ImageRequest,
    ImmediateRetry, JobGroupInfo, JobRequest, JobSpec, OwnerRequest, ResourcesRequest, RetryRequest, Secret,
    SecurityProfileRequest, ServiceProcesses, ServiceRequest, VolumeRequest,
};
use titus_core::task::{ReasonCode, TaskState};
use titus_core::time::{Millis, Timestamp};

use super::keys::{self, Feed};
use super::record::host::{DesiredRow, decode_spec, encode_spec};
use super::record::note::{self, Note};
use super::record::{feed, job, request};
use crate::key::Key;

const T0: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Holds a text against its file.
fn check(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    if !path.exists() && std::env::var("TITUS_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, format!("{text}\n")).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        stored.trim_end(),
        "{file} has changed: stored data would not be read any more"
    );
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// Every field has a value of its own, and a new one does not compile until it is here.
fn container() -> ContainerRequest {
    ContainerRequest {
        resources: ResourcesRequest {
            cpu: 1.5,
            gpu: 2,
            memory_mb: 3,
            disk_mb: 4,
            network_mbps: 5,
            allocate_ip: true,
            shm_size_mb: 6,
        },
        security_profile: SecurityProfileRequest {
            security_groups: vec!["sg-1".into(), "sg-2".into()],
            iam_role: "role".into(),
            attributes: map(&[("s", "1")]),
        },
        image: ImageRequest {
            name: "library/busybox".into(),
            tag: "1.36".into(),
            digest: "sha256:0123".into(),
        },
        attributes: map(&[("c", "2")]),
        entry_point: vec!["/bin/sh".into()],
        command: vec!["-c".into(), "true".into()],
        env: [("NAME".to_owned(), Secret::new("value"))].into(),
        soft_constraints: ConstraintsRequest {
            constraints: map(&[("zonebalance", "true")]),
        },
        hard_constraints: ConstraintsRequest {
            constraints: map(&[("uniquehost", "true")]),
        },
        volumes: vec![VolumeRequest {
            host_path: "/srv".into(),
            mount_path: "/data".into(),
        }],
    }
}

fn job_request(batch: Option<BatchRequest>, service: Option<ServiceRequest>) -> JobRequest {
    JobRequest {
        owner: OwnerRequest {
            team_email: "you@example.com".into(),
        },
        application_name: "app".into(),
        capacity_group: "gold".into(),
        job_group_info: JobGroupInfo {
            stack: "stack".into(),
            detail: "detail".into(),
            sequence: "v001".into(),
        },
        attributes: map(&[("a", "b"), ("c", "d")]),
        container: container(),
        batch,
        service,
    }
}

fn batch() -> JobRequest {
    let retry_policy = RetryRequest {
        immediate: Some(ImmediateRetry { retries: 8 }),
        delayed: None,
        exponential_back_off: None,
    };
    let batch = BatchRequest {
        size: 7,
        runtime_limit_sec: 600,
        retry_policy,
        retry_on_runtime_limit: true,
    };
    job_request(Some(batch), None)
}

fn service(retry_policy: RetryRequest) -> JobRequest {
    let service = ServiceRequest {
        capacity: Capacity {
            min: 1,
            desired: 2,
            max: 3,
        },
        enabled: false,
        retry_policy,
        service_job_processes: ServiceProcesses {
            disable_increase_desired: true,
            disable_decrease_desired: true,
        },
    };
    job_request(None, Some(service))
}

fn requests() -> [(&'static str, JobRequest); 3] {
    let delayed = RetryRequest {
        delayed: Some(DelayedRetry {
            delay_ms: 9,
            retries: 10,
        }),
        ..RetryRequest::default()
    };
    let back_off = RetryRequest {
        exponential_back_off: Some(BackOffRetry {
            initial_delay_ms: 11,
            max_delay_interval_ms: 12,
            retries: 13,
        }),
        ..RetryRequest::default()
    };
    [
        ("batch", batch()),
        ("service_delayed", service(delayed)),
        ("service_back_off", service(back_off)),
    ]
}

#[test]
fn requests_never_change() {
    for (name, full) in requests() {
        let bytes = request::encode(&full);
        assert_eq!(request::decode(&bytes).unwrap(), full, "{name}");
        check(&format!("request_{name}_v1.hex"), &hex(&bytes));
    }
    let empty = JobRequest::default();
    assert_eq!(request::decode(&request::encode(&empty)).unwrap(), empty);
}

#[test]
fn job_records_never_change() {
    let spec = Arc::new(JobSpec::from_stored(batch()).0);
    let mut record = JobRecord::accepted(JobId::from_bytes([2; 16]), Arc::clone(&spec), T0);
    record.capacity = Capacity {
        min: 4,
        desired: 5,
        max: 6,
    };
    record.enabled = false;
    record.enter(
        JobState::KillInitiated,
        ReasonCode::Killed,
        "enough",
        T0 + Millis(7),
    );
    let bytes = job::encode(&record);
    assert_eq!(job::decode(&bytes).unwrap().with(spec).unwrap(), record);
    check("job_v1.hex", &hex(&bytes));
    check("feed_job_v1.hex", &hex(&feed::of_job(&bytes)));
}

#[test]
fn host_records_never_change() {
    let used = Resources {
        cpu_milli: 1,
        memory_mb: 2,
        disk_mb: 3,
        network_mbps: 4,
        addresses: 5,
        gpu: 6,
    };
    let row = DesiredRow {
        desired: HostDesired {
            generation: 9,
            used,
            draining: true,
        },
        health: HostHealth::Silent,
        since: T0,
    };
    assert_eq!(DesiredRow::decode(&row.encode()).unwrap(), row);
    check("host_desired_v1.hex", &hex(&row.encode()));
    let spec = HostSpec {
        id: HostId::new("h-1").unwrap(),
        capacity: used,
        zone: "a".into(),
        machine_type: "m".into(),
        runtime: "sandbox".into(),
        datapath: "bridge".into(),
        attributes: map(&[("k", "v")]),
    };
    assert_eq!(decode_spec(&encode_spec(&spec)).unwrap(), spec);
    check("host_spec_v1.hex", &hex(&encode_spec(&spec)));
}

#[test]
fn notes_never_change() {
    let notes = vec![Note {
        state: TaskState::Finished,
        reason: ReasonCode::Failed,
        message: "it ended".into(),
        at: T0,
    }];
    assert_eq!(note::decode(&note::encode(&notes)).unwrap(), notes);
    check("note_v1.hex", &hex(&note::encode(&notes)));
}

/// Where everything is: a cell moves from one store to another key by key.
#[test]
fn keys_never_change() {
    let shard = ShardId::new(63).unwrap();
    let (job, task) = (JobId::from_bytes([1; 16]), TaskId::from_bytes([2; 16]));
    let host = HostId::new("h-1").unwrap();
    let all: [(&str, Key); 26] = [
        ("feed of a shard", keys::feed(Feed::Shard(shard))),
        ("feed of hosts", keys::feed(Feed::Hosts)),
        ("feed floor", keys::feed_floor(Feed::Hosts)),
        ("mark", keys::mark(28_333_333)),
        ("job", keys::job(shard, job)),
        ("spec", keys::spec(shard, job)),
        ("task", keys::task(shard, task)),
        ("slot", keys::slot(shard, job, 7)),
        ("note", keys::note(shard, task)),
        ("ready", keys::ready(shard, T0, task)),
        ("host spec", keys::host_spec(host)),
        ("host desired", keys::host_desired(host)),
        ("host observed", keys::host_observed(host)),
        ("host alive", keys::host_alive(host)),
        ("on host", keys::on_host(host, task)),
        ("request", keys::request("key")),
        ("request expiry", keys::request_expiry(T0, "key")),
        ("name", keys::name("app-stack-detail-v001")),
        ("epoch", keys::epoch(shard)),
        ("member", keys::member([3; 16])),
        ("archived job", keys::archived_job(job)),
        ("archived task", keys::archived_task(task)),
        ("archived task of a job", keys::archived_of_job_at(job, T0, task)),
        ("archived task by age", keys::archived_task_age(T0, task)),
        ("archived job by age", keys::archive_age(T0, job)),
        ("archived request", super::query::archived_spec(job)),
    ];
    let lines: Vec<String> = all
        .iter()
        .map(|(name, key)| format!("{name}: {}", hex(key)))
        .collect();
    check("keys_v1.txt", &lines.join("\n"));
    let keys: std::collections::BTreeSet<&[u8]> = all.iter().map(|(_, key)| &**key).collect();
    assert_eq!(keys.len(), all.len(), "two things are kept under one key");
}
