//! The index over host classes: in each class, the fullest host that has room is found without a look at the rest.

mod lanes;
mod treap;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

pub(crate) use lanes::{
    Lanes, Scarce, WHOLE, balanced, covers, emptiness, greater, lanes, offered, unbalanced,
};
pub(crate) use treap::Offer;

use crate::host::HostRecord;
use crate::id::HostId;
use crate::resources::Resources;
use treap::Treaps;

/// What the hosts of a class have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Class {
    zone: String,
    machine_type: String,
    capacity: Resources,
}

/// The number of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassIx(u32);

/// The hosts that take tasks, by class and then by fullness.
///
/// A host is filled task after task, so that the host of a class that was updated last stays where it is until another
/// one is updated or the class is settled. Hosts without any cpu, memory or address left stand aside, in no order.
#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    classes: Vec<ClassRow>,
    by_class: BTreeMap<Class, ClassIx>,
    vacant: Vec<ClassIx>,
    hosts: Vec<HostEntry>,
    trees: Treaps,
}

#[derive(Debug, Default)]
struct ClassRow {
    class: Class,
    members: usize,
    /// The host whose place may not be that of its offer.
    late: Option<u32>,
    spent: Vec<u32>,
}

#[derive(Debug, Clone)]
struct HostEntry {
    name: HostId,
    offer: Offer,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Tree,
    /// At this position of the class's spent hosts.
    Spent(usize),
}

impl HostIndex {
    /// Adds a host, which must not be in yet, under a number of the caller's.
    pub(crate) fn insert(&mut self, at: u32, host: &HostRecord, free: &Resources) -> ClassIx {
        let ix = self.class_of(host);
        self.classes[ix.0 as usize].members += 1;
        let entry = HostEntry {
            name: host.spec.id,
            offer: Offer::new(free, &host.spec.capacity),
            place: Place::Nowhere,
        };
        let place = at as usize;
        self.hosts.resize(self.hosts.len().max(place + 1), entry.clone());
        self.hosts[place] = entry;
        self.put(ix, at);
        ix
    }

    /// Takes a host out that is in.
    pub(crate) fn remove(&mut self, at: u32, ix: ClassIx) {
        self.settle(ix);
        self.take_out(ix, at);
        let row = &mut self.classes[ix.0 as usize];
        row.members -= 1;
        if row.members == 0 {
            self.by_class.remove(&row.class);
            self.vacant.push(ix);
        }
    }

    /// Tells what is free now on a host that is in.
    pub(crate) fn update(&mut self, at: u32, ix: ClassIx, free: &Resources, capacity: &Resources) {
        self.hosts[at as usize].offer = Offer::new(free, capacity);
        if self.classes[ix.0 as usize].late != Some(at) {
            self.settle(ix);
            self.classes[ix.0 as usize].late = Some(at);
        }
    }

    /// Puts the host that was updated last where it belongs: to be done before a walk.
    pub(crate) fn settle(&mut self, ix: ClassIx) {
        let Some(at) = self.classes[ix.0 as usize].late.take() else {
            return;
        };
        let HostEntry { offer, place, .. } = self.hosts[at as usize];
        match (place, offer.is_spent()) {
            (Place::Tree, false) if *self.trees.offer(at) == offer => {}
            (Place::Tree, false) => self.trees.update(ix.0, at, offer),
            (Place::Spent(_), true) => {}
            _ => {
                self.take_out(ix, at);
                self.put(ix, at);
            }
        }
    }

    /// The classes that have a host, in the order of their names.
    pub(crate) fn classes(&self) -> impl Iterator<Item = ClassIx> {
        self.by_class.values().copied()
    }

    pub(crate) fn capacity(&self, ix: ClassIx) -> &Resources {
        &self.classes[ix.0 as usize].class.capacity
    }

    /// Some host of a class, to ask what is the same for all of them.
    pub(crate) fn any_member(&self, ix: ClassIx) -> Option<u32> {
        let spent = || self.classes[ix.0 as usize].spent.first().copied();
        self.trees.root(ix.0).or_else(spent)
    }

    pub(crate) fn offer(&self, at: u32) -> &Offer {
        &self.hosts[at as usize].offer
    }

    /// Visits the hosts of a settled class that cover an ask, the fullest first, equal ones by name.
    pub(crate) fn walk(&self, ix: ClassIx, ask: &Lanes, visit: &mut dyn FnMut(u32) -> ControlFlow<()>) {
        debug_assert_eq!(self.classes[ix.0 as usize].late, None, "settled before");
        let _ = if Offer::serves_spent(ask) {
            self.walk_all(ix, ask, visit)
        } else {
            self.trees.walk(ix.0, ask, visit)
        };
    }

    /// The walk for an ask that even a spent host may cover.
    fn walk_all(
        &self,
        ix: ClassIx,
        ask: &Lanes,
        visit: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut found = Vec::new();
        let _ = self.trees.walk(ix.0, ask, &mut |at| {
            found.push(at);
            ControlFlow::Continue(())
        });
        let spent = self.classes[ix.0 as usize].spent.iter();
        found.extend(spent.filter(|at| covers(&self.offer(**at).free, ask)));
        found.sort_unstable_by_key(|at| (self.offer(*at).emptiness, self.hosts[*at as usize].name));
        found.into_iter().try_for_each(visit)
    }

    fn put(&mut self, ix: ClassIx, at: u32) {
        let entry = &mut self.hosts[at as usize];
        if entry.offer.is_spent() {
            let spent = &mut self.classes[ix.0 as usize].spent;
            entry.place = Place::Spent(spent.len());
            spent.push(at);
        } else {
            entry.place = Place::Tree;
            self.trees.insert(ix.0, at, entry.name, entry.offer);
        }
    }

    fn take_out(&mut self, ix: ClassIx, at: u32) {
        match std::mem::replace(&mut self.hosts[at as usize].place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Tree => self.trees.remove(ix.0, at),
            Place::Spent(position) => {
                let spent = &mut self.classes[ix.0 as usize].spent;
                spent.swap_remove(position);
                if let Some(moved) = spent.get(position) {
                    self.hosts[*moved as usize].place = Place::Spent(position);
                }
            }
        }
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
            self.classes.push(ClassRow::default());
            ClassIx(u32::try_from(self.classes.len() - 1).expect("fewer classes than hosts"))
        });
        self.classes[ix.0 as usize].class = class.clone();
        self.by_class.insert(class, ix);
        ix
    }
}
