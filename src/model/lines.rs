//! The line branch: which changed line of a hunk looks wrong, from hashed features of the line and
//! of what is around it.
//!
//! Invariant: the features are those of the trainer, bucket for bucket. A line's score is linear in
//! its features, and a hunk's is the logarithm of the sum of the exponentials of its lines, so what
//! each line adds can be told exactly. Higher means more likely wrong.

use super::edits::indentation;
use super::hash::Fnv;
use super::render::is_space;
use super::reward::SuspectLine;
use super::surroundings::{Term, terms, terms_of_line};
use super::token::{is_identifier, tokens};
use super::vocabulary::is_keyword;
use crate::calibration::Probability;
use crate::change::{Hunk, Line, LineKind, Patch};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How many numbers [`summaries`] gives for a hunk.
pub(super) const LINE_NUMBERS: usize = 8;

/// How many lines of a hunk are told as suspect.
const MAX_SUSPECTS: usize = 3;

/// Stands in for the logarithm of nothing.
const NONE: f64 = -20.0;

/// A linear model over the features of lines.
#[derive(Debug, Clone)]
pub(super) struct LineModel {
    pub(super) weight: Vec<f32>,
}

/// How many rows of a hunk, its lines and the hunk as such, have a feature.
pub(super) type Found = BTreeMap<u32, u32>;

/// What the lines of a hunk got.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LineScores {
    /// Of the hunk as such, whatever its lines say.
    pub(super) hunk: f64,
    /// Index in [`Hunk::lines`] and score of each changed line.
    pub(super) lines: Vec<(usize, f64)>,
    pub(super) found: Found,
}

impl LineModel {
    /// Scores the changed lines of a hunk. `hunks_with` counts the hunks of the patch that have a
    /// term.
    #[must_use]
    pub(super) fn scores(&self, hunk: &Hunk, hunks_with: &HashMap<Term<'_>, usize>) -> LineScores {
        let around = Around::new(hunk, hunks_with);
        let replaced = replaced(&hunk.lines);
        let changed = hunk.lines.iter().enumerate();
        let changed = changed.filter(|(_, line)| line.kind != LineKind::Context);
        let mut found = Found::new();
        let mut scored = |features: &Features| {
            for &bucket in &features.found {
                *found.entry(bucket).or_default() += 1;
            }
            self.score(features)
        };
        let lines = changed.map(|(at, _)| {
            let mut features = Features::new(self.buckets());
            features.line(&hunk.lines, at, &around, replaced.get(&at).copied());
            (at, scored(&features))
        });
        let lines = lines.collect();
        let mut size = Features::new(self.buckets());
        let count = |kind| digit(hunk.count(kind).min(8));
        size.put(
            Fnv::new()
                .text("h ")
                .text(count(LineKind::Added))
                .char(' ')
                .text(count(LineKind::Removed)),
        );
        LineScores {
            lines,
            hunk: scored(&size),
            found,
        }
    }

    fn buckets(&self) -> u32 {
        u32::try_from(self.weight.len()).unwrap_or(u32::MAX)
    }

    #[expect(clippy::cast_precision_loss, reason = "a line has few features")]
    fn score(&self, features: &Features) -> f64 {
        let weights = features.found.iter().map(|&bucket| {
            let weight = self.weight.get(bucket as usize);
            weight.copied().map_or(0.0, f64::from)
        });
        weights.sum::<f64>() / (features.found.len().max(1) as f64).sqrt()
    }
}

impl LineScores {
    /// The hunk's score.
    #[must_use]
    pub(super) fn total(&self) -> f64 {
        log_sum_exp(self.all())
    }

    fn of(&self, hunk: &Hunk, kind: LineKind) -> f64 {
        let scores = self.lines.iter().filter(|(at, _)| {
            let line = hunk.lines.get(*at);
            line.is_some_and(|line| line.kind == kind)
        });
        log_sum_exp(scores.map(|(_, score)| *score)).max(NONE)
    }

    /// The lines with the highest scores and their shares of the hunk's score, the highest first.
    #[must_use]
    pub(super) fn suspects(&self) -> Vec<SuspectLine> {
        let total = self.total();
        let mut lines = self.lines.clone();
        lines.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let share = |(line, score): (usize, f64)| {
            let share = Probability::new((score - total).exp().min(1.0)).ok()?;
            Some(SuspectLine { line, share })
        };
        lines
            .into_iter()
            .take(MAX_SUSPECTS)
            .filter_map(share)
            .collect()
    }

    /// The score of the hunk as such, then those of its lines.
    pub(super) fn all(&self) -> impl Iterator<Item = f64> + Clone {
        std::iter::once(self.hunk).chain(self.lines.iter().map(|(_, score)| *score))
    }
}

/// For each hunk of a patch, in order, what the trees see of the scores of its lines.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn summaries(patch: &Patch, scores: &[LineScores]) -> Vec<[f64; LINE_NUMBERS]> {
    let totals: Vec<f64> = scores.iter().map(LineScores::total).collect();
    let mut sorted = totals.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (highest, second) = (sorted.first().copied(), sorted.get(1).copied());
    let of_hunk = |((_, hunk), (scores, &total)): ((_, &Hunk), (&LineScores, &f64))| {
        let mut lines: Vec<f64> = scores.lines.iter().map(|(_, score)| *score).collect();
        lines.sort_by(|a, b| b.total_cmp(a));
        let line = |rank: usize| lines.get(rank).copied().unwrap_or(NONE);
        // The highest of the other hunks: its own may be the highest of all.
        let rival = if highest == Some(total) {
            second
        } else {
            highest
        };
        [
            total,
            scores.hunk,
            line(0),
            line(1),
            scores.of(hunk, LineKind::Added),
            scores.of(hunk, LineKind::Removed),
            (1.0 + lines.len() as f64).ln(),
            rival.map_or(0.0, |rival| total - rival),
        ]
    };
    patch
        .hunks()
        .zip(scores.iter().zip(&totals))
        .map(of_hunk)
        .collect()
}

/// The logarithm of the sum of the exponentials.
pub(super) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + values.map(|value| (value - top).exp()).sum::<f64>().ln()
}

/// What a line is compared with: the hunk's old and new lines, and the other hunks of the patch.
struct Around<'a> {
    old: HashSet<Term<'a>>,
    new: HashSet<Term<'a>>,
    /// How many added lines have a term.
    lines_with: HashMap<Term<'a>, usize>,
    hunks_with: &'a HashMap<Term<'a>, usize>,
}

impl<'a> Around<'a> {
    fn new(hunk: &'a Hunk, hunks_with: &'a HashMap<Term<'a>, usize>) -> Self {
        let mut lines_with = HashMap::new();
        for line in hunk
            .lines
            .iter()
            .filter(|line| line.kind == LineKind::Added)
        {
            for term in terms_of_line(&line.text).collect::<HashSet<_>>() {
                *lines_with.entry(term).or_insert(0) += 1;
            }
        }
        Self {
            old: terms(hunk, |kind| kind != LineKind::Added),
            new: terms(hunk, |kind| kind == LineKind::Added),
            lines_with,
            hunks_with,
        }
    }

    /// Where else a term of an added line occurs: in the hunk's old lines, in another hunk, in
    /// another added line, or nowhere.
    fn status(&self, term: Term<'_>) -> &'static str {
        let several = |counts: &HashMap<Term<'_>, usize>| counts.get(&term).is_some_and(|&n| n > 1);
        if self.old.contains(&term) {
            "o"
        } else if several(self.hunks_with) {
            "e"
        } else if several(&self.lines_with) {
            "r"
        } else {
            "n"
        }
    }

    /// A token as such, or, for a name or number, what is known of it.
    fn kind_of<'t>(&self, kind: LineKind, token: &'t str) -> &'t str {
        if is_identifier(token) {
            if is_keyword(token) {
                return token;
            }
            let letter = match kind {
                LineKind::Added => self.status((token, None)),
                _ if self.new.contains(&(token, None)) => "k",
                _ => "g",
            };
            return if token.starts_with(|c: char| c.is_ascii_uppercase()) {
                capital(letter)
            } else {
                letter
            };
        }
        let number = token.starts_with(|c: char| c.is_ascii_digit());
        if number && !matches!(token, "0" | "1" | "2") {
            "#"
        } else {
            token
        }
    }
}

/// The distinct buckets of a line's features, in order, so that sums do not depend on hashing.
struct Features {
    buckets: u32,
    found: BTreeSet<u32>,
}

impl Features {
    fn new(buckets: u32) -> Self {
        Self {
            buckets,
            found: BTreeSet::new(),
        }
    }

    fn put(&mut self, hash: Fnv) {
        self.found.insert(hash.bucket(self.buckets));
    }

    /// Puts a feature of a name and words, with spaces between.
    fn words(&mut self, name: Fnv, words: &[&str]) {
        self.put(
            words
                .iter()
                .fold(name, |hash, word| hash.char(' ').text(word)),
        );
    }

    fn line(&mut self, lines: &[Line], at: usize, around: &Around<'_>, replaced: Option<&str>) {
        let Some(line) = lines.get(at) else { return };
        let (kind, text) = (line.kind, line.text.as_str());
        let named = |name: &str| Fnv::new().char(kind.marker()).text(name);
        let words: Vec<&str> = tokens(text).collect();
        let kinds: Vec<&str> = words
            .iter()
            .map(|word| around.kind_of(kind, word))
            .collect();
        let mut ends = vec!["^"];
        ends.extend(&kinds);
        ends.push("$");
        for word in &words {
            self.words(named("w"), &[word]);
        }
        for pair in words.windows(2) {
            self.words(named("b"), pair);
        }
        for three in ends.windows(3) {
            self.words(named("c"), three);
        }
        for four in ends.windows(4) {
            self.words(named("d"), four);
        }
        for (three, word) in ends.windows(3).zip(&words) {
            if let [before, _, after] = three {
                self.words(named("m"), &[before, word, after]);
            }
        }
        for (three, middle) in words.windows(3).zip(kinds.iter().skip(1)) {
            if let [a, _, b] = three
                && a == b
                && is_identifier(a)
            {
                self.words(named("r"), &[middle]);
            }
        }
        let side = |line: &&Line| line.kind == kind || line.kind == LineKind::Context;
        let before = lines[..at].iter().rev().find(side);
        let after = lines[at + 1..].iter().find(side);
        let first = ends.get(1).copied().unwrap_or("$");
        let last = ends.iter().rev().nth(1).copied().unwrap_or("^");
        self.neighbour(named("p"), before, |other| {
            let theirs = tokens(&other.text).last().unwrap_or("^");
            [theirs, first, step(&other.text, text)]
        });
        self.neighbour(named("q"), after, |other| {
            let theirs = tokens(&other.text).next().map_or("i", anonymous);
            [last, theirs, step(text, &other.text)]
        });
        let same = |other: Option<&Line>| {
            let stripped = text.trim_matches(is_space);
            !words.is_empty()
                && other.is_some_and(|line| line.text.trim_matches(is_space) == stripped)
        };
        for (name, other) in [("same p", before), ("same q", after)] {
            if same(other) {
                self.put(named(name));
            }
        }
        if kind == LineKind::Added {
            self.statuses(&words, &kinds, around);
        }
        if let Some(old) = replaced {
            self.change(old, &words, around);
        }
    }

    fn neighbour<'t>(
        &mut self,
        name: Fnv,
        other: Option<&'t Line>,
        words: impl FnOnce(&'t Line) -> [&'t str; 3],
    ) {
        match other {
            Some(line) => self.words(name, &words(line)),
            None => self.put(name),
        }
    }

    /// Where else the pairs of neighbours of an added line occur.
    fn statuses(&mut self, words: &[&str], kinds: &[&str], around: &Around<'_>) {
        let mut nowhere = 0;
        for (words, kinds) in words.windows(2).zip(kinds.windows(2)) {
            if let ([a, b], [kind_a, kind_b]) = (words, kinds) {
                let status = around.status((a, Some(b)));
                nowhere += usize::from(status == "n");
                self.words(Fnv::new().text("+s"), &[kind_a, kind_b, status]);
            }
        }
        self.words(Fnv::new().text("+n"), &[digit(nowhere.min(6))]);
    }

    /// What became what in a line that takes the place of another.
    fn change(&mut self, old: &str, new: &[&str], around: &Around<'_>) {
        let old: Vec<&str> = tokens(old).collect();
        let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let (old_rest, new_rest) = (&old[start..], &new[start..]);
        let ends = old_rest.iter().rev().zip(new_rest.iter().rev());
        let end = ends.take_while(|(a, b)| a == b).count();
        let (gone, come) = (
            &old_rest[..old_rest.len() - end],
            &new_rest[..new_rest.len() - end],
        );
        let count = |words: &[&str]| digit(words.len().min(4));
        self.words(Fnv::new().text("x"), &[count(gone), count(come)]);
        if gone.len() > 3 || come.len() > 3 {
            return;
        }
        let left = start.checked_sub(1).and_then(|at| new.get(at).copied());
        let left = left.unwrap_or("^");
        let change = format!("{} > {}", gone.join(" "), come.join(" "));
        let kinds = |kind, words: &[&str]| -> String {
            let kinds: Vec<&str> = words
                .iter()
                .map(|word| around.kind_of(kind, word))
                .collect();
            kinds.join(" ")
        };
        let coarse = format!(
            "{} > {}",
            kinds(LineKind::Removed, gone),
            kinds(LineKind::Added, come)
        );
        self.words(Fnv::new().text("e"), &[&change]);
        self.words(Fnv::new().text("l"), &[left, &change]);
        self.words(Fnv::new().text("f"), &[&coarse]);
        self.words(Fnv::new().text("g"), &[anonymous(left), &coarse]);
    }
}

/// A keyword or sign as such; any name is alike.
fn anonymous(token: &str) -> &str {
    if is_identifier(token) && !is_keyword(token) {
        "i"
    } else {
        token
    }
}

/// How the indentation changes from a line to the next.
fn step(before: &str, after: &str) -> &'static str {
    let (before, after) = (indentation(before), indentation(after));
    match (after > before, before.abs_diff(after)) {
        (_, 0) => "=",
        (true, 1..=8) => "+",
        (true, _) => "++",
        (false, 1..=8) => "-",
        (false, _) => "--",
    }
}

/// The line that an added one takes the place of: the first removed one of a run for the first
/// added one, and so on.
fn replaced(lines: &[Line]) -> HashMap<usize, &str> {
    let mut pairs = HashMap::new();
    let mut start = 0;
    for run in lines.split_inclusive(|line| line.kind == LineKind::Context) {
        let of = |kind| {
            (start..)
                .zip(run)
                .filter(move |(_, line)| line.kind == kind)
        };
        let removed = of(LineKind::Removed).map(|(_, line)| line.text.as_str());
        pairs.extend(of(LineKind::Added).map(|(at, _)| at).zip(removed));
        start += run.len();
    }
    pairs
}

fn capital(letter: &str) -> &'static str {
    match letter {
        "o" => "O",
        "e" => "E",
        "r" => "R",
        "n" => "N",
        "k" => "K",
        _ => "G",
    }
}

fn digit(number: usize) -> &'static str {
    ["0", "1", "2", "3", "4", "5", "6", "7", "8"]
        .get(number)
        .copied()
        .unwrap_or("8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parts_of_the_whole_score_and_the_heaviest_lines_come_first() {
        let scores = LineScores {
            hunk: 0.0,
            lines: vec![(1, 0.0), (3, 1.0), (4, f64::ln(2.0)), (6, 0.0)],
            found: Found::new(),
        };
        let suspects = scores.suspects();
        let lines: Vec<usize> = suspects.iter().map(|suspect| suspect.line).collect();
        assert_eq!(lines, [3, 4, 1]);
        // Of the exponentials: the hunk as such 1, the lines 1, e, 2 and 1.
        let whole = 5.0 + std::f64::consts::E;
        for (suspect, part) in suspects.iter().zip([std::f64::consts::E, 2.0, 1.0]) {
            assert!((suspect.share.get() - part / whole).abs() < 1e-12);
        }
    }
}
