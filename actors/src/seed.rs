//! A tree of seeds: every draw has its own branch, so adding one changes no other.

use rand::SeedableRng;
use rand_xoshiro::SplitMix64;

/// A node of the tree. Children are told apart by a label or a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The root, from the number given in the settings.
    #[must_use]
    pub const fn root(value: u64) -> Self {
        Self(mix(value))
    }

    /// A seed stored earlier by [`Self::value`].
    #[must_use]
    pub const fn from_value(value: u64) -> Self {
        Self(value)
    }

    /// The seed as a number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The branch called `label`.
    #[must_use]
    pub fn child(self, label: &str) -> Self {
        // FNV-1a over the label, mixed with the parent: stable across versions of the standard library.
        let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mix(self.0 ^ hash))
    }

    /// The branch numbered `index`.
    #[must_use]
    pub const fn indexed(self, index: u64) -> Self {
        Self(mix(self.0.wrapping_add(mix(index))))
    }

    /// A generator that starts at this seed.
    #[must_use]
    pub fn rng(self) -> SplitMix64 {
        SplitMix64::seed_from_u64(self.0)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that spreads every bit.
const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_differ_and_repeat() {
        let root = Seed::root(1);
        assert_eq!(root.child("node"), Seed::root(1).child("node"));
        assert_ne!(root.child("node"), root.child("nodf"));
        assert_ne!(root.indexed(0), root.indexed(1));
        assert_ne!(Seed::root(1), Seed::root(2));
    }
}
