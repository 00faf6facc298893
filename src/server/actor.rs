//! The state actor: the one place that knows what is open, what is scored and what was shown.
//!
//! Invariants: it owns all state and handles one [`Event`] at a time; it never waits and never
//! touches the disk, git or the model, but starts jobs that report back by an event; a result
//! counts only if it belongs to the newest job of its document; diagnostics are published from
//! here only, and only for the version that is current. Each thing the server does to the outside
//! is a call on the [`Outbox`].

mod act;
mod workspace;

use super::abilities::Abilities;
use super::document::{Changed, Document, Looking, Scoring, Standing};
use super::event::{DocumentText, Event, File, Generation, Reply, Ticket};
use super::lifecycle::EndSignal;
use super::look::{Look, Question, Sight, look, request};
use super::outbox::{Outbox, Status, StatusKind};
use super::progress::{Progress, Step};
use super::settings::Settings;
use super::show;
use super::tasks::{SetTask, TaskSet, Tasks};
use super::watch::{Followed, Watcher};
use super::workspace::Workspace;
use crate::change::{Base, repository_places};
use crate::config::Config;
use crate::review::Reviews;
use crate::scoring::{
    Cache, Engine, EngineOptions, EngineState, Judge, Loader, ScoreError, ScoreRequest, Slot,
    Verdict,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower_lsp::lsp_types::{
    ClientCapabilities, InitializeParams, InitializeResult, MessageType,
    TextDocumentContentChangeEvent,
};

/// Looks that run at the same time; more would only fight for the disk.
const PARALLEL_LOOKS: usize = 2;

/// The state and the means to act.
pub(super) struct Actor {
    events: mpsc::UnboundedSender<Event>,
    outbox: Outbox,
    signal: EndSignal,
    judge: Judge,
    reviews: Arc<Reviews>,
    engine: EngineSlot,
    abilities: Abilities,
    settings: Settings,
    /// The settings in force without those of a repository.
    config: Config,
    documents: BTreeMap<PathBuf, Document>,
    /// Documents that wait for a look, the most urgent first.
    to_look: VecDeque<PathBuf>,
    looks_running: usize,
    watcher: Watcher,
    tasks: Tasks,
    progress: Progress,
    workspaces: BTreeMap<PathBuf, Workspace>,
    clock: Generation,
    /// What the client was told.
    status: Status,
    /// The same but for what the settings say.
    engine_status: Status,
    refresh: Refresh,
    /// Warnings that were already given.
    warned: HashSet<String>,
}

/// The engine starts when the client's settings are known.
enum EngineSlot {
    Waiting(Box<(Arc<Cache>, Loader)>),
    Running(Arc<Engine>),
    /// It could not be started; why.
    Broken(String),
}

/// Whether the client is being asked to ask for code lenses again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Idle,
    Asked,
    /// A lens changed since it was asked.
    AskAgain,
}

impl Actor {
    pub(super) fn new(
        events: mpsc::UnboundedSender<Event>,
        outbox: Outbox,
        signal: EndSignal,
        options: super::ServerOptions,
    ) -> Self {
        let super::ServerOptions {
            judge,
            cache,
            loader,
            reviews,
            config,
        } = options;
        let changed = events.clone();
        let watcher = Watcher::new(Box::new(move |root| {
            drop(changed.send(Event::RepositoryChanged(root)));
        }));
        Self {
            events,
            outbox,
            signal,
            judge,
            reviews: Arc::new(reviews),
            engine: EngineSlot::Waiting(Box::new((cache, loader))),
            abilities: Abilities::of(&ClientCapabilities::default()),
            settings: Settings::new(config.clone()),
            config,
            documents: BTreeMap::new(),
            to_look: VecDeque::new(),
            looks_running: 0,
            watcher,
            tasks: Tasks::default(),
            progress: Progress::default(),
            workspaces: BTreeMap::new(),
            clock: Generation::default(),
            status: Status::idle(),
            engine_status: Status::idle(),
            refresh: Refresh::Idle,
            warned: HashSet::new(),
        }
    }

    /// Handles events until [`Event::Stop`].
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Event>) {
        loop {
            let looks = self.documents.values().filter_map(|doc| doc.due);
            let due = looks.chain(self.progress.due()).chain(self.workspace_due());
            let due = due.min();
            let pause = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = queue.recv() => match event {
                    None | Some(Event::Stop) => break,
                    Some(event) => self.guarded(|actor| actor.handle(event)),
                },
                () = pause => self.guarded(Self::look_at_due),
            }
            self.guarded(Self::show_progress);
            self.guarded(Self::score_workspaces);
        }
        if let EngineSlot::Running(engine) = &self.engine {
            engine.abandon();
        }
    }

    /// A mistake in one event must not take the server down: the others still count.
    fn guarded(&mut self, act: impl FnOnce(&mut Self)) {
        if std::panic::catch_unwind(AssertUnwindSafe(|| act(self))).is_err() {
            tracing::error!("an event was dropped because its handling panicked");
            self.warn("internal error: see the server's log".into());
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Initialize(params, reply) => drop(reply.send(self.initialize(*params))),
            Event::Initialized => self.initialized(),
            Event::Shutdown(reply) => {
                if let EngineSlot::Running(engine) = &self.engine {
                    engine.stop();
                }
                let _ = reply.send(());
            }
            Event::Stop => {}

            Event::Opened {
                file,
                version,
                text,
            } => self.opened(file, version, text),
            Event::Changed {
                file,
                version,
                changes,
            } => self.changed(&file, version, &changes),
            Event::Saved(file) => self.saved(&file),
            Event::Closed(file) => self.closed(&file),
            Event::DiskChanged => self.look_at_all(),
            Event::RepositoryChanged(root) => self.look_at_repository(&root),
            Event::SettingsChanged(value) => self.settings_changed(value),
            Event::SettingsPulled(value) => self.settings_known(value),

            Event::CodeLenses(file, reply) => {
                let document = self.documents.get(&file.path);
                let lens = document.and_then(|doc| Some(show::lens(doc, doc.title.as_deref()?)));
                drop(reply.send(lens.into_iter().collect()));
            }
            Event::Hovered(file, position, reply) => {
                let hover = self.documents.get(&file.path).and_then(|doc| {
                    let Abilities {
                        encoding,
                        markdown_hover,
                        ..
                    } = self.abilities;
                    show::hover(doc, &self.judge, position, encoding, markdown_hover)
                });
                drop(reply.send(hover));
            }
            Event::ShowFile(file, reply) => {
                if let Some(document) = self.documents.get(&file.path) {
                    let text = show::summary(document, &self.judge);
                    self.outbox.show(MessageType::INFO, text);
                }
                let _ = reply.send(());
            }
            Event::CodeActions(file, request, reply) => {
                drop(reply.send(self.code_actions(&file, &request)));
            }
            Event::Ordered(order, reply) => self.obey(order, reply),
            Event::Reviewed(done) => self.reviewed(done),
            Event::Text(file, reply) => {
                let text = self.documents.get(&file.path).map(|doc| DocumentText {
                    version: doc.version,
                    text: doc.text.clone(),
                });
                drop(reply.send(text));
            }

            Event::SetTask(params, reply) => self.set_task(&params, reply),
            Event::TaskPlaced {
                given,
                task,
                root,
                reply,
            } => {
                let answer = root.map(|root| self.take_task(root, given, task));
                drop(reply.send(answer));
            }

            Event::ScoreWorkspace(place, reply) => self.ask_workspace(&place, reply),
            Event::WorkspacePlaced { root, reply } => self.workspace_placed(root, reply),
            Event::WorkspaceLooked { root, job, sight } => self.workspace_looked(root, job, sight),
            Event::WorkspaceScored {
                root,
                job,
                sight,
                result,
            } => self.workspace_scored(&root, job, &sight, result),

            Event::ProgressAnswered { token, agreed } => {
                let pending = self.pending().len();
                let step = self.progress.answered(token, agreed, pending);
                self.take_step(step);
            }
            Event::ProgressCancelled(token) => {
                if self.progress.is_shown_as(&token) {
                    self.cancel_scores();
                }
            }

            Event::Looked { ticket, look } => self.looked(&ticket, *look),
            Event::Scored { path, job, result } => self.scored(&path, job, result),
            Event::Engine(state) => self.engine_state(state),
            Event::RefreshDone => {
                let again = self.refresh == Refresh::AskAgain;
                self.refresh = Refresh::Idle;
                if again {
                    self.refresh_lenses();
                }
            }
        }
    }

    fn tick(&mut self) -> Generation {
        self.clock.0 += 1;
        self.clock
    }
}

/// Starting up and settings.
impl Actor {
    fn initialize(&mut self, params: InitializeParams) -> InitializeResult {
        self.abilities = Abilities::of(&params.capabilities);
        if let Some(id) = params.process_id {
            self.signal.watch_process(id);
        }
        self.settings
            .set_initial(params.initialization_options.unwrap_or_default());
        // Warnings come with `initialized`: before it nothing reaches the client.
        self.config = self.settings.resolve().0;
        self.start_engine();
        self.abilities.offer()
    }

    fn initialized(&mut self) {
        let (_, warnings) = self.settings.resolve();
        self.warn_all(warnings);
        self.outbox.status(self.status.clone());
        self.tell_status();
        let Abilities {
            register_settings,
            register_files,
            pull_settings,
            ..
        } = self.abilities;
        self.outbox.register(register_settings, register_files);
        if pull_settings {
            self.outbox.pull_settings();
        }
    }

    fn start_engine(&mut self) {
        let not_started = EngineSlot::Broken("the scoring thread was not started".into());
        let (cache, loader) = match std::mem::replace(&mut self.engine, not_started) {
            EngineSlot::Waiting(parts) => *parts,
            started => {
                self.engine = started;
                return;
            }
        };
        let events = self.events.clone();
        let idle = self.config.idle_unload_seconds;
        let options = EngineOptions {
            idle_unload: (idle > 0).then(|| Duration::from_secs(idle)),
            on_state: Some(Box::new(move |state| {
                drop(events.send(Event::Engine(state)));
            })),
        };
        match Engine::start(self.judge.clone(), cache, loader, options) {
            Ok(engine) => self.engine = EngineSlot::Running(Arc::new(engine)),
            Err(error) => {
                let reason = format!("cannot start the scoring thread: {error}");
                self.engine = EngineSlot::Broken(reason.clone());
                self.engine_state(EngineState::Degraded(reason));
            }
        }
    }

    fn settings_changed(&mut self, value: Value) {
        // Some clients announce a change without saying it and want to be asked.
        if value.is_null() && self.abilities.pull_settings {
            self.outbox.pull_settings();
        } else {
            self.settings_known(value);
        }
    }

    fn settings_known(&mut self, value: Value) {
        self.settings.set_current(value);
        let (config, warnings) = self.settings.resolve();
        self.warn_all(warnings);
        self.config = config;
        self.tell_status();
        // The looks bring the settings to the documents, under those of their repositories.
        self.look_at_all();
    }

    fn warn_all(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            self.warn(warning);
        }
    }

    /// Each warning is logged once; the first of a session is also shown.
    fn warn(&mut self, warning: String) {
        if !self.warned.insert(warning.clone()) {
            return;
        }
        if self.warned.len() == 1 {
            let text = format!("Diffidence: {warning}");
            self.outbox.show(MessageType::WARNING, text);
        }
        self.outbox.log(MessageType::WARNING, warning);
    }
}

/// Documents.
impl Actor {
    fn opened(&mut self, file: File, version: i32, text: String) {
        let edition = self.tick();
        let config = self.config.clone();
        let document = Document::opened(file.uri, version, text, edition, config);
        if let Some(old) = self.documents.insert(file.path.clone(), document) {
            tracing::warn!(path = %file.path.display(), "opened twice");
            self.clear(&file.path, &old);
        }
        self.look_at(&file.path, Urgency::Now);
    }

    fn changed(&mut self, file: &File, version: i32, changes: &[TextDocumentContentChangeEvent]) {
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

    fn saved(&mut self, file: &File) {
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

    fn closed(&mut self, file: &File) {
        if let Some(document) = self.documents.remove(&file.path) {
            self.clear(&file.path, &document);
            self.unwatch_closed();
        }
    }

    /// Takes back what a document that is no longer open shows and asks for.
    fn clear(&mut self, path: &Path, document: &Document) {
        if let EngineSlot::Running(engine) = &self.engine {
            engine.cancel(&slot(path));
        }
        let shows = document
            .published
            .as_ref()
            .is_some_and(|(_, diagnostics)| !diagnostics.is_empty());
        if shows {
            self.outbox
                .publish(document.uri.clone(), document.version, Vec::new());
        }
    }
}

/// How soon a look is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// The user is waiting.
    Now,
    /// Something may have changed on disk.
    Soon,
}

/// Looks.
impl Actor {
    fn look_at_due(&mut self) {
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

    fn look_at_all(&mut self) {
        let paths: Vec<PathBuf> = self.documents.keys().cloned().collect();
        for path in paths {
            self.look_at(&path, Urgency::Soon);
        }
    }

    /// Asks for a look. One look runs for a document at a time; a wish that comes meanwhile makes
    /// it run once more, on what is newest then.
    fn look_at(&mut self, path: &Path, urgency: Urgency) {
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

    fn start_looks(&mut self) {
        while self.looks_running < PARALLEL_LOOKS
            && let Some(path) = self.to_look.pop_front()
        {
            self.start_look(path);
        }
    }

    fn start_look(&mut self, path: PathBuf) {
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

    fn looked(&mut self, ticket: &Ticket, look: Look) {
        self.looks_running -= 1;
        self.take_look(ticket, look);
        self.start_looks();
    }

    fn take_look(&mut self, ticket: &Ticket, look: Look) {
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
        let again = matches!(document.looking, Looking::Running { again: true, .. });
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
            let is_waiting = document.is_waiting();
            if let EngineSlot::Running(engine) = &self.engine {
                match request {
                    Some(request) => {
                        submit(engine, &self.events, path.clone(), job, request);
                        self.put_off_workspaces();
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
        }
        if again {
            self.look_at(path, Urgency::Now);
        }
    }
}

/// Watching repositories.
impl Actor {
    fn look_at_repository(&mut self, root: &Path) {
        let paths: Vec<PathBuf> = self
            .documents
            .iter()
            .filter(|(_, document)| match &document.repository {
                Some(repository) => repository == root,
                // It may turn out to be this one, by a look that began too early.
                None => document.looking != Looking::No,
            })
            // What is being typed is looked at when it pauses, or when it is saved.
            .filter(|(_, document)| {
                let waits_for_save = !document.config.score_on_change && document.is_edited();
                document.due.is_none() && !waits_for_save
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in paths {
            self.look_at(&path, Urgency::Soon);
        }
    }

    fn unwatch_closed(&mut self) {
        let used: BTreeSet<&Path> = self
            .documents
            .values()
            .filter_map(|document| document.repository.as_deref())
            .collect();
        self.watcher.keep_only(&used);
        self.drop_workspaces();
    }
}

/// Descriptions of what the changes are for.
impl Actor {
    fn set_task(&mut self, params: &SetTask, reply: Reply<Result<TaskSet, String>>) {
        let given = self.tick();
        let task = params.description();
        let place = match params.place.path() {
            Ok(place) => place,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let Some(path) = place else {
            let root = self.only_repository();
            let answer = root.map(|root| self.take_task(root, given, task));
            return drop(reply.send(answer));
        };
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let root = repository_places(&path)
                .map(|places| places.root)
                .map_err(|error| error.to_string());
            drop(events.send(Event::TaskPlaced {
                given,
                task,
                root,
                reply,
            }));
        });
    }

    /// The repository that is meant when none is named.
    fn only_repository(&self) -> Result<PathBuf, String> {
        let roots: BTreeSet<&PathBuf> = self
            .documents
            .values()
            .filter_map(|document| document.repository.as_ref())
            .collect();
        match Vec::from_iter(roots).as_slice() {
            [root] => Ok((*root).clone()),
            [] => Err("no file of a repository is open: name a `textDocument` or a `root`".into()),
            _ => Err(
                "files of several repositories are open: name a `textDocument` or a `root`".into(),
            ),
        }
    }

    fn take_task(&mut self, root: PathBuf, given: Generation, task: Option<Arc<str>>) -> TaskSet {
        if self.tasks.set(&root, given, task) {
            self.look_at_repository(&root);
        }
        let task = self.tasks.of(&root).map(|task| task.to_string());
        TaskSet { root, task }
    }
}

impl Document {
    /// Takes in how the document stands. Returns what must be scored, as `job`.
    fn see(&mut self, sight: Sight, job: Generation) -> Option<ScoreRequest> {
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

    fn see_change(&mut self, new: Changed) -> Option<ScoreRequest> {
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

/// Scores.
impl Actor {
    fn scored(&mut self, path: &Path, job: Generation, result: Result<Verdict, ScoreError>) {
        let Some(document) = self.documents.get_mut(path) else {
            return;
        };
        let Standing::Changed(changed) = &mut document.standing else {
            return;
        };
        if !matches!(changed.score, Scoring::Waiting(newest) if newest == job) {
            return;
        }
        changed.score = match result {
            Ok(verdict) => Scoring::Done(verdict),
            Err(ScoreError::Stopped) => return,
            Err(error) => Scoring::Failed(error.to_string()),
        };
        self.show(path);
    }

    fn engine_state(&mut self, state: EngineState) {
        self.engine_status = self.status_of(state);
        self.tell_status();
    }

    fn tell_status(&mut self) {
        let status = if self.config.enable {
            self.engine_status.clone()
        } else {
            Status {
                state: StatusKind::Off,
                message: "turned off in the settings".into(),
            }
        };
        if status != self.status {
            self.status = status.clone();
            self.outbox.status(status);
        }
    }

    fn status_of(&mut self, state: EngineState) -> Status {
        let (state, message) = match state {
            EngineState::Idle => (StatusKind::Idle, String::new()),
            EngineState::Loading => (StatusKind::Loading, "loading the model".into()),
            EngineState::Scoring { waiting: 0 } => (StatusKind::Scoring, String::new()),
            EngineState::Scoring { waiting } => (StatusKind::Scoring, format!("{waiting} waiting")),
            EngineState::Degraded(reason) => {
                if self.warned.insert(reason.clone()) {
                    let text = format!("Diffidence cannot score: {reason}");
                    self.outbox.show(MessageType::ERROR, text);
                }
                (StatusKind::Degraded, reason)
            }
        };
        Status { state, message }
    }
}

/// Progress.
impl Actor {
    /// The files that wait for a score.
    fn pending(&self) -> BTreeSet<&Path> {
        let pending = self.documents.iter().filter(|(_, doc)| doc.is_waiting());
        pending.map(|(path, _)| path.as_path()).collect()
    }

    fn show_progress(&mut self) {
        if !self.abilities.progress {
            return;
        }
        let mut progress = std::mem::take(&mut self.progress);
        let step = progress.update(&self.pending(), Instant::now());
        self.progress = progress;
        self.take_step(step);
    }

    fn take_step(&self, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Create(token)) => self.outbox.create_progress(token),
            Some(Step::Say(params)) => self.outbox.progress(params),
        }
    }

    /// Gives up on everything that waits for a score. What the model is busy with may take a
    /// moment to stop; its result no longer counts.
    fn cancel_scores(&mut self) {
        let pending: Vec<PathBuf> = self.pending().into_iter().map(Into::into).collect();
        for path in pending {
            if let EngineSlot::Running(engine) = &self.engine {
                engine.cancel(&slot(&path));
            }
            if let Some(document) = self.documents.get_mut(&path)
                && let Standing::Changed(changed) = &mut document.standing
            {
                changed.score = Scoring::Cancelled { saved: false };
            }
            self.show(&path);
        }
    }
}

/// What the client sees.
impl Actor {
    fn show(&mut self, path: &Path) {
        self.show_lens(path);
        self.publish(path);
    }

    /// Keeps the lens that the client is offered, and has it ask again if that became another.
    fn show_lens(&mut self, path: &Path) {
        let Some(document) = self.documents.get_mut(path) else {
            return;
        };
        let title = Some(&*document)
            .filter(|document| document.config.code_lens)
            .and_then(|document| show::title(document, &self.judge));
        if document.title != title {
            document.title = title;
            self.refresh_lenses();
        }
    }

    fn refresh_lenses(&mut self) {
        if !self.abilities.lens_refresh {
            return;
        }
        self.refresh = match self.refresh {
            Refresh::Idle => {
                self.outbox.refresh_lenses();
                Refresh::Asked
            }
            Refresh::Asked | Refresh::AskAgain => Refresh::AskAgain,
        };
    }

    fn publish(&mut self, path: &Path) {
        let Abilities {
            encoding,
            related_information,
            ..
        } = self.abilities;
        let Some(document) = self.documents.get_mut(path).filter(|doc| doc.is_current()) else {
            return;
        };
        let diagnostics = show::diagnostics(document, &self.judge, encoding, related_information);
        let Some(diagnostics) = diagnostics else {
            return;
        };
        let has_some = |published: &(i32, Vec<_>)| !published.1.is_empty();
        let next = (document.version, diagnostics);
        let before = document.published.as_ref();
        let is_news = before != Some(&next) && (has_some(&next) || before.is_some_and(has_some));
        // A client that cannot be told to ask for lenses again, such as Neovim 0.11, can still
        // hook the arrival of diagnostics; so these come whenever the lens has changed.
        let lens_is_news =
            !self.abilities.lens_refresh && document.title != document.published_title;
        if !(is_news || lens_is_news) {
            return;
        }
        let (version, diagnostics) = next.clone();
        document.published = Some(next);
        document.published_title = document.title.clone();
        self.outbox
            .publish(document.uri.clone(), version, diagnostics);
    }
}

fn slot(path: &Path) -> Slot {
    Slot(path.to_string_lossy().into_owned())
}

fn submit(
    engine: &Engine,
    events: &mpsc::UnboundedSender<Event>,
    path: PathBuf,
    job: Generation,
    request: ScoreRequest,
) {
    let events = events.clone();
    engine.submit(slot(&path), request, move |result| {
        drop(events.send(Event::Scored { path, job, result }));
    });
}
