//! The smallest request, judge and answer of a model, for the tests of this room.

use super::verdict::{Judge, ScoreRequest};
use crate::calibration::{Calibration, Logit, Map, Probability};
use crate::change::{FileChange, FileStatus, Hunk, Line, LineKind, LineRange, Patch};
use crate::model::{ModelIdentity, PatchLogits};

/// A new file of one line.
pub(super) fn request(text: &str) -> ScoreRequest {
    let line = Line {
        kind: LineKind::Added,
        text: text.into(),
    };
    let hunk = Hunk {
        old: LineRange { start: 0, lines: 0 },
        new: LineRange { start: 1, lines: 1 },
        lines: vec![line],
    };
    let file = FileChange {
        old_path: None,
        new_path: Some("a.rs".into()),
        status: FileStatus::Added,
        hunks: vec![hunk],
    };
    ScoreRequest {
        patch: Patch { files: vec![file] },
        task: None,
    }
}

/// One whose probabilities are the sigmoids of logits.
pub(super) fn judge(prior: Option<Probability>) -> Judge {
    let map = Map {
        slope: 1.0,
        intercept: 0.0,
        beta: None,
        reference_prior: Probability::HALF,
    };
    let calibration = Calibration {
        schema: 1,
        id: "t".into(),
        default_prior: Probability::HALF,
        patch: map.clone(),
        hunk: map,
        notes: serde_json::Value::Null,
    };
    let identity = ModelIdentity {
        name: "m".into(),
        version: "1".into(),
        bundle_hash: String::new(),
        renderer: String::new(),
    };
    Judge::new(identity, calibration, prior)
}

/// What a model says that has read everything.
pub(super) fn logits(patch: f64, hunks: &[f64]) -> PatchLogits {
    let logit = |&value: &f64| Logit::new(value).unwrap();
    PatchLogits {
        patch: logit(&patch),
        hunks: hunks.iter().map(logit).collect(),
        suspects: vec![],
        tokens: 1,
        truncated: false,
        read: Probability::ONE,
    }
}
