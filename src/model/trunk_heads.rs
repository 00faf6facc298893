//! The bundled kind of model: a trunk with heads, a lexical branch and change metrics.
//!
//! Invariant: [`TrunkHeads::score`] and [`TrunkHeads::judge`] compute the same; the latter only
//! keeps what it computed on the way, for tests and explanations.

use super::fusion::{HunkBranches, PatchBranches};
use super::heads::HeadWeights;
use super::lexical::Counts;
use super::lines::{self, LineScores};
use super::metrics;
use super::pool::Pools;
use super::problem::Problem;
use super::reversal::{self, Side};
use super::reward::{Cancel, ModelError, ModelIdentity, PatchLogits, RewardModel, SuspectLine};
use super::surroundings::{self, Term};
use super::threads::Threads;
use super::trunk::Trunk;
use super::window::{Limits, Windows};
use crate::calibration::Logit;
use crate::change::{LineKind, Patch};
use std::collections::HashMap;
use tokenizers::Tokenizer;

/// A loaded model of kind `trunk-heads`.
pub struct TrunkHeads {
    identity: ModelIdentity,
    limits: Limits,
    tokenizer: Tokenizer,
    trunk: Trunk,
    weights: HeadWeights,
    threads: Threads,
}

/// A judgement with all that led to it.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// What the trunk read.
    pub windows: Windows,
    /// The change metrics of the patch.
    pub metrics: Vec<f64>,
    /// The patch as a whole.
    pub patch: (PatchBranches, Logit),
    /// Each hunk, in the order of [`Patch::hunks`].
    pub hunks: Vec<(HunkBranches, Logit)>,
    /// The suspect lines of each hunk.
    pub suspects: Vec<Vec<SuspectLine>>,
}

impl TrunkHeads {
    pub(super) fn new(
        identity: ModelIdentity,
        limits: Limits,
        tokenizer: Tokenizer,
        trunk: Trunk,
        weights: HeadWeights,
        threads: Threads,
    ) -> Self {
        Self {
            identity,
            limits,
            tokenizer,
            trunk,
            weights,
            threads,
        }
    }

    /// Lays the patch out in token windows, as [`RewardModel::score`] does first.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] if the tokenizer fails.
    pub fn windows(&self, patch: &Patch, task: Option<&str>) -> Result<Windows, ModelError> {
        Windows::pack(patch, task, self.limits, &mut |text| {
            self.tokenizer
                .encode_fast(text, false)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| ModelError::Tokenizer(error.to_string()))
        })
    }

    /// Scores a patch and keeps what every branch said.
    ///
    /// # Errors
    /// As for [`RewardModel::score`].
    pub fn judge(
        &self,
        patch: &Patch,
        task: Option<&str>,
        cancel: &Cancel,
    ) -> Result<Judgement, ModelError> {
        let changes = |kind| patch.hunks().any(|(_, hunk)| hunk.count(kind) > 0);
        if !changes(LineKind::Added) && !changes(LineKind::Removed) {
            return Err(ModelError::NothingToScore);
        }
        self.threads.run(|| self.judge_here(patch, task, cancel))
    }

    fn judge_here(
        &self,
        patch: &Patch,
        task: Option<&str>,
        cancel: &Cancel,
    ) -> Result<Judgement, ModelError> {
        let windows = self.windows(patch, task)?;
        let pools = self.read(&windows, cancel)?;
        let problem = Problem::new(task);

        let (text, hunks, lines) = self.hunks(patch, &problem, &pools, cancel)?;
        let judges = &self.weights.patch;
        let metrics = metrics::of_patch(patch, &problem);
        let branches = if problem.text.is_empty() {
            PatchBranches::Bare {
                text: judges.bare.0.logit(&text),
                trees: judges.bare.1.sum(&metrics),
            }
        } else {
            PatchBranches::Described {
                trunk: judges.head.logit(&pools.patch(&judges.pools)),
                text: judges.lexical.logit(&text),
                metrics: judges.metrics.logit(&metrics),
                trees: judges.trees.sum(&metrics),
            }
        };
        let logit = finite(judges.fusion.logit(&branches))?;
        let fusion = &self.weights.hunk.fusion;
        let hunks = hunks
            .into_iter()
            .map(|branches| Ok((branches, finite(fusion.logit(&branches, logit.get()))?)))
            .collect::<Result<_, ModelError>>()?;
        Ok(Judgement {
            windows,
            metrics,
            patch: (branches, logit),
            hunks,
            suspects: lines.iter().map(LineScores::suspects).collect(),
        })
    }

    /// The terms of the patch, and what is known of each hunk.
    fn hunks(
        &self,
        patch: &Patch,
        problem: &Problem<'_>,
        pools: &Pools<'_>,
        cancel: &Cancel,
    ) -> Result<(Counts, Vec<HunkBranches>, Vec<LineScores>), ModelError> {
        let judges = &self.weights.hunk;
        let hunks_with = surroundings::hunks_with(patch);
        let scores = self.lines(patch, &hunks_with, cancel)?;
        let summaries = lines::summaries(patch, &scores);
        let surroundings = surroundings::of_hunks(patch, &hunks_with);
        let reverse = reversal::reversed(patch);
        let reverse_scores = self.lines(&reverse, &surroundings::hunks_with(&reverse), cancel)?;
        let reverse_summaries = lines::summaries(&reverse, &reverse_scores);
        let mut counts = Counts::default();
        let mut branches = Vec::with_capacity(scores.len());
        let ours = summaries.iter().zip(&scores).zip(&surroundings);
        let theirs = reverse.hunks().zip(&reverse_summaries).zip(&reverse_scores);
        let hunks = patch.hunks().enumerate().zip(ours).zip(theirs);
        for (((index, (file, hunk)), ((lines, scores), around)), theirs) in hunks {
            stop_if(cancel)?;
            let (((reverse_file, reverse_hunk), reverse_lines), reverse_scores) = theirs;
            let terms = Counts::of(hunk, self.weights.buckets);
            counts.add(&terms);
            let mut numbers = metrics::of_hunk(file, hunk, problem);
            let against = reversal::against(
                &judges.direction,
                &Side {
                    metrics: &numbers,
                    lines,
                    found: &scores.found,
                },
                &Side {
                    metrics: &metrics::of_hunk(reverse_file, reverse_hunk, problem),
                    lines: reverse_lines,
                    found: &reverse_scores.found,
                },
            );
            numbers.extend(around);
            numbers.extend(lines);
            numbers.extend(&against);
            let features = pools.hunk(index, &judges.pools);
            let [total, ..] = lines;
            branches.push(HunkBranches {
                trunk: features.map(|features| judges.head.logit(&features)),
                text: judges.lexical.logit(&terms),
                lines: *total,
                direction: against.last().copied().unwrap_or_default(),
                trees: judges.trees.sum(&numbers),
            });
        }
        Ok((counts, branches, scores))
    }

    /// What the line branch says of each hunk.
    fn lines(
        &self,
        patch: &Patch,
        hunks_with: &HashMap<Term<'_>, usize>,
        cancel: &Cancel,
    ) -> Result<Vec<LineScores>, ModelError> {
        let score = |(_, hunk)| {
            stop_if(cancel)?;
            Ok(self.weights.hunk.lines.scores(hunk, hunks_with))
        };
        patch.hunks().map(score).collect()
    }

    fn read<'a>(&self, windows: &'a Windows, cancel: &Cancel) -> Result<Pools<'a>, ModelError> {
        let readouts = &self.weights.readouts;
        let mut pools = Pools::new(windows, readouts.len(), self.trunk.hidden());
        for (number, window) in windows.windows.iter().enumerate() {
            let states = self.trunk.forward(&window.ids, readouts, cancel)?;
            for (readout, states) in states.iter().enumerate() {
                let states = states.flatten_all()?.to_vec1()?;
                pools.take(readout, number, window, states);
            }
        }
        Ok(pools)
    }
}

impl RewardModel for TrunkHeads {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn score(
        &mut self,
        patch: &Patch,
        task: Option<&str>,
        cancel: &Cancel,
    ) -> Result<PatchLogits, ModelError> {
        let judgement = self.judge(patch, task, cancel)?;
        Ok(PatchLogits {
            patch: judgement.patch.1,
            hunks: judgement.hunks.iter().map(|(_, logit)| *logit).collect(),
            suspects: judgement.suspects,
            tokens: judgement.windows.tokens(),
            truncated: judgement.windows.truncated,
        })
    }
}

impl std::fmt::Debug for TrunkHeads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrunkHeads")
            .field("identity", &self.identity)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn stop_if(cancel: &Cancel) -> Result<(), ModelError> {
    if cancel.is_cancelled() {
        Err(ModelError::Cancelled)
    } else {
        Ok(())
    }
}

fn finite(value: f64) -> Result<Logit, ModelError> {
    Logit::new(value).map_err(|_| ModelError::NotFinite)
}
