use std::collections::BTreeMap;
use std::time::Duration;

use titus_api::v3;
use titus_api::v3::job_management_service_client::JobManagementServiceClient;
use titus_api::v3::task_status::TaskState;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::platform::Platform;

pub(crate) type Jobs = JobManagementServiceClient<Channel>;

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

pub(crate) fn criteria(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

pub(crate) fn task_query(pairs: &[(&str, &str)]) -> v3::TaskQuery {
    v3::TaskQuery {
        page: Some(v3::Page {
            page_size: 1_000,
            ..Default::default()
        }),
        filtering_criteria: criteria(pairs),
        fields: Vec::new(),
    }
}

pub(crate) async fn jobs(platform: &Platform) -> Jobs {
    Jobs::new(platform.channel().await)
}

/// Waits until so many tasks of a job are in a state, and gives them.
pub(crate) async fn tasks_in(jobs: &mut Jobs, job: &str, state: &str, count: usize) -> Vec<v3::Task> {
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

pub(crate) async fn next<T>(stream: &mut Streaming<T>) -> Option<T> {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_not_found() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_job_cannot_be_scaled() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capacity_out_of_order_and_a_shrink_below_the_minimum_are_refused() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
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
