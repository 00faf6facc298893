//! Change metrics: thirty numbers that describe the size and kind of a change, and the linear
//! model over them.
//!
//! Invariant: the order and definitions are those of the trainer; a bundle names how many metrics
//! it was trained on. The same function describes a patch and one hunk (the file reduced to it).

use super::render::is_space;
use super::token::{is_identifier, tokens};
use crate::change::{FileChange, FileStatus, Hunk, LineKind, Patch};
use std::collections::HashSet;

/// How many metrics there are.
pub const METRICS: usize = 30;

const TEST: [&str; 2] = ["test", "spec"];
const DOC: [&str; 9] = [
    ".md", ".rst", ".txt", ".json", ".yml", ".yaml", ".toml", ".cfg", ".lock",
];
const COMMENT: [&str; 4] = ["#", "//", "/*", "*"];
const DEBUG: [&str; 7] = [
    "print(",
    "println!",
    "console.log",
    "System.out",
    "dbg!",
    "fmt.Print",
    "printf(",
];
const TODO: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];
const TRY: [&str; 4] = ["try", "except", "catch", "finally"];
const CONTROL: [&str; 7] = ["if", "for", "while", "return", "else", "match", "switch"];

/// A linear model over standardised metrics.
#[derive(Debug, Clone)]
pub(super) struct MetricsModel {
    pub(super) mean: Vec<f64>,
    pub(super) scale: Vec<f64>,
    pub(super) weight: Vec<f64>,
    pub(super) bias: f64,
}

impl MetricsModel {
    /// The branch's logit.
    #[must_use]
    pub(super) fn logit(&self, metrics: &[f64; METRICS]) -> f64 {
        let parameters = self.mean.iter().zip(&self.scale).zip(&self.weight);
        let sum: f64 = metrics
            .iter()
            .zip(parameters)
            .map(|(value, ((mean, scale), weight))| (value - mean) / scale * weight)
            .sum();
        sum + self.bias
    }
}

/// The words of a task description, split once for all hunks of a patch.
#[derive(Debug, Default)]
pub(super) struct Problem<'a> {
    present: bool,
    count: usize,
    words: HashSet<&'a str>,
}

impl<'a> Problem<'a> {
    /// Splits the description; a blank one counts as none.
    #[must_use]
    pub(super) fn new(description: Option<&'a str>) -> Self {
        let text = description.unwrap_or_default().trim_matches(is_space);
        Self {
            present: !text.is_empty(),
            count: tokens(text).count(),
            words: tokens(text).collect(),
        }
    }
}

/// The metrics of a whole patch. Files without hunks do not count.
#[must_use]
pub(super) fn of_patch(patch: &Patch, problem: &Problem<'_>) -> [f64; METRICS] {
    let mut tally = Tally::default();
    for file in patch.files.iter().filter(|file| !file.hunks.is_empty()) {
        tally.file(file);
        for hunk in &file.hunks {
            tally.hunk(hunk);
        }
    }
    tally.metrics(problem)
}

/// The metrics of one hunk as if it were the whole patch.
#[must_use]
pub(super) fn of_hunk(file: &FileChange, hunk: &Hunk, problem: &Problem<'_>) -> [f64; METRICS] {
    let mut tally = Tally::default();
    tally.file(file);
    tally.hunk(hunk);
    tally.metrics(problem)
}

#[derive(Default)]
struct Tally<'a> {
    files: usize,
    added_files: usize,
    deleted_files: usize,
    test_files: usize,
    doc_files: usize,
    stems: HashSet<&'a str>,
    hunks: usize,
    largest_hunk: usize,
    added: Side<'a>,
    removed: Side<'a>,
    context: Side<'a>,
    added_chars: usize,
    blank: usize,
    comments: usize,
    debug: usize,
    todo: usize,
}

#[derive(Default)]
struct Side<'a> {
    lines: usize,
    tokens: usize,
    control: usize,
    attempts: usize,
    words: HashSet<&'a str>,
}

impl<'a> Side<'a> {
    fn line(&mut self, text: &'a str) {
        self.lines += 1;
        for token in tokens(text) {
            self.tokens += 1;
            self.control += usize::from(CONTROL.contains(&token));
            self.attempts += usize::from(TRY.contains(&token));
            self.words.insert(token);
        }
    }
}

impl<'a> Tally<'a> {
    fn file(&mut self, file: &'a FileChange) {
        self.files += 1;
        self.added_files += usize::from(file.status == FileStatus::Added);
        self.deleted_files += usize::from(file.status == FileStatus::Deleted);
        let path = file.path().to_lowercase();
        self.test_files += usize::from(TEST.iter().any(|part| path.contains(part)));
        self.doc_files += usize::from(DOC.iter().any(|end| path.ends_with(end)));
        let stem = stem(file.path());
        if stem.chars().nth(2).is_some() {
            self.stems.insert(stem);
        }
    }

    fn hunk(&mut self, hunk: &'a Hunk) {
        self.hunks += 1;
        let before = self.added.lines;
        for line in &hunk.lines {
            match line.kind {
                LineKind::Context => self.context.line(&line.text),
                LineKind::Removed => self.removed.line(&line.text),
                LineKind::Added => self.added_line(&line.text),
            }
        }
        self.largest_hunk = self.largest_hunk.max(self.added.lines - before);
    }

    fn added_line(&mut self, text: &'a str) {
        self.added.line(text);
        self.added_chars += text.chars().count();
        let start = text.trim_start_matches(is_space);
        self.blank += usize::from(start.is_empty());
        self.comments += usize::from(COMMENT.iter().any(|mark| start.starts_with(mark)));
        let count =
            |marks: &[&str]| -> usize { marks.iter().map(|mark| text.matches(mark).count()).sum() };
        self.debug += count(&DEBUG);
        self.todo += count(&TODO);
    }

    fn metrics(&self, problem: &Problem<'_>) -> [f64; METRICS] {
        let (added, removed, context) = (&self.added, &self.removed, &self.context);
        let common = added.words.intersection(&removed.words).count();
        let either = added.words.len() + removed.words.len() - common;
        let in_old = |word: &&str| removed.words.contains(*word) || context.words.contains(*word);
        let known = identifiers(&added.words).filter(in_old).count();
        let old: HashSet<&str> = identifiers(&removed.words)
            .chain(identifiers(&context.words))
            .collect();
        let named = self.stems.iter().any(|stem| problem.words.contains(stem));
        [
            log(self.files),
            log(self.hunks),
            log(added.lines),
            log(removed.lines),
            log(added.tokens),
            log(removed.tokens),
            log(context.tokens),
            share(added.lines, added.lines + removed.lines),
            share(self.blank, added.lines),
            share(self.added_chars, added.lines) / 100.0,
            log(self.largest_hunk),
            log(self.added_files),
            log(self.deleted_files),
            log(self.test_files),
            share(self.test_files, self.files),
            log(self.doc_files),
            share(self.comments, added.lines),
            share(common, either),
            share(known, identifiers(&added.words).count()),
            log(self.debug),
            log(self.todo),
            f64::from(u8::from(problem.present)),
            log(problem.count),
            in_problem(identifiers(&added.words), problem),
            in_problem(old.iter().copied(), problem),
            f64::from(u8::from(named)),
            log(added.attempts),
            log(added.control),
            signed_log(added.control, removed.control),
            signed_log(added.lines, removed.lines),
        ]
    }
}

fn identifiers<'a>(words: &HashSet<&'a str>) -> impl Iterator<Item = &'a str> {
    words.iter().copied().filter(|word| is_identifier(word))
}

/// Share of the longer identifiers that the task description mentions.
fn in_problem<'a>(words: impl Iterator<Item = &'a str>, problem: &Problem<'_>) -> f64 {
    let (mut found, mut all) = (0, 0);
    for word in words.filter(|word| word.len() > 2) {
        all += 1;
        found += usize::from(problem.words.contains(word));
    }
    share(found, all)
}

/// The file name without its last extension; a leading dot starts no extension.
fn stem(path: &str) -> &str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    match name.rfind('.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn log(count: usize) -> f64 {
    (1.0 + count as f64).ln()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Signed logarithm of `plus - minus`.
fn signed_log(plus: usize, minus: usize) -> f64 {
    if plus >= minus {
        log(plus - minus)
    } else {
        -log(minus - plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Line, LineRange};

    /// A file from lines with their markers.
    fn file(path: &str, status: FileStatus, lines: &[&str]) -> FileChange {
        let range = LineRange { start: 1, lines: 1 };
        let lines = lines
            .iter()
            .map(|line| Line {
                kind: match &line[..1] {
                    "+" => LineKind::Added,
                    "-" => LineKind::Removed,
                    _ => LineKind::Context,
                },
                text: line[1..].into(),
            })
            .collect();
        FileChange {
            old_path: (status != FileStatus::Added).then(|| path.into()),
            new_path: (status != FileStatus::Deleted).then(|| path.into()),
            status,
            hunks: vec![Hunk {
                old: range,
                new: range,
                lines,
            }],
        }
    }

    #[test]
    fn each_metric_measures_what_it_says() {
        let check = |files: Vec<FileChange>, task: Option<&str>, expect: &[(usize, f64)]| {
            let got = of_patch(&Patch { files }, &Problem::new(task));
            for &(index, value) in expect {
                assert!(
                    (got[index] - value).abs() < 1e-12,
                    "metric {index}: {} instead of {value}",
                    got[index]
                );
            }
        };
        let ln = f64::ln;
        let modified = |lines: &[&str]| vec![file("src/cache.rs", FileStatus::Modified, lines)];
        check(vec![], None, &[(0, 0.0), (7, 0.0), (17, 0.0), (21, 0.0)]);
        check(
            modified(&[" let a = b;", "-x + 1", "+x + 2", "+"]),
            None,
            &[
                (0, ln(2.0)),
                (1, ln(2.0)),
                (2, ln(3.0)),
                (3, ln(2.0)),
                (4, ln(4.0)),
                (5, ln(4.0)),
                (6, ln(6.0)),
                (7, 2.0 / 3.0),
                (8, 0.5),
                (9, 0.025),
                (10, ln(3.0)),
                (17, 0.5),
                (18, 1.0),
                (29, ln(2.0)),
            ],
        );
        let mut files = modified(&["+a"]);
        files.push(file("tests/Spec.JSON", FileStatus::Added, &["+b"]));
        files.push(file("README.md", FileStatus::Deleted, &["-c"]));
        files.push(FileChange {
            hunks: vec![],
            ..file("pure/rename_test.txt", FileStatus::Renamed, &[])
        });
        check(
            files,
            None,
            &[
                (0, ln(4.0)),
                (11, ln(2.0)),
                (12, ln(2.0)),
                (13, ln(2.0)),
                (14, 1.0 / 3.0),
                (15, ln(3.0)),
            ],
        );
        check(
            modified(&["+ # TODO print(1) println!()", "+x * y", "+* z XXX", "+//"]),
            None,
            &[(16, 0.75), (19, ln(3.0)), (20, ln(3.0))],
        );
        check(
            modified(&[" old_name", "+the_cache = new_name", "+at"]),
            Some("  fix the_cache in cache and old_name "),
            &[(21, 1.0), (22, ln(7.0)), (23, 0.5), (24, 1.0), (25, 1.0)],
        );
        check(modified(&["+a"]), Some(" \n"), &[(21, 0.0), (22, 0.0)]);
        check(
            modified(&["+try: return if", "-else while for match switch"]),
            None,
            &[(26, ln(2.0)), (27, ln(3.0)), (28, -ln(4.0)), (29, 0.0)],
        );
    }

    #[test]
    fn stems_drop_the_last_extension() {
        let check = |path: &str, expect: &str| assert_eq!(stem(path), expect);
        check("a/b/c.test.ts", "c.test");
        check(".gitignore", ".gitignore");
        check("Makefile", "Makefile");
        check("a.b/c", "c");
    }
}
