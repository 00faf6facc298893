//! Inlay hints: the score of each hunk, at the end of its first changed line.

use super::super::document::{Document, Scoring, Standing};
use super::super::text::{Encoding, GitLines, position_of};
use super::runs::changed_runs;
use crate::calibration::Probability;
use crate::scoring::Judge;
use tower_lsp::lsp_types::{InlayHint, InlayHintLabel, InlayHintTooltip, Position};

/// The hint of one hunk.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::server) struct Hint {
    pub(in crate::server) position: Position,
    probability: Probability,
    is_ignored: bool,
}

impl Hint {
    pub(in crate::server) fn to_lsp(&self) -> InlayHint {
        let probability = self.probability;
        let ignored = if self.is_ignored { " (ignored)" } else { "" };
        InlayHint {
            position: self.position,
            label: InlayHintLabel::String(format!("{probability}{ignored}")),
            kind: None,
            text_edits: None,
            tooltip: Some(InlayHintTooltip::String(format!(
                "This hunk is {probability} likely correct."
            ))),
            padding_left: Some(true),
            padding_right: None,
            data: None,
        }
    }
}

/// The hints of a document, from top to bottom; none while the text is newer than the score.
pub(in crate::server) fn hints(
    document: &Document,
    judge: &Judge,
    encoding: Encoding,
) -> Vec<Hint> {
    let Standing::Changed(changed) = &document.standing else {
        return Vec::new();
    };
    let Scoring::Done(verdict) = &changed.score else {
        return Vec::new();
    };
    if !(document.config.inlay_hints && document.is_current()) {
        return Vec::new();
    }
    let verdict = judge.judge_again(verdict, document.config.prior);
    let lines = GitLines(&document.text);
    let count = lines.count();
    let scored = changed.change.hunks.iter().zip(&verdict.hunks).enumerate();
    let hints = scored.filter_map(|(index, (hunk, opinion))| {
        let (first, _) = *changed_runs(hunk, count).first()?;
        let end = lines.bytes(first, first).end;
        Some(Hint {
            position: position_of(&document.text, end, encoding),
            probability: opinion.probability()?,
            is_ignored: document.reviewed.is_ignored(index),
        })
    });
    hints.collect()
}
