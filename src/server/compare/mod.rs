//! Candidate patches for one task, from several agents say: what is asked about them, and what is
//! answered.
//!
//! Invariants: what a candidate changes depends only on its [`Source`], the disk, and the texts of
//! open documents that come with the question; reading it may take long, so it runs on a blocking thread and
//! never in the actor. A candidate is ranked, the same as another one, or answered with the reason
//! why not. One is applied only while it changes what it changed when it was ranked.

mod applying;
mod candidate;
mod messages;

pub(super) use applying::{OpenText, edit};
pub(super) use messages::{Ask, AskApply, AskComparison, AskFile};

use super::event::{Generation, Reply};
use super::tasks::Tasks;
use crate::change::{
    Base, ChangeError, FileChange, LineKind, OtherWork, Patch, apply, head_commit, other_work,
    repository_root, text_in_commit,
};
use crate::config::Config;
use crate::ranking::{self, Failed, Lineup};
use crate::scoring::{Judge, Opinion, ScoreRequest, Slot, Verdict};
use candidate::{Seen, Source};
use messages::{CandidateFile, Choices, Compared, ComparedFile, Comparison, LeftOut, Refused};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

/// Where an answer about candidates goes.
pub(super) type AnswerReply = Reply<Result<Value, String>>;

/// What reading candidates needs.
#[derive(Clone)]
pub(super) struct Question {
    /// A path in the repository.
    pub(super) path: PathBuf,
    /// The user's settings, without those of the repository.
    pub(super) config: Config,
    /// What changes are for.
    pub(super) tasks: Tasks,
    /// The texts of open documents by path.
    pub(super) buffers: HashMap<PathBuf, String>,
}

/// A repository and its settings, once they are read.
pub(super) struct Ground {
    pub(super) root: PathBuf,
    pub(super) config: Config,
    pub(super) head: Option<String>,
    buffers: HashMap<PathBuf, String>,
    tasks: Tasks,
}

impl Question {
    /// Reads the repository. Takes its time.
    pub(super) fn ground(self) -> Result<Ground, String> {
        let said = |error: ChangeError| error.to_string();
        let root = repository_root(&self.path).map_err(said)?;
        let (config, _) = self.config.overlaid_by_repository(&root);
        Ok(Ground {
            head: head_commit(&root).map_err(said)?,
            root,
            config,
            buffers: self.buffers,
            tasks: self.tasks,
        })
    }
}

/// Lists what there is to compare. Takes its time.
pub(super) fn choices(ground: Ground) -> Result<Value, String> {
    let OtherWork {
        branches,
        worktrees,
    } = other_work(&ground.root).map_err(|error| error.to_string())?;
    json(&Choices {
        root: ground.root,
        branches,
        worktrees,
    })
}

/// One file of a candidate as two texts. Takes its time.
pub(super) fn file(ground: &Ground, ask: &AskFile) -> Result<Value, String> {
    let seen = ask.candidate.read(ground, true)?;
    let mut files = seen.patch.files.iter();
    let file = files.find(|file| file.path() == ask.path);
    let file = file.ok_or_else(|| format!("{} does not change {}", seen.id, ask.path))?;
    let (before, after) = texts(ground, &seen, file)?;
    let (after, reason) = match after {
        Ok(after) => (after, None),
        Err(reason) => (None, Some(reason)),
    };
    json(&CandidateFile {
        diff: Patch {
            files: vec![file.clone()],
        }
        .to_unified(),
        base: seen.base.as_deref().map(short),
        before,
        after,
        reason,
    })
}

type Texts = (Option<String>, Result<Option<String>, String>);

fn texts(ground: &Ground, seen: &Seen, file: &FileChange) -> Result<Texts, String> {
    let options = ground.options();
    let before = match (&file.old_path, &seen.base) {
        (Some(path), Some(commit)) => text_in_commit(&ground.root, commit, path, &options)
            .map_err(|error| error.to_string())?,
        _ => None,
    };
    let after = match &file.new_path {
        None => Ok(None),
        Some(path) => apply(&file.hunks, before.as_deref().unwrap_or_default())
            .map(Some)
            .map_err(|misfit| format!("{path}: {misfit}")),
    };
    Ok((before, after))
}

/// Candidates that were read, and what the model is to be asked about each.
pub(super) struct Sight {
    ground: Ground,
    with_task: bool,
    pub(super) seen: Vec<(Seen, ScoreRequest)>,
    failed: Vec<Refused>,
}

/// Reads candidates. Takes its time.
pub(super) fn look(ground: Ground, ask: AskComparison) -> Result<Sight, String> {
    if !ground.config.enable {
        return Err("scoring is turned off in the settings (`enable`)".into());
    }
    let given = ask.task.filter(|task| !task.trim().is_empty());
    let task = given.or_else(|| {
        let (task, _) = ground.tasks.in_force(&ground.root, &ground.config);
        task.as_deref().map(Into::into)
    });
    let mut sight = Sight {
        with_task: task.is_some(),
        seen: Vec::new(),
        failed: Vec::new(),
        ground,
    };
    for source in ask.candidates {
        let read = source.read(&sight.ground, true).and_then(|seen| {
            let request = ScoreRequest::of(seen.patch.clone(), task.clone());
            let (request, _) = request.map_err(|error| error.to_string())?;
            Ok((seen, request))
        });
        match read {
            Ok(pair) => sight.seen.push(pair),
            Err(reason) => sight.refuse(source, reason),
        }
    }
    Ok(sight)
}

impl Sight {
    fn refuse(&mut self, candidate: Source, reason: String) {
        let id = candidate.id();
        let failed = Failed { id, reason };
        self.failed.push(Refused { failed, candidate });
    }

    /// Ranks the candidates. `verdicts` are of [`Sight::seen`], in the same order.
    pub(super) fn comparison(
        mut self,
        verdicts: Vec<Result<Verdict, String>>,
        judge: &Judge,
    ) -> Result<Value, String> {
        let mut lineup = Lineup::default();
        let mut judged = Vec::new();
        for ((seen, request), verdict) in std::mem::take(&mut self.seen).into_iter().zip(verdicts) {
            match verdict {
                Ok(verdict) => {
                    let verdict = judge.judge_again(&verdict, self.ground.config.prior);
                    if let Some(why) = verdict.patch.abstention() {
                        self.refuse(seen.source, format!("cannot judge: {why}"));
                    } else if lineup.add(seen.id.clone(), request.patch, &verdict) {
                        judged.push((seen, verdict));
                    }
                }
                Err(reason) => self.refuse(seen.source, reason),
            }
        }
        lineup.failed = self.failed.iter().map(|it| it.failed.clone()).collect();
        let ranking = lineup.ranking();
        let text = ranking.to_string();
        let compared = |place: ranking::Place| {
            let (seen, verdict) = &judged[place.candidate];
            let patch = &lineup.candidates[place.candidate].patch;
            Compared {
                candidate: seen.source.clone(),
                digest: seen.digest(),
                base: seen.base.as_deref().map(short),
                files: compared_files(patch, verdict),
                skipped: seen.not_scored(),
                place,
            }
        };
        json(&Comparison {
            head: self.ground.head.as_deref().map(short),
            root: self.ground.root,
            with_task: self.with_task,
            candidates: ranking.candidates.into_iter().map(compared).collect(),
            first_against_second: ranking.first_against_second,
            failed: self.failed,
            model: ranking.model,
            text,
        })
    }
}

fn compared_files(patch: &Patch, verdict: &Verdict) -> Vec<ComparedFile> {
    let mut scores = verdict.hunks.iter().map(Opinion::probability);
    let files = patch.files.iter().map(|file| {
        let count = |kind| file.hunks.iter().map(|hunk| hunk.count(kind)).sum();
        let own = scores.by_ref().take(file.hunks.len());
        ComparedFile {
            path: file.path().to_owned(),
            old_path: file.old_path.clone().filter(|path| path != file.path()),
            status: file.status.to_string(),
            added: count(LineKind::Added),
            removed: count(LineKind::Removed),
            probability: own.flatten().min_by(|a, b| a.get().total_cmp(&b.get())),
        }
    });
    files.collect()
}

/// What the model has for a comparison. No path of a file begins so.
pub(super) fn slot(job: Generation) -> Slot {
    Slot(format!("comparison {}", job.0))
}

/// What a candidate of a work tree is compared with: where it and HEAD of the repository parted.
fn base_of(head: Option<&str>) -> Base {
    head.map_or(Base::Head, |commit| Base::MergeBase(commit.to_owned()))
}

/// A commit for a reader.
fn short(commit: &str) -> String {
    commit.get(..7).unwrap_or(commit).to_owned()
}

fn json(answer: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

impl AskApply {
    /// Reads the candidate with all its files, if it is what was ranked. Takes its time.
    pub(super) fn read(&self, ground: &Ground) -> Result<Seen, String> {
        if let Some(digest) = &self.digest
            && self.candidate.read(ground, true)?.digest() != *digest
        {
            let id = self.candidate.id();
            return Err(format!(
                "{id} has changed since it was compared: compare again"
            ));
        }
        self.candidate.read(ground, false)
    }
}
