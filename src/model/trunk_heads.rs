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
use super::reader::{LateReader, Reader};
use super::reversal::{self, Side};
use super::reward::{ModelError, ModelIdentity, PatchLogits, RewardModel, Run, SuspectLine};
use super::surroundings::{self, Term};
use super::threads::Threads;
use super::window::{Limits, Windows};
use crate::calibration::{Logit, Probability};
use crate::change::Patch;
use std::collections::HashMap;
use std::num::NonZeroUsize;

/// A loaded model of kind `trunk-heads`.
pub struct TrunkHeads {
    identity: ModelIdentity,
    limits: Limits,
    /// Of the trunk's states.
    hidden: usize,
    reader: LateReader,
    weights: HeadWeights,
    threads: Threads,
}

/// A judgement with all that led to it.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// What the trunk read; `None` without a task description.
    pub windows: Option<Windows>,
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
        hidden: usize,
        reader: LateReader,
        weights: HeadWeights,
        threads: Threads,
    ) -> Self {
        Self {
            identity,
            limits,
            hidden,
            reader,
            weights,
            threads,
        }
    }

    /// Loads what only patches with a description need, unless that was done.
    ///
    /// # Errors
    /// [`ModelError`] naming the file and field at fault.
    pub fn load_reader(&self) -> Result<(), ModelError> {
        self.reader.get().map(drop)
    }

    /// Lays the patch out in token windows, as [`RewardModel::score`] does first.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] if the tokenizer fails; [`ModelError`] naming the file at fault if
    /// it cannot be loaded.
    pub fn windows(&self, patch: &Patch, task: Option<&str>) -> Result<Windows, ModelError> {
        self.windows_by(self.reader.get()?, patch, task)
    }

    fn windows_by(
        &self,
        reader: &Reader,
        patch: &Patch,
        task: Option<&str>,
    ) -> Result<Windows, ModelError> {
        Windows::pack(patch, task, self.limits, &mut |text| {
            reader
                .tokenizer
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
        run: &Run,
    ) -> Result<Judgement, ModelError> {
        if !patch.changes_lines() {
            return Err(ModelError::NothingToScore);
        }
        let problem = Problem::new(task);
        // Without a description the patch's score does not depend on what the trunk says, and of
        // hunks it says too little for its time, which is nearly all that a score takes.
        let is_described = !problem.text.is_empty();
        let read = is_described.then(|| {
            let reader = self.reader.get()?;
            Ok::<_, ModelError>((reader, self.windows_by(reader, patch, task)?))
        });
        let read = read.transpose()?;
        self.threads
            .run(|| self.judge_here(patch, &problem, read, run))
    }

    fn judge_here(
        &self,
        patch: &Patch,
        problem: &Problem<'_>,
        read: Option<(&Reader, Windows)>,
        run: &Run,
    ) -> Result<Judgement, ModelError> {
        let pools = self.read(read.as_ref(), run)?;
        let (text, hunks, lines) = self.hunks(patch, problem, &pools, run)?;
        let judges = &self.weights.patch;
        let metrics = metrics::of_patch(patch, problem);
        let branches = if judges.takes_for_snippet(patch, &metrics) {
            PatchBranches::Snippet {
                trees: judges.snippet.1.sum(&metrics),
            }
        } else if problem.text.is_empty() {
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
        // Of agents' patches with one hunk that tests ran on, the branches of hunks know nothing.
        let is_patch = patch.hunk_count() == 1 && branches.is_taught_by_tests();
        let of_hunk = |hunk: HunkBranches| {
            let fused = if is_patch {
                fusion.of_patch(logit.get())
            } else {
                fusion.logit(&hunk, logit.get())
            };
            Ok((hunk, finite(fused)?))
        };
        let hunks = hunks
            .into_iter()
            .map(of_hunk)
            .collect::<Result<_, ModelError>>()?;
        Ok(Judgement {
            windows: read.map(|(_, windows)| windows),
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
        run: &Run,
    ) -> Result<(Counts, Vec<HunkBranches>, Vec<LineScores>), ModelError> {
        let judges = &self.weights.hunk;
        let hunks_with = surroundings::hunks_with(patch);
        let ours = self.sides(patch, &hunks_with, problem, run)?;
        let reverse = reversal::reversed(patch);
        let reverse_with = surroundings::hunks_with(&reverse);
        let theirs = self.sides(&reverse, &reverse_with, problem, run)?;
        let surroundings = surroundings::of_hunks(patch, &hunks_with);
        let mut counts = Counts::default();
        let mut branches = Vec::with_capacity(ours.len());
        let sides = ours.iter().zip(&theirs).zip(&surroundings);
        for ((index, (_, hunk)), ((ours, theirs), around)) in patch.hunks().enumerate().zip(sides) {
            stop_if(run)?;
            let terms = Counts::of(hunk, self.weights.buckets);
            counts.add(&terms);
            let against = reversal::against(&judges.direction, ours, theirs);
            let numbers = [&ours.metrics, &around[..], &ours.lines, &against].concat();
            let features = pools.hunk(index, &judges.pools);
            let ([total, ..], [.., direction]) = (ours.lines, against);
            branches.push(HunkBranches {
                trunk: features.map(|features| judges.head.logit(&features)),
                text: judges.lexical.logit(&terms),
                lines: total,
                direction,
                trees: judges.trees.sum(&numbers),
                keeps_size: metrics::keeps_size(&ours.metrics),
            });
        }
        let scores = ours.into_iter().map(|side| side.scores).collect();
        Ok((counts, branches, scores))
    }

    /// What the trees see of each hunk by itself.
    fn sides(
        &self,
        patch: &Patch,
        hunks_with: &HashMap<Term<'_>, usize>,
        problem: &Problem<'_>,
        run: &Run,
    ) -> Result<Vec<Side>, ModelError> {
        let score = |(_, hunk)| {
            stop_if(run)?;
            Ok(self.weights.hunk.lines.scores(hunk, hunks_with))
        };
        let scores = patch
            .hunks()
            .map(score)
            .collect::<Result<Vec<_>, ModelError>>()?;
        let summaries = lines::summaries(patch, &scores);
        let numbers = summaries.into_iter().zip(scores);
        let side = |((file, hunk), (lines, scores))| {
            stop_if(run)?;
            Ok(Side {
                metrics: metrics::of_hunk(file, hunk, problem),
                lines,
                scores,
            })
        };
        patch.hunks().zip(numbers).map(side).collect()
    }

    fn read<'a>(
        &self,
        read: Option<&'a (&Reader, Windows)>,
        run: &Run,
    ) -> Result<Pools<'a>, ModelError> {
        let readouts = &self.weights.readouts;
        let places = read.map_or(&[][..], |(_, windows)| &windows.places);
        let mut pools = Pools::new(places, readouts.len(), self.hidden);
        let Some((reader, windows)) = read else {
            return Ok(pools);
        };
        run.expect(windows.tokens());
        for (number, window) in windows.windows.iter().enumerate() {
            let states = reader.trunk.forward(&window.ids, readouts, run)?;
            run.advance(window.ids.len());
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
        &self,
        patch: &Patch,
        task: Option<&str>,
        run: &Run,
    ) -> Result<PatchLogits, ModelError> {
        let judgement = self.judge(patch, task, run)?;
        let windows = judgement.windows.as_ref();
        Ok(PatchLogits {
            patch: judgement.patch.1,
            hunks: judgement.hunks.iter().map(|(_, logit)| *logit).collect(),
            suspects: judgement.suspects,
            tokens: windows.map_or(0, Windows::tokens),
            truncated: windows.is_some_and(|windows| windows.truncated),
            read: windows.map_or(Probability::ONE, |windows| windows.read(patch)),
        })
    }

    fn at_once(&self) -> NonZeroUsize {
        // A patch is too small to keep all threads busy.
        self.threads.count()
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

fn stop_if(run: &Run) -> Result<(), ModelError> {
    if run.is_cancelled() {
        Err(ModelError::Cancelled)
    } else {
        Ok(())
    }
}

fn finite(value: f64) -> Result<Logit, ModelError> {
    Logit::new(value).map_err(|_| ModelError::NotFinite)
}
