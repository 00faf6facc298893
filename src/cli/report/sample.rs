//! Reports made by hand, for the tests of the output formats.

use super::{FileOutcome, FileReport, Frame, Report};
use crate::calibration::{Logit, Probability};
use crate::change::{FileChange, FileStatus, Hunk, Line, LineKind, LineRange};
use crate::scoring::{Abstention, Opinion, Score, Verdict};
use crate::syntax::{Code, Flaw};

pub(in crate::cli) fn p(value: f64) -> Probability {
    Probability::new(value).unwrap()
}

pub(in crate::cli) fn frame() -> Frame {
    Frame {
        model: "m@1".into(),
        calibration: "c".into(),
        prior: p(0.5),
        min_score: p(0.35),
        base: "HEAD (1234567)".into(),
        task: false,
    }
}

fn score(value: f64) -> Opinion {
    Opinion::Score(Score {
        probability: p(value),
        logit: Logit::new(0.0).unwrap(),
    })
}

pub(in crate::cli) fn hunk(start: u32, lines: &[(LineKind, &str)]) -> Hunk {
    let lines: Vec<Line> = lines
        .iter()
        .map(|(kind, text)| Line {
            kind: *kind,
            text: (*text).into(),
        })
        .collect();
    crate::change::sample::hunk(start, lines)
}

pub(in crate::cli) fn scored(hunks: Vec<(Hunk, f64)>, probability: f64) -> FileOutcome {
    scored_as(FileStatus::Modified, hunks, probability)
}

fn scored_as(status: FileStatus, hunks: Vec<(Hunk, f64)>, probability: f64) -> FileOutcome {
    let said = hunks.iter().map(|(_, p)| score(*p)).collect();
    outcome(status, hunks, score(probability), said)
}

/// What the model cannot judge.
pub(in crate::cli) fn abstained(why: Abstention) -> FileOutcome {
    let hunks = vec![(hunk(1, &[(LineKind::Added, "x")]), 0.5)];
    let said = Opinion::Abstention(why);
    outcome(FileStatus::Modified, hunks, said.clone(), vec![said])
}

fn outcome(
    status: FileStatus,
    hunks: Vec<(Hunk, f64)>,
    patch: Opinion,
    said: Vec<Opinion>,
) -> FileOutcome {
    let verdict = Verdict {
        patch,
        hunks: said,
        tokens: 10,
        suspects: vec![],
        truncated: false,
        model: "m@1".into(),
        calibration: "c".into(),
        cached: false,
    };
    let change = FileChange {
        old_path: Some("a.rs".into()),
        new_path: Some("a.rs".into()),
        status,
        hunks: hunks.into_iter().map(|(hunk, _)| hunk).collect(),
    };
    FileOutcome::of(&change, &verdict, Some(100), p(0.35))
}

fn flaw(code: Code, line: u32) -> Flaw {
    Flaw {
        code,
        severity: code.severity(),
        line,
        message: format!("100% {code}"),
    }
}

pub(in crate::cli) fn report_of(files: Vec<(&str, FileOutcome)>) -> Report {
    let files = files.into_iter().map(|(path, outcome)| FileReport {
        checks: match path {
            "whole.rs" => vec![flaw(Code::Syntax, 7), flaw(Code::DebugStatement, 9)],
            _ => vec![],
        },
        path: path.into(),
        outcome,
    });
    Report::new(frame(), files.collect())
}

/// A file of every kind, with paths that need escaping.
pub(in crate::cli) fn report() -> Report {
    use LineKind::{Added, Removed};
    let twice = || hunk(40, &[(Removed, "old"), (Added, "new"), (Added, "more")]);
    let later = Hunk {
        new: LineRange {
            start: 80,
            lines: 2,
        },
        ..twice()
    };
    let high = hunk(70, &[(Added, "fine")]);
    report_of(vec![
        (
            "dir with, comma/50%: ä.rs",
            scored(vec![(twice(), 0.1), (high.clone(), 0.9), (later, 0.3)], 0.6),
        ),
        ("whole.rs", scored(vec![(high.clone(), 0.9)], 0.2)),
        (
            "gone.rs",
            scored_as(
                FileStatus::Deleted,
                vec![(hunk(1, &[(Removed, "x")]), 0.05)],
                0.05,
            ),
        ),
        ("fine.rs", scored(vec![(high, 0.9)], 0.9)),
        (
            "Cargo.lock",
            FileOutcome::Skipped {
                reason: "lock file".into(),
            },
        ),
        ("notes.md", abstained(Abstention::Prose)),
        (
            "mode.sh",
            FileOutcome::Unchanged {
                reason: "only the mode changed".into(),
            },
        ),
        (
            "bad.rs",
            FileOutcome::Failed {
                reason: "the model crashed\nat 50%".into(),
            },
        ),
    ])
}
