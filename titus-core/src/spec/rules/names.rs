//! The names of a job: application, capacity group, naming triple.

use super::text;
use crate::shard::DEFAULT_GROUP;
use crate::spec::findings::Findings;
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let max = limits.get(Limit::NameBytes).max;
    let mut name = |name: &mut String, field| {
        text::trim(name, field, found);
        text::plain(name, max, field, found);
    };
    name(&mut request.application_name, "applicationName");
    name(&mut request.capacity_group, "capacityGroup");
    name(&mut request.job_group_info.stack, "jobGroupInfo.stack");
    name(&mut request.job_group_info.detail, "jobGroupInfo.detail");
    name(&mut request.job_group_info.sequence, "jobGroupInfo.sequence");
    if request.application_name.is_empty() {
        found.refuse(
            "applicationName",
            "it is required",
            "name the application that the job belongs to, as  applicationName: web",
        );
    }
    if request.capacity_group.is_empty() {
        DEFAULT_GROUP.clone_into(&mut request.capacity_group);
        found.defaulted("capacityGroup", DEFAULT_GROUP);
    }
}
