//! The seams of a policy: filters that rule hosts out, and scores that rank the rest.

use std::fmt;
use std::ops::{Add, AddAssign};

use super::{Ask, Candidate};

/// What a filter or score looks at for one job. The less, the fewer hosts are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reads {
    /// The host's class (zone, machine type, capacity): asked once for each class.
    Class,
    /// The class, and how the job's own tasks spread over zones: asked again after each of the job's placements.
    Job,
    /// Anything about the single host: asked of one host after the other, the fullest with room first.
    Host,
}

/// Rules hosts out.
pub trait Filter: fmt::Debug + Send + Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// What it looks at for this job; `None` when it lets the job on every host.
    fn reads(&self, ask: &Ask<'_>) -> Option<Reads>;

    /// Whether the host may take one more task of the job.
    ///
    /// # Errors
    /// The [`Reject`] that goes into the report.
    fn check(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> Result<(), Reject>;
}

/// Ranks hosts. What all scores give is added to [`BALANCE`](super::BALANCE) and [`PACKING`](super::PACKING).
pub trait Score: fmt::Debug + Send + Sync {
    /// What it looks at for this job; `None` when it gives every host the most.
    fn reads(&self, ask: &Ask<'_>) -> Option<Reads>;

    /// The most that it gives for this job. The search stops where nothing better can come.
    fn most(&self, ask: &Ask<'_>) -> Fitness;

    /// How well the host suits; never more than [`most`](Self::most).
    fn score(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> Fitness;
}

/// How well a host suits: 0.05 is 2^21, so that packing is exact. Higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Fitness(pub u32);

impl Add for Fitness {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Fitness {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Why a filter refuses a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// The reason, as `memoryMB`; hosts with the same one are counted together.
    pub reason: &'static str,
    /// What was asked and what the host has, where these are amounts.
    pub amounts: Option<Amounts>,
}

/// What was asked, and what there is, in the reason's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amounts {
    /// What was asked.
    pub asked: u64,
    /// What the host has.
    pub has: u64,
}

impl Reject {
    /// A refusal that is not about an amount.
    #[must_use]
    pub const fn because(reason: &'static str) -> Self {
        Self {
            reason,
            amounts: None,
        }
    }
}
