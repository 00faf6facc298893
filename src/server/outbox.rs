//! What goes to the client: notifications in order, requests that nothing waits for.
//!
//! Invariant: no method blocks or awaits, whatever the client does or fails to do.

use super::event::{Event, Shown};
use super::survey::ChangesChanged;
use super::workspace::WorkspaceScore;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;
use tower_lsp::Client;
use tower_lsp::jsonrpc;
use tower_lsp::lsp_types::notification::{Notification, Progress};
use tower_lsp::lsp_types::request::WorkDoneProgressCreate;
use tower_lsp::lsp_types::{
    ConfigurationItem, Diagnostic, DidChangeWatchedFilesRegistrationOptions, FileSystemWatcher,
    GlobPattern, MessageType, ProgressParams, ProgressToken, Registration, Url,
    WorkDoneProgressCreateParams, WorkspaceEdit,
};

/// Time after which an answer of the client is no longer waited for.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for an edit, which may make the editor ask its user.
const EDIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The section of the client's settings that holds ours.
pub(super) const SECTION: &str = "diffidence";

/// `diffidence/status`: what the server is doing, for status bars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What kind of work.
    pub state: StatusKind,
    /// One line for people; empty if there is nothing to add.
    pub message: String,
}

/// The state of a [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusKind {
    /// The model is being read.
    Loading,
    /// Something is being scored.
    Scoring,
    /// All is done.
    Idle,
    /// Nothing new can be scored.
    Degraded,
    /// The settings say to score nothing.
    Off,
}

impl Notification for Status {
    type Params = Self;
    const METHOD: &'static str = "diffidence/status";
}

enum Message {
    Diagnostics(Url, i32, Vec<Diagnostic>),
    Status(Status),
    Log(MessageType, String),
    Show(MessageType, String),
    Progress(ProgressParams),
    Workspace(WorkspaceScore),
    Changes(ChangesChanged),
}

impl Status {
    /// Nothing to do.
    pub(super) fn idle() -> Self {
        Self {
            state: StatusKind::Idle,
            message: String::new(),
        }
    }
}

/// Handle for talking to the client.
pub(super) struct Outbox {
    client: Client,
    events: mpsc::UnboundedSender<Event>,
    messages: mpsc::UnboundedSender<Message>,
}

impl Outbox {
    /// Starts the task that writes notifications in order: a client that reads slowly holds up
    /// this task and nothing else.
    pub(super) fn new(client: Client, events: mpsc::UnboundedSender<Event>) -> Self {
        let (messages, mut queue) = mpsc::unbounded_channel();
        let writer = client.clone();
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                match message {
                    Message::Diagnostics(uri, version, diagnostics) => {
                        writer
                            .publish_diagnostics(uri, diagnostics, Some(version))
                            .await;
                    }
                    Message::Status(status) => writer.send_notification::<Status>(status).await,
                    Message::Log(kind, text) => writer.log_message(kind, text).await,
                    Message::Progress(params) => {
                        writer.send_notification::<Progress>(params).await;
                    }
                    Message::Workspace(score) => {
                        writer.send_notification::<WorkspaceScore>(score).await;
                    }
                    Message::Changes(news) => {
                        writer.send_notification::<ChangesChanged>(news).await;
                    }
                    Message::Show(kind, text) => writer.show_message(kind, text).await,
                }
            }
        });
        Self {
            client,
            events,
            messages,
        }
    }

    fn send(&self, message: Message) {
        if self.messages.send(message).is_err() {
            tracing::debug!("nobody is left to tell");
        }
    }

    pub(super) fn publish(&self, uri: Url, version: i32, diagnostics: Vec<Diagnostic>) {
        self.send(Message::Diagnostics(uri, version, diagnostics));
    }

    pub(super) fn status(&self, status: Status) {
        self.send(Message::Status(status));
    }

    /// For the client's log.
    pub(super) fn log(&self, kind: MessageType, text: String) {
        self.send(Message::Log(kind, text));
    }

    /// For the user's eyes.
    pub(super) fn show(&self, kind: MessageType, text: String) {
        self.send(Message::Show(kind, text));
    }

    /// Tells the client to ask for something again; [`Event::RefreshDone`] follows.
    pub(super) fn refresh(&self, what: Shown) {
        let client = self.client.clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            let answer = patiently(async move {
                match what {
                    Shown::Lenses => client.code_lens_refresh().await,
                    Shown::Hints => client.inlay_hint_refresh().await,
                    Shown::Diagnostics => client.workspace_diagnostic_refresh().await,
                }
            });
            if answer.await.is_none() {
                tracing::warn!(?what, "the client did not answer a refresh");
            }
            drop(events.send(Event::RefreshDone(what)));
        });
    }

    /// `diffidence/workspaceScore`.
    pub(super) fn workspace_score(&self, score: WorkspaceScore) {
        self.send(Message::Workspace(score));
    }

    /// `diffidence/changesChanged`.
    pub(super) fn changes_changed(&self, news: ChangesChanged) {
        self.send(Message::Changes(news));
    }

    /// For who waits until an edit is made, as the actor never does.
    pub(super) fn editor(&self) -> Editor {
        Editor(self.client.clone())
    }

    /// `$/progress`, under a token that the client agreed to.
    pub(super) fn progress(&self, params: ProgressParams) {
        self.send(Message::Progress(params));
    }

    /// Asks whether the client shows progress; [`Event::ProgressAnswered`] follows.
    pub(super) fn create_progress(&self, token: ProgressToken) {
        let client = self.client.clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            let params = WorkDoneProgressCreateParams {
                token: token.clone(),
            };
            let answer =
                patiently(
                    async move { client.send_request::<WorkDoneProgressCreate>(params).await },
                );
            let agreed = matches!(answer.await, Some(Ok(())));
            drop(events.send(Event::ProgressAnswered { token, agreed }));
        });
    }

    /// Asks for our section of the client's settings; [`Event::SettingsPulled`] follows.
    pub(super) fn pull_settings(&self) {
        let client = self.client.clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            let items = vec![ConfigurationItem {
                scope_uri: None,
                section: Some(SECTION.into()),
            }];
            let answer = patiently(async move { client.configuration(items).await }).await;
            let settings = match answer {
                Some(Ok(values)) => Some(values.into_iter().next().unwrap_or(Value::Null)),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the client gave no settings");
                    None
                }
                None => {
                    tracing::warn!("the client did not answer about settings");
                    None
                }
            };
            drop(events.send(Event::SettingsPulled(settings)));
        });
    }

    /// Registers for what only dynamic registration gives.
    pub(super) fn register(&self, settings: bool, files: bool) {
        let mut registrations = Vec::new();
        if settings {
            registrations.push(Registration {
                id: "settings".into(),
                method: "workspace/didChangeConfiguration".into(),
                register_options: Some(serde_json::json!({ "section": SECTION })),
            });
        }
        if files {
            let options = DidChangeWatchedFilesRegistrationOptions {
                watchers: vec![
                    watch("**/diffidence.toml"),
                    watch("**/.gitattributes"),
                    watch("**/.git/{HEAD,index}"),
                ],
            };
            registrations.push(Registration {
                id: "files".into(),
                method: "workspace/didChangeWatchedFiles".into(),
                register_options: serde_json::to_value(options).ok(),
            });
        }
        if registrations.is_empty() {
            return;
        }
        self.register_all(registrations);
    }

    /// Asks to be told of every file that changes, if the client does that.
    pub(super) fn watch_files(&self, is_able: bool) {
        if !is_able {
            return;
        }
        let options = DidChangeWatchedFilesRegistrationOptions {
            watchers: vec![watch("**/*")],
        };
        self.register_all(vec![Registration {
            id: "all-files".into(),
            method: "workspace/didChangeWatchedFiles".into(),
            register_options: serde_json::to_value(options).ok(),
        }]);
    }

    fn register_all(&self, registrations: Vec<Registration>) {
        let client = self.client.clone();
        tokio::spawn(async move {
            let registered =
                patiently(async move { client.register_capability(registrations).await }).await;
            if !matches!(registered, Some(Ok(()))) {
                tracing::warn!(?registered, "the client did not register notifications");
            }
        });
    }
}

/// Lets the client edit files.
pub(super) struct Editor(Client);

impl Editor {
    /// `workspace/applyEdit`. Returns why the edit was not made.
    pub(super) async fn apply(self, edit: WorkspaceEdit) -> Result<(), String> {
        let request = async move { self.0.apply_edit(edit).await };
        match within(EDIT_TIMEOUT, request).await {
            Some(Ok(answer)) if answer.applied => Ok(()),
            Some(Ok(answer)) => {
                let reason = answer.failure_reason;
                let reason = reason.unwrap_or_else(|| "it does not say why".into());
                Err(format!("the editor did not make the edit: {reason}"))
            }
            Some(Err(error)) => Err(format!("the editor did not make the edit: {error}")),
            None => Err("the editor did not say whether it made the edit".into()),
        }
    }
}

fn watch(glob: &str) -> FileSystemWatcher {
    FileSystemWatcher {
        glob_pattern: GlobPattern::String(glob.into()),
        kind: None,
    }
}

/// The client's answer, or `None` if it takes too long. The request itself is then left waiting
/// rather than dropped, because tower-lsp 0.20 panics on an answer whose receiver is gone
/// (`service/client/pending.rs`), and that would end the server.
async fn patiently<T: Send + 'static>(
    request: impl Future<Output = jsonrpc::Result<T>> + Send + 'static,
) -> Option<jsonrpc::Result<T>> {
    within(CLIENT_TIMEOUT, request).await
}

async fn within<T: Send + 'static>(
    limit: Duration,
    request: impl Future<Output = jsonrpc::Result<T>> + Send + 'static,
) -> Option<jsonrpc::Result<T>> {
    let answer = tokio::spawn(request);
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(result)) => Some(result),
        Ok(Err(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_still_finds_its_receiver() {
        let (answer, answered) = oneshot::channel();
        let result = patiently(async move { Ok(answered.await) }).await;
        assert!(result.is_none());
        assert_eq!(answer.send(1), Ok(()));
    }
}
