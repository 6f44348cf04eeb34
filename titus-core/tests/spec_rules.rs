//! Every rule of `JobSpec::parse`, one bad request each, with what a user is told.

#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::fmt::Write as _;

use titus_core::spec::{
    BackOffRetry, BatchRequest, Capacity, DelayedRetry, ImmediateRetry, JobRequest, JobSpec, Limits,
    RetryRequest, Secret, ServiceRequest, VolumeRequest,
};

fn good() -> JobRequest {
    let mut request = JobRequest::default();
    request.owner.team_email = "team@example.com".into();
    request.application_name = "web".into();
    request.capacity_group = "gold".into();
    let container = &mut request.container;
    container.image.name = "library/busybox".into();
    container.image.tag = "1.36".into();
    container.resources.cpu = 1.0;
    container.resources.memory_mb = 512;
    container.resources.disk_mb = 10_000;
    container.resources.network_mbps = 128;
    container.resources.shm_size_mb = 64;
    container.security_profile.security_groups = vec!["sg-1".into()];
    container.security_profile.iam_role = "role".into();
    request.batch = Some(BatchRequest {
        size: 1,
        runtime_limit_sec: 60,
        retry_policy: RetryRequest {
            immediate: Some(ImmediateRetry { retries: 1 }),
            ..RetryRequest::default()
        },
        retry_on_runtime_limit: false,
    });
    request
}

fn service(capacity: Capacity) -> JobRequest {
    JobRequest {
        batch: None,
        service: Some(ServiceRequest {
            capacity,
            retry_policy: good().batch.unwrap().retry_policy,
            ..ServiceRequest::default()
        }),
        ..good()
    }
}

type Case = (&'static str, fn(&mut JobRequest));

fn told(limits: &Limits, cases: &[Case]) -> String {
    let mut text = String::new();
    for (name, change) in cases {
        let mut request = good();
        change(&mut request);
        writeln!(text, "# {name}").unwrap();
        match JobSpec::parse(request, limits) {
            Ok((_, warnings)) => {
                for w in warnings {
                    writeln!(text, "{:?} {w}", w.kind).unwrap();
                }
            }
            Err(violations) => {
                for v in violations.0 {
                    writeln!(text, "{v}\n  help: {}", v.help).unwrap();
                }
            }
        }
    }
    text
}

const NAMES: &[Case] = &[
    ("nothing wrong", |_| {}),
    ("no owner", |r| r.owner.team_email.clear()),
    ("owner without @", |r| r.owner.team_email = "team".into()),
    ("owner trimmed", |r| {
        r.owner.team_email = " team@example.com\n".into()
    }),
    ("no application", |r| r.application_name = "  ".into()),
    ("application with an escape", |r| {
        r.application_name = "a\u{1b}[2J".into()
    }),
    ("application too long", |r| r.application_name = "a".repeat(256)),
    ("no capacity group", |r| r.capacity_group.clear()),
    ("sequence trimmed", |r| r.job_group_info.sequence = " v1".into()),
    ("attributes of servers", |r| {
        r.attributes
            .insert("titus.sanitization.skipped.iam".into(), "x".into());
        r.attributes
            .insert("titus.noncompliant.features".into(), "x".into());
        r.attributes
            .insert("titus.runtimePrediction.version".into(), "x".into());
        r.attributes
            .insert("titusParameter.cell.request".into(), "x".into());
    }),
    ("attribute without a name", |r| {
        r.attributes.insert(String::new(), "x".into());
    }),
    ("attribute with NUL", |r| {
        r.container.attributes.insert("a".into(), "\0".into());
        r.container.attributes.insert("b\n".into(), "x".into());
    }),
    ("attributes too long", |r| {
        r.container
            .security_profile
            .attributes
            .insert("a".into(), "x".repeat(16_382));
    }),
    ("attributes of the longest length", |r| {
        r.container
            .security_profile
            .attributes
            .insert("a".into(), "x".repeat(16_381));
    }),
];

const CONTAINER: &[Case] = &[
    ("no image", |r| r.container.image.name.clear()),
    ("image climbs", |r| r.container.image.name = "../../etc".into()),
    ("image host", |r| r.container.image.name = "host".into()),
    ("image host without a tag", |r| {
        r.container.image.name = "host".into();
        r.container.image.tag.clear();
    }),
    ("no tag, no digest", |r| r.container.image.tag.clear()),
    ("bad tag", |r| r.container.image.tag = "1:2".into()),
    ("bad digest", |r| r.container.image.digest = "sha256:12".into()),
    ("good digest alone", |r| {
        r.container.image.tag.clear();
        r.container.image.digest = format!("sha256:{}", "ab".repeat(32));
    }),
    ("NUL in arguments", |r| {
        r.container.entry_point = vec!["a".into(), "b\0".into()];
        r.container.command = vec!["\0".into()];
    }),
    ("program without a name", |r| {
        r.container.entry_point = vec![String::new()]
    }),
    ("command without a name", |r| {
        r.container.command = vec![String::new()]
    }),
    ("empty argument", |r| {
        r.container.entry_point = vec!["a".into(), String::new()];
        r.container.command = vec![String::new()];
    }),
    ("entry point too long", |r| {
        r.container.entry_point = vec!["x".repeat(16_385)]
    }),
    ("command too long", |r| {
        r.container.command = vec!["x".repeat(32_769)]
    }),
    ("bad variables", |r| {
        for (name, value) in [
            ("", "v"),
            ("A=B", "v"),
            ("C\0", "v"),
            ("D", "v\0secret"),
            ("fine", "line\nline"),
        ] {
            r.container.env.insert(name.into(), Secret::new(value));
        }
    }),
    ("environment too long", |r| {
        r.container
            .env
            .insert("A".into(), Secret::new("x".repeat(32_766)));
    }),
    ("environment of the longest length", |r| {
        r.container
            .env
            .insert("A".into(), Secret::new("x".repeat(32_765)));
    }),
    ("all of it too long", |r| {
        r.container.entry_point = vec!["x".repeat(16_000)];
        r.container.command = vec!["x".repeat(32_000)];
        r.container
            .env
            .insert("A".into(), Secret::new("x".repeat(32_000)));
        r.attributes.insert("a".into(), "x".repeat(10_000));
    }),
    ("constraints", |r| {
        let c = &mut r.container;
        c.soft_constraints
            .constraints
            .insert("ZoneBalance".into(), "true".into());
        c.soft_constraints
            .constraints
            .insert("#{T(java)}".into(), "true".into());
        c.hard_constraints
            .constraints
            .insert("zonebalance".into(), "true".into());
        c.hard_constraints
            .constraints
            .insert("zoneBalance".into(), "true".into());
    }),
    ("constraints that are not acted upon", |r| {
        let soft = &mut r.container.soft_constraints.constraints;
        soft.insert("cpumodel".into(), "x".into());
        let hard = &mut r.container.hard_constraints.constraints;
        hard.insert("machineGroup".into(), "x".into());
    }),
    ("values of constraints", |r| {
        let soft = &mut r.container.soft_constraints.constraints;
        soft.insert("uniqueHost".into(), "yes".into());
        soft.insert("machineId".into(), String::new());
        soft.insert("zoneBalance".into(), "FALSE".into());
    }),
    ("a preference that is not acted upon", |r| {
        r.container
            .soft_constraints
            .constraints
            .insert("CPUMODEL".into(), "x".into());
    }),
    ("a hard constraint", |r| {
        r.container
            .hard_constraints
            .constraints
            .insert("uniquehost".into(), "true".into());
    }),
    ("volumes", |r| {
        r.container.volumes = [
            ("srv", "/data"),
            ("/srv", "/proc/x"),
            ("/a/../b", "/data"),
            ("/srv", "/"),
        ]
        .map(|(host, mount)| VolumeRequest {
            host_path: host.into(),
            mount_path: mount.into(),
        })
        .into();
    }),
    ("too many volumes", |r| {
        r.container.volumes = (0..17)
            .map(|i| VolumeRequest {
                host_path: "/srv".into(),
                mount_path: format!("/data{i}"),
            })
            .collect();
    }),
    ("kill wait", |r| {
        let key = "titusParameter.agent.killWaitSeconds";
        r.container.attributes.insert(key.into(), "301".into());
    }),
    ("short kill wait", |r| {
        let key = "titusParameter.agent.killWaitSeconds";
        r.container.attributes.insert(key.into(), "9".into());
    }),
    ("other settings of the agent", |r| {
        let key = "titusParameter.agent.allowCpuBursting";
        r.container.attributes.insert(key.into(), "true".into());
    }),
    ("no security profile", |r| {
        r.container.security_profile = Default::default()
    }),
    ("bad security profile", |r| {
        let profile = &mut r.container.security_profile;
        profile.security_groups = vec![" sg-1".into(), "sg-".into(), "web".into()];
        profile.iam_role = "a b".into();
    }),
    ("role with a line's end", |r| {
        r.container.security_profile.iam_role = "a\nb".into();
    }),
    ("too many groups", |r| {
        r.container.security_profile.security_groups = (0..7).map(|i| format!("sg-{i}")).collect();
    }),
];

const RESOURCES: &[Case] = &[
    ("nothing asked", |r| r.container.resources = Default::default()),
    ("a little asked", |r| {
        let asked = &mut r.container.resources;
        asked.cpu = 0.001_5;
        asked.memory_mb = 1;
        asked.disk_mb = 1;
        asked.network_mbps = 1;
        asked.shm_size_mb = 0;
    }),
    ("rounded", |r| r.container.resources.cpu = 1.000_1),
    ("all of the most", |r| {
        let asked = &mut r.container.resources;
        asked.cpu = 96.0;
        asked.gpu = 16;
        asked.memory_mb = 1_152_000;
        asked.disk_mb = 1_550_000;
        asked.network_mbps = 400_000;
        asked.shm_size_mb = 1_152_000;
    }),
    ("more than the most", |r| {
        let asked = &mut r.container.resources;
        asked.cpu = 96.000_1;
        asked.gpu = 17;
        asked.memory_mb = 1_152_001;
        asked.disk_mb = 1_550_001;
        asked.network_mbps = 400_001;
    }),
    ("no number", |r| r.container.resources.cpu = f64::NAN),
    ("endless", |r| r.container.resources.cpu = f64::INFINITY),
    ("negative", |r| r.container.resources.cpu = -1.0),
    ("more shm than memory", |r| {
        r.container.resources.shm_size_mb = 513
    }),
];

const KIND: &[Case] = &[
    ("neither", |r| r.batch = None),
    ("both", |r| {
        r.service = service(Capacity {
            min: 0,
            desired: 0,
            max: 0,
        })
        .service;
    }),
    ("no tasks", |r| r.batch.as_mut().unwrap().size = 0),
    ("too many tasks", |r| r.batch.as_mut().unwrap().size = 1_001),
    ("no runtime limit", |r| {
        r.batch.as_mut().unwrap().runtime_limit_sec = 0
    }),
    ("short runtime limit", |r| {
        r.batch.as_mut().unwrap().runtime_limit_sec = 4
    }),
    ("long runtime limit", |r| {
        r.batch.as_mut().unwrap().runtime_limit_sec = 864_001
    }),
    ("no retry policy", |r| {
        r.batch.as_mut().unwrap().retry_policy = RetryRequest::default()
    }),
    ("two retry policies", |r| {
        r.batch.as_mut().unwrap().retry_policy.delayed = Some(DelayedRetry::default());
    }),
    ("many retries", |r| {
        r.batch.as_mut().unwrap().retry_policy.immediate = Some(ImmediateRetry { retries: u32::MAX });
    }),
    ("long delays", |r| {
        r.batch.as_mut().unwrap().retry_policy = RetryRequest {
            delayed: Some(DelayedRetry {
                delay_ms: 864_000_001,
                retries: 10_001,
            }),
            ..RetryRequest::default()
        };
    }),
    ("delays out of order", |r| {
        r.batch.as_mut().unwrap().retry_policy = RetryRequest {
            exponential_back_off: Some(BackOffRetry {
                initial_delay_ms: 2_000,
                max_delay_interval_ms: 1_999,
                retries: 10_001,
            }),
            ..RetryRequest::default()
        };
    }),
    ("a service without a policy", |r| {
        *r = service(Capacity {
            min: 0,
            desired: 0,
            max: 0,
        });
        r.service.as_mut().unwrap().retry_policy = RetryRequest::default();
    }),
    ("a service of the most", |r| {
        *r = service(Capacity {
            min: 2_500,
            desired: 2_500,
            max: 2_500,
        });
    }),
    ("a service of more", |r| {
        *r = service(Capacity {
            min: 0,
            desired: 0,
            max: 2_501,
        })
    }),
    ("desired over max", |r| {
        *r = service(Capacity {
            min: 0,
            desired: 3,
            max: 0,
        })
    }),
    ("min over desired", |r| {
        *r = service(Capacity {
            min: 4,
            desired: 3,
            max: 5,
        })
    }),
];

#[test]
fn names_and_attributes() {
    insta::assert_snapshot!(told(&Limits::titus(), NAMES));
}

#[test]
fn containers_by_titus() {
    insta::assert_snapshot!(told(&Limits::titus(), CONTAINER));
}

#[test]
fn containers_by_dev() {
    insta::assert_snapshot!(told(&Limits::dev(), CONTAINER));
}

#[test]
fn resources_by_titus() {
    insta::assert_snapshot!(told(&Limits::titus(), RESOURCES));
}

#[test]
fn resources_by_dev() {
    insta::assert_snapshot!(told(&Limits::dev(), RESOURCES));
}

#[test]
fn kinds_by_titus() {
    insta::assert_snapshot!(told(&Limits::titus(), KIND));
}

#[test]
fn kinds_by_dev() {
    insta::assert_snapshot!(told(&Limits::dev(), KIND));
}

#[test]
fn everything_wrong_is_told_at_once() {
    let violations = JobSpec::parse(JobRequest::default(), &Limits::titus()).unwrap_err();
    let fields: Vec<_> = violations.0.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "owner.teamEmail",
            "applicationName",
            "container.image.name",
            "container.image.tag",
            "container.securityProfile.securityGroups",
            "container.securityProfile.iamRole",
            "batch",
        ]
    );
}

#[test]
fn a_parsed_job_is_what_was_asked_for() {
    let mut request = good();
    request.job_group_info.sequence = "v1".into();
    request.container.resources.cpu = 0.000_1;
    let (spec, _) = JobSpec::parse(request, &Limits::dev()).unwrap();
    assert_eq!(spec.owner_email(), "team@example.com");
    assert_eq!(spec.application(), "web");
    assert_eq!(spec.capacity_group(), "gold");
    assert_eq!(spec.unique_name().as_deref(), Some("web---v1"));
    assert_eq!(spec.shard(), titus_core::shard::ShardId::of("gold"));
    assert_eq!(
        spec.capacity(),
        Capacity {
            min: 1,
            desired: 1,
            max: 1
        }
    );
    let resources = spec.resources();
    assert_eq!((resources.cpu_milli, resources.addresses), (1, 1));
    insta::assert_debug_snapshot!(spec.kind());
}

#[test]
fn hosts_are_told_all_that_was_asked_for() {
    let mut request = good();
    let container = &mut request.container;
    container.image.digest = format!("sha256:{}", "ab".repeat(32));
    container.entry_point = vec!["/bin/run".into(), "-v".into()];
    container.command = vec!["all".into()];
    container.env.insert("KEY".into(), Secret::new("value"));
    container.resources.gpu = 2;
    container.volumes = vec![VolumeRequest {
        host_path: "/srv".into(),
        mount_path: "/data".into(),
    }];
    let key = "titusParameter.agent.killWaitSeconds";
    container.attributes.insert(key.into(), "25".into());
    let (spec, _) = JobSpec::parse(request, &Limits::titus()).unwrap();
    assert_eq!(spec.launch().env["KEY"].expose(), "value");
    insta::assert_debug_snapshot!(spec.launch());
}

#[test]
fn what_is_stored_always_loads_and_is_put_in_order() {
    let mut request = service(Capacity {
        min: 9,
        desired: 20,
        max: 3,
    });
    request.capacity_group.clear();
    request.owner.team_email.clear();
    request.container.resources.cpu = f64::NAN;
    let (spec, wrong) = JobSpec::from_stored(request);
    assert_eq!(
        spec.capacity(),
        Capacity {
            min: 9,
            desired: 9,
            max: 9
        }
    );
    assert_eq!(spec.capacity_group(), "DEFAULT");
    assert_eq!(spec.resources().cpu_milli, 0);
    let fields: Vec<_> = wrong.0.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "owner.teamEmail",
            "container.resources.cpu",
            "service.capacity.desired"
        ]
    );
    assert_eq!(JobSpec::from_stored(good()).1.0, []);
}

#[test]
fn the_example_files_parse_and_leave_nothing_open() {
    for text in [
        titus_core::spec::example::BATCH,
        titus_core::spec::example::SERVICE,
    ] {
        let request: JobRequest = serde_saphyr::from_str(text).unwrap();
        let (_, warnings) = JobSpec::parse(request, &Limits::dev()).unwrap();
        assert!(
            warnings
                .iter()
                .all(|w| w.kind == titus_core::spec::WarningKind::Defaulted),
            "{warnings:?}"
        );
    }
}
