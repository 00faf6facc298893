//! The smallest request, for the tests of this room.

use super::verdict::ScoreRequest;
use crate::change::{FileChange, FileStatus, Hunk, Line, LineKind, LineRange, Patch};

/// A new file of one line.
pub(super) fn request(text: &str) -> ScoreRequest {
    let line = Line {
        kind: LineKind::Added,
        text: text.into(),
    };
    let hunk = Hunk {
        old: LineRange { start: 0, lines: 0 },
        new: LineRange { start: 1, lines: 1 },
        lines: vec![line],
    };
    let file = FileChange {
        old_path: None,
        new_path: Some("a.rs".into()),
        status: FileStatus::Added,
        hunks: vec![hunk],
    };
    ScoreRequest {
        patch: Patch { files: vec![file] },
        task: None,
    }
}
