//! The changed lines of a hunk as runs: git shows changes that are up to six lines apart as one
//! hunk, and the lines between them are context.

use super::super::document::{Changed, Document};
use super::super::text::{Encoding, GitLines, offset_of};
use crate::change::{Hunk, LineKind};
use tower_lsp::lsp_types::Range;

/// The runs of added lines of the new text, first and last line each, 1-based, from top to bottom.
/// For a pure deletion the line after it, or the last line. Never empty, never a context line.
pub(in crate::server) fn changed_runs(hunk: &Hunk, new_line_count: u32) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    let mut next = hunk.new.start + u32::from(hunk.new.lines == 0);
    for line in &hunk.lines {
        match line.kind {
            LineKind::Removed => continue,
            LineKind::Context => {}
            LineKind::Added => match runs.last_mut() {
                Some((_, last)) if *last + 1 == next => *last = next,
                _ => runs.push((next, next)),
            },
        }
        next += 1;
    }
    if runs.is_empty() {
        runs.push(hunk.changed_new_lines(new_line_count));
    }
    runs
}

/// The index of the first hunk that a range of the document touches, from its first to its last
/// changed line.
pub(in crate::server) fn touched_hunk(
    document: &Document,
    changed: &Changed,
    range: Range,
    encoding: Encoding,
) -> Option<usize> {
    let text = &document.text;
    let lines = GitLines(text);
    let start = offset_of(text, range.start, encoding);
    let end = offset_of(text, range.end, encoding).max(start);
    // Whole selected lines end at the start of the line after them.
    let is_line_start = end > start && text.get(..end).is_some_and(|text| text.ends_with('\n'));
    let (first, last) = (lines.at(start), lines.at(end) - u32::from(is_line_start));
    let count = lines.count();
    changed.change.hunks.iter().position(|hunk| {
        let runs = changed_runs(hunk, count);
        let begins = runs.first().is_some_and(|run| run.0 <= last);
        begins && runs.last().is_some_and(|run| run.1 >= first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;

    #[track_caller]
    fn check(start: u32, diff: &str, expected: &[(u32, u32)]) {
        let hunk = sample::hunk(start, sample::lines(diff.chars().map(String::from)));
        assert_eq!(changed_runs(&hunk, 9), expected);
    }

    #[test]
    fn context_between_changes_is_left_out() {
        check(1, "   ++   ", &[(4, 5)]);
        check(2, "   +-+  -+ ", &[(5, 6), (9, 9)]);
        check(4, "   --   ", &[(7, 7)]);
        check(7, "   -", &[(9, 9)]);
        check(0, "--", &[(1, 1)]);
        check(1, "+", &[(1, 1)]);
    }
}
