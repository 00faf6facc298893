//! What can be asked about candidates, and what is answered.
//!
//! Invariant: these are the words of the protocol, as documented for clients; what they mean is
//! worked out elsewhere.

use super::super::tasks::Place;
use super::candidate::Source;
use crate::calibration::Probability;
use crate::ranking::{self, Failed};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What can be asked about candidates. Each is a request, and a command with the same parameters.
#[derive(Debug, Clone)]
pub(in crate::server) enum Ask {
    /// `diffidence/candidates`: what there is to compare.
    Candidates(Place),
    /// `diffidence/compare`: how candidates rank.
    Compare(AskComparison),
    /// `diffidence/candidateFile`: one file of a candidate.
    File(AskFile),
    /// `diffidence/applyCandidate`: makes the candidate's changes in the editor.
    Apply(AskApply),
}

/// Parameters of `diffidence/compare`.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::server) struct AskComparison {
    #[serde(flatten)]
    pub(in crate::server) place: Place,
    /// What the candidates are for; if it is not told, what the changes of the repository are for.
    #[serde(default)]
    pub(in crate::server) task: Option<String>,
    pub(in crate::server) candidates: Vec<Source>,
}

/// Parameters of `diffidence/candidateFile`.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::server) struct AskFile {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) candidate: Source,
    /// One of the paths that the comparison names.
    pub(super) path: String,
}

/// Parameters of `diffidence/applyCandidate`.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::server) struct AskApply {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) candidate: Source,
    /// As the comparison has it. Without it the candidate is applied as it is now.
    #[serde(default)]
    pub(super) digest: Option<String>,
}

/// Answer of `diffidence/candidates`.
#[derive(Debug, Serialize)]
pub(super) struct Choices {
    pub(super) root: PathBuf,
    pub(super) branches: Vec<String>,
    pub(super) worktrees: Vec<PathBuf>,
}

/// Answer of `diffidence/compare`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    /// Top of the work tree.
    pub(super) root: PathBuf,
    /// The commit that HEAD is at, abbreviated.
    pub(super) head: Option<String>,
    /// Whether the model was told what the candidates are for.
    pub(super) with_task: bool,
    /// Best first.
    pub(super) candidates: Vec<Compared>,
    /// What separates the first from the second, if there are two.
    pub(super) first_against_second: Option<Vec<String>>,
    pub(super) failed: Vec<Refused>,
    /// Name and version.
    pub(super) model: Option<String>,
    /// All of it for people, as `diffidence rank` prints it.
    pub(super) text: String,
}

/// A candidate of a [`Comparison`] at its place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Compared {
    #[serde(flatten)]
    pub(super) place: ranking::Place,
    pub(super) candidate: Source,
    /// Known again by it when it is to be applied.
    pub(super) digest: String,
    /// The commit that it is compared with, abbreviated.
    pub(super) base: Option<String>,
    pub(super) files: Vec<ComparedFile>,
    /// Files that no score counts, with the reason.
    pub(super) skipped: Vec<LeftOut>,
}

/// A file that a candidate changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ComparedFile {
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old_path: Option<String>,
    pub(super) status: String,
    pub(super) added: usize,
    pub(super) removed: usize,
    /// The lowest score of its hunks.
    pub(super) probability: Option<Probability>,
}

/// A file that is not scored, or not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::server) struct LeftOut {
    pub(in crate::server) path: String,
    pub(in crate::server) reason: String,
}

/// A candidate without a place.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    #[serde(flatten)]
    pub(super) failed: Failed,
    pub(super) candidate: Source,
}

/// Answer of `diffidence/candidateFile`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CandidateFile {
    /// The unified diff of the file.
    pub(super) diff: String,
    /// The commit that the texts are of, abbreviated.
    pub(super) base: Option<String>,
    /// The text in that commit; none for a new file.
    pub(super) before: Option<String>,
    /// The text as the candidate has it; none for a deleted file, and where the diff does not fit.
    pub(super) after: Option<String>,
    /// Why there is no text although there should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl Ask {
    /// The repository that is meant.
    pub(in crate::server) fn place(&self) -> &Place {
        match self {
            Self::Candidates(place) => place,
            Self::Compare(ask) => &ask.place,
            Self::File(ask) => &ask.place,
            Self::Apply(ask) => &ask.place,
        }
    }
}
