//! Late fusion: the branches' logits weighted into one.
//!
//! Invariant: linear in each logit. A hunk that the trunk did not read gets the mean of the
//! training data in place of its trunk logit, so that it is judged by the other branches.

/// Logits before they are fused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BranchLogits {
    /// The trunk's head; `None` if no window has the hunk.
    pub trunk: Option<f64>,
    /// The lexical branch.
    pub text: f64,
    /// The change metrics.
    pub metrics: f64,
}

/// Weights of trunk, text and metrics, and a constant.
#[derive(Debug, Clone)]
pub(super) struct PatchFusion(pub(super) [f64; 4]);

/// The same and the weight of the fused logit of the patch.
#[derive(Debug, Clone)]
pub(super) struct HunkFusion {
    pub(super) weights: [f64; 5],
    /// Stands in for the trunk logit of a hunk that was not read.
    pub(super) unread: f64,
}

impl PatchFusion {
    /// The logit of the patch. A patch that is scored has a window, hence a trunk logit.
    pub(super) fn logit(&self, branches: &BranchLogits) -> f64 {
        let [trunk, text, metrics, constant] = self.0;
        trunk * branches.trunk.unwrap_or(0.0)
            + text * branches.text
            + metrics * branches.metrics
            + constant
    }
}

impl HunkFusion {
    /// The logit of a hunk of a patch with logit `patch`.
    pub(super) fn logit(&self, branches: &BranchLogits, patch: f64) -> f64 {
        let [trunk, text, metrics, constant, whole] = self.weights;
        trunk * branches.trunk.unwrap_or(self.unread)
            + text * branches.text
            + metrics * branches.metrics
            + constant
            + whole * patch
    }
}
