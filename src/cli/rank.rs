//! `diffidence rank`: which of several candidate patches for one task is most likely correct.
//!
//! Invariant: a candidate is ranked, the same as another one, or listed after them with the reason
//! why the model cannot judge it or why it could not be read; none is left out.

use super::Status;
use super::ahead::Ahead;
use super::check::read_task;
use super::model::{ModelArgs, PriorArg, engine};
use super::records::{Record, RecordId};
use super::score::{Coming, Failure, Judged};
use crate::config::Config;
use crate::ranking::{Failed, Lineup, Ranking};
use crate::scoring::Engine;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Map;
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
    lineup: Lineup,
}

/// A task in JSON.
#[derive(Serialize)]
struct Ranked<'a> {
    task: Option<&'a str>,
    #[serde(flatten)]
    ranking: &'a Ranking,
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
    for Task { name, lineup } in &tasks {
        if !lineup.failed.is_empty() || lineup.candidates.is_empty() {
            status = Status::Failed;
        }
        let ranking = &lineup.ranking();
        let task = name.as_deref();
        match args.format {
            Format::Text => {
                if let Some(task) = task {
                    writeln!(out, "{task}")?;
                }
                write!(out, "{ranking}")?;
            }
            Format::Json => {
                serde_json::to_writer(&mut *out, &Ranked { task, ranking })?;
                writeln!(out)?;
            }
        }
    }
    Ok(status)
}

fn task_of_files(args: &RankArgs, engine: &Engine) -> Result<Task> {
    let problem = args.task.as_deref().map(read_task).transpose()?;
    let mut asked = Vec::new();
    for (number, path) in (1..).zip(&args.patches) {
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
        let coming = Coming::ask(&record, number, engine);
        asked.push((record.id, coming));
    }
    let mut task = Task::default();
    for (id, coming) in asked {
        task.add(&id, coming.and_then(Coming::wait));
    }
    Ok(task)
}

/// In the order in which the tasks first come.
fn tasks_of_records(path: &Path, engine: &Engine) -> Result<Vec<Task>> {
    let mut tasks: Vec<Task> = Vec::new();
    for taken in Ahead::of(path, engine)? {
        let (record, judged) = taken?;
        let known = tasks.iter_mut().find(|task| task.name == record.task);
        if let Some(task) = known {
            task.add(&record.id, judged);
        } else {
            let mut task = Task {
                name: record.task.clone(),
                ..Task::default()
            };
            task.add(&record.id, judged);
            tasks.push(task);
        }
    }
    Ok(tasks)
}

impl Task {
    fn add(&mut self, id: &RecordId, judged: Result<Judged, Failure>) {
        let name = id.to_string();
        match judged {
            Ok(Judged { prepared, verdict }) => {
                self.lineup.add(name, prepared.patch, &verdict);
            }
            Err(failure) => self.lineup.failed.push(Failed {
                id: name,
                reason: failure.message,
            }),
        }
    }
}
