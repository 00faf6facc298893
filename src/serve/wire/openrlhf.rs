//! `POST /get_reward`, which OpenRLHF calls with `--reward.remote_url` (before `--remote_rm_url`).
//!
//! Older releases send only `query`. Where `prompts` come too, the task is the prompt and the patch
//! is only looked for after it; where that is cannot always be told, and a diff of the prompt must
//! not be rewarded, so such a request is refused. `scores` stay within 0 and 1, for the dynamic filtering.

use super::super::desk::{Purpose, Question, Scale};
use super::super::extract::{extract, extract_after};
use super::super::http::{Body, Fault, Service};
use super::texts::Texts;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// `?reward=logit` in the address asks for raw rewards.
#[derive(Deserialize)]
pub(in super::super) struct Options {
    #[serde(default)]
    reward: Reward,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reward {
    #[default]
    Probability,
    Logit,
}

#[derive(Deserialize)]
pub(in super::super) struct Request {
    /// Prompt and completion in one.
    query: Texts,
    #[serde(default)]
    prompts: Option<Texts>,
}

impl Request {
    fn questions(&self) -> Result<Vec<Question>, Fault> {
        let Texts(texts) = &self.query;
        let prompts = match &self.prompts {
            Some(Texts(prompts)) if !prompts.is_empty() => prompts,
            _ => return Ok(texts.iter().map(|it| Question::of(&extract(it))).collect()),
        };
        if prompts.len() != texts.len() {
            return Err(Fault::bad_request(format!(
                "`query` holds {} texts and `prompts` {}; there must be as many",
                texts.len(),
                prompts.len()
            )));
        }
        let both = prompts.iter().zip(texts).enumerate();
        both.map(|(index, (prompt, text))| {
            let found = extract_after(prompt, text).ok_or_else(|| {
                Fault::bad_request(format!(
                    "the body, field `prompts[{index}]`: it is not in `query[{index}]`, so where \
                     the answer begins is unknown; send the text that was completed"
                ))
            })?;
            Ok(Question::of(&found))
        })
        .collect()
    }
}

pub(in super::super) async fn get_reward(
    State(service): State<Arc<Service>>,
    options: Result<Query<Options>, QueryRejection>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Fault> {
    let Query(options) = options.map_err(|error| Fault::bad_request(error.body_text()))?;
    let answers = service.desk.answer(request.questions()?).await?;
    let values = |scale| -> Vec<f64> {
        let values = answers.iter().map(|it| it.value(scale, Purpose::Reward));
        values.collect()
    };
    let scale = match options.reward {
        Reward::Probability => Scale::Probability,
        Reward::Logit => Scale::Logit,
    };
    let flagged = answers.iter().map(|it| u8::from(!it.flags().is_empty()));
    Ok(Json(json!({
        "rewards": values(scale),
        "scores": values(Scale::Probability),
        "extra_logs": {
            "logit": values(Scale::Logit),
            "flagged": flagged.collect::<Vec<_>>(),
        },
    })))
}
