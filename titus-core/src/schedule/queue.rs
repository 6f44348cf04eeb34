//! Who is served first: the oldest of a capacity group, and of the groups the one that has least for its weight.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::num::NonZeroU32;

use super::PendingTask;
use crate::resources::{ResourceKind, Resources};
use crate::shard::ShardId;
use crate::time::Timestamp;
use crate::view::{ClusterView, plus};

/// How much capacity groups count against each other; a group that is not named counts 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weights(BTreeMap<String, NonZeroU32>);

impl Weights {
    /// The same with a group's weight set.
    #[must_use]
    pub fn with(mut self, group: &str, weight: NonZeroU32) -> Self {
        self.0.insert(group.to_owned(), weight);
        self
    }

    /// A group's weight.
    #[must_use]
    pub fn of(&self, group: &str) -> NonZeroU32 {
        self.0.get(group).copied().unwrap_or(NonZeroU32::MIN)
    }
}

/// The next tasks to plan, at most `limit`, of the shards that are owned.
///
/// A group has as much as the greatest share of any resource of the cell that its tasks take, running or taken from
/// the queue before. The group with the least of that for its weight is served next, equal ones by shard and name.
#[must_use]
pub fn next_tasks(
    view: &ClusterView,
    owned: impl Fn(ShardId) -> bool,
    weights: &Weights,
    now: Timestamp,
    limit: usize,
) -> Vec<PendingTask> {
    let capacity = view.capacity();
    let mut groups: Vec<_> = view
        .queues()
        .filter(|queue| owned(queue.shard))
        .map(|queue| {
            let weight = weights.of(&queue.group);
            (queue.taken, weight, view.ready(queue, now).peekable())
        })
        .collect();
    let turn = |taken: &Resources, weight: NonZeroU32| share(taken, &capacity) / u128::from(weight.get());
    let mut turns = BinaryHeap::with_capacity(groups.len());
    for (at, (taken, weight, tasks)) in groups.iter_mut().enumerate() {
        if tasks.peek().is_some() {
            turns.push(Reverse((turn(taken, *weight), at)));
        }
    }
    let mut next = Vec::new();
    while next.len() < limit
        && let Some(Reverse((_, at))) = turns.pop()
    {
        let (taken, weight, tasks) = &mut groups[at];
        if let Some(task) = tasks.next() {
            *taken = plus(taken, &task.job.spec.resources());
            turns.push(Reverse((turn(taken, *weight), at)));
            next.push(task);
        }
    }
    next
}

/// The greatest share of any resource, of 2^64.
fn share(taken: &Resources, capacity: &Resources) -> u128 {
    let of =
        |kind: ResourceKind| (u128::from(taken.get(kind)) << 64).checked_div(u128::from(capacity.get(kind)));
    ResourceKind::ALL.into_iter().filter_map(of).max().unwrap_or(0)
}
