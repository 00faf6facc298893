//! `POST /openhands/classify`: what the critic of the OpenHands SDK asks, with
//! `server_url` ending in `/openhands`.
//!
//! That critic wants one probability for each label that its own model was trained on, and refuses
//! an answer of any other length. The first is success; this model knows nothing of the others, so
//! they are 0, which the critic reads as "not seen".

use super::super::desk::{Purpose, Question, Scale};
use super::super::extract::extract;
use super::super::http::{Body, Fault, Service};
use super::list;
use super::texts::Texts;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Labels of the critic: success, 3 sentiments, 13 issues of the agent, 2 of the infrastructure,
/// and 8 ways in which a user follows up.
const LABELS: usize = 1 + 3 + 13 + 2 + 8;

#[derive(Deserialize)]
pub(in super::super) struct Request {
    /// A conversation of the agent, laid out by a chat template.
    input: Texts,
}

pub(in super::super) async fn classify(
    State(service): State<Arc<Service>>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Fault> {
    let questions = request
        .input
        .0
        .iter()
        .map(|text| Question::of(&extract(text)));
    let answers = service.desk.answer(questions.collect()).await?;
    Ok(list("classify", &service, &answers, |index, answer| {
        let mut probs = [0.0; LABELS];
        probs[0] = answer.value(Scale::Probability, Purpose::Reading);
        json!({
            "index": index,
            "label": "success",
            "probs": probs,
            "num_classes": LABELS,
            "flags": answer.flags(),
        })
    }))
}
