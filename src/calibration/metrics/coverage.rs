//! Risk over coverage: how often a score is on the wrong side of one half, when only the share of
//! records is judged that it is most certain about (El-Yaniv and Wiener 2010, Geifman and El-Yaniv
//! 2017).
//!
//! A score is as certain as it is far from one half, and one half itself counts as "correct". Where
//! several records are equally certain, they come in random order and the expected value counts.
//! The area under the curve (AURC) is the mean of the risks of the 1, 2, … n most certain records;
//! lower is better.

use super::bootstrap::{Estimate, Interval, Random, Resampler};
use super::evaluation::{EvaluationSettings, Observation, clusters};
use super::tally::Tally;
use crate::calibration::Probability;
use serde::Serialize;

/// Points of the curve, evenly spaced.
const POINTS: u32 = 20;

/// The curve and the area under it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiskCoverage {
    /// The area under the curve.
    pub aurc: Estimate,
    /// The same if the wrong ones were the least certain: the best that any order of the same
    /// scores can do. One in random order has the risk at full coverage.
    pub best_aurc: Option<f64>,
    /// The curve, from low coverage to full.
    pub at: Vec<RiskAt>,
}

/// A point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiskAt {
    /// Share of the records that are judged.
    pub coverage: f64,
    /// How certain the least certain of them is: its distance from one half.
    pub distance: Option<f64>,
    /// Share of them that is on the wrong side.
    pub risk: Estimate,
}

/// Measures records with a probability for each.
#[must_use]
pub fn risk_coverage(
    observations: &[Observation],
    probabilities: &[Probability],
    settings: EvaluationSettings,
) -> RiskCoverage {
    let pairs = observations.iter().zip(probabilities);
    let losses: Vec<(f64, bool)> = pairs
        .map(|(observation, p)| {
            let says_correct = *p >= Probability::HALF;
            // Ascending order is falling certainty.
            (-(p.get() - 0.5).abs(), says_correct != observation.correct)
        })
        .collect();
    let wrong: Vec<bool> = losses.iter().map(|(_, wrong)| *wrong).collect();
    let (mut tally, places) = Tally::with_places(&losses);
    let point = measure(&tally);
    let least_certain = certainties(&tally);
    let best_aurc = best(&tally);

    let mut resampler = Resampler::new(clusters(observations).0);
    let mut random = Random::new(settings.seed);
    let mut resampled = Vec::new();
    if resampler.is_meaningful() {
        let mut weights = vec![1.0; losses.len()];
        for _ in 0..settings.resamples {
            resampler.draw(&mut random, &mut weights);
            tally.refill(&places, &wrong, &weights);
            resampled.push(measure(&tally));
        }
    }
    let estimate = |pick: &dyn Fn(&Measured) -> Option<f64>| {
        let values = resampled.iter().filter_map(pick).collect();
        Estimate::new(pick(&point), values, resampled.len(), Interval::Percentile)
    };
    RiskCoverage {
        aurc: estimate(&|measured| measured.aurc),
        best_aurc,
        at: shares()
            .zip(least_certain)
            .enumerate()
            .map(|(place, (coverage, distance))| RiskAt {
                coverage,
                distance,
                risk: estimate(&|measured| measured.risks.get(place).copied()),
            })
            .collect(),
    }
}

/// What is computed from each resample.
struct Measured {
    aurc: Option<f64>,
    /// At each of [`shares`]; nothing without records.
    risks: Vec<f64>,
}

fn shares() -> impl Iterator<Item = f64> + Clone {
    (1..=POINTS).map(|step| f64::from(step) / f64::from(POINTS))
}

/// Counts are whole numbers.
fn measure(tally: &Tally) -> Measured {
    let n = tally.count();
    let mut wanted = shares().map(|share| share * n).peekable();
    let (mut records, mut wrong, mut area) = (0.0, 0.0, 0.0);
    let mut risks = Vec::new();
    for (&total, &lost) in tally.total.iter().zip(&tally.positive) {
        if total == 0.0 {
            continue;
        }
        let rate = lost / total;
        // The edge of the last group is n up to rounding.
        while let Some(&at) = wanted.peek()
            && at <= records + total + 1e-9 * n
        {
            let inside = (at - records).clamp(0.0, total);
            risks.push((wrong + rate * inside) / at);
            wanted.next();
        }
        for step in 1..=total as u64 {
            let step = step as f64;
            area += (wrong + rate * step) / (records + step);
        }
        records += total;
        wrong += lost;
    }
    Measured {
        aurc: (n > 0.0).then(|| area / n),
        risks,
    }
}

/// The distance from one half of the last record within each of [`shares`].
fn certainties(tally: &Tally) -> Vec<Option<f64>> {
    let n = tally.count();
    let at = |share: f64| {
        let mut records = 0.0;
        let groups = tally.values.iter().zip(&tally.total);
        let mut groups = groups.map(|(value, total)| {
            records += total;
            (records, -value)
        });
        groups
            .find(|(records, _)| *records + 1e-9 * n >= share * n)
            .map(|(_, distance)| distance)
    };
    shares().map(at).collect()
}

fn best(tally: &Tally) -> Option<f64> {
    let n = tally.count();
    let right = n - tally.positive.iter().sum::<f64>();
    let risks = (1..=n as u64).map(|k| (k as f64 - right).max(0.0) / k as f64);
    (n > 0.0).then(|| risks.sum::<f64>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of one task each: probability and whether it is correct.
    fn check(records: &[(f64, bool)], aurc: f64, best: f64) -> RiskCoverage {
        let observations: Vec<Observation> = records
            .iter()
            .map(|&(score, correct)| Observation {
                score,
                correct,
                task: None,
            })
            .collect();
        let probabilities: Vec<Probability> = records
            .iter()
            .map(|record| Probability::new(record.0).unwrap())
            .collect();
        let settings = EvaluationSettings {
            resamples: 20,
            seed: 1,
        };
        let got = risk_coverage(&observations, &probabilities, settings);
        assert!((got.aurc.value.unwrap() - aurc).abs() < 1e-12, "{got:?}");
        assert!((got.best_aurc.unwrap() - best).abs() < 1e-12, "{got:?}");
        got
    }

    #[test]
    fn areas_worked_out_by_hand() {
        // Right, wrong, right, wrong in the order of certainty: risks 0, 1/2, 1/3, 1/2.
        let mixed = [(0.95, true), (0.1, true), (0.75, true), (0.6, false)];
        let got = check(
            &mixed,
            (0.5 + 1.0 / 3.0 + 0.5) / 4.0,
            (1.0 / 3.0 + 0.5) / 4.0,
        );
        let risks: Vec<f64> = got.at.iter().map(|at| at.risk.value.unwrap()).collect();
        assert_eq!((risks[4], risks[9], risks[19]), (0.0, 0.5, 0.5));
        assert!((got.at[9].distance.unwrap() - 0.4).abs() < 1e-12);
        // The wrong one last is the best there is.
        check(
            &[(0.9, true), (0.2, false), (0.6, false)],
            1.0 / 9.0,
            1.0 / 9.0,
        );
        // Equally certain: in random order, so every risk is the share of wrong ones.
        let tied = [(0.75, true), (0.25, true), (0.75, true), (0.75, false)];
        let got = check(&tied, 0.5, (1.0 / 3.0 + 0.5) / 4.0);
        assert!(got.at.iter().all(|at| at.risk.value == Some(0.5)));
        // One half says "correct".
        check(&[(0.5, true)], 0.0, 0.0);
        check(&[(0.5, false)], 1.0, 1.0);
    }

    #[test]
    fn no_records_have_no_curve() {
        let settings = EvaluationSettings {
            resamples: 5,
            seed: 0,
        };
        let got = risk_coverage(&[], &[], settings);
        assert_eq!((got.aurc.value, got.best_aurc), (None, None));
        assert!(got.at.iter().all(|at| at.risk.value.is_none()));
    }
}
