//! The calibration error that a perfectly calibrated model would show.
//!
//! With few records even true probabilities miss the shares they are compared with. An error near
//! this floor says nothing against a model, and errors below it cannot be told apart.

use super::bootstrap::{Random, percentile};
use super::evaluation::CalibrationErrors;
use super::tally::Tally;
use serde::Serialize;

/// A calibration error when outcomes are drawn from the probabilities themselves. The draws are
/// independent; where candidates of a task succeed together the true floor is higher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Floor {
    /// Mean over the simulations.
    pub mean: f64,
    /// 95% of the simulations lie below it.
    pub p95: f64,
}

/// Draws outcomes from the probabilities of `tally` `simulations` times and measures each time.
/// `None` fields without records or simulations.
pub(super) fn floors(
    tally: &Tally,
    simulations: usize,
    random: &mut Random,
    measure: impl Fn(&Tally) -> CalibrationErrors<Option<f64>>,
) -> CalibrationErrors<Option<Floor>> {
    let mut drawn = tally.clone();
    let mut errors = Vec::with_capacity(simulations);
    for _ in 0..simulations {
        for place in 0..drawn.values.len() {
            let p = drawn.values[place];
            let mut positive = 0.0;
            for _ in 0..drawn.total[place] as usize {
                if random.unit() < p {
                    positive += 1.0;
                }
            }
            drawn.positive[place] = positive;
        }
        errors.push(measure(&drawn));
    }
    CalibrationErrors::collect(&errors, |_, mut values| {
        values.sort_by(f64::total_cmp);
        Some(Floor {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p95: percentile(&values, 0.95)?,
        })
        .filter(|_| !values.is_empty())
    })
}
