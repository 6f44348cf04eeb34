//! A network on this host: the pool and the data path put together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::{
    AddressPool, Attachment, AttachmentId, Datapath, Detached, Error, Found, Lease, Netns, Network,
    PoolCounts,
};

/// How long [`HostNetwork::detach`] waits for a link to end with its namespace before it removes it. The kernel
/// ends namespaces in batches, 300 in 0.2 s; to remove a link by itself holds its network lock for some 20 ms.
const LINGER: Duration = Duration::from_secs(2);

/// Attaches containers to a network and takes them out, many at once.
///
/// A caller's loop: [`setup`](Self::setup); [`adopt`](Self::adopt) with the containers that should be there;
/// then for each container [`attach`](Self::attach) and, when it has ended, [`detach`](Self::detach). Each may
/// be repeated at any time. A future dropped half-way leaves an attachment that may be attached again or
/// detached.
pub struct HostNetwork {
    datapath: Arc<dyn Datapath>,
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pool: AddressPool,
    /// Exactly those that hold an address in the pool.
    phases: BTreeMap<AttachmentId, Phase>,
    totals: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has an address; its link may or may not be there.
    Reserved,
    /// A call for it is under way.
    Busy,
    /// It has its link.
    Attached,
}

/// What a network did since it was made, and how its addresses are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Attachments made or adopted.
    pub attached: u64,
    /// Attachments ended.
    pub detached: u64,
    /// Attachments that the data path failed to make.
    pub attach_failures: u64,
    /// Links that the data path failed to remove.
    pub detach_failures: u64,
    /// Requests without an address to give.
    pub refused: u64,
    /// Links removed that belonged to no wanted attachment.
    pub leftovers_removed: u64,
    /// How the addresses are spread.
    pub pool: PoolCounts,
}

/// What [`HostNetwork::adopt`] found.
#[derive(Debug, Default)]
pub struct Adoption {
    /// Wanted, and their links are there.
    pub adopted: Vec<Attachment>,
    /// Wanted, but without a link.
    pub missing: Vec<AttachmentId>,
    /// Links that nobody wants, removed.
    pub removed: Vec<Found>,
    /// Links that nobody wants and that could not be removed; their addresses will not be handed out until a
    /// later call removes them.
    pub failed: Vec<(Found, Error)>,
}

impl HostNetwork {
    /// A network over `datapath` whose addresses rest for `cool_down` before they are used again.
    pub fn new(datapath: Arc<dyn Datapath>, cool_down: Duration) -> Self {
        let cool_down_ms = u64::try_from(cool_down.as_millis()).unwrap_or(u64::MAX);
        let pool = AddressPool::new(datapath.network().subnet(), cool_down_ms);
        let start = Instant::now();
        let clock = move || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let state = State {
            pool,
            phases: BTreeMap::new(),
            totals: Counters::default(),
        };
        Self {
            datapath,
            clock: Box::new(clock),
            state: Mutex::new(state),
        }
    }

    /// Takes the time in milliseconds, for the cool-down, from `clock` instead of the system.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The network.
    pub fn network(&self) -> &Network {
        self.datapath.network()
    }

    /// Makes what all attachments share, or completes it. To be repeated now and then, every minute say: a host's
    /// firewall that is loaded again may flush the rules, and with them what keeps containers in their place.
    pub async fn setup(&self) -> Result<(), Error> {
        let start = Instant::now();
        self.datapath.setup().await?;
        let network = self.network();
        let (name, subnet) = (network.name(), network.subnet());
        info!(network = %name, %subnet, elapsed_ms = millis(start), "network is set up");
        Ok(())
    }

    /// An address for `id` before its namespace is there; [`attach`](Self::attach) will use it.
    pub fn reserve(&self, id: &AttachmentId) -> Result<Attachment, Error> {
        let now = (self.clock)();
        let lease = self.state().reserve(id, now)?;
        Ok(self.attachment(&lease))
    }

    /// Wires a container in; one that is in already stays as it is, whatever the namespace. After an error the
    /// address stays with `id` until it is attached again or detached.
    pub async fn attach(&self, id: &AttachmentId, netns: &Netns) -> Result<Attachment, Error> {
        let start = Instant::now();
        let network = self.network().name();
        let (lease, claim) = self.begin(id)?;
        let attachment = self.attachment(&lease);
        let Some(claim) = claim else { return Ok(attachment) };
        if let Err(error) = self.datapath.attach(&lease, netns).await {
            claim.end(|state, id| {
                state.totals.attach_failures += 1;
                state.enter(id, Phase::Reserved);
            });
            warn!(%network, %id, %error, "attach failed");
            return Err(error);
        }
        claim.end(|state, id| {
            state.totals.attached += 1;
            state.enter(id, Phase::Attached);
        });
        info!(%network, %id, address = %lease.address, elapsed_ms = millis(start), "attached");
        Ok(attachment)
    }

    /// Takes a container out and its address back; one that is not in is fine. End the container first: its
    /// link then ends by itself.
    pub async fn detach(&self, id: &AttachmentId) -> Result<Detached, Error> {
        let lease = self.state().claim(id)?;
        let Some(lease) = lease else {
            return Ok(Detached::Gone);
        };
        let address = lease.address;
        let found = self.remove(lease, LINGER, |totals| totals.detached += 1).await?;
        info!(network = %self.network().name(), %id, %address, ?found, "detached");
        Ok(found)
    }

    /// Compares the links that the kernel has with the attachments that should be there, takes over the ones
    /// in both, and removes links that neither `wanted` nor this object knows. For the start after a crash,
    /// and harmless at any time.
    pub async fn adopt(&self, wanted: &BTreeSet<AttachmentId>) -> Result<Adoption, Error> {
        let mut adoption = Adoption::default();
        for found in self.datapath.list().await? {
            let lease = self.state().take_over(&found, wanted);
            if let Some(lease) = lease {
                adoption.adopted.push(self.attachment(&lease));
                continue;
            }
            let leftover = self.state().claim_leftover(&found);
            if let Some(lease) = leftover {
                match self
                    .remove(lease, Duration::ZERO, |totals| totals.leftovers_removed += 1)
                    .await
                {
                    Ok(_) => adoption.removed.push(found),
                    Err(error) => adoption.failed.push((found, error)),
                }
            }
        }
        adoption.missing = self.state().without_address(wanted);
        let Adoption {
            adopted,
            missing,
            removed,
            failed,
        } = &adoption;
        let (adopted, missing, removed, failed) = (adopted.len(), missing.len(), removed.len(), failed.len());
        info!(network = %self.network().name(), adopted, missing, removed, failed, "links compared");
        Ok(adoption)
    }

    /// Removes the network from the host, its attachments with it. Addresses cool down.
    pub async fn teardown(&self) -> Result<(), Error> {
        self.datapath.teardown().await?;
        let now = (self.clock)();
        let mut state = self.state();
        let ids: Vec<_> = state.phases.keys().cloned().collect();
        for id in &ids {
            state.forget(id, now);
        }
        state.totals.detached += ids.len() as u64;
        drop(state);
        info!(network = %self.network().name(), "network is removed");
        Ok(())
    }

    /// The attachments that have their links, by id.
    pub fn attachments(&self) -> Vec<Attachment> {
        let state = self.state();
        let attached = |lease: &Lease| state.phases.get(&lease.id) == Some(&Phase::Attached);
        state
            .pool
            .leases()
            .filter(attached)
            .map(|lease| self.attachment(&lease))
            .collect()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let now = (self.clock)();
        let state = self.state();
        Counters {
            pool: state.pool.counts(now),
            ..state.totals
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attachment(&self, lease: &Lease) -> Attachment {
        self.network()
            .attachment(lease)
            .expect("the pool hands out the network's addresses")
    }

    /// An address for `id`, and the right to attach it unless it is attached.
    fn begin(&self, id: &AttachmentId) -> Result<(Lease, Option<Claim<'_>>), Error> {
        let now = (self.clock)();
        let mut state = self.state();
        let lease = state.reserve(id, now)?;
        if state.phases.get(id) == Some(&Phase::Attached) {
            return Ok((lease, None));
        }
        let claimed = state.claim(id)?;
        Ok((lease, claimed.map(|lease| Claim::new(self, lease))))
    }

    /// Removes the link of a claimed lease and gives its address back.
    async fn remove(
        &self,
        lease: Lease,
        patience: Duration,
        count: fn(&mut Counters),
    ) -> Result<Detached, Error> {
        let claim = Claim::new(self, lease);
        let outcome = self.datapath.detach(claim.lease.address, patience).await;
        let now = (self.clock)();
        match &outcome {
            Ok(_) => claim.end(|state, id| {
                count(&mut state.totals);
                state.forget(id, now);
            }),
            Err(error) => {
                let Lease { id, address } = &claim.lease;
                warn!(network = %self.network().name(), %id, %address, %error, "detach failed");
                claim.end(|state, id| {
                    state.totals.detach_failures += 1;
                    state.enter(id, Phase::Reserved);
                });
            }
        }
        outcome
    }
}

impl fmt::Debug for HostNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostNetwork")
            .field("datapath", &self.datapath)
            .finish_non_exhaustive()
    }
}

impl State {
    fn reserve(&mut self, id: &AttachmentId, now: u64) -> Result<Lease, Error> {
        let lease = self.pool.request(id, now).map_err(|refusal| {
            self.totals.refused += 1;
            warn!(%id, %refusal, "no address");
            Error::NoAddress {
                id: id.clone(),
                refusal,
            }
        })?;
        self.phases.entry(id.clone()).or_insert(Phase::Reserved);
        Ok(lease)
    }

    /// Makes `id` busy; `None` when it has no address.
    fn claim(&mut self, id: &AttachmentId) -> Result<Option<Lease>, Error> {
        let Some(address) = self.pool.address_of(id) else {
            return Ok(None);
        };
        if self.phases.insert(id.clone(), Phase::Busy) == Some(Phase::Busy) {
            return Err(Error::Busy { id: id.clone() });
        }
        Ok(Some(Lease {
            id: id.clone(),
            address,
        }))
    }

    /// Notes a link as the wanted attachment's, which had no address so far.
    fn take_over(&mut self, found: &Found, wanted: &BTreeSet<AttachmentId>) -> Option<Lease> {
        let id = found.id.as_ref().filter(|id| wanted.contains(id))?;
        if self.phases.contains_key(id) {
            return None;
        }
        let lease = self.pool.adopt(id, found.address).ok()?;
        self.phases.insert(id.clone(), Phase::Attached);
        self.totals.attached += 1;
        Some(lease)
    }

    /// Makes a link busy that no attachment has; `None` when one has it after all. Meanwhile a name of our own
    /// holds the address, so that it is not handed out.
    fn claim_leftover(&mut self, found: &Found) -> Option<Lease> {
        let holder: AttachmentId = format!("leftover_{}", found.address).parse().ok()?;
        self.pool.adopt(&holder, found.address).ok()?;
        self.claim(&holder).ok()?
    }

    /// Ends a claim, unless a teardown took the address meanwhile.
    fn enter(&mut self, id: &AttachmentId, phase: Phase) {
        if let Some(known) = self.phases.get_mut(id) {
            *known = phase;
        }
    }

    fn forget(&mut self, id: &AttachmentId, now: u64) {
        self.pool.release(id, now);
        self.phases.remove(id);
    }

    fn without_address(&self, ids: &BTreeSet<AttachmentId>) -> Vec<AttachmentId> {
        ids.iter()
            .filter(|id| !self.phases.contains_key(id))
            .cloned()
            .collect()
    }
}

/// The right to work on an attachment. Dropped without an end, as when its caller's future was dropped, it
/// leaves the attachment reserved.
#[derive(Debug)]
struct Claim<'a> {
    host: &'a HostNetwork,
    lease: Lease,
    open: bool,
}

impl<'a> Claim<'a> {
    fn new(host: &'a HostNetwork, lease: Lease) -> Self {
        Self {
            host,
            lease,
            open: true,
        }
    }

    fn end(mut self, change: impl FnOnce(&mut State, &AttachmentId)) {
        self.open = false;
        change(&mut self.host.state(), &self.lease.id);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.open {
            self.host.state().enter(&self.lease.id, Phase::Reserved);
        }
    }
}

fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
