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
    /// Candidates as JSON lines with `id`, `patch`, `problem` (what they are for) and, if there are
    /// several tasks, `task`; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "patches")]
    data: Option<PathBuf>,
    /// Read the description of what the change is for from a file, or with `-` from standard input;
    /// with `--data`, for lines without a `problem`
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
    let problem = args.task.as_deref().map(read_task).transpose()?;
    let tasks = match &args.data {
        Some(path) => tasks_of_records(path, problem, &engine)?,
        None => vec![task_of_files(&args.patches, problem, &engine)?],
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
                if let Some(line) = task.and_then(|task| task.trim().lines().next()) {
                    writeln!(out, "{line}")?;
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

fn task_of_files(paths: &[PathBuf], problem: Option<String>, engine: &Engine) -> Result<Task> {
    let mut asked = Vec::new();
    for (number, path) in (1..).zip(paths) {
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

/// In the order in which the tasks first come. A line that cannot be read belongs to the only task,
/// or to none.
fn tasks_of_records(path: &Path, problem: Option<String>, engine: &Engine) -> Result<Vec<Task>> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut failed = Vec::new();
    let records = Ahead::of(path, engine)?.prepared(|record| describe(record, problem.as_ref()));
    for taken in records {
        let (record, judged) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                let line = error.line;
                failed.push(Failed {
                    id: error
                        .id
                        .as_ref()
                        .map_or_else(|| format!("line {line}"), RecordId::to_string),
                    reason: error.to_string(),
                });
                continue;
            }
        };
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
    if tasks.len() != 1 && !failed.is_empty() {
        tasks.push(Task::default());
    }
    if let Some(task) = tasks.last_mut() {
        task.lineup.failed.extend(failed);
    }
    Ok(tasks)
}

/// What a candidate is for, where it does not say: what all are for, or its `task`, if that is more
/// than a name.
fn describe(record: &mut Record, all: Option<&String>) {
    let is_text = |task: &&String| task.trim().contains(char::is_whitespace);
    let task = record.task.as_ref().filter(is_text);
    let problem = record.problem.take().or(all.cloned());
    record.problem = problem.or(task.cloned());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_for_what_it_says_or_what_all_are_for() {
        let check = |line: &str, all: Option<&str>, expect: Option<&str>| {
            let mut record = Record::from_object(serde_json::from_str(line).unwrap()).unwrap();
            describe(&mut record, all.map(str::to_owned).as_ref());
            assert_eq!(record.problem.as_deref(), expect, "{line}");
        };
        let all = Some("fix all");
        check(r#"{"id":1,"patch":""}"#, None, None);
        check(
            r#"{"id":1,"patch":"","problem":"fix it"}"#,
            all,
            Some("fix it"),
        );
        check(r#"{"id":1,"patch":"","task":"fix that"}"#, all, all);
        check(
            r#"{"id":1,"patch":"","task":"fix that"}"#,
            None,
            Some("fix that"),
        );
        check(r#"{"id":1,"patch":"","task":"django-1 "}"#, None, None);
    }
}
