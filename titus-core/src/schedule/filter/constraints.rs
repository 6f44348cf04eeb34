//! The hard constraints of the API, one filter each.

use crate::schedule::policy::{Filter, Reads, Reject};
use crate::schedule::{Ask, Candidate, RuleSet};

macro_rules! constraint_filters {
    ($($(#[$doc:meta])* $name:ident, $label:literal, $reads:ident, $asked:expr, $keeps:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $name;

        impl Filter for $name {
            fn name(&self) -> &'static str {
                $label
            }

            fn reads(&self, ask: &Ask<'_>) -> Option<Reads> {
                let asked: fn(&RuleSet) -> bool = $asked;
                asked(&ask.rules().hard).then_some(Reads::$reads)
            }

            fn check(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> Result<(), Reject> {
                let keeps: fn(&RuleSet, &Ask<'_>, &Candidate<'_>) -> bool = $keeps;
                if keeps(&ask.rules().hard, ask, host) {
                    Ok(())
                } else {
                    Err(Reject::because($label))
                }
            }
        }
    )*};
}

constraint_filters! {
    /// Only hosts of the named zone.
    Zone, "availabilityZone", Class, |r| r.zone.is_some(), RuleSet::keeps_zone;
    /// Only hosts of the named machine type.
    MachineType, "machineType", Class, |r| r.machine_type.is_some(), RuleSet::keeps_machine_type;
    /// Only the named host.
    MachineId, "machineId", Host, |r| r.machine.is_some(), RuleSet::keeps_machine;
    /// Only zones in which the job has fewest tasks.
    ZoneBalance, "zoneBalance", Job, |r| r.zone_balance, RuleSet::keeps_zone_balance;
    /// No host that has a task of the job.
    UniqueHost, "uniqueHost", Host, |r| r.unique_host, RuleSet::keeps_unique_host;
    /// Only empty hosts. That nothing else comes to them afterwards is [`Available`](super::Available)'s part.
    ExclusiveHost, "exclusiveHost", Host, |r| r.exclusive_host, RuleSet::keeps_exclusive_host;
}
