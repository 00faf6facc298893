//! What is behind the score of the hunk under the cursor.

use super::super::document::{Document, Scoring, Standing};
use super::super::text::{Encoding, GitLines, offset_of, position_of};
use super::runs::changed_runs;
use crate::scoring::Judge;
use tower_lsp::lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind, Position, Range};

/// The hover at `position`, if that is on a changed line of a scored document.
pub(in crate::server) fn hover(
    document: &Document,
    judge: &Judge,
    position: Position,
    encoding: Encoding,
    markdown: bool,
) -> Option<Hover> {
    let Standing::Changed(changed) = &document.standing else {
        return None;
    };
    let Scoring::Done(verdict) = &changed.score else {
        return None;
    };
    if !document.is_current() {
        return None;
    }
    let verdict = judge.judge_again(verdict, document.config.prior);
    let lines = GitLines(&document.text);
    let line_count = lines.count();
    let line = lines.at(offset_of(&document.text, position, encoding));
    let mut hunks = changed.change.hunks.iter().zip(&verdict.hunks);
    let (run, score) = hunks.find_map(|(hunk, score)| {
        let runs = changed_runs(hunk, line_count);
        let run = runs
            .into_iter()
            .find(|(first, last)| (*first..=*last).contains(&line))?;
        Some((run, score))
    })?;
    let bold = if markdown { "**" } else { "" };
    let origin = if verdict.cached {
        "remembered"
    } else {
        "just computed"
    };
    let truncated = if verdict.truncated {
        "\n\nThe model could not read all of the change."
    } else {
        ""
    };
    let value = format!(
        "{bold}{} likely correct{bold} (this hunk), {} (all of this file's changes)\n\n\
         {} · calibration {} · {} tokens · {origin}{truncated}",
        score.probability,
        verdict.patch.probability,
        verdict.model,
        verdict.calibration,
        verdict.tokens,
    );
    let kind = if markdown {
        MarkupKind::Markdown
    } else {
        MarkupKind::PlainText
    };
    let bytes = lines.bytes(run.0, run.1);
    Some(Hover {
        contents: HoverContents::Markup(MarkupContent { kind, value }),
        range: Some(Range {
            start: position_of(&document.text, bytes.start, encoding),
            end: position_of(&document.text, bytes.end, encoding),
        }),
    })
}
