use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

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
