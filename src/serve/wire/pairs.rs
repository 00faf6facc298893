//! `POST /score` as vLLM has it: `text_1` is the task, `text_2` the patch or a text with it.

use super::super::desk::{Purpose, Question};
use super::super::extract::{patch_in, task_of};
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
    text_1: Texts,
    text_2: Texts,
    #[serde(flatten)]
    activation: Activation,
}

pub(in super::super) async fn score(
    State(service): State<Arc<Service>>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Fault> {
    let scale = request.activation.scale();
    let (Texts(tasks), Texts(patches)) = (&request.text_1, &request.text_2);
    if tasks.len() != 1 && tasks.len() != patches.len() {
        return Err(Fault::bad_request(format!(
            "`text_1` holds {} texts and `text_2` {}; it must be one for all, or one for each",
            tasks.len(),
            patches.len()
        )));
    }
    let questions = patches.iter().zip(tasks.iter().cycle());
    let questions = questions.map(|(patch, task)| Question {
        patch: patch_in(patch).to_owned(),
        task: task_of(task).map(str::to_owned),
    });
    let answers = service.desk.answer(questions.collect()).await?;
    Ok(list("score", &service, &answers, |index, answer| {
        json!({
            "index": index,
            "object": "score",
            "score": answer.value(scale, Purpose::Reading),
            "flags": answer.flags(),
        })
    }))
}
