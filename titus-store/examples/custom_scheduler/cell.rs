//! Something to schedule: two hosts, and a job of six tasks.

use std::error::Error;
use std::sync::Arc;

use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId};
use titus_core::resources::Resources;
use titus_core::rng::Rng;
use titus_core::spec::{BatchRequest, JobRequest, JobSpec, Limits};
use titus_core::wire::HostReport;
use titus_store::cluster::{Cluster, Submission};

pub(crate) async fn furnish(cluster: &Cluster, rng: &mut Rng) -> Result<(), Box<dyn Error>> {
    for (name, memory_mb) in [("small", 2_048), ("large", 4_096)] {
        let spec = host(HostId::new(name)?, memory_mb);
        let report = HostReport {
            spec,
            generation: 0,
            tasks: Vec::new(),
        };
        cluster.sync_host(&report).await?;
    }
    let mut request = JobRequest {
        application_name: "example".into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "you@example.com".into();
    request.container.image.name = "host".into();
    request.container.resources.memory_mb = 1_024;
    request.batch = Some(BatchRequest {
        size: 6,
        ..BatchRequest::default()
    });
    let spec = Arc::new(JobSpec::parse(request, &Limits::dev())?.0);
    let submission = Submission {
        id: JobId::generate(cluster.clock().now(), spec.shard(), rng),
        spec,
        request_key: None,
    };
    cluster.submit(&submission).await??;
    Ok(())
}

fn host(id: HostId, memory_mb: u64) -> HostSpec {
    HostSpec {
        id,
        capacity: Resources {
            cpu_milli: 8_000,
            memory_mb,
            disk_mb: 90_000,
            network_mbps: 9_000,
            addresses: 9,
            gpu: 0,
        },
        zone: "a".into(),
        machine_type: "example".into(),
        runtime: "none".into(),
        datapath: "none".into(),
        attributes: [].into(),
    }
}
