//! How much candidates agree: the overlap of the words that they add and remove.
//!
//! Invariant: symmetric; a candidate's agreement with itself does not count.

use crate::change::{LineKind, Patch};
use crate::model::tokens;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The distinct tokens that a patch adds or removes: all that agreement needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<u64>);

impl Words {
    /// The words of a patch.
    #[must_use]
    pub fn of(patch: &Patch) -> Self {
        let lines = patch.hunks().flat_map(|(_, hunk)| &hunk.lines);
        let mut words: Vec<u64> = lines
            .filter(|line| line.kind != LineKind::Context)
            .flat_map(|line| tokens(&line.text).map(|token| hash(&(line.kind, token))))
            .collect();
        words.sort_unstable();
        words.dedup();
        Self(words)
    }

    /// Jaccard overlap: of the tokens that either adds or removes, the share that both do.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> f64 {
        let mine = self.0.iter();
        let both = mine.filter(|word| other.0.binary_search(word).is_ok());
        let both = both.count();
        let either = self.0.len() + other.0.len() - both;
        if either == 0 {
            1.0
        } else {
            both as f64 / either as f64
        }
    }
}

/// For each patch the mean overlap with the others. `None` for an only patch.
#[must_use]
pub fn agreements(patches: &[&Patch]) -> Vec<Option<f64>> {
    let all: Vec<Words> = patches.iter().map(|patch| Words::of(patch)).collect();
    mean_overlaps(all.len(), |one, other| all[one].overlap(&all[other]))
}

/// For each of `count` patches the mean of `overlap` with the others. `None` for an only one.
pub(super) fn mean_overlaps(
    count: usize,
    overlap: impl Fn(usize, usize) -> f64,
) -> Vec<Option<f64>> {
    let mean = |one| {
        let others = (0..count).filter(|other| *other != one);
        let sum: f64 = others.map(|other| overlap(one, other)).sum();
        (count > 1).then(|| sum / (count - 1) as f64)
    };
    (0..count).map(mean).collect()
}

fn hash(word: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_of_added_and_removed_words_apart() {
        let patch = |old: &str, new: &str| {
            let diff = format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-{old}\n+{new}\n");
            Patch::from_unified(diff.as_bytes()).unwrap()
        };
        // -a +b c and -a +b d share two of four; -b +a shares nothing with either.
        let all = [patch("a", "b c"), patch("a", "b d"), patch("b", "a")];
        let all: Vec<&Patch> = all.iter().collect();
        assert_eq!(agreements(&all), [Some(0.25), Some(0.25), Some(0.0)]);
        assert_eq!(agreements(&all[..1]), [None]);
        assert_eq!(agreements(&[]), []);
    }
}
