//! The files that `eval` can leave behind: predictions, the reliability diagram, the curve of
//! picks and that of risk over coverage.

use super::report::{Report, Views};
use super::{EvalError, Judgement, Unjudged};
use crate::calibration::diagram::{POINT_BINS, reliability_diagram};
use crate::calibration::metrics::Tally;
use crate::calibration::risk_diagram;
use crate::ranking::curve_diagram;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that is known to be writable.
pub(super) struct Output {
    path: PathBuf,
    file: BufWriter<File>,
}

pub(super) fn create(path: &Path) -> Result<Output, EvalError> {
    match File::create(path) {
        Ok(file) => Ok(Output {
            path: path.to_owned(),
            file: BufWriter::new(file),
        }),
        Err(source) => Err(EvalError::Write {
            path: path.to_owned(),
            source,
        }),
    }
}

impl Output {
    pub(super) fn write(
        &mut self,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), EvalError> {
        content(&mut self.file)
            .and_then(|()| self.file.flush())
            .map_err(|source| EvalError::Write {
                path: self.path.clone(),
                source,
            })
    }
}

/// One line for each labelled or failed record, in the order of the data; can be read again with
/// `--scores`.
pub(super) fn predictions(
    out: &mut dyn Write,
    judgement: &Judgement,
    views: &Views,
) -> io::Result<()> {
    let mut probabilities = views.primary().iter();
    for result in &judgement.results {
        let line = match result {
            Ok(judged) => json!({
                "id": judged.id,
                "probability": probabilities.next(),
                "logit": judged.scored.logit,
                "label": u8::from(judged.correct),
                "task": judged.task,
                "language": judged.language,
                "source": judged.source,
                "policy": judged.policy,
                "model": judgement.model,
            }),
            Err(Unjudged::Abstained(abstained)) => json!({
                "id": abstained.id,
                "probability": null,
                "abstained": {"code": abstained.code, "reason": abstained.reason},
                "label": u8::from(abstained.correct),
            }),
            // Lines without an id could not be joined to anything.
            Err(Unjudged::Failed(failure)) => json!({
                "id": failure.id,
                "error": {"code": failure.code, "message": failure.message},
            }),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The diagram of all records at the primary prior.
pub(super) fn plot(
    out: &mut dyn Write,
    report: &Report,
    judgement: &Judgement,
    views: &Views,
) -> io::Result<()> {
    let records: Vec<(f64, bool)> = views
        .primary()
        .iter()
        .zip(judgement.judged())
        .map(|(p, judged)| (p.get(), judged.correct))
        .collect();
    let model = report.model.as_deref().unwrap_or("scores");
    let title = format!("{model}: {}", views.primary_label());
    let caption = report.overall.measures.as_ref().and_then(|measures| {
        let calibrated = measures.calibration.get(views.primary_index())?;
        let (ece, floor) = (calibrated.errors.ece_10, calibrated.floor.ece_10);
        let interval = match ece.interval {
            Some((low, high)) => format!(" [{low:.3}, {high:.3}]"),
            None => String::new(),
        };
        let floor = floor.map_or(String::new(), |f| format!(", if calibrated {:.3}", f.mean));
        Some(format!(
            "n = {}, ECE ({POINT_BINS} bins) {:.3}{interval}{floor}",
            report.overall.n, ece.value?
        ))
    });
    let caption = caption.unwrap_or_else(|| format!("n = {}", report.overall.n));
    let svg = reliability_diagram(&Tally::new(&records), &title, &caption);
    out.write_all(svg.as_bytes())
}

/// The curve of picks among candidates.
pub(super) fn rm_curve(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Some(curve) = &report.rm_curve else {
        return Ok(());
    };
    let model = report.model.as_deref().unwrap_or("scores");
    let title = format!("{model}: the best of k candidates");
    out.write_all(curve_diagram(curve, &title).as_bytes())
}

/// The curve of risk over coverage, of all records at the primary prior.
pub(super) fn risk_coverage(out: &mut dyn Write, report: &Report, views: &Views) -> io::Result<()> {
    let model = report.model.as_deref().unwrap_or("scores");
    let title = format!("{model}: {}", views.primary_label());
    let n = report.records.judged;
    let svg = risk_diagram(&report.risk_coverage, n, &title);
    out.write_all(svg.as_bytes())
}
