//! Change metrics: numbers that describe the size and kind of a change and how it relates to the
//! task description.
//!
//! Invariant: the order and definitions are those of the trainer; a bundle names how many metrics
//! it was trained on. The same function describes a patch and one hunk (the file reduced to it).

use super::edits::{Edits, indentation};
use super::problem::Problem;
use super::render::is_space;
use super::token::{is_identifier, subwords, tokens};
use super::vocabulary::{CONTROL, GROUPS, TRY, group};
use crate::change::{FileChange, FileStatus, Hunk, LineKind, Patch};
use std::collections::HashSet;

/// How many metrics there are.
pub const METRICS: usize = 121;

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
/// Parts of the names of files that are left behind from trying things out.
const SCRATCH: [&str; 9] = [
    "repro", "debug", "demo", "example", "tmp", "temp", "verify", "check_", "fix_",
];
/// What unfinished code says about itself.
const PLACEHOLDER: [&str; 9] = [
    "for now",
    "simplified",
    "placeholder",
    "not implemented",
    "unimplemented",
    "workaround",
    "in a real",
    "dummy",
    "assume",
];
const BRACKETS: [(&str, &str); 3] = [("(", ")"), ("[", "]"), ("{", "}")];

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
    pub(super) fn logit(&self, metrics: &[f64]) -> f64 {
        let parameters = self.mean.iter().zip(&self.scale).zip(&self.weight);
        let sum: f64 = metrics
            .iter()
            .zip(parameters)
            .map(|(value, ((mean, scale), weight))| (value - mean) / scale * weight)
            .sum();
        sum + self.bias
    }
}

/// The metrics of a whole patch. Files without hunks do not count.
#[must_use]
pub(super) fn of_patch(patch: &Patch, problem: &Problem<'_>) -> Vec<f64> {
    let mut tally = Tally::default();
    for file in patch.files.iter().filter(|file| !file.hunks.is_empty()) {
        tally.file(file, problem);
        for hunk in &file.hunks {
            tally.hunk(hunk);
        }
    }
    tally.metrics(problem)
}

/// The metrics of one hunk as if it were the whole patch.
#[must_use]
pub(super) fn of_hunk(file: &FileChange, hunk: &Hunk, problem: &Problem<'_>) -> Vec<f64> {
    let mut tally = Tally::default();
    tally.file(file, problem);
    tally.hunk(hunk);
    tally.metrics(problem)
}

/// Of the metrics of a hunk: whether it puts as many lines in as it takes out, and as many tokens.
/// Equal counts have equal logarithms, to the last bit.
#[must_use]
pub(super) fn keeps_size(metrics: &[f64]) -> bool {
    let [
        _,
        _,
        added_lines,
        removed_lines,
        added_tokens,
        removed_tokens,
        ..,
    ] = metrics
    else {
        return false;
    };
    added_lines.to_bits() == removed_lines.to_bits()
        && added_tokens.to_bits() == removed_tokens.to_bits()
}

#[derive(Default)]
struct Tally<'a> {
    files: usize,
    added_files: usize,
    deleted_files: usize,
    test_files: usize,
    doc_files: usize,
    root_files: usize,
    scratch_files: usize,
    named_stems: usize,
    named_paths: usize,
    depth: usize,
    folders: HashSet<&'a str>,
    stems: HashSet<&'a str>,
    path_words: HashSet<&'a str>,
    /// What the file of the hunks to come is.
    kind: FileKind,
    hunks: usize,
    largest_hunk: usize,
    last_start: usize,
    added: Side<'a>,
    removed: Side<'a>,
    context: Side<'a>,
    /// Added lines without the white space around them.
    stripped: Vec<&'a str>,
    old_lines: HashSet<&'a str>,
    near_lines: HashSet<&'a str>,
    seen: HashSet<&'a str>,
    repeated: usize,
    test_lines: usize,
    doc_lines: usize,
    new_file_lines: usize,
    added_chars: usize,
    max_chars: usize,
    indentation: usize,
    long_lines: usize,
    odd_quotes: usize,
    blank: usize,
    comments: usize,
    removed_comments: usize,
    debug: usize,
    todo: usize,
    placeholders: usize,
    edits: Edits,
}

#[derive(Clone, Copy, Default)]
struct FileKind {
    test: bool,
    doc: bool,
    new: bool,
}

/// Lines of one kind.
#[derive(Default)]
struct Side<'a> {
    lines: usize,
    tokens: usize,
    control: usize,
    attempts: usize,
    numbers: usize,
    groups: [usize; GROUPS],
    /// Opening less closing ones.
    brackets: [i64; BRACKETS.len()],
    words: HashSet<&'a str>,
}

impl<'a> Side<'a> {
    fn line(&mut self, text: &'a str) {
        self.lines += 1;
        for token in tokens(text) {
            self.tokens += 1;
            self.control += usize::from(CONTROL.contains(&token));
            self.attempts += usize::from(TRY.contains(&token));
            self.numbers += usize::from(token.starts_with(|c: char| c.is_ascii_digit()));
            if let Some(count) = group(token).and_then(|group| self.groups.get_mut(group)) {
                *count += 1;
            }
            for (depth, (open, close)) in self.brackets.iter_mut().zip(BRACKETS) {
                *depth += i64::from(token == open) - i64::from(token == close);
            }
            self.words.insert(token);
        }
    }
}

impl<'a> Tally<'a> {
    fn file(&mut self, file: &'a FileChange, problem: &Problem<'_>) {
        let path = file.path();
        let low = path.to_lowercase();
        let (folder, _) = path.rsplit_once('/').unwrap_or_default();
        let name = low.rsplit_once('/').map_or(&*low, |(_, name)| name);
        let new = file.status == FileStatus::Added;
        self.kind = FileKind {
            test: TEST.iter().any(|part| low.contains(part)),
            doc: DOC.iter().any(|end| low.ends_with(end)),
            new,
        };
        self.files += 1;
        self.added_files += usize::from(new);
        self.deleted_files += usize::from(file.status == FileStatus::Deleted);
        self.test_files += usize::from(self.kind.test);
        self.doc_files += usize::from(self.kind.doc);
        self.root_files += usize::from(new && !path.contains('/'));
        let scratch = SCRATCH.iter().any(|part| name.contains(part));
        self.scratch_files += usize::from(new && scratch);
        self.depth = self.depth.max(path.matches('/').count());
        self.folders.insert(folder);
        self.path_words
            .extend(tokens(path).filter(|word| is_identifier(word)));
        let stem = stem(path);
        self.named_stems += usize::from(problem.words.contains(stem));
        self.named_paths += usize::from(problem.text.contains(path));
        if longer(stem, 2) {
            self.stems.insert(stem);
        }
    }

    fn hunk(&mut self, hunk: &'a Hunk) {
        self.hunks += 1;
        self.last_start = self.last_start.max(hunk.old.start as usize);
        let before = self.added.lines;
        for line in &hunk.lines {
            let text = line.text.trim_matches(is_space);
            match line.kind {
                LineKind::Context => {
                    self.context.line(&line.text);
                    self.near_lines.insert(text);
                }
                LineKind::Removed => {
                    self.removed.line(&line.text);
                    self.removed_comments += usize::from(is_comment(text));
                    self.old_lines.insert(text);
                }
                LineKind::Added => self.added_line(&line.text, text),
            }
        }
        let lines = self.added.lines - before;
        self.largest_hunk = self.largest_hunk.max(lines);
        self.test_lines += if self.kind.test { lines } else { 0 };
        self.doc_lines += if self.kind.doc { lines } else { 0 };
        self.new_file_lines += if self.kind.new { lines } else { 0 };
        self.edits.hunk(hunk);
    }

    fn added_line(&mut self, text: &'a str, stripped: &'a str) {
        self.added.line(text);
        let chars = text.chars().count();
        self.added_chars += chars;
        self.max_chars = self.max_chars.max(chars);
        self.indentation += indentation(text);
        self.long_lines += usize::from(chars > 120);
        self.odd_quotes += text.matches('"').count() % 2;
        self.blank += usize::from(stripped.is_empty());
        self.comments += usize::from(is_comment(stripped));
        let count = |text: &str, marks: &[&str]| -> usize {
            marks.iter().map(|mark| text.matches(mark).count()).sum()
        };
        self.debug += count(text, &DEBUG);
        self.todo += count(text, &TODO);
        self.placeholders += count(&text.to_lowercase(), &PLACEHOLDER);
        let new = self.seen.insert(stripped);
        self.repeated += usize::from(!new && longer(stripped, 8));
        self.stripped.push(stripped);
    }

    fn metrics(&self, problem: &Problem<'_>) -> Vec<f64> {
        let mut metrics = self.sizes(problem);
        metrics.extend(self.places_and_lines());
        metrics.extend(self.tokens());
        metrics.extend(self.edits.metrics());
        metrics.extend(self.names(problem));
        metrics
    }

    fn sizes(&self, problem: &Problem<'_>) -> Vec<f64> {
        let (added, removed, context) = (&self.added, &self.removed, &self.context);
        let common = added.words.intersection(&removed.words).count();
        let either = added.words.len() + removed.words.len() - common;
        let known = identifiers(&added.words)
            .filter(|word| self.is_old(word))
            .count();
        let named = self.stems.iter().any(|stem| problem.words.contains(stem));
        vec![
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
            f64::from(u8::from(!problem.text.is_empty())),
            log(problem.count),
            overlap(&names(&added.words), &problem.words),
            overlap(&self.old_names(), &problem.words),
            f64::from(u8::from(named)),
            log(added.attempts),
            log(added.control),
            delta(added.control, removed.control),
            delta(added.lines, removed.lines),
        ]
    }

    fn places_and_lines(&self) -> Vec<f64> {
        let lines = self.added.lines;
        let of = |set: &HashSet<&str>, length: usize| {
            let found = self
                .stripped
                .iter()
                .filter(|text| longer(text, length) && set.contains(**text));
            share(found.count(), lines)
        };
        let sides = self.added.brackets.iter().zip(&self.removed.brackets);
        let unbalanced: u64 = sides.map(|(added, removed)| added.abs_diff(*removed)).sum();
        vec![
            log(self.folders.len()),
            log(self.depth),
            share(self.test_lines, lines),
            share(self.doc_lines, lines),
            share(self.new_file_lines, lines),
            log(self.root_files),
            log(self.scratch_files),
            log(self.last_start),
            share(self.max_chars, 1) / 100.0,
            share(self.indentation, lines) / 10.0,
            log(self.long_lines),
            share(self.repeated, lines),
            of(&self.old_lines, 3),
            of(&self.near_lines, 8),
            log(usize::try_from(unbalanced).unwrap_or(usize::MAX)),
            log(self.odd_quotes),
            log(self.placeholders),
            log(self.removed_comments),
        ]
    }

    fn tokens(&self) -> Vec<f64> {
        let (added, removed) = (&self.added, &self.removed);
        let mut metrics: Vec<f64> = added.groups.iter().map(|&count| log(count)).collect();
        let sides = added.groups.iter().zip(&removed.groups);
        metrics.extend(sides.map(|(&added, &removed)| delta(added, removed)));
        metrics.push(log(added.numbers));
        metrics.push(delta(added.numbers, removed.numbers));
        metrics.push(delta(added.tokens, removed.tokens));
        metrics
    }

    fn names(&self, problem: &Problem<'_>) -> Vec<f64> {
        let (added, removed) = (&self.added.words, &self.removed.words);
        let in_added = names(added);
        let in_old = self.old_names();
        let new: HashSet<&str> = in_added
            .iter()
            .copied()
            .filter(|word| !self.is_old(word))
            .collect();
        let parts = |words: &mut dyn Iterator<Item = &str>| -> HashSet<String> {
            words.flat_map(subwords).collect()
        };
        let new_parts = parts(&mut new.iter().copied());
        let old_parts =
            parts(&mut identifiers(&self.removed.words).chain(identifiers(&self.context.words)));
        let path_parts = parts(&mut self.path_words.iter().copied());
        let both =
            |a: &HashSet<String>, b: &HashSet<String>| share(a.intersection(b).count(), a.len());
        let lost =
            |words: &HashSet<&str>| words.iter().filter(|word| !added.contains(**word)).count();
        let is_old = |word: &str| is_identifier(word) && self.is_old(word);
        let among = |words: &HashSet<&str>, inside: &dyn Fn(&str) -> bool| {
            words.iter().filter(|word| inside(word)).count()
        };
        let code = &problem.code;
        let anywhere = |word: &str| added.contains(word) || self.is_old(word);
        vec![
            log(new.len()),
            share(new.len(), in_added.len()),
            overlap(&new, &problem.words),
            both(&new_parts, &problem.subwords),
            both(&new_parts, &old_parts),
            share(lost(&in_old), in_old.len()),
            log(lost(&names(removed))),
            log(code.len()),
            share(among(code, &|word| added.contains(word)), code.len()),
            share(among(code, &is_old), code.len()),
            log(among(code, &|word| new.contains(word))),
            share(among(&problem.long, &anywhere), problem.long.len()),
            both(&path_parts, &problem.subwords),
            share(self.named_stems, self.files),
            share(self.named_paths, self.files),
            log(problem.lines),
            log(problem.fences),
            log(problem.faults),
        ]
    }

    /// Whether a removed or context line has the word.
    fn is_old(&self, word: &str) -> bool {
        self.removed.words.contains(word) || self.context.words.contains(word)
    }

    fn old_names(&self) -> HashSet<&'a str> {
        let mut old = names(&self.removed.words);
        old.extend(names(&self.context.words));
        old
    }
}

fn is_comment(stripped: &str) -> bool {
    COMMENT.iter().any(|mark| stripped.starts_with(mark))
}

/// Whether `text` has more than `length` characters.
fn longer(text: &str, length: usize) -> bool {
    text.chars().nth(length).is_some()
}

fn identifiers<'a>(words: &HashSet<&'a str>) -> impl Iterator<Item = &'a str> {
    words.iter().copied().filter(|word| is_identifier(word))
}

/// Identifiers of at least three letters.
fn names<'a>(words: &HashSet<&'a str>) -> HashSet<&'a str> {
    identifiers(words).filter(|word| word.len() > 2).collect()
}

/// Share of the words that are among the others.
fn overlap(words: &HashSet<&str>, others: &HashSet<&str>) -> f64 {
    share(words.intersection(others).count(), words.len())
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
pub(super) fn log(count: usize) -> f64 {
    (1.0 + count as f64).ln()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Signed logarithm of `plus - minus`.
fn delta(plus: usize, minus: usize) -> f64 {
    if plus >= minus {
        log(plus - minus)
    } else {
        -log(minus - plus)
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;

    /// A file from lines with their markers.
    fn file(path: &str, status: FileStatus, lines: &[&str]) -> FileChange {
        FileChange {
            old_path: (status != FileStatus::Added).then(|| path.into()),
            new_path: (status != FileStatus::Deleted).then(|| path.into()),
            status,
            hunks: vec![sample::hunk(1, sample::lines(lines))],
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
