//! Each hunk against its own reverse: what the change does, apart from what the place is like.
//!
//! Invariant: the numbers are those of the trainer. A hunk that is its own reverse gets zeros, and
//! the reverse of a hunk gets the opposite of what the hunk gets.

use super::lines::{Found, LINE_NUMBERS, LineScores};
use super::metrics::METRICS;
use crate::change::{FileChange, FileStatus, Hunk, Line, LineKind, Patch};
use std::collections::BTreeSet;

/// How many numbers [`against`] gives for a hunk.
pub(super) const REVERSAL: usize = METRICS + LINE_NUMBERS + 1;

/// A feature of more lines than that counts no more.
const MOST: u32 = 3;

/// A linear model over how much more of each feature a hunk has than its reverse. It was trained
/// on bug fixes, to prefer them to their reverses.
#[derive(Debug, Clone)]
pub(super) struct DirectionModel {
    pub(super) weight: Vec<f32>,
}

impl DirectionModel {
    /// Positive if the change reads like one for the better.
    #[must_use]
    fn score(&self, ours: &Found, theirs: &Found) -> f64 {
        let weighed = |found: &Found, bucket: &u32| {
            let count = found.get(bucket).copied().unwrap_or(0);
            f64::from(count.min(MOST)).sqrt()
        };
        let buckets: BTreeSet<&u32> = ours.keys().chain(theirs.keys()).collect();
        let (mut sum, mut square) = (0.0, 0.0);
        for bucket in buckets {
            let more = weighed(ours, bucket) - weighed(theirs, bucket);
            square += more * more;
            let weight = self.weight.get(*bucket as usize).copied();
            sum += weight.map_or(0.0, f64::from) * more;
        }
        sum / square.sqrt().max(1.0)
    }
}

/// What the trees see of a hunk by itself, or of its reverse.
pub(super) struct Side {
    pub(super) metrics: Vec<f64>,
    pub(super) lines: [f64; LINE_NUMBERS],
    pub(super) scores: LineScores,
}

/// Metrics and line numbers less those of the reverse, and the direction.
#[must_use]
pub(super) fn against(model: &DirectionModel, ours: &Side, theirs: &Side) -> [f64; REVERSAL] {
    let own = ours.metrics.iter().chain(&ours.lines);
    let back = theirs.metrics.iter().chain(&theirs.lines);
    let direction = model.score(&ours.scores.found, &theirs.scores.found);
    let mut numbers = [direction; REVERSAL];
    for (number, (own, back)) in numbers.iter_mut().zip(own.zip(back)) {
        *number = own - back;
    }
    numbers
}

/// The patch undone: what it adds is removed.
#[must_use]
pub(super) fn reversed(patch: &Patch) -> Patch {
    let file = |file: &FileChange| FileChange {
        old_path: file.new_path.clone(),
        new_path: file.old_path.clone(),
        status: match file.status {
            FileStatus::Added => FileStatus::Deleted,
            FileStatus::Deleted => FileStatus::Added,
            same @ (FileStatus::Modified | FileStatus::Renamed) => same,
        },
        hunks: file.hunks.iter().map(undone).collect(),
    };
    Patch {
        files: patch.files.iter().map(file).collect(),
    }
}

fn undone(hunk: &Hunk) -> Hunk {
    let mut lines = Vec::with_capacity(hunk.lines.len());
    for run in hunk
        .lines
        .chunk_by(|a, b| (a.kind == LineKind::Context) == (b.kind == LineKind::Context))
    {
        // Removed lines come before added ones in a run of changes.
        for (was, is) in [
            (LineKind::Context, LineKind::Context),
            (LineKind::Added, LineKind::Removed),
            (LineKind::Removed, LineKind::Added),
        ] {
            lines.extend(run.iter().filter(|line| line.kind == was).map(|line| Line {
                kind: is,
                text: line.text.clone(),
            }));
        }
    }
    Hunk {
        old: hunk.new,
        new: hunk.old,
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoing_swaps_the_sides_and_removed_lines_come_first() {
        let patch = "--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@\n a\n-b\n+c\n+d\n e\n";
        let back = "--- b/x\n+++ a/x\n@@ -1,4 +1,3 @@\n a\n-c\n-d\n+b\n e\n";
        let read = |text: &str| Patch::from_unified(text.as_bytes()).unwrap();
        let lines = |patch: &Patch| patch.files[0].hunks.clone();
        assert_eq!(lines(&reversed(&read(patch))), lines(&read(back)));
        assert_eq!(reversed(&reversed(&read(patch))), read(patch));
    }

    #[test]
    fn the_reverse_gets_the_opposite_direction() {
        let model = DirectionModel {
            weight: vec![1.0, -2.0, 0.5],
        };
        let ours = Found::from([(0, 5), (2, 1)]);
        let theirs = Found::from([(1, 1), (2, 1), (9, 1)]);
        let root = 3.0_f64.sqrt();
        let expect = (root + 2.0) / (3.0 + 1.0 + 1.0_f64).sqrt();
        assert!((model.score(&ours, &theirs) - expect).abs() < 1e-12);
        assert!((model.score(&theirs, &ours) + expect).abs() < 1e-12);
        assert!(model.score(&ours, &ours).abs() < 1e-12);
    }
}
