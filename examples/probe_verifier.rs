//! What a verifier's language model says after prompts, and how long it takes: for comparison with
//! other programs (`benches/verifier.py`).
//!
//! `probe_verifier DIR THREADS` reads JSON lines from standard input, each with a `prompt`, or `ids`
//! of tokens, and perhaps `"all": true`. It answers each with the `ids`, the `logits` of yes and no
//! (or of the classes), the `seconds` that it took, the memory `resident` and at its `peak` in kB, and
//! for `all`, for which the logits of all tokens are computed, with the most likely next one, `top`.

use anyhow::{Context, Result};
use diffidence::model::{Bundle, Run, Threads};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;
use tokenizers::Tokenizer;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, threads] = arguments.as_slice() else {
        anyhow::bail!("usage: probe_verifier DIR THREADS");
    };
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
