//! The compiled descriptors against the contract: every name, number and type of Titus API v3 that we offer.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind};

const PACKAGE: &str = "com.netflix.titus";

fn pool() -> DescriptorPool {
    DescriptorPool::decode(titus_api::DESCRIPTORS).expect("built by build.rs")
}

/// Every row of the table as `message,field,number,type`.
fn table() -> BTreeSet<String> {
    let mut reader = csv::Reader::from_reader(include_str!("data/titus_fields.csv").as_bytes());
    reader
        .records()
        .map(|r| {
            r.expect("the table is a CSV")
                .iter()
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect()
}

fn short(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(m) => m.name().to_owned(),
        Kind::Enum(e) => e.name().to_owned(),
        scalar => format!("{scalar:?}"),
    }
}

fn type_name(field: &FieldDescriptor) -> String {
    if field.is_map()
        && let Kind::Message(entry) = field.kind()
    {
        let value = kind_name(&entry.map_entry_value_field().kind());
        return format!("map {} {value}", kind_name(&entry.map_entry_key_field().kind()));
    }
    let name = kind_name(&field.kind());
    if field.is_list() {
        format!("repeated {name}")
    } else {
        name
    }
}

fn compiled() -> BTreeSet<String> {
    let pool = pool();
    let local = |full: &str| full.strip_prefix(PACKAGE).map(|s| s[1..].to_owned());
    let mut rows = BTreeSet::new();
    for message in pool.all_messages().filter(|m| !m.is_map_entry()) {
        let Some(name) = local(message.full_name()) else {
            continue;
        };
        for field in message.fields() {
            rows.insert(format!(
                "{name},{},{},{}",
                field.name(),
                field.number(),
                type_name(&field)
            ));
        }
    }
    for values in pool.all_enums() {
        let Some(name) = local(values.full_name()) else {
            continue;
        };
        for value in values.values() {
            rows.insert(format!("{name},{},{},value", value.name(), value.number()));
        }
    }
    rows
}

#[test]
fn every_field_has_the_name_number_and_type_of_the_contract() {
    let (table, compiled) = (table(), compiled());
    let missing: Vec<_> = table.difference(&compiled).collect();
    let extra: Vec<_> = compiled.difference(&table).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:#?}, extra {extra:#?}"
    );
    assert!(table.len() > 250);
}

#[test]
fn every_call_of_job_management_has_its_messages_and_streams() {
    let service = pool()
        .get_service_by_name("com.netflix.titus.JobManagementService")
        .unwrap();
    let calls: Vec<String> = service
        .methods()
        .map(|m| {
            let stream = |yes| if yes { "stream " } else { "" };
            format!(
                "{} {}{} -> {}{}",
                m.name(),
                stream(m.is_client_streaming()),
                short(m.input().full_name()),
                stream(m.is_server_streaming()),
                short(m.output().full_name())
            )
        })
        .collect();
    let expected: Vec<&str> = include_str!("data/job_management.txt").lines().collect();
    assert_eq!(calls, expected);
}

#[test]
fn our_own_services_add_nothing_to_the_contracts_package() {
    let services: Vec<String> = pool().services().map(|s| s.full_name().to_owned()).collect();
    assert_eq!(
        services,
        [
            "com.netflix.titus.Health",
            "com.netflix.titus.JobManagementService",
            "titus.agent.v1.AgentService",
            "titus.v1.EventService",
            "titus.v1.HostService",
            "titus.v1.ServerService",
            "titus.v1.TaskInsightService",
        ]
    );
}

#[test]
fn capitals_survive_in_json() {
    let message = pool()
        .get_message_by_name("com.netflix.titus.JobCapacityUpdate")
        .unwrap();
    assert_eq!(
        message.get_field_by_name("Capacity").unwrap().json_name(),
        "Capacity"
    );
    let update = titus_api::v3::JobCapacityUpdate {
        job_id: "j".into(),
        capacity: Some(titus_api::v3::Capacity::default()),
    };
    let json = serde_json::to_string(&update).unwrap();
    assert_eq!(json, r#"{"jobId":"j","Capacity":{"min":0,"max":0,"desired":0}}"#);
}
