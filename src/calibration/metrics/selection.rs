//! Picking one of several candidates for the same task.
//!
//! RM@k is the expected label of the top-scored of k candidates drawn without replacement from a
//! task's candidates, averaged over tasks: computed exactly, not by drawing. Candidates tied for
//! the top are picked from at random. A task with fewer than k candidates uses all it has.
//! RM@1 is pass@1; RM over all candidates is RM@k with k the size of the task.

use super::evaluation::Observation;
use super::ranking::auc;
use super::tally::Tally;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the scores are worth for picking candidates, over a set of tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Selection<T> {
    /// A random pick: mean over tasks of the share of correct candidates.
    pub pass_at_1: T,
    /// The top-scored of k.
    pub at: Vec<AtK<T>>,
    /// The top-scored of all candidates of a task.
    pub rm: T,
    /// The best possible pick: share of tasks with a correct candidate.
    pub oracle: T,
    /// `(rm - pass_at_1) / (oracle - pass_at_1)`: 0 is a random pick, 1 the best possible one.
    pub share_of_gap: T,
}

/// Picks among k candidates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtK<T> {
    /// Candidates drawn.
    pub k: usize,
    /// RM@k.
    pub rm: T,
    /// pass@k: the chance that one of the k is correct.
    pub oracle: T,
}

/// What one task contributes; fixed, so that a resample only averages.
#[derive(Debug, Clone)]
pub(super) struct TaskOutcome {
    pub(super) task: u32,
    /// AUC among the candidates; `None` unless both labels occur.
    pub(super) auc: Option<f64>,
    pass_at_1: f64,
    at: Vec<(f64, f64)>,
    rm: f64,
    oracle: f64,
}

/// One entry for each task, by ascending task number.
pub(super) fn outcomes(observations: &[Observation], ks: &[usize]) -> Vec<TaskOutcome> {
    let mut tasks: BTreeMap<u32, Vec<(f64, bool)>> = BTreeMap::new();
    for observation in observations {
        if let Some(task) = observation.task {
            let candidate = (observation.score, observation.correct);
            tasks.entry(task).or_default().push(candidate);
        }
    }
    tasks
        .into_iter()
        .map(|(task, candidates)| {
            let tally = Tally::new(&candidates);
            let count = candidates.len();
            TaskOutcome {
                task,
                auc: auc(&tally),
                pass_at_1: rm_at(&tally, 1),
                at: ks
                    .iter()
                    .map(|&k| (rm_at(&tally, k), pass_at(&tally, k)))
                    .collect(),
                rm: rm_at(&tally, count),
                oracle: pass_at(&tally, count),
            }
        })
        .collect()
}

/// Mean over the tasks, each as often as `weight` says. `None` fields without tasks.
pub(super) fn select<'a>(
    tasks: impl Iterator<Item = (&'a TaskOutcome, f64)>,
    ks: &[usize],
) -> Selection<Option<f64>> {
    let (mut count, mut pass_at_1, mut rm, mut oracle) = (0.0, 0.0, 0.0, 0.0);
    let mut at = vec![(0.0, 0.0); ks.len()];
    for (task, weight) in tasks {
        count += weight;
        pass_at_1 += weight * task.pass_at_1;
        rm += weight * task.rm;
        oracle += weight * task.oracle;
        for (sum, value) in at.iter_mut().zip(&task.at) {
            sum.0 += weight * value.0;
            sum.1 += weight * value.1;
        }
    }
    let mean = |sum: f64| (count > 0.0).then(|| sum / count);
    // Sums of products round: a gap of nothing must not become a tiny one.
    let gap = oracle - pass_at_1;
    Selection {
        pass_at_1: mean(pass_at_1),
        at: ks
            .iter()
            .zip(at)
            .map(|(&k, (rm, oracle))| AtK {
                k,
                rm: mean(rm),
                oracle: mean(oracle),
            })
            .collect(),
        rm: mean(rm),
        oracle: mean(oracle),
        share_of_gap: (gap > 1e-9 * count).then(|| (rm - pass_at_1) / gap),
    }
}

/// Mean AUC over the tasks that have one.
pub(super) fn within_task_auc<'a>(
    tasks: impl Iterator<Item = (&'a TaskOutcome, f64)>,
) -> Option<f64> {
    let (mut count, mut sum) = (0.0, 0.0);
    for (task, weight) in tasks {
        if let Some(auc) = task.auc {
            count += weight;
            sum += weight * auc;
        }
    }
    (count > 0.0).then(|| sum / count)
}

/// RM@k of one task with at least one candidate; `k` of at least 1.
///
/// A group of tied candidates decides when none of the `above` higher ones is drawn and at least
/// one of the group is: `none_of(above) - none_of(above + group)`.
pub(crate) fn rm_at(candidates: &Tally, k: usize) -> f64 {
    let count = candidates.count();
    let k = (k as f64).min(count);
    let (mut above, mut none_above, mut expected) = (0.0, 1.0, 0.0);
    for place in (0..candidates.values.len()).rev() {
        let group = candidates.total[place];
        let none_through = none_of(none_above, above, group, count, k);
        expected += (none_above - none_through) * candidates.positive[place] / group;
        above += group;
        none_above = none_through;
    }
    expected
}

/// pass@k of one task (Chen et al. 2021): the chance that k drawn hold a correct one.
pub(crate) fn pass_at(candidates: &Tally, k: usize) -> f64 {
    let count = candidates.count();
    let positives: f64 = candidates.positive.iter().sum();
    1.0 - none_of(1.0, 0.0, positives, count, (k as f64).min(count))
}

/// The chance that k of `count` drawn without replacement avoid `passed + more` given ones, when
/// `chance` is that of avoiding the first `passed`.
fn none_of(chance: f64, passed: f64, more: f64, count: f64, k: f64) -> f64 {
    let (mut chance, mut passed) = (chance, passed);
    let end = passed + more;
    while passed < end {
        chance *= ((count - passed - k) / (count - passed)).max(0.0);
        passed += 1.0;
    }
    chance
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RM@k by trying every subset of k candidates.
    fn brute_force(candidates: &[(f64, bool)], k: usize) -> f64 {
        let (mut sum, mut subsets) = (0.0, 0.0);
        for subset in 0u32..1 << candidates.len() {
            if subset.count_ones() as usize != k {
                continue;
            }
            let drawn = |i: &usize| subset >> i & 1 == 1;
            let chosen: Vec<_> = (0..candidates.len())
                .filter(drawn)
                .map(|i| candidates[i])
                .collect();
            let best = chosen.iter().map(|c| c.0).fold(f64::MIN, f64::max);
            let top: Vec<_> = chosen.iter().filter(|c| c.0 == best).collect();
            sum += top.iter().filter(|c| c.1).count() as f64 / top.len() as f64;
            subsets += 1.0;
        }
        sum / subsets
    }

    fn candidates() -> impl Strategy<Value = Vec<(f64, bool)>> {
        prop::collection::vec(((0u8..5).prop_map(f64::from), any::<bool>()), 1..9)
    }

    proptest! {
        #[test]
        fn rm_at_k_equals_trying_every_subset(candidates in candidates()) {
            let tally = Tally::new(&candidates);
            for k in 1..=candidates.len() {
                prop_assert!((rm_at(&tally, k) - brute_force(&candidates, k)).abs() < 1e-12);
            }
        }

        #[test]
        fn rm_at_1_is_pass_at_1_and_the_oracle_is_never_beaten(candidates in candidates()) {
            let tally = Tally::new(&candidates);
            let share = candidates.iter().filter(|c| c.1).count() as f64 / candidates.len() as f64;
            prop_assert!((rm_at(&tally, 1) - share).abs() < 1e-12);
            for k in 1..=candidates.len() {
                prop_assert!(pass_at(&tally, k) >= rm_at(&tally, k) - 1e-12);
            }
        }

        #[test]
        fn with_all_candidates_the_top_scored_is_picked(labels in prop::collection::vec(any::<bool>(), 1..40)) {
            let ranked: Vec<_> = labels.iter().enumerate().map(|(i, &y)| (i as f64, y)).collect();
            let best = f64::from(u8::from(*labels.last().unwrap()));
            prop_assert_eq!(rm_at(&Tally::new(&ranked), labels.len()), best);
        }
    }

    #[test]
    fn more_draws_than_candidates_means_all_of_them() {
        let tally = Tally::new(&[(0.2, true), (0.9, false)]);
        assert_eq!(rm_at(&tally, 32), 0.0);
        assert_eq!(pass_at(&tally, 32), 1.0);
    }
}
