//! What names a hunk wherever it moves.

use crate::change::{FileChange, Hunk, Line, LineKind};
use crate::scoring::key::Fields;
use serde::{Deserialize, Serialize};
use std::fmt;

/// SHA-256, in hexadecimal, over the path and the lines of a hunk from the line before its first
/// change to the line after its last. Line numbers and the context further out do not count, so an
/// edit elsewhere in the file keeps the id. Two hunks of a file that are alike in all that share
/// one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HunkId(String);

impl HunkId {
    /// The id of a hunk of `file`.
    #[must_use]
    pub fn of(file: &FileChange, hunk: &Hunk) -> Self {
        let mut hash = Fields::default();
        hash.text("hunk");
        hash.text(file.path());
        hash_lines(&mut hash, core(&hunk.lines));
        Self(hash.hex())
    }

    /// The id of all changes of `file` together.
    #[must_use]
    pub fn of_file(file: &FileChange) -> Self {
        let mut hash = Fields::default();
        hash.text("file");
        hash.text(file.path());
        hash.number(file.hunks.len());
        for hunk in &file.hunks {
            hash_lines(&mut hash, core(&hunk.lines));
        }
        Self(hash.hex())
    }

    /// Takes what was once written with `Display`; anything else is the id of no hunk.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The changed lines, what is between them, and one line of context on each side.
fn core(lines: &[Line]) -> &[Line] {
    let is_change = |line: &Line| line.kind != LineKind::Context;
    let first = lines.iter().position(is_change).unwrap_or(0);
    let end = lines.iter().rposition(is_change).map_or(0, |last| last + 1);
    lines
        .get(first.saturating_sub(1)..(end + 1).min(lines.len()))
        .unwrap_or(lines)
}

fn hash_lines(hash: &mut Fields, lines: &[Line]) {
    hash.number(lines.len());
    for line in lines {
        hash.number(match line.kind {
            LineKind::Context => 0,
            LineKind::Added => 1,
            LineKind::Removed => 2,
        });
        hash.text(&line.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Patch;

    fn id(path: &str, start: u32, body: &str) -> HunkId {
        let count = |mark| body.lines().filter(|line| !line.starts_with(mark)).count();
        let (old, new) = (count('+'), count('-'));
        let diff =
            format!("--- a/{path}\n+++ b/{path}\n@@ -{start},{old} +{start},{new} @@\n{body}");
        let patch = Patch::from_unified(diff.as_bytes()).unwrap();
        HunkId::of(&patch.files[0], &patch.files[0].hunks[0])
    }

    #[test]
    fn a_hunk_keeps_its_id_when_it_moves() {
        let here = id("a", 1, " x\n y\n-b\n+c\n z\n");
        assert_eq!(id("a", 90, " x\n y\n-b\n+c\n z\n"), here);
        assert_eq!(id("a", 90, " other\n y\n-b\n+c\n z\n more\n"), here);
    }

    #[test]
    fn path_lines_and_nearest_context_count() {
        let here = id("a", 1, " y\n-b\n+c\n z\n");
        for other in [
            id("b", 1, " y\n-b\n+c\n z\n"),
            id("a", 1, " y\n-b\n+d\n z\n"),
            id("a", 1, " y\n-a\n+c\n z\n"),
            id("a", 1, " w\n-b\n+c\n z\n"),
            id("a", 1, " y\n-b\n+c\n w\n"),
            id("a", 1, " y\n+c\n z\n"),
            id("a", 1, "-b\n+c\n"),
        ] {
            assert_ne!(other, here);
        }
    }
}
