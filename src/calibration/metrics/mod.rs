//! How good scores are: ranking, picking one of several candidates, and calibration.
//!
//! Every measure of ranking and calibration is a function of a [`Tally`]: how many records, and how
//! many correct ones, share each score. Resampling only refills a tally, so one bootstrap resample
//! costs time linear in the number of records.
//!
//! Invariant: what cannot be computed (one label only, no tasks, no records) is `None`, never NaN
//! and never a made-up number. Results depend on the records and the seed alone.

pub mod binned;
pub mod bootstrap;
pub mod coverage;
pub mod evaluation;
pub mod floor;
pub mod proper;
pub mod ranking;
pub mod selection;
pub mod smooth;
pub mod tally;

pub use bootstrap::Estimate;
pub use coverage::{RiskAt, RiskCoverage, risk_coverage};
pub use evaluation::{
    Calibrated, CalibrationErrors, Evaluation, EvaluationSettings, Observation, Ranking, Scoring,
    evaluate,
};
pub use floor::Floor;
pub use selection::{AtK, Selection};
pub use tally::Tally;
