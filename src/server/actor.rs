//! The state actor: the one place that knows what is open, what is scored and what was shown.
//!
//! Invariants: it owns all state and handles one [`Event`] at a time; it never waits and never
//! touches the disk, git or the model, but starts jobs that report back by an event; a result
//! counts only if it belongs to the newest job of its document; diagnostics are published from
//! here only, and only for the version that is current. Each thing the server does to the outside
//! is a call on the [`Outbox`].

mod act;
mod compare;
mod describe;
mod looks;
mod present;
mod scores;
mod start;
mod survey;
mod workspace;

use super::abilities::Abilities;
use super::document::{Changed, Document, Looking, Scoring, Standing};
use super::event::{DocumentText, Event, File, Generation, Reply, Shown, Ticket};
use super::lifecycle::EndSignal;
use super::look::{Look, Question, Sight, look, request};
use super::outbox::{Outbox, Status, StatusKind};
use super::progress::{Progress, Step};
use super::settings::Settings;
use super::show;
use super::survey::Survey;
use super::tasks::{SetTask, TaskSet, Tasks};
use super::watch::{Followed, Watcher};
use super::workspace::Workspace;
use crate::change::{Base, RepositoryPlaces, repository_places};
use crate::config::Config;
use crate::review::Reviews;
use crate::scoring::{
    Cache, Engine, EngineOptions, EngineState, Judge, Loader, Rank, ScoreError, ScoreRequest, Slot,
    Verdict,
};
use crate::syntax::Checker;
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
    checker: Arc<Checker>,
    engine: EngineSlot,
    abilities: Abilities,
    settings: Settings,
    /// Whether the client was asked for its settings for the first time and has not answered.
    settings_awaited: bool,
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
    surveys: BTreeMap<PathBuf, Survey>,
    comparing: Option<compare::Comparing>,
    /// Whether the client was asked to tell of all files that change.
    files_registered: bool,
    clock: Generation,
    /// What the client was told.
    status: Status,
    /// The same but for what the settings say.
    engine_status: Status,
    refreshes: Refreshes,
    /// Warnings that were already given.
    warned: HashSet<String>,
    /// Not told yet.
    notice: Option<String>,
}

/// The engine starts when the client's settings are known.
enum EngineSlot {
    Waiting(Box<(Arc<Cache>, Loader)>),
    Running(Arc<Engine>),
    /// It could not be started; why.
    Broken(String),
}

/// Whether the client is being told to ask for something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Refresh {
    #[default]
    Idle,
    Told,
    /// Something changed since it was told.
    TellAgain,
}

/// The same for each thing that it can ask for.
#[derive(Debug, Default)]
struct Refreshes {
    lenses: Refresh,
    hints: Refresh,
    diagnostics: Refresh,
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
            notice,
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
            checker: Arc::default(),
            engine: EngineSlot::Waiting(Box::new((cache, loader))),
            abilities: Abilities::of(&ClientCapabilities::default()),
            settings: Settings::new(config.clone()),
            settings_awaited: false,
            config,
            documents: BTreeMap::new(),
            to_look: VecDeque::new(),
            looks_running: 0,
            watcher,
            tasks: Tasks::default(),
            progress: Progress::default(),
            workspaces: BTreeMap::new(),
            surveys: BTreeMap::new(),
            comparing: None,
            files_registered: false,
            clock: Generation::default(),
            status: Status::idle(),
            engine_status: Status::idle(),
            refreshes: Refreshes::default(),
            warned: HashSet::new(),
            notice,
        }
    }

    /// Handles events until [`Event::Stop`].
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Event>) {
        loop {
            let looks = self.documents.values().filter_map(|doc| doc.due);
            let due = looks
                .chain(self.progress.due())
                .chain(self.workspace_due())
                .chain(self.survey_due());
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
            self.guarded(Self::survey);
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
            Event::DiskChanged(paths) => self.disk_changed(&paths),
            Event::RepositoryChanged(root) => self.look_at_repository(&root),
            Event::SettingsChanged(value) => self.settings_changed(value),
            Event::SettingsPulled(value) => self.settings_pulled(value),

            Event::CodeLenses(file, reply) => {
                self.touch(&file.path);
                let document = self.documents.get(&file.path);
                let lens = document.and_then(|doc| Some(show::lens(doc, doc.title.as_deref()?)));
                drop(reply.send(lens.into_iter().collect()));
            }
            Event::Hovered(file, position, reply) => {
                self.touch(&file.path);
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
            Event::InlayHints(file, range, reply) => {
                drop(reply.send(self.hints(&file.path, range)));
            }
            Event::Diagnostics(file, previous, reply) => {
                drop(reply.send(self.report(&file.path, previous)));
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

            Event::AskChanges(ask, reply) => self.ask_changes(ask, reply),
            Event::ChangesPlaced { places, ask, reply } => self.changes_placed(places, &ask, reply),
            Event::Listed {
                root,
                look,
                listing,
            } => self.listed(&root, look, listing),
            Event::ListedScored { root, job, result } => self.listed_scored(&root, job, result),

            Event::AskCandidates(ask, reply) => self.ask_about_candidates(ask, reply),

            Event::ProgressAnswered { token, agreed } => {
                let pending = self.pending().len();
                let step = self
                    .progress
                    .answered(token, agreed, pending, Instant::now());
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
            Event::RefreshDone(what) => self.refreshed(what),
        }
    }

    fn tick(&mut self) -> Generation {
        self.clock.0 += 1;
        self.clock
    }
}

/// What the user had to do with last is scored first; what is not open comes after all that is.
fn rank(document: &Document) -> Rank {
    Rank(document.touched.0)
}

fn slot(path: &Path) -> Slot {
    Slot(path.to_string_lossy().into_owned())
}

fn submit(
    engine: &Engine,
    events: &mpsc::UnboundedSender<Event>,
    path: PathBuf,
    rank: Rank,
    job: Generation,
    request: ScoreRequest,
) {
    let events = events.clone();
    engine.submit(slot(&path), rank, request, move |result| {
        drop(events.send(Event::Scored { path, job, result }));
    });
}
