//! `titus.agent.v1` and `titus_core::wire`, field by field.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId, SpecDigest, TaskId};
use titus_core::resources::Resources;
use titus_core::spec::{HostVolume, ImageRequest, LaunchSpec, Secret, Violation};
use titus_core::task::{Exit, StageTimes};
use titus_core::time::{Millis, Timestamp};
use titus_core::wire::{Directive, HostReport, Phase, TaskDirective, TaskReport, Wanted, bounded_message};

use super::{malformed, required};
use crate::agent as proto;

/// A report as the agent sends it.
#[must_use]
pub fn report_to_wire(report: &HostReport) -> proto::HostReport {
    proto::HostReport {
        spec: Some(spec_to_wire(&report.spec)),
        generation: report.generation,
        tasks: report.tasks.iter().map(task_report_to_wire).collect(),
    }
}

/// A report as the scheduler receives it.
///
/// # Errors
/// The first field that is missing or out of form.
pub fn report_from_wire(report: proto::HostReport) -> Result<HostReport, Violation> {
    Ok(HostReport {
        spec: spec_from_wire(required(report.spec, "spec")?)?,
        generation: report.generation,
        tasks: report
            .tasks
            .into_iter()
            .map(task_report_from_wire)
            .collect::<Result<_, _>>()?,
    })
}

/// A directive as the scheduler sends it.
#[must_use]
pub fn directive_to_wire(directive: &Directive) -> proto::Directive {
    proto::Directive {
        host: directive.host.to_string(),
        generation: directive.generation,
        tasks: directive.tasks.iter().map(task_directive_to_wire).collect(),
        specs: directive
            .specs
            .iter()
            .map(|(digest, spec)| launch_to_wire(*digest, spec))
            .collect(),
    }
}

/// A directive as the agent receives it.
///
/// # Errors
/// The first field that is missing or out of form.
pub fn directive_from_wire(directive: proto::Directive) -> Result<Directive, Violation> {
    Ok(Directive {
        host: host_id(&directive.host, "host")?,
        generation: directive.generation,
        tasks: directive
            .tasks
            .iter()
            .map(task_directive_from_wire)
            .collect::<Result<_, _>>()?,
        specs: directive
            .specs
            .into_iter()
            .map(launch_from_wire)
            .collect::<Result<_, _>>()?,
    })
}

fn spec_to_wire(spec: &HostSpec) -> proto::HostSpec {
    proto::HostSpec {
        id: spec.id.to_string(),
        capacity: Some(resources_to_wire(&spec.capacity)),
        zone: spec.zone.clone(),
        machine_type: spec.machine_type.clone(),
        runtime: spec.runtime.clone(),
        datapath: spec.datapath.clone(),
        attributes: spec.attributes.clone(),
    }
}

fn spec_from_wire(spec: proto::HostSpec) -> Result<HostSpec, Violation> {
    Ok(HostSpec {
        id: host_id(&spec.id, "spec.id")?,
        capacity: resources_from_wire(&required(spec.capacity, "spec.capacity")?),
        zone: spec.zone,
        machine_type: spec.machine_type,
        runtime: spec.runtime,
        datapath: spec.datapath,
        attributes: spec.attributes,
    })
}

const fn resources_to_wire(r: &Resources) -> proto::Resources {
    proto::Resources {
        cpu_milli: r.cpu_milli,
        memory_mb: r.memory_mb,
        disk_mb: r.disk_mb,
        network_mbps: r.network_mbps,
        addresses: r.addresses,
        gpu: r.gpu,
    }
}

const fn resources_from_wire(r: &proto::Resources) -> Resources {
    Resources {
        cpu_milli: r.cpu_milli,
        memory_mb: r.memory_mb,
        disk_mb: r.disk_mb,
        network_mbps: r.network_mbps,
        addresses: r.addresses,
        gpu: r.gpu,
    }
}

fn task_report_to_wire(task: &TaskReport) -> proto::TaskReport {
    proto::TaskReport {
        task: task.task.to_bytes().to_vec(),
        phase: match task.phase {
            Phase::Preparing => proto::Phase::Preparing,
            Phase::Running => proto::Phase::Running,
            Phase::Stopping => proto::Phase::Stopping,
            Phase::Ended => proto::Phase::Ended,
        }
        .into(),
        exit: task.exit.map(exit_to_wire),
        reason: task.reason.map_or_else(String::new, |r| r.code().to_owned()),
        message: task.message.clone(),
        address: task.address.map_or_else(Vec::new, address_to_wire),
        times: Some(times_to_wire(&task.times)),
    }
}

fn task_report_from_wire(task: proto::TaskReport) -> Result<TaskReport, Violation> {
    let reason = |text: &str| {
        text.parse()
            .map_err(|e| malformed("tasks.reason", format!("{e}"), "send a known reason code"))
    };
    Ok(TaskReport {
        task: TaskId::from_bytes(bytes(&task.task, "tasks.task")?),
        phase: match task.phase() {
            proto::Phase::Preparing => Phase::Preparing,
            proto::Phase::Running => Phase::Running,
            proto::Phase::Stopping => Phase::Stopping,
            proto::Phase::Ended => Phase::Ended,
            proto::Phase::Unspecified => return Err(malformed("tasks.phase", "is missing", "set it")),
        },
        exit: task.exit.map(exit_from_wire).transpose()?,
        reason: (!task.reason.is_empty())
            .then(|| reason(&task.reason))
            .transpose()?,
        message: bounded_message(task.message),
        address: address_from_wire(&task.address)?,
        times: times_from_wire(&task.times.unwrap_or_default()),
    })
}

fn exit_to_wire(exit: Exit) -> proto::Exit {
    use proto::exit::{How, OutOfMemory, Unseen};
    let how = match exit {
        Exit::Code(code) => How::Code(code.into()),
        Exit::Signal(signal) => How::Signal(signal.into()),
        Exit::OutOfMemory => How::OutOfMemory(OutOfMemory {}),
        Exit::ExecFailed(code) => How::ExecFailed(code.into()),
        Exit::Unknown => How::Unseen(Unseen {}),
    };
    proto::Exit { how: Some(how) }
}

fn exit_from_wire(exit: proto::Exit) -> Result<Exit, Violation> {
    use proto::exit::How;
    let small = |n: u32| {
        u8::try_from(n).map_err(|_| malformed("tasks.exit", format!("{n} is above 255"), "send 0 to 255"))
    };
    Ok(match required(exit.how, "tasks.exit.how")? {
        How::Code(code) => Exit::Code(small(code)?),
        How::Signal(signal) => Exit::Signal(small(signal)?),
        How::OutOfMemory(_) => Exit::OutOfMemory,
        How::ExecFailed(code) => Exit::ExecFailed(small(code)?),
        How::Unseen(_) => Exit::Unknown,
    })
}

fn address_to_wire(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn address_from_wire(raw: &[u8]) -> Result<Option<IpAddr>, Violation> {
    if raw.is_empty() {
        return Ok(None);
    }
    let v4 = <[u8; 4]>::try_from(raw).map(|b| IpAddr::V4(Ipv4Addr::from(b)));
    let any = v4.or_else(|_| <[u8; 16]>::try_from(raw).map(|b| IpAddr::V6(Ipv6Addr::from(b))));
    any.map(Some).map_err(|_| {
        let message = format!("has {} bytes", raw.len());
        malformed("tasks.address", message, "send 4 or 16 bytes, or none")
    })
}

fn times_to_wire(times: &StageTimes) -> proto::StageTimes {
    let ms = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    proto::StageTimes {
        queued: ms(times.queued),
        placed: ms(times.placed),
        preparing: ms(times.preparing),
        image: ms(times.image),
        network: ms(times.network),
        started: ms(times.started),
        healthy: ms(times.healthy),
        killed: ms(times.killed),
        finished: ms(times.finished),
    }
}

fn times_from_wire(times: &proto::StageTimes) -> StageTimes {
    let at = |ms: Option<i64>| ms.map(Timestamp::from_millis);
    StageTimes {
        queued: at(times.queued),
        placed: at(times.placed),
        preparing: at(times.preparing),
        image: at(times.image),
        network: at(times.network),
        started: at(times.started),
        healthy: at(times.healthy),
        killed: at(times.killed),
        finished: at(times.finished),
    }
}

fn task_directive_to_wire(task: &TaskDirective) -> proto::TaskDirective {
    proto::TaskDirective {
        task: task.task.to_bytes().to_vec(),
        job: task.job.to_bytes().to_vec(),
        index: task.index,
        original: task.original.to_bytes().to_vec(),
        spec: task.spec.0.to_vec(),
        wanted: match task.wanted {
            Wanted::Run => proto::Wanted::Run,
            Wanted::Stop => proto::Wanted::Stop,
        }
        .into(),
    }
}

fn task_directive_from_wire(task: &proto::TaskDirective) -> Result<TaskDirective, Violation> {
    Ok(TaskDirective {
        task: TaskId::from_bytes(bytes(&task.task, "tasks.task")?),
        job: JobId::from_bytes(bytes(&task.job, "tasks.job")?),
        index: task.index,
        original: TaskId::from_bytes(bytes(&task.original, "tasks.original")?),
        spec: SpecDigest(bytes(&task.spec, "tasks.spec")?),
        wanted: match task.wanted() {
            proto::Wanted::Run => Wanted::Run,
            proto::Wanted::Stop => Wanted::Stop,
            proto::Wanted::Unspecified => return Err(malformed("tasks.wanted", "is missing", "set it")),
        },
    })
}

fn launch_to_wire(digest: SpecDigest, spec: &LaunchSpec) -> proto::LaunchSpec {
    proto::LaunchSpec {
        digest: digest.0.to_vec(),
        application: spec.application.clone(),
        image: Some(proto::Image {
            name: spec.image.name.clone(),
            tag: spec.image.tag.clone(),
            digest: spec.image.digest.clone(),
        }),
        entry_point: spec.entry_point.clone(),
        command: spec.command.clone(),
        env: spec
            .env
            .iter()
            .map(|(k, v)| (k.clone(), v.expose().to_owned()))
            .collect(),
        resources: Some(resources_to_wire(&spec.resources)),
        shm_mb: spec.shm_mb,
        volumes: spec
            .volumes
            .iter()
            .map(|v| proto::HostVolume {
                host_path: v.host_path.clone(),
                mount_path: v.mount_path.clone(),
            })
            .collect(),
        grace_ms: spec.grace.0,
    }
}

fn launch_from_wire(spec: proto::LaunchSpec) -> Result<(SpecDigest, LaunchSpec), Violation> {
    let digest = SpecDigest(bytes(&spec.digest, "specs.digest")?);
    let image = required(spec.image, "specs.image")?;
    let env: BTreeMap<_, _> = spec.env.into_iter().map(|(k, v)| (k, Secret::new(v))).collect();
    let launch = LaunchSpec {
        application: spec.application,
        image: ImageRequest {
            name: image.name,
            tag: image.tag,
            digest: image.digest,
        },
        entry_point: spec.entry_point,
        command: spec.command,
        env,
        resources: resources_from_wire(&required(spec.resources, "specs.resources")?),
        shm_mb: spec.shm_mb,
        volumes: spec
            .volumes
            .into_iter()
            .map(|v| HostVolume {
                host_path: v.host_path,
                mount_path: v.mount_path,
            })
            .collect(),
        grace: Millis(spec.grace_ms),
    };
    Ok((digest, launch))
}

fn host_id(text: &str, field: &str) -> Result<HostId, Violation> {
    HostId::new(text).map_err(|e| malformed(field, e.to_string(), "send the host's name"))
}

fn bytes<const N: usize>(raw: &[u8], field: &str) -> Result<[u8; N], Violation> {
    raw.try_into().map_err(|_| {
        let message = format!("has {} bytes", raw.len());
        malformed(field, message, &format!("send {N} bytes"))
    })
}

#[cfg(test)]
mod tests;
