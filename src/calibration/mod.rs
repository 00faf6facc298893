//! From a logit to a probability that means what it says, and the measures that check it.
//!
//! Invariant: a [`Probability`] is finite and within 0 and 1. This room must not know where logits
//! come from.

pub mod diagram;
pub mod fit;
mod local;
pub mod map;
pub mod metrics;
pub mod prior;
pub mod probability;
mod risk_diagram;

pub use local::{LocalCalibrations, LocalError};
pub use map::{Beta, Calibration, CalibrationError, Map, ReliabilityBin, lack};
pub use prior::shift_prior;
pub use probability::{Logit, Probability};
pub use risk_diagram::risk_diagram;
