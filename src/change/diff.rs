//! The line diff: two texts in, hunks as git makes them out.
//!
//! Invariant: applying the hunks to the old text gives the new text, up to line terminators.
//! CRLF and LF are the same here; a missing terminator at the end of the text is a difference, as
//! in git. This module must not know about files or repositories.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::patch::{CONTEXT_LINES, Hunk, Line, LineKind, LineRange};
use super::slide::{Side, compact};

/// The hunks between two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextDiff {
    /// From top to bottom; empty if the texts differ in line terminators at most.
    pub hunks: Vec<Hunk>,
    /// Lines of the new text.
    pub new_lines: u32,
    /// The time ran out: all lines between the first and the last difference are one change.
    pub coarse: bool,
}

/// Diffs two texts line by line. If it takes longer than `time_limit`, everything between the
/// first and the last difference becomes one change, so that the result does not depend on how far
/// the search came.
#[must_use]
pub fn diff_texts(old: &str, new: &str, time_limit: Duration) -> TextDiff {
    let old = Lines::of(old);
    let new = Lines::of(new);
    let mut ids = HashMap::new();
    let old_ids = old.intern(&mut ids);
    let new_ids = new.intern(&mut ids);

    let prefix = common_prefix(&old_ids, &new_ids);
    let suffix = common_prefix_rev(&old_ids[prefix..], &new_ids[prefix..]);
    let old_middle = prefix..old_ids.len() - suffix;
    let new_middle = prefix..new_ids.len() - suffix;
    let mut removed = vec![false; old_ids.len()];
    let mut added = vec![false; new_ids.len()];
    let deadline = Instant::now() + time_limit;
    let coarse = !mark_changes(
        (
            &old_ids[old_middle.clone()],
            &mut removed[old_middle.clone()],
        ),
        (&new_ids[new_middle.clone()], &mut added[new_middle.clone()]),
        ids.len(),
        deadline,
    );
    if coarse {
        removed[old_middle].fill(true);
        added[new_middle].fill(true);
    } else {
        let mut old_side = Side {
            ids: &old_ids,
            lines: &old.lines,
            changed: &mut removed,
        };
        let mut new_side = Side {
            ids: &new_ids,
            lines: &new.lines,
            changed: &mut added,
        };
        compact(&mut old_side, &new_side);
        compact(&mut new_side, &old_side);
    }
    TextDiff {
        hunks: hunks(&old.lines, &removed, &new.lines, &added),
        new_lines: count(new.lines.len()),
        coarse,
    }
}

/// The number of lines of a text; a last line without a terminator counts.
#[must_use]
pub fn line_count(text: &str) -> u32 {
    count(Lines::of(text).lines.len())
}

struct Lines<'a> {
    /// Without terminators.
    lines: Vec<&'a str>,
    ends_open: bool,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends_open = !text.is_empty() && !text.ends_with('\n');
        let body = text.strip_suffix('\n').unwrap_or(text);
        let lines = if text.is_empty() {
            Vec::new()
        } else {
            body.split('\n')
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .collect()
        };
        Lines { lines, ends_open }
    }

    fn intern(&self, ids: &mut HashMap<(&'a str, bool), u32>) -> Vec<u32> {
        let last = self.lines.len().wrapping_sub(1);
        let mut numbers = Vec::with_capacity(self.lines.len());
        for (index, line) in self.lines.iter().enumerate() {
            let next = count(ids.len());
            let open = self.ends_open && index == last;
            numbers.push(*ids.entry((line, open)).or_insert(next));
        }
        numbers
    }
}

fn common_prefix(old: &[u32], new: &[u32]) -> usize {
    old.iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count()
}

fn common_prefix_rev(old: &[u32], new: &[u32]) -> usize {
    old.iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(old, new)| old == new)
        .count()
}

/// Flags the lines that changed; `false` if the deadline passed.
///
/// Lines that occur on one side only have changed in any case. Leaving them out of the search, as
/// git does, makes it shorter and its choice among equally short answers the same as git's.
fn mark_changes(
    (old, removed): (&[u32], &mut [bool]),
    (new, added): (&[u32], &mut [bool]),
    distinct: usize,
    deadline: Instant,
) -> bool {
    let in_old = occurring(old, distinct);
    let in_new = occurring(new, distinct);
    let shared = |ids: &[u32], other: &[bool], changed: &mut [bool]| {
        let mut kept = Vec::new();
        let mut positions = Vec::new();
        for (position, &id) in ids.iter().enumerate() {
            if other[id as usize] {
                kept.push(id);
                positions.push(position);
            } else {
                changed[position] = true;
            }
        }
        (kept, positions)
    };
    let (old_kept, old_positions) = shared(old, &in_new, removed);
    let (new_kept, new_positions) = shared(new, &in_old, added);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old_kept, &new_kept, Some(deadline));
    if Instant::now() >= deadline {
        return false;
    }
    for op in ops {
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        for &position in &old_positions[op.old_range()] {
            removed[position] = true;
        }
        for &position in &new_positions[op.new_range()] {
            added[position] = true;
        }
    }
    true
}

fn occurring(ids: &[u32], distinct: usize) -> Vec<bool> {
    let mut seen = vec![false; distinct];
    for &id in ids {
        seen[id as usize] = true;
    }
    seen
}

/// A run of removed lines and the added lines in their place.
struct Change {
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
}

fn changes(removed: &[bool], added: &[bool]) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut old, mut new) = (0, 0);
    while old < removed.len() || new < added.len() {
        let (old_start, new_start) = (old, new);
        while removed.get(old) == Some(&true) {
            old += 1;
        }
        while added.get(new) == Some(&true) {
            new += 1;
        }
        if (old_start, new_start) == (old, new) {
            old += 1;
            new += 1;
        } else {
            changes.push(Change {
                old: old_start..old,
                new: new_start..new,
            });
        }
    }
    changes
}

fn hunks(old: &[&str], removed: &[bool], new: &[&str], added: &[bool]) -> Vec<Hunk> {
    let changes = changes(removed, added);
    // Changes whose contexts touch or overlap are one hunk.
    changes
        .chunk_by(|before, after| after.old.start - before.old.end <= 2 * CONTEXT_LINES)
        .filter_map(|group| hunk(old, new, group))
        .collect()
}

fn hunk(old: &[&str], new: &[&str], group: &[Change]) -> Option<Hunk> {
    let (first, last) = (group.first()?, group.last()?);
    let lead = first.old.start.min(CONTEXT_LINES);
    let trail = (old.len() - last.old.end).min(CONTEXT_LINES);
    let old_range = first.old.start - lead..last.old.end + trail;
    let new_range = first.new.start - lead..last.new.end + trail;
    let mut lines = Vec::with_capacity(old_range.len() + new_range.len());
    let mut push = |kind, texts: &[&str]| {
        lines.extend(texts.iter().map(|text| Line {
            kind,
            text: (*text).to_owned(),
        }));
    };
    let mut shared = old_range.start;
    for change in group {
        push(LineKind::Context, &old[shared..change.old.start]);
        push(LineKind::Removed, &old[change.old.clone()]);
        push(LineKind::Added, &new[change.new.clone()]);
        shared = change.old.end;
    }
    push(LineKind::Context, &old[shared..old_range.end]);
    Some(Hunk {
        old: line_range(&old_range),
        new: line_range(&new_range),
        lines,
    })
}

fn line_range(range: &std::ops::Range<usize>) -> LineRange {
    let before = count(range.start);
    LineRange {
        start: if range.is_empty() {
            before
        } else {
            before.saturating_add(1)
        },
        lines: count(range.len()),
    }
}

fn count(lines: usize) -> u32 {
    u32::try_from(lines).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_secs(60);

    fn show(hunks: &[Hunk]) -> String {
        let mut text = String::new();
        for hunk in hunks {
            text += &format!(
                "@@ -{},{} +{},{} @@\n",
                hunk.old.start, hunk.old.lines, hunk.new.start, hunk.new.lines
            );
            for line in &hunk.lines {
                text.push(match line.kind {
                    LineKind::Context => ' ',
                    LineKind::Added => '+',
                    LineKind::Removed => '-',
                });
                text += &line.text;
                text.push('\n');
            }
        }
        text
    }

    #[track_caller]
    fn check(old: &str, new: &str, expect: &str) {
        assert_eq!(show(&diff_texts(old, new, LONG).hunks), expect);
    }

    #[test]
    fn small_changes() {
        check(
            "a\nb\nc\n",
            "a\nB\nc\n",
            "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n",
        );
        check("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
        check("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
        check("", "", "");
        check("a\n", "\na\n", "@@ -1,1 +1,2 @@\n+\n a\n");
    }

    #[test]
    fn line_terminators() {
        check("a\r\nb\r\n", "a\nb\n", "");
        check("a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n+b\n");
        check("a\nb\n", "a\nb", "@@ -1,2 +1,2 @@\n a\n-b\n+b\n");
        check("a\nb", "a\nb\nc", "@@ -1,2 +1,3 @@\n a\n-b\n+b\n+c\n");
    }

    #[test]
    fn contexts_that_touch_are_one_hunk() {
        let old: Vec<String> = (0..20).map(|n| format!("{n}\n")).collect();
        let mut new = old.clone();
        new[4] = "x\n".into();
        new[11] = "y\n".into();
        assert_eq!(
            diff_texts(&old.concat(), &new.concat(), LONG).hunks.len(),
            1
        );
        new[11] = "11\n".into();
        new[12] = "y\n".into();
        assert_eq!(
            diff_texts(&old.concat(), &new.concat(), LONG).hunks.len(),
            2
        );
    }

    #[test]
    fn a_new_function_keeps_its_own_braces() {
        check(
            "fn a() {\n    1\n}\n",
            "fn a() {\n    1\n}\n\nfn b() {\n    1\n}\n",
            "@@ -1,3 +1,7 @@\n fn a() {\n     1\n }\n+\n+fn b() {\n+    1\n+}\n",
        );
    }

    #[test]
    fn out_of_time_is_one_change() {
        let diff = diff_texts("s\na\nb\nc\nd\ne\n", "s\nb\nx\ne\n", Duration::ZERO);
        assert!(diff.coarse);
        assert_eq!(
            show(&diff.hunks),
            "@@ -1,6 +1,4 @@\n s\n-a\n-b\n-c\n-d\n+b\n+x\n e\n"
        );
    }

    /// Applies hunks to the lines of the old text.
    fn apply(old: &str, hunks: &[Hunk]) -> Vec<String> {
        let old = Lines::of(old).lines;
        let mut new = Vec::new();
        let mut at = 0;
        for hunk in hunks {
            let start = (hunk.old.start as usize).saturating_sub(usize::from(hunk.old.lines > 0));
            new.extend(old[at..start].iter().map(ToString::to_string));
            assert_eq!(
                new.len() + usize::from(hunk.new.lines > 0),
                hunk.new.start as usize
            );
            at = start + hunk.old.lines as usize;
            new.extend(
                hunk.lines
                    .iter()
                    .filter(|line| line.kind != LineKind::Removed)
                    .map(|line| line.text.clone()),
            );
        }
        new.extend(old[at..].iter().map(ToString::to_string));
        new
    }

    proptest! {
        #[test]
        fn hunks_apply(old in "([ab{}]\r?\n| {0,4}x\n|\n){0,30}[ab]?", new in "([ab{}]\r?\n| {0,4}x\n|\n){0,30}[ab]?") {
            for limit in [LONG, Duration::ZERO] {
                let diff = diff_texts(&old, &new, limit);
                prop_assert_eq!(apply(&old, &diff.hunks), Lines::of(&new).lines);
                for hunk in &diff.hunks {
                    let of = |kind| hunk.count(kind);
                    prop_assert_eq!(hunk.old.lines as usize, of(LineKind::Context) + of(LineKind::Removed));
                    prop_assert_eq!(hunk.new.lines as usize, of(LineKind::Context) + of(LineKind::Added));
                    prop_assert!(of(LineKind::Added) + of(LineKind::Removed) > 0);
                }
            }
        }
    }
}
