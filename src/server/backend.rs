//! The protocol's methods: each converts its parameters to an [`Event`] and sends it.
//!
//! Invariant: nothing is awaited before the send, so events reach the actor in the order in which
//! the client wrote them; notifications await nothing at all, and requests only their answer from
//! the actor, which never waits for anything. This module must hold no state.

use super::actions::{ActionRequest, Order};
use super::compare::{Ask, AskApply, AskComparison, AskFile};
use super::event::{DocumentText, Event, File, Reply};
use super::show::report;
use super::survey::{AskChanges, Changes};
use super::tasks::{Place, SetTask, TaskSet};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tower_lsp::jsonrpc::{Error, ErrorCode, Result};
use tower_lsp::lsp_types::{
    CodeActionOrCommand, CodeActionParams, CodeActionResponse, CodeLens, CodeLensParams,
    DidChangeConfigurationParams, DidChangeTextDocumentParams, DidChangeWatchedFilesParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams,
    DocumentDiagnosticParams, DocumentDiagnosticReportResult, ExecuteCommandParams, Hover,
    HoverParams, InitializeParams, InitializeResult, InitializedParams, InlayHint, InlayHintParams,
    TextDocumentIdentifier, Url, WorkDoneProgressCancelParams,
};
use tower_lsp::{LanguageServer, async_trait};

/// The command behind the code lens; its argument is the document's URI.
pub(super) const SHOW_FILE: &str = "diffidence.showFile";

/// `RequestFailed` of the protocol: the request was fine and could not be carried out.
const REQUEST_FAILED: i64 = -32803;

/// The command that does what `diffidence/setTask` does; its argument is that request's.
pub(super) const SET_TASK: &str = "diffidence.setTask";

/// The command that scores all changes of a repository as one; its argument names it.
pub(super) const WORKSPACE_SCORE: &str = "diffidence.workspaceScore";

/// The command that does what `diffidence/changes` does; its argument is that request's.
pub(super) const CHANGES: &str = "diffidence.changes";

/// The commands that do what the requests about candidates do; the argument is the request's.
pub(super) const CANDIDATES: [&str; 4] = [LIST_CANDIDATES, COMPARE, CANDIDATE_FILE, APPLY];
const LIST_CANDIDATES: &str = "diffidence.candidates";
const COMPARE: &str = "diffidence.compare";
const CANDIDATE_FILE: &str = "diffidence.candidateFile";
const APPLY: &str = "diffidence.applyCandidate";

/// Sends what the client says to the state actor.
pub(super) struct Backend {
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl Backend {
    fn send(&self, event: Event) {
        if self.events.send(event).is_err() {
            tracing::debug!("a message came after the end");
        }
    }

    /// Sends the event of a request. The answer is awaited by the caller, after the send.
    fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.send(event(reply));
        answer
    }

    /// `diffidence/text`: the text and version that the server has for a document.
    pub(super) async fn text(
        &self,
        document: TextDocumentIdentifier,
    ) -> Result<Option<DocumentText>> {
        let Some(file) = File::at(document.uri) else {
            return Ok(None);
        };
        answered(self.ask(|reply| Event::Text(file, reply))).await
    }
}

/// Code actions and their commands.
impl Backend {
    async fn code_actions(
        &self,
        params: CodeActionParams,
    ) -> Result<Option<Vec<CodeActionOrCommand>>> {
        let Some(file) = File::at(params.text_document.uri) else {
            return Ok(None);
        };
        let request = Box::new(ActionRequest {
            range: params.range,
            context: params.context,
        });
        answered(self.ask(|reply| Event::CodeActions(file, request, reply)))
            .await
            .map(Some)
    }

    async fn obey(&self, params: &ExecuteCommandParams) -> Result<Option<Value>> {
        let order =
            Order::parse(&params.command, &params.arguments).map_err(Error::invalid_params)?;
        let result = answered(self.ask(|reply| Event::Ordered(order, reply))).await?;
        result.map(Some).map_err(request_failed)
    }
}

/// Candidate patches.
impl Backend {
    /// `diffidence/candidates`: branches and work trees that there are to compare.
    pub(super) async fn candidates(&self, place: Place) -> Result<Value> {
        self.ask_about_candidates(Ask::Candidates(place)).await
    }

    /// `diffidence/compare`: the answer comes when all candidates are scored, so it may take long.
    pub(super) async fn compare(&self, ask: AskComparison) -> Result<Value> {
        self.ask_about_candidates(Ask::Compare(ask)).await
    }

    /// `diffidence/candidateFile`: one file of a candidate, before and after.
    pub(super) async fn candidate_file(&self, ask: AskFile) -> Result<Value> {
        self.ask_about_candidates(Ask::File(ask)).await
    }

    /// `diffidence/applyCandidate`: the answer comes when the client has made the edit.
    pub(super) async fn apply_candidate(&self, ask: AskApply) -> Result<Value> {
        self.ask_about_candidates(Ask::Apply(ask)).await
    }

    async fn ask_about_candidates(&self, ask: Ask) -> Result<Value> {
        answered(self.ask(|reply| Event::AskCandidates(ask, reply)))
            .await?
            .map_err(request_failed)
    }

    async fn run_candidates(&self, command: &str, argument: Option<Value>) -> Result<Value> {
        self.ask_about_candidates(match command {
            COMPARE => Ask::Compare(parameters(command, argument)?),
            CANDIDATE_FILE => Ask::File(parameters(command, argument)?),
            APPLY => Ask::Apply(parameters(command, argument)?),
            _ => Ask::Candidates(parameters(command, argument)?),
        })
        .await
    }
}

impl Backend {
    /// `window/workDoneProgress/cancel`, which tower-lsp 0.20 does not know.
    pub(super) async fn cancel_progress(&self, params: WorkDoneProgressCancelParams) {
        self.send(Event::ProgressCancelled(params.token));
    }

    /// `diffidence/setTask`: what the changes of a repository are for.
    pub(super) async fn set_task(&self, params: SetTask) -> Result<TaskSet> {
        answered(self.ask(|reply| Event::SetTask(params, reply)))
            .await?
            .map_err(Error::invalid_params)
    }

    /// The command's answer comes when the score is there, so it may take long.
    async fn run_workspace_score(&self, argument: Option<Value>) -> Result<Option<Value>> {
        let place = parameters(WORKSPACE_SCORE, argument)?;
        let score = answered(self.ask(|reply| Event::ScoreWorkspace(place, reply)))
            .await?
            .map_err(Error::invalid_params)?;
        Ok(serde_json::to_value(score).ok())
    }

    /// `diffidence/changes`: all changed files of a repository, open or not.
    pub(super) async fn changes(&self, ask: AskChanges) -> Result<Changes> {
        answered(self.ask(|reply| Event::AskChanges(ask, reply)))
            .await?
            .map_err(Error::invalid_params)
    }

    async fn run_changes(&self, argument: Option<Value>) -> Result<Option<Value>> {
        let ask = parameters(CHANGES, argument)?;
        let changes = self.changes(ask).await?;
        Ok(serde_json::to_value(changes).ok())
    }

    async fn run_set_task(&self, argument: Option<Value>) -> Result<Option<Value>> {
        let problem = |error| Error::invalid_params(format!("`{SET_TASK}`: {error}"));
        let params = serde_json::from_value(argument.unwrap_or_default()).map_err(problem)?;
        let set = self.set_task(params).await?;
        Ok(serde_json::to_value(set).ok())
    }
}

/// The argument of a command; one that is missing names nothing.
fn parameters<T: DeserializeOwned>(command: &str, argument: Option<Value>) -> Result<T> {
    let argument = argument.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let problem = |error| Error::invalid_params(format!("`{command}`: {error}"));
    serde_json::from_value(argument).map_err(problem)
}

fn request_failed(problem: String) -> Error {
    Error {
        code: ErrorCode::ServerError(REQUEST_FAILED),
        message: problem.into(),
        data: None,
    }
}

async fn answered<T>(answer: oneshot::Receiver<T>) -> Result<T> {
    // The actor dropped the reply: it is ending, or this event made it panic, which it logged.
    answer.await.map_err(|_| Error::internal_error())
}

#[async_trait]
impl LanguageServer for Backend {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        answered(self.ask(|reply| Event::Initialize(Box::new(params), reply))).await
    }

    async fn initialized(&self, _: InitializedParams) {
        self.send(Event::Initialized);
    }

    async fn shutdown(&self) -> Result<()> {
        answered(self.ask(Event::Shutdown)).await
    }

    async fn did_open(&self, params: DidOpenTextDocumentParams) {
        let document = params.text_document;
        if let Some(file) = File::at(document.uri) {
            self.send(Event::Opened {
                file,
                version: document.version,
                text: document.text,
            });
        }
    }

    async fn did_change(&self, params: DidChangeTextDocumentParams) {
        let document = params.text_document;
        if let Some(file) = File::at(document.uri) {
            self.send(Event::Changed {
                file,
                version: document.version,
                changes: params.content_changes,
            });
        }
    }

    async fn did_save(&self, params: DidSaveTextDocumentParams) {
        if let Some(file) = File::at(params.text_document.uri) {
            self.send(Event::Saved(file));
        }
    }

    async fn did_close(&self, params: DidCloseTextDocumentParams) {
        if let Some(file) = File::at(params.text_document.uri) {
            self.send(Event::Closed(file));
        }
    }

    async fn did_change_watched_files(&self, params: DidChangeWatchedFilesParams) {
        let files = params.changes.into_iter().filter_map(|it| File::at(it.uri));
        self.send(Event::DiskChanged(files.map(|file| file.path).collect()));
    }

    async fn did_change_configuration(&self, params: DidChangeConfigurationParams) {
        self.send(Event::SettingsChanged(params.settings));
    }

    async fn code_lens(&self, params: CodeLensParams) -> Result<Option<Vec<CodeLens>>> {
        let Some(file) = File::at(params.text_document.uri) else {
            return Ok(None);
        };
        answered(self.ask(|reply| Event::CodeLenses(file, reply)))
            .await
            .map(Some)
    }

    async fn code_action(&self, params: CodeActionParams) -> Result<Option<CodeActionResponse>> {
        self.code_actions(params).await
    }

    async fn inlay_hint(&self, params: InlayHintParams) -> Result<Option<Vec<InlayHint>>> {
        let Some(file) = File::at(params.text_document.uri) else {
            return Ok(None);
        };
        answered(self.ask(|reply| Event::InlayHints(file, params.range, reply)))
            .await
            .map(Some)
    }

    async fn diagnostic(
        &self,
        params: DocumentDiagnosticParams,
    ) -> Result<DocumentDiagnosticReportResult> {
        let previous = params.previous_result_id;
        let report = match File::at(params.text_document.uri) {
            None => report::full(Vec::new()),
            Some(file) => {
                answered(self.ask(|reply| Event::Diagnostics(file, previous, reply))).await?
            }
        };
        Ok(report.into())
    }

    async fn hover(&self, params: HoverParams) -> Result<Option<Hover>> {
        let place = params.text_document_position_params;
        let Some(file) = File::at(place.text_document.uri) else {
            return Ok(None);
        };
        answered(self.ask(|reply| Event::Hovered(file, place.position, reply))).await
    }

    async fn execute_command(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        if params.command == SET_TASK {
            return self.run_set_task(params.arguments.into_iter().next()).await;
        }
        if params.command == WORKSPACE_SCORE {
            let argument = params.arguments.into_iter().next();
            return self.run_workspace_score(argument).await;
        }
        if params.command == CHANGES {
            return self.run_changes(params.arguments.into_iter().next()).await;
        }
        if CANDIDATES.contains(&params.command.as_str()) {
            let argument = params.arguments.into_iter().next();
            let answer = self.run_candidates(&params.command, argument).await?;
            return Ok(Some(answer));
        }
        if params.command != SHOW_FILE {
            return self.obey(&params).await;
        }
        let file = params
            .arguments
            .first()
            .and_then(Value::as_str)
            .and_then(|uri| Url::parse(uri).ok())
            .and_then(File::at);
        let Some(file) = file else {
            let problem = format!("`{SHOW_FILE}` takes the URI of a file");
            return Err(Error::invalid_params(problem));
        };
        answered(self.ask(|reply| Event::ShowFile(file, reply))).await?;
        Ok(None)
    }
}
