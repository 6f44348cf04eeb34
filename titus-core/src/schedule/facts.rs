//! What filters and scores are shown: the job that asks, and the host that is looked at.

use super::Rules;
use crate::host::HostRecord;
use crate::id::HostId;
use crate::job::JobRecord;
use crate::resources::Resources;
use crate::view::{ClusterView, HostIx, JobIx};

/// A job that asks for a host for one more task, with its tasks so far: those placed in this round count.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'v> {
    view: &'v ClusterView,
    ix: JobIx,
    record: &'v JobRecord,
}

impl<'v> Ask<'v> {
    /// `None` for a job that the view does not know.
    pub(crate) fn new(view: &'v ClusterView, ix: JobIx) -> Option<Self> {
        let record = view.job_row(ix).record.as_deref()?;
        Some(Self { view, ix, record })
    }

    /// The job.
    #[must_use]
    pub const fn job(&self) -> &'v JobRecord {
        self.record
    }

    /// What the task takes.
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.view.job_row(self.ix).shape
    }

    /// The job's constraints.
    #[must_use]
    pub fn rules(&self) -> &'v Rules {
        self.view
            .job_row(self.ix)
            .rules
            .as_deref()
            .unwrap_or(&Rules::NONE)
    }

    /// How many of the job's tasks take room in the host's zone.
    #[must_use]
    pub fn tasks_in_zone_of(&self, host: &Candidate<'_>) -> u32 {
        let zone = self.view.host_row(host.ix).zone;
        zone.map_or(0, |zone| self.view.job_row(self.ix).in_zone(zone))
    }

    /// How many of its tasks take room in the zone that has the fewest, of all zones with a host that takes tasks.
    #[must_use]
    pub fn fewest_in_a_zone(&self) -> u32 {
        let job = self.view.job_row(self.ix);
        let open = self.view.open_zones();
        open.map(|zone| job.in_zone(zone)).min().unwrap_or(0)
    }

    /// True when one of the job's tasks takes room on the host.
    #[must_use]
    pub fn has_task_on(&self, host: &Candidate<'_>) -> bool {
        let on_host = &self.view.host_row(host.ix).tasks;
        let of_job = &self.view.job_row(self.ix).tasks;
        if on_host.len() <= of_job.len() {
            on_host
                .iter()
                .any(|task| self.view.task_row(*task).job() == self.ix)
        } else {
            of_job
                .iter()
                .any(|task| self.view.task_row(*task).holds() == Some(host.ix))
        }
    }
}

/// A host that is looked at. A filter or score that reads the class alone may use [`zone`](Self::zone),
/// [`machine_type`](Self::machine_type) and [`capacity`](Self::capacity).
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'v> {
    view: &'v ClusterView,
    ix: HostIx,
    record: &'v HostRecord,
}

impl<'v> Candidate<'v> {
    /// `None` for a host that the view does not know.
    pub(crate) fn new(view: &'v ClusterView, ix: HostIx) -> Option<Self> {
        let record = view.host_row(ix).record.as_deref()?;
        Some(Self { view, ix, record })
    }

    /// Its zone.
    #[must_use]
    pub fn zone(&self) -> &'v str {
        &self.record.spec.zone
    }

    /// Its machine type.
    #[must_use]
    pub fn machine_type(&self) -> &'v str {
        &self.record.spec.machine_type
    }

    /// What it has for tasks.
    #[must_use]
    pub const fn capacity(&self) -> Resources {
        self.record.spec.capacity
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> HostId {
        self.record.spec.id
    }

    /// Its record.
    #[must_use]
    pub const fn record(&self) -> &'v HostRecord {
        self.record
    }

    /// The room that is left, placements in flight and of this round taken off.
    #[must_use]
    pub fn free(&self) -> Resources {
        self.view.host_row(self.ix).free()
    }

    /// True when nothing takes room on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let host = self.view.host_row(self.ix);
        host.tasks.is_empty() && host.taken() == Resources::ZERO
    }

    /// True when one of its tasks wants it for itself.
    #[must_use]
    pub fn is_taken_alone(&self) -> bool {
        self.view.host_row(self.ix).exclusive > 0
    }

    pub(crate) const fn ix(&self) -> HostIx {
        self.ix
    }
}
