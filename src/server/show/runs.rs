//! The changed lines of a hunk as runs: git shows changes that are up to six lines apart as one
//! hunk, and the lines between them are context.

use crate::change::{Hunk, LineKind};

/// The runs of added lines of the new text, first and last line each, 1-based, from top to bottom.
/// For a pure deletion the line after it, or the last line. Never empty, never a context line.
pub(super) fn changed_runs(hunk: &Hunk, new_line_count: u32) -> Vec<(u32, u32)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Line, LineRange};

    #[track_caller]
    fn check(start: u32, diff: &str, expected: &[(u32, u32)]) {
        let lines: Vec<Line> = diff
            .chars()
            .map(|mark| Line {
                kind: match mark {
                    '+' => LineKind::Added,
                    '-' => LineKind::Removed,
                    _ => LineKind::Context,
                },
                text: String::new(),
            })
            .collect();
        let count = |skipped: LineKind| {
            u32::try_from(lines.iter().filter(|line| line.kind != skipped).count()).unwrap()
        };
        let range = |lines| LineRange { start, lines };
        let hunk = Hunk {
            old: range(count(LineKind::Added)),
            new: range(count(LineKind::Removed)),
            lines,
        };
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
