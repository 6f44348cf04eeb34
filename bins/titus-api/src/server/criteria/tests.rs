use std::sync::Arc;

use titus_core::spec::{JobRequest, JobSpec};
use titus_core::task::ReasonCode;
use titus_core::time::Timestamp;

use super::*;

const JOB: &str = "11111111-1111-1111-1111-111111111111";
const TASK: &str = "22222222-2222-2222-2222-222222222222";

fn job() -> JobRecord {
    let request: JobRequest = serde_json::from_str(
        r#"{"owner": {"teamEmail": "me@example.com"}, "applicationName": "web", "capacityGroup": "gold",
            "jobGroupInfo": {"stack": "prod", "detail": "canary", "sequence": "v001"},
            "attributes": {"source": "spinnaker", "name": "web-v001"},
            "container": {"image": {"name": "busybox", "tag": "1.36"}}, "service": {}}"#,
    )
    .unwrap();
    let (spec, _) = JobSpec::from_stored(request);
    JobRecord::accepted(JOB.parse().unwrap(), Arc::new(spec), Timestamp::EPOCH)
}

fn task() -> TaskHot {
    let mut task = TaskHot::accepted(TASK.parse().unwrap(), JOB.parse().unwrap(), 0, Timestamp::EPOCH);
    task.state = TaskState::Finished;
    task.reason = ReasonCode::LocalSystemError;
    task
}

fn parse(pairs: &[(&str, &str)]) -> Result<Criteria, ApiError> {
    let given = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Criteria::parse(&given)
}

fn matches(pairs: &[(&str, &str)]) -> bool {
    let criteria = parse(pairs).unwrap();
    criteria.job(&job()) && criteria.task(&task())
}

#[test]
fn each_criterion_alone_selects_and_rejects() {
    let other = "33333333-3333-3333-3333-333333333333";
    for (key, hit, miss) in [
        ("jobIds", JOB, other),
        ("taskIds", TASK, other),
        ("owner", "me@example.com", "you@example.com"),
        ("applicationName", "web", "we"),
        ("appName", "web", "other"),
        ("imageName", "busybox", "alpine"),
        ("imageTag", "1.36", "1.35"),
        ("capacityGroup", "gold", "DEFAULT"),
        ("jobGroupStack", "prod", "test"),
        ("jobGroupDetail", "canary", ""),
        ("jobGroupSequence", "v001", "v002"),
        ("jobType", "SERVICE", "batch"),
        ("attributes", "source:spinnaker", "source:hand"),
        ("labels", "name", "missing"),
        ("jobState", "accepted", "Finished"),
        ("taskStates", "Started,finished", "Launched"),
        ("taskStateReasons", "failed,localSystemError", "podCreated"),
        ("needsMigration", "false", "true"),
        ("skipSystemFailures", "false", "true"),
        ("platformSidecar", "", "mesh"),
    ] {
        assert!(matches(&[(key, hit)]), "{key}={hit}");
        assert!(!matches(&[(key, miss)]), "{key}={miss}");
    }
    assert!(matches(&[("taskStates", "any")]) && matches(&[]));
}

#[test]
fn criteria_combine_by_and() {
    assert!(matches(&[
        ("appName", "web"),
        ("jobType", "service"),
        ("taskStates", "Finished")
    ]));
    assert!(!matches(&[("appName", "web"), ("jobType", "batch")]));
    assert!(!matches(&[("appName", "web"), ("applicationName", "other")]));
}

#[test]
fn attributes_of_one_key_are_alternatives_and_the_operator_joins_keys() {
    assert!(matches(&[("attributes", "source:hand,source:spinnaker,name")]));
    assert!(!matches(&[("attributes", "source:spinnaker,missing")]));
    assert!(matches(&[
        ("attributes", "source:spinnaker,missing"),
        ("attributes.op", "or")
    ]));
    assert!(!matches(&[("attributes", "missing"), ("labels.op", "OR")]));
    assert!(!matches(&[
        ("attributes", "source:spinnaker,missing"),
        ("attributes.op", "AND")
    ]));
}

#[test]
fn what_means_nothing_is_refused_with_what_would() {
    for (key, value, says) in [
        ("color", "red", "jobIds, taskIds"),
        ("useCache", "true", "is not a criterion"),
        ("jobIds", "job-1", "expected a UUID"),
        ("jobType", "cron", "batch, service"),
        ("jobState", "Running", "Accepted, KillInitiated, Finished"),
        ("taskStates", "Running", "any, Accepted, Launched"),
        ("skipSystemFailures", "maybe", "true, false"),
    ] {
        let error = parse(&[(key, value)]).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert_eq!(error.kind.name(), "InvalidArgument");
    }
}

#[test]
fn only_task_criteria_make_a_job_query_look_at_tasks() {
    assert!(parse(&[("taskStates", "any")]).unwrap().asks_for_tasks());
    assert!(parse(&[("taskStateReasons", "failed")]).unwrap().asks_for_tasks());
    assert!(
        !parse(&[("appName", "web"), ("skipSystemFailures", "true")])
            .unwrap()
            .asks_for_tasks()
    );
}

#[test]
fn every_key_of_the_list_is_understood() {
    for key in KEYS {
        let value = match key {
            "jobIds" => JOB,
            "taskIds" => TASK,
            "jobType" => "batch",
            "jobState" => "Accepted",
            "taskStates" => "any",
            "needsMigration" | "skipSystemFailures" => "true",
            _ => "x",
        };
        assert!(parse(&[(key, value)]).is_ok(), "{key}");
    }
}
