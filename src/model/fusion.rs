//! Late fusion: the branches' logits weighted into one.
//!
//! Invariant: linear in each logit. A hunk that the trunk did not read gets the mean of the
//! training data in place of its trunk logit, so that it is judged by the other branches.

/// Logits of a patch before they are fused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PatchBranches {
    /// With a task description to judge it by.
    Described {
        /// The trunk's head.
        trunk: f64,
        /// The lexical branch.
        text: f64,
        /// The linear model over the change metrics.
        metrics: f64,
        /// The trees over the same.
        trees: f64,
    },
    /// Without one.
    Bare {
        /// The lexical branch.
        text: f64,
        /// The trees over the change metrics.
        trees: f64,
    },
    /// One function put right outside of its repository, as benchmarks of program repair have it.
    Snippet {
        /// The trees over the change metrics.
        trees: f64,
    },
}

/// Logits of a hunk before they are fused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HunkBranches {
    /// The trunk's head; `None` if it did not read the hunk.
    pub trunk: Option<f64>,
    /// The lexical branch.
    pub text: f64,
    /// The line branch; higher means more likely wrong.
    pub lines: f64,
    /// Whether the change reads like one for the better; the trees see it.
    pub direction: f64,
    /// The trees over metrics, surroundings and line scores, and over what the reverse has of them.
    pub trees: f64,
    /// Whether it puts as many lines and tokens in as it takes out. Nearly all that the trees see
    /// tells nothing then, so the direction counts for more.
    pub keeps_size: bool,
}

/// Weights of trunk, text, metrics and trees, and a constant; for a patch without a task
/// description, of text and trees, and a constant; for a snippet, of trees, and a constant.
#[derive(Debug, Clone)]
pub(super) struct PatchFusion {
    pub(super) described: [f64; 5],
    pub(super) bare: [f64; 3],
    pub(super) snippet: [f64; 2],
}

/// Weights of trunk, text, direction and trees, a constant, and the weight of the patch's logit.
#[derive(Debug, Clone)]
pub(super) struct HunkFusion {
    pub(super) weights: [f64; 6],
    /// The same for hunks that keep the size.
    pub(super) same_size: [f64; 6],
    /// Stands in for the trunk logit of a hunk that was not read.
    pub(super) unread: f64,
    /// Scale and constant that make the logit of a patch that of its only hunk.
    pub(super) only: [f64; 2],
}

impl PatchBranches {
    /// Whether what judges the patch was taught by tests that ran, and not by what became of
    /// commits.
    pub(super) fn is_taught_by_tests(&self) -> bool {
        !matches!(self, Self::Bare { .. })
    }
}

impl PatchFusion {
    /// The logit of the patch.
    pub(super) fn logit(&self, branches: &PatchBranches) -> f64 {
        match *branches {
            PatchBranches::Described {
                trunk,
                text,
                metrics,
                trees,
            } => {
                let [a, b, c, d, constant] = self.described;
                a * trunk + b * text + c * metrics + d * trees + constant
            }
            PatchBranches::Bare { text, trees } => {
                let [a, b, constant] = self.bare;
                a * text + b * trees + constant
            }
            PatchBranches::Snippet { trees } => {
                let [a, constant] = self.snippet;
                a * trees + constant
            }
        }
    }
}

impl HunkFusion {
    /// The logit of the only hunk of a patch with logit `patch`: the hunk is the patch.
    pub(super) fn of_patch(&self, patch: f64) -> f64 {
        let [scale, constant] = self.only;
        scale * patch + constant
    }

    /// The logit of a hunk of a patch with logit `patch`.
    pub(super) fn logit(&self, branches: &HunkBranches, patch: f64) -> f64 {
        let [trunk, text, direction, trees, constant, whole] = if branches.keeps_size {
            self.same_size
        } else {
            self.weights
        };
        trunk * branches.trunk.unwrap_or(self.unread)
            + text * branches.text
            + direction * branches.direction
            + trees * branches.trees
            + constant
            + whole * patch
    }
}
