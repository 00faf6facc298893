//! Open documents, and the looks at them: when to look, and what to make of what was seen.

use super::super::watch::SETTINGS;
use super::*;

impl Actor {
    pub(super) fn opened(&mut self, file: File, version: i32, text: String) {
        let edition = self.tick();
        let config = self.config.clone();
        let document = Document::opened(file.uri, version, text, edition, config);
        if let Some(old) = self.documents.insert(file.path.clone(), document) {
            tracing::warn!(path = %file.path.display(), "opened twice");
            self.clear(&file.path, &old);
        }
        self.look_at(&file.path, Urgency::Now);
    }

    pub(super) fn changed(
        &mut self,
        file: &File,
        version: i32,
        changes: &[TextDocumentContentChangeEvent],
    ) {
        let edition = self.tick();
        let Some(document) = self.documents.get_mut(&file.path) else {
            tracing::warn!(path = %file.path.display(), "changed without being open");
            return;
        };
        document.edit(version, changes, edition, self.abilities.encoding);
        if document.config.score_on_change {
            let pause = Duration::from_millis(document.config.debounce_ms);
            document.due = Some(Instant::now() + pause);
        }
        self.show_lens(&file.path);
    }

    pub(super) fn saved(&mut self, file: &File) {
        if let Some(document) = self.documents.get_mut(&file.path) {
            document.unsaved = false;
            if let Standing::Changed(changed) = &mut document.standing
                && let Scoring::Cancelled { saved } = &mut changed.score
            {
                *saved = true;
            }
            self.show_lens(&file.path);
        }
        self.look_at_all();
        self.look_at(&file.path, Urgency::Now);
    }

    pub(super) fn closed(&mut self, file: &File) {
        if let Some(document) = self.documents.remove(&file.path) {
            self.clear(&file.path, &document);
            self.unwatch_closed();
        }
    }

    /// Takes back what a document that is no longer open shows and asks for.
    pub(super) fn clear(&mut self, path: &Path, document: &Document) {
        if let EngineSlot::Running(engine) = &self.engine {
            engine.cancel(&slot(path));
        }
        let shows = document
            .published
            .as_ref()
            .is_some_and(|(_, diagnostics)| !diagnostics.is_empty());
        // A client that asks for diagnostics forgets them itself.
        if shows && !self.abilities.pull_diagnostics {
            self.outbox
                .publish(document.uri.clone(), document.version, Vec::new());
        }
    }
}

/// How soon a look is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// The user is waiting.
    Now,
    /// Something may have changed on disk.
    Soon,
}

/// Looks.
impl Actor {
    pub(super) fn look_at_due(&mut self) {
        let now = Instant::now();
        let due: Vec<PathBuf> = self
            .documents
            .iter()
            .filter(|(_, document)| document.due.is_some_and(|due| due <= now))
            .map(|(path, _)| path.clone())
            .collect();
        for path in due {
            self.look_at(&path, Urgency::Now);
        }
    }

    pub(super) fn look_at_all(&mut self) {
        for path in self.by_use(|_, _| true) {
            self.look_at(&path, Urgency::Soon);
        }
        self.touch_surveys();
    }

    /// The documents that `which` tells of, what the user had to do with last first.
    fn by_use(&self, which: impl Fn(&Path, &Document) -> bool) -> Vec<PathBuf> {
        let chosen = self
            .documents
            .iter()
            .filter(|(path, document)| which(path, document));
        let mut chosen: Vec<_> = chosen.collect();
        chosen.sort_by_key(|(_, document)| std::cmp::Reverse(document.touched));
        chosen.into_iter().map(|(path, _)| path.clone()).collect()
    }

    /// The user had to do with a document.
    pub(super) fn touch(&mut self, path: &Path) {
        let now = self.tick();
        if let Some(document) = self.documents.get_mut(path) {
            document.touched = now;
        }
    }

    /// The client saw these files change.
    pub(super) fn disk_changed(&mut self, paths: &[PathBuf]) {
        if paths.iter().any(|path| decides_about_others(path)) {
            return self.look_at_all();
        }
        for path in paths {
            self.look_at(path, Urgency::Soon);
        }
        self.files_changed(paths);
    }

    /// Asks for a look. One look runs for a document at a time; a wish that comes meanwhile makes
    /// it run once more, on what is newest then.
    pub(super) fn look_at(&mut self, path: &Path, urgency: Urgency) {
        let Some(document) = self.documents.get_mut(path) else {
            return;
        };
        match &mut document.looking {
            Looking::Running { again, .. } => {
                *again = true;
                document.due = None;
                return;
            }
            Looking::Queued if urgency == Urgency::Soon => return,
            Looking::Queued => self.to_look.retain(|queued| queued != path),
            Looking::No => document.looking = Looking::Queued,
        }
        match urgency {
            Urgency::Now => self.to_look.push_front(path.into()),
            Urgency::Soon => self.to_look.push_back(path.into()),
        }
        self.start_looks();
    }

    pub(super) fn start_looks(&mut self) {
        while self.looks_running < PARALLEL_LOOKS
            && let Some(path) = self.to_look.pop_front()
        {
            self.start_look(path);
        }
    }

    pub(super) fn start_look(&mut self, path: PathBuf) {
        let generation = self.tick();
        // It may have been closed, or closed and opened again and be queued twice.
        let Some(document) = self
            .documents
            .get_mut(&path)
            .filter(|document| document.looking == Looking::Queued)
        else {
            return;
        };
        document.due = None;
        let engine = match &self.engine {
            EngineSlot::Running(engine) => Arc::clone(engine),
            EngineSlot::Waiting(_) => return,
            EngineSlot::Broken(reason) => {
                document.looking = Looking::No;
                document.standing = Standing::Failed(reason.clone());
                self.show(&path);
                return;
            }
        };
        document.looking = Looking::Running {
            look: generation,
            again: false,
        };
        let checks = !matches!(document.standing, Standing::Unseen);
        let ticket = Ticket {
            path: path.clone(),
            edition: document.edition,
            look: generation,
        };
        let question = Question {
            path,
            text: document.text.clone(),
            config: self.config.clone(),
            tasks: self.tasks.clone(),
            engine,
            reviews: Arc::clone(&self.reviews),
            checker: checks.then(|| Arc::clone(&self.checker)),
        };
        let config = self.config.clone();
        let events = self.events.clone();
        self.looks_running += 1;
        tokio::spawn(async move {
            let look = tokio::task::spawn_blocking(move || look(&question)).await;
            let look = look.unwrap_or_else(|error| {
                tracing::error!(%error, "a look panicked");
                Look::failed(config, "internal error: see the server's log".into())
            });
            let look = Box::new(look);
            drop(events.send(Event::Looked { ticket, look }));
        });
    }

    pub(super) fn looked(&mut self, ticket: &Ticket, look: Look) {
        self.looks_running -= 1;
        self.take_look(ticket, look);
        self.start_looks();
    }

    pub(super) fn take_look(&mut self, ticket: &Ticket, look: Look) {
        self.warn_all(look.warnings);
        let path = &ticket.path;
        let job = self.tick();
        let Some(document) = self
            .documents
            .get_mut(path)
            .filter(|doc| doc.awaits(ticket))
        else {
            return;
        };
        let again = matches!(document.looking, Looking::Running { again: true, .. })
            || look.flaws.is_none();
        document.looking = Looking::No;
        document.config = look.config;
        let mut repository = None;
        if let Some(places) = look.repository {
            repository = Some(places.root.clone());
            document.repository = repository.clone();
            let base = Base::parse(&document.config.base);
            self.watcher.follow(Followed::of(places, &base));
        }
        let is_current = ticket.edition == document.edition;
        // An older edition still tells more than nothing, unless a newer look is on its way.
        if is_current || !(again || document.due.is_some()) {
            document.seen = ticket.edition;
            document.unsaved = look.unsaved || !is_current;
            let request = document.see(look.sight, job);
            document.reviewed = look.reviewed;
            document.flaws = look.flaws.unwrap_or_default();
            let is_waiting = document.is_waiting();
            if let EngineSlot::Running(engine) = &self.engine {
                match request {
                    Some(request) => {
                        let rank = rank(document);
                        submit(engine, &self.events, path.clone(), rank, job, request);
                        self.make_room();
                    }
                    None if is_waiting => {}
                    // It was committed or taken back while it was scored, say.
                    None => engine.cancel(&slot(path)),
                }
            }
            self.show(path);
            if let Some(root) = repository {
                self.touch_workspace(&root);
            }
            self.touch_surveyed(path);
        }
        if again {
            self.look_at(path, Urgency::Now);
        }
    }
}

impl Actor {
    pub(super) fn look_at_repository(&mut self, root: &Path) {
        self.touch_survey(root);
        let paths = self.by_use(|_, document| {
            let is_in_it = match &document.repository {
                Some(repository) => repository == root,
                // It may turn out to be this one, by a look that began too early.
                None => document.looking != Looking::No,
            };
            // What is being typed is looked at when it pauses, or when it is saved.
            let waits_for_save = !document.config.score_on_change && document.is_edited();
            is_in_it && document.due.is_none() && !waits_for_save
        });
        for path in paths {
            self.look_at(&path, Urgency::Soon);
        }
    }

    pub(super) fn unwatch_closed(&mut self) {
        let mut used: BTreeSet<&Path> = self
            .documents
            .values()
            .filter_map(|document| document.repository.as_deref())
            .collect();
        let watched = self.surveys.iter().filter(|(_, survey)| survey.watched);
        used.extend(watched.map(|(root, _)| root.as_path()));
        self.watcher.keep_only(&used);
        self.drop_workspaces();
        self.drop_surveys();
    }
}

impl Document {
    /// Takes in how the document stands. Returns what must be scored, as `job`.
    pub(super) fn see(&mut self, sight: Sight, job: Generation) -> Option<ScoreRequest> {
        self.standing = match sight {
            Sight::Outside(reason) => {
                tracing::debug!(uri = %self.uri, reason, "not in a repository");
                Standing::Quiet
            }
            Sight::Unchanged => Standing::Quiet,
            Sight::Skipped(reason) => Standing::Skipped(reason),
            Sight::Failed(reason) => Standing::Failed(reason),
            Sight::Changed {
                change,
                task,
                remembered,
            } => {
                let score = match remembered {
                    Some(verdict) => Scoring::Done(verdict),
                    None => Scoring::Waiting(job),
                };
                return self.see_change(Changed {
                    change,
                    task,
                    score,
                });
            }
        };
        None
    }

    pub(super) fn see_change(&mut self, new: Changed) -> Option<ScoreRequest> {
        if let Standing::Changed(old) = &self.standing
            && (&old.change, &old.task) == (&new.change, &new.task)
            && !matches!(
                old.score,
                Scoring::Failed(_) | Scoring::Cancelled { saved: true }
            )
        {
            return None;
        }
        let request = matches!(new.score, Scoring::Waiting(_))
            .then(|| request(&new.change, new.task.as_deref()));
        self.standing = Standing::Changed(new);
        request
    }
}

/// Whether a file is one of settings or of git itself.
fn decides_about_others(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| SETTINGS.iter().any(|settings| name == *settings))
        || path.components().any(|part| part.as_os_str() == ".git")
}
