//! From the text of a patch to what can be asked, and from a verdict to what programs read.
//!
//! Invariant: the two ends know the same patch, so each hunk of an answer is one of the text that
//! was asked about, in its order. This file must not know where the text comes from.

use super::scope::Abstention;
use super::verdict::{Opinion, ScoreRequest, Unscorable, Verdict};
use crate::calibration::{Logit, Probability};
use crate::change::{FileChange, Patch};
use serde::Serialize;

/// A patch with something to judge.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The files that have hunks: what the model is shown, but not all that the text changes.
    pub patch: Patch,
    /// Those that have none: moves, deletions of empty files, modes, what is not text.
    without: Vec<FileChange>,
}

/// The verdict on one patch, as JSON lines and the service write it.
#[derive(Debug, Serialize)]
pub struct Scored {
    #[serde(flatten)]
    said: Said,
    hunks: Vec<HunkScore>,
    model: String,
    calibration: String,
    tokens: usize,
    truncated: bool,
    skipped: Vec<Skipped>,
}

/// A score, or `null` in place of both of its numbers and the reason.
#[derive(Debug, Serialize)]
struct Said {
    probability: Option<Probability>,
    logit: Option<Logit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abstained: Option<Abstention>,
}

impl From<&Opinion> for Said {
    fn from(opinion: &Opinion) -> Self {
        Self {
            probability: opinion.probability(),
            logit: opinion.score().map(|score| score.logit),
            abstained: opinion.abstention().cloned(),
        }
    }
}

#[derive(Debug, Serialize)]
struct HunkScore {
    file: String,
    old_start: u32,
    old_lines: u32,
    new_start: u32,
    new_lines: u32,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Serialize)]
struct Skipped {
    file: String,
    reason: &'static str,
}

impl Prepared {
    /// Reads a unified diff, also one that a language model typed.
    ///
    /// # Errors
    /// If it is none, or changes no line.
    pub fn of(text: &str) -> Result<Self, Unscorable> {
        let (request, without) = ScoreRequest::of_diff(text.as_bytes(), None)?;
        Ok(Self {
            patch: request.patch,
            without,
        })
    }

    /// All files that the text changes, with lines to judge or without.
    pub fn files(&self) -> impl Iterator<Item = &FileChange> {
        self.patch.files.iter().chain(&self.without)
    }

    /// What the engine is asked. `task` is what the change is for.
    #[must_use]
    pub fn request(&self, task: Option<String>) -> ScoreRequest {
        ScoreRequest {
            patch: self.patch.clone(),
            task,
        }
    }

    /// What programs are told. The verdict must be that of [`Prepared::request`].
    #[must_use]
    pub fn scored(self, verdict: Verdict) -> Scored {
        let hunks = self.patch.hunks().zip(&verdict.hunks);
        let hunks = hunks.map(|((file, hunk), opinion)| HunkScore {
            file: file.path().to_owned(),
            old_start: hunk.old.start,
            old_lines: hunk.old.lines,
            new_start: hunk.new.start,
            new_lines: hunk.new.lines,
            said: opinion.into(),
        });
        let skipped = self.without.iter().map(|file| Skipped {
            file: file.path().to_owned(),
            reason: "no changed lines of text",
        });
        Scored {
            said: (&verdict.patch).into(),
            hunks: hunks.collect(),
            model: verdict.model,
            calibration: verdict.calibration,
            tokens: verdict.tokens,
            truncated: verdict.truncated,
            skipped: skipped.collect(),
        }
    }
}
