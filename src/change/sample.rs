//! Hunks written by hand, for the tests of every room.

use super::patch::{Hunk, Line, LineKind, LineRange};

/// Lines from text with a marker before each, as in a unified diff.
pub(crate) fn lines<S: AsRef<str>>(marked: impl IntoIterator<Item = S>) -> Vec<Line> {
    let line = |marked: S| {
        let (marker, text) = marked.as_ref().split_at(1);
        Line {
            kind: match marker {
                "+" => LineKind::Added,
                "-" => LineKind::Removed,
                _ => LineKind::Context,
            },
            text: text.into(),
        }
    };
    marked.into_iter().map(line).collect()
}

/// A hunk of these lines that starts at the same line of both texts.
pub(crate) fn hunk(start: u32, lines: Vec<Line>) -> Hunk {
    let range = |other| {
        let own = lines.iter().filter(|line| line.kind != other);
        LineRange {
            start,
            lines: u32::try_from(own.count()).unwrap(),
        }
    };
    Hunk {
        old: range(LineKind::Added),
        new: range(LineKind::Removed),
        lines,
    }
}
