use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const COOL_DOWN: u64 = 100;

fn id(n: u8) -> AttachmentId {
    format!("c{n}").parse().unwrap()
}

fn pool() -> AddressPool {
    AddressPool::new("10.9.0.0/29".parse().unwrap(), COOL_DOWN)
}

fn full() -> AddressPool {
    let mut pool = pool();
    for n in 0..5 {
        pool.request(&id(n), 0).unwrap();
    }
    pool
}

#[test]
fn a_request_is_idempotent() {
    let mut pool = pool();
    let first = pool.request(&id(1), 0).unwrap();
    assert_eq!(pool.request(&id(1), 9).unwrap(), first);
    assert_eq!(
        pool.counts(9),
        PoolCounts {
            size: 5,
            free: 4,
            used: 1,
            cooling: 0
        }
    );
}

#[test]
fn exhaustion_says_why_with_counts() {
    let mut pool = full();
    let refusal = pool.request(&id(9), 0).unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::AllInUse);
    assert_eq!(
        refusal.counts,
        PoolCounts {
            size: 5,
            free: 0,
            used: 5,
            cooling: 0
        }
    );
    assert_eq!(refusal.to_string(), "all 5 addresses are in use");

    pool.release(&id(2), 50);
    let refusal = pool.request(&id(9), 149).unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::Cooling { ready_at_ms: 150 });
    assert_eq!(
        refusal.to_string(),
        "of 5 addresses 4 are in use and 1 rest after their last use"
    );
    assert!(pool.request(&id(9), 150).is_ok());
}

#[test]
fn the_address_released_longest_ago_goes_first() {
    let mut pool = full();
    let released: Vec<_> = [3, 0, 4]
        .map(|n| pool.release(&id(n), u64::from(n)).unwrap())
        .to_vec();
    let again: Vec<_> = (10..13)
        .map(|n| pool.request(&id(n), 1_000).unwrap().address)
        .collect();
    assert_eq!(again, released);
}

#[test]
fn never_used_addresses_go_before_released_ones() {
    let mut pool = pool();
    let first = pool.request(&id(1), 0).unwrap().address;
    pool.release(&id(1), 0);
    for n in 2..6 {
        assert_ne!(pool.request(&id(n), 1_000).unwrap().address, first);
    }
    assert_eq!(pool.request(&id(6), 1_000).unwrap().address, first);
}

#[test]
fn releasing_what_is_not_held_changes_nothing() {
    let mut pool = full();
    assert_eq!(pool.release(&id(9), 0), None);
    assert!(pool.release(&id(1), 0).is_some());
    assert_eq!(pool.release(&id(1), 0), None);
    assert_eq!(
        pool.counts(0),
        PoolCounts {
            size: 5,
            free: 0,
            used: 4,
            cooling: 1
        }
    );
}

#[test]
fn adoption_takes_an_address_out_of_the_queue() {
    let mut pool = pool();
    let address = "10.9.0.2".parse().unwrap();
    assert_eq!(pool.adopt(&id(1), address), Ok(Lease { id: id(1), address }));
    assert_eq!(pool.adopt(&id(1), address), Ok(Lease { id: id(1), address }));
    assert_eq!(pool.request(&id(1), 0).unwrap().address, address);
    assert_ne!(pool.request(&id(2), 0).unwrap().address, address);
    assert_eq!(pool.counts(0).used, 2);
}

#[test]
fn adoption_refuses_contradictions() {
    let mut pool = pool();
    let (two, three) = ("10.9.0.2".parse().unwrap(), "10.9.0.3".parse().unwrap());
    pool.adopt(&id(1), two).unwrap();
    assert_eq!(pool.adopt(&id(2), two), Err(NotAdopted::HeldBy(id(1))));
    assert_eq!(pool.adopt(&id(1), three), Err(NotAdopted::Holds(two)));
    for outside in ["10.9.0.0", "10.9.0.1", "10.9.0.7", "10.9.0.8", "192.0.2.1"] {
        assert_eq!(
            pool.adopt(&id(2), outside.parse().unwrap()),
            Err(NotAdopted::Outside),
            "{outside}"
        );
    }
}

#[test]
fn a_clock_that_steps_back_only_lengthens_the_rest() {
    let mut pool = full();
    pool.release(&id(0), 1_000);
    pool.release(&id(1), 10);
    assert_eq!(pool.counts(1_099).free, 0);
    assert_eq!(pool.counts(1_100).free, 2);
    pool.release(&id(2), u64::MAX);
    assert_eq!(pool.counts(u64::MAX - 1).free, 2);
}

#[derive(Clone, Debug)]
enum Step {
    Request(u8),
    Release(u8),
    Adopt(u8, u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12u8).prop_map(Step::Request),
        3 => (0..12u8).prop_map(Step::Release),
        1 => (0..12u8, 0..16u32).prop_map(|(id, offset)| Step::Adopt(id, offset)),
        2 => (0..COOL_DOWN).prop_map(Step::Wait),
    ]
}

/// What must hold whatever happened: no address twice, none but the usable, none lost.
fn check(pool: &AddressPool, now: u64) {
    let usable: BTreeSet<_> = pool.subnet().usable().collect();
    let held: Vec<_> = pool.leases().map(|lease| lease.address).collect();
    let idle: Vec<_> = pool.idle.iter().map(|idle| idle.address).collect();
    let all: BTreeSet<_> = held.iter().chain(&idle).copied().collect();
    assert_eq!(all, usable);
    assert_eq!(held.len() + idle.len(), usable.len());
    assert!(!all.contains(&pool.subnet().gateway()));
    let counts = pool.counts(now);
    assert_eq!(counts.free + counts.used + counts.cooling, counts.size);
    assert_eq!(pool.held.len(), pool.holders.len());
}

proptest! {
    #[test]
    fn addresses_are_conserved_and_never_shared(steps in prop::collection::vec(step(), 0..200)) {
        let mut pool = pool();
        let mut now = 0;
        let mut released = BTreeMap::new();
        for step in steps {
            match step {
                Step::Request(n) => {
                    let had = pool.address_of(&id(n));
                    if let Ok(lease) = pool.request(&id(n), now) {
                        let rested = released.get(&lease.address).is_none_or(|at| at + COOL_DOWN <= now);
                        prop_assert!(had == Some(lease.address) || rested);
                    } else {
                        prop_assert!(had.is_none() && pool.counts(now).free == 0);
                    }
                }
                Step::Release(n) => {
                    if let Some(address) = pool.release(&id(n), now) {
                        released.insert(address, now);
                    }
                }
                Step::Adopt(n, offset) => {
                    let base = pool.subnet().block().base().to_bits();
                    let _refusal = pool.adopt(&id(n), Ipv4Addr::from_bits(base + offset));
                }
                Step::Wait(ms) => now += ms,
            }
            check(&pool, now);
        }
    }
}
