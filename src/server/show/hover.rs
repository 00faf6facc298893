//! What is behind the score of the hunk under the cursor.

use super::super::document::{Document, Scoring, Standing};
use super::super::text::{Encoding, GitLines, offset_of, position_of};
use super::runs::changed_runs;
use super::suspects::suspects;
use crate::calibration::{Calibration, Probability};
use crate::change::Base;
use crate::scoring::{Judge, Opinion, Score};
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
    let mut hunks = changed.change.hunks.iter().zip(&verdict.hunks).enumerate();
    let (index, hunk, run, opinion) = hunks.find_map(|(index, (hunk, opinion))| {
        let runs = changed_runs(hunk, line_count);
        let run = runs
            .into_iter()
            .find(|(first, last)| (*first..=*last).contains(&line))?;
        Some((index, hunk, run, opinion))
    })?;
    let bold = if markdown { "**" } else { "" };
    let mut paragraphs = match opinion {
        Opinion::Score(score) => {
            let whole = verdict
                .patch
                .probability()
                .map_or_else(String::new, |whole| {
                    format!(", {whole} (all of this file's changes)")
                });
            let probability = score.probability;
            let mut paragraphs = vec![format!(
                "{bold}{probability} likely correct{bold} (this hunk){whole}"
            )];
            if probability < Probability::HALF || probability < document.config.min_score {
                paragraphs.extend(suspects(hunk, verdict.suspects_of(index), markdown));
            }
            paragraphs.extend(experience(judge.calibration(), *score));
            paragraphs
        }
        Opinion::Abstention(why) => vec![format!("{bold}Cannot judge{bold}: {why}")],
    };
    let origin = if verdict.cached {
        "remembered"
    } else {
        "just computed"
    };
    let calibration = if judge.calibration().fits_hunks() {
        format!("calibration {}", verdict.calibration)
    } else {
        "uncalibrated: the order may be good, the percentage is not".into()
    };
    // Bare, a name with an @ in it would be shown as an address to write to.
    let code = if markdown { "`" } else { "" };
    let read = match verdict.tokens {
        0 => String::new(),
        tokens => format!(" · {tokens} tokens"),
    };
    paragraphs.push(format!(
        "{code}{}{code} · {calibration}{read} · {origin} · against {}",
        verdict.model,
        Base::parse(&document.config.base),
    ));
    if verdict.truncated {
        paragraphs.push("The model could not read all of the change.".into());
    }
    if document.reviewed.is_ignored(index) {
        paragraphs.push("You ignore this hunk.".into());
    }
    let value = paragraphs.join("\n\n");
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

/// What became of hunks with such a score in the data that the calibration was fitted on. The bins
/// hold at that data's share of correct hunks, so a score at another prior is told at both.
fn experience(calibration: &Calibration, score: Score) -> Option<String> {
    let prior = calibration.hunk.reference_prior;
    let there = calibration.hunk.apply(score.logit, prior);
    let bin = calibration.hunk_bin(there)?;
    let scored = format!(
        "scored {:.0}-{:.0}%",
        bin.low.get() * 100.0,
        bin.high.get() * 100.0
    );
    let right = bin.share_right();
    let n = bin.n;
    Some(if there.to_string() == score.probability.to_string() {
        format!("Of the hunks {scored}, {right} were right on the dev data (n = {n}).")
    } else {
        format!(
            "Where {prior} of all hunks are right, as in the dev data, it scores {there}: of the \
             hunks {scored} there, {right} were right (n = {n})."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Logit;
    use expect_test::{Expect, expect};

    /// A logit of -1 is 27% at the reference prior of one half.
    fn check(bins: &str, prior: f64, expect: Expect) {
        let map = r#"{"slope":1,"intercept":0,"reference_prior":0.5}"#;
        let json = format!(
            r#"{{"schema":1,"id":"x","default_prior":0.5,"patch":{map},"hunk":{map},
                "notes":{{"hunk":{{"bins":{bins}}}}}}}"#
        );
        let calibration = Calibration::from_json(json.as_bytes()).unwrap();
        let logit = Logit::new(-1.0).unwrap();
        let prior = Probability::new(prior).unwrap();
        let probability = calibration.hunk.apply(logit, prior);
        let told = experience(&calibration, Score { probability, logit });
        expect.assert_eq(&told.unwrap_or_default());
    }

    #[test]
    fn what_became_of_such_scores_is_told_where_it_is_known() {
        let bins = r#"[{"low":0.2,"high":0.3,"n":120,"right":29}]"#;
        check(
            bins,
            0.5,
            expect!["Of the hunks scored 20-30%, 24% were right on the dev data (n = 120)."],
        );
        check(
            bins,
            0.8,
            expect![
                "Where 50% of all hunks are right, as in the dev data, it scores 27%: of the \
                 hunks scored 20-30% there, 24% were right (n = 120)."
            ],
        );
        check("[]", 0.5, expect![""]);
        check(
            r#"[{"low":0.3,"high":0.4,"n":9,"right":1}]"#,
            0.5,
            expect![""],
        );
    }
}
