//! `diffidence score`: JSON lines in, JSON lines out, in the same order and as they come.
//!
//! Invariant: every line that is not blank gets exactly one answer; a line that cannot be scored
//! gets an error object, never a score. Programs that read this stream count on a number for each
//! patch, so what the model cannot judge has none only where that is asked for.

use super::Status;
use super::model::{ModelArgs, PriorArg, engine};
use super::records::{self, LineError, Record, RecordId};
use crate::config::Config;
use crate::scoring::{Engine, Prepared, ScoreError, Scored, Slot, Verdict};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct ScoreArgs {
    /// JSON lines, plain or compressed with zstd; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Answer `null` and the reason, in place of a number, for what the model cannot judge
    #[arg(long, conflicts_with = "no_abstain")]
    abstain: bool,
    #[command(flatten)]
    prior: PriorArg,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Serialize)]
struct Answer {
    id: Option<RecordId>,
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

pub(super) fn run(args: &ScoreArgs, out: &mut dyn Write) -> Result<Status> {
    let config = Config {
        prior: args.prior.prior,
        ..Config::default()
    };
    let model = ModelArgs {
        no_abstain: !args.abstain,
        ..args.model.clone()
    };
    let engine = engine(&model, &config)?;
    let lines = records::open(&args.input)
        .with_context(|| format!("cannot read {}", args.input.display()))?;
    let mut status = Status::Fine;
    for record in records::records(lines) {
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

fn answer(record: Result<(u64, Record), LineError>, engine: &Engine) -> Answer {
    match record {
        Ok((_, record)) => {
            let result = match judge(&record, engine) {
                Ok(judged) => {
                    AnswerResult::Scored(Box::new(judged.prepared.scored(judged.verdict)))
                }
                Err(error) => AnswerResult::Failed { error },
            };
            Answer {
                id: Some(record.id),
                result,
                meta: record.meta,
            }
        }
        Err(error) => Answer {
            id: error.id.clone(),
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

/// A record's patch with its verdict.
pub(super) struct Judged {
    pub(super) prepared: Prepared,
    pub(super) verdict: Verdict,
}

/// Why a record has no verdict.
#[derive(Serialize)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Scores one record: the same for `score` and `eval`.
pub(super) fn judge(record: &Record, engine: &Engine) -> Result<Judged, Failure> {
    let prepared = Prepared::of(&record.patch).map_err(|error| Failure {
        code: error.code(),
        message: error.to_string(),
    })?;
    let request = prepared.request(record.problem.clone());
    let slot = Slot(record.id.to_string());
    let verdict = engine.score(slot, request).map_err(failure)?;
    Ok(Judged { prepared, verdict })
}

fn failure(error: ScoreError) -> Failure {
    Failure {
        code: match error {
            ScoreError::Unusable(_) | ScoreError::Model(_) => "model",
            ScoreError::Cancelled | ScoreError::Stopped => "cancelled",
        },
        message: error.to_string(),
    }
}
