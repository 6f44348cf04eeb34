use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use titus_core::task::ReasonCode;

use super::*;

fn resources() -> impl Strategy<Value = Resources> {
    any::<[u64; 6]>().prop_map(
        |[cpu_milli, memory_mb, disk_mb, network_mbps, addresses, gpu]| Resources {
            cpu_milli,
            memory_mb,
            disk_mb,
            network_mbps,
            addresses,
            gpu,
        },
    )
}

fn host() -> impl Strategy<Value = HostSpec> {
    (
        "[a-z0-9][a-z0-9.-]{0,39}",
        resources(),
        any::<[String; 4]>(),
        btree_map(".*", ".*", 0..3),
    )
        .prop_map(
            |(id, capacity, [zone, machine_type, runtime, datapath], attributes)| HostSpec {
                id: HostId::new(&id).unwrap(),
                capacity,
                zone,
                machine_type,
                runtime,
                datapath,
                attributes,
            },
        )
}

fn times() -> impl Strategy<Value = StageTimes> {
    any::<[Option<i64>; 9]>().prop_map(|all| {
        let [
            queued,
            placed,
            preparing,
            image,
            network,
            started,
            healthy,
            killed,
            finished,
        ] = all.map(|ms| ms.map(Timestamp::from_millis));
        StageTimes {
            queued,
            placed,
            preparing,
            image,
            network,
            started,
            healthy,
            killed,
            finished,
        }
    })
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![
        any::<u8>().prop_map(Exit::Code),
        any::<u8>().prop_map(Exit::Signal),
        Just(Exit::OutOfMemory),
        any::<u8>().prop_map(Exit::ExecFailed),
        Just(Exit::Unknown),
    ]
}

fn task_report() -> impl Strategy<Value = TaskReport> {
    let phase = prop::sample::select(vec![
        Phase::Preparing,
        Phase::Running,
        Phase::Stopping,
        Phase::Ended,
    ]);
    let reason = prop::sample::select(ReasonCode::ALL.to_vec());
    (
        any::<[u8; 16]>(),
        phase,
        option::of(exit()),
        option::of(reason),
        ".{0,40}",
        any::<Option<IpAddr>>(),
        times(),
    )
        .prop_map(
            |(task, phase, exit, reason, message, address, times)| TaskReport {
                task: TaskId::from_bytes(task),
                phase,
                exit,
                reason,
                message,
                address,
                times,
            },
        )
}

fn launch() -> impl Strategy<Value = LaunchSpec> {
    (
        any::<[String; 4]>(),
        vec(".*", 0..3),
        vec(".*", 0..3),
        btree_map(".*", ".*", 0..3),
        resources(),
        any::<(u64, u64)>(),
        vec(any::<[String; 2]>(), 0..3),
    )
        .prop_map(
            |(
                [application, name, tag, digest],
                entry_point,
                command,
                env,
                resources,
                (shm_mb, grace),
                volumes,
            )| {
                LaunchSpec {
                    application,
                    image: ImageRequest { name, tag, digest },
                    entry_point,
                    command,
                    env: env.into_iter().map(|(k, v)| (k, Secret::new(v))).collect(),
                    resources,
                    shm_mb,
                    volumes: volumes
                        .into_iter()
                        .map(|[host_path, mount_path]| HostVolume {
                            host_path,
                            mount_path,
                        })
                        .collect(),
                    grace: Millis(grace),
                }
            },
        )
}

fn task_directive() -> impl Strategy<Value = TaskDirective> {
    (
        any::<[[u8; 16]; 3]>(),
        any::<u32>(),
        any::<[u8; 32]>(),
        any::<bool>(),
    )
        .prop_map(|([task, job, original], index, spec, run)| TaskDirective {
            task: TaskId::from_bytes(task),
            job: JobId::from_bytes(job),
            index,
            original: TaskId::from_bytes(original),
            spec: SpecDigest(spec),
            wanted: if run { Wanted::Run } else { Wanted::Stop },
        })
}

proptest! {
    #[test]
    fn a_report_survives_the_wire(spec in host(), generation: u64, tasks in vec(task_report(), 0..4)) {
        let report = HostReport { spec, generation, tasks };
        let bytes = report_to_wire(&report).encode_to_vec();
        let back = report_from_wire(proto::HostReport::decode(&bytes[..]).unwrap()).unwrap();
        prop_assert_eq!(back, report);
    }

    #[test]
    fn a_directive_survives_the_wire(
        spec in host(),
        generation: u64,
        tasks in vec(task_directive(), 0..4),
        specs in btree_map(any::<[u8; 32]>().prop_map(SpecDigest), launch(), 0..3),
    ) {
        let directive = Directive { host: spec.id, generation, tasks, specs };
        let bytes = directive_to_wire(&directive).encode_to_vec();
        let back = directive_from_wire(proto::Directive::decode(&bytes[..]).unwrap()).unwrap();
        prop_assert_eq!(back, directive);
    }

    #[test]
    fn no_bytes_make_the_receiver_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(report) = proto::HostReport::decode(&bytes[..]) {
            let _ = report_from_wire(report);
        }
        if let Ok(directive) = proto::Directive::decode(&bytes[..]) {
            let _ = directive_from_wire(directive);
        }
    }
}

fn sample() -> proto::HostReport {
    proto::HostReport {
        spec: Some(proto::HostSpec {
            id: "host-1".into(),
            capacity: Some(proto::Resources::default()),
            ..Default::default()
        }),
        generation: 1,
        tasks: vec![proto::TaskReport {
            task: vec![7; 16],
            phase: proto::Phase::Running.into(),
            ..Default::default()
        }],
    }
}

/// The field that is blamed once `spoil` has changed a good report.
fn blamed(spoil: impl FnOnce(&mut proto::HostReport)) -> String {
    let mut report = sample();
    spoil(&mut report);
    report_from_wire(report).unwrap_err().field
}

#[test]
fn a_field_out_of_form_is_named() {
    assert!(report_from_wire(sample()).is_ok());
    assert_eq!(blamed(|r| r.spec = None), "spec");
    assert_eq!(
        blamed(|r| r.spec.as_mut().unwrap().id = "NOT A HOST".into()),
        "spec.id"
    );
    assert_eq!(
        blamed(|r| r.spec.as_mut().unwrap().capacity = None),
        "spec.capacity"
    );
    assert_eq!(blamed(|r| r.tasks[0].task = vec![7; 15]), "tasks.task");
    assert_eq!(blamed(|r| r.tasks[0].phase = 99), "tasks.phase");
    assert_eq!(blamed(|r| r.tasks[0].reason = "because".into()), "tasks.reason");
    assert_eq!(blamed(|r| r.tasks[0].address = vec![1; 5]), "tasks.address");
    assert_eq!(
        blamed(|r| r.tasks[0].exit = Some(proto::Exit { how: None })),
        "tasks.exit.how"
    );
    let huge = proto::Exit {
        how: Some(proto::exit::How::Code(256)),
    };
    assert_eq!(blamed(|r| r.tasks[0].exit = Some(huge)), "tasks.exit");
}

#[test]
fn a_hosts_message_is_bounded_where_it_enters() {
    let mut report = sample();
    report.tasks[0].message = "x".repeat(1 << 20);
    let taken = report_from_wire(report).unwrap();
    assert_eq!(taken.tasks[0].message.len(), titus_core::wire::MAX_MESSAGE);
}
