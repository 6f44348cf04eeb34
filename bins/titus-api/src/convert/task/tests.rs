use std::sync::Arc;

use titus_core::id::{HostId, JobId, TaskId};
use titus_core::spec::{BatchRequest, JobRequest, JobSpec, ServiceRequest};
use titus_core::task::Exit;

use super::*;

fn job(batch: bool) -> JobRecord {
    let request = JobRequest {
        batch: batch.then(BatchRequest::default),
        service: (!batch).then(ServiceRequest::default),
        ..Default::default()
    };
    let (spec, _) = JobSpec::from_stored(request);
    JobRecord::accepted(JobId::from_bytes([1; 16]), Arc::new(spec), Timestamp::EPOCH)
}

fn hot(state: TaskState, stages: [i64; 6]) -> TaskHot {
    let at = |ms: i64| (ms > 0).then(|| Timestamp::from_millis(ms));
    let mut hot = TaskHot::accepted(
        TaskId::from_bytes([2; 16]),
        JobId::from_bytes([1; 16]),
        3,
        Timestamp::EPOCH,
    );
    let [queued, placed, preparing, started, killed, finished] = stages.map(at);
    hot.state = state;
    hot.times.queued = queued;
    hot.times.placed = placed;
    hot.times.preparing = preparing;
    hot.times.started = started;
    hot.times.killed = killed;
    hot.times.finished = finished;
    hot
}

fn shown(hot: &TaskHot, job: &JobRecord, message: &str) -> v3::Task {
    task_to_proto(&TaskFacts {
        hot,
        job,
        host: None,
        message,
        base_url: "http://127.0.0.1:7104",
    })
}

/// The states that a task went through, the current one last, as `state/reason@time`.
fn path(task: &v3::Task) -> Vec<String> {
    let all = task.status_history.iter().chain(&task.status);
    all.map(|s| format!("{}/{}@{}", s.state().as_str_name(), s.reason_code, s.timestamp))
        .collect()
}

#[test]
fn history_holds_every_state_before_the_current_one_once() {
    let mut ended = hot(TaskState::Finished, [1, 2, 3, 4, 5, 6]);
    ended.reason = ReasonCode::Killed;
    ended.kill_reason = Some(ReasonCode::ScaledDown);
    assert_eq!(
        path(&shown(&ended, &job(true), "")),
        [
            "Accepted/normal@1",
            "Launched/normal@2",
            "StartInitiated/normal@3",
            "Started/normal@4",
            "KillInitiated/scaledDown@5",
            "Finished/killed@6",
        ]
    );
    let waiting = hot(TaskState::Accepted, [1, 0, 0, 0, 0, 0]);
    assert_eq!(path(&shown(&waiting, &job(true), "")), ["Accepted/normal@1"]);
}

#[test]
fn a_skipped_state_is_filled_in_only_for_a_task_that_started() {
    let started = hot(TaskState::Started, [1, 2, 0, 4, 0, 0]);
    assert_eq!(
        path(&shown(&started, &job(true), "")),
        [
            "Accepted/normal@1",
            "Launched/normal@2",
            "StartInitiated/filledIn@4",
            "Started/normal@4"
        ]
    );
    let killed_early = hot(TaskState::Finished, [1, 0, 0, 0, 2, 3]);
    assert_eq!(
        path(&shown(&killed_early, &job(true), "")),
        ["Accepted/normal@1", "KillInitiated/killed@2", "Finished/normal@3"]
    );
}

#[test]
fn context_tells_batch_from_service_and_names_host_and_address() {
    let mut running = hot(TaskState::Started, [1, 2, 3, 4, 0, 0]);
    running.host = Some(HostId::new("host-1").unwrap());
    running.address = Some("10.0.0.7".parse().unwrap());
    running.resubmit_of = Some(TaskId::from_bytes([9; 16]));
    running.attempts.resubmits = 2;
    let batch = shown(&running, &job(true), "").task_context;
    let expected = [
        ("agent.host", "host-1"),
        ("agent.instanceId", "host-1"),
        ("task.containerIPv4", "10.0.0.7"),
        ("task.containerIp", "10.0.0.7"),
        ("task.evictionResubmitNumber", "0"),
        ("task.index", "3"),
        ("task.originalId", "02020202-0202-0202-0202-020202020202"),
        ("task.resubmitNumber", "2"),
        ("task.resubmitOf", "09090909-0909-0909-0909-090909090909"),
        ("task.systemResubmitNumber", "0"),
        ("v2.taskInstanceId", "02020202-0202-0202-0202-020202020202"),
    ];
    let got: Vec<(&str, &str)> = batch.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(got, expected);
    running.address = Some("fd00::7".parse().unwrap());
    let service = shown(&running, &job(false), "").task_context;
    assert_eq!(service.get("task.index"), None);
    assert_eq!(service["task.containerIPv6"], "fd00::7");
}

#[test]
fn the_message_falls_back_to_the_exit() {
    let mut ended = hot(TaskState::Finished, [1, 2, 3, 4, 0, 6]);
    ended.exit = Some(Exit::OutOfMemory);
    let message = |task: v3::Task| task.status.unwrap().reason_message;
    assert_eq!(
        message(shown(&ended, &job(true), "its image is gone")),
        "its image is gone"
    );
    assert!(message(shown(&ended, &job(true), "")).contains("out of memory"));
}

#[test]
fn logs_are_found_below_the_servers_own_url() {
    let location = shown(&hot(TaskState::Started, [1; 6]), &job(true), "")
        .log_location
        .unwrap();
    assert_eq!(
        location.live_stream.unwrap().url,
        "http://127.0.0.1:7104/api/v1/tasks/02020202-0202-0202-0202-020202020202/logs?follow=true"
    );
}

#[test]
fn every_stage_is_listed_with_its_time_or_none() {
    let stages = launch_stages(&hot(TaskState::Started, [1, 2, 3, 4, 0, 0])).stages;
    let got: Vec<String> = stages.iter().map(|s| format!("{}={}", s.name, s.at_ms)).collect();
    assert_eq!(
        got,
        [
            "queued=1",
            "placed=2",
            "preparing=3",
            "image=0",
            "network=0",
            "started=4",
            "healthy=0",
            "killed=0",
            "finished=0"
        ]
    );
}
