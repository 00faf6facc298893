//! A report as text for a terminal: low-scoring hunks with their lines, one line for everything
//! else, and a summary that is never missing.

use super::report::{Counts, FileOutcome, FileReport, HunkReport, Report, ScoredFile};
use crate::calibration::lack;
use crate::scoring::hunks_to_check;
use crate::syntax::Severity;
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

/// Writes everything, or if `quiet` only what is low or could not be scored, and the summary.
pub(super) fn write(report: &Report, quiet: bool, out: &mut dyn Write) -> io::Result<()> {
    let shown = |file: &&FileReport| match &file.outcome {
        FileOutcome::Scored(scored) => {
            !quiet || scored.low_hunks() > 0 || scored.is_low(report.frame.min_score)
        }
        FileOutcome::Abstained(_) | FileOutcome::Skipped { .. } | FileOutcome::Unchanged { .. } => {
            !quiet
        }
        FileOutcome::Failed { .. } => true,
    };
    let shown = |file: &&FileReport| shown(file) || !file.checks.is_empty();
    let mut any = false;
    for file in report.files.iter().filter(shown) {
        any = true;
        let path = &printable(&file.path);
        match &file.outcome {
            FileOutcome::Scored(scored) => scored_file(path, scored, out)?,
            FileOutcome::Abstained(file) => {
                writeln!(out, "{DIM}{path}  cannot judge: {}{DIM:#}", file.why)?;
            }
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
        for flaw in &file.checks {
            let style = match flaw.severity {
                Severity::Error => BAD,
                Severity::Warning => LOW,
                Severity::Hint => DIM,
            };
            let (line, code) = (flaw.line, flaw.code);
            let message = printable(&flaw.message);
            writeln!(out, "  {style}{path}:{line}  {code}: {message}{style:#}")?;
        }
    }
    if any {
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

pub(super) fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let counts = report.counts();
    let base = &report.frame.base;
    if report.files.is_empty() {
        return writeln!(out, "No changes against {base}: nothing to score.");
    }
    let mut parts = vec![verdict(report, &counts)];
    for (n, what) in [
        (counts.checks, "found by static checks"),
        (counts.ignored, "ignored"),
        (counts.failed, "could not be scored"),
        (counts.abstained, "that the model cannot judge"),
        (counts.skipped, "skipped"),
        (counts.unchanged, "without changed lines"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    writeln!(out, "{}", parts.join(" · "))?;
    let uncalibrated =
        lack(&report.frame.calibration).map_or_else(String::new, |lack| format!(", {lack}"));
    let task = if report.frame.task {
        " · task description used"
    } else {
        ""
    };
    writeln!(
        out,
        "{DIM}against {base} · {}{uncalibrated} · prior {}{task}{DIM:#}",
        report.frame.model, report.frame.prior
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
    let limit = report.frame.min_score;
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
    use super::super::report::sample::{self, hunk, report_of, scored};
    use super::*;
    use crate::change::LineKind;
    use expect_test::{Expect, expect};

    fn check(files: Vec<(&str, FileOutcome)>, expect: Expect) {
        check_report(&report_of(files), false, expect);
    }

    fn check_report(report: &Report, quiet: bool, expect: Expect) {
        let mut out = anstream::StripStream::new(Vec::new());
        write(report, quiet, &mut out).unwrap();
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

    #[test]
    fn quiet_leaves_out_what_needs_no_look() {
        check_report(
            &sample::report(),
            true,
            expect![[r#"
                dir with, comma/50%: ä.rs  60% likely correct · 2 of 3 hunks to check
                  dir with, comma/50%: ä.rs:40-41  10% likely correct
                    -old
                    +new
                    +more
                  dir with, comma/50%: ä.rs:80-81  30% likely correct
                    -old
                    +new
                    +more
                whole.rs  20% likely correct · nothing to check
                  whole.rs:7  syntax: 100% syntax
                  whole.rs:9  debug-statement: 100% debug-statement
                gone.rs  5% likely correct · 1 hunk to check
                  gone.rs:2  5% likely correct
                    -x
                bad.rs  cannot score: the model crashed
                at 50%

                4 files, 6 hunks scored: 3 hunks to check (below 35%) · 2 found by static checks · 1 could not be scored · 1 that the model cannot judge · 1 skipped · 1 without changed lines
                against HEAD (1234567) · m@1 · prior 50%
            "#]],
        );
        let high = scored(vec![(hunk(1, &[(LineKind::Added, "x")]), 0.9)], 0.9);
        check_report(
            &report_of(vec![("a.rs", high)]),
            true,
            expect![[r#"
            1 file, 1 hunk scored: nothing below 35%
            against HEAD (1234567) · m@1 · prior 50%
        "#]],
        );
    }
}
