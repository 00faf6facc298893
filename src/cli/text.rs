//! A report as text for a terminal: low-scoring hunks with their lines, one line for everything
//! else, and a summary that is never missing.

use super::report::{Counts, FileOutcome, HunkReport, Report, ScoredFile};
use crate::scoring::hunks_to_check;
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const LOW: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();

/// Changed lines of a hunk that are shown before the rest is counted.
const SHOWN_LINES: usize = 20;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for file in &report.files {
        let path = &file.path;
        match &file.outcome {
            FileOutcome::Scored(scored) => scored_file(path, scored, out)?,
            FileOutcome::Skipped { reason } => {
                writeln!(out, "{DIM}{path}  skipped: {reason}{DIM:#}")?;
            }
            FileOutcome::Unchanged { reason } => {
                writeln!(out, "{DIM}{path}  nothing to score: {reason}{DIM:#}")?;
            }
            FileOutcome::Failed { reason } => {
                writeln!(out, "{BAD}{path}  cannot score: {reason}{BAD:#}")?;
            }
        }
    }
    if !report.files.is_empty() {
        writeln!(out)?;
    }
    summary(report, out)
}

fn scored_file(path: &str, file: &ScoredFile, out: &mut dyn Write) -> io::Result<()> {
    let low = file.low_hunks();
    write!(
        out,
        "{BOLD}{path}{BOLD:#}  {} likely correct · {}",
        file.probability,
        hunks_to_check(low, file.hunks.len())
    )?;
    let ignored = file.ignored_hunks();
    if ignored > 0 {
        write!(out, " {DIM}· {ignored} ignored{DIM:#}")?;
    }
    if file.truncated {
        write!(out, " {DIM}· long: read in part{DIM:#}")?;
    }
    writeln!(out)?;
    for hunk in file.hunks.iter().filter(|hunk| hunk.low) {
        low_hunk(path, hunk, out)?;
    }
    Ok(())
}

fn low_hunk(path: &str, hunk: &HunkReport, out: &mut dyn Write) -> io::Result<()> {
    let place = if hunk.first_line == hunk.last_line {
        format!("{path}:{}", hunk.first_line)
    } else {
        format!("{path}:{}-{}", hunk.first_line, hunk.last_line)
    };
    writeln!(
        out,
        "  {LOW}{place}  {} likely correct{LOW:#}",
        hunk.probability
    )?;
    for line in hunk.changed.iter().take(SHOWN_LINES) {
        let style = if line.starts_with('+') {
            ADDED
        } else {
            REMOVED
        };
        writeln!(out, "    {style}{}{style:#}", printable(line))?;
    }
    if let Some(more) = hunk
        .changed
        .len()
        .checked_sub(SHOWN_LINES)
        .filter(|&n| n > 0)
    {
        writeln!(out, "    {DIM}… {more} more changed lines{DIM:#}")?;
    }
    Ok(())
}

/// A file's text must not be able to move the cursor or recolour the terminal.
pub(super) fn printable(line: &str) -> String {
    line.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let counts = report.counts();
    let base = &report.base;
    if report.files.is_empty() {
        return writeln!(out, "No changes against {base}: nothing to score.");
    }
    let mut parts = vec![verdict(report, &counts)];
    for (n, what) in [
        (counts.ignored, "ignored"),
        (counts.failed, "could not be scored"),
        (counts.skipped, "skipped"),
        (counts.unchanged, "without changed lines"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    writeln!(out, "{}", parts.join(" · "))?;
    let task = if report.task {
        " · task description used"
    } else {
        ""
    };
    writeln!(
        out,
        "{DIM}against {base} · {} · prior {}{task}{DIM:#}",
        report.model, report.prior
    )
}

fn verdict(report: &Report, counts: &Counts) -> String {
    if counts.scored == 0 {
        return "Nothing was scored".into();
    }
    let scored = format!(
        "{}, {} scored",
        plural(counts.scored, "file"),
        plural(counts.hunks, "hunk")
    );
    let limit = report.min_score;
    match (counts.low_hunks, counts.low_files) {
        (0, 0) => format!("{scored}: nothing below {limit}"),
        (0, files) => format!("{scored}: {} below {limit}", plural(files, "file")),
        (hunks, _) => format!(
            "{scored}: {} to check (below {limit})",
            plural(hunks, "hunk")
        ),
    }
}

fn plural(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{FileReport, Frame};
    use super::*;
    use crate::calibration::{Logit, Probability};
    use crate::change::{FileChange, FileStatus, Hunk, Line, LineKind, LineRange};
    use crate::scoring::{Score, Verdict};
    use expect_test::{Expect, expect};

    fn p(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    fn score(value: f64) -> Score {
        Score {
            probability: p(value),
            logit: Logit::new(0.0).unwrap(),
        }
    }

    fn hunk(start: u32, lines: &[(LineKind, &str)]) -> Hunk {
        let lines: Vec<Line> = lines
            .iter()
            .map(|(kind, text)| Line {
                kind: *kind,
                text: (*text).into(),
            })
            .collect();
        let range = |kind| LineRange {
            start,
            lines: lines.iter().filter(|line| line.kind != kind).count() as u32,
        };
        Hunk {
            old: range(LineKind::Added),
            new: range(LineKind::Removed),
            lines,
        }
    }

    fn scored(hunks: Vec<(Hunk, f64)>, probability: f64) -> FileOutcome {
        let verdict = Verdict {
            patch: score(probability),
            hunks: hunks.iter().map(|(_, p)| score(*p)).collect(),
            tokens: 10,
            truncated: false,
            model: "m@1".into(),
            calibration: "c".into(),
            cached: false,
        };
        let change = FileChange {
            old_path: Some("a.rs".into()),
            new_path: Some("a.rs".into()),
            status: FileStatus::Modified,
            hunks: hunks.into_iter().map(|(hunk, _)| hunk).collect(),
        };
        FileOutcome::Scored(ScoredFile::new(&change, &verdict, Some(100), p(0.35)))
    }

    fn check(files: Vec<(&str, FileOutcome)>, expect: Expect) {
        let frame = Frame {
            model: "m@1".into(),
            calibration: "c".into(),
            prior: p(0.5),
            min_score: p(0.35),
            base: "HEAD (1234567)".into(),
            task: false,
        };
        let files = files
            .into_iter()
            .map(|(path, outcome)| FileReport {
                path: path.into(),
                outcome,
            })
            .collect();
        let mut out = anstream::StripStream::new(Vec::new());
        write(&Report::new(frame, files), &mut out).unwrap();
        expect.assert_eq(&String::from_utf8(out.into_inner()).unwrap());
    }

    #[test]
    fn a_clean_work_tree_says_so() {
        check(
            vec![],
            expect![[r#"
            No changes against HEAD (1234567): nothing to score.
        "#]],
        );
    }

    #[test]
    fn low_hunks_show_their_place_and_lines_without_context() {
        use LineKind::{Added, Context, Removed};
        let low = hunk(
            40,
            &[
                (Context, "ctx"),
                (Removed, "old"),
                (Added, "new\u{1b}[31m"),
                (Added, "more"),
                (Context, "x"),
            ],
        );
        let high = hunk(70, &[(Added, "fine")]);
        let reason = "lock file".to_string();
        check(
            vec![
                ("a.rs", scored(vec![(low, 0.234), (high, 0.9)], 0.62)),
                ("Cargo.lock", FileOutcome::Skipped { reason }),
            ],
            expect![[r#"
                a.rs  62% likely correct · 1 of 2 hunks to check
                  a.rs:41-42  23% likely correct
                    -old
                    +new�[31m
                    +more
                Cargo.lock  skipped: lock file

                1 file, 2 hunks scored: 1 hunk to check (below 35%) · 1 skipped
                against HEAD (1234567) · m@1 · prior 50%
            "#]],
        );
    }

    #[test]
    fn ignored_hunks_are_counted_and_not_shown() {
        use LineKind::Added;
        let ignoring = |ignored: &[bool]| {
            let hunks = vec![
                (hunk(1, &[(Added, "bad")]), 0.1),
                (hunk(9, &[(Added, "x")]), 0.2),
            ];
            let FileOutcome::Scored(mut file) = scored(hunks, 0.1) else {
                unreachable!("it is scored");
            };
            file.ignore(ignored);
            FileOutcome::Scored(file)
        };
        check(
            vec![
                ("a.rs", ignoring(&[true, false])),
                ("b.rs", ignoring(&[true, true])),
            ],
            expect![[r#"
                a.rs  10% likely correct · 1 of 2 hunks to check · 1 ignored
                  a.rs:9  20% likely correct
                    +x
                b.rs  10% likely correct · nothing to check · 2 ignored

                2 files, 4 hunks scored: 1 hunk to check (below 35%) · 3 ignored
                against HEAD (1234567) · m@1 · prior 50%
            "#]],
        );
    }

    #[test]
    fn a_pure_deletion_points_at_the_line_after_it() {
        use LineKind::{Context, Removed};
        let deletion = hunk(
            5,
            &[
                (Context, "a"),
                (Removed, "b"),
                (Removed, "c"),
                (Context, "d"),
            ],
        );
        check(
            vec![("a.rs", scored(vec![(deletion, 0.1)], 0.2))],
            expect![[r#"
                a.rs  20% likely correct · 1 hunk to check
                  a.rs:6  10% likely correct
                    -b
                    -c

                1 file, 1 hunk scored: 1 hunk to check (below 35%)
                against HEAD (1234567) · m@1 · prior 50%
            "#]],
        );
    }

    #[test]
    fn what_could_not_be_scored_is_counted_too() {
        let reason = "the model crashed".to_string();
        check(
            vec![("a.rs", FileOutcome::Failed { reason })],
            expect![[r#"
                a.rs  cannot score: the model crashed

                Nothing was scored · 1 could not be scored
                against HEAD (1234567) · m@1 · prior 50%
            "#]],
        );
    }
}
