//! What the client can do, flat, and what this server offers it.

use super::actions;
use super::backend::{CANDIDATES, CHANGES, SET_TASK, SHOW_FILE, WORKSPACE_SCORE};
use super::text::Encoding;
use tower_lsp::lsp_types::ResourceOperationKind::{Create, Delete, Rename};
use tower_lsp::lsp_types::{
    ClientCapabilities, CodeActionOptions, CodeActionProviderCapability, CodeLensOptions,
    DiagnosticOptions, DiagnosticServerCapabilities, ExecuteCommandOptions,
    HoverProviderCapability, InitializeResult, MarkupKind, OneOf, SaveOptions, ServerCapabilities,
    ServerInfo, TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions,
    TextDocumentSyncSaveOptions,
};

/// The client's capabilities as far as they matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) encoding: Encoding,
    pub(super) lens_refresh: bool,
    pub(super) hint_refresh: bool,
    /// Whether the client asks for diagnostics, and can be told to ask again. One that cannot be
    /// told would show old ones until the next edit, so for it they are published.
    pub(super) pull_diagnostics: bool,
    pub(super) pull_settings: bool,
    pub(super) register_settings: bool,
    pub(super) register_files: bool,
    pub(super) markdown_hover: bool,
    pub(super) related_information: bool,
    /// Whether code actions may carry an edit and diagnostics, or are bare commands.
    pub(super) action_literals: bool,
    /// Whether an edit may say which version of a document it is for.
    pub(super) versioned_edits: bool,
    pub(super) progress: bool,
    /// Whether a server may edit several files at once, and make and remove some.
    pub(super) applies_edits: bool,
}

impl Abilities {
    pub(super) fn of(client: &ClientCapabilities) -> Self {
        let workspace = client.workspace.as_ref();
        let document = client.text_document.as_ref();
        let flag = |value: Option<Option<bool>>| value.flatten().unwrap_or(false);
        let formats = document
            .and_then(|document| document.hover.as_ref())
            .and_then(|hover| hover.content_format.as_deref());
        Self {
            encoding: Encoding::negotiated(client),
            lens_refresh: flag(
                workspace
                    .and_then(|workspace| workspace.code_lens.as_ref())
                    .map(|lens| lens.refresh_support),
            ),
            hint_refresh: flag(
                workspace
                    .and_then(|workspace| workspace.inlay_hint.as_ref())
                    .map(|hints| hints.refresh_support),
            ),
            pull_diagnostics: document.is_some_and(|document| document.diagnostic.is_some())
                && flag(
                    workspace
                        .and_then(|workspace| workspace.diagnostic.as_ref())
                        .map(|diagnostics| diagnostics.refresh_support),
                ),
            pull_settings: flag(workspace.map(|workspace| workspace.configuration)),
            register_settings: flag(
                workspace
                    .and_then(|workspace| workspace.did_change_configuration.as_ref())
                    .map(|settings| settings.dynamic_registration),
            ),
            register_files: flag(
                workspace
                    .and_then(|workspace| workspace.did_change_watched_files.as_ref())
                    .map(|files| files.dynamic_registration),
            ),
            markdown_hover: formats.is_none_or(|formats| formats.contains(&MarkupKind::Markdown)),
            progress: flag(
                client
                    .window
                    .as_ref()
                    .map(|window| window.work_done_progress),
            ),
            related_information: flag(
                document
                    .and_then(|document| document.publish_diagnostics.as_ref())
                    .map(|diagnostics| diagnostics.related_information),
            ),
            action_literals: document
                .and_then(|document| document.code_action.as_ref())
                .is_some_and(|actions| actions.code_action_literal_support.is_some()),
            versioned_edits: flag(
                workspace
                    .and_then(|workspace| workspace.workspace_edit.as_ref())
                    .map(|edits| edits.document_changes),
            ),
            applies_edits: flag(workspace.map(|workspace| workspace.apply_edit))
                && workspace
                    .and_then(|workspace| workspace.workspace_edit.as_ref())
                    .and_then(|edits| edits.resource_operations.as_ref())
                    .is_some_and(|able| {
                        let needed = [Create, Rename, Delete];
                        needed.iter().all(|operation| able.contains(operation))
                    }),
        }
    }

    /// The answer to `initialize`.
    pub(super) fn offer(&self) -> InitializeResult {
        let sync = TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions {
                include_text: Some(false),
            })),
            ..TextDocumentSyncOptions::default()
        };
        InitializeResult {
            capabilities: ServerCapabilities {
                position_encoding: Some(self.encoding.kind()),
                text_document_sync: Some(TextDocumentSyncCapability::Options(sync)),
                code_lens_provider: Some(CodeLensOptions {
                    resolve_provider: Some(false),
                }),
                code_action_provider: Some(CodeActionProviderCapability::Options(
                    CodeActionOptions {
                        code_action_kinds: Some(actions::KINDS.map(Into::into).into()),
                        resolve_provider: Some(false),
                        ..CodeActionOptions::default()
                    },
                )),
                diagnostic_provider: self.pull_diagnostics.then(|| {
                    DiagnosticServerCapabilities::Options(DiagnosticOptions {
                        identifier: Some(env!("CARGO_PKG_NAME").into()),
                        ..DiagnosticOptions::default()
                    })
                }),
                inlay_hint_provider: Some(OneOf::Left(true)),
                hover_provider: Some(HoverProviderCapability::Simple(true)),
                execute_command_provider: Some(ExecuteCommandOptions {
                    commands: [SHOW_FILE, SET_TASK, WORKSPACE_SCORE, CHANGES]
                        .into_iter()
                        .chain(CANDIDATES)
                        .chain(actions::COMMANDS)
                        .map(Into::into)
                        .collect(),
                    ..ExecuteCommandOptions::default()
                }),
                ..ServerCapabilities::default()
            },
            server_info: Some(ServerInfo {
                name: env!("CARGO_PKG_NAME").into(),
                version: Some(env!("CARGO_PKG_VERSION").into()),
            }),
        }
    }
}
