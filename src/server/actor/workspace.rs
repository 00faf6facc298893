//! The score of a repository's changes as a whole: after the files, when all is quiet.

use super::super::event::{Event, Generation};
use super::super::tasks::Place;
use super::super::workspace::{Question, ScoreReply, Sight, look, slot};
use super::{Actor, EngineSlot};
use crate::change::repository_places;
use crate::scoring::{Rank, ScoreError, Verdict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time without a change after which the whole is scored.
const QUIET: Duration = Duration::from_secs(1);

impl Actor {
    /// When to call [`Actor::score_workspaces`]; never while files are looked at or scored.
    pub(super) fn workspace_due(&self) -> Option<Instant> {
        let due = self
            .workspaces
            .values()
            .filter_map(|space| space.due)
            .min()?;
        (self.looks_running == 0 && self.pending().is_empty()).then_some(due)
    }

    /// Something about the changes of a repository may have changed.
    pub(super) fn touch_workspace(&mut self, root: &Path) {
        if self.config.workspace_score && self.config.enable {
            let due = Some(Instant::now() + QUIET);
            self.workspaces.entry(root.into()).or_default().due = due;
        }
    }

    /// What is open goes first: what is computed for a repository as a whole, for a list, or for
    /// a comparison, is put off.
    pub(super) fn make_room(&self) {
        self.put_off_surveys();
        self.put_off_comparison();
        if let EngineSlot::Running(engine) = &self.engine {
            for (root, _) in self
                .workspaces
                .iter()
                .filter(|(_, space)| space.job.is_some())
            {
                engine.cancel(&slot(root));
            }
        }
    }

    /// Forgets the repositories of which no document is open and no list is watched, unless
    /// somebody waits for the score.
    pub(super) fn drop_workspaces(&mut self) {
        let (documents, surveys) = (&self.documents, &self.surveys);
        self.workspaces.retain(|root, space| {
            let is_open = |path: &Option<PathBuf>| path.as_deref() == Some(root);
            !space.replies.is_empty()
                || surveys.get(root).is_some_and(|survey| survey.watched)
                || documents.values().any(|doc| is_open(&doc.repository))
        });
    }

    pub(super) fn ask_workspace(&mut self, place: &Place, reply: ScoreReply) {
        let path = match place.path() {
            Ok(Some(path)) => path,
            Ok(None) => return self.workspace_placed(self.only_repository(), reply),
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let root = repository_places(&path)
                .map(|places| places.root)
                .map_err(|error| error.to_string());
            drop(events.send(Event::WorkspacePlaced { root, reply }));
        });
    }

    pub(super) fn workspace_placed(&mut self, root: Result<PathBuf, String>, reply: ScoreReply) {
        match root {
            Ok(root) => {
                let space = self.workspaces.entry(root).or_default();
                space.replies.push(reply);
                space.due = Some(Instant::now());
            }
            Err(problem) => drop(reply.send(Err(problem))),
        }
    }

    pub(super) fn score_workspaces(&mut self) {
        let now = Instant::now();
        if self.workspace_due().is_none_or(|due| due > now) {
            return;
        }
        let due: Vec<PathBuf> = self
            .workspaces
            .iter()
            .filter(|(_, space)| space.due.is_some_and(|due| due <= now))
            .map(|(root, _)| root.clone())
            .collect();
        for root in due {
            self.look_at_workspace(root);
        }
    }

    fn look_at_workspace(&mut self, root: PathBuf) {
        let job = self.tick();
        let space = self.workspaces.entry(root.clone()).or_default();
        space.due = None;
        space.job = Some(job);
        let edited: BTreeMap<_, _> = self
            .documents
            .iter()
            .filter(|(_, doc)| doc.repository.as_deref() == Some(&root) && doc.unsaved)
            .map(|(path, doc)| (path.clone(), doc.change().cloned()))
            .collect();
        let question = Question {
            config: self.config.clone(),
            edited,
            tasks: self.tasks.clone(),
            root: root.clone(),
        };
        let events = self.events.clone();
        tokio::spawn(async move {
            let sight = tokio::task::spawn_blocking(move || look(question)).await;
            let sight = sight.unwrap_or_else(|error| {
                tracing::error!(%error, "a look at a work tree panicked");
                Err("internal error: see the server's log".into())
            });
            drop(events.send(Event::WorkspaceLooked { root, job, sight }));
        });
    }

    fn is_newest(&self, root: &Path, job: Generation) -> bool {
        let space = self.workspaces.get(root);
        space.is_some_and(|space| space.job == Some(job))
    }

    pub(super) fn workspace_looked(
        &mut self,
        root: PathBuf,
        job: Generation,
        sight: Result<Sight, String>,
    ) {
        if !self.is_newest(&root, job) {
            return;
        }
        let sight = match sight {
            Ok(sight) => Arc::new(sight),
            Err(problem) => return self.tell_workspace(&root, Err(problem)),
        };
        let engine = match &self.engine {
            EngineSlot::Running(engine) => Arc::clone(engine),
            EngineSlot::Waiting(_) => return,
            EngineSlot::Broken(reason) => {
                let problem = reason.clone();
                return self.tell_workspace(&root, Err(problem));
            }
        };
        if sight.is_empty() {
            return self.tell_workspace(&root, Ok((&sight, None)));
        }
        if let Some(verdict) = engine.remembered(&sight.request) {
            return self.tell_workspace(&root, Ok((&sight, Some(&verdict))));
        }
        let events = self.events.clone();
        engine.submit(
            slot(&root),
            Rank::default(),
            sight.request.clone(),
            move |result| {
                drop(events.send(Event::WorkspaceScored {
                    root,
                    job,
                    sight,
                    result,
                }));
            },
        );
    }

    pub(super) fn workspace_scored(
        &mut self,
        root: &Path,
        job: Generation,
        sight: &Sight,
        result: Result<Verdict, ScoreError>,
    ) {
        if !self.is_newest(root, job) {
            return;
        }
        match result {
            Ok(verdict) => self.tell_workspace(root, Ok((sight, Some(&verdict)))),
            Err(ScoreError::Cancelled) => {
                if let Some(space) = self.workspaces.get_mut(root) {
                    space.job = None;
                    space.due.get_or_insert(Instant::now() + QUIET);
                }
            }
            Err(error) => self.tell_workspace(root, Err(error.to_string())),
        }
    }

    fn tell_workspace(&mut self, root: &Path, seen: Result<(&Sight, Option<&Verdict>), String>) {
        let Some(space) = self.workspaces.get_mut(root) else {
            return;
        };
        space.job = None;
        let score = seen.map(|(sight, verdict)| sight.score(root, verdict, &self.judge));
        for reply in space.replies.drain(..) {
            drop(reply.send(score.clone()));
        }
        match score {
            Ok(score) if self.config.workspace_score && space.told.as_ref() != Some(&score) => {
                space.told = Some(score.clone());
                self.outbox.workspace_score(score);
            }
            Ok(_) => {}
            Err(problem) => {
                tracing::info!(problem, root = %root.display(), "not scored as a whole")
            }
        }
        self.drop_workspaces();
    }
}
