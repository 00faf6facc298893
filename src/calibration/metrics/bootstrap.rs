//! Bootstrap intervals by cluster: tasks are drawn with replacement, each with all its records,
//! because candidates of one task succeed and fail together. A record without a task is a cluster
//! of its own.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

/// Fewer clusters than this say nothing about how an estimate varies.
const FEWEST_CLUSTERS: usize = 10;

/// A number with its 95% bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The measure on all records.
    pub value: Option<f64>,
    /// Lower and upper end; `None` with fewer than 10 clusters, or when most resamples lack what
    /// the measure needs (such as both labels).
    pub interval: Option<(f64, f64)>,
}

/// How the interval is read off the resamples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    /// From the 2.5% to the 97.5% percentile.
    Percentile,
    /// The same, moved so that the mean of the resamples falls on the value, and not below 0. For
    /// calibration errors: resampling adds noise, which always raises them, so that plain
    /// percentiles can lie above the value altogether.
    Recentred,
}

impl Estimate {
    pub(super) fn new(
        value: Option<f64>,
        mut resampled: Vec<f64>,
        resamples: usize,
        kind: Interval,
    ) -> Self {
        let enough = resampled.len() * 2 > resamples;
        resampled.sort_by(f64::total_cmp);
        let interval = value.filter(|_| enough).and_then(|value| {
            let low = percentile(&resampled, 0.025)?;
            let high = percentile(&resampled, 0.975)?;
            Some(match kind {
                Interval::Percentile => (low, high),
                Interval::Recentred => {
                    let mean = resampled.iter().sum::<f64>() / resampled.len() as f64;
                    let shift = value - mean;
                    ((low + shift).max(0.0), (high + shift).max(0.0))
                }
            })
        });
        Self { value, interval }
    }
}

/// Linear interpolation between the sorted values around `share`; `None` if there are none.
pub(super) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = share * last as f64;
    let low = position.floor() as usize;
    let high = (low + 1).min(last);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (position - low as f64))
}

/// ChaCha8, whose stream is the same on every platform and in every version.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform from 0 up to but not including 1.
    pub(in crate::calibration) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform below `bound`, up to a bias of `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// Draws clusters with replacement.
pub(super) struct Resampler {
    /// The cluster of each record.
    clusters: Vec<u32>,
    drawn: Vec<f64>,
}

impl Resampler {
    /// `clusters` numbers the cluster of each record from 0 on, without gaps.
    pub(super) fn new(clusters: Vec<u32>) -> Self {
        let count = clusters.iter().max().map_or(0, |&last| last as usize + 1);
        Self {
            clusters,
            drawn: vec![0.0; count],
        }
    }

    pub(super) fn is_meaningful(&self) -> bool {
        self.drawn.len() >= FEWEST_CLUSTERS
    }

    /// Fills in how often each record was drawn.
    pub(super) fn draw(&mut self, random: &mut Random, weights: &mut [f64]) {
        self.drawn.fill(0.0);
        for _ in 0..self.drawn.len() {
            let cluster = random.below(self.drawn.len());
            self.drawn[cluster] += 1.0;
        }
        for (weight, &cluster) in weights.iter_mut().zip(&self.clusters) {
            *weight = self.drawn[cluster as usize];
        }
    }

    /// How often a cluster was drawn last.
    pub(super) fn times(&self, cluster: u32) -> f64 {
        self.drawn[cluster as usize]
    }
}

/// The mean of a number that each record has, with its interval from 1,000 resamples. `clusters`
/// numbers the cluster of each record from 0 on, without gaps.
#[must_use]
pub fn mean_by_cluster(values: &[f64], clusters: &[u32], seed: u64) -> Estimate {
    estimate_by_cluster(clusters, 1_000, seed, |weights| {
        weighted_mean(values, weights)
    })
}

/// `None` if nothing has a weight.
pub(crate) fn weighted_mean(values: &[f64], weights: &[f64]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for (value, weight) in values.iter().zip(weights) {
        sum += weight * value;
        count += weight;
    }
    (count > 0.0).then(|| sum / count)
}

/// A number with its interval from resamples; `measure` is given how often each record counts.
/// The same clusters and seed give the same resamples, whatever is measured on them.
pub(crate) fn estimate_by_cluster(
    clusters: &[u32],
    resamples: usize,
    seed: u64,
    measure: impl Fn(&[f64]) -> Option<f64>,
) -> Estimate {
    let mut resampler = Resampler::new(clusters.to_vec());
    let mut random = Random::new(seed);
    let mut weights = vec![1.0; clusters.len()];
    let value = measure(&weights);
    let mut resampled = Vec::new();
    if resampler.is_meaningful() {
        for _ in 0..resamples {
            resampler.draw(&mut random, &mut weights);
            resampled.extend(measure(&weights));
        }
    }
    Estimate::new(value, resampled, resamples, Interval::Percentile)
}

/// Records dealt into folds by cluster, so that no cluster is in two.
#[derive(Debug)]
pub(in crate::calibration) struct Folds(Vec<usize>);

impl Folds {
    pub(in crate::calibration) fn new(clusters: &[u32], folds: usize, seed: u64) -> Self {
        let count = clusters.iter().max().map_or(0, |&last| last as usize + 1);
        let mut order: Vec<usize> = (0..count).collect();
        let mut random = Random::new(seed);
        for last in (1..count).rev() {
            order.swap(last, random.below(last + 1));
        }
        Self(
            clusters
                .iter()
                .map(|&c| order[c as usize] % folds)
                .collect(),
        )
    }

    /// The fold of a record.
    pub(in crate::calibration) fn of(&self, record: usize) -> usize {
        self.0[record]
    }
}
