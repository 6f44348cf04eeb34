//! How the view keeps a task: the hot record, with its job and its host as row numbers.

use std::net::IpAddr;

use super::hosts::HostRow;
use super::jobs::JobRow;
use super::table::{Ix, Row, mix, split};
use crate::id::{PlanId, TaskId};
use crate::task::{Attempts, Exit, ReasonCode, StageTimes, TaskHot, TaskState};
use crate::time::Timestamp;

pub(crate) type TaskIx = Ix<TaskRow>;

/// A task of the view. The first task and the predecessor of a replaced slot are kept beside the table, in
/// [`Lineage`], since most tasks have neither.
#[derive(Debug, Clone)]
pub(crate) struct TaskRow {
    pub(crate) id: TaskId,
    times: StageTimes,
    not_before: Option<Timestamp>,
    pub(crate) version: u64,
    /// The plan that placed it, or that is assumed to; nil for none.
    plan: PlanId,
    job: Option<Ix<JobRow>>,
    /// The host of its record, or the one that it is assumed to get.
    pub(crate) host: Option<Ix<HostRow>>,
    pub(crate) index: u32,
    attempts: Attempts,
    exit: Option<Exit>,
    pub(crate) state: TaskState,
    reason: ReasonCode,
    kill_reason: Option<ReasonCode>,
    /// True while a plan's placement is assumed: the record still says Accepted.
    pub(crate) assumed: bool,
    address: Option<IpAddr>,
}

/// Where a task of a replaced slot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lineage {
    pub(crate) original: TaskId,
    pub(crate) resubmit_of: Option<TaskId>,
}

const NO_PLAN: PlanId = PlanId::from_bytes([0; 16]);

impl TaskRow {
    /// A row with nothing but its names, for `write` to fill.
    pub(crate) fn named(id: TaskId, job: Ix<JobRow>, index: u32) -> Self {
        Self {
            id,
            job: Some(job),
            index,
            ..Self::default()
        }
    }

    pub(crate) fn job(&self) -> Ix<JobRow> {
        self.job.expect("every row in use has a job")
    }

    pub(crate) const fn plan(&self) -> PlanId {
        self.plan
    }

    /// Since when it may be placed: made then, or its back-off passes then.
    pub(crate) fn ready_at(&self) -> Timestamp {
        let queued = self.times.queued.unwrap_or(Timestamp::EPOCH);
        self.not_before.map_or(queued, |at| at.max(queued))
    }

    /// The host whose room it takes, assumed or by its record.
    pub(crate) fn holds(&self) -> Option<Ix<HostRow>> {
        self.host.filter(|_| self.assumed || self.state.holds_host())
    }

    /// Takes over a record; an assumption is kept only where the caller says so.
    pub(crate) fn write(
        &mut self,
        hot: &TaskHot,
        job: Ix<JobRow>,
        host: Option<Ix<HostRow>>,
        keep_assumed: bool,
    ) {
        let (host, plan) = if keep_assumed {
            (self.host, self.plan)
        } else {
            (host, hot.plan.unwrap_or(NO_PLAN))
        };
        *self = Self {
            id: hot.id,
            times: hot.times,
            not_before: hot.not_before,
            version: hot.version,
            plan,
            job: Some(job),
            host,
            index: hot.index,
            attempts: hot.attempts,
            exit: hot.exit,
            state: hot.state,
            reason: hot.reason,
            kill_reason: hot.kill_reason,
            assumed: keep_assumed,
            address: hot.address,
        };
    }

    pub(crate) fn assume(&mut self, host: Ix<HostRow>, plan: PlanId) {
        self.host = Some(host);
        self.plan = plan;
        self.assumed = true;
    }

    pub(crate) fn forget_assumed(&mut self) {
        self.host = None;
        self.plan = NO_PLAN;
        self.assumed = false;
    }

    /// The record as it was given.
    pub(crate) fn read(
        &self,
        job: crate::id::JobId,
        host: Option<crate::id::HostId>,
        lineage: Option<&Lineage>,
    ) -> TaskHot {
        TaskHot {
            id: self.id,
            job,
            index: self.index,
            state: self.state,
            reason: self.reason,
            kill_reason: self.kill_reason,
            exit: self.exit,
            original: lineage.map_or(self.id, |l| l.original),
            resubmit_of: lineage.and_then(|l| l.resubmit_of),
            attempts: self.attempts,
            host: host.filter(|_| !self.assumed),
            plan: Some(self.plan).filter(|plan| *plan != NO_PLAN && !self.assumed),
            address: self.address,
            times: self.times,
            not_before: self.not_before,
            version: self.version,
        }
    }
}

impl Lineage {
    /// What must be kept beside the row, if anything.
    pub(crate) fn of(hot: &TaskHot) -> Option<Self> {
        (hot.original != hot.id || hot.resubmit_of.is_some()).then_some(Self {
            original: hot.original,
            resubmit_of: hot.resubmit_of,
        })
    }
}

impl Default for TaskRow {
    fn default() -> Self {
        Self {
            id: TaskId::from_bytes([0; 16]),
            times: StageTimes::default(),
            not_before: None,
            version: 0,
            plan: NO_PLAN,
            job: None,
            host: None,
            index: 0,
            attempts: Attempts::default(),
            exit: None,
            state: TaskState::Accepted,
            reason: ReasonCode::Normal,
            kill_reason: None,
            assumed: false,
            address: None,
        }
    }
}

impl Row for TaskRow {
    type Key = TaskId;

    fn key(&self) -> TaskId {
        self.id
    }

    fn hash(key: &TaskId) -> u64 {
        let [low, high] = split(key.uuid().as_u128());
        mix(high, low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_lean() {
        assert!(size_of::<TaskRow>() <= 176, "{} bytes", size_of::<TaskRow>());
    }
}
