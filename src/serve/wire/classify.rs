//! `POST /classify` as vLLM has it, which verl calls for a reward.
//!
//! There is one class, "correct", so `probs` has one element. It is the first and the last at once:
//! verl reads the last of the last item, others the first of the first.

use super::super::desk::{Purpose, Question};
use super::super::extract::extract;
use super::super::http::{Body, Fault, Service};
use super::texts::Texts;
use super::{Activation, list};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
pub(in super::super) struct Request {
    /// Prompt and completion, one text for each completion.
    input: Texts,
    #[serde(flatten)]
    activation: Activation,
}

pub(in super::super) async fn classify(
    State(service): State<Arc<Service>>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Fault> {
    let scale = request.activation.scale();
    let questions = request
        .input
        .0
        .iter()
        .map(|text| Question::of(&extract(text)));
    let answers = service.desk.answer(questions.collect()).await?;
    Ok(list("classify", &service, &answers, |index, answer| {
        json!({
            "index": index,
            "label": "correct",
            "probs": [answer.value(scale, Purpose::Reward)],
            "num_classes": 1,
            "flags": answer.flags(),
        })
    }))
}
