//! Everything that can happen to the server, as the state actor sees it.
//!
//! Invariant: the enum is closed. A handler or a job can do nothing to the state but send one of
//! these, so whatever the state does can be read in one place, in the order in which it happened.

use super::actions::{ActionRequest, Done, Order};
use super::compare::{AnswerReply, Ask};
use super::look::Look;
use super::survey::{AskChanges, ChangesReply, Listing};
use super::tasks::{Place, SetTask, TaskSet};
use super::workspace::{self, ScoreReply};
use crate::change::RepositoryPlaces;
use crate::scoring::{EngineState, ScoreError, Verdict};
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;
use tower_lsp::lsp_types::{
    CodeActionOrCommand, CodeLens, DocumentDiagnosticReport, Hover, InitializeParams,
    InitializeResult, InlayHint, Position, ProgressToken, Range, TextDocumentContentChangeEvent,
    Url,
};

/// Where the answer to a request goes. The handler waits for it; the actor never waits.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// One thing that happened.
pub(super) enum Event {
    /// `initialize`.
    Initialize(Box<InitializeParams>, Reply<InitializeResult>),
    /// `initialized`: from now on messages reach the client.
    Initialized,
    /// `shutdown`.
    Shutdown(Reply<()>),
    /// The connection is over; the actor ends.
    Stop,

    /// `textDocument/didOpen`.
    Opened {
        file: File,
        version: i32,
        text: String,
    },
    /// `textDocument/didChange`.
    Changed {
        file: File,
        version: i32,
        changes: Vec<TextDocumentContentChangeEvent>,
    },
    /// `textDocument/didSave`. What was saved is on disk, and the base may have moved meanwhile.
    Saved(File),
    /// `textDocument/didClose`.
    Closed(File),
    /// `workspace/didChangeWatchedFiles`: these files, or their bases, may differ on disk.
    DiskChanged(Vec<PathBuf>),
    /// The repository with this work tree changed: its HEAD, refs, index or settings.
    RepositoryChanged(PathBuf),
    /// `workspace/didChangeConfiguration`, with the settings if the client pushes them.
    SettingsChanged(Value),
    /// The settings that the client was asked for; `None` if it did not give any.
    SettingsPulled(Option<Value>),

    /// `textDocument/codeLens`.
    CodeLenses(File, Reply<Vec<CodeLens>>),
    /// `textDocument/inlayHint`.
    InlayHints(File, Range, Reply<Vec<InlayHint>>),
    /// `textDocument/diagnostic`, with the id of the report that the client has.
    Diagnostics(File, Option<String>, Reply<DocumentDiagnosticReport>),
    /// `textDocument/hover`.
    Hovered(File, Position, Reply<Option<Hover>>),
    /// The command behind the code lens.
    ShowFile(File, Reply<()>),
    /// `textDocument/codeAction`.
    CodeActions(File, Box<ActionRequest>, Reply<Vec<CodeActionOrCommand>>),
    /// A command of a code action.
    Ordered(Order, Reply<Result<Value, String>>),
    /// What the user said about a change is written, or could not be.
    Reviewed(Done),
    /// `diffidence/text`.
    Text(File, Reply<Option<DocumentText>>),

    /// `diffidence/setTask`, and the command of that name.
    SetTask(SetTask, Reply<Result<TaskSet, String>>),
    /// The repository that a description is for was looked for.
    TaskPlaced {
        given: Generation,
        task: Option<Arc<str>>,
        root: Result<PathBuf, String>,
        reply: Reply<Result<TaskSet, String>>,
    },

    /// The command `diffidence.workspaceScore`.
    ScoreWorkspace(Place, ScoreReply),
    /// The repository that is to be scored as a whole was looked for.
    WorkspacePlaced {
        root: Result<PathBuf, String>,
        reply: ScoreReply,
    },
    /// A look at a repository as a whole is done.
    WorkspaceLooked {
        root: PathBuf,
        job: Generation,
        sight: Result<workspace::Sight, String>,
    },
    /// The engine is done with a repository as a whole.
    WorkspaceScored {
        root: PathBuf,
        job: Generation,
        sight: Arc<workspace::Sight>,
        result: Result<Verdict, ScoreError>,
    },

    /// `diffidence/changes`, and the command of that name.
    AskChanges(AskChanges, ChangesReply),
    /// The repository whose changes are to be listed was looked for.
    ChangesPlaced {
        places: Result<RepositoryPlaces, String>,
        ask: AskChanges,
        reply: ChangesReply,
    },
    /// The changed files of a repository are listed.
    Listed {
        root: PathBuf,
        look: Generation,
        listing: Result<Listing, String>,
    },
    /// The engine is done with a file that is not open.
    ListedScored {
        root: PathBuf,
        job: Generation,
        result: Result<Verdict, ScoreError>,
    },

    /// A request about candidate patches, and the command of that name.
    AskCandidates(Ask, AnswerReply),

    /// The client answered whether it shows progress under a token, or took too long.
    ProgressAnswered { token: ProgressToken, agreed: bool },
    /// `window/workDoneProgress/cancel`.
    ProgressCancelled(ProgressToken),

    /// A look at a document against its base is done.
    Looked { ticket: Ticket, look: Box<Look> },
    /// The engine is done with a change.
    Scored {
        path: PathBuf,
        job: Generation,
        result: Result<Verdict, ScoreError>,
    },
    /// The engine does something else now.
    Engine(EngineState),
    /// The client answered a refresh, or took too long.
    RefreshDone(Shown),
}

/// What a client shows of documents and can be told to ask for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Lenses,
    Hints,
    Diagnostics,
}

/// A document as the client names it and as the state is keyed. Made once, at the edge.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// The client's own spelling, used when talking back.
    pub(super) uri: Url,
    /// The decoded path.
    pub(super) path: PathBuf,
}

impl File {
    /// `None` for what is no file: `git:` and `fugitive:` show old states, and an `untitled:`
    /// document has no base.
    pub(super) fn at(uri: Url) -> Option<Self> {
        if uri.scheme() != "file" {
            return None;
        }
        let path = uri.to_file_path().ok()?;
        Some(Self { uri, path })
    }
}

/// Counts up over everything that happens, so that no two jobs or states of a text share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Generation(pub(super) u64);

/// What a look was started for: its result counts only while this is still the newest.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) path: PathBuf,
    /// State of the text that was looked at.
    pub(super) edition: Generation,
    /// This look.
    pub(super) look: Generation,
}

/// Answer of `diffidence/text`: what the server believes the document to be, for debugging.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DocumentText {
    pub(super) version: i32,
    pub(super) text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[track_caller]
    fn check(uri: &str, expected: Option<&str>) {
        let file = File::at(Url::parse(uri).unwrap());
        assert_eq!(
            file.map(|file| file.path),
            expected.map(|path| Path::new(path).into())
        );
    }

    #[test]
    fn spellings_of_one_file_meet_and_other_schemes_are_left_alone() {
        check("file:///a%20b/%C3%A9.rs", Some("/a b/é.rs"));
        check("file:///a b/é.rs", Some("/a b/é.rs"));
        check("file:///a/../b/100%25.rs", Some("/b/100%.rs"));
        check("git:/a/b.rs?%7B%7D", None);
        check("untitled:Untitled-1", None);
        check("fugitive:///a/.git//0/b.rs", None);
    }
}
