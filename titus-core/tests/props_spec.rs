//! Properties of requests and checked jobs, over anything that a client could send.

#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;
use titus_core::spec::{
    BackOffRetry, BatchRequest, Capacity, ConstraintsRequest, ContainerRequest, DelayedRetry, ImageRequest,
    ImmediateRetry, JobGroupInfo, JobRequest, JobSpec, Limit, Limits, OwnerRequest, ResourcesRequest,
    RetryRequest, Secret, SecurityProfileRequest, ServiceProcesses, ServiceRequest, VolumeRequest,
};

const HIDDEN: &str = "s3cr3t";

/// Half sense, half anything.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec![
            "", " ", "web", " web ", "a@b", "a@b@c", "host", "library/busybox", "..", "/a/..", "latest", "sg-1",
            "uniqueHost", "UNIQUEHOST", "titusParameter.agent.killWaitSeconds", "20", "titus.noncompliant.x",
            "/data", "/proc/1", "A=B", "\0", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ])
        .prop_map(str::to_owned),
        2 => ".{0,12}",
        1 => any::<String>(),
        1 => (0_usize..40_000).prop_map(|n| "x".repeat(n)),
    ]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0_u32..2_000, any::<u32>()]
}

fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..4)
}

fn resources() -> impl Strategy<Value = ResourcesRequest> {
    let cpu = prop_oneof![
        Just(0.0),
        0.0..100.0,
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY)
    ];
    (cpu, small(), small(), small(), small(), any::<bool>(), small()).prop_map(
        |(cpu, gpu, memory_mb, disk_mb, network_mbps, allocate_ip, shm_size_mb)| ResourcesRequest {
            cpu,
            gpu,
            memory_mb,
            disk_mb,
            network_mbps,
            allocate_ip,
            shm_size_mb,
        },
    )
}

fn image() -> impl Strategy<Value = ImageRequest> {
    (text(), text(), text()).prop_map(|(name, tag, digest)| ImageRequest { name, tag, digest })
}

fn security() -> impl Strategy<Value = SecurityProfileRequest> {
    (vec(text(), 0..8), text(), map()).prop_map(|(security_groups, iam_role, attributes)| {
        SecurityProfileRequest {
            security_groups,
            iam_role,
            attributes,
        }
    })
}

fn env() -> impl Strategy<Value = BTreeMap<String, Secret>> {
    btree_map(
        text(),
        text().prop_map(|t| Secret::new(format!("{HIDDEN}{t}"))),
        0..4,
    )
}

fn volumes() -> impl Strategy<Value = Vec<VolumeRequest>> {
    let volume = (text(), text()).prop_map(|(host_path, mount_path)| VolumeRequest {
        host_path,
        mount_path,
    });
    vec(volume, 0..4)
}

fn constraints() -> impl Strategy<Value = ConstraintsRequest> {
    map().prop_map(|constraints| ConstraintsRequest { constraints })
}

fn container() -> impl Strategy<Value = ContainerRequest> {
    let process = (vec(text(), 0..4), vec(text(), 0..4), env());
    let rest = (map(), constraints(), constraints(), volumes());
    (resources(), security(), image(), process, rest).prop_map(
        |(resources, security_profile, image, (entry_point, command, env), rest)| {
            let (attributes, soft_constraints, hard_constraints, volumes) = rest;
            ContainerRequest {
                resources,
                security_profile,
                image,
                attributes,
                entry_point,
                command,
                env,
                soft_constraints,
                hard_constraints,
                volumes,
            }
        },
    )
}

fn retry() -> impl Strategy<Value = RetryRequest> {
    let immediate = small().prop_map(|retries| ImmediateRetry { retries });
    let delayed = (any::<u64>(), small()).prop_map(|(delay_ms, retries)| DelayedRetry { delay_ms, retries });
    let back_off = (0_u64..5_000, 0_u64..900_000_000, small()).prop_map(|(a, b, retries)| BackOffRetry {
        initial_delay_ms: a,
        max_delay_interval_ms: b,
        retries,
    });
    (option::of(immediate), option::of(delayed), option::of(back_off)).prop_map(
        |(immediate, delayed, slower)| RetryRequest {
            immediate,
            delayed,
            exponential_back_off: slower,
        },
    )
}

fn batch() -> impl Strategy<Value = BatchRequest> {
    (small(), 0_u64..1_000_000, retry(), any::<bool>()).prop_map(
        |(size, runtime_limit_sec, retry_policy, retry_on_runtime_limit)| BatchRequest {
            size,
            runtime_limit_sec,
            retry_policy,
            retry_on_runtime_limit,
        },
    )
}

fn service() -> impl Strategy<Value = ServiceRequest> {
    (
        (small(), small(), small()),
        any::<bool>(),
        retry(),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |((min, desired, max), enabled, retry_policy, (up, down))| ServiceRequest {
                capacity: Capacity { min, desired, max },
                enabled,
                retry_policy,
                service_job_processes: ServiceProcesses {
                    disable_increase_desired: up,
                    disable_decrease_desired: down,
                },
            },
        )
}

fn garbage() -> impl Strategy<Value = JobRequest> {
    let names = (text(), text(), text(), (text(), text(), text()));
    (
        names,
        map(),
        container(),
        option::of(batch()),
        option::of(service()),
    )
        .prop_map(
            |(
                (team_email, application_name, capacity_group, group),
                attributes,
                container,
                batch,
                service,
            )| JobRequest {
                owner: OwnerRequest { team_email },
                application_name,
                capacity_group,
                job_group_info: JobGroupInfo {
                    stack: group.0,
                    detail: group.1,
                    sequence: group.2,
                },
                attributes,
                container,
                batch,
                service,
            },
        )
}

/// A request that parses, of which garbage only touched what may be anything.
fn sound() -> impl Strategy<Value = JobRequest> {
    let amounts = (
        0.0..96.0,
        0_u32..16,
        64_u32..1_000_000,
        0_u32..1_000_000,
        0_u32..400_000,
    );
    let kind = (any::<bool>(), 1_u32..1_000, 5_u64..864_000, 0_u32..20_000);
    let word = "[a-zA-Z0-9]{1,8}";
    (amounts, kind, vec(".{0,20}", 0..3), btree_map(word, word, 0..3)).prop_map(
        |((cpu, gpu, memory_mb, disk_mb, network_mbps), (is_batch, size, limit, retries), args, labels)| {
            let mut request = JobRequest::default();
            request.owner.team_email = " a@b".into();
            request.application_name = "web ".into();
            request.attributes = labels;
            request.container.image.name = "library/busybox".into();
            request.container.image.tag = "latest".into();
            request.container.resources = ResourcesRequest {
                cpu,
                gpu,
                memory_mb,
                disk_mb,
                network_mbps,
                ..ResourcesRequest::default()
            };
            request.container.entry_point = vec!["run".to_owned()];
            request.container.command = args.iter().map(|a| a.replace('\0', "")).collect();
            request.container.security_profile.security_groups = vec!["sg-1".into()];
            request.container.security_profile.iam_role = "role".into();
            let retry_policy = RetryRequest {
                immediate: (retries % 2 == 0).then_some(ImmediateRetry { retries }),
                ..RetryRequest::default()
            };
            if is_batch {
                request.batch = Some(BatchRequest {
                    size,
                    runtime_limit_sec: limit,
                    retry_policy,
                    ..BatchRequest::default()
                });
            } else {
                request.service = Some(ServiceRequest {
                    capacity: Capacity {
                        min: size / 2,
                        desired: size,
                        max: size,
                    },
                    retry_policy,
                    ..ServiceRequest::default()
                });
            }
            request
        },
    )
}

/// A request in which every field is there: its JSON is the schema that field paths are held against.
fn schema() -> Value {
    let any = || BTreeMap::from([("*".to_owned(), "x".to_owned())]);
    let mut full = JobRequest {
        attributes: any(),
        batch: Some(BatchRequest::default()),
        service: Some(ServiceRequest::default()),
        ..JobRequest::default()
    };
    let retry = RetryRequest {
        immediate: Some(ImmediateRetry::default()),
        delayed: Some(DelayedRetry::default()),
        exponential_back_off: Some(BackOffRetry::default()),
    };
    full.batch.as_mut().unwrap().retry_policy = retry;
    full.service.as_mut().unwrap().retry_policy = retry;
    let container = &mut full.container;
    container.attributes = any();
    container.security_profile.attributes = any();
    container.security_profile.security_groups = vec!["x".into()];
    container.entry_point = vec!["x".into()];
    container.command = vec!["x".into()];
    container.env = BTreeMap::from([("*".to_owned(), Secret::new("x"))]);
    container.soft_constraints.constraints = any();
    container.hard_constraints.constraints = any();
    container.volumes = vec![VolumeRequest::default()];
    serde_json::to_value(full).unwrap()
}

/// Follows a field path through the schema; a map holds any key and a list any index.
fn resolves(schema: &Value, path: &str) -> bool {
    if path.is_empty() {
        return true;
    }
    let Some((key, rest)) = first_step(path) else {
        return false;
    };
    let next = match schema {
        Value::Array(items) => key.parse::<usize>().ok().and_then(|_| items.first()),
        Value::Object(fields) => fields.get(key).or_else(|| fields.get("*")),
        _ => None,
    };
    next.is_some_and(|next| resolves(next, rest))
}

fn first_step(path: &str) -> Option<(&str, &str)> {
    let Some(bracket) = path.strip_prefix('[') else {
        let path = path.strip_prefix('.').unwrap_or(path);
        return Some(path.split_at(path.find(['.', '[']).unwrap_or(path.len())));
    };
    let mut quoted = bracket.starts_with('"');
    let mut escaped = false;
    for (i, c) in bracket.char_indices().skip(usize::from(quoted)) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = false,
            ']' if !quoted => return Some((&bracket[..i], &bracket[i + 1..])),
            _ => {}
        }
    }
    None
}

#[test]
fn a_path_resolves_only_where_the_schema_has_it() {
    let schema = schema();
    for good in [
        "owner.teamEmail",
        "container.resources.memoryMB",
        "container.env.PATH",
        "container.env[\"A=B\"]",
        "container.env[\"]\\\"]\"]",
        "container.volumes[7].hostPath",
        "batch.retryPolicy.exponentialBackOff.initialDelayMs",
    ] {
        assert!(resolves(&schema, good), "{good}");
    }
    for bad in [
        "owner.email",
        "container.volumes.hostPath",
        "container.env.A.b",
        "batch.size.x",
        "jobs[0]",
    ] {
        assert!(!resolves(&schema, bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn a_request_survives_json(request in garbage()) {
        prop_assume!(request.container.resources.cpu.is_finite());
        let json = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(serde_json::from_str::<JobRequest>(&json).unwrap(), request);
    }

    #[test]
    fn garbage_parses_or_is_told_what_is_wrong(request in garbage(), is_dev: bool) {
        let limits = if is_dev { Limits::dev() } else { Limits::titus() };
        let schema = schema();
        if let Err(violations) = JobSpec::parse(request, &limits) {
            prop_assert!(!violations.0.is_empty() && violations.0.len() <= 100);
            for v in violations.0 {
                prop_assert!(resolves(&schema, &v.field), "{}", v.field);
                prop_assert!(!v.message.is_empty() && v.message.len() < 1_200, "{}", v.message);
                prop_assert!(!v.help.is_empty());
                let whole = format!("{v} {}", v.help);
                prop_assert!(!whole.contains(HIDDEN) && !whole.chars().any(char::is_control), "{}", whole);
            }
        }
    }

    #[test]
    fn garbage_in_the_store_loads(request in garbage()) {
        let (spec, _) = JobSpec::from_stored(request.clone());
        let capacity = spec.capacity();
        prop_assert!(capacity.min <= capacity.desired && capacity.desired <= capacity.max);
        prop_assert!(!spec.capacity_group().is_empty());
        let debug = format!("{spec:?}");
        prop_assert!(!debug.contains(HIDDEN));
        let (again, _) = JobSpec::from_stored(spec.request().clone());
        prop_assert_eq!(again.digest(), spec.digest());
    }

    #[test]
    fn what_was_accepted_is_accepted_again_unchanged(request in sound(), is_dev: bool) {
        let limits = if is_dev { Limits::dev() } else { Limits::titus() };
        let (spec, _) = JobSpec::parse(request, &limits).unwrap();
        let (again, warnings) = JobSpec::parse(spec.request().clone(), &limits).unwrap();
        prop_assert_eq!(&again, &spec);
        prop_assert_eq!(warnings, []);
        let (stored, wrong) = JobSpec::from_stored(spec.request().clone());
        prop_assert_eq!(stored, spec);
        prop_assert_eq!(wrong.0, []);
    }

    #[test]
    fn what_is_accepted_is_within_the_limits(request in sound()) {
        let asked = request.container.resources.clone();
        let limits = Limits::titus();
        let (spec, warnings) = JobSpec::parse(request, &limits).unwrap();
        let given = spec.resources();
        for (amount, limit) in [
            (given.cpu_milli, Limit::CpuMilli),
            (given.memory_mb, Limit::MemoryMb),
            (given.disk_mb, Limit::DiskMb),
            (given.network_mbps, Limit::NetworkMbps),
            (given.gpu, Limit::Gpu),
        ] {
            let bound = limits.get(limit);
            prop_assert!((bound.min..=bound.max).contains(&amount), "{} {}", limit.name(), amount);
        }
        prop_assert!(given.memory_mb >= u64::from(asked.memory_mb));
        #[expect(clippy::cast_precision_loss, reason = "small amounts")]
        let cores = given.cpu_milli as f64 / 1_000.0;
        prop_assert!(cores >= asked.cpu - 1e-9);
        let silent = u64::from(asked.memory_mb) == given.memory_mb;
        prop_assert_eq!(silent, !warnings.iter().any(|w| w.field == "container.resources.memoryMB"));
    }
}
