//! Randomness as a value: a tree of labelled generators under one seed.
//!
//! A draw in one branch never moves what another branch yields, so adding a draw for retry jitter leaves ids alone.

use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

/// A node of the tree: hands out labelled children, draws nothing itself.
#[derive(Debug, Clone)]
pub struct RngTree {
    seed: [u8; 32],
}

impl RngTree {
    /// The root for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed: Sha256::digest(seed.to_be_bytes()).into(),
        }
    }

    /// The branch under `label`, to divide further.
    #[must_use]
    pub fn branch(&self, label: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(label.as_bytes());
        Self {
            seed: hash.finalize().into(),
        }
    }

    /// The generator under `label`: the same label gives the same stream.
    #[must_use]
    pub fn child(&self, label: &str) -> Rng {
        Rng(Xoshiro256PlusPlus::from_seed(self.branch(label).seed))
    }
}

/// A stream of random numbers; not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; zero for a bound of zero. Its bias is below 2^-32 for bounds below 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a 128-bit product")
    }

    /// True in `part` of `whole` draws.
    pub fn chance(&mut self, part: u64, whole: u64) -> bool {
        self.below(whole) < part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_a_stream_and_streams_do_not_disturb_each_other() {
        let tree = RngTree::new(42);
        let (mut a, mut b) = (tree.child("ids"), tree.child("jitter"));
        let first = a.next_u64();
        assert_ne!(first, b.next_u64());
        assert_eq!(first, tree.child("ids").next_u64());
        assert_ne!(RngTree::new(43).child("ids").next_u64(), first);
    }

    #[test]
    fn below_stays_below_and_reaches_both_ends() {
        let mut rng = RngTree::new(1).child("x");
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.below(3)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(rng.below(0), 0);
    }
}
