//! The index over host classes: in each class, the fullest host that has room is found without a look at the rest.

mod lanes;
mod treap;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

pub(crate) use lanes::{Lanes, Scarce, WHOLE, balanced, emptiness, greater, lanes, offered, unbalanced};

use crate::host::HostRecord;
use crate::resources::Resources;
use treap::{Offer, Treaps};

/// What the hosts of a class have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Class {
    pub(crate) zone: String,
    pub(crate) machine_type: String,
    pub(crate) capacity: Resources,
}

/// The number of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassIx(u32);

/// The hosts that take tasks, by class and then by fullness.
#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    classes: Vec<Class>,
    members: Vec<u32>,
    by_class: BTreeMap<Class, ClassIx>,
    vacant: Vec<ClassIx>,
    trees: Treaps,
}

impl HostIndex {
    /// Adds a host, which must not be in yet, under a number of the caller's.
    pub(crate) fn insert(&mut self, at: u32, host: &HostRecord, free: &Resources) -> ClassIx {
        let class = self.class_of(host);
        self.members[class.0 as usize] += 1;
        self.trees
            .insert(class.0, at, host.spec.id, offer(free, &host.spec.capacity));
        class
    }

    /// Takes a host out that is in.
    pub(crate) fn remove(&mut self, at: u32, class: ClassIx) {
        self.trees.remove(at);
        let members = &mut self.members[class.0 as usize];
        *members -= 1;
        if *members == 0 {
            self.by_class.remove(&self.classes[class.0 as usize]);
            self.vacant.push(class);
        }
    }

    /// Tells what is free now on a host that is in.
    pub(crate) fn update(&mut self, at: u32, free: &Resources, capacity: &Resources) {
        let offer = offer(free, capacity);
        if *self.trees.offer(at) != offer {
            self.trees.update(at, offer);
        }
    }

    /// The classes that have a host, in the order of their names.
    pub(crate) fn classes(&self) -> impl Iterator<Item = ClassIx> {
        self.by_class.values().copied()
    }

    pub(crate) fn capacity(&self, class: ClassIx) -> &Resources {
        &self.classes[class.0 as usize].capacity
    }

    /// Some host of a class, to ask what is the same for all of them.
    pub(crate) fn any_member(&self, class: ClassIx) -> Option<u32> {
        self.trees.root(class.0)
    }

    /// What cpu and memory a host has free, in shares, as [`emptiness`] says.
    pub(crate) fn emptiness(&self, at: u32) -> i32 {
        self.trees.offer(at).emptiness
    }

    /// Visits the hosts of a class that cover an ask, the fullest first, equal ones by name.
    pub(crate) fn walk(&self, class: ClassIx, ask: &Lanes, visit: &mut dyn FnMut(u32) -> ControlFlow<()>) {
        let _ = self.trees.walk(class.0, ask, visit);
    }

    fn class_of(&mut self, host: &HostRecord) -> ClassIx {
        let class = Class {
            zone: host.spec.zone.clone(),
            machine_type: host.spec.machine_type.clone(),
            capacity: host.spec.capacity,
        };
        if let Some(ix) = self.by_class.get(&class) {
            return *ix;
        }
        let ix = self.vacant.pop().unwrap_or_else(|| {
            self.classes.push(Class::default());
            self.members.push(0);
            let number = u32::try_from(self.members.len() - 1).expect("fewer classes than hosts");
            ClassIx(number)
        });
        self.classes[ix.0 as usize] = class.clone();
        self.by_class.insert(class, ix);
        ix
    }
}

fn offer(free: &Resources, capacity: &Resources) -> Offer {
    Offer {
        emptiness: emptiness(free, capacity),
        free: offered(free, capacity),
    }
}
