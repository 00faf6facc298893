//! What a check found, as data: the JSON output, and what the text output is written from.

use crate::calibration::{Logit, Probability};
use crate::change::{FileChange, FileStatus, Hunk, Line, LineKind};
use crate::model::SuspectLine;
use crate::scoring::{Abstention, Opinion, Score, Verdict};
use crate::syntax::Flaw;
use serde::Serialize;

#[cfg(test)]
pub(super) mod sample;

/// Version of the JSON layout.
const VERSION: u32 = 1;

/// The whole result of `diffidence check`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: u32,
    #[serde(flatten)]
    pub(super) frame: Frame,
    pub(super) files: Vec<FileReport>,
}

/// What holds for the whole report.
#[derive(Debug, Serialize)]
pub(super) struct Frame {
    /// Model name and version.
    pub(super) model: String,
    /// Which calibration made the probabilities.
    pub(super) calibration: String,
    /// Assumed share of correct changes.
    pub(super) prior: Probability,
    /// Scores below this are low.
    pub(super) min_score: Probability,
    /// What the changes were compared with, for a reader.
    pub(super) base: String,
    /// Whether a task description was used.
    pub(super) task: bool,
}

/// One changed file; none is left out.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    pub(super) path: String,
    #[serde(flatten)]
    pub(super) outcome: FileOutcome,
    /// What its text shows by itself; never part of the score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) checks: Vec<Flaw>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(super) enum FileOutcome {
    Scored(ScoredFile),
    Abstained(AbstainedFile),
    Unchanged { reason: String },
    Skipped { reason: String },
    Failed { reason: String },
}

/// A file that the model cannot judge.
#[derive(Debug, Serialize)]
pub(super) struct AbstainedFile {
    status: FileStatus,
    /// Always `null`: what cannot be judged is no coin toss.
    probability: Option<Probability>,
    #[serde(rename = "abstained")]
    pub(super) why: Abstention,
}

#[derive(Debug, Serialize)]
pub(super) struct ScoredFile {
    pub(super) status: FileStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<String>,
    pub(super) probability: Probability,
    pub(super) logit: Logit,
    pub(super) hunks: Vec<HunkReport>,
    tokens: usize,
    pub(super) truncated: bool,
    cached: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct HunkReport {
    old_start: u32,
    old_lines: u32,
    new_start: u32,
    new_lines: u32,
    /// The changed lines of the new text, 1-based, both included.
    pub(super) first_line: u32,
    pub(super) last_line: u32,
    pub(super) probability: Probability,
    pub(super) logit: Logit,
    /// Below the threshold and not ignored.
    pub(super) low: bool,
    /// The user does not want to be shown it again.
    pub(super) ignored: bool,
    /// The added and removed lines with their markers.
    pub(super) changed: Vec<String>,
    /// The lines that speak most against the hunk; empty if the model cannot tell.
    suspects: Vec<SuspectReport>,
}

/// A line that speaks against its hunk.
#[derive(Debug, Serialize)]
pub(super) struct SuspectReport {
    /// 1-based number in the new text; none for a removed line.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// With its marker.
    text: String,
    /// Its part of all that speaks against the hunk.
    share: Probability,
}

/// The counts of the summary line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) scored: usize,
    pub(super) hunks: usize,
    pub(super) low_hunks: usize,
    pub(super) low_files: usize,
    pub(super) ignored: usize,
    pub(super) abstained: usize,
    pub(super) skipped: usize,
    pub(super) unchanged: usize,
    pub(super) failed: usize,
    pub(super) checks: usize,
}

/// How much a low score asks to be looked at: the same two steps as in an editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Below half of the threshold.
    Warning,
    Note,
}

/// Something below the threshold: a hunk, or a file none of whose hunks is.
pub(super) struct Finding<'a> {
    pub(super) path: &'a str,
    pub(super) file: &'a ScoredFile,
    /// None if the file as a whole is meant.
    pub(super) hunk: Option<&'a HunkReport>,
    pub(super) probability: Probability,
    pub(super) level: Level,
}

impl Finding<'_> {
    /// The changed lines, 1-based, both included; none where there is no text to point at.
    pub(super) fn lines(&self) -> Option<(u32, u32)> {
        self.hunk
            .filter(|_| self.file.status != FileStatus::Deleted)
            .map(|hunk| (hunk.first_line, hunk.last_line))
    }

    pub(super) fn message(&self) -> String {
        let what = if self.hunk.is_some() { "hunk" } else { "file" };
        format!(
            "{} likely correct: this {what} is worth a second look",
            self.probability
        )
    }
}

impl Report {
    pub(super) fn new(frame: Frame, files: Vec<FileReport>) -> Self {
        Self {
            version: VERSION,
            frame,
            files,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for file in &self.files {
            counts.checks += file.checks.len();
            match &file.outcome {
                FileOutcome::Scored(scored) => {
                    counts.scored += 1;
                    counts.hunks += scored.hunks.len();
                    counts.low_hunks += scored.low_hunks();
                    counts.low_files += usize::from(scored.is_low(self.frame.min_score));
                    counts.ignored += scored.ignored_hunks();
                }
                FileOutcome::Abstained(_) => counts.abstained += 1,
                FileOutcome::Unchanged { .. } => counts.unchanged += 1,
                FileOutcome::Skipped { .. } => counts.skipped += 1,
                FileOutcome::Failed { .. } => counts.failed += 1,
            }
        }
        counts
    }

    /// Everything below the threshold, in the order of the files and from top to bottom.
    pub(super) fn findings(&self) -> Vec<Finding<'_>> {
        let mut findings = Vec::new();
        for FileReport { path, outcome, .. } in &self.files {
            let FileOutcome::Scored(file) = outcome else {
                continue;
            };
            let finding = |hunk, probability: Probability| Finding {
                path,
                file,
                hunk,
                probability,
                level: if probability.get() < self.frame.min_score.get() / 2.0 {
                    Level::Warning
                } else {
                    Level::Note
                },
            };
            let low = file.hunks.iter().filter(|hunk| hunk.low);
            findings.extend(low.map(|hunk| finding(Some(hunk), hunk.probability)));
            if file.low_hunks() == 0 && file.is_low(self.frame.min_score) {
                findings.push(finding(None, file.probability));
            }
        }
        findings
    }
}

impl FileOutcome {
    /// Of the verdict on this change alone. `new_lines` is the number of lines of the new text,
    /// where it is known.
    pub(super) fn of(
        change: &FileChange,
        verdict: &Verdict,
        new_lines: Option<u32>,
        min_score: Probability,
    ) -> Self {
        match &verdict.patch {
            Opinion::Score(score) => Self::Scored(ScoredFile::new(
                change, *score, verdict, new_lines, min_score,
            )),
            Opinion::Abstention(why) => Self::Abstained(AbstainedFile {
                status: change.status,
                probability: None,
                why: why.clone(),
            }),
        }
    }
}

impl ScoredFile {
    fn new(
        change: &FileChange,
        whole: Score,
        verdict: &Verdict,
        new_lines: Option<u32>,
        min_score: Probability,
    ) -> Self {
        let hunks = change
            .hunks
            .iter()
            .zip(&verdict.hunks)
            .enumerate()
            // Where there is a score for a patch of one file, there is one for each of its hunks.
            .filter_map(|(index, (hunk, opinion))| {
                let suspects = verdict.suspects_of(index);
                let score = opinion.score()?;
                Some(HunkReport::new(hunk, score, suspects, new_lines, min_score))
            })
            .collect();
        Self {
            status: change.status,
            old_path: change
                .old_path
                .clone()
                .filter(|_| change.status == FileStatus::Renamed),
            probability: whole.probability,
            logit: whole.logit,
            hunks,
            tokens: verdict.tokens,
            truncated: verdict.truncated,
            cached: verdict.cached,
        }
    }

    /// Takes the hunks that the user ignores out of the low ones.
    pub(super) fn ignore(&mut self, ignored: &[bool]) {
        for (hunk, &ignored) in self.hunks.iter_mut().zip(ignored) {
            hunk.ignored = ignored;
            hunk.low &= !ignored;
        }
    }

    pub(super) fn low_hunks(&self) -> usize {
        self.hunks.iter().filter(|hunk| hunk.low).count()
    }

    pub(super) fn ignored_hunks(&self) -> usize {
        self.hunks.iter().filter(|hunk| hunk.ignored).count()
    }

    /// The score of a file in which hunks are ignored is about them too, so it is low only
    /// together with a hunk that is not ignored.
    pub(super) fn is_low(&self, min_score: Probability) -> bool {
        let looked_at = self.ignored_hunks() > 0 && self.low_hunks() == 0;
        self.probability < min_score && !looked_at
    }
}

impl HunkReport {
    fn new(
        hunk: &Hunk,
        score: Score,
        suspects: &[SuspectLine],
        new_lines: Option<u32>,
        min_score: Probability,
    ) -> Self {
        let (first_line, last_line) = hunk.changed_new_lines(new_lines.unwrap_or(u32::MAX));
        let changed = hunk.lines.iter().filter_map(marked);
        let suspects = suspects.iter().filter_map(|suspect| {
            Some(SuspectReport {
                line: hunk.new_line(suspect.line),
                text: marked(hunk.lines.get(suspect.line)?)?,
                share: suspect.share,
            })
        });
        Self {
            old_start: hunk.old.start,
            old_lines: hunk.old.lines,
            new_start: hunk.new.start,
            new_lines: hunk.new.lines,
            first_line,
            last_line,
            probability: score.probability,
            logit: score.logit,
            low: score.probability < min_score,
            ignored: false,
            changed: changed.collect(),
            suspects: suspects.collect(),
        }
    }
}

/// A changed line with its marker.
fn marked(line: &Line) -> Option<String> {
    let kind = line.kind;
    (kind != LineKind::Context).then(|| format!("{}{}", kind.marker(), line.text))
}
