//! The calibration error that a perfectly calibrated model would show.
//!
//! With few records even true probabilities miss the shares they are compared with. An error near
//! this floor says nothing against a model, and errors below it cannot be told apart.

use super::bootstrap::{Random, percentile};
use super::evaluation::CalibrationErrors;
use super::smooth::{FastSmoothEce, smooth_ece};
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

/// Draws outcomes from the probabilities of `tally` `simulations` times and measures each time,
/// with a SmoothECE prepared for calibrated data, whose bandwidth is much smaller than that of a
/// bad model. `None` fields without records or simulations.
pub(super) fn floors(
    tally: &Tally,
    simulations: usize,
    random: &mut Random,
    measure: impl Fn(&Tally, &FastSmoothEce) -> CalibrationErrors<Option<f64>>,
) -> CalibrationErrors<Option<Floor>> {
    let mut drawn = tally.clone();
    let mut errors = Vec::with_capacity(simulations);
    let mut smooth = None;
    for _ in 0..simulations {
        draw(&mut drawn, random);
        let smooth = smooth.get_or_insert_with(|| {
            FastSmoothEce::new(smooth_ece(&drawn).map_or(0.1, |first| first.bandwidth))
        });
        errors.push(measure(&drawn, smooth));
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

/// Replaces the outcomes by draws from the probabilities.
fn draw(tally: &mut Tally, random: &mut Random) {
    for place in 0..tally.values.len() {
        let p = tally.values[place];
        let mut positive = 0.0;
        for _ in 0..tally.total[place] as usize {
            if random.unit() < p {
                positive += 1.0;
            }
        }
        tally.positive[place] = positive;
    }
}
