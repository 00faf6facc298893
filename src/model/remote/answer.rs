//! What is sent to an engine, and what its answer means.
//!
//! Invariant: a logit comes from numbers that the answer holds. Where one of the two words is not
//! among the tokens that the engine lists, the least likely listed one stands in for it, which can
//! only bring the logit nearer to 0; where neither is, there is no logit.

use super::manifest::{Answers, Api};
use serde_json::{Value, json};

/// Likeliest tokens that are asked for. vLLM gives no more by default.
const LISTED: usize = 20;

/// A logit, and how many tokens the engine read for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    pub(super) logit: f64,
    pub(super) tokens: usize,
}

/// The body of a request.
pub(super) fn question(api: Api, model: &str, prompt: &str) -> Value {
    match api {
        Api::Completions => json!({
            "model": model,
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": LISTED,
        }),
        // Older versions of vLLM know the second name only.
        Api::Classify => json!({
            "model": model,
            "input": prompt,
            "use_activation": false,
            "activation": false,
        }),
    }
}

/// Reads an answer. Fails with a clause that says what is wrong with it.
pub(super) fn reading(api: Api, answer: &Value, words: &Answers) -> Result<Reading, String> {
    let logit = match api {
        Api::Completions => margin(&likeliest(answer)?, words)?,
        Api::Classify => classified(answer)?,
    };
    let tokens = answer["usage"]["prompt_tokens"].as_u64().unwrap_or(0);
    Ok(Reading {
        logit,
        tokens: usize::try_from(tokens).unwrap_or(0),
    })
}

/// The tokens that could come first, with the logarithms of their probabilities.
fn likeliest(answer: &Value) -> Result<Vec<(&str, f64)>, String> {
    let logprobs = &answer["choices"][0]["logprobs"];
    let pairs: Vec<(&str, f64)> = if let Some(listed) = logprobs["top_logprobs"][0].as_object() {
        let pairs = listed.iter();
        pairs
            .filter_map(|(token, value)| Some((token.as_str(), value.as_f64()?)))
            .collect()
    } else {
        // As in chats, and in the server of llama.cpp.
        let listed = logprobs["content"][0]["top_logprobs"].as_array();
        let pairs = listed.into_iter().flatten();
        pairs
            .filter_map(|it| Some((it["token"].as_str()?, it["logprob"].as_f64()?)))
            .collect()
    };
    if pairs.is_empty() {
        return Err("it lists no probabilities of tokens: `choices[0].logprobs.top_logprobs` is missing; the engine must be started so that it gives them".into());
    }
    Ok(pairs)
}

fn margin(listed: &[(&str, f64)], words: &Answers) -> Result<f64, String> {
    let (yes, no) = (words.yes.trim(), words.no.trim());
    let lowest = listed.iter().map(|(_, it)| *it).fold(0.0, f64::min);
    let of = |word: &str, other: &str| {
        let begins = |token: &str| {
            let token = token.trim();
            !token.is_empty() && word.starts_with(token) && !other.starts_with(token)
        };
        let those = listed.iter().filter(|(token, _)| begins(token));
        let sum: f64 = those.map(|(_, value)| value.exp()).sum();
        (sum > 0.0).then(|| sum.ln())
    };
    match (of(yes, no), of(no, yes)) {
        (None, None) => {
            let tokens: Vec<&str> = listed.iter().take(5).map(|(token, _)| *token).collect();
            Err(format!(
                "neither {yes:?} nor {no:?} is among its likely tokens, which begin with {tokens:?}; the prompt does not fit this model: choose another `--markup`, `--template`, or `--yes` and `--no`"
            ))
        }
        (yes, no) => Ok(yes.unwrap_or(lowest) - no.unwrap_or(lowest)),
    }
}

/// One raw value, or the difference of two: of "right" and of "wrong", in the order in which reward
/// models have their classes.
fn classified(answer: &Value) -> Result<f64, String> {
    let data = answer["data"].as_array();
    let probs = data.and_then(|data| data.last()?["probs"].as_array());
    let probs = probs.ok_or("field `data[-1].probs` is missing")?;
    let values: Option<Vec<f64>> = probs.iter().map(Value::as_f64).collect();
    match values.as_deref() {
        Some([value]) => Ok(*value),
        Some([wrong, right]) => Ok(
            // An engine that was asked for raw values and gives probabilities all the same.
            if (wrong + right - 1.0).abs() < 1e-4 && *wrong >= 0.0 && *right >= 0.0 {
                right.max(1e-12).ln() - wrong.max(1e-12).ln()
            } else {
                right - wrong
            },
        ),
        _ => Err(format!(
            "field `data[-1].probs` must hold one or two numbers, and holds {}",
            probs.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Answers {
        Answers {
            yes: "YES".into(),
            no: "NO".into(),
        }
    }

    #[test]
    fn the_margin_is_that_of_the_two_words() {
        let text = |listed: Value| {
            json!({"choices": [{"text": "YES", "logprobs": {"top_logprobs": [listed]}}],
                "usage": {"prompt_tokens": 7}})
        };
        let read = |answer: &Value| reading(Api::Completions, answer, &words());
        for (listed, expected) in [
            (json!({"YES": -0.1, "NO": -2.4}), 2.3),
            // Written in two ways, or in pieces.
            (json!({"YES": -1.0, " YES": -1.0, "NO": -1.0}), 2.0_f64.ln()),
            (json!({"Y": -1.0, "N": -3.0, "O": -0.1}), 2.0),
            // Not listed: at most as likely as the least likely one.
            (json!({"NO": -0.2, "Maybe": -3.2}), -3.0),
            (json!({"YES": -0.2, "Yes": -4.2}), 4.0),
        ] {
            let reading = read(&text(listed.clone())).unwrap();
            assert!(
                (reading.logit - expected).abs() < 1e-9,
                "{listed}: {reading:?}"
            );
            assert_eq!(reading.tokens, 7);
        }
        let listed = json!([{"token": "YES", "logprob": -0.5}, {"token": "NO", "logprob": -1.5}]);
        let chat = json!({"choices": [{"logprobs": {"content": [{"top_logprobs": listed}]}}]});
        assert_eq!(
            read(&chat).unwrap(),
            Reading {
                logit: 1.0,
                tokens: 0
            }
        );
        for (answer, says) in [
            (text(json!({"The": -0.1})), "neither \"YES\" nor \"NO\""),
            (text(json!({})), "lists no probabilities"),
            (
                json!({"choices": [{"text": "YES", "logprobs": null}]}),
                "lists no probabilities",
            ),
            (json!({"choices": []}), "lists no probabilities"),
            (json!("YES"), "lists no probabilities"),
        ] {
            let error = read(&answer).unwrap_err();
            assert!(error.contains(says), "{answer}: {error}");
        }
    }

    #[test]
    fn a_class_is_a_raw_value() {
        let read = |probs: Value| {
            let answer = json!({"data": [{"index": 0, "probs": probs}]});
            reading(Api::Classify, &answer, &words()).map(|it| it.logit)
        };
        assert_eq!(read(json!([-1.5])), Ok(-1.5));
        assert_eq!(read(json!([-1.0, 2.0])), Ok(3.0));
        assert!((read(json!([0.2, 0.8])).unwrap() - 4.0_f64.ln()).abs() < 1e-9);
        for wrong in [json!([]), json!([1, 2, 3]), json!(["a"]), json!(null)] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
