//! What is asked and what is answered, and the step from logits to a verdict.

use super::scope::{Abstention, Scope};
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

impl Unscorable {
    /// The word that programs know it by.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Diff(_) => "bad-patch",
            Self::NoLines => "nothing-to-score",
        }
    }
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

/// What is said about a patch or a hunk.
#[derive(Debug, Clone, PartialEq)]
pub enum Opinion {
    /// The model can judge it.
    Score(Score),
    /// It cannot, which is not the same as one half.
    Abstention(Abstention),
}

impl Opinion {
    /// The score, if there is one.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        match self {
            Self::Score(score) => Some(*score),
            Self::Abstention(_) => None,
        }
    }

    /// The probability, if there is one.
    #[must_use]
    pub fn probability(&self) -> Option<Probability> {
        self.score().map(|score| score.probability)
    }

    /// Why there is no score.
    #[must_use]
    pub fn abstention(&self) -> Option<&Abstention> {
        match self {
            Self::Score(_) => None,
            Self::Abstention(abstention) => Some(abstention),
        }
    }

    /// Whether there is a score and it is below `min_score`.
    #[must_use]
    pub fn is_below(&self, min_score: Probability) -> bool {
        self.probability().is_some_and(|it| it < min_score)
    }
}

/// The answer to one [`ScoreRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The patch as a whole.
    pub patch: Opinion,
    /// One for each hunk, in the order of [`Patch::hunks`]. None has a score if the patch has none.
    pub hunks: Vec<Opinion>,
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
        let low = |opinion: &&Opinion| opinion.is_below(min_score);
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

/// Turns logits into verdicts: the calibration that came with the model, at the user's prior, and
/// within what the model can judge.
#[derive(Debug, Clone)]
pub struct Judge {
    identity: ModelIdentity,
    calibration: Calibration,
    prior: Probability,
    scope: Scope,
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
            scope: Scope::default(),
        }
    }

    /// This judge for a model that can judge only so much.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
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

    /// The verdict on what the model cannot judge, which is known before it has read anything.
    #[must_use]
    pub fn abstain(&self, request: &ScoreRequest) -> Option<Verdict> {
        let patch = &request.patch;
        let files = self.scope.files(patch);
        let why = self.scope.patch(patch, &files, Probability::ONE)?;
        Some(Verdict {
            patch: Opinion::Abstention(why.clone()),
            hunks: vec![Opinion::Abstention(why); patch.hunk_count()],
            suspects: Vec::new(),
            tokens: 0,
            truncated: false,
            model: self.identity.to_string(),
            calibration: self.calibration.id.clone(),
            cached: false,
        })
    }

    /// Calibrates the logits of `patch`, apart from those of what the model cannot judge.
    #[must_use]
    pub fn judge(&self, patch: &Patch, logits: &PatchLogits, cached: bool) -> Verdict {
        let files = self.scope.files(patch);
        let whole = self.scope.patch(patch, &files, logits.read);
        let of_hunk = patch
            .files
            .iter()
            .zip(&files)
            .flat_map(|(file, why)| std::iter::repeat_n(why, file.hunks.len()));
        let opinion = |map: &Map, logit: Logit, why: Option<&Abstention>| match why {
            None => Opinion::Score(self.score(map, logit, self.prior)),
            Some(why) => Opinion::Abstention(why.clone()),
        };
        Verdict {
            patch: opinion(&self.calibration.patch, logits.patch, whole.as_ref()),
            hunks: logits
                .hunks
                .iter()
                .zip(of_hunk)
                .map(|(&logit, why)| {
                    let why = whole.as_ref().or(why.as_ref());
                    opinion(&self.calibration.hunk, logit, why)
                })
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
        let again = |map: &Map, old: &Opinion| match old {
            Opinion::Score(old) => Opinion::Score(self.score(map, old.logit, prior)),
            Opinion::Abstention(_) => old.clone(),
        };
        Verdict {
            patch: again(&self.calibration.patch, &verdict.patch),
            hunks: verdict
                .hunks
                .iter()
                .map(|old| again(&self.calibration.hunk, old))
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
    use crate::scoring::sample::{judge, logits, request};

    #[test]
    fn judging_again_moves_probabilities_and_keeps_logits() {
        let judge_at = |prior| judge(prior);
        let judge = judge_at(None);
        let logits = logits(0.3, &[-1.0]);
        let patch = request("x").patch;
        let verdict = judge.judge(&patch, &logits, true);
        let prior = Some(Probability::new(0.9).unwrap());
        let again = judge.judge_again(&verdict, prior);
        let direct = judge_at(prior).judge(&patch, &logits, true);
        assert_eq!(again, direct);
        assert!(again.hunks[0].probability() > verdict.hunks[0].probability());
        assert_eq!(judge.judge_again(&again, None), verdict);
    }

    #[test]
    fn what_cannot_be_judged_has_no_score_at_any_prior() {
        let judge = judge(None).within(Scope::new(vec!["rust".into()], None));
        let rust = request("x").patch;
        let named = |name: &str| {
            let mut patch = rust.clone();
            patch.files[0].new_path = Some(name.into());
            patch
        };
        let prior = Some(Probability::new(0.9).unwrap());
        // Known before the model has read anything.
        let prose = ScoreRequest {
            patch: named("a.md"),
            task: None,
        };
        let verdict = judge.abstain(&prose).unwrap();
        assert_eq!(verdict.patch.abstention(), Some(&Abstention::Prose));
        assert_eq!(verdict.hunks[0].probability(), None);
        assert_eq!(judge.judge_again(&verdict, prior), verdict);
        assert_eq!(judge.abstain(&request("x")), None);
        // One of several files.
        let mut both = rust.clone();
        both.files.extend(named("a.md").files);
        let verdict = judge.judge(&both, &logits(0.0, &[0.0, 0.0]), false);
        assert!(verdict.patch.probability().is_some() && verdict.hunks[0].probability().is_some());
        assert_eq!(verdict.hunks[1].abstention(), Some(&Abstention::Prose));
        assert_eq!(verdict.low_hunks(Probability::ONE), 1);
        // Known only from how much was read.
        let mut unread = logits(0.0, &[0.0]);
        unread.read = Probability::new(0.01).unwrap();
        let verdict = judge.judge(&rust, &unread, false);
        assert_eq!(verdict.patch.abstention().unwrap().code(), "unread");
        assert_eq!(verdict.hunks[0].abstention().unwrap().code(), "unread");
    }
}
