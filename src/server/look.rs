//! One look at a document against its base: repository, its settings, diff, remembered score.
//!
//! Invariant: a look depends only on its [`Question`] and the disk, and always ends in a [`Look`].
//! It reads files and may take long, so it runs on a blocking thread and never in the actor.

use super::actions::Reviewed;
use super::tasks::Tasks;
use crate::change::{
    Base, ChangeError, ChangeOptions, ChangedFile, FileChange, Outcome, Patch, RepositoryPlaces,
    SkipReason, change_of_file, repository_places,
};
use crate::config::Config;
use crate::review::Reviews;
use crate::scoring::{Engine, ScoreRequest, Verdict};
use crate::syntax::{Checker, Flaw};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to look at.
pub(super) struct Question {
    pub(super) path: PathBuf,
    /// The buffer; it wins over the disk.
    pub(super) text: String,
    /// The user's settings, without those of the repository.
    pub(super) config: Config,
    /// What the changes are for.
    pub(super) tasks: Tasks,
    pub(super) engine: Arc<Engine>,
    pub(super) reviews: Arc<Reviews>,
    /// Reads the text for what it shows by itself; `None` where somebody waits for a first score, and
    /// another look follows.
    pub(super) checker: Option<Arc<Checker>>,
}

/// What was seen.
pub(super) struct Look {
    pub(super) sight: Sight,
    /// Whether the buffer differs from the disk.
    pub(super) unsaved: bool,
    /// The repository it is in; `None` if there is none or it cannot be opened.
    pub(super) repository: Option<RepositoryPlaces>,
    /// What the user said about its hunks.
    pub(super) reviewed: Reviewed,
    /// What its text shows by itself; `None` if it is still to be read.
    pub(super) flaws: Option<Vec<Flaw>>,
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
        task: Option<Arc<str>>,
        remembered: Option<Box<Verdict>>,
    },
}

impl Look {
    /// A look that found no hunks.
    fn at_nothing(sight: Sight, config: Config) -> Self {
        Self {
            sight,
            unsaved: false,
            repository: None,
            reviewed: Reviewed::default(),
            flaws: Some(Vec::new()),
            config,
            warnings: Vec::new(),
        }
    }

    /// A look that came to nothing.
    pub(super) fn failed(config: Config, reason: String) -> Self {
        Self::at_nothing(Sight::Failed(reason), config)
    }
}

/// Looks.
pub(super) fn look(question: &Question) -> Look {
    let unsaved = !is_on_disk(&question.path, &question.text);
    let folder = question.path.parent().unwrap_or(&question.path);
    let repository = match repository_places(folder) {
        Ok(repository) => repository,
        Err(error) => {
            let look = Look::at_nothing(Sight::of_error(&error), question.config.clone());
            return Look { unsaved, ..look };
        }
    };
    let root = repository.root.clone();
    let (config, warnings) = question.config.clone().overlaid_by_repository(&root);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let mut look = Look {
        unsaved,
        repository: Some(repository),
        warnings,
        ..Look::at_nothing(Sight::Unchanged, config)
    };
    if !look.config.enable {
        return look;
    }
    let options = ChangeOptions {
        base: Base::parse(&look.config.base),
        max_file_bytes: look.config.max_file_bytes,
        keep_texts: look.config.static_checks && question.checker.is_some(),
        ..ChangeOptions::default()
    };
    // Even a buffer that was on disk a moment ago: the disk may hold something newer by now, and
    // its lines would be taken for those of the buffer.
    match change_of_file(&question.path, Some(&question.text), &options) {
        Ok(file) if !unsaved && is_unchanged_on_disk(&file, question, &options) => {}
        Ok(file) => {
            let (task, warning) = question.tasks.in_force(&root, &look.config);
            look.warnings.extend(warning);
            if let Outcome::Changed { change, texts, .. } = &file.outcome
                && look.config.static_checks
            {
                let checker = question.checker.as_ref();
                look.flaws = checker.map(|it| it.check_texts(change, texts.as_ref()));
            }
            look.reviewed = Reviewed::of(&file.outcome, &root, &question.reviews);
            look.sight = Sight::of(file.outcome, task, &question.engine);
        }
        Err(error) => look.sight = Sight::of_error(&error),
    }
    look
}

/// What the engine is asked about a change.
pub(super) fn request(change: &FileChange, task: Option<&str>) -> ScoreRequest {
    ScoreRequest {
        patch: Patch {
            files: vec![change.clone()],
        },
        task: task.map(Into::into),
    }
}

impl Sight {
    fn of(outcome: Outcome, task: Option<Arc<str>>, engine: &Engine) -> Self {
        match outcome {
            Outcome::Changed { change, .. } => {
                let remembered = engine
                    .remembered(&request(&change, task.as_deref()))
                    .map(Box::new);
                Self::Changed {
                    change,
                    task,
                    remembered,
                }
            }
            // Nobody expects a score for a file that git does not keep.
            Outcome::Unchanged { .. } | Outcome::Skipped(SkipReason::Ignored) => Self::Unchanged,
            Outcome::Skipped(reason) => Self::Skipped(reason.to_string()),
        }
    }

    fn of_error(error: &ChangeError) -> Self {
        match error {
            ChangeError::NotARepository { .. }
            | ChangeError::Bare { .. }
            | ChangeError::Outside { .. } => Self::Outside(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Whether a file that is skipped was not changed in the first place: there is nothing to tell
/// then. A buffer is skipped for its name or kind before anybody compares it.
fn is_unchanged_on_disk(file: &ChangedFile, question: &Question, options: &ChangeOptions) -> bool {
    matches!(file.outcome, Outcome::Skipped(_))
        && change_of_file(&question.path, None, options)
            .is_ok_and(|file| matches!(file.outcome, Outcome::Unchanged { .. }))
}

/// Whether the disk holds exactly this text. Editors take a byte order mark out of the text.
fn is_on_disk(path: &Path, text: &str) -> bool {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    std::fs::read(path).is_ok_and(|bytes| {
        bytes == text.as_bytes() || bytes.strip_prefix(BOM) == Some(text.as_bytes())
    })
}
