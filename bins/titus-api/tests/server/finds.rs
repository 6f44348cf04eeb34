use std::collections::BTreeMap;
use std::time::Duration;

use titus_api::v3;
use titus_api::v3::job_change_notification::Notification;
use titus_api::v3::job_status::JobState;
use titus_api::v3::task_status::TaskState;
use tonic::Code;

use crate::grpc::{batch, criteria, jobs, next, service, tasks_in};
use crate::platform::Platform;

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
