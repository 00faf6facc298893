//! What a document looks like to the client: pure functions from its state to protocol types.
//!
//! Invariant: the same state gives the same picture. This module must not send anything.

mod diagnostics;
mod hints;
mod hover;
mod lens;
pub(super) mod report;
mod runs;
mod suspects;

pub(super) use diagnostics::{diagnostics, is_low_score};
pub(super) use hints::{Hint, hints};
pub(super) use hover::hover;
pub(super) use lens::{lens, summary, title};
pub(super) use runs::{changed_runs, touched_hunk};
