//! `POST /v1/score`: what `diffidence score` reads and writes on a line, as an object or a list of
//! them; with `flags`, that say why a patch should not be rewarded.
//!
//! In place of `patch` there may be a `completion`, a text with a patch somewhere in it, and in place
//! of `problem` the `prompt` that it completes.

use super::super::desk::{Answer, Question};
use super::super::extract::{patch_in, task_of};
use super::super::http::{Body, Fault, Service};
use crate::scoring::Scored;
use axum::Json;
use axum::extract::State;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(in super::super) enum Request {
    Many(Vec<Record>),
    One(Record),
}

/// By hand: an untagged enum would not say what is wrong with which record.
impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Request;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with `patch` or `completion`, or a list of such objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Request, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(Request::Many)
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Request, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(fields)).map(Request::One)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "Fields")]
pub(in super::super) struct Record {
    id: Value,
    text: Text,
    problem: Option<String>,
    prompt: Option<String>,
    /// Given back as it came, but for what lines of JSON have fields for.
    meta: Map<String, Value>,
}

enum Text {
    Patch(String),
    Completion(String),
}

/// A record as it comes.
#[derive(Deserialize)]
#[serde(expecting = "an object with `patch` or `completion`")]
struct Fields {
    #[serde(default)]
    id: Value,
    patch: Option<String>,
    completion: Option<String>,
    problem: Option<String>,
    prompt: Option<String>,
    #[serde(flatten)]
    meta: Map<String, Value>,
}

impl TryFrom<Fields> for Record {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let text = match (fields.patch, fields.completion) {
            (Some(patch), None) => Text::Patch(patch),
            (None, Some(completion)) => Text::Completion(completion),
            (None, None) => return Err("there must be a text, `patch` or `completion`"),
            (Some(_), Some(_)) => {
                return Err("there are both `patch` and `completion`; send one of them");
            }
        };
        Ok(Self {
            id: fields.id,
            text,
            problem: fields.problem,
            prompt: fields.prompt,
            meta: fields.meta,
        })
    }
}

impl Record {
    fn question(&self) -> Question {
        let patch = match &self.text {
            Text::Patch(patch) => patch,
            Text::Completion(text) => patch_in(text),
        };
        let asked = self.prompt.as_deref().and_then(task_of);
        let task = self.problem.as_deref().or(asked);
        Question {
            patch: patch.to_owned(),
            task: task.map(str::to_owned),
        }
    }
}

/// Fields of a labelled record that say nothing about the patch.
const UNUSED: [&str; 6] = ["messages", "task", "policy", "language", "source", "label"];

#[derive(Serialize)]
struct Response {
    id: Value,
    #[serde(flatten)]
    result: Outcome,
    flags: Value,
    #[serde(skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Scored(Box<Scored>),
    Failed { error: Value },
}

pub(in super::super) async fn score(
    State(service): State<Arc<Service>>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Fault> {
    let (records, is_list) = match request {
        Request::Many(records) => (records, true),
        Request::One(record) => (vec![record], false),
    };
    let questions = records.iter().map(Record::question);
    let answers = service.desk.answer(questions.collect()).await?;
    let responses = records
        .into_iter()
        .zip(answers)
        .map(|(mut record, answer)| {
            record
                .meta
                .retain(|field, _| !UNUSED.contains(&field.as_str()));
            let flags = json!(answer.flags());
            let result = match answer {
                Answer::Judged {
                    prepared, verdict, ..
                } => Outcome::Scored(Box::new(prepared.scored(verdict))),
                Answer::Refused(refusal) => Outcome::Failed {
                    error: json!({"code": refusal.code(), "message": refusal.to_string()}),
                },
            };
            json!(Response {
                id: record.id,
                result,
                flags,
                meta: record.meta,
            })
        });
    let mut responses: Vec<Value> = responses.collect();
    Ok(Json(match (is_list, responses.pop()) {
        (false, Some(only)) => only,
        (true, Some(last)) => {
            responses.push(last);
            responses.into()
        }
        (_, None) => Value::Array(responses),
    }))
}
