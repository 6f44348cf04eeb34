//! A service job's capacity: 0 <= min <= desired <= max.

use crate::spec::findings::Findings;
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::{Capacity, JobRequest};

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    if let Some(service) = &request.service {
        capacity(service.capacity, limits, found);
    }
}

/// What every capacity has to keep, at first and after each update.
pub(in crate::spec) fn capacity(capacity: Capacity, limits: &Limits, found: &mut Findings) {
    let Capacity { min, desired, max } = capacity;
    let most = limits.get(Limit::ServiceSize).max;
    if u64::from(max) > most {
        found.refuse(
            "service.capacity.max",
            format!("{max} is too much: at most {most} tasks are allowed"),
            format!("write {most} or less"),
        );
    }
    if desired > max {
        found.refuse(
            "service.capacity.desired",
            format!("desired is {desired} and max is {max}: max must not be less"),
            format!(
                "write  capacity: {{ min: {min}, desired: {desired}, max: {desired} }}, or lower desired"
            ),
        );
    }
    if min > desired {
        found.refuse(
            "service.capacity.min",
            format!("min is {min} and desired is {desired}: min must not be more"),
            format!("write  min: {desired}  or less, or raise desired"),
        );
    }
}
