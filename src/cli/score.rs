//! `diffidence score`: JSON lines in, JSON lines out, in the same order and as they come.
//!
//! Invariant: every line that is not blank gets exactly one answer; a line that cannot be scored
//! gets an error object, never a score. Programs that read this stream count on a number for each
//! patch, so what the model cannot judge has none only where that is asked for.

use super::Status;
use super::ahead::{Ahead, Taken};
use super::model::{ModelArgs, PriorArg, engine};
use super::records::{Record, RecordId};
use crate::config::Config;
use crate::model::ModelIdentity;
use crate::scoring::{Engine, Prepared, ScoreError, Scored, Slot, Verdict};
use anyhow::Result;
use crossbeam_channel::Receiver;
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
    let mut status = Status::Fine;
    for taken in Ahead::of(&args.input, &engine)? {
        let answer = answer(taken);
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

fn answer(taken: Taken) -> Answer {
    match taken {
        Ok((record, judged)) => {
            let result = match judged {
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

/// A record's patch, whose verdict is to come.
pub(super) struct Coming {
    prepared: Prepared,
    pub(super) verdict: Receiver<Result<Verdict, ScoreError>>,
}

impl Coming {
    /// Asks the engine about the record on a line; ids may come twice.
    pub(super) fn ask(record: &Record, line: u64, engine: &Engine) -> Result<Self, Failure> {
        let prepared = Prepared::of(&record.patch).map_err(|error| Failure {
            code: error.code(),
            message: error.to_string(),
        })?;
        let request = prepared.request(told(record, engine.judge().identity()));
        let verdict = engine.ask(Slot(line.to_string()), request);
        Ok(Self { prepared, verdict })
    }

    /// Waits for the verdict.
    pub(super) fn wait(self) -> Result<Judged, Failure> {
        let verdict = self.verdict.recv().unwrap_or(Err(ScoreError::Stopped));
        Ok(Judged {
            prepared: self.prepared,
            verdict: verdict.map_err(failure)?,
        })
    }
}

/// What the model is told that the patch is for: the task, and for a model that can make something of
/// it the conversation that led to the patch.
fn told(record: &Record, identity: &ModelIdentity) -> Option<String> {
    if record.messages.is_empty() || !identity.reads_conversations() {
        return record.problem.clone();
    }
    let says = |text: &str| record.messages.iter().any(|it| it.content.contains(text));
    let problem = record.problem.as_deref().filter(|problem| !says(problem));
    let turns = record.messages.iter().enumerate().map(|(index, message)| {
        // Templates have the user speak first.
        if index == 0 && problem.is_none() && message.role == "user" {
            message.content.clone()
        } else {
            format!("{}: {}", message.role.to_uppercase(), message.content)
        }
    });
    let all: Vec<String> = problem
        .map(str::to_owned)
        .into_iter()
        .chain(turns)
        .collect();
    Some(all.join("\n\n"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_conversation_is_told_to_models_that_read_one() {
        let check = |problem: Value, renderer: &str, expect: Option<&str>| {
            let line = json!({"id": 1, "patch": "", "problem": problem, "messages": [
                {"role": "user", "content": "Fix it."}, {"role": "assistant", "content": "Done."}]});
            let Value::Object(object) = line else {
                unreachable!()
            };
            let record = Record::from_object(object).unwrap();
            let identity = ModelIdentity {
                name: "any".into(),
                version: "1".into(),
                bundle_hash: String::new(),
                renderer: renderer.into(),
            };
            assert_eq!(told(&record, &identity).as_deref(), expect);
        };
        let judge = "swe-judge@1";
        check(json!("Crash"), "patch@1", Some("Crash"));
        check(Value::Null, "patch@1", None);
        check(Value::Null, judge, Some("Fix it.\n\nASSISTANT: Done."));
        check(json!("Fix it."), judge, Some("Fix it.\n\nASSISTANT: Done."));
        check(
            json!("Crash"),
            judge,
            Some("Crash\n\nUSER: Fix it.\n\nASSISTANT: Done."),
        );
    }
}
