//! What ranking is worth: how often the pick among k candidates is correct, by what it goes by.
//!
//! RM@k is the expected label of the pick among k candidates drawn without replacement from a
//! task's, averaged over tasks. A pick sees only the k that were drawn: agreement is counted among
//! them alone, as `rank` would count it. Candidates tied for the top are picked from at random; a
//! task with fewer than k candidates uses all it has.
//!
//! Invariant: the result depends on the candidates and the seed alone.

use super::agreement::{Words, mean_overlaps};
use super::value;
use crate::calibration::Probability;
use crate::calibration::metrics::bootstrap::{Random, estimate_by_cluster, weighted_mean};
use crate::calibration::metrics::selection::{pass_at, rm_at};
use crate::calibration::metrics::{Estimate, Tally};
use serde::Serialize;

/// Tasks with fewer candidates are left out: with them there is little to choose and nothing to
/// agree with.
pub const FEWEST_CANDIDATES: usize = 4;
/// Numbers of candidates on the curve, up to the size of the largest task.
const KS: [usize; 5] = [1, 2, 4, 8, 16];
/// Draws of k candidates that are tried: all there are, or so many at random.
const MOST_DRAWS: usize = 1_000;
/// Sums of the same overlaps in another order differ by less; what is nearer counts as tied.
const TIE: f64 = 1e-9;

/// A candidate whose outcome is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// How likely it is correct, by itself.
    pub probability: Probability,
    /// What it changes; `None` if its patch cannot be read, so that it agrees with nothing.
    pub words: Option<Words>,
    /// Whether it is correct.
    pub correct: bool,
}

/// RM@k by each way to pick, over the tasks with enough candidates and both labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RmCurve {
    /// Number of tasks.
    pub tasks: usize,
    /// Number of their candidates.
    pub candidates: usize,
    /// Tasks with fewer candidates are left out.
    pub fewest_candidates: usize,
    /// The numbers of candidates on the curves.
    pub k: Vec<usize>,
    /// One for each way to pick, the worst possible first and the best possible last.
    pub curves: Vec<Curve>,
}

/// One way to pick.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// What the pick goes by.
    pub name: &'static str,
    /// The share of correct picks for each `k`.
    pub at: Vec<Estimate>,
    /// The same with all candidates of each task.
    pub all: Estimate,
    /// How much of the way from `random` to `oracle` that is.
    pub share_of_gap: Estimate,
}

/// Names of the curves, in their order.
const NAMES: [&str; 5] = ["random", "score", "agreement", "both", "oracle"];

/// What each way to pick gets in one task.
type Picks = [f64; NAMES.len()];

/// Measures the tasks, each given by its candidates.
#[must_use]
pub fn rm_curve(tasks: &[Vec<Contender>], resamples: usize, seed: u64) -> RmCurve {
    let tasks: Vec<Task<'_>> = tasks
        .iter()
        .filter(|contenders| counts(contenders))
        .map(|contenders| Task::new(contenders))
        .collect();
    let sizes = || tasks.iter().map(|task| task.contenders.len());
    let largest = sizes().max().unwrap_or(0);
    let k: Vec<usize> = KS.into_iter().filter(|&k| k <= largest).collect();
    let mut random = Random::new(seed);
    // By k, and at the end all candidates; then by task.
    let picks: Vec<Vec<Picks>> = k
        .iter()
        .copied()
        .chain([usize::MAX])
        .map(|k| {
            let pick = |task: &Task<'_>| task.pick(k.min(task.contenders.len()), &mut random);
            tasks.iter().map(pick).collect()
        })
        .collect();
    let clusters: Vec<u32> = (0..tasks.len() as u32).collect();
    let estimate = |measure: &dyn Fn(&[f64]) -> Option<f64>| {
        estimate_by_cluster(&clusters, resamples, seed, measure)
    };
    let column = |picks: &[Picks], way: usize| -> Vec<f64> {
        picks.iter().map(|picks| picks[way]).collect()
    };
    let mean = |picks: &[Picks], way| {
        let values = column(picks, way);
        estimate(&|weights| weighted_mean(&values, weights))
    };
    let (all, at) = picks
        .split_last()
        .map_or((&[][..], &[][..]), |(all, at)| (all, at));
    let (lowest, highest) = (column(all, 0), column(all, NAMES.len() - 1));
    let curves = NAMES.iter().enumerate().map(|(way, &name)| {
        let got = column(all, way);
        Curve {
            name,
            at: at.iter().map(|picks| mean(picks, way)).collect(),
            all: mean(all, way),
            share_of_gap: estimate(&|weights| {
                let low = weighted_mean(&lowest, weights)?;
                let gap = weighted_mean(&highest, weights)? - low;
                (gap > TIE).then_some((weighted_mean(&got, weights)? - low) / gap)
            }),
        }
    });
    RmCurve {
        tasks: tasks.len(),
        candidates: sizes().sum(),
        fewest_candidates: FEWEST_CANDIDATES,
        curves: curves.collect(),
        k,
    }
}

fn counts(task: &[Contender]) -> bool {
    let correct = task.iter().filter(|contender| contender.correct).count();
    task.len() >= FEWEST_CANDIDATES && correct > 0 && correct < task.len()
}

/// A task with what picks of any size go by.
struct Task<'a> {
    contenders: &'a [Contender],
    tally: Tally,
    /// Of each contender with each.
    overlaps: Vec<Vec<f64>>,
}

impl<'a> Task<'a> {
    fn new(contenders: &'a [Contender]) -> Self {
        let scored: Vec<(f64, bool)> = contenders
            .iter()
            .map(|contender| (contender.probability.get(), contender.correct))
            .collect();
        let overlap = |a: &Contender, b: &Contender| match (&a.words, &b.words) {
            (Some(a), Some(b)) => a.overlap(b),
            _ => 0.0,
        };
        let row = |a| contenders.iter().map(|b| overlap(a, b)).collect();
        Self {
            contenders,
            tally: Tally::new(&scored),
            overlaps: contenders.iter().map(row).collect(),
        }
    }

    /// What picks among `k` of the contenders are worth, in the order of [`NAMES`].
    fn pick(&self, k: usize, random: &mut Random) -> Picks {
        let (mut agreement, mut both, mut count) = (0.0, 0.0, 0.0);
        draws(self.contenders.len(), k, random, |drawn| {
            let overlap = |a: usize, b: usize| self.overlaps[drawn[a]][drawn[b]];
            let agreements = mean_overlaps(k, overlap);
            let label = |place: usize| self.contenders[drawn[place]].correct;
            agreement += top(agreements.iter().map(|one| one.unwrap_or(0.0)), label);
            let values = drawn.iter().zip(&agreements);
            let value = |(&index, &agreement): (&usize, &Option<f64>)| {
                value(self.contenders[index].probability, agreement)
            };
            both += top(values.map(value), label);
            count += 1.0;
        });
        [
            rm_at(&self.tally, 1),
            rm_at(&self.tally, k),
            agreement / count,
            both / count,
            pass_at(&self.tally, k),
        ]
    }
}

/// The share of correct ones among those with the highest value.
fn top(values: impl Iterator<Item = f64> + Clone, correct: impl Fn(usize) -> bool) -> f64 {
    let highest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let tied = values
        .enumerate()
        .filter(|(_, value)| *value >= highest - TIE);
    let (mut count, mut good) = (0.0, 0.0);
    for (place, _) in tied {
        count += 1.0;
        good += f64::from(u8::from(correct(place)));
    }
    good / count
}

/// Every choice of `k` out of `count`, or [`MOST_DRAWS`] at random if there are more.
fn draws(count: usize, k: usize, random: &mut Random, mut each: impl FnMut(&[usize])) {
    if choices(count, k) > MOST_DRAWS {
        let mut order: Vec<usize> = (0..count).collect();
        for _ in 0..MOST_DRAWS {
            for place in 0..k {
                order.swap(place, place + random.below(count - place));
            }
            each(&order[..k]);
        }
        return;
    }
    let mut drawn: Vec<usize> = (0..k).collect();
    loop {
        each(&drawn);
        // The last place that can still move on; those after it follow it.
        let Some(place) = (0..k).rev().find(|&place| drawn[place] < count - k + place) else {
            return;
        };
        let next = drawn[place] + 1;
        for (offset, index) in drawn[place..].iter_mut().enumerate() {
            *index = next + offset;
        }
    }
}

/// How many ways there are to choose `k` of `count`, or more than [`MOST_DRAWS`].
fn choices(count: usize, k: usize) -> usize {
    let mut ways = 1;
    for step in 0..k.min(count - k) {
        ways = ways * (count - step) / (step + 1);
        if ways > MOST_DRAWS {
            return ways;
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Patch;

    fn contender(probability: f64, added: &str, correct: bool) -> Contender {
        let diff = format!("--- a/f\n+++ b/f\n@@ -1,0 +1 @@\n+{added}\n");
        Contender {
            probability: Probability::new(probability).unwrap(),
            words: Some(Words::of(&Patch::from_unified(diff.as_bytes()).unwrap())),
            correct,
        }
    }

    fn values(curve: &RmCurve, name: &str) -> Vec<f64> {
        let curve = curve
            .curves
            .iter()
            .find(|curve| curve.name == name)
            .unwrap();
        let values = curve.at.iter().chain([&curve.all]);
        values
            .map(|estimate| (estimate.value.unwrap() * 1e9).round() / 1e9)
            .collect()
    }

    #[test]
    fn a_task_worked_out_by_hand() {
        // Two agree and one of them is right; the score likes a wrong one best.
        let task = vec![
            contender(0.5, "a b", true),
            contender(0.4, "a b", false),
            contender(0.99, "c", false),
            contender(0.3, "d", false),
        ];
        let curve = rm_curve(&[task], 0, 0);
        assert_eq!(
            (curve.tasks, curve.candidates, &curve.k[..]),
            (1, 4, &[1, 2, 4][..])
        );
        assert_eq!(values(&curve, "random"), [0.25; 4]);
        assert_eq!(values(&curve, "oracle"), [0.25, 0.5, 1.0, 1.0]);
        // Of six pairs the right one is scored above its two lower neighbours.
        assert_eq!(values(&curve, "score"), [0.25, 0.333_333_333, 0.0, 0.0]);
        // Agreement of two is mutual, so a pair is always a tie; of four the first two lead.
        assert_eq!(values(&curve, "agreement"), [0.25, 0.25, 0.5, 0.5]);
        // Log-odds 0 and agreement 1/3 times 12 against log-odds 4.6.
        assert_eq!(values(&curve, "both"), [0.25, 0.333_333_333, 0.0, 0.0]);
        assert_eq!(curve.curves[2].share_of_gap.value, Some(1.0 / 3.0));
    }

    #[test]
    fn tasks_with_nothing_to_choose_are_left_out() {
        let same = |correct| (0..5).map(|_| contender(0.5, "a", correct)).collect();
        let few = vec![contender(0.5, "a", true), contender(0.4, "b", false)];
        let curve = rm_curve(&[same(true), same(false), few], 10, 0);
        assert_eq!((curve.tasks, curve.k.len()), (0, 0));
        assert_eq!(curve.curves[1].all.value, None);
    }

    #[test]
    fn every_choice_is_drawn_once_or_so_many_at_random() {
        let all = |count, k| {
            let mut all = Vec::new();
            draws(count, k, &mut Random::new(1), |drawn| {
                all.push(drawn.to_vec())
            });
            all
        };
        assert_eq!(all(3, 2), [[0, 1], [0, 2], [1, 2]]);
        assert_eq!(all(4, 4), [[0, 1, 2, 3]]);
        let mut some = all(40, 8);
        assert_eq!(some.len(), MOST_DRAWS);
        for drawn in &mut some {
            drawn.sort_unstable();
            drawn.dedup();
            assert!(drawn.len() == 8 && drawn[7] < 40);
        }
    }
}
