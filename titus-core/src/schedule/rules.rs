//! A job's placement constraints in the form that filters and scores read.

use super::{Ask, Candidate, Reads};
use crate::spec::{ConstraintsRequest, JobSpec};

/// What a job requires of its hosts, and what it prefers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// A host that breaks one of these is out.
    pub hard: RuleSet,
    /// A host that keeps more of these is better.
    pub soft: RuleSet,
}

/// One side of the constraints, by their names in the API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleSet {
    /// `availabilityZone`: the zone with this name.
    pub zone: Option<String>,
    /// `machineType`: hosts of this type.
    pub machine_type: Option<String>,
    /// `machineId`: the host with this name.
    pub machine: Option<String>,
    /// `uniqueHost`: no two tasks of the job on one host.
    pub unique_host: bool,
    /// `exclusiveHost`: no other task on the host.
    pub exclusive_host: bool,
    /// `zoneBalance`: as many tasks in each zone, give or take one.
    pub zone_balance: bool,
}

impl Rules {
    /// No constraints at all.
    pub const NONE: Self = Self {
        hard: RuleSet::NONE,
        soft: RuleSet::NONE,
    };

    /// The constraints of a job; names in any case, as the API takes them.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        let container = &spec.request().container;
        Self {
            hard: RuleSet::of(&container.hard_constraints),
            soft: RuleSet::of(&container.soft_constraints),
        }
    }
}

impl RuleSet {
    const NONE: Self = Self {
        zone: None,
        machine_type: None,
        machine: None,
        unique_host: false,
        exclusive_host: false,
        zone_balance: false,
    };

    fn of(request: &ConstraintsRequest) -> Self {
        let mut rules = Self::default();
        for (name, value) in &request.constraints {
            let yes = value.eq_ignore_ascii_case("true");
            match name.to_ascii_lowercase().as_str() {
                "availabilityzone" => rules.zone = Some(value.clone()),
                "machinetype" => rules.machine_type = Some(value.clone()),
                "machineid" => rules.machine = Some(value.clone()),
                "uniquehost" => rules.unique_host = yes,
                "exclusivehost" => rules.exclusive_host = yes,
                "zonebalance" => rules.zone_balance = yes,
                _ => {}
            }
        }
        rules
    }
}

/// Each says whether a host keeps one rule; a rule that is not set is kept.
impl RuleSet {
    pub(super) fn keeps_zone(&self, _: &Ask<'_>, host: &Candidate<'_>) -> bool {
        self.zone.as_deref().is_none_or(|zone| host.zone() == zone)
    }

    pub(super) fn keeps_machine_type(&self, _: &Ask<'_>, host: &Candidate<'_>) -> bool {
        let wanted = self.machine_type.as_deref();
        wanted.is_none_or(|wanted| host.machine_type() == wanted)
    }

    pub(super) fn keeps_machine(&self, _: &Ask<'_>, host: &Candidate<'_>) -> bool {
        self.machine
            .as_deref()
            .is_none_or(|machine| host.id().as_str() == machine)
    }

    pub(super) fn keeps_zone_balance(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> bool {
        !self.zone_balance || ask.tasks_in_zone_of(host) <= ask.fewest_in_a_zone()
    }

    pub(super) fn keeps_unique_host(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> bool {
        !self.unique_host || !ask.has_task_on(host)
    }

    pub(super) fn keeps_exclusive_host(&self, _: &Ask<'_>, host: &Candidate<'_>) -> bool {
        !self.exclusive_host || host.is_empty()
    }

    /// How many rules are set, and how many of them a host keeps.
    pub(super) fn kept(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> (u32, u32) {
        let rules = [
            (self.zone.is_some(), self.keeps_zone(ask, host)),
            (self.machine_type.is_some(), self.keeps_machine_type(ask, host)),
            (self.machine.is_some(), self.keeps_machine(ask, host)),
            (self.zone_balance, self.keeps_zone_balance(ask, host)),
            (self.unique_host, self.keeps_unique_host(ask, host)),
            (self.exclusive_host, self.keeps_exclusive_host(ask, host)),
        ];
        rules
            .iter()
            .filter(|(set, _)| *set)
            .fold((0, 0), |(set, kept), rule| (set + 1, kept + u32::from(rule.1)))
    }

    /// What must be looked at to know what a host keeps.
    pub(super) const fn reads(&self) -> Option<Reads> {
        if self.machine.is_some() || self.unique_host || self.exclusive_host {
            Some(Reads::Host)
        } else if self.zone_balance {
            Some(Reads::Job)
        } else if self.zone.is_some() || self.machine_type.is_some() {
            Some(Reads::Class)
        } else {
            None
        }
    }
}
