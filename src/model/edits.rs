//! How much of a line stays where lines are replaced.
//!
//! A run is a maximal sequence of changed lines; its first removed line is paired with its first
//! added one, and so on. What a pair has in common is counted from both ends.

use super::metrics::{log, share};
use super::token::tokens;
use crate::change::{Hunk, LineKind};

/// How many metrics [`Edits::metrics`] gives.
const METRICS: usize = 8;

/// Counts over the runs of changed lines of hunks.
#[derive(Debug, Default)]
pub(super) struct Edits {
    runs: usize,
    insertions: usize,
    deletions: usize,
    pairs: usize,
    kept: usize,
    whole: usize,
    smallest: Option<usize>,
    small: usize,
}

impl Edits {
    /// Counts the runs of a hunk.
    pub(super) fn hunk(&mut self, hunk: &Hunk) {
        for run in hunk.lines.split(|line| line.kind == LineKind::Context) {
            if run.is_empty() {
                continue;
            }
            let of = |kind| run.iter().filter(move |line| line.kind == kind);
            let (mut removed, mut added) = (of(LineKind::Removed), of(LineKind::Added));
            self.runs += 1;
            self.insertions += usize::from(removed.clone().next().is_none());
            self.deletions += usize::from(added.clone().next().is_none());
            while let (Some(old), Some(new)) = (removed.next(), added.next()) {
                self.pair(&old.text, &new.text);
            }
        }
    }

    fn pair(&mut self, old: &str, new: &str) {
        let (old, new): (Vec<&str>, Vec<&str>) = (tokens(old).collect(), tokens(new).collect());
        let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let (old_rest, new_rest) = (&old[start..], &new[start..]);
        let ends = old_rest.iter().rev().zip(new_rest.iter().rev());
        let kept = start + ends.take_while(|(a, b)| a == b).count();
        let whole = old.len().max(new.len());
        let changed = whole - kept;
        self.pairs += 1;
        self.kept += kept;
        self.whole += whole;
        self.small += usize::from(changed <= 2);
        self.smallest = Some(self.smallest.map_or(changed, |least| least.min(changed)));
    }

    /// In the order of the trainer.
    pub(super) fn metrics(&self) -> [f64; METRICS] {
        [
            log(self.runs),
            log(self.insertions),
            log(self.deletions),
            log(self.pairs),
            share(self.kept, self.whole),
            log(self.whole - self.kept),
            log(self.smallest.unwrap_or(0)),
            share(self.small, self.pairs),
        ]
    }
}

/// Columns that a line is indented by; a tab counts as four.
#[must_use]
pub(super) fn indentation(text: &str) -> usize {
    let blanks = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t'));
    blanks.map(|byte| if byte == b'\t' { 4 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;

    #[test]
    fn pairs_keep_what_is_common_at_both_ends() {
        let hunk = sample::hunk(
            1,
            sample::lines([
                " a",
                "-if x == 1 {",
                "+if x != 1 {",
                "+more",
                " b",
                "-gone",
                " c",
                "+a a",
            ]),
        );
        let mut edits = Edits::default();
        edits.hunk(&hunk);
        assert_eq!((edits.runs, edits.insertions, edits.deletions), (3, 1, 1));
        assert_eq!((edits.pairs, edits.kept, edits.whole), (1, 5, 6));
        assert_eq!((edits.smallest, edits.small), (Some(1), 1));
    }

    #[test]
    fn what_is_common_is_counted_once() {
        let mut edits = Edits::default();
        edits.pair("a a a", "a a");
        assert_eq!((edits.kept, edits.whole), (2, 3));
    }

    #[test]
    fn tabs_are_wide() {
        assert_eq!(indentation("\t  x y"), 6);
        assert_eq!(indentation(""), 0);
    }
}
