use std::collections::BTreeMap;
use std::time::Duration;

use titus_api::v1::event_service_client::EventServiceClient;
use titus_api::v1::host_service_client::HostServiceClient;
use titus_api::v1::server_service_client::ServerServiceClient;
use titus_api::v1::task_insight_service_client::TaskInsightServiceClient;
use titus_api::v3::health_client::HealthClient;
use titus_api::v3::job_change_notification::Notification;
use titus_api::v3::job_management_service_client::JobManagementServiceClient;
use titus_api::v3::job_status::JobState;
use titus_api::v3::task_status::TaskState;
use titus_api::{v1, v3};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::platform::{Options, Platform};

type Jobs = JobManagementServiceClient<Channel>;

/// A service of that application; `gold` is a capacity group of its own.
pub(crate) fn service(application: &str, desired: u32) -> v3::JobDescriptor {
    let text = format!(
        r#"{{"owner": {{"teamEmail": "team@example.com"}}, "applicationName": "{application}",
            "container": {{"image": {{"name": "host", "tag": "latest"}}, "entryPoint": ["sleep"],
                "resources": {{"cpu": 1, "memoryMB": 64, "diskMB": 64, "networkMbps": 10}},
                "env": {{"SECRET": "hunter2"}}}},
            "attributes": {{"name": "{application}-v001"}},
            "service": {{"enabled": true, "capacity": {{"min": 0, "desired": {desired}, "max": 50}}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn batch(application: &str, size: u32) -> v3::JobDescriptor {
    let mut job = service(application, 0);
    let retry = v3::retry_policy::Policy::Immediate(v3::retry_policy::Immediate { retries: 0 });
    job.job_spec = Some(v3::job_descriptor::JobSpec::Batch(v3::BatchJobSpec {
        size,
        retry_policy: Some(v3::RetryPolicy { policy: Some(retry) }),
        ..Default::default()
    }));
    job
}

fn criteria(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn task_query(pairs: &[(&str, &str)]) -> v3::TaskQuery {
    v3::TaskQuery {
        page: Some(v3::Page {
            page_size: 1_000,
            ..Default::default()
        }),
        filtering_criteria: criteria(pairs),
        fields: Vec::new(),
    }
}

async fn jobs(platform: &Platform) -> Jobs {
    Jobs::new(platform.channel().await)
}

/// Waits until so many tasks of a job are in a state, and gives them.
async fn tasks_in(jobs: &mut Jobs, job: &str, state: &str, count: usize) -> Vec<v3::Task> {
    for _ in 0..3_000 {
        let query = task_query(&[("jobIds", job), ("taskStates", state)]);
        let found = jobs.find_tasks(query).await.unwrap().into_inner().items;
        if found.len() == count {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("job {job} never had {count} tasks in {state}");
}

async fn next<T>(stream: &mut Streaming<T>) -> Option<T> {
    let message = tokio::time::timeout(Duration::from_secs(30), stream.message()).await;
    message.expect("the stream goes on").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_from_create_to_kill() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let id = jobs.create_job(service("web", 3)).await.unwrap().into_inner().id;
    let running = tasks_in(&mut jobs, &id, "Started", 3).await;
    let context = &running[0].task_context;
    assert!(context["agent.host"].starts_with("host-") && context["agent.region"] == "here-1");
    assert_eq!(
        (context["task.containerIp"].as_str(), context.get("task.index")),
        ("10.1.2.3", None)
    );

    let capacity = v3::Capacity {
        min: 1,
        desired: 5,
        max: 50,
    };
    let update = v3::JobCapacityUpdate {
        job_id: id.clone(),
        capacity: Some(capacity),
    };
    jobs.update_job_capacity(update).await.unwrap();
    tasks_in(&mut jobs, &id, "Started", 5).await;

    let kill = v3::TaskKillRequest {
        task_id: running[0].id.clone(),
        ..Default::default()
    };
    jobs.kill_task(kill.clone()).await.unwrap();
    let now = tasks_in(&mut jobs, &id, "Started", 5).await;
    for _ in 0..1_000 {
        let task = jobs
            .find_task(v3::TaskId {
                id: running[0].id.clone(),
            })
            .await
            .unwrap()
            .into_inner();
        if task.status.unwrap().state() == TaskState::Finished {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(now.len(), 5);
    assert_eq!(
        jobs.kill_task(kill).await.unwrap_err().code(),
        Code::FailedPrecondition
    );

    let replaced = tasks_in(&mut jobs, &id, "Started", 5).await;
    assert!(
        replaced
            .iter()
            .any(|t| t.task_context.get("task.resubmitOf") == Some(&running[0].id))
    );
    let shrink = v3::TaskKillRequest {
        task_id: running[1].id.clone(),
        shrink: true,
        ..Default::default()
    };
    jobs.kill_task(shrink).await.unwrap();
    tasks_in(&mut jobs, &id, "Started", 4).await;
    let job = jobs
        .find_job(v3::JobId { id: id.clone() })
        .await
        .unwrap()
        .into_inner();
    let Some(v3::job_descriptor::JobSpec::Service(shown)) = job.job_descriptor.unwrap().job_spec else {
        panic!("a service is shown as one")
    };
    assert_eq!(shown.capacity.unwrap().desired, 4);

    jobs.kill_job(v3::JobId { id: id.clone() }).await.unwrap();
    // A repeat within the same millisecond counts as the same call.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let again = jobs.kill_job(v3::JobId { id: id.clone() }).await.unwrap_err();
    assert!(
        matches!(again.code(), Code::FailedPrecondition | Code::NotFound),
        "{again}"
    );
    let ended = tasks_in(&mut jobs, &id, "Started", 0).await;
    assert!(ended.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_reads_its_write_and_is_told_what_has_no_effect() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut job = service("web", 0);
    job.disruption_budget = Some(v3::JobDisruptionBudget::default());
    let mut request = Request::new(job);
    request
        .metadata_mut()
        .insert("x-titus-callerid", "alice".parse().unwrap());
    request
        .metadata_mut()
        .insert("x-titus-callreason", "trying".parse().unwrap());
    let reply = jobs.create_job(request).await.unwrap();
    let warnings: Vec<String> = reply
        .metadata()
        .get_all("x-titus-warning")
        .iter()
        .map(|w| w.to_str().unwrap().to_owned())
        .collect();
    assert!(
        warnings.iter().any(|w| w.starts_with("disruptionBudget: ")),
        "{warnings:?}"
    );
    let revision = reply.metadata().get("x-titus-revision").unwrap().clone();
    let id = reply.into_inner().id;

    let mut read = Request::new(v3::JobId { id: id.clone() });
    read.metadata_mut().insert("x-titus-revision", revision);
    let found = jobs.find_job(read).await.unwrap().into_inner();
    let attributes = found.job_descriptor.unwrap().attributes;
    assert_eq!(
        (
            attributes["titus.createdBy"].as_str(),
            attributes["titus.callReason"].as_str()
        ),
        ("alice", "trying")
    );

    let mut future = Request::new(v3::JobId { id });
    future
        .metadata_mut()
        .insert("x-titus-revision", "999999999".parse().unwrap());
    let refused = jobs.find_job(future).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_makes_one_job_and_a_taken_sequence_none() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut request = Request::new(service("web", 0));
        request
            .metadata_mut()
            .insert("x-titus-request-id", "r-1".parse().unwrap());
        ids.push(jobs.create_job(request).await.unwrap().into_inner().id);
    }
    assert_eq!(ids[0], ids[1]);

    let mut named = service("web", 0);
    named.job_group_info = Some(v3::JobGroupInfo {
        sequence: "v001".into(),
        ..Default::default()
    });
    jobs.create_job(named.clone()).await.unwrap();
    let taken = jobs.create_job(named).await.unwrap_err();
    assert_eq!(taken.code(), Code::InvalidArgument);
    assert!(
        taken
            .message()
            .contains("Constraint violation - job with group sequence"),
        "{taken}"
    );
    assert!(taken.message().contains("exists"), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_every_field_and_what_to_do() {
    use tonic_types::StatusExt as _;
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut bad = service("", 5);
    bad.owner = None;
    let refused = jobs.create_job(bad).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let fields: Vec<String> = refused
        .get_details_bad_request()
        .unwrap()
        .field_violations
        .into_iter()
        .map(|f| f.field)
        .collect();
    assert!(
        fields.contains(&"owner.teamEmail".into()) && fields.contains(&"applicationName".into()),
        "{fields:?}"
    );
    let header = refused.metadata().get("x-titus-error").unwrap().to_str().unwrap();
    assert!(header.starts_with("InvalidJob: the job has"), "{header}");

    let mut sidecar = service("web", 1);
    sidecar.extra_containers.push(v3::BasicContainer::default());
    assert_eq!(
        jobs.create_job(sidecar).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    let unknown = "11111111-1111-4111-8111-111111111111".to_owned();
    let code = |status: Status| (status.code(), status.message().to_owned());
    let missing = jobs
        .find_job(v3::JobId { id: unknown.clone() })
        .await
        .unwrap_err();
    assert_eq!(code(missing).0, Code::NotFound);
    assert_eq!(
        jobs.kill_job(v3::JobId { id: unknown.clone() })
            .await
            .unwrap_err()
            .code(),
        Code::NotFound
    );
    assert_eq!(
        jobs.find_task(v3::TaskId { id: unknown.clone() })
            .await
            .unwrap_err()
            .code(),
        Code::NotFound
    );
    let kill = v3::TaskKillRequest {
        task_id: unknown,
        ..Default::default()
    };
    assert_eq!(jobs.kill_task(kill).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        jobs.find_job(v3::JobId { id: "job-1".into() })
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );

    let id = jobs.create_job(batch("sleeps", 1)).await.unwrap().into_inner().id;
    let update = v3::JobCapacityUpdate {
        job_id: id.clone(),
        capacity: Some(v3::Capacity::default()),
    };
    let not_service = jobs.update_job_capacity(update).await.unwrap_err();
    assert!(
        not_service.message().starts_with("NotServiceJob: "),
        "{not_service}"
    );
    let none = v3::JobCapacityUpdate {
        job_id: id,
        capacity: None,
    };
    assert_eq!(
        jobs.update_job_capacity(none).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    let id = jobs.create_job(service("web", 1)).await.unwrap().into_inner().id;
    let upside_down = v3::Capacity {
        min: 5,
        desired: 1,
        max: 3,
    };
    let update = v3::JobCapacityUpdate {
        job_id: id.clone(),
        capacity: Some(upside_down),
    };
    let refused = jobs.update_job_capacity(update).await.unwrap_err();
    assert!(
        refused.message().starts_with("InvalidDesiredCapacity: "),
        "{refused}"
    );
    let parts = v3::JobCapacityWithOptionalAttributes {
        min: Some(2_u32.into()),
        ..Default::default()
    };
    let update = v3::JobCapacityUpdateWithOptionalAttributes {
        job_id: id.clone(),
        job_capacity_with_optional_attributes: Some(parts),
    };
    jobs.update_job_capacity_with_optional_attributes(update)
        .await
        .unwrap();
    let task = tasks_in(&mut jobs, &id, "Started", 2).await.remove(0);
    let kill = v3::TaskKillRequest {
        task_id: task.id,
        shrink: true,
        prevent_min_size_update: true,
    };
    let refused = jobs.kill_task(kill).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().starts_with("TerminateAndShrinkNotAllowed: "),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_contract_that_are_not_offered_say_what_to_use() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let statuses = [
        jobs.update_job_processes(v3::JobProcessesUpdate::default())
            .await
            .unwrap_err(),
        jobs.update_job_disruption_budget(v3::JobDisruptionBudgetUpdate::default())
            .await
            .unwrap_err(),
        jobs.update_job_attributes(v3::JobAttributesUpdate::default())
            .await
            .unwrap_err(),
        jobs.delete_job_attributes(v3::JobAttributesDeleteRequest::default())
            .await
            .unwrap_err(),
        jobs.update_task_attributes(v3::TaskAttributesUpdate::default())
            .await
            .unwrap_err(),
        jobs.delete_task_attributes(v3::TaskAttributesDeleteRequest::default())
            .await
            .unwrap_err(),
        jobs.move_task(v3::TaskMoveRequest::default()).await.unwrap_err(),
    ];
    for status in statuses {
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(
            status.message().contains(" is not offered by this server: "),
            "{status}"
        );
        assert!(!status.message().contains("compatibility table"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_page_filter_and_mask() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(jobs.create_job(service("web", 1)).await.unwrap().into_inner().id);
    }
    jobs.create_job(service("other", 0)).await.unwrap();
    for id in &made {
        tasks_in(&mut jobs, id, "Started", 1).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = v3::JobQuery {
            page: Some(v3::Page {
                page_size: 2,
                cursor,
                ..Default::default()
            }),
            filtering_criteria: criteria(&[
                ("appName", "web"),
                ("jobType", "SERVICE"),
                ("taskStates", "Started"),
            ]),
            fields: vec!["jobDescriptor.attributes.name".into()],
        };
        let answer = jobs.find_jobs(query).await.unwrap().into_inner();
        let page = answer.pagination.unwrap();
        assert_eq!(page.total_items, 5);
        for job in answer.items {
            let descriptor = job.job_descriptor.unwrap();
            assert_eq!(
                (descriptor.attributes.len(), descriptor.application_name.as_str()),
                (1, "")
            );
            seen.push(job.id);
        }
        cursor = page.cursor;
        if !page.has_more {
            break;
        }
    }
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
    let query = v3::JobQuery {
        filtering_criteria: criteria(&[("color", "red")]),
        ..Default::default()
    };
    assert_eq!(
        jobs.find_jobs(query).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        jobs.find_jobs(v3::JobQuery::default()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_batch_job_keeps_its_reasons() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let id = jobs.create_job(batch("fails", 2)).await.unwrap().into_inner().id;
    let ended = tasks_in(&mut jobs, &id, "Finished", 2).await;
    let mut indices: Vec<&str> = ended
        .iter()
        .map(|t| t.task_context["task.index"].as_str())
        .collect();
    indices.sort_unstable();
    assert_eq!(indices, ["0", "1"]);
    let status = ended[0].status.as_ref().unwrap();
    assert_eq!(status.reason_code, "failed");
    assert!(
        status.reason_message.contains("the disk is on fire"),
        "{}",
        status.reason_message
    );
    let states: Vec<TaskState> = ended[0]
        .status_history
        .iter()
        .map(v3::TaskStatus::state)
        .collect();
    assert_eq!(states[0], TaskState::Accepted);
    assert!(states.contains(&TaskState::Started) && !states.contains(&TaskState::Finished));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_sees_what_is_there_one_marker_and_every_change_in_order() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let web = jobs.create_job(service("web", 2)).await.unwrap().into_inner().id;
    jobs.create_job(service("other", 1)).await.unwrap();
    tasks_in(&mut jobs, &web, "Started", 2).await;
    let query = v3::ObserveJobsQuery {
        filtering_criteria: criteria(&[("appName", "web")]),
        ..Default::default()
    };
    let mut stream = jobs.observe_jobs(query).await.unwrap().into_inner();
    let (mut before, mut markers, mut versions, mut finished) = (Vec::new(), 0, BTreeMap::new(), false);
    while !finished {
        let notification = next(&mut stream).await.unwrap();
        assert!(notification.timestamp > 0);
        match notification.notification.unwrap() {
            Notification::JobUpdate(update) => {
                let job = update.job.unwrap();
                assert_eq!(job.id, web);
                in_order(&mut versions, job.id.clone(), job.version.unwrap().timestamp);
                finished = job.status.unwrap().state() == JobState::Finished;
                before.push(job.id);
            }
            Notification::TaskUpdate(update) => {
                let task = update.task.unwrap();
                assert_eq!(task.job_id, web);
                in_order(&mut versions, task.id.clone(), task.version.unwrap().timestamp);
                before.push(task.id);
            }
            Notification::SnapshotEnd(_) => {
                markers += 1;
                assert_eq!(
                    (before.len(), before[0].as_str()),
                    (3, web.as_str()),
                    "a job, then its tasks"
                );
                jobs.kill_job(v3::JobId { id: web.clone() }).await.unwrap();
            }
            Notification::KeepAliveResponse(_) => panic!("nobody asked"),
        }
    }
    assert_eq!(markers, 1);
    let query = v3::ObserveJobsQuery {
        filtering_criteria: criteria(&[("color", "red")]),
        ..Default::default()
    };
    assert_eq!(
        jobs.observe_jobs(query).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

fn in_order(versions: &mut BTreeMap<String, u64>, id: String, version: u64) {
    let last = versions.insert(id, version).unwrap_or(0);
    assert!(last <= version, "went back from {last} to {version}");
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_one_job_ends_after_it_has_finished() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let id = jobs.create_job(batch("ends", 3)).await.unwrap().into_inner().id;
    let mut stream = jobs
        .observe_job(v3::JobId { id: id.clone() })
        .await
        .unwrap()
        .into_inner();
    let mut last_job = None;
    while let Some(notification) = next(&mut stream).await {
        if let Some(Notification::JobUpdate(update)) = notification.notification {
            last_job = update.job;
        }
    }
    assert_eq!(last_job.unwrap().status.unwrap().state(), JobState::Finished);
    let unknown = v3::JobId {
        id: "11111111-1111-4111-8111-111111111111".into(),
    };
    assert_eq!(
        jobs.observe_job(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_that_come_while_everything_changes_end_at_the_same_state() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let id = jobs.create_job(batch("ends", 40)).await.unwrap().into_inner().id;
    let mut observers = Vec::new();
    for _ in 0..8 {
        let mut stream = jobs
            .observe_job(v3::JobId { id: id.clone() })
            .await
            .unwrap()
            .into_inner();
        observers.push(tokio::spawn(async move {
            let (mut tasks, mut versions, mut markers) = (BTreeMap::new(), BTreeMap::new(), 0);
            while let Some(notification) = next(&mut stream).await {
                match notification.notification {
                    Some(Notification::TaskUpdate(update)) => {
                        let task = update.task.unwrap();
                        in_order(&mut versions, task.id.clone(), task.version.unwrap().timestamp);
                        tasks.insert(task.id, task.status.unwrap().state());
                    }
                    Some(Notification::SnapshotEnd(_)) => markers += 1,
                    _ => {}
                }
            }
            (tasks, markers)
        }));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    for observer in observers {
        let (tasks, markers) = observer.await.unwrap();
        assert_eq!((tasks.len(), markers), (40, 1));
        assert!(
            tasks.values().all(|state| *state == TaskState::Finished),
            "{tasks:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_task_waits_adds_up_to_all_hosts() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut insight = TaskInsightServiceClient::new(platform.channel().await);
    let mut huge = service("huge", 2);
    huge.container.as_mut().unwrap().resources.as_mut().unwrap().cpu = 64.0;
    let id = jobs.create_job(huge).await.unwrap().into_inner().id;
    let task = tasks_in(&mut jobs, &id, "Accepted", 2).await.remove(0).id;
    let mut why = v1::PlacementExplanation::default();
    for _ in 0..1_000 {
        why = insight
            .explain_placement(v1::TaskRef {
                task_id: task.clone(),
            })
            .await
            .unwrap()
            .into_inner();
        if why.hosts_seen == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused: u64 = why.rejections.iter().map(|r| r.hosts).sum();
    assert_eq!((why.hosts_seen, refused + why.feasible_hosts), (2, 2), "{why:?}");
    assert_eq!(
        (why.rejections[0].asked, why.rejections[0].best),
        (Some(64_000), Some(8_000))
    );
    assert!(
        (1..=2).contains(&why.queue_position) && why.queue_length == 2,
        "{why:?}"
    );
    assert!(
        why.summary.contains("2 hosts seen") && why.summary.contains("Queue position"),
        "{}",
        why.summary
    );

    let id = jobs.create_job(service("web", 1)).await.unwrap().into_inner().id;
    let running = tasks_in(&mut jobs, &id, "Started", 1).await.remove(0).id;
    let placed = insight
        .explain_placement(v1::TaskRef {
            task_id: running.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(
        placed.host_id.starts_with("host-") && placed.summary.contains("is Started on host-"),
        "{placed:?}"
    );
    let stages = insight
        .get_launch_stages(v1::TaskRef { task_id: running })
        .await
        .unwrap()
        .into_inner()
        .stages;
    let reached: Vec<&str> = stages
        .iter()
        .filter(|s| s.at_ms > 0)
        .map(|s| s.name.as_str())
        .collect();
    assert!(
        reached.starts_with(&["queued", "placed"]) && reached.contains(&"started"),
        "{reached:?}"
    );
    let warnings = insight
        .get_job_warnings(v1::JobRef { job_id: id })
        .await
        .unwrap()
        .into_inner();
    assert!(
        warnings
            .warnings
            .iter()
            .all(|w| w.kind() == v1::WarningKind::NoEffect),
        "{warnings:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_stream_and_fail_in_words() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut insight = TaskInsightServiceClient::new(platform.channel().await);
    let id = jobs.create_job(service("web", 1)).await.unwrap().into_inner().id;
    let task = tasks_in(&mut jobs, &id, "Started", 1).await.remove(0).id;
    let read = v1::ReadLogsRequest {
        task_id: task.clone(),
        stream: v1::LogStream::Stderr.into(),
        tail_lines: Some(7),
        follow: true,
    };
    let mut log = insight.read_logs(read.clone()).await.unwrap().into_inner();
    let first = next(&mut log).await.unwrap();
    assert_eq!(
        String::from_utf8(first.data).unwrap(),
        format!("stderr of {task} tail Some(7)\n")
    );
    assert!(next(&mut log).await.unwrap().gap);
    assert_eq!(next(&mut log).await.unwrap().data, b"more\n");
    drop(log);
    let unfollowed = v1::ReadLogsRequest {
        follow: false,
        ..read.clone()
    };
    let mut log = insight.read_logs(unfollowed).await.unwrap().into_inner();
    let mut pieces = 0;
    while next(&mut log).await.is_some() {
        pieces += 1;
    }
    assert_eq!(pieces, 3);
    let broken = v1::ReadLogsRequest {
        tail_lines: Some(0),
        ..read.clone()
    };
    let failed = insight
        .read_logs(broken)
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap_err();
    assert_eq!(
        (failed.code(), failed.message()),
        (Code::Unavailable, "NotReady: the host is not reached")
    );
    let no_stream = v1::ReadLogsRequest {
        stream: 9,
        ..read.clone()
    };
    assert_eq!(
        insight.read_logs(no_stream).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let mut huge = service("huge", 1);
    huge.container.as_mut().unwrap().resources.as_mut().unwrap().cpu = 64.0;
    let id = jobs.create_job(huge).await.unwrap().into_inner().id;
    let waiting = tasks_in(&mut jobs, &id, "Accepted", 1).await.remove(0).id;
    let nowhere = v1::ReadLogsRequest {
        task_id: waiting,
        ..read
    };
    assert_eq!(
        insight.read_logs(nowhere).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_where_a_cursor_left_off() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut events = EventServiceClient::new(platform.channel().await);
    let mut live = events
        .watch_events(v1::WatchEventsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let id = jobs.create_job(batch("ends", 2)).await.unwrap().into_inner().id;
    let mut seen = Vec::new();
    loop {
        let event = next(&mut live).await.unwrap();
        let over = event.kind() == v1::EventKind::JobFinished;
        if event.job_id == id {
            seen.push(event);
        }
        if over {
            break;
        }
    }
    assert_eq!(seen[0].kind(), v1::EventKind::JobCreated);
    assert_eq!(
        seen.iter()
            .filter(|e| e.kind() == v1::EventKind::TaskFinished)
            .count(),
        2
    );
    assert!(seen.is_sorted_by_key(|e| e.revision));

    let middle = seen.len() / 2;
    let after = seen[middle].cursor.clone();
    let rest: Vec<_> = seen
        .iter()
        .filter(|e| e.revision > seen[middle].revision)
        .collect();
    let again = v1::WatchEventsRequest {
        after,
        no_follow: true,
        job_id: id,
        ..Default::default()
    };
    let mut resumed = events.watch_events(again).await.unwrap().into_inner();
    for expected in rest {
        assert_eq!(next(&mut resumed).await.as_ref(), Some(expected));
    }
    let hosts = v1::WatchEventsRequest {
        after: "0".into(),
        no_follow: true,
        host_id: "host-0".into(),
        ..Default::default()
    };
    let mut of_host = events.watch_events(hosts).await.unwrap().into_inner();
    let mut kinds = Vec::new();
    while let Some(event) = next(&mut of_host).await {
        assert_eq!(event.host_id, "host-0");
        kinds.push(event.kind());
    }
    assert!(kinds.contains(&v1::EventKind::HostChanged), "{kinds:?}");
    let bad = v1::WatchEventsRequest {
        after: "yesterday".into(),
        ..Default::default()
    };
    assert_eq!(
        events.watch_events(bad).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_listed_by_pages_and_shown_with_their_tasks() {
    let platform = Platform::with(Options {
        hosts: 5,
        ..Options::default()
    })
    .await;
    let mut jobs = jobs(&platform).await;
    let mut hosts = HostServiceClient::new(platform.channel().await);
    let id = jobs.create_job(service("web", 3)).await.unwrap().into_inner().id;
    let tasks = tasks_in(&mut jobs, &id, "Started", 3).await;
    let (mut names, mut cursor, mut count) = (Vec::new(), String::new(), 0);
    loop {
        let query = v1::ListHostsRequest { page_size: 2, cursor };
        let page = hosts.list_hosts(query).await.unwrap().into_inner();
        assert_eq!(page.total, 5);
        count += page.hosts.iter().map(|h| h.task_count).sum::<u32>();
        names.extend(page.hosts.into_iter().map(|h| h.id));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(
        (names.join(" ").as_str(), count),
        ("host-0 host-1 host-2 host-3 host-4", 3)
    );
    let id = tasks[0].task_context["agent.host"].clone();
    let mut host = v1::Host::default();
    for _ in 0..1_000 {
        let asked = v1::GetHostRequest { id: id.clone() };
        host = hosts.get_host(asked).await.unwrap().into_inner();
        if host.used.is_some_and(|used| used.cpu_milli >= 1_000) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(host.used.is_some_and(|used| used.cpu_milli >= 1_000), "{host:?}");
    assert!(host.task_ids.contains(&tasks[0].id));
    assert_eq!(
        (host.health(), host.capacity.unwrap().cpu_milli),
        (v1::HostHealth::Ready, 8_000)
    );
    assert!(host.generation > 0);
    let none = hosts
        .get_host(v1::GetHostRequest { id: "nowhere".into() })
        .await
        .unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    let bad = v1::ListHostsRequest {
        cursor: "NO HOST".into(),
        ..Default::default()
    };
    assert_eq!(
        hosts.list_hosts(bad).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_reflection_and_status_are_there_before_the_view_is() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient as GrpcHealth};
    let platform = Platform::with(Options {
        warm: false,
        ..Options::default()
    })
    .await;
    let channel = platform.channel().await;
    let mut jobs = Jobs::new(channel.clone());
    let early = jobs
        .find_job(v3::JobId {
            id: "11111111-1111-4111-8111-111111111111".into(),
        })
        .await
        .unwrap_err();
    assert_eq!(early.code(), Code::Unavailable);
    let mut titus = HealthClient::new(channel.clone());
    let ask = v3::HealthCheckRequest::default();
    let status = titus.check(ask.clone()).await.unwrap().into_inner().status();
    assert_eq!(status, v3::health_check_response::ServingStatus::NotServing);
    let mut server = ServerServiceClient::new(channel.clone());
    let status = server
        .get_server_status(v1::GetServerStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!status.ready && status.version == env!("CARGO_PKG_VERSION"));

    let warm = titus_store::controller::WarmView::load(platform.cluster.clone())
        .await
        .unwrap();
    platform.live.set(std::sync::Arc::new(warm));
    let mut grpc = GrpcHealth::new(channel.clone());
    let service = "com.netflix.titus.JobManagementService".to_owned();
    let mut watch = grpc
        .watch(HealthCheckRequest { service })
        .await
        .unwrap()
        .into_inner();
    while next(&mut watch).await.unwrap().status() != ServingStatus::Serving {}
    assert!(
        server
            .get_server_status(v1::GetServerStatusRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    let health = titus.check(ask).await.unwrap().into_inner();
    assert_eq!(health.status(), v3::health_check_response::ServingStatus::Serving);

    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response::MessageResponse};
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut stream = reflection
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = next(&mut stream).await.unwrap().message_response
    else {
        panic!("services are listed")
    };
    let names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
    assert!(
        names.contains(&"com.netflix.titus.JobManagementService".into()),
        "{names:?}"
    );
}
