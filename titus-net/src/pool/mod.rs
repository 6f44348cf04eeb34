//! Who has which address: a pure state machine, the clock an argument.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;

use crate::{AttachmentId, Lease, Subnet};

#[cfg(test)]
mod tests;

/// Hands out the addresses of a subnet, one to an attachment.
///
/// A released address rests for the cool-down before it is handed out again, so that late packets and stale
/// caches of its last owner do not meet the next; the one released longest ago goes first. Call
/// [`adopt`](Self::adopt) for what is in use after a restart, before the first [`request`](Self::request).
///
/// `now` is milliseconds of any clock, best one that never steps back; when it does, addresses rest longer.
///
/// ```
/// use titus_net::{AddressPool, RefusalReason};
///
/// let mut pool = AddressPool::new("10.88.0.0/29".parse()?, 1_000);
/// let web = "web-1".parse()?;
/// let address = pool.request(&web, 0).unwrap().address;
/// assert_eq!(address.to_string(), "10.88.0.2");
/// assert_eq!(pool.request(&web, 0).unwrap().address, address);
///
/// for id in ["a", "b", "c", "d"] {
///     pool.request(&id.parse()?, 0).unwrap();
/// }
/// pool.release(&web, 500);
/// let refusal = pool.request(&"late".parse()?, 600).unwrap_err();
/// assert_eq!(refusal.reason, RefusalReason::Cooling { ready_at_ms: 1_500 });
/// assert_eq!(pool.request(&"late".parse()?, 1_500).unwrap().address, address);
/// # Ok::<(), titus_net::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AddressPool {
    subnet: Subnet,
    cool_down_ms: u64,
    held: BTreeMap<AttachmentId, Ipv4Addr>,
    holders: BTreeMap<Ipv4Addr, AttachmentId>,
    /// In the order of their times, which is the order of release: the front is the next to be handed out.
    idle: VecDeque<Idle>,
}

#[derive(Clone, Copy, Debug)]
struct Idle {
    ready_at_ms: u64,
    address: Ipv4Addr,
}

/// Why no address was handed out, with the counts at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: RefusalReason,
    /// How many addresses were free (none), in use and cooling.
    pub counts: PoolCounts,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolCounts {
            size, used, cooling, ..
        } = self.counts;
        match self.reason {
            RefusalReason::AllInUse => write!(f, "all {size} addresses are in use"),
            RefusalReason::Cooling { .. } => {
                write!(
                    f,
                    "of {size} addresses {used} are in use and {cooling} rest after their last use"
                )
            }
        }
    }
}

/// The reason of a [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Every address is held: wait for a release, or use a larger subnet.
    AllInUse,
    /// What is not held is cooling down.
    Cooling {
        /// When the first of them may be handed out, by the caller's clock.
        ready_at_ms: u64,
    },
}

/// How the addresses of a pool are spread; `free + used + cooling == size`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// All that may ever be handed out.
    pub size: usize,
    /// Those that may be handed out now.
    pub free: usize,
    /// Those held.
    pub used: usize,
    /// Those released less than the cool-down ago.
    pub cooling: usize,
}

/// Why an address found in use was not adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdopted {
    /// It is not one that this pool hands out.
    Outside,
    /// Another attachment holds it.
    HeldBy(AttachmentId),
    /// The attachment already holds another address.
    Holds(Ipv4Addr),
}

impl AddressPool {
    /// A pool of all usable addresses of `subnet`, none in use, none cooling.
    pub fn new(subnet: Subnet, cool_down_ms: u64) -> Self {
        let idle = subnet
            .usable()
            .map(|address| Idle {
                ready_at_ms: 0,
                address,
            })
            .collect();
        Self {
            subnet,
            cool_down_ms,
            held: BTreeMap::new(),
            holders: BTreeMap::new(),
            idle,
        }
    }

    /// The subnet whose addresses these are.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// An address for `id`: the one it holds already, or the free one that was released longest ago.
    pub fn request(&mut self, id: &AttachmentId, now_ms: u64) -> Result<Lease, Refusal> {
        if let Some(&address) = self.held.get(id) {
            return Ok(Lease {
                id: id.clone(),
                address,
            });
        }
        match self.idle.front() {
            Some(next) if next.ready_at_ms <= now_ms => {
                let address = next.address;
                self.idle.pop_front();
                Ok(self.hold(id, address))
            }
            Some(next) => Err(self.refusal(
                RefusalReason::Cooling {
                    ready_at_ms: next.ready_at_ms,
                },
                now_ms,
            )),
            None => Err(self.refusal(RefusalReason::AllInUse, now_ms)),
        }
    }

    /// Takes the address of `id` back and starts its cool-down; `None` when it held none.
    pub fn release(&mut self, id: &AttachmentId, now_ms: u64) -> Option<Ipv4Addr> {
        let address = self.held.remove(id)?;
        self.holders.remove(&address);
        let earliest = self.idle.back().map_or(0, |last| last.ready_at_ms);
        let ready_at_ms = now_ms.saturating_add(self.cool_down_ms).max(earliest);
        self.idle.push_back(Idle { ready_at_ms, address });
        Some(address)
    }

    /// Notes that `id` has `address`, which was found in use after a restart.
    pub fn adopt(&mut self, id: &AttachmentId, address: Ipv4Addr) -> Result<Lease, NotAdopted> {
        if self.subnet.offset(address).is_none() {
            return Err(NotAdopted::Outside);
        }
        match (self.held.get(id), self.holders.get(&address)) {
            (Some(&held), _) if held != address => Err(NotAdopted::Holds(held)),
            (_, Some(holder)) if holder != id => Err(NotAdopted::HeldBy(holder.clone())),
            _ => {
                self.idle.retain(|idle| idle.address != address);
                Ok(self.hold(id, address))
            }
        }
    }

    /// The address that `id` holds.
    pub fn address_of(&self, id: &AttachmentId) -> Option<Ipv4Addr> {
        self.held.get(id).copied()
    }

    /// All that is held, by attachment.
    pub fn leases(&self) -> impl Iterator<Item = Lease> + '_ {
        self.held.iter().map(|(id, &address)| Lease {
            id: id.clone(),
            address,
        })
    }

    /// How the addresses are spread at `now_ms`.
    pub fn counts(&self, now_ms: u64) -> PoolCounts {
        let free = self.idle.partition_point(|idle| idle.ready_at_ms <= now_ms);
        PoolCounts {
            size: self.subnet.capacity(),
            free,
            used: self.held.len(),
            cooling: self.idle.len() - free,
        }
    }

    fn hold(&mut self, id: &AttachmentId, address: Ipv4Addr) -> Lease {
        self.held.insert(id.clone(), address);
        self.holders.insert(address, id.clone());
        Lease {
            id: id.clone(),
            address,
        }
    }

    fn refusal(&self, reason: RefusalReason, now_ms: u64) -> Refusal {
        Refusal {
            reason,
            counts: self.counts(now_ms),
        }
    }
}
