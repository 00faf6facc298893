//! All changes of a repository as one patch, and what is told about its score.
//!
//! Invariant: a look depends only on its [`Question`] and the disk. It lists a work tree and may
//! take long, so it runs on a blocking thread and never in the actor.

use super::event::{Generation, Reply};
use super::tasks::Tasks;
use crate::calibration::Probability;
use crate::change::{Base, ChangeOptions, ChangeSet, FileChange, Patch};
use crate::config::Config;
use crate::scoring::{Judge, ScoreRequest, Slot, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::time::Instant;
use tower_lsp::lsp_types::notification::Notification;

/// `diffidence/workspaceScore`, and the answer of the command of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceScore {
    /// Top of the work tree.
    pub root: PathBuf,
    /// How likely all changes together are correct; none if nothing is changed, or if the model
    /// cannot judge it.
    pub probability: Option<Probability>,
    /// Why the model cannot judge it, for a reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstained: Option<String>,
    /// Changed files that were scored.
    pub files: usize,
    /// Hunks that score low.
    pub low_hunks: usize,
    /// What the changes are measured against, for a reader.
    pub base: String,
}

impl Notification for WorkspaceScore {
    type Params = Self;
    const METHOD: &'static str = "diffidence/workspaceScore";
}

/// Where the answer to the command goes.
pub(super) type ScoreReply = Reply<Result<WorkspaceScore, String>>;

/// The state of one repository's score.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// When to look and score, once nothing else is under way.
    pub(super) due: Option<Instant>,
    /// The look or score that runs.
    pub(super) job: Option<Generation>,
    pub(super) told: Option<WorkspaceScore>,
    pub(super) replies: Vec<ScoreReply>,
}

/// What to look at.
pub(super) struct Question {
    pub(super) root: PathBuf,
    /// The user's settings, without those of the repository.
    pub(super) config: Config,
    /// Open documents that differ from the disk, with their changes if there are any.
    pub(super) edited: BTreeMap<PathBuf, Option<FileChange>>,
    /// What the changes are for.
    pub(super) tasks: Tasks,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) request: ScoreRequest,
    pub(super) config: Config,
    base: String,
}

/// Looks.
pub(super) fn look(question: Question) -> Result<Sight, String> {
    let Question {
        root,
        config,
        mut edited,
        tasks,
    } = question;
    let (config, _) = config.overlaid_by_repository(&root);
    if !config.enable {
        return Err("scoring is turned off in the settings (`enable`)".into());
    }
    let options = ChangeOptions {
        base: Base::parse(&config.base),
        max_file_bytes: config.max_file_bytes,
        ..ChangeOptions::default()
    };
    let set = ChangeSet::of(&root, &options).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for change in set.patch().files {
        let path = change.new_path.as_ref().map(|path| root.join(path));
        match path.and_then(|path| edited.remove(&path)) {
            Some(buffer) => files.extend(buffer),
            None => files.push(change),
        }
    }
    // New in a buffer, or under another spelling of the folder.
    for change in edited.into_values().flatten() {
        files.retain(|file| file.new_path != change.new_path);
        files.push(change);
    }
    let (task, _) = tasks.in_force(&root, &config);
    files.sort_by(|a, b| name(a).cmp(&name(b)));
    Ok(Sight {
        base: set.base_description(),
        request: ScoreRequest {
            patch: Patch { files },
            task: task.as_deref().map(Into::into),
        },
        config,
    })
}

fn name(change: &FileChange) -> Option<&String> {
    change.new_path.as_ref().or(change.old_path.as_ref())
}

impl Sight {
    /// Whether there is nothing to judge.
    pub(super) fn is_empty(&self) -> bool {
        self.request.patch.hunks().next().is_none()
    }

    /// What is told; without a verdict, that there is nothing to judge.
    pub(super) fn score(
        &self,
        root: &Path,
        verdict: Option<&Verdict>,
        judge: &Judge,
    ) -> WorkspaceScore {
        let verdict = verdict.map(|verdict| judge.judge_again(verdict, self.config.prior));
        let min_score = self.config.min_score;
        WorkspaceScore {
            root: root.to_owned(),
            probability: verdict.as_ref().and_then(|it| it.patch.probability()),
            abstained: verdict
                .as_ref()
                .and_then(|it| Some(it.patch.abstention()?.to_string())),
            files: self.request.patch.files.len(),
            low_hunks: verdict.map_or(0, |verdict| verdict.low_hunks(min_score)),
            base: self.base.clone(),
        }
    }
}

/// No path of a file begins so.
pub(super) fn slot(root: &Path) -> Slot {
    Slot(format!("workspace {}", root.display()))
}
