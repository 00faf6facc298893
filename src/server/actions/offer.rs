//! Which code actions a place in a document has.

use super::super::abilities::Abilities;
use super::super::document::{Changed, Document, Scoring, Standing};
use super::super::show::{is_low_score, touched_hunk};
use super::order::What;
use super::revert;
use crate::change::FileStatus;
use crate::review::{HunkId, Label};
use crate::scoring::Judge;
use std::collections::HashMap;
use tower_lsp::lsp_types::{
    CodeAction, CodeActionContext, CodeActionKind, CodeActionOrCommand, Diagnostic,
    DocumentChanges, OneOf, OptionalVersionedTextDocumentIdentifier, Range, TextDocumentEdit,
    WorkspaceEdit,
};

const QUICK_FIX: &str = "quickfix";
const OWN: &str = "diffidence";

/// The kinds of actions that are offered, those below them included.
pub(in crate::server) const KINDS: [&str; 2] = [QUICK_FIX, OWN];

/// `textDocument/codeAction`.
pub(in crate::server) struct ActionRequest {
    pub(in crate::server) range: Range,
    pub(in crate::server) context: CodeActionContext,
}

enum Deed {
    Order(What),
    Edit(WorkspaceEdit),
}

/// The actions for the first hunk that the range touches, and for its file. Nothing while the
/// hunks are those of an older text.
pub(in crate::server) fn offered(
    document: &Document,
    request: &ActionRequest,
    judge: &Judge,
    abilities: &Abilities,
) -> Vec<CodeActionOrCommand> {
    let Standing::Changed(changed) = &document.standing else {
        return Vec::new();
    };
    if !document.is_current() {
        return Vec::new();
    }
    let touched = touched_hunk(document, changed, request.range, abilities.encoding);
    let Some(index) = touched else {
        return Vec::new();
    };
    let is_low = is_low(document, changed, index, judge);
    let mut actions = Vec::new();
    for (title, kind, deed) in deeds(document, changed, index, abilities) {
        let fixes = is_low && matches!(kind, "diffidence.ignore" | "diffidence.revert");
        let kind = if fixes { QUICK_FIX } else { kind };
        if !is_wanted(kind, request.context.only.as_deref()) {
            continue;
        }
        let (command, edit) = match deed {
            Deed::Order(what) => (Some(what.command(title, &document.uri)), None),
            Deed::Edit(edit) => (None, Some(edit)),
        };
        if !abilities.action_literals {
            actions.extend(command.map(CodeActionOrCommand::Command));
            continue;
        }
        actions.push(CodeActionOrCommand::CodeAction(CodeAction {
            title: title.into(),
            kind: Some(CodeActionKind::from(kind)),
            diagnostics: fixes
                .then(|| own_diagnostics(&request.context.diagnostics))
                .filter(|diagnostics| !diagnostics.is_empty()),
            edit,
            command,
            ..CodeAction::default()
        }));
    }
    actions
}

fn deeds(
    document: &Document,
    changed: &Changed,
    index: usize,
    abilities: &Abilities,
) -> Vec<(&'static str, &'static str, Deed)> {
    let Some(hunk) = changed.change.hunks.get(index) else {
        return Vec::new();
    };
    let id = HunkId::of(&changed.change, hunk);
    let mut deeds = Vec::new();
    let order = |title, kind, what| (title, kind, Deed::Order(what));
    deeds.push(if document.reviewed.is_ignored(index) {
        let what = What::StopIgnoring(id.clone());
        order("Stop ignoring this hunk", "diffidence.ignore", what)
    } else {
        let what = What::Ignore(id.clone());
        order("Ignore this hunk", "diffidence.ignore", what)
    });
    // There is no base to go back to in a new file: to revert it is to delete it.
    if changed.change.status != FileStatus::Added {
        let base_ends_open = document.reviewed.base_ends_open;
        let edits = revert::edits(&document.text, hunk, base_ends_open, abilities.encoding);
        let edit = workspace_edit(document, edits, abilities.versioned_edits);
        deeds.push(("Revert hunk to base", "diffidence.revert", Deed::Edit(edit)));
    }
    // What has no score cannot be calibrated by a mark.
    if matches!(&changed.score, Scoring::Done(verdict) if verdict.patch.score().is_some()) {
        let hunk = Some(id);
        let (correct, wrong) = (Label::Correct, Label::Wrong);
        for (title, label, hunk) in [
            ("Mark hunk as correct", correct, hunk.clone()),
            ("Mark hunk as wrong", wrong, hunk),
            ("Mark file as correct", correct, None),
            ("Mark file as wrong", wrong, None),
        ] {
            deeds.push(order(title, "diffidence.mark", What::Mark { label, hunk }));
        }
    }
    if !matches!(changed.score, Scoring::Waiting(_)) {
        deeds.push(order(
            "Rescore this file",
            "diffidence.rescore",
            What::Rescore,
        ));
    }
    deeds.push(order(
        "Show diff against base",
        "diffidence.diff",
        What::ShowDiff,
    ));
    deeds
}

fn is_low(document: &Document, changed: &Changed, index: usize, judge: &Judge) -> bool {
    let Scoring::Done(verdict) = &changed.score else {
        return false;
    };
    let verdict = judge.judge_again(verdict, document.config.prior);
    verdict.hunks.get(index).is_some_and(|opinion| {
        opinion.is_below(document.config.min_score) && !document.reviewed.is_ignored(index)
    })
}

/// Kinds form a tree by their dots.
fn is_wanted(kind: &str, only: Option<&[CodeActionKind]>) -> bool {
    only.is_none_or(|only| {
        only.iter().any(|wanted| {
            let rest = kind.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| {
                wanted.as_str().is_empty() || rest.is_empty() || rest.starts_with('.')
            })
        })
    })
}

fn own_diagnostics(all: &[Diagnostic]) -> Vec<Diagnostic> {
    all.iter()
        .filter(|diagnostic| is_low_score(diagnostic))
        .cloned()
        .collect()
}

fn workspace_edit(
    document: &Document,
    edits: Vec<tower_lsp::lsp_types::TextEdit>,
    versioned: bool,
) -> WorkspaceEdit {
    let uri = document.uri.clone();
    if !versioned {
        return WorkspaceEdit::new(HashMap::from([(uri, edits)]));
    }
    let version = Some(document.version);
    WorkspaceEdit {
        document_changes: Some(DocumentChanges::Edits(vec![TextDocumentEdit {
            text_document: OptionalVersionedTextDocumentIdentifier { uri, version },
            edits: edits.into_iter().map(OneOf::Left).collect(),
        }])),
        ..WorkspaceEdit::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_a_tree() {
        let check = |kind: &str, only: Option<&'static str>, expected: bool| {
            let only = only.map(|only| vec![CodeActionKind::from(only)]);
            assert_eq!(
                is_wanted(kind, only.as_deref()),
                expected,
                "{kind} {only:?}"
            );
        };
        check("diffidence.mark", None, true);
        check("diffidence.mark", Some(""), true);
        check("diffidence.mark", Some("diffidence"), true);
        check("diffidence.mark", Some("diffidence.mark"), true);
        check("diffidence.mark", Some("diff"), false);
        check("diffidence.mark", Some("quickfix"), false);
        check("quickfix", Some("quickfix"), true);
        check("quickfix", Some("quickfix.other"), false);
    }
}
