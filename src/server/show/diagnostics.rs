//! Diagnostics: what the text shows by itself, and one for each hunk that scores below the threshold,
//! on changed lines only.

use super::super::document::{Document, Scoring, Standing};
use super::super::text::{Encoding, GitLines, position_of};
use super::runs::changed_runs;
use crate::scoring::{HELP, Judge};
use crate::syntax::{Flaw, Severity};
use tower_lsp::lsp_types::{
    CodeDescription, Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location,
    NumberOrString, Range, Url,
};

const SOURCE: &str = "diffidence";
const CODE: &str = "low-score";

/// Whether a diagnostic that the client sends back is one of these.
pub(in crate::server) fn is_low_score(diagnostic: &Diagnostic) -> bool {
    diagnostic.source.as_deref() == Some(SOURCE)
        && matches!(&diagnostic.code, Some(NumberOrString::String(code)) if code == CODE)
}

/// The diagnostics of a document whose standing is current. `None` while the score is computed:
/// what the client has is better than a flicker.
///
/// A diagnostic stands on the first run of changed lines of its hunk. The others are related
/// information, because a single range over all of them would cover unchanged lines.
pub(in crate::server) fn diagnostics(
    document: &Document,
    judge: &Judge,
    encoding: Encoding,
    related_information: bool,
) -> Option<Vec<Diagnostic>> {
    let Standing::Changed(changed) = &document.standing else {
        return Some(Vec::new());
    };
    let mut diagnostics = flaws(document, encoding);
    let verdict = match &changed.score {
        Scoring::Waiting(_) => return None,
        Scoring::Failed(_) | Scoring::Cancelled { .. } => return Some(diagnostics),
        Scoring::Done(verdict) => judge.judge_again(verdict, document.config.prior),
    };
    if !document.config.diagnostics {
        return Some(diagnostics);
    }
    let min_score = document.config.min_score;
    let lines = GitLines(&document.text);
    let line_count = lines.count();
    let range = |(first, last): (u32, u32)| {
        let bytes = lines.bytes(first, last);
        Range {
            start: position_of(&document.text, bytes.start, encoding),
            end: position_of(&document.text, bytes.end, encoding),
        }
    };
    let low = changed
        .change
        .hunks
        .iter()
        .zip(&verdict.hunks)
        .enumerate()
        .filter(|(index, _)| !document.reviewed.is_ignored(*index))
        .filter_map(|(_, (hunk, opinion))| Some((hunk, opinion.score()?)))
        .filter(|(_, score)| score.probability < min_score);
    diagnostics.extend(low.map(|(hunk, score)| {
        let mut ranges = changed_runs(hunk, line_count).into_iter().map(range);
        let probability = score.probability;
        let severity = if probability.get() < min_score.get() / 2.0 {
            DiagnosticSeverity::WARNING
        } else {
            DiagnosticSeverity::INFORMATION
        };
        Diagnostic {
            range: ranges.next().unwrap_or_default(),
            severity: Some(severity),
            code: Some(NumberOrString::String(CODE.into())),
            code_description: Url::parse(HELP).ok().map(|href| CodeDescription { href }),
            source: Some(SOURCE.into()),
            message: format!("{probability} likely correct: this hunk is worth a second look"),
            related_information: related_information
                .then(|| {
                    ranges
                        .map(|range| DiagnosticRelatedInformation {
                            location: Location::new(document.uri.clone(), range),
                            message: "also changed in this hunk".into(),
                        })
                        .collect::<Vec<_>>()
                })
                .filter(|others| !others.is_empty()),
            ..Diagnostic::default()
        }
    }));
    Some(diagnostics)
}

/// What the text shows by itself, each on the whole of its line but for the indentation.
fn flaws(document: &Document, encoding: Encoding) -> Vec<Diagnostic> {
    let lines = GitLines(&document.text);
    let diagnostic = |flaw: &Flaw| {
        let bytes = lines.bytes(flaw.line, flaw.line);
        let text = document.text.get(bytes.clone()).unwrap_or_default();
        let indent = text.len() - text.trim_start().len();
        let range = Range {
            start: position_of(&document.text, bytes.start + indent, encoding),
            end: position_of(&document.text, bytes.end, encoding),
        };
        Diagnostic {
            range,
            severity: Some(match flaw.severity {
                Severity::Error => DiagnosticSeverity::ERROR,
                Severity::Warning => DiagnosticSeverity::WARNING,
                Severity::Hint => DiagnosticSeverity::HINT,
            }),
            code: Some(NumberOrString::String(flaw.code.to_string())),
            source: Some(SOURCE.into()),
            message: flaw.message.clone(),
            ..Diagnostic::default()
        }
    };
    document.flaws.iter().map(diagnostic).collect()
}
