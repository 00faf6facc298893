//! Our measures against scikit-learn, netcal and relplot, on cases computed once by
//! `fixtures/make_metrics.py`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use diffidence::calibration::Probability;
use diffidence::calibration::metrics::smooth::{FastSmoothEce, smooth_ece};
use diffidence::calibration::metrics::{
    AtK, Estimate, Evaluation, EvaluationSettings, Observation, Selection, Tally, evaluate,
};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    p: Vec<f64>,
    y: Vec<u8>,
    tasks: Option<Vec<String>>,
    auc: Option<f64>,
    average_precision: Option<f64>,
    brier: Option<f64>,
    brier_skill: Option<f64>,
    log_loss: Option<f64>,
    ece_10: Option<f64>,
    ece_15: Option<f64>,
    ece_mass_15: Option<f64>,
    smooth_ece: f64,
    smooth_ece_bandwidth: f64,
    selection: Option<ExpectedSelection>,
}

#[derive(Deserialize)]
struct ExpectedSelection {
    within_task_auc: Option<f64>,
    all: Option<Picks>,
    both_labels: Option<Picks>,
}

#[derive(Deserialize)]
struct Picks {
    pass_at_1: f64,
    at: Vec<PicksAt>,
    rm: f64,
    oracle: f64,
}

#[derive(Deserialize)]
struct PicksAt {
    k: usize,
    rm: f64,
    oracle: f64,
}

fn cases() -> Vec<Case> {
    let json = include_str!("fixtures/metrics.json");
    serde_json::from_str::<Fixture>(json).unwrap().cases
}

fn observations(case: &Case) -> (Vec<Observation>, Vec<Probability>) {
    let mut numbers = HashMap::new();
    let observations = (0..case.p.len())
        .map(|i| Observation {
            score: case.p[i],
            correct: case.y[i] == 1,
            task: case.tasks.as_ref().map(|tasks| {
                let next = numbers.len() as u32;
                *numbers.entry(tasks[i].clone()).or_insert(next)
            }),
        })
        .collect();
    let probabilities = case.p.iter().map(|&p| Probability::new(p).unwrap());
    (observations, probabilities.collect())
}

fn without_resampling(case: &Case) -> Evaluation {
    let (observations, probabilities) = observations(case);
    let settings = EvaluationSettings {
        resamples: 0,
        seed: 0,
    };
    evaluate(&observations, &[probabilities], settings)
}

fn near(case: &str, what: &str, got: Option<f64>, expect: Option<f64>) {
    let equal = match (got, expect) {
        (Some(got), Some(expect)) => (got - expect).abs() <= 1e-9 * expect.abs().max(1.0),
        (got, expect) => got == expect,
    };
    assert!(equal, "{case}: {what}: got {got:?}, expected {expect:?}");
}

#[test]
fn equals_scikit_learn_and_netcal() {
    for case in cases() {
        let got = without_resampling(&case);
        let (name, column) = (&case.name, &got.calibration[0]);
        let check = |what: &str, got: &Estimate, expect| near(name, what, got.value, expect);
        check("auc", &got.ranking.auc, case.auc);
        check(
            "average precision",
            &got.ranking.average_precision,
            case.average_precision,
        );
        check("brier", &column.scoring.brier, case.brier);
        check("brier skill", &column.scoring.brier_skill, case.brier_skill);
        check("log-loss", &column.scoring.log_loss, case.log_loss);
        check("ece 10", &column.errors.ece_10, case.ece_10);
        check("ece 15", &column.errors.ece_15, case.ece_15);
        check("ece mass", &column.errors.ece_mass_15, case.ece_mass_15);
    }
}

#[test]
fn smooth_ece_equals_relplot() {
    for case in cases() {
        let got = without_resampling(&case).calibration[0].errors.smooth_ece;
        near(&case.name, "smooth ece", got.value, Some(case.smooth_ece));
        let records: Vec<_> = case
            .p
            .iter()
            .zip(&case.y)
            .map(|(&p, &y)| (p, y == 1))
            .collect();
        let bandwidth = smooth_ece(&Tally::new(&records)).map(|s| s.bandwidth);
        near(
            &case.name,
            "bandwidth",
            bandwidth,
            Some(case.smooth_ece_bandwidth),
        );
    }
}

#[test]
fn the_fast_smooth_ece_is_close_to_the_exact_one() {
    for case in cases() {
        let records: Vec<_> = case
            .p
            .iter()
            .zip(&case.y)
            .map(|(&p, &y)| (p, y == 1))
            .collect();
        let tally = Tally::new(&records);
        let fast = FastSmoothEce::new(case.smooth_ece_bandwidth)
            .error(&tally)
            .unwrap();
        let off = (fast - case.smooth_ece).abs();
        assert!(
            off <= 0.002 + 0.02 * case.smooth_ece,
            "{}: {fast} and {}",
            case.name,
            case.smooth_ece
        );
    }
}

#[test]
fn picks_equal_exact_fractions() {
    for case in cases() {
        let Some(expect) = &case.selection else {
            continue;
        };
        let got = without_resampling(&case);
        let name = &case.name;
        near(
            name,
            "within-task auc",
            got.ranking.within_task_auc.value,
            expect.within_task_auc,
        );
        same_picks(name, &got.selection, expect.all.as_ref());
        same_picks(
            name,
            &got.selection_both_labels,
            expect.both_labels.as_ref(),
        );
    }
}

fn same_picks(name: &str, got: &Selection<Estimate>, expect: Option<&Picks>) {
    let Some(expect) = expect else {
        return assert!(got.rm.value.is_none(), "{name}");
    };
    near(name, "pass@1", got.pass_at_1.value, Some(expect.pass_at_1));
    near(name, "rm", got.rm.value, Some(expect.rm));
    near(name, "oracle", got.oracle.value, Some(expect.oracle));
    assert_eq!(got.at.len(), expect.at.len(), "{name}");
    for (AtK { k, rm, oracle }, expect) in got.at.iter().zip(&expect.at) {
        assert_eq!(*k, expect.k, "{name}");
        near(name, "rm@k", rm.value, Some(expect.rm));
        near(name, "oracle@k", oracle.value, Some(expect.oracle));
    }
}

#[test]
fn no_records_give_no_numbers() {
    let settings = EvaluationSettings {
        resamples: 50,
        seed: 1,
    };
    let got = evaluate(&[], &[Vec::new()], settings);
    assert_eq!(got.ranking.auc.value, None);
    assert_eq!(got.selection.rm.value, None);
    assert_eq!(got.calibration[0].errors.ece_10.value, None);
    assert_eq!(got.calibration[0].floor.smooth_ece, None);
}

#[test]
fn the_same_seed_gives_the_same_intervals_and_they_hold_the_value() {
    let case = &cases()[0];
    let (observations, probabilities) = observations(case);
    let run = |seed| {
        let settings = EvaluationSettings {
            resamples: 200,
            seed,
        };
        evaluate(
            &observations,
            std::slice::from_ref(&probabilities),
            settings,
        )
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).ranking.auc.interval, run(8).ranking.auc.interval);
    let got = run(7);
    let errors = got.calibration[0].errors;
    for estimate in [got.ranking.auc, errors.ece_10, errors.smooth_ece] {
        let (low, high) = estimate.interval.unwrap();
        let value = estimate.value.unwrap();
        assert!(low < value && value < high, "{estimate:?}");
    }
}

/// Beta(1.5, 1.5) scores: 0.073 and 0.109 at n = 200 with 10 bins in a published simulation.
#[test]
fn the_floor_of_a_calibrated_model_is_the_published_one() {
    // Quantiles of Beta(1.5, 1.5), whose distribution function is a sum of elementary ones.
    let cdf = |x: f64| {
        (2.0 * (2.0 * x - 1.0) * (x - x * x).sqrt() + (2.0 * x - 1.0).asin()) / std::f64::consts::PI
            + 0.5
    };
    let quantile = |share: f64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if cdf(middle) < share {
                low = middle
            } else {
                high = middle
            }
        }
        low
    };
    for (n, mean, p95) in [(200, 0.073, 0.109), (1000, 0.033, 0.048)] {
        let p: Vec<f64> = (0..n)
            .map(|i| quantile((f64::from(i) + 0.5) / f64::from(n)))
            .collect();
        let observations: Vec<_> = p
            .iter()
            .map(|&score| Observation {
                score,
                correct: score > 0.5,
                task: None,
            })
            .collect();
        let probabilities = p.iter().map(|&p| Probability::new(p).unwrap()).collect();
        let settings = EvaluationSettings {
            resamples: 400,
            seed: 3,
        };
        let floor = evaluate(&observations, &[probabilities], settings).calibration[0]
            .floor
            .ece_10
            .unwrap();
        assert!((floor.mean - mean).abs() < 0.003, "n {n}: {floor:?}");
        assert!((floor.p95 - p95).abs() < 0.006, "n {n}: {floor:?}");
    }
}

fn records() -> impl Strategy<Value = Vec<(f64, bool)>> {
    prop::collection::vec(
        ((0u8..=40).prop_map(|p| f64::from(p) / 40.0), any::<bool>()),
        1..60,
    )
}

fn plain(records: &[(f64, bool)], score: impl Fn(f64) -> f64) -> Evaluation {
    let observations: Vec<_> = records
        .iter()
        .enumerate()
        .map(|(i, &(p, correct))| Observation {
            score: score(p),
            correct,
            task: Some(i as u32 / 7),
        })
        .collect();
    let probabilities = records
        .iter()
        .map(|r| Probability::new(r.0).unwrap())
        .collect();
    let settings = EvaluationSettings {
        resamples: 0,
        seed: 0,
    };
    evaluate(&observations, &[probabilities], settings)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_monotone_map_changes_no_ranking(records in records()) {
        let (raw, mapped) = (plain(&records, |p| p), plain(&records, |p| (3.0 * p - 9.0).exp()));
        prop_assert_eq!(raw.ranking, mapped.ranking);
        prop_assert_eq!(raw.selection, mapped.selection);
    }

    #[test]
    fn calibration_errors_and_picks_stay_in_their_bounds(records in records()) {
        let got = plain(&records, |p| p);
        let errors = got.calibration[0].errors;
        for error in [errors.ece_10, errors.ece_15, errors.ece_mass_15, errors.smooth_ece] {
            prop_assert!((0.0..=1.0).contains(&error.value.unwrap()), "{:?}", error);
        }
        let picks = got.selection;
        prop_assert!(picks.oracle.value >= picks.rm.value);
        for at in &picks.at {
            prop_assert!(at.oracle.value.unwrap() >= at.rm.value.unwrap() - 1e-12);
        }
    }
}
