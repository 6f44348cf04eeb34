use crate::host::HostSpec;
use crate::id::{HostId, JobId, SpecDigest, TaskId};
use crate::resources::Resources;
use crate::spec::{ImageRequest, LaunchSpec};
use crate::time::Millis;
use crate::wire::{Directive, TaskDirective, Wanted};

pub(super) const DIGEST: SpecDigest = SpecDigest([5; 32]);

pub(super) fn task_id(n: u8) -> TaskId {
    TaskId::from_bytes([n; 16])
}

pub(super) fn launch() -> LaunchSpec {
    LaunchSpec {
        application: "app".into(),
        image: ImageRequest {
            name: "busybox".into(),
            tag: "1".into(),
            digest: String::new(),
        },
        entry_point: vec!["sleep".into()],
        command: vec!["1".into()],
        env: [].into(),
        resources: Resources {
            cpu_milli: 1_000,
            memory_mb: 512,
            disk_mb: 100,
            network_mbps: 128,
            addresses: 1,
            gpu: 0,
        },
        shm_mb: 64,
        volumes: vec![],
        grace: Millis(10_000),
    }
}

pub(super) fn host_spec() -> HostSpec {
    HostSpec {
        id: HostId::new("h1").unwrap(),
        capacity: Resources::ZERO,
        zone: "a".into(),
        machine_type: "m".into(),
        runtime: "fake".into(),
        datapath: "fake".into(),
        attributes: [].into(),
    }
}

pub(super) fn directive_for(n: u8, wanted: Wanted) -> TaskDirective {
    TaskDirective {
        task: task_id(n),
        job: JobId::from_bytes([200; 16]),
        index: u32::from(n),
        original: task_id(n),
        spec: DIGEST,
        wanted,
    }
}

pub(super) fn directive(generation: u64, tasks: &[(u8, Wanted)]) -> Directive {
    Directive {
        host: host_spec().id,
        generation,
        tasks: tasks.iter().map(|(n, w)| directive_for(*n, *w)).collect(),
        specs: [(DIGEST, launch())].into(),
    }
}
