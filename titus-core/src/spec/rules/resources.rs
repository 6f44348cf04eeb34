//! What one task asks for: zero is the default, too little is raised, too much is refused.

use crate::spec::findings::Findings;
use crate::spec::limits::{Bound, Limit, Limits};
use crate::spec::request::{JobRequest, ResourcesRequest};

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let asked = &mut request.container.resources;
    cpu(&mut asked.cpu, limits.get(Limit::CpuMilli), found);
    for (amount, limit, field) in [
        (
            &mut asked.memory_mb,
            Limit::MemoryMb,
            "container.resources.memoryMB",
        ),
        (&mut asked.disk_mb, Limit::DiskMb, "container.resources.diskMB"),
        (
            &mut asked.network_mbps,
            Limit::NetworkMbps,
            "container.resources.networkMbps",
        ),
        (&mut asked.gpu, Limit::Gpu, "container.resources.gpu"),
    ] {
        amount_within(amount, limits.get(limit), field, found);
    }
    shm(asked, limits.get(Limit::ShmMb), found);
}

fn cpu(cpu: &mut f64, bound: Bound, found: &mut Findings) {
    const FIELD: &str = "container.resources.cpu";
    let shown = |milli: u64| cores(milli).to_string();
    let Some(milli) = cpu_milli(*cpu) else {
        let help = "write a number of cpus, as  cpu: 0.5";
        found.refuse(FIELD, format!("{cpu} is not an amount of cpu"), help);
        return;
    };
    if milli > bound.max {
        found.refuse(
            FIELD,
            format!("{cpu} is too much: at most {} are allowed", shown(bound.max)),
            format!("write {} or less", shown(bound.max)),
        );
        return;
    }
    let accepted = if milli == 0 {
        bound.default
    } else {
        milli.max(bound.min)
    };
    let value = cores(accepted);
    if milli == 0 && value > 0.0 {
        found.defaulted(FIELD, value);
    } else if milli < bound.min {
        found.adjusted(FIELD, format!("{cpu} was raised to the minimum of {value}"));
    } else if (value - *cpu).abs() > f64::EPSILON * value {
        found.adjusted(
            FIELD,
            format!("{cpu} was rounded up to {value}: a thousandth is the least step"),
        );
    }
    *cpu = value;
}

/// CPUs as thousandths, rounded up; `None` for what is no amount.
pub(in crate::spec) fn cpu_milli(cpu: f64) -> Option<u64> {
    const MOST: f64 = 1e15;
    let milli = cpu * 1_000.0;
    if !(0.0..=MOST).contains(&milli) {
        return None;
    }
    // 0.007 has no exact binary form: what is a thousandth but for the last bits, as a reader of JSON may get them
    // wrong, stays that thousandth.
    let near = milli.round();
    let whole = if (milli - near).abs() <= near * 4.0 * f64::EPSILON {
        near
    } else {
        milli.ceil()
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within 0..=1e15"
    )]
    Some(whole as u64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bounded by 1e15, which an f64 holds exactly"
)]
fn cores(milli: u64) -> f64 {
    milli as f64 / 1_000.0
}

fn amount_within(amount: &mut u32, bound: Bound, field: &str, found: &mut Findings) {
    let asked = u64::from(*amount);
    if asked > bound.max {
        found.refuse(
            field,
            format!("{asked} is too much: at most {} are allowed", bound.max),
            format!("write {} or less", bound.max),
        );
        return;
    }
    let accepted = if asked == 0 {
        bound.default
    } else {
        asked.max(bound.min)
    };
    if asked == 0 && accepted > 0 {
        found.defaulted(field, accepted);
    } else if asked < bound.min {
        found.adjusted(field, format!("{asked} was raised to the minimum of {accepted}"));
    }
    *amount = u32::try_from(accepted).unwrap_or(u32::MAX);
}

/// A default never asks for more than the memory that holds it.
fn shm(asked: &mut ResourcesRequest, bound: Bound, found: &mut Findings) {
    const FIELD: &str = "container.resources.shmSizeMB";
    let memory = asked.memory_mb;
    if asked.shm_size_mb > memory {
        found.refuse(
            FIELD,
            format!(
                "{} is more than the task's memory of {memory} MB",
                asked.shm_size_mb
            ),
            format!("write {memory} or less, or ask for more memory"),
        );
        return;
    }
    let room = Bound {
        default: bound.default.min(u64::from(memory)),
        ..bound
    };
    amount_within(&mut asked.shm_size_mb, room, FIELD, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_rounds_up_to_a_thousandth_and_keeps_every_thousandth() {
        assert_eq!(cpu_milli(0.000_1), Some(1));
        assert_eq!(cpu_milli(0.100_01), Some(101));
        assert_eq!(cpu_milli(0.0), Some(0));
        assert_eq!(cpu_milli(-0.0), Some(0));
        for milli in 0..200_000 {
            assert_eq!(cpu_milli(cores(milli)), Some(milli));
        }
    }

    #[test]
    fn what_is_no_amount_of_cpu_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1e300] {
            assert_eq!(cpu_milli(bad), None, "{bad}");
        }
    }
}
