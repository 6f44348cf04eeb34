use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::filter::{Available, Room};
use super::policy::{Filter, Reject};
use super::{Ask, Candidate};
use crate::time::Timestamp;
use crate::view::{ClusterView, JobIx};

/// Why a task found no host. The hosts of all rejections add up to `hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementReport {
    /// How many hosts were looked at.
    pub hosts: u64,
    /// Who refused it, with counts; a host counts at the first filter that refuses it.
    pub rejections: Vec<Rejection>,
    /// When the planner looked.
    pub at: Timestamp,
}

/// Hosts that one filter refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// The filter, as `resources`.
    pub filter: String,
    /// The reason, as `memoryMB`.
    pub reason: String,
    /// How many hosts.
    pub hosts: u64,
    /// What was asked, in the reason's unit, where it is an amount.
    pub asked: Option<u64>,
    /// The most that one of these hosts has to offer, where it is an amount.
    pub best: Option<u64>,
}

impl fmt::Display for PlacementReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hosts seen", self.hosts)?;
        for (i, rejection) in self.rejections.iter().enumerate() {
            f.write_str(if i == 0 { ": " } else { ", " })?;
            write!(f, "{} refused for {}", rejection.hosts, rejection.reason)?;
            if let (Some(asked), Some(best)) = (rejection.asked, rejection.best) {
                write!(f, " (asks {asked}, best has {best})")?;
            }
        }
        Ok(())
    }
}

/// Asks every host again, and counts each at the first filter that refuses it.
pub(super) fn explain(
    view: &ClusterView,
    job: JobIx,
    filters: &[Box<dyn Filter>],
    now: Timestamp,
) -> PlacementReport {
    let mut report = PlacementReport {
        at: now,
        ..PlacementReport::default()
    };
    let Some(ask) = Ask::new(view, job) else {
        return report;
    };
    let (available, room) = (Available, Room);
    let mut order: Vec<&dyn Filter> = vec![&available];
    order.extend(filters.iter().map(AsRef::as_ref));
    order.push(&room);
    let mut counts = BTreeMap::new();
    for host in view.host_ixs().filter_map(|ix| Candidate::new(view, ix)) {
        report.hosts += 1;
        let asked = order
            .iter()
            .enumerate()
            .filter(|(_, filter)| filter.reads(&ask).is_some());
        let first = asked
            .filter_map(|(at, filter)| Some((at, filter.check(&ask, &host).err()?)))
            .next();
        if let Some((at, reject)) = first {
            let count = counts
                .entry((at, reject.reason))
                .or_insert_with(|| Rejection::new(order[at].name(), &reject));
            count.add(&reject);
        }
    }
    report.rejections = counts.into_values().collect();
    report
}

impl Rejection {
    fn new(filter: &str, reject: &Reject) -> Self {
        Self {
            filter: filter.to_owned(),
            reason: reject.reason.to_owned(),
            hosts: 0,
            asked: reject.amounts.map(|amounts| amounts.asked),
            best: None,
        }
    }

    fn add(&mut self, reject: &Reject) {
        self.hosts += 1;
        self.best = self.best.max(reject.amounts.map(|amounts| amounts.has));
    }
}
