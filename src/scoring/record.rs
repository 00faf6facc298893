//! From the text of a patch to what can be asked, and from a verdict to what programs read.
//!
//! Invariant: the two ends know the same patch, so each hunk of an answer is one of the text that
//! was asked about, in its order. This file must not know where the text comes from.

use super::verdict::{Score, ScoreRequest, Verdict};
use crate::calibration::{Logit, Probability};
use crate::change::{ParseError, Patch};
use serde::Serialize;

/// A patch with something to judge.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The files that have hunks.
    pub patch: Patch,
    skipped: Vec<Skipped>,
}

/// Why there is nothing to judge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudgeable {
    /// The text is no unified diff.
    #[error("{0}")]
    BadPatch(#[from] ParseError),
    /// It is one, without a changed line.
    #[error("the patch changes no lines of text")]
    NothingToScore,
}

/// The verdict on one patch, as JSON lines and the service write it.
#[derive(Debug, Serialize)]
pub struct Scored {
    probability: Probability,
    logit: Logit,
    hunks: Vec<HunkScore>,
    model: String,
    calibration: String,
    tokens: usize,
    truncated: bool,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
struct HunkScore {
    file: String,
    old_start: u32,
    old_lines: u32,
    new_start: u32,
    new_lines: u32,
    #[serde(flatten)]
    score: Score,
}

#[derive(Debug, Clone, Serialize)]
struct Skipped {
    file: String,
    reason: &'static str,
}

impl Unjudgeable {
    /// The word that programs know it by.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadPatch(_) => "bad-patch",
            Self::NothingToScore => "nothing-to-score",
        }
    }
}

impl Prepared {
    /// Reads a unified diff, also one that a language model typed.
    ///
    /// # Errors
    /// If it is none, or changes no line.
    pub fn of(text: &str) -> Result<Self, Unjudgeable> {
        let patch = Patch::from_typed_unified(text.as_bytes())?;
        let (files, without): (Vec<_>, Vec<_>) = patch
            .files
            .into_iter()
            .partition(|file| !file.hunks.is_empty());
        if files.is_empty() {
            return Err(Unjudgeable::NothingToScore);
        }
        let skipped = without.iter().map(|file| Skipped {
            file: file.path().to_owned(),
            reason: "no changed lines of text",
        });
        Ok(Self {
            skipped: skipped.collect(),
            patch: Patch { files },
        })
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
        let hunks = hunks.map(|((file, hunk), &score)| HunkScore {
            file: file.path().to_owned(),
            old_start: hunk.old.start,
            old_lines: hunk.old.lines,
            new_start: hunk.new.start,
            new_lines: hunk.new.lines,
            score,
        });
        Scored {
            probability: verdict.patch.probability,
            logit: verdict.patch.logit,
            hunks: hunks.collect(),
            model: verdict.model,
            calibration: verdict.calibration,
            tokens: verdict.tokens,
            truncated: verdict.truncated,
            skipped: self.skipped,
        }
    }
}
