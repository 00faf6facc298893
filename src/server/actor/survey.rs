//! All changed files of a repository for lists: when to list, and what to score when nothing that
//! is open waits.

use super::super::survey::{
    AskChanges, ChangesChanged, ChangesReply, Known, Listing, Question, Survey, list, slot,
};
use super::*;
use std::collections::HashMap;

/// Things that happen close together lead to one listing, and to one notification.
const SETTLE: Duration = Duration::from_millis(100);

/// The same for files that change on disk: a build may write many, one after the other.
const DISK_SETTLE: Duration = Duration::from_secs(1);

impl Actor {
    /// When to call [`Actor::survey`].
    pub(super) fn survey_due(&self) -> Option<Instant> {
        if self.settings_awaited {
            return None;
        }
        self.surveys
            .values()
            .flat_map(|survey| [survey.due.filter(|_| survey.look.is_none()), survey.news])
            .flatten()
            .min()
    }

    pub(super) fn ask_changes(&mut self, ask: AskChanges, reply: ChangesReply) {
        let named = ask.place.path();
        let path = match named.and_then(|path| path.map_or_else(|| self.only_repository(), Ok)) {
            Ok(path) => path,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let places = repository_places(&path).map_err(|error| error.to_string());
            drop(events.send(Event::ChangesPlaced { places, ask, reply }));
        });
    }

    pub(super) fn changes_placed(
        &mut self,
        places: Result<RepositoryPlaces, String>,
        ask: &AskChanges,
        reply: ChangesReply,
    ) {
        let places = match places {
            Ok(places) => places,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let root = places.root.clone();
        let survey = self.surveys.entry(root.clone()).or_default();
        survey.places = Some(places);
        survey.watched = ask.watch.unwrap_or(survey.watched);
        if ask.more {
            survey.resume();
        }
        // Nothing tells when the files of a repository that is not watched change.
        let is_known = survey.watched && survey.due.is_none() && survey.look.is_none();
        match self.changes(&root).filter(|_| is_known) {
            Some(changes) => drop(reply.send(Ok(changes))),
            None => {
                let survey = self.surveys.entry(root).or_default();
                survey.replies.push(reply);
                survey.due = Some(Instant::now());
            }
        }
        match ask.watch {
            Some(true) if !self.files_registered => {
                self.files_registered = true;
                self.outbox.watch_files(self.abilities.register_files);
            }
            Some(false) => self.unwatch_closed(),
            _ => {}
        }
    }

    /// The client saw these files change.
    pub(super) fn files_changed(&mut self, paths: &[PathBuf]) {
        for (root, survey) in &mut self.surveys {
            if survey.watched && paths.iter().any(|path| path.starts_with(root)) {
                survey.due.get_or_insert(Instant::now() + DISK_SETTLE);
            }
        }
    }

    /// Files of the repository may have changed.
    pub(super) fn touch_survey(&mut self, root: &Path) {
        if let Some(survey) = self.surveys.get_mut(root)
            && survey.watched
        {
            let soon = Instant::now() + SETTLE;
            survey.due = Some(survey.due.map_or(soon, |due| due.min(soon)));
        }
    }

    pub(super) fn touch_surveys(&mut self) {
        let roots: Vec<PathBuf> = self.surveys.keys().cloned().collect();
        for root in roots {
            self.touch_survey(&root);
        }
    }

    /// An open document stands otherwise now. The list itself is another one only if the file
    /// belongs on it and is not there, or the other way round.
    pub(super) fn touch_surveyed(&mut self, path: &Path) {
        let Some(document) = self.documents.get(path) else {
            return;
        };
        let Some(root) = document.repository.clone() else {
            return;
        };
        let Some(survey) = self.surveys.get_mut(&root) else {
            return;
        };
        let listed = survey.file(path).and_then(|file| file.change());
        if document.is_current() && listed != document.change() {
            self.touch_survey(&root);
        } else if survey.watched {
            survey.news.get_or_insert(Instant::now() + SETTLE);
        }
    }

    /// Lists what is due, scores what is next, and tells what has become another. The settings
    /// may say not to, so it waits for them.
    pub(super) fn survey(&mut self) {
        if self.settings_awaited {
            return;
        }
        let now = Instant::now();
        let roots: Vec<PathBuf> = self.surveys.keys().cloned().collect();
        for root in roots {
            let Some(survey) = self.surveys.get_mut(&root) else {
                continue;
            };
            if survey.look.is_none() && survey.due.is_some_and(|due| due <= now) {
                self.start_listing(&root);
            }
            self.score_next_listed(&root);
            self.tell_changes(&root, now);
        }
    }

    fn start_listing(&mut self, root: &Path) {
        let look = self.tick();
        let Some(survey) = self.surveys.get_mut(root) else {
            return;
        };
        let engine = match &self.engine {
            EngineSlot::Running(engine) => Arc::clone(engine),
            EngineSlot::Waiting(_) => return,
            EngineSlot::Broken(reason) => {
                survey.due = None;
                for reply in survey.replies.drain(..) {
                    drop(reply.send(Err(reason.clone())));
                }
                return;
            }
        };
        survey.due = None;
        survey.look = Some(look);
        let buffers: HashMap<PathBuf, String> = self
            .documents
            .iter()
            .filter(|(_, doc)| doc.repository.as_deref() == Some(root) && doc.unsaved)
            .map(|(path, doc)| (path.clone(), doc.text.clone()))
            .collect();
        let question = Question {
            root: root.to_owned(),
            config: self.config.clone(),
            buffers,
            tasks: self.tasks.clone(),
            engine,
            reviews: Arc::clone(&self.reviews),
        };
        let (events, root) = (self.events.clone(), root.to_owned());
        tokio::spawn(async move {
            let listing = tokio::task::spawn_blocking(move || list(question)).await;
            let listing = listing.unwrap_or_else(|error| {
                tracing::error!(%error, "listing a work tree panicked");
                Err("internal error: see the server's log".into())
            });
            drop(events.send(Event::Listed {
                root,
                look,
                listing,
            }));
        });
    }

    pub(super) fn listed(
        &mut self,
        root: &Path,
        look: Generation,
        listing: Result<Listing, String>,
    ) {
        let Some(survey) = self.surveys.get_mut(root) else {
            return;
        };
        if survey.look != Some(look) {
            return;
        }
        survey.look = None;
        survey.news = Some(Instant::now());
        match listing {
            Ok(listing) => {
                let base = Base::parse(&listing.config.base);
                survey.renew(listing);
                survey.enforce_limit();
                if survey.watched
                    && let Some(places) = survey.places.clone()
                {
                    self.watcher.follow(Followed::of(places, &base));
                }
            }
            Err(problem) => {
                survey.listing = None;
                for reply in survey.replies.drain(..) {
                    drop(reply.send(Err(problem.clone())));
                }
                return;
            }
        }
        let Some(survey) = self.surveys.get_mut(root) else {
            return;
        };
        let replies = std::mem::take(&mut survey.replies);
        if survey.watched {
            self.touch_workspace(root);
        }
        if let Some(changes) = self.changes(root) {
            if let Some(survey) = self.surveys.get_mut(root) {
                survey.told = Some(changes.clone()).filter(|_| !replies.is_empty());
            }
            for reply in replies {
                drop(reply.send(Ok(changes.clone())));
            }
        }
    }

    /// The answer as far as it is known.
    fn changes(&self, root: &Path) -> Option<super::super::survey::Changes> {
        let listing = self.surveys.get(root)?.listing.as_ref()?;
        Some(listing.answer(root, &self.judge, |path, change| {
            let document = self.documents.get(path)?;
            match &document.standing {
                Standing::Changed(changed) if changed.change == *change => {
                    Some(match &changed.score {
                        Scoring::Waiting(_) => Known::Waiting,
                        Scoring::Done(verdict) => Known::Done(Verdict::clone(verdict)),
                        Scoring::Failed(reason) => Known::Failed(reason.clone()),
                        Scoring::Cancelled { .. } => Known::Failed("cancelled".into()),
                    })
                }
                // The list is about to be renewed.
                _ => None,
            }
        }))
    }

    fn score_next_listed(&mut self, root: &Path) {
        let is_busy = self.looks_running > 0 || !self.pending().is_empty();
        let runs = self.surveys.values().any(|survey| survey.running.is_some());
        if is_busy || runs {
            return;
        }
        let EngineSlot::Running(engine) = &self.engine else {
            return;
        };
        let engine = Arc::clone(engine);
        let documents = &self.documents;
        let next = self
            .surveys
            .get(root)
            .filter(|survey| survey.look.is_none())
            .and_then(|survey| survey.next(|path| documents.contains_key(path)));
        let Some((path, request)) = next else {
            return;
        };
        let job = self.tick();
        if let Some(survey) = self.surveys.get_mut(root) {
            survey.running = Some((path, job, Instant::now()));
        }
        let (events, root) = (self.events.clone(), root.to_owned());
        engine.submit(slot(&root), Rank::default(), request, move |result| {
            drop(events.send(Event::ListedScored { root, job, result }));
        });
    }

    pub(super) fn listed_scored(
        &mut self,
        root: &Path,
        job: Generation,
        result: Result<Verdict, ScoreError>,
    ) {
        let Some(survey) = self.surveys.get_mut(root) else {
            return;
        };
        let Some((path, _, since)) = survey.running.take_if(|(_, newest, _)| *newest == job) else {
            return;
        };
        survey.spent += since.elapsed();
        let score = match result {
            Ok(verdict) => Known::Done(verdict),
            // What is open goes first; this file has its turn later.
            Err(ScoreError::Cancelled) => Known::Waiting,
            Err(ScoreError::Stopped) => return,
            Err(error) => Known::Failed(error.to_string()),
        };
        if let Some(file) = survey.file_mut(&path)
            && file.score == Known::Waiting
        {
            file.score = score;
        }
        survey.enforce_limit();
        survey.news.get_or_insert(Instant::now() + SETTLE);
    }

    fn tell_changes(&mut self, root: &Path, now: Instant) {
        let Some(survey) = self.surveys.get_mut(root) else {
            return;
        };
        if survey.news.is_none_or(|news| news > now) {
            return;
        }
        survey.news = None;
        if !survey.watched {
            return;
        }
        let changes = self.changes(root);
        let Some(survey) = self.surveys.get_mut(root) else {
            return;
        };
        if survey.told != changes {
            survey.told = changes;
            let root = root.to_owned();
            self.outbox.changes_changed(ChangesChanged { root });
        }
    }

    /// What runs for a list makes room for what is open.
    pub(super) fn put_off_surveys(&self) {
        if let EngineSlot::Running(engine) = &self.engine {
            let running = self
                .surveys
                .iter()
                .filter(|(_, survey)| survey.running.is_some());
            for (root, _) in running {
                engine.cancel(&slot(root));
            }
        }
    }

    /// Forgets the repositories that nobody watches and of which no document is open.
    pub(super) fn drop_surveys(&mut self) {
        let documents = &self.documents;
        let is_used = |root: &Path, survey: &Survey| {
            let mut open = documents.values();
            survey.watched
                || !survey.replies.is_empty()
                || open.any(|doc| doc.repository.as_deref() == Some(root))
        };
        self.surveys.retain(|root, survey| is_used(root, survey));
    }
}
