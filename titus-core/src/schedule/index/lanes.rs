//! Amounts as the index compares them: eight numbers side by side, all linear in what is asked.

use crate::resources::Resources;

/// The six resources, then the two balances.
pub(crate) type Lanes = [i32; 8];

/// The whole of a capacity, in shares.
pub(crate) const WHOLE: i32 = 1 << 20;

pub(crate) const CPU: usize = 0;
pub(crate) const MEMORY: usize = 1;
pub(crate) const ADDRESSES: usize = 4;
const CPU_KEPT: usize = 6;
const MEMORY_KEPT: usize = 7;

/// Which resource runs out first, and so must not be left over on a host that has nothing else left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scarce {
    Cpu,
    Memory,
}

impl Scarce {
    /// The resource of which more is taken; cpu where both are even.
    pub(crate) fn of(taken: &Resources, capacity: &Resources) -> Self {
        let cpu = share(taken.cpu_milli, capacity.cpu_milli);
        let memory = share(taken.memory_mb, capacity.memory_mb);
        if cpu >= memory { Self::Cpu } else { Self::Memory }
    }
}

/// Amounts in lanes, against the capacity of a class.
///
/// A balance is what is left of one resource over three quarters of what is left of the other, in shares of the
/// capacity. A host whose free balance is at least the ask's keeps room to use the scarce resource up.
pub(crate) fn lanes(amounts: &Resources, capacity: &Resources) -> Lanes {
    let cpu = share(amounts.cpu_milli, capacity.cpu_milli);
    let memory = share(amounts.memory_mb, capacity.memory_mb);
    [
        clamp(amounts.cpu_milli),
        clamp(amounts.memory_mb),
        clamp(amounts.disk_mb),
        clamp(amounts.network_mbps),
        clamp(amounts.addresses),
        clamp(amounts.gpu),
        4 * memory - 3 * cpu,
        4 * cpu - 3 * memory,
    ]
}

/// The same ask without the demand to keep a balance.
pub(crate) const fn unbalanced(mut ask: Lanes) -> Lanes {
    ask[CPU_KEPT] = i32::MIN;
    ask[MEMORY_KEPT] = i32::MIN;
    ask
}

/// The same ask with the demand to keep only what is left of the scarce resource usable.
pub(crate) const fn balanced(mut ask: Lanes, scarce: Scarce) -> Lanes {
    match scarce {
        Scarce::Cpu => ask[MEMORY_KEPT] = i32::MIN,
        Scarce::Memory => ask[CPU_KEPT] = i32::MIN,
    }
    ask
}

/// How much there is of cpu and memory together, in shares: 0 to twice [`WHOLE`].
pub(crate) fn emptiness(amounts: &Resources, capacity: &Resources) -> i32 {
    share(amounts.cpu_milli, capacity.cpu_milli) + share(amounts.memory_mb, capacity.memory_mb)
}

/// True when there is as much in every lane.
pub(crate) fn covers(there: &Lanes, ask: &Lanes) -> bool {
    there
        .iter()
        .zip(ask)
        .fold(true, |all, (there, ask)| all & (there >= ask))
}

/// The greater of each lane.
pub(crate) fn greater(a: &Lanes, b: &Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane].max(b[lane]))
}

fn share(amount: u64, capacity: u64) -> i32 {
    let most = capacity.min(1 << 43);
    let part = (amount.min(most) << 20).checked_div(most).unwrap_or(0);
    i32::try_from(part).expect("at most the whole")
}

/// The lanes of what a host has to offer: never as much as an ask beyond their range, which therefore fits nowhere.
pub(crate) fn offered(free: &Resources, capacity: &Resources) -> Lanes {
    lanes(free, capacity).map(|amount| amount.min(i32::MAX - 1))
}

fn clamp(amount: u64) -> i32 {
    i32::try_from(amount).unwrap_or(i32::MAX)
}
