//! Moving a probability from one base rate to another.
//!
//! Invariant: strictly increasing in the probability, so a ranking never changes (except where
//! floating point saturates at 0 or 1).

use super::probability::{Logit, Probability};

/// What a probability calibrated at base rate `from` becomes where the base rate is `to`:
/// `sigmoid(logit(p) + logit(to) - logit(from))`, Bayes' rule for a changed prior
/// (Saerens et al. 2002). Equal rates leave `p` untouched.
#[must_use]
pub fn shift_prior(p: Probability, from: Probability, to: Probability) -> Probability {
    if from == to {
        return p;
    }
    let shifted = p.logit().get() + to.logit().get() - from.logit().get();
    Logit::new(shifted).map_or(p, Logit::sigmoid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    #[test]
    fn multiplies_the_odds_by_the_ratio_of_the_prior_odds() {
        // Odds 1 at prior odds 1/4 become odds 4 at prior odds 1.
        assert!((shift_prior(p(0.5), p(0.2), p(0.5)).get() - 0.8).abs() < 1e-12);
        assert_eq!(shift_prior(p(0.0), p(0.2), p(0.2)).get(), 0.0);
    }

    #[test]
    fn there_and_back_is_the_same() {
        for x in [0.001, 0.3, 0.5, 0.97] {
            let there = shift_prior(p(x), p(0.2), p(0.7));
            assert!((shift_prior(there, p(0.7), p(0.2)).get() - x).abs() < 1e-12);
        }
    }
}
