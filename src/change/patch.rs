//! The patch as every other room sees it: files, hunks and lines.
//!
//! Invariant: within a hunk the lines agree with the two ranges, so `old.lines` is the number of
//! context and removed lines and `new.lines` the number of context and added lines.

use serde::{Deserialize, Serialize};

/// Lines of unchanged text kept on each side of a change, as git shows by default.
pub const CONTEXT_LINES: usize = 3;

/// One or more changed files judged together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Patch {
    /// The changed files in the order in which the model reads them.
    pub files: Vec<FileChange>,
}

/// What happened to a file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileStatus {
    /// The file is not in the base.
    Added,
    /// The file is in the base and in the new state, under the same path.
    Modified,
    /// The file is in the base only.
    Deleted,
    /// The file had another path in the base.
    Renamed,
}

impl std::fmt::Display for FileStatus {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            FileStatus::Added => "added",
            FileStatus::Modified => "modified",
            FileStatus::Deleted => "deleted",
            FileStatus::Renamed => "renamed",
        })
    }
}

/// The changes of one file. A pure rename has no hunks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileChange {
    /// Path in the base, with forward slashes and relative to the repository; `None` if added.
    pub old_path: Option<String>,
    /// Path in the new state; `None` if deleted.
    pub new_path: Option<String>,
    /// What happened to the file as a whole.
    pub status: FileStatus,
    /// The hunks from top to bottom.
    pub hunks: Vec<Hunk>,
}

/// A run of changed lines with up to [`CONTEXT_LINES`] unchanged lines around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hunk {
    /// Lines of the base that the hunk covers.
    pub old: LineRange,
    /// Lines of the new text that the hunk covers.
    pub new: LineRange,
    /// The lines in diff order.
    pub lines: Vec<Line>,
}

/// A range of lines as a unified diff writes it: `start` is 1-based, and when `lines` is 0 it is
/// the line before the gap (0 at the top of the file).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineRange {
    /// First line, 1-based.
    pub start: u32,
    /// Number of lines.
    pub lines: u32,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// Whether the line is in the base, the new text, or both.
    pub kind: LineKind,
    /// The text without its line terminator (neither LF nor CRLF).
    pub text: String,
}

/// Which side of the diff a line is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineKind {
    /// In the base and in the new text.
    Context,
    /// In the new text only.
    Added,
    /// In the base only.
    Removed,
}

impl LineKind {
    /// The character that a unified diff puts before such a line.
    #[must_use]
    pub fn marker(self) -> char {
        match self {
            LineKind::Context => ' ',
            LineKind::Added => '+',
            LineKind::Removed => '-',
        }
    }
}

impl Patch {
    /// All hunks in reading order, each with the file it belongs to.
    pub fn hunks(&self) -> impl Iterator<Item = (&FileChange, &Hunk)> {
        self.files
            .iter()
            .flat_map(|file| file.hunks.iter().map(move |hunk| (file, hunk)))
    }

    /// Whether any line is added or removed. A pure rename changes none.
    #[must_use]
    pub fn changes_lines(&self) -> bool {
        let mut lines = self.hunks().flat_map(|(_, hunk)| &hunk.lines);
        lines.any(|line| line.kind != LineKind::Context)
    }

    /// The number of hunks in all files.
    #[must_use]
    pub fn hunk_count(&self) -> usize {
        self.files.iter().map(|file| file.hunks.len()).sum()
    }
}

impl FileChange {
    /// The path a reader knows the file by: the new one, or the old one of a deleted file.
    #[must_use]
    pub fn path(&self) -> &str {
        self.new_path
            .as_deref()
            .or(self.old_path.as_deref())
            .unwrap_or_default()
    }
}

impl Hunk {
    /// The 1-based lines of the new text that a reader should look at: from the first to the last
    /// added line, or, for a pure deletion, the line after the gap (the last line if there is none
    /// after it). Never a context line between the hunk's edge and its first change.
    ///
    /// `new_line_count` is the number of lines of the new text.
    #[must_use]
    pub fn changed_new_lines(&self, new_line_count: u32) -> (u32, u32) {
        let mut next = if self.new.lines == 0 {
            self.new.start + 1
        } else {
            self.new.start
        };
        let mut added: Option<(u32, u32)> = None;
        let mut gap = next;
        for line in &self.lines {
            match line.kind {
                LineKind::Context => next += 1,
                LineKind::Added => {
                    added = Some((added.map_or(next, |(first, _)| first), next));
                    next += 1;
                }
                LineKind::Removed => {
                    if added.is_none() {
                        gap = next;
                    }
                }
            }
        }
        added.unwrap_or_else(|| {
            let line = gap.clamp(1, new_line_count.max(1));
            (line, line)
        })
    }

    /// The lines with their 1-based numbers in the new text; `None` for removed lines.
    pub fn numbered(&self) -> impl Iterator<Item = (Option<u32>, &Line)> {
        let mut next = Some(self.new.start);
        self.lines.iter().map(move |line| {
            if line.kind == LineKind::Removed {
                return (None, line);
            }
            let number = next;
            next = next.and_then(|next| next.checked_add(1));
            (number, line)
        })
    }

    /// The 1-based number in the new text of the line at `index` of [`Hunk::lines`]; `None` for a
    /// removed line, or past the end. It counts from the start: for all lines take
    /// [`Hunk::numbered`].
    #[must_use]
    pub fn new_line(&self, index: usize) -> Option<u32> {
        self.numbered().nth(index)?.0
    }

    /// The number of lines of the given kind.
    #[must_use]
    pub fn count(&self, kind: LineKind) -> usize {
        self.lines.iter().filter(|line| line.kind == kind).count()
    }
}
