//! `diffidence score`: JSON lines in, JSON lines out, in the same order and as they come.
//!
//! Invariant: every line that is not blank gets exactly one answer; a line that cannot be judged
//! gets an error object, never a score.

use super::model::{ModelArgs, engine};
use super::records::{Record, RecordError, read_records};
use super::Status;
use crate::calibration::{Logit, Probability};
use crate::change::Patch;
use crate::config::Config;
use crate::scoring::{Engine, ScoreError, ScoreRequest, Slot, Verdict};
use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct ScoreArgs {
    /// JSON lines, plain or compressed with zstd; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    input: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    #[serde(flatten)]
    result: AnswerResult,
    #[serde(skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnswerResult {
    Scored(Box<Scored>),
    Failed { error: Failure },
}

#[derive(Serialize)]
struct Scored {
    probability: Probability,
    logit: Logit,
    hunks: Vec<HunkScore>,
    model: String,
    calibration: String,
    tokens: usize,
    truncated: bool,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct HunkScore {
    file: String,
    old_start: u32,
    old_lines: u32,
    new_start: u32,
    new_lines: u32,
    probability: Probability,
    logit: Logit,
}

#[derive(Serialize)]
struct Skipped {
    file: String,
    reason: &'static str,
}

#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

pub(super) fn run(args: &ScoreArgs, out: &mut dyn Write) -> Result<Status> {
    let engine = engine(&args.model, &Config::default())?;
    let mut status = Status::Fine;
    for record in read_records(&args.input)? {
        let answer = answer(record, &engine);
        if matches!(answer.result, AnswerResult::Failed { .. }) {
            status = Status::Failed;
        }
        serde_json::to_writer(&mut *out, &answer)?;
        writeln!(out)?;
        // Whoever waits for the answer before sending the next line must get it.
        out.flush()?;
    }
    Ok(status)
}

fn answer(record: Result<Record, RecordError>, engine: &Engine) -> Answer {
    match record {
        Ok(record) => {
            let result = match judge(&record, engine) {
                Ok(scored) => AnswerResult::Scored(Box::new(scored)),
                Err(error) => AnswerResult::Failed { error },
            };
            Answer {
                id: record.id,
                result,
                meta: record.meta,
            }
        }
        Err(error) => Answer {
            id: error.id.clone().unwrap_or(Value::Null),
            result: AnswerResult::Failed {
                error: Failure {
                    code: "bad-record",
                    message: error.to_string(),
                },
            },
            meta: Map::new(),
        },
    }
}

fn judge(record: &Record, engine: &Engine) -> Result<Scored, Failure> {
    let mut patch = Patch::from_unified(record.patch.as_bytes()).map_err(|error| Failure {
        code: "bad-patch",
        message: error.to_string(),
    })?;
    let (files, without): (Vec<_>, Vec<_>) = patch
        .files
        .into_iter()
        .partition(|file| !file.hunks.is_empty());
    let skipped = without.iter().map(|file| Skipped {
        file: file.path().to_owned(),
        reason: "no changed lines of text",
    });
    let skipped = skipped.collect();
    patch = Patch { files };
    if patch.files.is_empty() {
        return Err(Failure {
            code: "nothing-to-score",
            message: "the patch changes no lines of text".into(),
        });
    }
    let request = ScoreRequest {
        patch,
        task: record.problem.clone(),
    };
    let slot = Slot(record.id.to_string());
    let verdict = engine.score(slot, request.clone()).map_err(failure)?;
    Ok(scored(&request.patch, &verdict, skipped))
}

fn failure(error: ScoreError) -> Failure {
    Failure {
        code: match error {
            ScoreError::Model(_) => "model",
            ScoreError::Cancelled | ScoreError::Stopped => "cancelled",
        },
        message: error.to_string(),
    }
}

fn scored(patch: &Patch, verdict: &Verdict, skipped: Vec<Skipped>) -> Scored {
    let hunks = patch.hunks().zip(&verdict.hunks);
    let hunks = hunks.map(|((file, hunk), score)| HunkScore {
        file: file.path().to_owned(),
        old_start: hunk.old.start,
        old_lines: hunk.old.lines,
        new_start: hunk.new.start,
        new_lines: hunk.new.lines,
        probability: score.probability,
        logit: score.logit,
    });
    Scored {
        probability: verdict.patch.probability,
        logit: verdict.patch.logit,
        hunks: hunks.collect(),
        model: verdict.model.clone(),
        calibration: verdict.calibration.clone(),
        tokens: verdict.tokens,
        truncated: verdict.truncated,
        skipped,
    }
}
