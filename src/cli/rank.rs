//! `diffidence rank`: which of several candidate patches for one task is most likely correct.
//!
//! Invariant: a candidate is ranked, the same as another one, or listed with the reason why it
//! cannot be judged; none is left out.

use super::Status;
use super::check::read_task;
use super::model::{ModelArgs, PriorArg, engine};
use super::records::{self, Record, RecordId};
use super::score::{Judged, judge};
use crate::config::Config;
use crate::ranking::{Candidate, Ranked, difference, rank};
use crate::scoring::Engine;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct RankArgs {
    /// Unified diffs, one candidate each
    #[arg(value_name = "PATCH", required_unless_present = "data")]
    patches: Vec<PathBuf>,
    /// Candidates as JSON lines with `patch`, and `task` if there are several tasks; `-` is
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["patches", "task"])]
    data: Option<PathBuf>,
    /// Read the description of what the change is for from a file, or with `-` from standard input
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    prior: PriorArg,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object for each task
    Json,
}

/// The candidates for one task.
#[derive(Default)]
struct Task {
    name: Option<String>,
    candidates: Vec<Candidate>,
    /// Name and reason.
    failed: Vec<(String, String)>,
}

pub(super) fn run(args: &RankArgs, out: &mut dyn Write) -> Result<Status> {
    let config = Config {
        prior: args.prior.prior,
        ..Config::default()
    };
    let engine = engine(&args.model, &config)?;
    let tasks = match &args.data {
        Some(path) => tasks_of_records(path, &engine)?,
        None => vec![task_of_files(args, &engine)?],
    };
    if tasks.is_empty() {
        bail!("there are no candidates");
    }
    let mut status = Status::Fine;
    for task in &tasks {
        if !task.failed.is_empty() {
            status = Status::Failed;
        }
        let ranked = rank(&task.candidates);
        match args.format {
            Format::Text => write_text(task, &ranked, out)?,
            Format::Json => {
                serde_json::to_writer(&mut *out, &to_json(task, &ranked))?;
                writeln!(out)?;
            }
        }
    }
    Ok(status)
}

fn task_of_files(args: &RankArgs, engine: &Engine) -> Result<Task> {
    let problem = args.task.as_deref().map(read_task).transpose()?;
    let mut task = Task::default();
    for path in &args.patches {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        let record = Record {
            id: RecordId::Text(name),
            patch: String::from_utf8_lossy(&bytes).into_owned(),
            problem: problem.clone(),
            messages: Vec::new(),
            task: None,
            policy: None,
            language: None,
            source: None,
            label: None,
            meta: Map::new(),
        };
        task.add(&record, engine);
    }
    Ok(task)
}

/// In the order in which the tasks first come.
fn tasks_of_records(path: &Path, engine: &Engine) -> Result<Vec<Task>> {
    let lines = records::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut tasks: Vec<Task> = Vec::new();
    for record in records::records(lines) {
        let (_, record) = record?;
        let known = tasks.iter_mut().find(|task| task.name == record.task);
        if let Some(task) = known {
            task.add(&record, engine);
        } else {
            let mut task = Task {
                name: record.task.clone(),
                ..Task::default()
            };
            task.add(&record, engine);
            tasks.push(task);
        }
    }
    Ok(tasks)
}

impl Task {
    fn add(&mut self, record: &Record, engine: &Engine) {
        let name = record.id.to_string();
        match judge(record, engine) {
            Ok(Judged { prepared, verdict }) => self.candidates.push(Candidate {
                name,
                patch: prepared.patch,
                verdict,
            }),
            Err(failure) => self.failed.push((name, failure.message)),
        }
    }

    fn names<'a>(&'a self, ranked: &'a Ranked) -> impl Iterator<Item = &'a str> {
        let names = ranked.same.iter().map(|&index| &self.candidates[index]);
        names.map(|candidate| candidate.name.as_str())
    }
}

fn write_text(task: &Task, ranked: &[Ranked], out: &mut dyn Write) -> Result<()> {
    if let Some(name) = &task.name {
        writeln!(out, "{name}")?;
    }
    for (place, one) in ranked.iter().enumerate() {
        let name = &task.candidates[one.candidate].name;
        let agreement = one.agreement.map_or_else(String::new, |agreement| {
            format!(" · {:.0}% agreement with the others", agreement * 100.0)
        });
        let number = place + 1;
        writeln!(
            out,
            "{number}. {name}  {} likely correct{agreement}",
            one.probability
        )?;
        for same in task.names(one) {
            writeln!(out, "     the same: {same}")?;
        }
    }
    if let [first, second, ..] = ranked {
        let said = difference(first, second, &task.candidates).join("; ");
        writeln!(out, "first against second: {said}")?;
    }
    for (name, reason) in &task.failed {
        writeln!(out, "not ranked: {name}: {reason}")?;
    }
    Ok(())
}

fn to_json(task: &Task, ranked: &[Ranked]) -> Value {
    let entry = |one: &Ranked| {
        let candidate = &task.candidates[one.candidate];
        json!({
            "id": candidate.name,
            "probability": one.probability,
            "logit": candidate.verdict.patch.logit,
            "agreement": one.agreement,
            "value": one.value,
            "same": task.names(one).collect::<Vec<_>>(),
        })
    };
    let failed = task.failed.iter();
    json!({
        "task": task.name,
        "candidates": ranked.iter().map(entry).collect::<Vec<_>>(),
        "first_against_second": match ranked {
            [first, second, ..] => Some(difference(first, second, &task.candidates)),
            _ => None,
        },
        "failed": failed
            .map(|(id, reason)| json!({"id": id, "reason": reason}))
            .collect::<Vec<_>>(),
        "model": task.candidates.first().map(|candidate| &candidate.verdict.model),
    })
}
