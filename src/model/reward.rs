//! The one interface between models and everything that uses them.

use super::render::RENDERER;
use crate::calibration::{Logit, Probability};
use crate::change::Patch;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A model that judges a patch without running it.
pub trait RewardModel: Send + Sync {
    /// Which model this is; part of every cache key and every output.
    fn identity(&self) -> &ModelIdentity;

    /// The logits of a patch and of each of its hunks. `task` is the description of what the
    /// change is for.
    ///
    /// # Errors
    /// [`ModelError::NothingToScore`] if the patch has no added or removed line;
    /// [`ModelError::Cancelled`] soon after `run` is cancelled; otherwise if the computation fails.
    fn score(
        &self,
        patch: &Patch,
        task: Option<&str>,
        run: &Run,
    ) -> Result<PatchLogits, ModelError>;

    /// How many patches are best scored side by side, if many are to be.
    fn at_once(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

/// Names a model in outputs and cache keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelIdentity {
    /// The bundle's name.
    pub name: String,
    /// The bundle's version.
    pub version: String,
    /// SHA-256 of `bundle.json`, which in turn holds the hashes of all other files.
    pub bundle_hash: String,
    /// Renderer and version, such as `patch@1`.
    pub renderer: String,
}

impl ModelIdentity {
    /// Whether the model reads the conversation that led to a patch, as language models do; the
    /// bundled one was made for descriptions of tasks.
    #[must_use]
    pub fn reads_conversations(&self) -> bool {
        self.renderer != RENDERER
    }
}

impl std::fmt::Display for ModelIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Raw output of a [`RewardModel`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchLogits {
    /// For the patch as a whole.
    pub patch: Logit,
    /// One for each hunk, in the order of [`Patch::hunks`].
    pub hunks: Vec<Logit>,
    /// The few lines that speak most against each hunk, the most suspect first; in the order of
    /// `hunks`, or nothing at all if the model cannot tell.
    pub suspects: Vec<Vec<SuspectLine>>,
    /// Tokens that the trunk read.
    pub tokens: usize,
    /// Whether the trunk did not see all of the patch.
    pub truncated: bool,
    /// Share of the added and removed lines that it saw.
    pub read: Probability,
}

/// A changed line that speaks against its hunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SuspectLine {
    /// Index in [`Hunk::lines`](crate::change::Hunk::lines).
    pub line: usize,
    /// Its part of all that speaks against the hunk: if something is wrong with the hunk, how
    /// likely it is this line.
    pub share: Probability,
}

/// A run of a model as others see it: it can be asked to stop, which it looks for between layers,
/// and it tells how far it is.
#[derive(Debug, Clone, Default)]
pub struct Run(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    cancelled: AtomicBool,
    done: AtomicUsize,
    all: AtomicUsize,
}

/// How many of its tokens a run has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensRead {
    /// So many so far.
    pub done: usize,
    /// Of so many; more than 0.
    pub all: usize,
}

impl Run {
    /// Asks to stop. Cannot be taken back.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// How far it is; `None` before it knows, and for a model that does not tell.
    #[must_use]
    pub fn tokens(&self) -> Option<TokensRead> {
        let all = self.0.all.load(Ordering::Relaxed);
        let done = self.0.done.load(Ordering::Relaxed).min(all);
        (all > 0).then_some(TokensRead { done, all })
    }

    /// Says how many tokens there are to read.
    pub fn expect(&self, tokens: usize) {
        self.0.all.store(tokens, Ordering::Relaxed);
    }

    /// Says that so many more were read.
    pub fn advance(&self, tokens: usize) {
        self.0.done.fetch_add(tokens, Ordering::Relaxed);
    }
}

/// Why a bundle cannot be loaded or a patch cannot be scored. Each message names the file and the
/// field at fault and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No bundle where one was looked for.
    #[error("no model bundle in {0}: point `--model` at a folder that holds a bundle.json")]
    NotFound(PathBuf),
    /// The model that the user chose was removed or moved.
    #[error(
        "the model that was chosen is not in {0} any more: choose another with `diffidence model use \
         NAME`, or go back with `diffidence model use bundled`"
    )]
    ChosenIsGone(PathBuf),
    /// A file of the bundle is missing or cannot be read.
    #[error("model bundle: cannot read {file}: {source}; restore the bundle")]
    Read {
        /// The file at fault.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the bundle is not what `bundle.json` says.
    #[error("model bundle: {file}: {problem}; restore the bundle")]
    Invalid {
        /// The file at fault.
        file: PathBuf,
        /// The field and what is wrong with it.
        problem: String,
    },
    /// The bundle is sound, but made for another version of this program.
    #[error("model bundle: {file}: {problem}; use another bundle or another version of diffidence")]
    Unsupported {
        /// The file at fault.
        file: PathBuf,
        /// The field and what this version reads.
        problem: String,
    },
    /// No bundle in any of the places where the bundled model may be.
    #[error(
        "no model bundle found; looked in {}: set DIFFIDENCE_MODEL or `--model` to a folder that holds a bundle.json",
        .0.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NotInstalled(Vec<PathBuf>),
    /// The model and its prompts do not fit into memory: what it needs, and what would fit.
    #[error("{0}")]
    TooLarge(String),
    /// A file of weights does not hold what the bundle says, or cannot be read.
    #[error("the model's weights: {0}")]
    Weights(String),
    /// The engine of a remote model does not answer, or not as it should.
    #[error("the remote model: {0}")]
    Remote(String),
    /// The patch has no added or removed line.
    #[error("the patch changes no line: there is nothing to score")]
    NothingToScore,
    /// The system refused to start a thread.
    #[error("cannot start the model's threads: {0}; lower the number of threads")]
    Threads(String),
    /// There is no device of the kind that was asked for.
    #[error("{0}")]
    Device(String),
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    /// The computation was asked to stop.
    #[error("scoring was cancelled")]
    Cancelled,
    /// The tensor library failed.
    #[error("the model failed: {0}")]
    Compute(#[from] candle_core::Error),
    /// The model produced something that is not a finite number.
    #[error("the model produced a logit that is not a finite number")]
    NotFinite,
}
