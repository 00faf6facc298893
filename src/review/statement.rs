//! The two things that can be said: do not show this, and this is right or wrong.

use super::hunk_id::HunkId;
use crate::calibration::{Logit, Probability};
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Top of the work tree; what is not UTF-8 in it is replaced.
    pub root: String,
    /// Path of the file below it.
    pub path: String,
    /// The hunk, or all changes of the file.
    pub content: HunkId,
}

/// A hunk that must not be shown as low.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Which hunk.
    #[serde(flatten)]
    pub place: Place,
    /// The hunk as a unified diff, to recognise it by.
    pub patch: String,
    /// When, in UTC.
    pub time: String,
}

/// A change that the user judged, with what the model thought of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Which change.
    #[serde(flatten)]
    pub place: Place,
    /// One hunk or all of the file.
    pub scope: Scope,
    /// The user's word.
    pub label: Label,
    /// The change as a unified diff.
    pub patch: String,
    /// The description of what it is for, if the model was given one.
    pub task: Option<String>,
    /// The score that the user saw.
    pub probability: Probability,
    /// The model's own output.
    pub logit: Logit,
    /// Model name and version.
    pub model: String,
    /// Which calibration made the probability.
    pub calibration: String,
    /// When, in UTC.
    pub time: String,
}

/// How much of a file a mark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One hunk.
    Hunk,
    /// All changes of a file.
    File,
}

/// Whether a change does what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// It does.
    Correct,
    /// It does not.
    Wrong,
}

impl Place {
    /// `root` is the top of the work tree, as [`crate::change::repository_root`] gives it.
    #[must_use]
    pub fn new(root: &Path, path: &str, content: HunkId) -> Self {
        Self {
            root: root.to_string_lossy().into_owned(),
            path: path.into(),
            content,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hunk => "hunk",
            Self::File => "file",
        })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
        })
    }
}

/// The time in UTC to the second, as statements hold it: `2025-01-31T23:59:59Z`.
#[must_use]
pub fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}
