//! The one code lens of a changed file, on its first line so that it never moves.

use super::super::backend::SHOW_FILE;
use super::super::document::{Document, Scoring, Standing};
use crate::change::Base;
use crate::scoring::{Judge, Opinion, hunks_to_check};
use tower_lsp::lsp_types::{CodeLens, Command, Position, Range};

/// What the lens says; `None` if the document has nothing to say.
pub(in crate::server) fn title(document: &Document, judge: &Judge) -> Option<String> {
    let changed = match &document.standing {
        Standing::Unseen | Standing::Quiet => return None,
        Standing::Skipped(reason) => return Some(format!("not scored: {reason}")),
        Standing::Failed(reason) => return Some(format!("cannot score: {reason}")),
        Standing::Changed(changed) => changed,
    };
    Some(match &changed.score {
        Scoring::Waiting(_) => "scoring…".into(),
        Scoring::Cancelled { .. } => "not scored: cancelled".into(),
        Scoring::Failed(reason) => format!("cannot score: {reason}"),
        Scoring::Done(verdict) => {
            let verdict = judge.judge_again(verdict, document.config.prior);
            let probability = match &verdict.patch {
                Opinion::Score(score) => score.probability,
                Opinion::Abstention(why) => return Some(format!("cannot judge: {why}")),
            };
            let unsaved = if document.unsaved { " · unsaved" } else { "" };
            let min_score = document.config.min_score;
            let is_low = |(index, opinion): &(usize, &Opinion)| {
                opinion.is_below(min_score) && !document.reviewed.is_ignored(*index)
            };
            let low = verdict.hunks.iter().enumerate().filter(is_low).count();
            let base = match Base::parse(&document.config.base) {
                Base::Head => String::new(),
                base => format!(" · against {base}"),
            };
            let task = if changed.task.is_some() {
                " · with task"
            } else {
                ""
            };
            let uncalibrated = if judge.calibration().fits_patches() {
                ""
            } else {
                " · uncalibrated"
            };
            let to_check = hunks_to_check(low, verdict.hunks.len());
            let ignored = match document.reviewed.ignored_count() {
                0 => String::new(),
                n => format!(" · {n} ignored"),
            };
            format!(
                "{probability} likely correct{uncalibrated} · {to_check}{ignored}{base}{task}{unsaved}"
            )
        }
    })
}

/// The lens with the given title. The command is optional for clients: the server runs it too.
pub(in crate::server) fn lens(document: &Document, title: &str) -> CodeLens {
    CodeLens {
        range: Range::new(Position::new(0, 0), Position::new(0, 0)),
        command: Some(Command {
            title: title.into(),
            command: SHOW_FILE.into(),
            arguments: Some(vec![document.uri.as_str().into()]),
        }),
        data: None,
    }
}

/// One line about a document, for whoever clicks on its lens.
pub(in crate::server) fn summary(document: &Document, judge: &Judge) -> String {
    let name = document
        .uri
        .to_file_path()
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| document.uri.to_string());
    match title(document, judge) {
        Some(title) => format!("{name}: {title}"),
        None => format!("{name}: no changes to score"),
    }
}
