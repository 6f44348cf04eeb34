//! The size of the whole request: bounded, so that one job is one value of any store.

use std::collections::BTreeMap;

use crate::spec::findings::Findings;
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::{
    ContainerRequest, ImageRequest, JobGroupInfo, JobRequest, OwnerRequest, SecurityProfileRequest,
};

/// What a text or an entry costs beside its bytes, in the record.
const EACH: usize = 4;

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let max = limits.get(Limit::RequestBytes).max;
    let bytes = whole(request) as u64;
    if bytes > max {
        found.refuse(
            "container",
            format!("the whole request takes {bytes} bytes, at most {max} are allowed"),
            "shorten command, environment or attributes",
        );
    }
}

// Every field is named, so that a new one cannot be forgotten here.
fn whole(request: &JobRequest) -> usize {
    let JobRequest {
        owner: OwnerRequest { team_email },
        application_name,
        capacity_group,
        job_group_info: JobGroupInfo {
            stack,
            detail,
            sequence,
        },
        attributes,
        container: own,
        batch: _,
        service: _,
    } = request;
    let names = [
        team_email,
        application_name,
        capacity_group,
        stack,
        detail,
        sequence,
    ];
    list(names) + map(attributes) + container(own)
}

fn container(container: &ContainerRequest) -> usize {
    let ContainerRequest {
        resources: _,
        security_profile:
            SecurityProfileRequest {
                security_groups,
                iam_role,
                attributes: security,
            },
        image: ImageRequest { name, tag, digest },
        attributes,
        entry_point,
        command,
        env,
        soft_constraints,
        hard_constraints,
        volumes,
    } = container;
    list([iam_role, name, tag, digest])
        + list(security_groups)
        + list(entry_point)
        + list(command)
        + list(volumes.iter().flat_map(|v| [&v.host_path, &v.mount_path]))
        + [
            security,
            attributes,
            &soft_constraints.constraints,
            &hard_constraints.constraints,
        ]
        .into_iter()
        .map(map)
        .sum::<usize>()
        + env
            .iter()
            .map(|(k, v)| k.len() + v.expose().len() + 2 * EACH)
            .sum::<usize>()
}

fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    texts.into_iter().map(|t| t.len() + EACH).sum()
}

fn map(entries: &BTreeMap<String, String>) -> usize {
    entries.iter().map(|(k, v)| k.len() + v.len() + 2 * EACH).sum()
}
