//! How each hunk of a patch relates to the others: which of its words and pairs of neighbouring
//! tokens occur in the hunk's old lines or in another hunk.
//!
//! Invariant: the order and definitions are those of the trainer.

use super::metrics::{log, share};
use super::token::{is_identifier, tokens};
use crate::change::{Hunk, LineKind, Patch};
use std::collections::{HashMap, HashSet};

/// How many numbers there are for a hunk.
pub(super) const SURROUNDINGS: usize = 8;

/// A token, or two neighbours.
pub(super) type Term<'a> = (&'a str, Option<&'a str>);

/// How many hunks of the patch have each term.
#[must_use]
pub(super) fn hunks_with(patch: &Patch) -> HashMap<Term<'_>, usize> {
    let mut counts = HashMap::new();
    for (_, hunk) in patch.hunks() {
        for term in terms(hunk, |_| true) {
            *counts.entry(term).or_insert(0) += 1;
        }
    }
    counts
}

/// For each hunk of the patch, in order, its [`SURROUNDINGS`].
#[must_use]
pub(super) fn of_hunks(
    patch: &Patch,
    hunks_with: &HashMap<Term<'_>, usize>,
) -> Vec<[f64; SURROUNDINGS]> {
    let files = patch.files.iter().filter(|file| !file.hunks.is_empty());
    let files = files.count();
    let hunks = patch.hunk_count();
    let added_lines = |hunk: &Hunk| hunk.count(LineKind::Added);
    let all_added: usize = patch.hunks().map(|(_, hunk)| added_lines(hunk)).sum();
    let elsewhere = |term: &Term<'_>| hunks_with.get(term).is_some_and(|&count| count > 1);
    patch
        .hunks()
        .map(|(_, hunk)| {
            let old = terms(hunk, |kind| kind != LineKind::Added);
            let (mut words, mut shared, mut strange) = (0, 0, 0);
            let (mut pairs, mut odd) = (0, 0);
            for term in &terms(hunk, |kind| kind == LineKind::Added) {
                let new = !old.contains(term) && !elsewhere(term);
                if term.1.is_some() {
                    pairs += 1;
                    odd += usize::from(new);
                } else if is_identifier(term.0) && term.0.len() > 2 {
                    words += 1;
                    shared += usize::from(elsewhere(term));
                    strange += usize::from(new);
                }
            }
            [
                log(hunks),
                log(files),
                share(added_lines(hunk), all_added),
                share(shared, words),
                share(strange, words),
                log(strange),
                share(odd, pairs),
                log(odd),
            ]
        })
        .collect()
}

/// The terms of the lines of the wanted kinds.
pub(super) fn terms(hunk: &Hunk, wanted: impl Fn(LineKind) -> bool) -> HashSet<Term<'_>> {
    let lines = hunk.lines.iter().filter(|line| wanted(line.kind));
    lines.flat_map(|line| terms_of_line(&line.text)).collect()
}

/// Its tokens, and each two neighbours.
pub(super) fn terms_of_line(text: &str) -> impl Iterator<Item = Term<'_>> {
    let pairs = tokens(text).zip(tokens(text).skip(1));
    let pairs = pairs.map(|(a, b)| (a, Some(b)));
    tokens(text).map(|token| (token, None)).chain(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_pairs_that_nothing_else_has_stand_out() {
        let patch = "--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n known = 1\n+known = fresh\n@@ -9 +10,2 @@\n a\n+fresh = other\n";
        let patch = Patch::from_unified(patch.as_bytes()).unwrap();
        let got = of_hunks(&patch, &hunks_with(&patch));
        // Hunk 1 adds `known`, which it had, and `fresh`, which hunk 2 has; `= fresh` is new.
        let ln = f64::ln;
        let first = [ln(3.0), ln(2.0), 0.5, 0.5, 0.0, 0.0, 0.5, ln(2.0)];
        // Hunk 2: `other` is new, and so are both pairs.
        let second = [ln(3.0), ln(2.0), 0.5, 0.5, 0.5, ln(2.0), 1.0, ln(3.0)];
        for (got, expect) in got.iter().zip([first, second]) {
            for (index, (got, expect)) in got.iter().zip(expect).enumerate() {
                assert!((got - expect).abs() < 1e-12, "{index}: {got}, not {expect}");
            }
        }
        assert_eq!(got.len(), 2);
    }
}
