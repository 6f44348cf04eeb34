//! Security groups and role: mandatory in some profiles, well-formed in all.

use super::text;
use crate::spec::findings::{Findings, shown};
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

const GROUPS: &str = "container.securityProfile.securityGroups";
const ROLE: &str = "container.securityProfile.iamRole";

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let profile = &mut request.container.security_profile;
    for (i, group) in profile.security_groups.iter_mut().enumerate() {
        let field = format!("{GROUPS}[{i}]");
        text::trim(group, &field, found);
        if !is_group(group) {
            found.refuse(
                &field,
                format!("{} is not a security group", shown(group)),
                "write the group's id, as sg-0a1b2c3d",
            );
        }
    }
    group_count(profile.security_groups.len() as u64, limits, found);
    text::trim(&mut profile.iam_role, ROLE, found);
    role(&profile.iam_role, limits, found);
}

fn is_group(group: &str) -> bool {
    group.strip_prefix("sg-").is_some_and(|id| {
        !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

fn group_count(count: u64, limits: &Limits, found: &mut Findings) {
    let bound = limits.get(Limit::SecurityGroups);
    if !(bound.min..=bound.max).contains(&count) {
        found.refuse(
            GROUPS,
            format!(
                "{count} security groups are given, {} to {} are allowed",
                bound.min, bound.max
            ),
            "write them as  securityProfile: { securityGroups: [sg-0a1b2c3d] }",
        );
    }
}

fn role(role: &str, limits: &Limits, found: &mut Findings) {
    text::plain(role, limits.get(Limit::NameBytes).max, ROLE, found);
    if role.is_empty() && limits.get(Limit::IamRole).min > 0 {
        found.refuse(
            ROLE,
            "it is required",
            "name the role that the container takes, as  iamRole: myRole",
        );
    } else if role.contains(' ') {
        found.refuse(
            ROLE,
            format!("{} has a space", shown(role)),
            "write a role's name or ARN without spaces",
        );
    }
}
