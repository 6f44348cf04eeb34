//! A batch job's size and runtime limit.

use crate::spec::findings::Findings;
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let Some(batch) = &mut request.batch else { return };
    size(batch.size, limits, found);
    runtime_limit(&mut batch.runtime_limit_sec, limits, found);
}

fn size(size: u32, limits: &Limits, found: &mut Findings) {
    let bound = limits.get(Limit::BatchSize);
    if !(bound.min..=bound.max).contains(&u64::from(size)) {
        found.refuse(
            "batch.size",
            format!(
                "{size} tasks are asked for, {} to {} are allowed",
                bound.min, bound.max
            ),
            "write how many tasks shall run, as  size: 4",
        );
    }
}

fn runtime_limit(seconds: &mut u64, limits: &Limits, found: &mut Findings) {
    const FIELD: &str = "batch.runtimeLimitSec";
    let bound = limits.get(Limit::RuntimeLimitSec);
    if *seconds == 0 && bound.default > 0 {
        *seconds = bound.default;
        found.defaulted(FIELD, bound.default);
    } else if !(bound.min..=bound.max).contains(seconds) {
        found.refuse(
            FIELD,
            format!("{seconds} s is not between {} and {} s", bound.min, bound.max),
            "write how long one task may run, in seconds, or leave it out",
        );
    }
}
