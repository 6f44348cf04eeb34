//! `titusParameter.agent.*`: settings of the container that Titus's clients pass as attributes.

use crate::spec::findings::{Findings, entry, shown};
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::{ContainerRequest, JobRequest};
use crate::time::Millis;

const PREFIX: &str = "titusParameter.agent.";
const KILL_WAIT: &str = "titusParameter.agent.killWaitSeconds";
const DEFAULT_GRACE: Millis = Millis::from_secs(10);

/// The time between SIGTERM and SIGKILL; 10 s where a request does not say or says nonsense.
pub(in crate::spec) fn grace(container: &ContainerRequest) -> Millis {
    container
        .attributes
        .get(KILL_WAIT)
        .and_then(|text| text.trim().parse().ok())
        .map_or(DEFAULT_GRACE, Millis::from_secs)
}

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    for (key, value) in &request.container.attributes {
        if key == KILL_WAIT {
            kill_wait(value, limits, found);
        } else if key.starts_with(PREFIX) {
            found.warn(
                crate::spec::WarningKind::NoEffect,
                entry("container.attributes", key),
                "this version keeps the setting and does not act on it",
            );
        }
    }
}

fn kill_wait(value: &str, limits: &Limits, found: &mut Findings) {
    let bound = limits.get(Limit::KillWaitSec);
    let seconds = value.trim().parse::<u64>();
    if !seconds.is_ok_and(|s| (bound.min..=bound.max).contains(&s)) {
        found.refuse(
            entry("container.attributes", KILL_WAIT),
            format!(
                "{} is not a number of seconds from {} to {}",
                shown(value),
                bound.min,
                bound.max
            ),
            format!(
                "write the seconds between SIGTERM and SIGKILL, as  {KILL_WAIT}: \"{}\"",
                bound.default
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_name_the_default_that_is_used() {
        for name in Limits::PROFILES {
            let bound = Limits::named(name).unwrap().get(Limit::KillWaitSec);
            assert_eq!(Millis::from_secs(bound.default), DEFAULT_GRACE);
        }
    }

    #[test]
    fn a_container_says_how_long_it_takes_to_stop() {
        let mut container = ContainerRequest::default();
        assert_eq!(grace(&container), DEFAULT_GRACE);
        container.attributes.insert(KILL_WAIT.into(), " 25 ".into());
        assert_eq!(grace(&container), Millis::from_secs(25));
        container.attributes.insert(KILL_WAIT.into(), "soon".into());
        assert_eq!(grace(&container), DEFAULT_GRACE);
    }
}
