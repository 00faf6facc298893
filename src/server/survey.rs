//! All changed files of a repository, open or not, for lists: what is known of each, and what is
//! still to be scored.
//!
//! Invariants: a listing depends only on its [`Question`] and the disk; it lists a work tree and
//! may take long, so it runs on a blocking thread and never in the actor. No file is left out: it
//! is scored, waits, is put off, or is listed with the reason why not. Files go before all else
//! that the model does for a list, the most recently modified first, and only for a limited time.

use super::actions::Reviewed;
use super::event::{Generation, Reply};
use super::look::request;
use super::show::changed_runs;
use super::tasks::{Place, Tasks};
use super::text::shortened;
use crate::calibration::Probability;
use crate::change::{
    Base, ChangeOptions, ChangeSet, ChangedFile, FileChange, Hunk, LineKind, Outcome,
    RepositoryPlaces,
};
use crate::config::Config;
use crate::review::{HunkId, Reviews};
use crate::scoring::{Engine, Judge, Opinion, ScoreRequest, Slot, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tower_lsp::lsp_types::Url;
use tower_lsp::lsp_types::notification::Notification;

/// Time for what somebody asked for, where the settings give files that are not open less.
const ASKED: Duration = Duration::from_secs(60);

/// A changed line is shown in a list up to so many characters.
const PREVIEW_CHARS: usize = 80;

/// Parameters of `diffidence/changes` and of the command of that name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AskChanges {
    /// The repository that is meant.
    #[serde(flatten)]
    pub(super) place: Place,
    /// Whether to be told from now on when the answer has become another.
    pub(super) watch: Option<bool>,
    /// Whether to go on with what was put off.
    #[serde(default)]
    pub(super) more: bool,
}

/// Answer of `diffidence/changes`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changes {
    /// Top of the work tree.
    pub(super) root: PathBuf,
    /// What the changes are measured against, for a reader.
    pub(super) base: String,
    /// Whether the model is told what the changes are for.
    pub(super) with_task: bool,
    /// Whether nothing waits and nothing is put off.
    pub(super) complete: bool,
    pub(super) scored: usize,
    pub(super) waiting: usize,
    pub(super) postponed: usize,
    /// What the model cannot judge.
    pub(super) abstained: usize,
    pub(super) skipped: usize,
    pub(super) failed: usize,
    /// Sorted by path.
    pub(super) files: Vec<ListedFile>,
}

/// A file of [`Changes`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedFile {
    pub(super) uri: Url,
    /// Relative to the top of the work tree.
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old_path: Option<String>,
    /// `added`, `modified`, `deleted` or `renamed`; none if it was not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    pub(super) state: ListedState,
    /// Why it is skipped, what failed, or why the model cannot judge it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probability: Option<Probability>,
    pub(super) hunks: Vec<ListedHunk>,
}

/// How far a file of [`Changes`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ListedState {
    Scored,
    Waiting,
    /// The time for files that are not open is used up.
    Postponed,
    /// The model cannot judge it.
    Abstained,
    Skipped,
    Failed,
}

/// A hunk of [`ListedFile`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedHunk {
    /// What commands know it by.
    pub(super) id: String,
    /// First changed line of the new text, 0-based.
    pub(super) line: u32,
    /// Last changed line of the new text, 0-based.
    pub(super) end_line: u32,
    pub(super) added: usize,
    pub(super) removed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probability: Option<Probability>,
    pub(super) low: bool,
    pub(super) ignored: bool,
    /// The first changed line, shortened.
    pub(super) preview: String,
}

/// `diffidence/changesChanged`: ask for the changes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChangesChanged {
    pub(super) root: PathBuf,
}

impl Notification for ChangesChanged {
    type Params = Self;
    const METHOD: &'static str = "diffidence/changesChanged";
}

/// Where the answer goes.
pub(super) type ChangesReply = Reply<Result<Changes, String>>;

/// What is known of one repository's changes.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Whether the client wants to be told of changes.
    pub(super) watched: bool,
    /// Where git keeps what is to be watched then.
    pub(super) places: Option<RepositoryPlaces>,
    /// When to list again.
    pub(super) due: Option<Instant>,
    /// The listing that is being made.
    pub(super) look: Option<Generation>,
    pub(super) listing: Option<Listing>,
    /// When to see whether the answer has become another.
    pub(super) news: Option<Instant>,
    /// The answer that the client knows.
    pub(super) told: Option<Changes>,
    /// Who waits for the next listing.
    pub(super) replies: Vec<ChangesReply>,
    /// The file that the model has, as which job, since when.
    pub(super) running: Option<(PathBuf, Generation, Instant)>,
    /// Time of the model that was spent since something changed or more was asked for.
    pub(super) spent: Duration,
    /// Whether somebody asked for what was put off. It holds until nothing waits.
    asked: bool,
}

/// What to list.
pub(super) struct Question {
    pub(super) root: PathBuf,
    /// The user's settings, without those of the repository.
    pub(super) config: Config,
    /// Unsaved texts by path.
    pub(super) buffers: HashMap<PathBuf, String>,
    pub(super) tasks: Tasks,
    pub(super) engine: Arc<Engine>,
    pub(super) reviews: Arc<Reviews>,
}

/// The changed files at one moment.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) config: Config,
    pub(super) base: String,
    pub(super) task: Option<Arc<str>>,
    /// Sorted by path.
    pub(super) files: Vec<Surveyed>,
}

/// A file and what is known of it.
#[derive(Debug)]
pub(super) struct Surveyed {
    /// Absolute.
    pub(super) path: PathBuf,
    pub(super) file: ChangedFile,
    pub(super) reviewed: Reviewed,
    pub(super) score: Known,
    modified: Option<SystemTime>,
}

/// What is known of the score of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    /// There is nothing to score.
    Nothing,
    Waiting,
    Postponed,
    Done(Verdict),
    Failed(String),
}

impl Known {
    /// The verdict, if there is one.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Done(verdict) => Some(verdict),
            _ => None,
        }
    }
}

/// Lists.
pub(super) fn list(question: Question) -> Result<Listing, String> {
    let Question {
        root,
        config,
        buffers,
        tasks,
        engine,
        reviews,
    } = question;
    let (config, _) = config.overlaid_by_repository(&root);
    if !config.enable {
        return Err("scoring is turned off in the settings (`enable`)".into());
    }
    let options = ChangeOptions {
        base: Base::parse(&config.base),
        max_file_bytes: config.max_file_bytes,
        buffers,
        ..ChangeOptions::default()
    };
    let set = ChangeSet::of(&root, &options).map_err(|error| error.to_string())?;
    let (task, _) = tasks.in_force(&root, &config);
    let base = set.base_description();
    let files = set.files.into_iter().map(|file| {
        let path = root.join(&file.path);
        let score = match change_of(&file) {
            None => Known::Nothing,
            Some(change) => engine
                .remembered(&request(change, task.as_deref()))
                .map_or(Known::Waiting, Known::Done),
        };
        Surveyed {
            modified: std::fs::metadata(&path)
                .and_then(|meta| meta.modified())
                .ok(),
            reviewed: Reviewed::of(&file.outcome, &root, &reviews),
            path,
            file,
            score,
        }
    });
    Ok(Listing {
        files: files.collect(),
        config,
        base,
        task,
    })
}

fn change_of(file: &ChangedFile) -> Option<&FileChange> {
    match &file.outcome {
        Outcome::Changed { change, .. } => Some(change),
        Outcome::Unchanged { .. } | Outcome::Skipped(_) => None,
    }
}

impl Survey {
    /// Takes a new listing in place of the old one. What was put off stays so, unless it has
    /// changed; if anything else is to be scored, it gets the full time.
    pub(super) fn renew(&mut self, mut listing: Listing) {
        let old = self.listing.take();
        let is_same_task = old.as_ref().is_some_and(|old| old.task == listing.task);
        let before: HashMap<&Path, &Surveyed> = old
            .iter()
            .filter(|_| is_same_task)
            .flat_map(|old| &old.files)
            .map(|file| (file.path.as_path(), file))
            .collect();
        for file in &mut listing.files {
            if file.score != Known::Waiting {
                continue;
            }
            match before.get(file.path.as_path()) {
                Some(old) if old.file == file.file => {
                    if let Known::Postponed | Known::Failed(_) = old.score {
                        file.score = old.score.clone();
                    }
                }
                _ => self.spent = Duration::ZERO,
            }
        }
        self.listing = Some(listing);
    }

    /// Gives what was put off the full time again, and [`ASKED`] at least.
    pub(super) fn resume(&mut self) {
        self.spent = Duration::ZERO;
        self.asked = true;
        for file in self.files_mut() {
            if file.score == Known::Postponed {
                file.score = Known::Waiting;
            }
        }
    }

    /// Puts off what waits if the time is used up.
    pub(super) fn enforce_limit(&mut self) {
        self.put_off_if_late();
        let still_waits = self.files_mut().any(|file| file.score == Known::Waiting);
        self.asked &= still_waits;
    }

    fn put_off_if_late(&mut self) {
        let limit = self
            .listing
            .as_ref()
            .map(|listing| Duration::from_secs(listing.config.background_seconds))
            .map(|limit| if self.asked { limit.max(ASKED) } else { limit });
        if limit.is_some_and(|limit| self.spent < limit) {
            return;
        }
        for file in self.files_mut() {
            if file.score == Known::Waiting {
                file.score = Known::Postponed;
            }
        }
    }

    /// What to score next, apart from the files that `is_open` tells of, which are scored as
    /// documents.
    pub(super) fn next(&self, is_open: impl Fn(&Path) -> bool) -> Option<(PathBuf, ScoreRequest)> {
        let listing = self.listing.as_ref()?;
        let file = listing
            .files
            .iter()
            .filter(|file| file.score == Known::Waiting && !is_open(&file.path))
            .max_by_key(|file| file.modified)?;
        let change = change_of(&file.file)?;
        Some((file.path.clone(), request(change, listing.task.as_deref())))
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &Path) -> Option<&Surveyed> {
        let files = &self.listing.as_ref()?.files;
        files.iter().find(|file| file.path == path)
    }

    /// The file at `path` and the listing that it is on.
    pub(super) fn listed(&self, path: &Path) -> Option<(&Listing, &Surveyed)> {
        Some((self.listing.as_ref()?, self.file(path)?))
    }

    /// The file at `path`, to be changed.
    pub(super) fn file_mut(&mut self, path: &Path) -> Option<&mut Surveyed> {
        self.files_mut().find(|file| file.path == path)
    }

    fn files_mut(&mut self) -> impl Iterator<Item = &mut Surveyed> {
        self.listing
            .iter_mut()
            .flat_map(|listing| &mut listing.files)
    }
}

impl Listing {
    /// The answer, where `open` tells what is known of the files that are open.
    pub(super) fn answer(
        &self,
        root: &Path,
        judge: &Judge,
        open: impl Fn(&Path, &FileChange) -> Option<Known>,
    ) -> Changes {
        let mut changes = Changes {
            root: root.to_owned(),
            base: self.base.clone(),
            with_task: self.task.is_some(),
            complete: false,
            scored: 0,
            waiting: 0,
            postponed: 0,
            abstained: 0,
            skipped: 0,
            failed: 0,
            files: Vec::with_capacity(self.files.len()),
        };
        for file in &self.files {
            let known = file.change().and_then(|change| open(&file.path, change));
            let Some(listed) = file.listed(known.as_ref(), judge, &self.config) else {
                continue;
            };
            *match listed.state {
                ListedState::Scored => &mut changes.scored,
                ListedState::Waiting => &mut changes.waiting,
                ListedState::Postponed => &mut changes.postponed,
                ListedState::Abstained => &mut changes.abstained,
                ListedState::Skipped => &mut changes.skipped,
                ListedState::Failed => &mut changes.failed,
            } += 1;
            changes.files.push(listed);
        }
        changes.complete = changes.waiting == 0 && changes.postponed == 0;
        changes
    }
}

impl Surveyed {
    /// The change, if it has hunks.
    pub(super) fn change(&self) -> Option<&FileChange> {
        change_of(&self.file)
    }

    fn listed(&self, known: Option<&Known>, judge: &Judge, config: &Config) -> Option<ListedFile> {
        let mut listed = ListedFile {
            uri: Url::from_file_path(&self.path).ok()?,
            path: self.file.path.clone(),
            old_path: self.file.old_path.clone(),
            status: self.change().map(|change| change.status.to_string()),
            state: ListedState::Skipped,
            reason: None,
            probability: None,
            hunks: Vec::new(),
        };
        let (change, new_text_lines) = match &self.file.outcome {
            Outcome::Skipped(reason) => {
                listed.reason = Some(reason.to_string());
                return Some(listed);
            }
            Outcome::Unchanged { why } => {
                listed.reason = Some(why.to_string());
                return Some(listed);
            }
            Outcome::Changed {
                change,
                new_text_lines,
                ..
            } => (change, *new_text_lines),
        };
        let verdict = match known.unwrap_or(&self.score) {
            Known::Done(verdict) => {
                listed.reason = verdict.patch.abstention().map(ToString::to_string);
                listed.state = match &verdict.patch {
                    Opinion::Score(_) => ListedState::Scored,
                    Opinion::Abstention(_) => ListedState::Abstained,
                };
                Some(judge.judge_again(verdict, config.prior))
            }
            Known::Failed(reason) => {
                listed.state = ListedState::Failed;
                listed.reason = Some(reason.clone());
                None
            }
            Known::Postponed => {
                listed.state = ListedState::Postponed;
                None
            }
            Known::Waiting | Known::Nothing => {
                listed.state = ListedState::Waiting;
                None
            }
        };
        listed.probability = verdict.as_ref().and_then(|it| it.patch.probability());
        listed.hunks = change
            .hunks
            .iter()
            .enumerate()
            .map(|(index, hunk)| {
                let opinion = verdict
                    .as_ref()
                    .and_then(|verdict| verdict.hunks.get(index));
                let probability = opinion.and_then(Opinion::probability);
                let ignored = self.reviewed.is_ignored(index);
                let runs = changed_runs(hunk, new_text_lines);
                let zero_based = |line: Option<u32>| line.unwrap_or(1).saturating_sub(1);
                ListedHunk {
                    id: HunkId::of(change, hunk).as_str().to_owned(),
                    line: zero_based(runs.first().map(|run| run.0)),
                    end_line: zero_based(runs.last().map(|run| run.1)),
                    added: hunk.count(LineKind::Added),
                    removed: hunk.count(LineKind::Removed),
                    probability,
                    low: !ignored && probability.is_some_and(|it| it < config.min_score),
                    ignored,
                    preview: preview(hunk),
                }
            })
            .collect();
        Some(listed)
    }
}

/// The first added line that says something, else the first changed one.
fn preview(hunk: &Hunk) -> String {
    let said = |kind| {
        let mut lines = hunk.lines.iter().filter(move |line| line.kind == kind);
        lines.find(|line| !line.text.trim().is_empty())
    };
    let line = said(LineKind::Added).or_else(|| said(LineKind::Removed));
    let text = line.map_or("", |line| line.text.trim());
    shortened(text, PREVIEW_CHARS)
}

/// No path of a file begins so.
pub(super) fn slot(root: &Path) -> Slot {
    Slot(format!("survey {}", root.display()))
}
