//! The calibration of a model: maps for patches and hunks, and the prior shift.
//!
//! Invariant: maps are strictly increasing, so calibration never changes a ranking.
//! Platt (1999), "Probabilistic outputs for support vector machines"; the shift is Bayes' rule for
//! a changed base rate (Saerens et al. 2002), which adds a constant to the log-odds.

use super::fit::softplus;
use super::probability::{Logit, Probability};
use serde::{Deserialize, Serialize};

/// `p = sigmoid(slope * logit + intercept)` at the base rate `reference_prior`, bent by the beta
/// map if there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// Positive.
    pub slope: f64,
    /// Log-odds added after scaling.
    pub intercept: f64,
    /// Applied to what slope and intercept yield.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<Beta>,
    /// Share of correct records in the data that the map was fitted on.
    pub reference_prior: Probability,
}

/// `log-odds = a ln(s) - b ln(1 - s) + c` of a probability `s` (Kull et al. 2017). `a = b = 1` and
/// `c = 0` change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beta {
    /// Not negative.
    pub a: f64,
    /// Not negative.
    pub b: f64,
    /// Log-odds added.
    pub c: f64,
}

/// The content of `calibration.json`; fields that only people read are kept in `notes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Version of the file's layout; this program reads 1.
    pub schema: u32,
    /// Names this fit in every output.
    pub id: String,
    /// The share of correct changes that is assumed when the user states none.
    pub default_prior: Probability,
    /// Map for the logit of a whole patch.
    pub patch: Map,
    /// Map for the logit of one hunk.
    pub hunk: Map,
    /// Data, n and the metrics before and after: for the reader, not for the program.
    #[serde(default)]
    pub notes: serde_json::Value,
}

/// What became of the hunks in one range of scores, in the data that a calibration was checked on.
/// Scores are at the reference prior of the hunk map.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct ReliabilityBin {
    /// Scores from here.
    pub low: Probability,
    /// Scores up to here.
    pub high: Probability,
    /// Number of hunks.
    pub n: u32,
    /// Number of hunks that were right.
    pub right: u32,
}

impl ReliabilityBin {
    /// The share of hunks that were right.
    #[must_use]
    pub fn share_right(&self) -> Probability {
        let share = f64::from(self.right) / f64::from(self.n);
        Probability::new(share).unwrap_or(Probability::HALF)
    }
}

/// Why a calibration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// Not the JSON it should be.
    #[error("cannot read it: {0}")]
    Json(#[from] serde_json::Error),
    /// Written for another version of this program.
    #[error("field `schema` is {0}, this version reads 1")]
    Schema(u32),
    /// A map that would reverse or erase the ranking, or is not finite.
    #[error(
        "field `{0}.slope` must be a positive number, `{0}.intercept` finite, and `{0}.beta`, if \
         there is one, finite with `a` and `b` not negative and not both 0"
    )]
    Map(&'static str),
    /// A base rate of 0 or 1 has no log-odds.
    #[error("field `{0}` must lie between 0 and 1, exclusive")]
    Prior(&'static str),
}

impl Map {
    /// The probability at base rate `prior`.
    #[must_use]
    pub fn apply(&self, logit: Logit, prior: Probability) -> Probability {
        let shift = prior.logit().get() - self.reference_prior.logit().get();
        let value = self.log_odds(logit) + shift;
        Logit::new(value.clamp(-700.0, 700.0)).map_or(prior, Logit::sigmoid)
    }

    /// The log-odds at the reference prior.
    pub(super) fn log_odds(&self, logit: Logit) -> f64 {
        let value = self.slope * logit.get() + self.intercept;
        match self.beta {
            None => value,
            // ln(s) = -softplus(-value), and ln(1 - s) = -softplus(value).
            Some(Beta { a, b, c }) => b * softplus(value) - a * softplus(-value) + c,
        }
    }

    /// Whether it is finite and strictly increasing.
    pub(super) fn is_usable(&self) -> bool {
        let is_line = self.slope.is_finite() && self.slope > 0.0 && self.intercept.is_finite();
        let is_bend = |Beta { a, b, c }: Beta| {
            let is_finite = a.is_finite() && b.is_finite() && c.is_finite();
            is_finite && a >= 0.0 && b >= 0.0 && a + b > 0.0
        };
        is_line && self.beta.is_none_or(is_bend)
    }
}

/// Names the calibration of a model that has none yet, in every output.
const UNCALIBRATED: &str = "uncalibrated";
/// End the name of a calibration of which only the other half was fitted.
const PATCHES_UNCALIBRATED: &str = " (patches uncalibrated)";
const HUNKS_UNCALIBRATED: &str = " (hunks uncalibrated)";

/// What was never fitted, of the calibration with this name, in a word or two.
#[must_use]
pub fn lack(id: &str) -> Option<&str> {
    let ends = [PATCHES_UNCALIBRATED, HUNKS_UNCALIBRATED];
    let end = ends.into_iter().find(|end| id.ends_with(end));
    end.map(|end| end.trim_matches([' ', '(', ')']))
        .or((id == UNCALIBRATED).then_some(id))
}

impl Calibration {
    /// For a model whose scores were never compared with what was right: they pass as they are.
    #[must_use]
    pub fn uncalibrated() -> Self {
        let map = Map {
            slope: 1.0,
            intercept: 0.0,
            beta: None,
            reference_prior: Probability::HALF,
        };
        Self {
            schema: 1,
            id: UNCALIBRATED.into(),
            default_prior: Probability::HALF,
            patch: map.clone(),
            hunk: map,
            notes: serde_json::Value::Null,
        }
    }

    /// The same under a name that says which of its maps were ever fitted to anything.
    #[must_use]
    pub fn named(self, name: &str, patches: bool, hunks: bool) -> Self {
        let id = match (patches, hunks) {
            (true, true) => name.into(),
            (true, false) => format!("{name}{HUNKS_UNCALIBRATED}"),
            (false, true) => format!("{name}{PATCHES_UNCALIBRATED}"),
            (false, false) => UNCALIBRATED.into(),
        };
        Self { id, ..self }
    }

    /// Whether the map of patches was ever fitted to anything.
    #[must_use]
    pub fn fits_patches(&self) -> bool {
        self.id != UNCALIBRATED && !self.id.ends_with(PATCHES_UNCALIBRATED)
    }

    /// Whether the map of hunks was ever fitted to anything.
    #[must_use]
    pub fn fits_hunks(&self) -> bool {
        self.id != UNCALIBRATED && !self.id.ends_with(HUNKS_UNCALIBRATED)
    }

    /// The bin of `notes.hunk.bins` that holds a hunk's score at the reference prior; `None` if
    /// the notes have no such bins, or an empty one.
    #[must_use]
    pub fn hunk_bin(&self, probability: Probability) -> Option<ReliabilityBin> {
        let bins = self.notes.pointer("/hunk/bins")?.as_array()?;
        bins.iter()
            .filter_map(|bin| ReliabilityBin::deserialize(bin).ok())
            .filter(|bin| bin.n > 0 && bin.right <= bin.n)
            .find(|bin| {
                // The last bin holds certainty too.
                let is_below = probability < bin.high || bin.high.get() >= 1.0;
                bin.low <= probability && is_below
            })
    }

    /// Reads and checks `calibration.json`.
    ///
    /// # Errors
    /// If it is not valid JSON, of another schema, or holds a map that cannot be used.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CalibrationError> {
        let calibration: Self = serde_json::from_slice(bytes)?;
        if calibration.schema != 1 {
            return Err(CalibrationError::Schema(calibration.schema));
        }
        for (name, map) in [("patch", &calibration.patch), ("hunk", &calibration.hunk)] {
            if !map.is_usable() {
                return Err(CalibrationError::Map(name));
            }
            if !is_open(map.reference_prior) {
                return Err(CalibrationError::Prior("reference_prior"));
            }
        }
        if !is_open(calibration.default_prior) {
            return Err(CalibrationError::Prior("default_prior"));
        }
        Ok(calibration)
    }
}

fn is_open(p: Probability) -> bool {
    p.get() > 0.0 && p.get() < 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    #[test]
    fn at_the_reference_prior_nothing_is_shifted() {
        let map = Map {
            slope: 2.0,
            intercept: 0.5,
            beta: None,
            reference_prior: p(0.2),
        };
        let got = map.apply(Logit::new(0.25).unwrap(), p(0.2));
        assert!((got.get() - Logit::new(1.0).unwrap().sigmoid().get()).abs() < 1e-12);
    }

    #[test]
    fn a_higher_prior_raises_every_probability_and_keeps_the_order() {
        let map = Map {
            slope: 1.0,
            intercept: 0.0,
            beta: None,
            reference_prior: p(0.2),
        };
        let at = |x: f64, prior: f64| map.apply(Logit::new(x).unwrap(), p(prior)).get();
        assert!(at(0.0, 0.68) > at(0.0, 0.2));
        assert!(at(1.0, 0.68) > at(0.5, 0.68));
        assert!((at(f64::MAX, 0.5) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_name_says_what_was_fitted() {
        let check = |patches, hunks, expect: &str, lacks: Option<&str>| {
            let calibration = Calibration::uncalibrated().named("mine", patches, hunks);
            assert_eq!(calibration.id, expect);
            assert_eq!(lack(&calibration.id), lacks);
            let fits = (calibration.fits_patches(), calibration.fits_hunks());
            assert_eq!(fits, (patches, hunks));
        };
        check(true, true, "mine", None);
        check(
            true,
            false,
            "mine (hunks uncalibrated)",
            Some("hunks uncalibrated"),
        );
        check(
            false,
            true,
            "mine (patches uncalibrated)",
            Some("patches uncalibrated"),
        );
        check(false, false, "uncalibrated", Some("uncalibrated"));
    }

    #[test]
    fn bins_are_read_from_the_notes_as_far_as_they_make_sense() {
        let with = |notes: &str| {
            let map = r#"{"slope":1,"intercept":0,"reference_prior":0.5}"#;
            let json = format!(
                r#"{{"schema":1,"id":"x","default_prior":0.5,"patch":{map},"hunk":{map},"notes":{notes}}}"#
            );
            Calibration::from_json(json.as_bytes()).unwrap()
        };
        let calibration = with(
            r#"{"hunk":{"bins":[{"low":0.1,"high":0.2,"n":0,"right":0},
                {"low":0.2,"high":0.3,"n":50,"right":12}, {"low":0.3,"high":0.4,"n":3,"right":0.5},
                "x", {"low":0.9,"high":1.0,"n":10,"right":10}]}}"#,
        );
        let share = |score| calibration.hunk_bin(p(score)).map(|bin| bin.share_right());
        assert_eq!(share(0.2), Some(p(0.24)));
        assert_eq!(share(0.3), None);
        assert_eq!(share(0.15), None);
        assert_eq!(share(1.0), Some(p(1.0)));
        for notes in ["null", "{}", r#"{"hunk":{"bins":7}}"#] {
            assert_eq!(with(notes).hunk_bin(p(0.2)), None);
        }
    }

    #[test]
    fn refuses_a_map_that_would_reverse_the_ranking() {
        let json = br#"{"schema":1,"id":"x","default_prior":0.5,
            "patch":{"slope":-1,"intercept":0,"reference_prior":0.5},
            "hunk":{"slope":1,"intercept":0,"reference_prior":0.5}}"#;
        let error = Calibration::from_json(json).unwrap_err().to_string();
        assert_eq!(
            error,
            "field `patch.slope` must be a positive number, `patch.intercept` finite, and \
             `patch.beta`, if there is one, finite with `a` and `b` not negative and not both 0"
        );
    }
}
