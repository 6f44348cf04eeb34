//! The hosts of each class in a search tree, fullest first; each node knows the most that its subtree has to offer.
//!
//! A treap: a search tree by (emptiness, name) and a heap by a hash of the name. Both depend on nothing but what is
//! in it, so that equal views have equal trees whatever their history. A node's number is its host's.

use std::ops::ControlFlow;

use super::lanes::{Lanes, covers, greater};
use crate::id::HostId;
use crate::shard::stable_hash;

/// No node.
const NIL: u32 = u32::MAX;

/// What orders a host in its tree, and what it has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) emptiness: i32,
    pub(crate) free: Lanes,
}

#[derive(Debug, Clone)]
struct Node {
    /// The most of each lane in the subtree.
    most: Lanes,
    offer: Offer,
    left: u32,
    right: u32,
    parent: u32,
    tree: u32,
    weight: u64,
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
            tree,
            weight: stable_hash(name.as_str().as_bytes()),
            name,
        };
        let (place, root) = (at as usize, tree as usize);
        self.nodes.resize(self.nodes.len().max(place + 1), node.clone());
        self.roots.resize(self.roots.len().max(root + 1), NIL);
        self.nodes[place] = node;
        self.attach(at);
    }

    /// Takes out a host that is in a tree.
    pub(crate) fn remove(&mut self, at: u32) {
        while let Some(child) = self.heavier_child(at) {
            self.rotate_up(child);
        }
        let parent = self.node(at).parent;
        self.replace_child(parent, at, NIL);
        self.refresh_upwards(parent);
    }

    /// Tells what a host that is in a tree has to offer now.
    pub(crate) fn update(&mut self, at: u32, offer: Offer) {
        self.remove(at);
        let node = self.node_mut(at);
        node.offer = offer;
        node.most = offer.free;
        self.attach(at);
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
    fn attach(&mut self, at: u32) {
        let (tree, most) = (self.node(at).tree, self.node(at).most);
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
            self.rotate_up(at);
        }
    }

    /// Swaps a node with its parent, keeping the order.
    fn rotate_up(&mut self, at: u32) {
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
        self.replace_child(grandparent, parent, at);
        self.node_mut(at).parent = grandparent;
        self.node_mut(parent).parent = at;
        self.refresh(parent);
        self.refresh(at);
    }

    /// Makes `new` the child of `parent` that `old` was, or the root.
    fn replace_child(&mut self, parent: u32, old: u32, new: u32) {
        if parent == NIL {
            let tree = self.node(old).tree;
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
