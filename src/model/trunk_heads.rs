//! The bundled kind of model: a trunk with heads, a lexical branch and change metrics.
//!
//! Invariant: [`TrunkHeads::score`] and [`TrunkHeads::judge`] compute the same; the latter only
//! keeps what it computed on the way, for tests and explanations.

use super::fusion::BranchLogits;
use super::heads::HeadWeights;
use super::lexical::Counts;
use super::metrics::{self, METRICS, Problem};
use super::pool::Pools;
use super::reward::{Cancel, ModelError, ModelIdentity, PatchLogits, RewardModel};
use super::threads::Threads;
use super::trunk::Trunk;
use super::window::{Limits, Windows};
use crate::calibration::Logit;
use crate::change::{LineKind, Patch};
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
    pub metrics: [f64; METRICS],
    /// The patch as a whole.
    pub patch: (BranchLogits, Logit),
    /// Each hunk, in the order of [`Patch::hunks`].
    pub hunks: Vec<(BranchLogits, Logit)>,
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

        let mut counts = Counts::default();
        let mut hunks = Vec::with_capacity(windows.places.len());
        let judges = &self.weights.hunk;
        for (index, (file, hunk)) in patch.hunks().enumerate() {
            if cancel.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
            let terms = Counts::of(hunk, self.weights.buckets);
            counts.add(&terms);
            hunks.push(BranchLogits {
                trunk: pools
                    .hunk(index, &judges.pools)
                    .map(|features| judges.head.logit(&features)),
                text: judges.lexical.logit(&terms),
                metrics: judges
                    .metrics
                    .logit(&metrics::of_hunk(file, hunk, &problem)),
            });
        }

        let judges = &self.weights.patch;
        let metrics = metrics::of_patch(patch, &problem);
        let branches = BranchLogits {
            trunk: Some(judges.head.logit(&pools.patch(&judges.pools))),
            text: judges.lexical.logit(&counts),
            metrics: judges.metrics.logit(&metrics),
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
        })
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

fn finite(value: f64) -> Result<Logit, ModelError> {
    Logit::new(value).map_err(|_| ModelError::NotFinite)
}
