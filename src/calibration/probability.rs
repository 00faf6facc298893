//! The two numbers that the rooms exchange, so that neither can be mistaken for the other.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A finite log-odds value. Positive means more likely correct than not, before calibration.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Logit(f64);

/// A finite number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

/// A number that is no [`Logit`] or [`Probability`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NumberError {
    /// Not a finite number.
    #[error("{0} is not a finite logit")]
    Logit(f64),
    /// Not within 0 and 1.
    #[error("{0} is not a probability between 0 and 1")]
    Probability(f64),
}

impl Logit {
    /// Takes a finite value.
    ///
    /// # Errors
    /// If the value is infinite or not a number.
    pub fn new(value: f64) -> Result<Self, NumberError> {
        if value.is_finite() {
            Ok(Self(value))
        } else {
            Err(NumberError::Logit(value))
        }
    }

    /// The log-odds as a plain number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The logistic function, without overflow at either end.
    #[must_use]
    pub fn sigmoid(self) -> Probability {
        let e = (-self.0.abs()).exp();
        Probability(if self.0 >= 0.0 {
            1.0 / (1.0 + e)
        } else {
            e / (1.0 + e)
        })
    }
}

impl Probability {
    /// As likely as not.
    pub const HALF: Self = Self(0.5);

    /// Impossible.
    pub const ZERO: Self = Self(0.0);

    /// Certain.
    pub const ONE: Self = Self(1.0);

    /// Takes a value from 0 to 1.
    ///
    /// # Errors
    /// If the value is outside or not a number.
    pub fn new(value: f64) -> Result<Self, NumberError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(NumberError::Probability(value))
        }
    }

    /// The probability as a plain number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Log-odds, kept finite by staying 1e-12 away from 0 and 1.
    #[must_use]
    pub fn logit(self) -> Logit {
        let p = self.0.clamp(1e-12, 1.0 - 1e-12);
        Logit((p / (1.0 - p)).ln())
    }
}

/// Whole percent, never rounded up to certainty: 0.999 prints as 99%.
impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.0 * 100.0).round();
        let percent = if self.0 < 1.0 {
            percent.min(99.0)
        } else {
            percent
        };
        let percent = if self.0 > 0.0 {
            percent.max(1.0)
        } else {
            percent
        };
        write!(f, "{percent:.0}%")
    }
}

impl TryFrom<f64> for Logit {
    type Error = NumberError;
    fn try_from(value: f64) -> Result<Self, NumberError> {
        Self::new(value)
    }
}

impl From<Logit> for f64 {
    fn from(value: Logit) -> f64 {
        value.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = NumberError;
    fn try_from(value: f64) -> Result<Self, NumberError> {
        Self::new(value)
    }
}

impl From<Probability> for f64 {
    fn from(value: Probability) -> f64 {
        value.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Logit, Probability};

    #[test]
    fn display_never_claims_certainty() {
        let show = |p: f64| Probability::new(p).unwrap().to_string();
        assert_eq!(show(0.999), "99%");
        assert_eq!(show(0.001), "1%");
        assert_eq!(show(0.874), "87%");
        assert_eq!(show(1.0), "100%");
    }

    #[test]
    fn sigmoid_and_logit_are_inverse_and_total() {
        for x in [-800.0, -20.0, -1.0, 0.0, 1.0, 20.0] {
            let p = Logit::new(x).unwrap().sigmoid();
            assert!((0.0..=1.0).contains(&p.get()));
            assert!(
                (p.logit().get() - x.clamp(-27.64, 27.64)).abs() < 0.02,
                "{x}"
            );
        }
        assert!(Logit::new(f64::NAN).is_err());
        assert!(Probability::new(1.01).is_err());
    }
}
