//! What is known about the hunks of a document beside their lines and scores.

use crate::change::Outcome;
use crate::review::Reviews;
use std::path::{Path, PathBuf};

/// Found by a look, together with the hunks it is about.
#[derive(Debug, Default)]
pub(in crate::server) struct Reviewed {
    /// Top of the work tree.
    pub(in crate::server) root: PathBuf,
    /// For each hunk whether the user ignores it.
    ignored: Vec<bool>,
    /// Whether the last line of the base has no terminator.
    pub(in crate::server) base_ends_open: bool,
}

impl Reviewed {
    /// Reads from disk.
    pub(in crate::server) fn of(outcome: &Outcome, root: &Path, reviews: &Reviews) -> Self {
        match outcome {
            Outcome::Changed {
                change,
                base_ends_open,
                ..
            } => Self {
                root: root.into(),
                ignored: reviews.ignored_of(root, change),
                base_ends_open: *base_ends_open,
            },
            Outcome::Unchanged { .. } | Outcome::Skipped(_) => Self::default(),
        }
    }

    /// Whether the user ignores the hunk at `index`.
    pub(in crate::server) fn is_ignored(&self, index: usize) -> bool {
        self.ignored.get(index).copied().unwrap_or(false)
    }

    /// How many hunks are ignored.
    pub(in crate::server) fn ignored_count(&self) -> usize {
        self.ignored.iter().filter(|&&ignored| ignored).count()
    }
}
