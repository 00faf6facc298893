//! Where a run of changed lines stands when it may stand in several places.
//!
//! When the line before a run equals the run's last line, the run can move up by one and the diff
//! is still correct; likewise down. Reviewers are used to git's choice, and the models were trained
//! on it, so this module follows git's rules: align with the other side's changes if possible,
//! else prefer the place that splits the text at the better indentation.
//!
//! Invariant: the number of changed lines and the text that both sides share stay the same.
//! This module must not know where the flags come from.

/// Indentation beyond this many columns counts as this many.
const MAX_INDENT: i64 = 200;
/// Blank lines looked at on each side of a split.
const MAX_BLANKS: i64 = 20;
/// Positions tried for one run.
const MAX_SLIDING: usize = 100;

/// One side of a diff: which lines it has and which of them changed.
pub(super) struct Side<'a> {
    /// Equal lines have equal numbers, on both sides.
    pub(super) ids: &'a [u32],
    /// The text of each line, for its indentation.
    pub(super) lines: &'a [&'a str],
    /// Whether the line is removed (old side) or added (new side).
    pub(super) changed: &'a mut [bool],
}

/// A maximal run of changed lines; empty between two neighbouring unchanged lines.
#[derive(Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
}

impl Side<'_> {
    fn is_changed(&self, line: usize) -> bool {
        self.changed.get(line).copied().unwrap_or(false)
    }

    fn first(&self) -> Group {
        Group {
            start: 0,
            end: self.end_of_run(0),
        }
    }

    fn end_of_run(&self, mut line: usize) -> usize {
        while self.is_changed(line) {
            line += 1;
        }
        line
    }

    fn start_of_run(&self, mut line: usize) -> usize {
        while line > 0 && self.is_changed(line - 1) {
            line -= 1;
        }
        line
    }

    fn next(&self, group: &mut Group) -> bool {
        if group.end == self.ids.len() {
            return false;
        }
        group.start = group.end + 1;
        group.end = self.end_of_run(group.start);
        true
    }

    fn previous(&self, group: &mut Group) -> bool {
        if group.start == 0 {
            return false;
        }
        group.end = group.start - 1;
        group.start = self.start_of_run(group.end);
        true
    }

    fn slide_up(&mut self, group: &mut Group) -> bool {
        if group.start == 0 || self.ids[group.start - 1] != self.ids[group.end - 1] {
            return false;
        }
        group.start -= 1;
        self.changed[group.start] = true;
        group.end -= 1;
        self.changed[group.end] = false;
        group.start = self.start_of_run(group.start);
        true
    }

    fn slide_down(&mut self, group: &mut Group) -> bool {
        if group.end >= self.ids.len() || self.ids[group.start] != self.ids[group.end] {
            return false;
        }
        self.changed[group.start] = false;
        group.start += 1;
        self.changed[group.end] = true;
        group.end = self.end_of_run(group.end + 1);
        true
    }
}

/// Moves every run of `side` to the place where git would show it. Call it for the old side and
/// then, with the arguments swapped, for the new side.
pub(super) fn compact(side: &mut Side<'_>, other: &Side<'_>) {
    let mut group = side.first();
    let mut facing = other.first();
    loop {
        if group.end > group.start {
            settle(side, other, &mut group, &mut facing);
        }
        // Both sides have one group around each shared line, so they end together.
        if !side.next(&mut group) || !other.next(&mut facing) {
            return;
        }
    }
}

fn settle(side: &mut Side<'_>, other: &Side<'_>, group: &mut Group, facing: &mut Group) {
    let mut size;
    let mut top;
    let mut meets_other;
    loop {
        size = group.end - group.start;
        meets_other = false;
        while side.slide_up(group) {
            other.previous(facing);
        }
        top = group.end;
        meets_other |= facing.end > facing.start;
        while side.slide_down(group) {
            other.next(facing);
            meets_other |= facing.end > facing.start;
        }
        // Having run into a neighbour makes one longer run, with new places to stand.
        if size == group.end - group.start {
            break;
        }
    }
    if group.end == top {
        return;
    }
    if meets_other {
        while facing.end == facing.start && side.slide_up(group) {
            other.previous(facing);
        }
        return;
    }
    let lowest = top
        .max(group.end.saturating_sub(size + 1))
        .max(group.end.saturating_sub(MAX_SLIDING));
    let mut best: Option<(Score, usize)> = None;
    for end in lowest..=group.end {
        let mut score = Score::default();
        score.add(&Split::at(side.lines, end));
        score.add(&Split::at(side.lines, end - size));
        if best
            .as_ref()
            .is_none_or(|(best, _)| score.is_at_least_as_good(best))
        {
            best = Some((score, end));
        }
    }
    if let Some((_, end)) = best {
        while group.end > end && side.slide_up(group) {
            other.previous(facing);
        }
    }
}

/// The surroundings of the gap before a line. Indents are `None` for blank lines and beyond the
/// edges of the text.
struct Split {
    end_of_file: bool,
    indent: Option<i64>,
    blanks_before: i64,
    indent_before: Option<i64>,
    blanks_after: i64,
    indent_after: Option<i64>,
}

impl Split {
    fn at(lines: &[&str], line: usize) -> Self {
        let (blanks_before, indent_before) = nearest_indent(lines[..line].iter().rev());
        let (blanks_after, indent_after) =
            nearest_indent(lines.get(line + 1..).unwrap_or_default().iter());
        Split {
            end_of_file: line >= lines.len(),
            indent: lines.get(line).and_then(|line| indent(line)),
            blanks_before,
            indent_before,
            blanks_after,
            indent_after,
        }
    }
}

/// The number of blank lines up to the first line with text, and that line's indent.
fn nearest_indent<'a>(lines: impl Iterator<Item = &'a &'a str>) -> (i64, Option<i64>) {
    let mut blanks = 0;
    for line in lines {
        if let Some(indent) = indent(line) {
            return (blanks, Some(indent));
        }
        blanks += 1;
        if blanks == MAX_BLANKS {
            return (blanks, Some(0));
        }
    }
    (blanks, None)
}

fn indent(line: &str) -> Option<i64> {
    let mut columns = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns += 8 - columns % 8,
            b'\n' | b'\r' | 0x0b | 0x0c => {}
            _ => return Some(columns),
        }
        if columns >= MAX_INDENT {
            return Some(MAX_INDENT);
        }
    }
    None
}

/// How bad a place is; the weights are git's, found by its authors on a corpus of real diffs.
#[derive(Default)]
struct Score {
    indent: i64,
    penalty: i64,
}

impl Score {
    fn add(&mut self, split: &Split) {
        if split.indent_before.is_none() && split.blanks_before == 0 {
            self.penalty += 1;
        }
        if split.end_of_file {
            self.penalty += 21;
        }
        let blanks_after = if split.indent.is_none() {
            1 + split.blanks_after
        } else {
            0
        };
        let blanks = split.blanks_before + blanks_after;
        self.penalty += -30 * blanks + 6 * blanks_after;
        let any_blanks = blanks != 0;
        let indent = split.indent.or(split.indent_after);
        self.indent += indent.unwrap_or(-1);
        let (Some(indent), Some(before)) = (indent, split.indent_before) else {
            return;
        };
        self.penalty += match indent.cmp(&before) {
            std::cmp::Ordering::Greater if any_blanks => 10,
            std::cmp::Ordering::Greater => -4,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Less => {
                let reopens = split.indent_after.is_some_and(|after| after > indent);
                match (reopens, any_blanks) {
                    (true, true) | (false, true) => 17,
                    (true, false) => 24,
                    (false, false) => 23,
                }
            }
        };
    }

    fn is_at_least_as_good(&self, other: &Score) -> bool {
        60 * (self.indent.cmp(&other.indent) as i64) + self.penalty - other.penalty <= 0
    }
}
