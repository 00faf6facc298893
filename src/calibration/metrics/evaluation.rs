//! All measures of one set of records, with intervals and floors.

use super::bootstrap::{Estimate, Interval, Random, Resampler};
use super::floor::{Floor, floors};
use super::selection::{self, AtK, Selection, TaskOutcome};
use super::smooth::{FastSmoothEce, smooth_ece};
use super::tally::{Places, Tally};
use super::{binned, proper, ranking};
use crate::calibration::Probability;
use serde::Serialize;
use std::collections::BTreeMap;

/// A scored record whose outcome is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// What records are ranked by: finite, higher is better, on any scale.
    pub score: f64,
    /// Whether the patch is correct.
    pub correct: bool,
    /// Number of the task that the patch is a candidate for.
    pub task: Option<u32>,
}

/// How [`evaluate`] resamples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvaluationSettings {
    /// Bootstrap resamples, and simulations for the floors. 0 leaves both out.
    pub resamples: usize,
    /// The same seed and records give the same numbers.
    pub seed: u64,
}

/// All measures of a set of records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of records.
    pub n: usize,
    /// Number of correct ones.
    pub positives: usize,
    /// Number of different tasks.
    pub tasks: usize,
    /// Number of tasks with a correct and an incorrect candidate.
    pub tasks_with_both_labels: usize,
    /// Telling correct from incorrect.
    pub ranking: Ranking<Estimate>,
    /// Picking a candidate, over all tasks.
    pub selection: Selection<Estimate>,
    /// Picking a candidate, over the tasks with both labels, the only ones where scores matter.
    pub selection_both_labels: Selection<Estimate>,
    /// One for each column of probabilities.
    pub calibration: Vec<Calibrated>,
}

/// Measures of ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ranking<T> {
    /// Over all records.
    pub auc: T,
    /// Mean over the tasks with both labels of the AUC among their candidates.
    pub within_task_auc: T,
    /// Over all records.
    pub average_precision: T,
}

/// Expected calibration errors, all over P(correct).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CalibrationErrors<T> {
    /// 10 bins of equal width.
    pub ece_10: T,
    /// 15 bins of equal width.
    pub ece_15: T,
    /// 15 bins of about equally many records.
    pub ece_mass_15: T,
    /// No bins.
    pub smooth_ece: T,
}

/// Measures of probabilities that also depend on how sharp they are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scoring<T> {
    /// Mean squared error; lower is better.
    pub brier: T,
    /// 1 is perfect, 0 no better than the base rate.
    pub brier_skill: T,
    /// In nats; lower is better.
    pub log_loss: T,
}

/// Measures of one column of probabilities.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibrated {
    /// Mean probability, to compare with the share of correct records.
    pub mean_probability: Option<f64>,
    /// Calibration errors.
    pub errors: CalibrationErrors<Estimate>,
    /// What a perfectly calibrated model with these probabilities would show.
    pub floor: CalibrationErrors<Option<Floor>>,
    /// Proper scores.
    pub scoring: Scoring<Estimate>,
}

impl<T> CalibrationErrors<T> {
    /// Field by field: the value of the first of `errors` and all values that are there.
    pub(super) fn collect(
        errors: &[CalibrationErrors<Option<f64>>],
        mut make: impl FnMut(fn(&CalibrationErrors<Option<f64>>) -> Option<f64>, Vec<f64>) -> T,
    ) -> Self {
        let mut field = |pick: fn(&CalibrationErrors<Option<f64>>) -> Option<f64>| {
            make(pick, errors.iter().filter_map(pick).collect())
        };
        Self {
            ece_10: field(|e| e.ece_10),
            ece_15: field(|e| e.ece_15),
            ece_mass_15: field(|e| e.ece_mass_15),
            smooth_ece: field(|e| e.smooth_ece),
        }
    }
}

/// Numbers of candidates for which RM@k is reported, up to the size of the largest task.
const KS: [usize; 5] = [2, 4, 8, 16, 32];

/// Measures the records. Each of `probabilities` is one column with a probability for each record:
/// the same scores calibrated in different ways.
#[must_use]
pub fn evaluate(
    observations: &[Observation],
    probabilities: &[Vec<Probability>],
    settings: EvaluationSettings,
) -> Evaluation {
    let mut run = Run::new(observations, probabilities);
    let everyone = vec![1.0; observations.len()];
    let point = run.measure(&everyone, |_| 1.0);
    let mut random = Random::new(settings.seed);

    let mut resampler = Resampler::new(run.clusters.clone());
    let mut resampled = Vec::new();
    if resampler.is_meaningful() {
        let mut weights = everyone.clone();
        for _ in 0..settings.resamples {
            resampler.draw(&mut random, &mut weights);
            resampled.push(run.measure(&weights, |cluster| resampler.times(cluster)));
        }
    }

    run.refill(&everyone);
    let tasks_with_both_labels = run.tasks.iter().filter(|(t, _)| t.auc.is_some()).count();
    let summary = Summary {
        point: &point,
        resampled: &resampled,
    };
    Evaluation {
        n: observations.len(),
        positives: observations.iter().filter(|o| o.correct).count(),
        tasks: run.tasks.len(),
        tasks_with_both_labels,
        ranking: Ranking {
            auc: summary.plain(|m| m.ranking.auc),
            within_task_auc: summary.plain(|m| m.ranking.within_task_auc),
            average_precision: summary.plain(|m| m.ranking.average_precision),
        },
        selection: summary.selection(&run.ks, |m| &m.selection),
        selection_both_labels: summary.selection(&run.ks, |m| &m.selection_both_labels),
        calibration: (0..run.columns.len())
            .map(|index| {
                let column = &run.columns[index];
                summary.calibrated(index, column, settings.resamples, &mut random)
            })
            .collect(),
    }
}

/// The records in the form in which they are counted again for each resample.
struct Run {
    correct: Vec<bool>,
    /// Cluster of each record.
    clusters: Vec<u32>,
    scores: Tally,
    score_places: Places,
    columns: Vec<Column>,
    /// Each task with its cluster.
    tasks: Vec<(TaskOutcome, u32)>,
    ks: Vec<usize>,
}

/// One column of probabilities.
struct Column {
    tally: Tally,
    places: Places,
    smooth: FastSmoothEce,
    smooth_point: Option<f64>,
}

/// What is computed from each resample.
struct Measures {
    ranking: Ranking<Option<f64>>,
    selection: Selection<Option<f64>>,
    selection_both_labels: Selection<Option<f64>>,
    columns: Vec<ColumnMeasures>,
}

/// What is computed from each resample for one set of probabilities.
type ColumnMeasures = (CalibrationErrors<Option<f64>>, Scoring<Option<f64>>);

impl Run {
    fn new(observations: &[Observation], probabilities: &[Vec<Probability>]) -> Self {
        let correct: Vec<bool> = observations.iter().map(|o| o.correct).collect();
        let scored: Vec<_> = observations.iter().map(|o| (o.score, o.correct)).collect();
        let (scores, score_places) = Tally::with_places(&scored);
        let (clusters, cluster_of_task) = clusters(observations);
        let largest = largest_task(observations);
        let ks: Vec<usize> = KS.into_iter().filter(|&k| k <= largest).collect();
        Self {
            scores,
            score_places,
            columns: probabilities
                .iter()
                .map(|column| Column::new(column, &correct))
                .collect(),
            tasks: selection::outcomes(observations, &ks)
                .into_iter()
                .filter_map(|task| cluster_of_task.get(&task.task).map(|&c| (task, c)))
                .collect(),
            clusters,
            correct,
            ks,
        }
    }

    fn refill(&mut self, weights: &[f64]) {
        self.scores
            .refill(&self.score_places, &self.correct, weights);
        for column in &mut self.columns {
            column.tally.refill(&column.places, &self.correct, weights);
        }
    }

    fn measure(&mut self, weights: &[f64], times: impl Fn(u32) -> f64) -> Measures {
        self.refill(weights);
        let tasks = || self.tasks.iter().map(|(task, c)| (task, times(*c)));
        let both = || tasks().filter(|(task, _)| task.auc.is_some());
        Measures {
            ranking: Ranking {
                auc: ranking::auc(&self.scores),
                within_task_auc: selection::within_task_auc(tasks()),
                average_precision: ranking::average_precision(&self.scores),
            },
            selection: selection::select(tasks(), &self.ks),
            selection_both_labels: selection::select(both(), &self.ks),
            columns: self
                .columns
                .iter()
                .map(|column| {
                    let tally = &column.tally;
                    (calibration_errors(tally, &column.smooth), scoring(tally))
                })
                .collect(),
        }
    }
}

impl Column {
    fn new(probabilities: &[Probability], correct: &[bool]) -> Self {
        let records: Vec<_> = probabilities
            .iter()
            .zip(correct)
            .map(|(p, &correct)| (p.get(), correct))
            .collect();
        let (tally, places) = Tally::with_places(&records);
        let point = smooth_ece(&tally);
        Self {
            tally,
            places,
            smooth: FastSmoothEce::new(point.map_or(0.1, |s| s.bandwidth)),
            smooth_point: point.map(|s| s.error),
        }
    }
}

fn calibration_errors(tally: &Tally, smooth: &FastSmoothEce) -> CalibrationErrors<Option<f64>> {
    CalibrationErrors {
        ece_10: binned::ece_equal_width(tally, 10),
        ece_15: binned::ece_equal_width(tally, 15),
        ece_mass_15: binned::ece_equal_mass(tally, 15),
        smooth_ece: smooth.error(tally),
    }
}

fn scoring(tally: &Tally) -> Scoring<Option<f64>> {
    Scoring {
        brier: proper::brier(tally),
        brier_skill: proper::brier_skill(tally),
        log_loss: proper::log_loss(tally),
    }
}

/// The point estimates with their resamples, to be joined measure by measure.
struct Summary<'a> {
    point: &'a Measures,
    resampled: &'a [Measures],
}

impl Summary<'_> {
    fn estimate(
        &self,
        value: Option<f64>,
        kind: Interval,
        pick: impl Fn(&Measures) -> Option<f64>,
    ) -> Estimate {
        let resampled = self.resampled.iter().filter_map(pick).collect();
        Estimate::new(value, resampled, self.resampled.len(), kind)
    }

    fn plain(&self, pick: impl Fn(&Measures) -> Option<f64>) -> Estimate {
        self.estimate(pick(self.point), Interval::Percentile, pick)
    }

    fn selection(
        &self,
        ks: &[usize],
        pick: impl Fn(&Measures) -> &Selection<Option<f64>>,
    ) -> Selection<Estimate> {
        Selection {
            pass_at_1: self.plain(|m| pick(m).pass_at_1),
            at: ks
                .iter()
                .enumerate()
                .map(|(slot, &k)| AtK {
                    k,
                    rm: self.plain(|m| pick(m).at[slot].rm),
                    oracle: self.plain(|m| pick(m).at[slot].oracle),
                })
                .collect(),
            rm: self.plain(|m| pick(m).rm),
            oracle: self.plain(|m| pick(m).oracle),
            share_of_gap: self.plain(|m| pick(m).share_of_gap),
        }
    }

    fn calibrated(
        &self,
        index: usize,
        column: &Column,
        simulations: usize,
        random: &mut Random,
    ) -> Calibrated {
        let resampled: Vec<_> = self.resampled.iter().map(|m| m.columns[index].0).collect();
        let mut errors = CalibrationErrors::collect(&resampled, |pick, values| {
            let value = pick(&self.point.columns[index].0);
            Estimate::new(value, values, resampled.len(), Interval::Recentred)
        });
        // Resamples and their mean come from the fast form; the value shown is the exact one.
        errors.smooth_ece = self.estimate(column.smooth_point, Interval::Recentred, |m| {
            m.columns[index].0.smooth_ece
        });
        let scoring = |pick: fn(&Scoring<Option<f64>>) -> Option<f64>| {
            self.plain(|m| pick(&m.columns[index].1))
        };
        let count = column.tally.count();
        let sum: f64 = (0..column.tally.values.len())
            .map(|place| column.tally.total[place] * column.tally.values[place])
            .sum();
        Calibrated {
            mean_probability: (count > 0.0).then(|| sum / count),
            errors,
            floor: floors(&column.tally, simulations, random, calibration_errors),
            scoring: Scoring {
                brier: scoring(|s| s.brier),
                brier_skill: scoring(|s| s.brier_skill),
                log_loss: scoring(|s| s.log_loss),
            },
        }
    }
}

/// The cluster of each record, and of each task.
pub(super) fn clusters(observations: &[Observation]) -> (Vec<u32>, BTreeMap<u32, u32>) {
    let mut of_task = BTreeMap::new();
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        next - 1
    };
    let clusters = observations
        .iter()
        .map(|observation| match observation.task {
            Some(task) => *of_task.entry(task).or_insert_with(&mut fresh),
            None => fresh(),
        })
        .collect();
    (clusters, of_task)
}

fn largest_task(observations: &[Observation]) -> usize {
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    for task in observations.iter().filter_map(|o| o.task) {
        *sizes.entry(task).or_default() += 1;
    }
    sizes.into_values().max().unwrap_or(0)
}
