//! Rows in one growing array, each found by its key: a row keeps its number while it lives.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;

/// What a [`Table`] holds; a default row stands in vacant places.
pub(crate) trait Row: Default {
    type Key: Copy + Eq;

    fn key(&self) -> Self::Key;

    /// The same in every run, so that nothing depends on a process's seed.
    fn hash(key: &Self::Key) -> u64;
}

/// The number of a row of a table of `T`; its `Option` takes the same 4 bytes.
pub(crate) struct Ix<T>(NonZeroU32, PhantomData<fn() -> T>);

impl<T> Ix<T> {
    pub(crate) fn new(place: usize) -> Self {
        let number = u32::try_from(place + 1).expect("fewer than 2^32 rows fit in memory");
        Self(
            NonZeroU32::new(number).expect("one more than a place is not zero"),
            PhantomData,
        )
    }

    pub(crate) const fn place(self) -> usize {
        self.0.get() as usize - 1
    }

    pub(crate) const fn number(self) -> u32 {
        self.0.get() - 1
    }
}

impl<T> Clone for Ix<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ix<T> {}

impl<T> PartialEq for Ix<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Ix<T> {}

impl<T> PartialOrd for Ix<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ix<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> fmt::Debug for Ix<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.place())
    }
}

pub(crate) struct Table<T> {
    rows: Vec<T>,
    vacant: Vec<Ix<T>>,
    by_key: HashTable<Ix<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            vacant: Vec::new(),
            by_key: HashTable::new(),
        }
    }
}

impl<T: Row> Table<T> {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn find(&self, key: &T::Key) -> Option<Ix<T>> {
        self.by_key
            .find(T::hash(key), |ix| self[*ix].key() == *key)
            .copied()
    }

    /// Adds a row; its key must not be there yet.
    pub(crate) fn insert(&mut self, row: T) -> Ix<T> {
        let hash = T::hash(&row.key());
        let ix = match self.vacant.pop() {
            Some(ix) => {
                self.rows[ix.place()] = row;
                ix
            }
            None => {
                self.rows.push(row);
                Ix::new(self.rows.len() - 1)
            }
        };
        let rows = &self.rows;
        self.by_key
            .insert_unique(hash, ix, |other| T::hash(&rows[other.place()].key()));
        ix
    }

    pub(crate) fn remove(&mut self, ix: Ix<T>) {
        let row = std::mem::take(&mut self.rows[ix.place()]);
        if let Ok(entry) = self.by_key.find_entry(T::hash(&row.key()), |other| *other == ix) {
            entry.remove();
            self.vacant.push(ix);
        }
    }
}

impl<T> Index<Ix<T>> for Table<T> {
    type Output = T;

    fn index(&self, ix: Ix<T>) -> &T {
        &self.rows[ix.place()]
    }
}

impl<T> IndexMut<Ix<T>> for Table<T> {
    fn index_mut(&mut self, ix: Ix<T>) -> &mut T {
        &mut self.rows[ix.place()]
    }
}

/// Spreads the bits of a key: a multiplication folded, twice.
pub(crate) fn mix(high: u64, low: u64) -> u64 {
    let fold = |a: u64, b: u64| {
        let [low, high] = split(u128::from(a) * u128::from(b));
        low ^ high
    };
    fold(
        fold(high ^ 0x9E37_79B9_7F4A_7C15, low ^ 0xD1B5_4A32_D192_ED03),
        0x8CB9_2BA7_2F3D_8DD7,
    )
}

/// The low and the high half.
#[expect(clippy::cast_possible_truncation, reason = "each half is taken whole")]
pub(crate) const fn split(wide: u128) -> [u64; 2] {
    [wide as u64, (wide >> 64) as u64]
}
