use super::*;

fn json(text: &str) -> v3::JobDescriptor {
    serde_json::from_str(text).unwrap()
}

const FULL: &str = r#"{
  "owner": {"teamEmail": "team@example.com"},
  "applicationName": "web",
  "capacityGroup": "gold",
  "jobGroupInfo": {"stack": "prod", "detail": "canary", "sequence": "v001"},
  "attributes": {"source": "spinnaker"},
  "container": {
    "resources": {"cpu": 0.5, "gpu": 1, "memoryMB": 512, "diskMB": 1000, "networkMbps": 128, "allocateIP": true,
                  "shmSizeMB": 32},
    "securityProfile": {"securityGroups": ["sg-1"], "iamRole": "role", "attributes": {"k": "v"}},
    "image": {"name": "library/busybox", "tag": "latest", "digest": "sha256:00"},
    "attributes": {"titusParameter.agent.killWaitSeconds": "20",
                   "titusParameter.agent.hostVolume./data": "/srv/data"},
    "entryPoint": ["/bin/sh", "-c"], "command": ["echo hello"], "env": {"A": "1"},
    "softConstraints": {"constraints": {"zoneBalance": "true"}},
    "hardConstraints": {"constraints": {"uniqueHost": "true"}}
  },
  "service": {
    "capacity": {"min": 1, "desired": 2, "max": 3}, "enabled": true,
    "retryPolicy": {"exponentialBackOff": {"initialDelayMs": "5000", "maxDelayIntervalMs": 300000, "retries": 0}},
    "serviceJobProcesses": {"disableIncreaseDesired": true}
  }
}"#;

#[test]
fn what_a_client_sent_is_what_it_is_shown_back() {
    let sent = json(FULL);
    let received = request_from_descriptor(sent.clone()).unwrap();
    assert_eq!(received.warnings, Vec::new());
    let volume = &received.request.container.volumes[0];
    assert_eq!(
        (volume.host_path.as_str(), volume.mount_path.as_str()),
        ("/srv/data", "/data")
    );
    assert_eq!(
        received.request.container.attributes.len(),
        1,
        "a volume is no attribute any more"
    );
    assert_eq!(descriptor_from_request(&received.request), sent);
}

#[test]
fn a_job_file_and_the_rest_json_name_everything_alike() {
    let mut text: serde_json::Value = serde_json::from_str(FULL).unwrap();
    let container = text["container"].as_object_mut().unwrap();
    container["attributes"]
        .as_object_mut()
        .unwrap()
        .remove("titusParameter.agent.hostVolume./data");
    text["service"]["retryPolicy"]["exponentialBackOff"]["initialDelayMs"] = 5000.into();
    let from_file: JobRequest = serde_json::from_value(text.clone()).unwrap();
    let from_wire = request_from_descriptor(serde_json::from_value(text).unwrap()).unwrap();
    assert_eq!(from_wire.request, from_file);
}

#[test]
fn each_retry_policy_comes_back() {
    for policy in [
        r#"{"immediate": {"retries": 3}}"#,
        r#"{"delayed": {"delayMs": "70", "retries": 4}}"#,
        r#"{"exponentialBackOff": {"initialDelayMs": "1", "maxDelayIntervalMs": "2", "retries": 5}}"#,
    ] {
        let sent = json(&format!(
            r#"{{"batch": {{"size": 4, "runtimeLimitSec": "60", "retryOnRuntimeLimit": true, "retryPolicy": {policy}}}}}"#
        ));
        let received = request_from_descriptor(sent.clone()).unwrap();
        assert_eq!(
            descriptor_from_request(&received.request).job_spec,
            sent.job_spec,
            "{policy}"
        );
    }
}

#[test]
fn what_would_make_it_another_job_is_refused_by_name() {
    for (field, text) in [
        (
            "container.resources.efsMounts",
            r#"{"container": {"resources": {"efsMounts": [{"efsId": "fs-1"}]}}}"#,
        ),
        (
            "container.resources.signedAddressAllocations",
            r#"{"container": {"resources": {"signedAddressAllocations": [{}]}}}"#,
        ),
        (
            "container.resources.staticIPAddresses",
            r#"{"container": {"resources": {"pool": "p"}}}"#,
        ),
        (
            "container.hardConstraints.expression",
            r#"{"container": {"hardConstraints": {"expression": "x"}}}"#,
        ),
        (
            "container.volumeMounts",
            r#"{"container": {"volumeMounts": [{"mountPath": "/a"}]}}"#,
        ),
        (
            "container.experimental",
            r#"{"container": {"experimental": {"typeUrl": "t"}}}"#,
        ),
        ("extraContainers", r#"{"extraContainers": [{"name": "side"}]}"#),
        ("volumes", r#"{"volumes": [{"name": "v"}]}"#),
        ("platformSidecars", r#"{"platformSidecars": [{"name": "s"}]}"#),
    ] {
        let Violations(all) = request_from_descriptor(json(text)).unwrap_err();
        let fields: Vec<&str> = all.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, [field]);
    }
}

#[test]
fn what_does_nothing_is_said() {
    let received = request_from_descriptor(json(
        r#"{"container": {"softConstraints": {"expression": "x"}},
            "service": {"migrationPolicy": {"selfManaged": {}},
                        "retryPolicy": {"delayed": {"initialDelayMs": 5}}},
            "disruptionBudget": {"selfManaged": {}}, "networkConfiguration": {"networkMode": "Ipv6Only"}}"#,
    ))
    .unwrap();
    let fields: Vec<&str> = received.warnings.iter().map(|w| w.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "container.softConstraints.expression",
            "retryPolicy.delayed.initialDelayMs",
            "service.migrationPolicy",
            "disruptionBudget",
            "networkConfiguration",
        ]
    );
}
