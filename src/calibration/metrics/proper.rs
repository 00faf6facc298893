//! Proper scores of probabilities: Brier, Brier skill and log-loss.
//!
//! They cannot be gamed by giving every record the base rate, as a calibration error can: that has
//! skill 0.

use super::tally::Tally;

/// Mean squared difference between probability and outcome. `None` without records.
#[must_use]
pub fn brier(tally: &Tally) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for place in 0..tally.values.len() {
        let (p, total, positive) = (
            tally.values[place],
            tally.total[place],
            tally.positive[place],
        );
        sum += positive * (1.0 - p) * (1.0 - p) + (total - positive) * p * p;
        count += total;
    }
    (count > 0.0).then(|| sum / count)
}

/// `1 - Brier / (r (1 - r))` with `r` the base rate of the records: 1 is perfect, 0 is no better
/// than giving every record the base rate. `None` unless both labels occur.
#[must_use]
pub fn brier_skill(tally: &Tally) -> Option<f64> {
    let rate = tally.base_rate()?;
    let reference = rate * (1.0 - rate);
    (reference > 0.0).then(|| brier(tally).map(|b| 1.0 - b / reference))?
}

/// Mean negative log-likelihood in nats. Probabilities are kept [`f64::EPSILON`] (2.2e-16) away
/// from 0 and 1, as scikit-learn's `log_loss` does. `None` without records.
#[must_use]
pub fn log_loss(tally: &Tally) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for place in 0..tally.values.len() {
        let total = tally.total[place];
        if total == 0.0 {
            continue;
        }
        let p = tally.values[place].clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        let positive = tally.positive[place];
        if positive > 0.0 {
            sum -= positive * p.ln();
        }
        if total > positive {
            sum -= (total - positive) * (1.0 - p).ln();
        }
        count += total;
    }
    (count > 0.0).then(|| sum / count)
}
