//! Fitting a map to labelled logits, and finding the base rate of unlabelled ones.
//!
//! Invariants: a fitted map is strictly increasing, or there is none; with few labels only what few
//! labels can tell is fitted, and what is fitted is drawn towards the map it starts from. Results
//! depend on the records and the seed alone.
//!
//! Platt (1999); Kull, Silva Filho & Flach (2017), "Beta calibration"; Saerens, Latinne &
//! Decaestecker (2002), "Adjusting the outputs of a classifier to new a priori probabilities".

use super::map::{Beta, Map};
use super::metrics::bootstrap::{Estimate, Folds, mean_by_cluster};
use super::metrics::{Tally, binned, proper};
use super::probability::{Logit, Probability};

/// Fewer labels than this say too little about anything.
pub const FEWEST_LABELS: usize = 50;

/// Folds in which a map is fitted on the others and judged on one.
const FOLDS: usize = 5;

/// Records as which the starting point counts, for all parameters but the constant.
const PULL: f64 = 1.0;

/// The same for the constant: it is hardly held at all.
const WEAK_PULL: f64 = 1e-3;

/// Newton steps; a few do.
const STEPS: usize = 50;

/// A labelled logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The model's output.
    pub logit: Logit,
    /// Whether the change was correct.
    pub label: bool,
    /// Candidates of one task succeed and fail together; numbered from 0 on, without gaps.
    pub cluster: u32,
}

/// What is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The base rate alone.
    Intercept,
    /// Slope and intercept.
    Platt,
    /// A beta map after the map it starts from.
    Beta,
}

impl Kind {
    /// All, from the simplest on.
    pub const ALL: [Self; 3] = [Self::Intercept, Self::Platt, Self::Beta];

    /// Labels that it takes.
    #[must_use]
    pub fn labels_needed(self) -> usize {
        match self {
            Self::Intercept => FEWEST_LABELS,
            Self::Platt => 200,
            Self::Beta => 1_000,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Intercept => "intercept",
            Self::Platt => "Platt",
            Self::Beta => "beta",
        })
    }
}

/// How good probabilities are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// In nats.
    pub log_loss: f64,
    /// Mean squared error.
    pub brier: f64,
    /// Expected calibration error, 10 equal-width bins.
    pub ece_10: f64,
}

/// A fitted map, with what it is worth on records that it was not fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// What was fitted.
    pub kind: Kind,
    /// Fitted on all records. Its reference prior is their share of correct ones.
    pub map: Map,
    /// With the map that it starts from.
    pub before: Quality,
    /// Each record judged by a map that was fitted without its fold.
    pub after: Quality,
    /// By how much the log-loss falls, with its 95% interval by cluster.
    pub gain: Estimate,
}

/// The best of the kinds that the number of samples allows, by cross-fitted log-loss. `before` is
/// the probability that each sample is given now.
///
/// `None` if there are fewer than [`FEWEST_LABELS`] samples, one label only, or no increasing map
/// fits.
#[must_use]
pub fn fit(start: &Map, samples: &[Sample], before: &[Probability], seed: u64) -> Option<Fit> {
    let labels: Vec<bool> = samples.iter().map(|sample| sample.label).collect();
    let is_mixed = labels.contains(&true) && labels.contains(&false);
    if samples.len() < FEWEST_LABELS || !is_mixed {
        return None;
    }
    let clusters: Vec<u32> = samples.iter().map(|sample| sample.cluster).collect();
    let folds = Folds::new(&clusters, FOLDS, seed);
    let candidates = Kind::ALL
        .into_iter()
        .filter(|kind| samples.len() >= kind.labels_needed());
    let fits = candidates.filter_map(|kind| {
        let map = fit_map(kind, start, samples)?;
        let mut after = vec![Probability::HALF; samples.len()];
        for fold in 0..FOLDS {
            let is_held_out = |index: &usize| folds.of(*index) == fold;
            let (held_out, others): (Vec<usize>, Vec<usize>) =
                (0..samples.len()).partition(is_held_out);
            let others: Vec<Sample> = others
                .iter()
                .filter_map(|&i| samples.get(i).copied())
                .collect();
            // A fold whose rest has one label only says nothing about a map; then the kind is out.
            let map = fit_map(kind, start, &others)
                .or_else(|| held_out.is_empty().then(|| map.clone()))?;
            for index in held_out {
                after[index] = map.apply(samples[index].logit, map.reference_prior);
            }
        }
        let loss = |p: &Probability, label: bool| {
            let p = if label { p.get() } else { 1.0 - p.get() };
            -p.max(f64::EPSILON).ln()
        };
        let gains: Vec<f64> = before
            .iter()
            .zip(&after)
            .zip(&labels)
            .map(|((before, after), &label)| loss(before, label) - loss(after, label))
            .collect();
        Some(Fit {
            kind,
            map,
            before: quality(before, &labels)?,
            after: quality(&after, &labels)?,
            gain: mean_by_cluster(&gains, &clusters, seed),
        })
    });
    fits.min_by(|a, b| a.after.log_loss.total_cmp(&b.after.log_loss))
}

fn quality(probabilities: &[Probability], labels: &[bool]) -> Option<Quality> {
    let pairs = probabilities.iter().zip(labels);
    let pairs: Vec<(f64, bool)> = pairs.map(|(p, &label)| (p.get(), label)).collect();
    let tally = Tally::new(&pairs);
    Some(Quality {
        log_loss: proper::log_loss(&tally)?,
        brier: proper::brier(&tally)?,
        ece_10: binned::ece_equal_width(&tally, 10)?,
    })
}

fn fit_map(kind: Kind, start: &Map, samples: &[Sample]) -> Option<Map> {
    let labels: Vec<f64> = samples
        .iter()
        .map(|s| f64::from(u8::from(s.label)))
        .collect();
    let right: f64 = labels.iter().sum();
    let count = samples.len() as f64;
    if right < 1.0 || right > count - 1.0 {
        return None;
    }
    let reference_prior = Probability::new((right + 0.5) / (count + 1.0)).ok()?;
    let inner = |sample: &Sample| start.slope * sample.logit.get() + start.intercept;
    let map = match kind {
        Kind::Intercept => {
            let rows: Vec<[f64; 1]> = vec![[1.0]; samples.len()];
            let offsets: Vec<f64> = samples.iter().map(|s| start.log_odds(s.logit)).collect();
            let [shift] = logistic(&rows, &offsets, &labels, [0.0], [WEAK_PULL])?;
            match start.beta {
                None => Map {
                    intercept: start.intercept + shift,
                    ..start.clone()
                },
                Some(beta) => Map {
                    beta: Some(Beta {
                        c: beta.c + shift,
                        ..beta
                    }),
                    ..start.clone()
                },
            }
        }
        Kind::Platt => {
            let rows: Vec<[f64; 2]> = samples.iter().map(|s| [s.logit.get(), 1.0]).collect();
            let offsets = vec![0.0; samples.len()];
            let centre = [start.slope, start.intercept];
            let [slope, intercept] = logistic(&rows, &offsets, &labels, centre, [PULL, WEAK_PULL])?;
            Map {
                slope,
                intercept,
                beta: None,
                ..start.clone()
            }
        }
        Kind::Beta => {
            let offsets = vec![0.0; samples.len()];
            let row = |s: &Sample, keep: [f64; 2]| {
                let v = inner(s);
                [-softplus(-v) * keep[0], softplus(v) * keep[1], 1.0]
            };
            let fitted = |keep: [f64; 2]| {
                let rows: Vec<[f64; 3]> = samples.iter().map(|s| row(s, keep)).collect();
                let centre = [keep[0], keep[1], 0.0];
                logistic(&rows, &offsets, &labels, centre, [PULL, PULL, WEAK_PULL])
            };
            // As in the paper: a parameter that comes out negative is left out.
            let [a, b, c] = match fitted([1.0, 1.0])? {
                [a, b, _] if a < 0.0 && b < 0.0 => return None,
                [a, _, _] if a < 0.0 => fitted([0.0, 1.0])?,
                [_, b, _] if b < 0.0 => fitted([1.0, 0.0])?,
                all => all,
            };
            Map {
                beta: Some(Beta { a, b, c }),
                ..start.clone()
            }
        }
    };
    let map = Map {
        reference_prior,
        ..map
    };
    map.is_usable().then_some(map)
}

/// `ln(1 + e^x)`.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Logistic regression by Newton's method, drawn towards `centre` by `pull`. `None` if it does not
/// come to rest at finite numbers.
fn logistic<const K: usize>(
    rows: &[[f64; K]],
    offsets: &[f64],
    labels: &[f64],
    centre: [f64; K],
    pull: [f64; K],
) -> Option<[f64; K]> {
    let loss = |weights: &[f64; K]| -> f64 {
        let data: f64 = rows
            .iter()
            .zip(offsets)
            .zip(labels)
            .map(|((row, offset), label)| {
                let z = offset + dot(row, weights);
                softplus(z) - label * z
            })
            .sum();
        let held: f64 = (0..K)
            .map(|k| pull[k] * (weights[k] - centre[k]).powi(2) / 2.0)
            .sum();
        data + held
    };
    let mut weights = centre;
    let mut best = loss(&weights);
    for _ in 0..STEPS {
        let mut gradient = [0.0; K];
        let mut curvature = [[0.0; K]; K];
        for k in 0..K {
            gradient[k] = pull[k] * (weights[k] - centre[k]);
            curvature[k][k] = pull[k];
        }
        for ((row, offset), label) in rows.iter().zip(offsets).zip(labels) {
            let p = 1.0 / (1.0 + (-(offset + dot(row, &weights))).exp());
            for k in 0..K {
                gradient[k] += (p - label) * row[k];
                for l in 0..K {
                    curvature[k][l] += p * (1.0 - p) * row[k] * row[l];
                }
            }
        }
        let step = solve(curvature, gradient)?;
        // Halved until it helps: far from the solution a full step can overshoot.
        let mut scale = 1.0;
        let (next, next_loss) = loop {
            let next = std::array::from_fn(|k| weights[k] - scale * step[k]);
            let next_loss = loss(&next);
            if next_loss <= best || scale < 1e-6 {
                break (next, next_loss);
            }
            scale /= 2.0;
        };
        let gained = best - next_loss;
        if next_loss <= best {
            weights = next;
            best = next_loss;
        }
        if gained.abs() < 1e-10 * (1.0 + best.abs()) {
            break;
        }
    }
    weights
        .iter()
        .all(|weight| weight.is_finite())
        .then_some(weights)
}

fn dot<const K: usize>(a: &[f64; K], b: &[f64; K]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves `matrix x = vector` by elimination with pivoting.
fn solve<const K: usize>(mut matrix: [[f64; K]; K], mut vector: [f64; K]) -> Option<[f64; K]> {
    for column in 0..K {
        let pivot = (column..K)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))?;
        if matrix[pivot][column].abs() < 1e-12 {
            return None;
        }
        matrix.swap(column, pivot);
        vector.swap(column, pivot);
        for row in column + 1..K {
            let factor = matrix[row][column] / matrix[column][column];
            let above = matrix[column];
            for (entry, above) in matrix[row].iter_mut().zip(above).skip(column) {
                *entry -= factor * above;
            }
            vector[row] -= factor * vector[column];
        }
    }
    let mut solution = [0.0; K];
    for row in (0..K).rev() {
        let known: f64 = (row + 1..K).map(|k| matrix[row][k] * solution[k]).sum();
        solution[row] = (vector[row] - known) / matrix[row][row];
    }
    Some(solution)
}

/// The base rate at which probabilities made for `reference` agree with themselves: the prior is
/// set to the mean of the shifted probabilities until it moves no more (Saerens et al. 2002). Right
/// only if correct and wrong changes look as they did where the map was fitted. `None` without
/// probabilities.
#[must_use]
pub fn base_rate(probabilities: &[Probability], reference: Probability) -> Option<Probability> {
    if probabilities.is_empty() {
        return None;
    }
    let mut prior = reference;
    for _ in 0..1_000 {
        let shifted = probabilities
            .iter()
            .map(|&p| super::prior::shift_prior(p, reference, prior).get());
        let mean = shifted.sum::<f64>() / probabilities.len() as f64;
        // Never 0 or 1: from there nothing moves any more.
        let next = Probability::new(mean.clamp(1e-3, 1.0 - 1e-3)).ok()?;
        let moved = (next.get() - prior.get()).abs();
        prior = next;
        if moved < 1e-9 {
            break;
        }
    }
    Some(prior)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::metrics::bootstrap::Random;

    fn start() -> Map {
        Map {
            slope: 1.0,
            intercept: 0.0,
            beta: None,
            reference_prior: Probability::HALF,
        }
    }

    /// Logits between -4 and 4, correct with the probability that `truth` says.
    fn drawn(count: usize, truth: impl Fn(f64) -> f64) -> Vec<Sample> {
        let mut random = Random::new(7);
        (0..count)
            .map(|index| {
                let logit = random.unit() * 8.0 - 4.0;
                Sample {
                    logit: Logit::new(logit).unwrap(),
                    label: random.unit() < truth(logit),
                    cluster: u32::try_from(index).unwrap(),
                }
            })
            .collect()
    }

    fn fitted(samples: &[Sample]) -> Option<Fit> {
        let before: Vec<_> = samples
            .iter()
            .map(|s| start().apply(s.logit, Probability::HALF))
            .collect();
        fit(&start(), samples, &before, 0)
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn few_labels_fit_the_base_rate_and_more_the_slope() {
        let truth = |x: f64| sigmoid(0.4 * x - 1.0);
        assert!(fitted(&drawn(49, truth)).is_none());
        let few = fitted(&drawn(120, truth)).unwrap();
        assert_eq!(few.kind, Kind::Intercept);
        assert!((few.map.slope - 1.0).abs() < 1e-12);
        assert!(few.map.intercept < -0.5);
        let many = fitted(&drawn(900, truth)).unwrap();
        assert_eq!(many.kind, Kind::Platt);
        assert!((many.map.slope - 0.4).abs() < 0.1, "{:?}", many.map);
        assert!((many.map.intercept + 1.0).abs() < 0.25, "{:?}", many.map);
        assert!(many.after.log_loss < many.before.log_loss);
        assert!(many.after.ece_10 < many.before.ece_10);
        let (low, high) = many.gain.interval.unwrap();
        assert!(low > 0.0 && low < many.gain.value.unwrap() && many.gain.value.unwrap() < high);
    }

    #[test]
    fn a_bend_that_no_line_follows_takes_the_beta_map() {
        // Steep below one half and flat above.
        let truth = |x: f64| sigmoid(if x < 0.0 { 2.0 * x } else { 0.1 * x });
        let fit = fitted(&drawn(4_000, truth)).unwrap();
        assert_eq!(fit.kind, Kind::Beta);
        let beta = fit.map.beta.unwrap();
        assert!(beta.a > 1.3 && beta.b < 0.5, "{beta:?}");
        let mut last = 0.0;
        for step in -40..40 {
            let logit = Logit::new(f64::from(step) / 10.0).unwrap();
            let p = fit.map.apply(logit, fit.map.reference_prior).get();
            assert!(p > last, "increasing");
            last = p;
        }
    }

    #[test]
    fn scores_that_say_the_opposite_fit_nothing_but_a_base_rate() {
        let fit = fitted(&drawn(2_000, |x| sigmoid(-x))).unwrap();
        assert_eq!(fit.kind, Kind::Intercept);
    }

    #[test]
    fn what_is_right_already_is_not_made_better() {
        let fit = fitted(&drawn(150, sigmoid)).unwrap();
        assert!(fit.gain.value.unwrap() < 0.01);
    }

    #[test]
    fn one_label_or_huge_logits_fit_nothing_or_something_finite() {
        assert!(fitted(&drawn(300, |_| 2.0)).is_none());
        let mut extreme = drawn(300, sigmoid);
        for sample in &mut extreme {
            sample.logit = Logit::new(sample.logit.get() * 1e6).unwrap();
        }
        if let Some(fit) = fitted(&extreme) {
            assert!(fit.map.is_usable());
        }
    }

    #[test]
    fn the_base_rate_is_found_without_labels() {
        // The classes overlap as where the map was made; only the mix is another one.
        let mut random = Random::new(3);
        let mut probabilities = Vec::new();
        while probabilities.len() < 4_000 {
            // Accepting a correct one with p and a wrong one with 1-p makes p calibrated at 1/2.
            let p = random.unit();
            let is_right = random.unit() < 0.8;
            if random.unit() < if is_right { p } else { 1.0 - p } {
                probabilities.push(Probability::new(p).unwrap());
            }
        }
        let found = base_rate(&probabilities, Probability::HALF).unwrap();
        assert!((found.get() - 0.8).abs() < 0.03, "{found:?}");
        assert_eq!(base_rate(&[], Probability::HALF), None);
    }
}
