//! One open document: its text, how it stands against its base, and what the client was shown.
//!
//! Invariant: a [`Standing`] belongs to one edition of the text. Only while that is the current
//! edition are ranges computed from it.

use super::actions::Reviewed;
use super::event::{Generation, Ticket};
use super::show::Hint;
use super::text::{Encoding, apply};
use crate::change::FileChange;
use crate::config::Config;
use crate::scoring::Verdict;
use crate::syntax::Flaw;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::time::Instant;
use tower_lsp::lsp_types::{Diagnostic, TextDocumentContentChangeEvent, Url};

/// A document that the client has open.
#[derive(Debug)]
pub(super) struct Document {
    /// The client's spelling.
    pub(super) uri: Url,
    pub(super) version: i32,
    pub(super) text: String,
    /// When the user last had to do with it, as far as the client tells.
    pub(super) touched: Generation,
    /// This state of the text.
    pub(super) edition: Generation,
    /// Whether the text differs from the disk, as far as is known.
    pub(super) unsaved: bool,
    /// When to look although nobody asks: the end of the typing pause.
    pub(super) due: Option<Instant>,
    pub(super) looking: Looking,
    pub(super) standing: Standing,
    /// What the text of `seen` shows by itself.
    pub(super) flaws: Vec<Flaw>,
    /// What the user said about the hunks of `standing`.
    pub(super) reviewed: Reviewed,
    /// The edition that `standing` belongs to.
    pub(super) seen: Generation,
    /// Settings in force, those of the repository included.
    pub(super) config: Config,
    /// Top of the work tree that it is in, once that is known.
    pub(super) repository: Option<PathBuf>,
    /// The title of the lens that the client was last offered.
    pub(super) title: Option<String>,
    /// The hints that the client was last offered.
    pub(super) hints: Vec<Hint>,
    /// The diagnostics that the client has, and for which version.
    pub(super) published: Option<(i32, Vec<Diagnostic>)>,
    /// The lens at the time of the last publication.
    pub(super) published_title: Option<String>,
}

/// Whether a look is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looking {
    No,
    Queued,
    Running {
        look: Generation,
        /// Something happened since it started, so it must be repeated.
        again: bool,
    },
}

/// How a document stands against its base.
#[derive(Debug)]
pub(super) enum Standing {
    /// Not looked at yet.
    Unseen,
    /// Unchanged, or outside of any repository: nothing is shown.
    Quiet,
    /// Changed and not scored; why.
    Skipped(String),
    /// Cannot be compared with its base; why.
    Failed(String),
    Changed(Changed),
}

/// A change and its score.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) change: FileChange,
    /// What it is for, as far as the model is told.
    pub(super) task: Option<Arc<str>>,
    pub(super) score: Scoring,
}

/// How far the score is.
#[derive(Debug)]
pub(super) enum Scoring {
    /// The engine has it, as this job.
    Waiting(Generation),
    Done(Box<Verdict>),
    Failed(String),
    /// The user did not want to wait. It stays so until the change is another one, or the file
    /// is saved.
    Cancelled {
        saved: bool,
    },
}

impl Document {
    pub(super) fn opened(
        uri: Url,
        version: i32,
        text: String,
        edition: Generation,
        config: Config,
    ) -> Self {
        Self {
            uri,
            version,
            text,
            touched: edition,
            edition,
            unsaved: false,
            due: None,
            looking: Looking::No,
            standing: Standing::Unseen,
            flaws: Vec::new(),
            reviewed: Reviewed::default(),
            seen: Generation::default(),
            config,
            repository: None,
            title: None,
            hints: Vec::new(),
            published: None,
            published_title: None,
        }
    }

    /// Applies changes in their order.
    pub(super) fn edit(
        &mut self,
        version: i32,
        changes: &[TextDocumentContentChangeEvent],
        edition: Generation,
        encoding: Encoding,
    ) {
        for change in changes {
            apply(&mut self.text, change, encoding);
        }
        self.version = version;
        self.edition = edition;
        self.touched = edition;
        self.unsaved = true;
    }

    /// Whether `standing` tells about the text as it is now.
    pub(super) fn is_current(&self) -> bool {
        self.seen == self.edition
    }

    /// The change, if there is one.
    pub(super) fn change(&self) -> Option<&FileChange> {
        match &self.standing {
            Standing::Changed(changed) => Some(&changed.change),
            _ => None,
        }
    }

    /// Whether the engine has it.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(&self.standing, Standing::Changed(changed)
            if matches!(changed.score, Scoring::Waiting(_)))
    }

    /// Whether it was edited since it was last looked at.
    pub(super) fn is_edited(&self) -> bool {
        !self.is_current() && !matches!(self.standing, Standing::Unseen)
    }

    /// Whether a look with this ticket is the one that runs.
    pub(super) fn awaits(&self, ticket: &Ticket) -> bool {
        matches!(self.looking, Looking::Running { look, .. } if look == ticket.look)
    }
}
