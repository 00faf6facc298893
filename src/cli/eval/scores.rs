//! Scores made elsewhere, joined to the records by `id`.

use super::{Failure, ScoreError, Scored};
use crate::calibration::{Logit, Probability};
use crate::cli::records::{JsonLine, LineError, Record, take_id};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The content of a file of scores. An id written as a number and as a string is the same id.
pub(super) struct FileScores {
    by_id: HashMap<String, Result<Scored, ScoreError>>,
    /// The model that the first line names.
    pub(super) model: Option<String>,
    /// Lines that hold no score.
    pub(super) failures: Vec<Failure>,
}

impl FileScores {
    pub(super) fn read(lines: impl Iterator<Item = Result<JsonLine, LineError>>) -> Self {
        let mut scores = Self {
            by_id: HashMap::new(),
            model: None,
            failures: Vec::new(),
        };
        for line in lines {
            if let Err(error) = line.and_then(|line| scores.add(line)) {
                scores.failures.push(Failure {
                    message: format!("in the file of scores: {}", error.problem),
                    ..Failure::from(error)
                });
            }
        }
        scores
    }

    fn add(&mut self, line: JsonLine) -> Result<(), LineError> {
        let JsonLine { line, mut object } = line;
        let fail = |id, problem| LineError { line, id, problem };
        let id = take_id(&mut object).map_err(|problem| fail(None, problem))?;
        let scored = score(&object).map_err(|problem| fail(Some(id.clone()), problem))?;
        if self.model.is_none() {
            self.model = text(&object, "model");
        }
        if self.by_id.insert(id.to_string(), scored).is_some() {
            let problem = format!("a second score for `{id}`; the last one counts");
            return Err(fail(Some(id), problem));
        }
        Ok(())
    }

    pub(super) fn score(&mut self, record: &Record) -> Result<Scored, ScoreError> {
        let missing = || ScoreError::Failed {
            code: "missing-score".to_owned(),
            message: format!("the file of scores has none for `{}`", record.id),
        };
        let found = self.by_id.get(&record.id.to_string());
        found.cloned().unwrap_or_else(|| Err(missing()))
    }
}

/// A score, or the error that stands in its place; the outer error is a line that has neither.
fn score(object: &Map<String, Value>) -> Result<Result<Scored, ScoreError>, String> {
    if let Some(Value::Object(error)) = object.get("error") {
        return Ok(Err(ScoreError::Failed {
            code: text(error, "code").unwrap_or_else(|| "not-scored".to_owned()),
            message: text(error, "message").unwrap_or_else(|| "not scored".to_owned()),
        }));
    }
    if let Some(Value::Object(abstained)) = object.get("abstained") {
        return Ok(Err(ScoreError::Abstained {
            code: text(abstained, "code").unwrap_or_else(|| "not-stated".to_owned()),
            reason: text(abstained, "reason").unwrap_or_else(|| "not stated".to_owned()),
        }));
    }
    let probability = object.get("probability").and_then(Value::as_f64);
    let probability = probability
        .and_then(|p| Probability::new(p).ok())
        .ok_or("field `probability` must be a number from 0 to 1")?;
    let logit = match object.get("logit") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_f64()
                .and_then(|x| Logit::new(x).ok())
                .ok_or("field `logit` must be a finite number")?,
        ),
    };
    Ok(Ok(Scored { probability, logit }))
}

fn text(object: &Map<String, Value>, field: &str) -> Option<String> {
    Some(object.get(field)?.as_str()?.to_owned())
}
