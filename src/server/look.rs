//! One look at a document against its base: repository, its settings, diff, remembered score.
//!
//! Invariant: a look depends only on its [`Question`] and the disk, and always ends in a [`Look`].
//! It reads files and may take long, so it runs on a blocking thread and never in the actor.

use crate::change::FileChange;
use crate::config::Config;
use crate::scoring::{Engine, Verdict};
use std::path::PathBuf;
use std::sync::Arc;

/// What to look at.
pub(super) struct Question {
    pub(super) path: PathBuf,
    /// The buffer; it wins over the disk.
    pub(super) text: String,
    /// The user's settings, without those of the repository.
    pub(super) config: Config,
    pub(super) engine: Arc<Engine>,
}

/// What was seen.
pub(super) struct Look {
    pub(super) sight: Sight,
    /// Whether the buffer differs from the disk.
    pub(super) unsaved: bool,
    /// The settings in force for this document.
    pub(super) config: Config,
    /// What was passed over in the repository's settings.
    pub(super) warnings: Vec<String>,
}

/// How the document stands against its base.
pub(super) enum Sight {
    /// There is no repository around it; why.
    Outside(String),
    /// Nothing to score.
    Unchanged,
    /// It changed and is not scored; why.
    Skipped(String),
    /// It cannot be compared; why.
    Failed(String),
    /// It has at least one hunk.
    Changed {
        change: FileChange,
        remembered: Option<Verdict>,
    },
}

/// Looks.
pub(super) fn look(question: &Question) -> Look {
    todo!()
}
