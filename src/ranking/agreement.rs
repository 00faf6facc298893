//! How much candidates agree: the overlap of the words and of the lines that they add and remove.
//!
//! Words say that two patches are of a kind, whole lines that they do the same; picks by both are
//! better than by either. Invariant: symmetric; a candidate's agreement with itself does not count.

use crate::change::{FileChange, FileStatus, LineKind, Patch};
use crate::model;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many times as much a shared line counts as a shared token: as `models/train/agreement.py`
/// has it.
const LINES: f64 = 2.0;

/// What a patch adds or removes, as far as agreement needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    tokens: Set,
    /// Of files that were there before, or of all files if there is no such line: scripts to
    /// reproduce and new tests are each agent's own.
    lines: Set,
}

impl Words {
    /// The words of a patch.
    #[must_use]
    pub fn of(patch: &Patch) -> Self {
        let tokens = patch.files.iter().flat_map(changed);
        let tokens = tokens
            .flat_map(|(kind, text)| model::tokens(text).map(move |token| hash(&(kind, token))))
            .collect();
        let old = |file: &&FileChange| file.status != FileStatus::Added;
        let lines: Set = patch.files.iter().filter(old).flat_map(lines).collect();
        Self {
            tokens,
            lines: if lines.0.is_empty() {
                patch.files.iter().flat_map(self::lines).collect()
            } else {
                lines
            },
        }
    }

    /// From 0 to 1: the weighted mean of how many of the tokens, and of the lines, that either adds
    /// or removes both do.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> f64 {
        let (tokens, lines) = (
            self.tokens.overlap(&other.tokens),
            self.lines.overlap(&other.lines),
        );
        (tokens + LINES * lines) / (1.0 + LINES)
    }
}

/// The lines that a file's hunks add and remove.
fn changed(file: &FileChange) -> impl Iterator<Item = (LineKind, &str)> {
    let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines);
    let changed = lines.filter(|line| line.kind != LineKind::Context);
    changed.map(|line| (line.kind, line.text.as_str()))
}

/// Those that are not blank, wherever in the file they are and whatever white space they have.
fn lines(file: &FileChange) -> impl Iterator<Item = u64> {
    let split = changed(file).map(|(kind, text)| (kind, text.split_whitespace().collect()));
    let kept = split.filter(|(_, words): &(_, Vec<&str>)| !words.is_empty());
    kept.map(|(kind, words)| hash(&(file.path(), kind, words)))
}

/// Hashes in order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl FromIterator<u64> for Set {
    fn from_iter<I: IntoIterator<Item = u64>>(hashes: I) -> Self {
        let mut hashes: Vec<u64> = hashes.into_iter().collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }
}

impl Set {
    /// Jaccard overlap: of what either holds, the share that both do.
    fn overlap(&self, other: &Self) -> f64 {
        let mine = self.0.iter();
        let both = mine.filter(|hash| other.0.binary_search(hash).is_ok());
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
        let mut overlaps: Vec<f64> = others.map(|other| overlap(one, other)).collect();
        // In no order of the candidates': the last digit of a sum depends on it.
        overlaps.sort_by(f64::total_cmp);
        let sum: f64 = overlaps.iter().sum();
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

    fn patch(diff: &str) -> Patch {
        Patch::from_unified(diff.as_bytes()).unwrap()
    }

    fn edit(old: &str, new: &str) -> String {
        format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-{old}\n+{new}\n")
    }

    fn overlap(one: &str, other: &str) -> f64 {
        let (one, other) = (Words::of(&patch(one)), Words::of(&patch(other)));
        assert_eq!(one.overlap(&other).to_bits(), other.overlap(&one).to_bits());
        one.overlap(&other)
    }

    #[test]
    fn overlaps_are_of_what_is_added_and_removed_apart() {
        // -a +b c and -a +b d share two of four tokens and one of three lines; -b +a shares
        // nothing with either.
        let all = [edit("a", "b c"), edit("a", "b d"), edit("b", "a")].map(|diff| patch(&diff));
        let all: Vec<&Patch> = all.iter().collect();
        let near = (0.5 + 2.0 / 3.0) / 3.0 / 2.0;
        assert_eq!(agreements(&all), [Some(near), Some(near), Some(0.0)]);
        assert_eq!(agreements(&all[..1]), [None]);
        assert_eq!(agreements(&[]), []);
    }

    #[test]
    fn lines_are_the_same_whatever_their_white_space_but_not_in_another_file() {
        let one = edit("a", "b c");
        assert_eq!(overlap(&one, &edit("  a", "\tb  c")), 1.0);
        assert_eq!(overlap(&one, &one.replace("/f", "/g")), 1.0 / 3.0);
    }

    #[test]
    fn lines_of_new_files_count_where_there_are_no_others() {
        let new = |path: &str, line: &str| {
            format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{line}\n")
        };
        assert_eq!(overlap(&new("f", "a"), &new("f", "a")), 1.0);
        assert_eq!(overlap(&new("f", "a"), &new("g", "a")), 1.0 / 3.0);
        // Of six tokens two are the same, and all lines that count.
        let with = |path: &str, line: &str| edit("a", "b") + &new(path, line);
        assert_eq!(
            overlap(&with("repro", "c d"), &with("try", "e g")),
            (2.0 / 6.0 + 2.0) / 3.0
        );
    }
}
