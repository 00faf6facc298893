//! What is asked and what is answered, and the step from logits to a verdict.

use crate::calibration::{Calibration, Logit, Map, Probability};
use crate::change::{FileChange, ParseError, Patch};
use crate::model::{ModelIdentity, PatchLogits, SuspectLine};
use serde::Serialize;

/// A patch to judge, with the description of what it is for where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRequest {
    /// Must hold at least one hunk: an empty patch has nothing to judge.
    pub patch: Patch,
    /// The task description.
    pub task: Option<String>,
}

/// Why there is nothing to ask about a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unscorable {
    /// It cannot be read.
    #[error(transparent)]
    Diff(#[from] ParseError),
    /// It has no hunks.
    #[error("the patch changes no lines of text")]
    NoLines,
}

impl ScoreRequest {
    /// Asks about the files of a patch that have hunks. Those that have none are returned beside
    /// the request.
    ///
    /// # Errors
    /// If no file has any.
    pub fn of(patch: Patch, task: Option<String>) -> Result<(Self, Vec<FileChange>), Unscorable> {
        let files = patch.files.into_iter();
        let (files, without): (Vec<_>, _) = files.partition(|file| !file.hunks.is_empty());
        if files.is_empty() {
            return Err(Unscorable::NoLines);
        }
        let patch = Patch { files };
        Ok((Self { patch, task }, without))
    }

    /// The same for a unified diff that a person or a language model may have typed.
    ///
    /// # Errors
    /// If it is no diff, or has no hunks.
    pub fn of_diff(
        text: &[u8],
        task: Option<String>,
    ) -> Result<(Self, Vec<FileChange>), Unscorable> {
        Self::of(Patch::from_typed_unified(text)?, task)
    }
}

/// A calibrated score with the raw one it came from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// How likely the change is correct, at the prior in force.
    pub probability: Probability,
    /// The model's own output.
    pub logit: Logit,
}

/// The answer to one [`ScoreRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The patch as a whole.
    pub patch: Score,
    /// One for each hunk, in the order of [`Patch::hunks`].
    pub hunks: Vec<Score>,
    /// As in [`PatchLogits::suspects`].
    pub suspects: Vec<Vec<SuspectLine>>,
    /// Tokens that the trunk read.
    pub tokens: usize,
    /// Whether the trunk did not see all of the patch.
    pub truncated: bool,
    /// Model name and version.
    pub model: String,
    /// Which calibration made the probabilities.
    pub calibration: String,
    /// Whether the logits were remembered rather than computed.
    pub cached: bool,
}

impl Verdict {
    /// The lines that speak most against the hunk at `index`; none if the model cannot tell.
    #[must_use]
    pub fn suspects_of(&self, index: usize) -> &[SuspectLine] {
        self.suspects.get(index).map_or(&[], Vec::as_slice)
    }

    /// How many hunks score below `min_score`.
    #[must_use]
    pub fn low_hunks(&self, min_score: Probability) -> usize {
        let low = |score: &&Score| score.probability < min_score;
        self.hunks.iter().filter(low).count()
    }
}

/// Where the README says how to read a score; every output that has room for a link shows it.
pub const HELP: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "#how-to-read-a-score");

/// How many hunks are worth a second look, in the words that every output uses.
#[must_use]
pub fn hunks_to_check(low: usize, all: usize) -> String {
    match (low, all) {
        (0, _) => "nothing to check".into(),
        (_, 1) => "1 hunk to check".into(),
        _ => format!("{low} of {all} hunks to check"),
    }
}

/// Turns logits into verdicts: the calibration that came with the model, at the user's prior.
#[derive(Debug, Clone)]
pub struct Judge {
    identity: ModelIdentity,
    calibration: Calibration,
    prior: Probability,
}

impl Judge {
    /// `prior` is the share of correct changes to assume; `None` takes the calibration's default.
    #[must_use]
    pub fn new(
        identity: ModelIdentity,
        calibration: Calibration,
        prior: Option<Probability>,
    ) -> Self {
        let prior = prior.unwrap_or(calibration.default_prior);
        Self {
            identity,
            calibration,
            prior,
        }
    }

    /// The model whose logits this judge reads.
    #[must_use]
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// The calibration in use.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The assumed share of correct changes.
    #[must_use]
    pub fn prior(&self) -> Probability {
        self.prior
    }

    /// Calibrates logits.
    #[must_use]
    pub fn judge(&self, logits: &PatchLogits, cached: bool) -> Verdict {
        let score = |map: &Map, logit: Logit| self.score(map, logit, self.prior);
        Verdict {
            patch: score(&self.calibration.patch, logits.patch),
            hunks: logits
                .hunks
                .iter()
                .map(|&logit| score(&self.calibration.hunk, logit))
                .collect(),
            suspects: logits.suspects.clone(),
            tokens: logits.tokens,
            truncated: logits.truncated,
            model: self.identity.to_string(),
            calibration: self.calibration.id.clone(),
            cached,
        }
    }

    /// The verdict at another prior, from its own logits; `None` takes this judge's.
    #[must_use]
    pub fn judge_again(&self, verdict: &Verdict, prior: Option<Probability>) -> Verdict {
        let prior = prior.unwrap_or(self.prior);
        let score = |map: &Map, old: Score| self.score(map, old.logit, prior);
        Verdict {
            patch: score(&self.calibration.patch, verdict.patch),
            hunks: verdict
                .hunks
                .iter()
                .map(|&old| score(&self.calibration.hunk, old))
                .collect(),
            ..verdict.clone()
        }
    }

    fn score(&self, map: &Map, logit: Logit, prior: Probability) -> Score {
        Score {
            probability: map.apply(logit, prior),
            logit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judging_again_moves_probabilities_and_keeps_logits() {
        let map = Map {
            slope: 1.0,
            intercept: 0.0,
            beta: None,
            reference_prior: Probability::HALF,
        };
        let calibration = Calibration {
            schema: 1,
            id: "t".into(),
            default_prior: Probability::HALF,
            patch: map.clone(),
            hunk: map,
            notes: serde_json::Value::Null,
        };
        let identity = ModelIdentity {
            name: "m".into(),
            version: "1".into(),
            bundle_hash: String::new(),
            renderer: String::new(),
        };
        let judge = Judge::new(identity.clone(), calibration.clone(), None);
        let logits = PatchLogits {
            patch: Logit::new(0.3).unwrap(),
            hunks: vec![Logit::new(-1.0).unwrap()],
            suspects: vec![],
            tokens: 1,
            truncated: false,
        };
        let verdict = judge.judge(&logits, true);
        let prior = Some(Probability::new(0.9).unwrap());
        let again = judge.judge_again(&verdict, prior);
        let direct = Judge::new(identity, calibration, prior).judge(&logits, true);
        assert_eq!(again, direct);
        assert!(again.hunks[0].probability > verdict.hunks[0].probability);
        assert_eq!(judge.judge_again(&again, None), verdict);
    }
}
