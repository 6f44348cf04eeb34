//! The hosts of each class in a search tree, fullest first; each node knows the most that its subtree has to offer.
//!
//! A treap: a search tree by (emptiness, name) and a heap by a hash of the name. Both depend on nothing but what is
//! in it, so that equal views have equal trees whatever their history. A node's number is its host's, a tree's is its
//! class's.

use std::ops::ControlFlow;

use super::lanes::{ADDRESSES, CPU, Lanes, MEMORY, covers, emptiness, greater, offered};
use crate::id::HostId;
use crate::resources::Resources;
use crate::shard::stable_hash;

/// No node.
const NIL: u32 = u32::MAX;

/// What orders a host in its tree, and what it has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) emptiness: i32,
    pub(crate) free: Lanes,
}

impl Offer {
    pub(crate) fn new(free: &Resources, capacity: &Resources) -> Self {
        Self {
            emptiness: emptiness(free, capacity),
            free: offered(free, capacity),
        }
    }

    /// True when no task that asks for cpu, memory and an address has room.
    pub(crate) fn is_spent(&self) -> bool {
        Self::serves_spent(&self.free)
    }

    /// True for an ask that a spent host may cover.
    pub(crate) fn serves_spent(ask: &Lanes) -> bool {
        ask[CPU].min(ask[MEMORY]).min(ask[ADDRESSES]) <= 0
    }
}

/// Two cache lines: a descent is as fast as memory.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Node {
    /// The most of each lane in the subtree.
    most: Lanes,
    offer: Offer,
    left: u32,
    right: u32,
    parent: u32,
    weight: u32,
    name: HostId,
}

/// Several trees over one set of nodes.
#[derive(Debug, Default)]
pub(crate) struct Treaps {
    nodes: Vec<Node>,
    roots: Vec<u32>,
}

impl Treaps {
    /// Adds a host that is in no tree.
    pub(crate) fn insert(&mut self, tree: u32, at: u32, name: HostId, offer: Offer) {
        let node = Node {
            most: offer.free,
            offer,
            left: NIL,
            right: NIL,
            parent: NIL,
            weight: u32::try_from(stable_hash(name.as_str().as_bytes()) >> 32).expect("the upper half"),
            name,
        };
        let (place, root) = (at as usize, tree as usize);
        self.nodes.resize(self.nodes.len().max(place + 1), node.clone());
        self.roots.resize(self.roots.len().max(root + 1), NIL);
        self.nodes[place] = node;
        self.attach(tree, at);
    }

    /// Takes out a host that is in the tree.
    pub(crate) fn remove(&mut self, tree: u32, at: u32) {
        while let Some(child) = self.heavier_child(at) {
            self.rotate_up(tree, child);
        }
        let parent = self.node(at).parent;
        self.replace_child(tree, parent, at, NIL);
        self.refresh_upwards(parent);
    }

    /// Tells what a host that is in the tree has to offer now.
    pub(crate) fn update(&mut self, tree: u32, at: u32, offer: Offer) {
        self.remove(tree, at);
        let node = self.node_mut(at);
        node.offer = offer;
        node.most = offer.free;
        self.attach(tree, at);
    }

    pub(crate) fn root(&self, tree: u32) -> Option<u32> {
        self.roots.get(tree as usize).copied().filter(|root| *root != NIL)
    }

    pub(crate) fn offer(&self, at: u32) -> &Offer {
        &self.node(at).offer
    }

    /// Visits the hosts of a tree that cover an ask, the fullest first, until told to stop.
    pub(crate) fn walk(
        &self,
        tree: u32,
        ask: &Lanes,
        visit: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.walk_below(self.root(tree).unwrap_or(NIL), ask, visit)
    }

    fn walk_below(
        &self,
        mut at: u32,
        ask: &Lanes,
        visit: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while at != NIL && covers(&self.node(at).most, ask) {
            let node = self.node(at);
            self.walk_below(node.left, ask, visit)?;
            if covers(&node.offer.free, ask) {
                visit(at)?;
            }
            at = node.right;
        }
        ControlFlow::Continue(())
    }

    /// Hangs a node without children where its key belongs, then lifts it to where its weight belongs.
    fn attach(&mut self, tree: u32, at: u32) {
        let most = self.node(at).most;
        let (mut parent, mut below) = (NIL, self.roots[tree as usize]);
        while below != NIL {
            parent = below;
            let left = self.precedes(at, parent);
            let node = self.node_mut(parent);
            node.most = greater(&node.most, &most);
            below = if left { node.left } else { node.right };
        }
        self.node_mut(at).parent = parent;
        if parent == NIL {
            self.roots[tree as usize] = at;
        } else if self.precedes(at, parent) {
            self.node_mut(parent).left = at;
        } else {
            self.node_mut(parent).right = at;
        }
        while self.node(at).parent != NIL && self.heavier(at, self.node(at).parent) {
            self.rotate_up(tree, at);
        }
    }

    /// Swaps a node with its parent, keeping the order.
    fn rotate_up(&mut self, tree: u32, at: u32) {
        let parent = self.node(at).parent;
        let Node { left, right, .. } = *self.node(at);
        let grandparent = self.node(parent).parent;
        let inner = if self.node(parent).left == at {
            self.node_mut(parent).left = right;
            self.node_mut(at).right = parent;
            right
        } else {
            self.node_mut(parent).right = left;
            self.node_mut(at).left = parent;
            left
        };
        if inner != NIL {
            self.node_mut(inner).parent = parent;
        }
        self.replace_child(tree, grandparent, parent, at);
        self.node_mut(at).parent = grandparent;
        self.node_mut(parent).parent = at;
        self.refresh(parent);
        self.refresh(at);
    }

    /// Makes `new` the child of `parent` that `old` was, or the root.
    fn replace_child(&mut self, tree: u32, parent: u32, old: u32, new: u32) {
        if parent == NIL {
            self.roots[tree as usize] = new;
        } else if self.node(parent).left == old {
            self.node_mut(parent).left = new;
        } else {
            self.node_mut(parent).right = new;
        }
    }

    fn refresh_upwards(&mut self, mut at: u32) {
        while at != NIL {
            self.refresh(at);
            at = self.node(at).parent;
        }
    }

    fn refresh(&mut self, at: u32) {
        let node = self.node(at);
        let mut most = node.offer.free;
        for child in [node.left, node.right] {
            if child != NIL {
                most = greater(&most, &self.node(child).most);
            }
        }
        self.node_mut(at).most = most;
    }

    fn heavier_child(&self, at: u32) -> Option<u32> {
        let Node { left, right, .. } = *self.node(at);
        match (left, right) {
            (NIL, NIL) => None,
            (NIL, only) | (only, NIL) => Some(only),
            _ => Some(if self.heavier(left, right) { left } else { right }),
        }
    }

    fn precedes(&self, a: u32, b: u32) -> bool {
        let (a, b) = (self.node(a), self.node(b));
        (a.offer.emptiness, &a.name) < (b.offer.emptiness, &b.name)
    }

    fn heavier(&self, a: u32, b: u32) -> bool {
        let (a, b) = (self.node(a), self.node(b));
        (a.weight, &a.name) > (b.weight, &b.name)
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_two_cache_lines() {
        assert_eq!(size_of::<Node>(), 128);
    }
}
