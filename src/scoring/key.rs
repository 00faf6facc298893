//! The key under which a result is remembered.
//!
//! Invariant: two requests share a key only if the model would read the same bytes for both. Line
//! numbers are left out on purpose: the model never sees them, so an edit above a hunk does not
//! make its file's result stale. The prior and the calibration are left out as well, because
//! logits are remembered, not probabilities.

use super::verdict::ScoreRequest;
use crate::change::{FileStatus, LineKind};
use crate::model::ModelIdentity;
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 over the model, the renderer, the patch and the task description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of a request to a model.
    #[must_use]
    pub fn of(identity: &ModelIdentity, request: &ScoreRequest) -> Self {
        let mut hash = Fields::default();
        hash.text(&identity.bundle_hash);
        hash.text(&identity.renderer);
        hash.optional(request.task.as_deref());
        hash.number(request.patch.files.len());
        for file in &request.patch.files {
            hash.optional(file.old_path.as_deref());
            hash.optional(file.new_path.as_deref());
            hash.number(match file.status {
                FileStatus::Added => 0,
                FileStatus::Modified => 1,
                FileStatus::Deleted => 2,
                FileStatus::Renamed => 3,
            });
            hash.number(file.hunks.len());
            for hunk in &file.hunks {
                hash.number(hunk.lines.len());
                for line in &hunk.lines {
                    hash.number(match line.kind {
                        LineKind::Context => 0,
                        LineKind::Added => 1,
                        LineKind::Removed => 2,
                    });
                    hash.text(&line.text);
                }
            }
        }
        Self(hash.0.finalize().into())
    }
}

/// Lower-case hexadecimal, 64 digits.
impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes fields with their lengths, so that no two lists of fields run together to the same bytes.
#[derive(Default)]
pub(crate) struct Fields(Sha256);

impl Fields {
    pub(crate) fn number(&mut self, value: usize) {
        self.0.update((value as u64).to_le_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.number(value.len());
        self.0.update(value);
    }

    fn optional(&mut self, value: Option<&str>) {
        self.number(usize::from(value.is_some()));
        if let Some(value) = value {
            self.text(value);
        }
    }

    /// Lower-case hexadecimal, 64 digits.
    pub(crate) fn hex(self) -> String {
        self.0
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
