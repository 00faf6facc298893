//! The shapes that existing trainers and agents send and expect, one file each.
//!
//! Invariant: a handler turns a request into questions and the answers into a response, and
//! nothing else. Fields that a format has and that make no difference here, such as `model`, are
//! accepted and passed over.

pub(super) mod classify;
pub(super) mod lines;
pub(super) mod openhands;
pub(super) mod openrlhf;
pub(super) mod pairs;
pub(super) mod rerank;
mod texts;

use super::desk::{Answer, Scale};
use super::http::Service;
use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How vLLM is asked for raw logits: `use_activation: false`, in older versions `activation`.
#[derive(Debug, Default, Deserialize)]
struct Activation {
    use_activation: Option<bool>,
    activation: Option<bool>,
}

impl Activation {
    fn scale(&self) -> Scale {
        match self.use_activation.or(self.activation) {
            Some(false) => Scale::Logit,
            _ => Scale::Probability,
        }
    }
}

/// A name for a response, which clients only log.
fn id(kind: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("{kind}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

/// Seconds since 1970.
fn created() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

/// A list of one item for each answer, as OpenAI's interfaces have it.
fn list(
    kind: &str,
    service: &Service,
    answers: &[Answer],
    item: impl Fn(usize, &Answer) -> Value,
) -> Json<Value> {
    let items = answers.iter().enumerate();
    Json(json!({
        "id": id(kind),
        "object": "list",
        "created": created(),
        "model": service.model(),
        "data": items.map(|(index, answer)| item(index, answer)).collect::<Vec<_>>(),
        "usage": usage(answers),
    }))
}

fn usage(answers: &[Answer]) -> Value {
    let tokens: usize = answers.iter().map(Answer::tokens).sum();
    json!({"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0})
}
