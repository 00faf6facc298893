//! `diffidence score`: JSON lines in, JSON lines out, in the same order and as they come.
//!
//! Invariant: every line that is not blank gets exactly one answer; a line that cannot be scored
//! gets an error object, never a score. Programs that read this stream count on a number for each
//! patch, so what the model cannot judge has none only where that is asked for.

use super::Status;
use super::model::{ModelArgs, PriorArg, engine};
use super::records::{self, LineError, Record, RecordId};
use crate::calibration::{Logit, Probability};
use crate::change::Patch;
use crate::config::Config;
use crate::scoring::{
    Abstention, Engine, Opinion, ScoreError, ScoreRequest, Slot, Unscorable, Verdict,
};
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

#[derive(Serialize)]
struct Scored {
    #[serde(flatten)]
    said: Said,
    hunks: Vec<HunkScore>,
    model: String,
    calibration: String,
    tokens: usize,
    truncated: bool,
    skipped: Vec<Skipped>,
}

/// A score, or `null` in place of both of its numbers and the reason.
#[derive(Serialize)]
pub(super) struct Said {
    probability: Option<Probability>,
    logit: Option<Logit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abstained: Option<Abstention>,
}

impl From<&Opinion> for Said {
    fn from(opinion: &Opinion) -> Self {
        Self {
            probability: opinion.probability(),
            logit: opinion.score().map(|score| score.logit),
            abstained: opinion.abstention().cloned(),
        }
    }
}

#[derive(Serialize)]
struct HunkScore {
    file: String,
    old_start: u32,
    old_lines: u32,
    new_start: u32,
    new_lines: u32,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize)]
struct Skipped {
    file: String,
    reason: &'static str,
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
                Ok(judged) => AnswerResult::Scored(Box::new(judged.into())),
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
    /// The files that have hunks.
    pub(super) patch: Patch,
    skipped: Vec<Skipped>,
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
    let request = ScoreRequest::of_diff(record.patch.as_bytes(), record.problem.clone());
    let (request, without) = request.map_err(|error| Failure {
        code: match error {
            Unscorable::Diff(_) => "bad-patch",
            Unscorable::NoLines => "nothing-to-score",
        },
        message: error.to_string(),
    })?;
    let skipped = without.iter().map(|file| Skipped {
        file: file.path().to_owned(),
        reason: "no changed lines of text",
    });
    let skipped = skipped.collect();
    let patch = request.patch.clone();
    let slot = Slot(record.id.to_string());
    let verdict = engine.score(slot, request).map_err(failure)?;
    Ok(Judged {
        patch,
        skipped,
        verdict,
    })
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

impl From<Judged> for Scored {
    fn from(judged: Judged) -> Self {
        let verdict = judged.verdict;
        let hunks = judged.patch.hunks().zip(&verdict.hunks);
        let hunks = hunks.map(|((file, hunk), opinion)| HunkScore {
            file: file.path().to_owned(),
            old_start: hunk.old.start,
            old_lines: hunk.old.lines,
            new_start: hunk.new.start,
            new_lines: hunk.new.lines,
            said: opinion.into(),
        });
        Self {
            said: (&verdict.patch).into(),
            hunks: hunks.collect(),
            model: verdict.model,
            calibration: verdict.calibration,
            tokens: verdict.tokens,
            truncated: verdict.truncated,
            skipped: judged.skipped,
        }
    }
}
