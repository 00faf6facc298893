//! How much candidates agree: the overlap of the words that they add and remove.
//!
//! Invariant: symmetric; a candidate's agreement with itself does not count.

use crate::change::{LineKind, Patch};
use crate::model::tokens;
use std::collections::HashSet;

/// For each patch the mean Jaccard overlap with the others: of the distinct tokens that either
/// adds or removes, the share that both do. `None` for an only patch.
#[must_use]
pub fn agreements(patches: &[&Patch]) -> Vec<Option<f64>> {
    let sets: Vec<HashSet<(LineKind, &str)>> = patches.iter().map(|patch| words(patch)).collect();
    let others = patches.len().saturating_sub(1);
    sets.iter()
        .enumerate()
        .map(|(index, set)| {
            let overlaps = sets.iter().enumerate().filter(|(other, _)| *other != index);
            let sum: f64 = overlaps.map(|(_, other)| overlap(set, other)).sum();
            (others > 0).then(|| sum / others as f64)
        })
        .collect()
}

fn words(patch: &Patch) -> HashSet<(LineKind, &str)> {
    let lines = patch.hunks().flat_map(|(_, hunk)| &hunk.lines);
    lines
        .filter(|line| line.kind != LineKind::Context)
        .flat_map(|line| tokens(&line.text).map(|token| (line.kind, token)))
        .collect()
}

fn overlap<T: Eq + std::hash::Hash>(a: &HashSet<T>, b: &HashSet<T>) -> f64 {
    let both = a.intersection(b).count();
    let either = a.len() + b.len() - both;
    if either == 0 {
        1.0
    } else {
        both as f64 / either as f64
    }
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
