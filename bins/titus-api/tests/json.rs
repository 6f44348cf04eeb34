//! JSON as clients see it: golden texts, and a round trip of every message.

use std::sync::LazyLock;

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use titus_api::{v1, v3};

fn golden<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &M, text: &str) {
    let shown: serde_json::Value = serde_json::to_value(message).expect("every message has JSON");
    let expected: serde_json::Value = serde_json::from_str(text).expect("the golden text is JSON");
    assert_eq!(shown, expected);
    let back: M = serde_json::from_value(expected).expect("it reads its own JSON");
    assert_eq!(&back, message);
}

#[test]
fn a_job_reads_as_titus_prints_it() {
    let job = v3::Job {
        id: "j".into(),
        job_descriptor: Some(v3::JobDescriptor {
            owner: Some(v3::Owner {
                team_email: "a@b".into(),
            }),
            application_name: "web".into(),
            container: Some(v3::Container {
                resources: Some(v3::ContainerResources {
                    cpu: 0.5,
                    memory_mb: 64,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            job_spec: Some(v3::job_descriptor::JobSpec::Service(v3::ServiceJobSpec {
                capacity: Some(v3::Capacity {
                    min: 1,
                    max: 3,
                    desired: 2,
                }),
                ..Default::default()
            })),
            ..Default::default()
        }),
        status: Some(v3::JobStatus {
            state: 1,
            reason_code: "killed".into(),
            timestamp: 7,
            ..Default::default()
        }),
        status_history: Vec::new(),
        version: Some(v3::Version { timestamp: 9 }),
    };
    golden(
        &job,
        r#"{"id": "j", "jobDescriptor": {"owner": {"teamEmail": "a@b"}, "applicationName": "web", "capacityGroup": "",
            "attributes": {}, "container": {"resources": {"cpu": 0.5, "gpu": 0, "memoryMB": 64, "diskMB": 0,
                "networkMbps": 0, "allocateIP": false, "efsMounts": [], "shmSizeMB": 0, "signedAddressAllocations": []},
                "attributes": {}, "entryPoint": [], "command": [], "env": {}, "volumeMounts": []},
            "service": {"capacity": {"min": 1, "max": 3, "desired": 2}, "enabled": false},
            "extraContainers": [], "volumes": [], "platformSidecars": []},
            "status": {"state": "KillInitiated", "reasonCode": "killed", "reasonMessage": "", "timestamp": "7"},
            "statusHistory": [], "version": {"timestamp": "9"}}"#,
    );
}

#[test]
fn wrappers_are_plain_values_and_capitals_stay() {
    let update = v3::JobCapacityUpdateWithOptionalAttributes {
        job_id: "j".into(),
        job_capacity_with_optional_attributes: Some(v3::JobCapacityWithOptionalAttributes {
            desired: Some(4_u32.into()),
            ..Default::default()
        }),
    };
    golden(
        &update,
        r#"{"jobId": "j", "jobCapacityWithOptionalAttributes": {"desired": 4}}"#,
    );
    let volume = v3::Volume {
        name: "v".into(),
        volume_source: Some(v3::volume::VolumeSource::SaaSVolumeSource(v3::SaaSVolumeSource {
            saa_s_volume_id: "s".into(),
        })),
    };
    golden(
        &volume,
        r#"{"name": "v", "SaaSVolumeSource": {"SaaSVolumeID": "s"}}"#,
    );
}

#[test]
fn an_enum_is_taken_by_name_and_by_number_and_refused_otherwise() {
    let mode = |text: &str| serde_json::from_str::<v3::NetworkConfiguration>(text).map(|n| n.network_mode());
    let ipv6 = v3::network_configuration::NetworkMode::Ipv6Only;
    assert_eq!(mode(r#"{"networkMode": "Ipv6Only"}"#).unwrap(), ipv6);
    assert_eq!(mode(r#"{"networkMode": 4}"#).unwrap(), ipv6);
    let error = mode(r#"{"networkMode": "Ipv5"}"#).unwrap_err().to_string();
    assert!(error.contains("Ipv5") && error.contains("Ipv6Only"), "{error}");
}

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(titus_api::DESCRIPTORS).expect("built by build.rs"));

/// A message with every field set to something, drawn from `draws`.
fn filled(
    descriptor: &MessageDescriptor,
    draws: &mut impl Iterator<Item = u32>,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let draw = draws.next().unwrap_or(1);
        let whole = matches!(field.kind(), Kind::Message(_));
        if (whole && depth == 0) || (field.containing_oneof().is_some() && draw.is_multiple_of(2)) {
            continue;
        }
        let value = if field.is_map() {
            Value::Map(
                [(
                    MapKey::String(format!("k{draw}")),
                    Value::String(format!("v{draw}")),
                )]
                .into(),
            )
        } else {
            let one = value(&field.kind(), draws, draw, depth);
            if field.is_list() {
                Value::List(vec![one])
            } else {
                one
            }
        };
        message.set_field(&field, value);
    }
    message
}

fn value(kind: &Kind, draws: &mut impl Iterator<Item = u32>, draw: u32, depth: usize) -> Value {
    match kind {
        Kind::Double => Value::F64(f64::from(draw) / 8.0),
        Kind::Int32 => Value::I32(draw.cast_signed()),
        Kind::Int64 => Value::I64(i64::from(draw) << 20),
        Kind::Uint32 => Value::U32(draw),
        Kind::Uint64 => Value::U64(u64::from(draw) << 31),
        Kind::Bool => Value::Bool(draw.is_multiple_of(2)),
        Kind::String => Value::String(format!("text \u{e9}{draw}")),
        Kind::Bytes => Value::Bytes(draw.to_be_bytes().to_vec().into()),
        Kind::Enum(values) => {
            let all: Vec<i32> = values.values().map(|v| v.number()).collect();
            Value::EnumNumber(all[usize::try_from(draw).unwrap_or(0) % all.len()])
        }
        Kind::Message(inner) if inner.full_name().starts_with("google.protobuf.Timestamp") => {
            Value::Message(DynamicMessage::new(inner.clone()))
        }
        Kind::Message(inner) if inner.full_name() == "google.protobuf.Duration" => {
            Value::Message(DynamicMessage::new(inner.clone()))
        }
        Kind::Message(inner) if inner.full_name() == "google.protobuf.Struct" => {
            Value::Message(DynamicMessage::new(inner.clone()))
        }
        Kind::Message(inner) => Value::Message(filled(inner, draws, depth.saturating_sub(1))),
        other => panic!("no message has a field of type {other:?}"),
    }
}

/// Fills a message, sends it through JSON, and compares it in bytes.
fn survives<M: Message + Default + Serialize + DeserializeOwned>(name: &str, draws: &[u32]) {
    let descriptor = POOL
        .get_message_by_name(name)
        .unwrap_or_else(|| panic!("{name} exists"));
    let dynamic = filled(&descriptor, &mut draws.iter().copied().cycle(), 5);
    assert_eq!(dynamic.descriptor(), descriptor);
    let bytes = dynamic.encode_to_vec();
    let message = M::decode(&bytes[..]).expect("the type has this descriptor");
    let text = serde_json::to_string(&message).expect("every message has JSON");
    let back: M = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"));
    assert_eq!(back.encode_to_vec(), message.encode_to_vec(), "{name}: {text}");
}

macro_rules! all_survive {
    ($draws:expr, $($package:literal: $($message:ty = $name:literal),+;)+) => {
        $($( survives::<$message>(concat!($package, ".", $name), $draws); )+)+
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_message_survives_json(draws in proptest::collection::vec(any::<u32>(), 1..200)) {
        all_survive!(&draws,
            "com.netflix.titus":
                v3::JobDescriptor = "JobDescriptor", v3::Job = "Job", v3::Task = "Task",
                v3::JobQuery = "JobQuery", v3::JobQueryResult = "JobQueryResult",
                v3::TaskQuery = "TaskQuery", v3::TaskQueryResult = "TaskQueryResult",
                v3::ObserveJobsQuery = "ObserveJobsQuery", v3::JobChangeNotification = "JobChangeNotification",
                v3::ObserveJobsWithKeepAliveRequest = "ObserveJobsWithKeepAliveRequest",
                v3::JobCapacityUpdate = "JobCapacityUpdate",
                v3::JobCapacityUpdateWithOptionalAttributes = "JobCapacityUpdateWithOptionalAttributes",
                v3::JobStatusUpdate = "JobStatusUpdate", v3::JobProcessesUpdate = "JobProcessesUpdate",
                v3::JobDisruptionBudgetUpdate = "JobDisruptionBudgetUpdate",
                v3::JobAttributesUpdate = "JobAttributesUpdate",
                v3::JobAttributesDeleteRequest = "JobAttributesDeleteRequest",
                v3::TaskAttributesUpdate = "TaskAttributesUpdate",
                v3::TaskAttributesDeleteRequest = "TaskAttributesDeleteRequest",
                v3::TaskKillRequest = "TaskKillRequest", v3::TaskMoveRequest = "TaskMoveRequest",
                v3::JobDataRecord = "JobDataRecord", v3::TaskDataRecord = "TaskDataRecord",
                v3::JobIds = "JobIds", v3::TaskIds = "TaskIds", v3::Reference = "Reference",
                v3::TokenBucketPolicy = "TokenBucketPolicy", v3::ResourceDimension = "ResourceDimension",
                v3::HealthCheckResponse = "HealthCheckResponse";
            "titus.v1":
                v1::Host = "Host", v1::ListHostsResponse = "ListHostsResponse", v1::Event = "Event",
                v1::WatchEventsRequest = "WatchEventsRequest", v1::ReadLogsRequest = "ReadLogsRequest",
                v1::LogChunk = "LogChunk", v1::LaunchStages = "LaunchStages", v1::Warnings = "Warnings",
                v1::PlacementExplanation = "PlacementExplanation", v1::ServerStatus = "ServerStatus";
        );
    }
}
