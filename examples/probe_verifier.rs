//! What a verifier's language model says after prompts, and how long it takes: for comparison with
//! other programs (`benches/verifier.py`).
//!
//! `probe_verifier DIR THREADS [profile]` reads JSON lines from standard input, each with a `prompt`, or `ids`
//! of tokens, and perhaps `"all": true`. It answers each with the `ids`, the `logits` of yes and no
//! (or of the classes), the `seconds` that it took, the memory `resident` and at its `peak` in kB, and
//! for `all`, for which the logits of all tokens are computed, with the most likely next one, `top`.
//! With `profile` it tells the seconds of each kind of step, too, without those of steps inside of it;
//! on one thread they add up to what the answer took.

use anyhow::{Context, Result};
use diffidence::model::{Bundle, Run, Threads};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokenizers::Tokenizer;
use tracing::{Id, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{self, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::{Layer, filter::LevelFilter};

/// Seconds of each kind of step.
static SECONDS: Mutex<BTreeMap<&str, f64>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// When each step began that this thread is in, and the seconds of those inside of it.
    static STEPS: RefCell<Vec<(Instant, f64)>> = const { RefCell::new(Vec::new()) };
}

/// Adds up how long steps take.
struct Clock;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Clock {
    fn on_enter(&self, _: &Id, _: layer::Context<'_, S>) {
        STEPS.with_borrow_mut(|steps| steps.push((Instant::now(), 0.0)));
    }

    fn on_exit(&self, id: &Id, context: layer::Context<'_, S>) {
        let taken = STEPS.with_borrow_mut(|steps| {
            let (begun, inner) = steps.pop()?;
            let all = begun.elapsed().as_secs_f64();
            if let Some((_, inner)) = steps.last_mut() {
                *inner += all;
            }
            Some(all - inner)
        });
        if let (Some(taken), Some(span)) = (taken, context.span(id)) {
            let mut seconds = SECONDS.lock().unwrap_or_else(PoisonError::into_inner);
            *seconds.entry(span.name()).or_default() += taken;
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (dir, threads, profile) = match arguments.as_slice() {
        [dir, threads] => (dir, threads, false),
        [dir, threads, last] if last == "profile" => (dir, threads, true),
        _ => anyhow::bail!("usage: probe_verifier DIR THREADS [profile]"),
    };
    if profile {
        let ours = Targets::new().with_target("diffidence", LevelFilter::TRACE);
        let clock = Registry::default().with(Clock.with_filter(ours));
        tracing::subscriber::set_global_default(clock)?;
    }
    let dir = Path::new(dir);
    let model = Bundle::open(dir)?.verifier(Threads::new(threads.parse().ok())?)?;
    let fault = |error: tokenizers::Error| anyhow::anyhow!("the tokenizer: {error}");
    let tokenizer = Tokenizer::from_file(dir.join("tokenizer.json")).map_err(fault)?;
    let manifest: Value = serde_json::from_slice(&std::fs::read(dir.join("bundle.json"))?)?;
    let asked = ["yes", "no"].map(|side| {
        let id = manifest["answers"][side]["id"].as_u64().unwrap_or_default();
        usize::try_from(id).unwrap_or_default()
    });
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        let ids: Vec<u32> = match question["prompt"].as_str() {
            Some(prompt) => tokenizer
                .encode(prompt, false)
                .map_err(fault)?
                .get_ids()
                .to_vec(),
            None => serde_json::from_value(question["ids"].clone()).context("no prompt, no ids")?,
        };
        SECONDS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let start = Instant::now();
        let run = Run::default();
        let mut answer = json!({"ids": ids});
        if question["all"] == true {
            let all = model.next(&ids, &run)?;
            let most = (0_u32..).zip(&all).max_by(|a, b| a.1.total_cmp(b.1));
            answer["top"] = json!(most.map(|(id, _)| id));
            answer["logits"] = json!(asked.map(|id| all.get(id)));
        } else {
            answer["logits"] = json!(model.answer(&ids, &run)?);
        }
        answer["seconds"] = json!(start.elapsed().as_secs_f64());
        if profile {
            answer["profile"] = json!(*SECONDS.lock().unwrap_or_else(PoisonError::into_inner));
        }
        answer["resident"] = json!(kilobytes("VmRSS:"));
        answer["peak"] = json!(kilobytes("VmHWM:"));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// A figure of this process, where the system tells it.
fn kilobytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
