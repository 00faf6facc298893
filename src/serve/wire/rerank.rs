//! `POST /rerank`, `/v1/rerank` and `/v2/rerank` as vLLM, Jina and Cohere have them: `query` is the
//! task, `documents` are patches or texts with one each, and the best comes first.

use super::super::desk::{Purpose, Question};
use super::super::extract::{patch_in, task_of};
use super::super::http::{Body, Fault, Service};
use super::{Activation, id, usage};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
pub(in super::super) struct Request {
    query: String,
    documents: Vec<Document>,
    /// How many of the best are wanted; 0, or nothing, is all.
    #[serde(default)]
    top_n: Option<usize>,
    #[serde(flatten)]
    activation: Activation,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a document must be a text or an object with `text`"
)]
enum Document {
    Text(String),
    Object { text: String },
}

impl Document {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object { text } => text,
        }
    }
}

pub(in super::super) async fn rerank(
    State(service): State<Arc<Service>>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Fault> {
    let scale = request.activation.scale();
    let task = task_of(&request.query);
    let questions = request.documents.iter().map(|document| Question {
        patch: patch_in(document.text()).to_owned(),
        task: task.map(str::to_owned),
    });
    let answers = service.desk.answer(questions.collect()).await?;
    let values = answers.iter().map(|it| it.value(scale, Purpose::Reading));
    let mut order: Vec<(usize, f64)> = values.enumerate().collect();
    // Stable, so equal documents stay in the order in which they came.
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let most = match request.top_n {
        None | Some(0) => order.len(),
        Some(most) => most,
    };
    let results = order.into_iter().take(most).map(|(index, value)| {
        json!({
            "index": index,
            "document": {"text": request.documents[index].text()},
            "relevance_score": value,
            "flags": answers[index].flags(),
        })
    });
    Ok(Json(json!({
        "id": id("rerank"),
        "model": service.model(),
        "usage": usage(&answers),
        "results": results.collect::<Vec<_>>(),
    })))
}
