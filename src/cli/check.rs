//! `diffidence check`: scores the changes of a work tree, or of a diff, and says which to look at.

use super::model::{ModelArgs, PriorArg, engine, probability};
use super::report::{FileOutcome, FileReport, Frame, Report, ScoredFile};
use super::{Status, text};
use crate::calibration::Probability;
use crate::change::{
    Base, ChangeOptions, ChangeSet, FileChange, Outcome, Patch, SkipReason, repository_root,
};
use crate::config::Config;
use crate::scoring::{Engine, ScoreError, ScoreRequest, Slot};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// A diff larger than this is not a change that anybody reads.
const MAX_DIFF_BYTES: u64 = 64 << 20;

/// A task description is cut by the renderer long before this.
const MAX_TASK_BYTES: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Only score changes below these paths
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Score as if started in DIR
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// What to compare with: head, index, a revision such as main~3, or merge-base:main [default: head]
    #[arg(long, value_name = "BASE")]
    base: Option<String>,
    /// Score what is staged, and not the work tree
    #[arg(long)]
    staged: bool,
    /// Score a unified diff from a file, or from standard input with `-`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "base", "staged"])]
    diff: Option<PathBuf>,
    /// Read the description of what the change is for from a file, or with `-` from standard input
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// Scores below this are low [default: 0.35]
    #[arg(long, value_name = "P", value_parser = probability)]
    min_score: Option<Probability>,
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
    Text,
    Json,
}

/// A file of the change, with what is needed to report it.
struct Candidate {
    path: String,
    outcome: CandidateOutcome,
}

enum CandidateOutcome {
    Changed {
        change: FileChange,
        new_lines: Option<u32>,
    },
    Unchanged(String),
    Skipped(String),
}

pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<Status> {
    let task = args
        .task
        .as_deref()
        .map(|path| read_text(path, MAX_TASK_BYTES, "task description"))
        .transpose()?
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (config, base, candidates) = match &args.diff {
        Some(path) => from_diff(path, args)?,
        None => from_work_tree(args)?,
    };
    let min_score = config.min_score;
    let engine = engine(&args.model, &config)?;
    let files = score(candidates, &engine, task.as_ref(), min_score)?;
    let judge = engine.judge();
    let frame = Frame {
        model: judge.identity().to_string(),
        calibration: judge.calibration().id.clone(),
        prior: judge.prior(),
        min_score,
        base,
        task: task.is_some(),
    };
    let report = Report::new(frame, files);
    match args.format {
        Format::Text => text::write(&report, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    let counts = report.counts();
    Ok(if counts.failed > 0 {
        Status::Failed
    } else if counts.low_hunks + counts.low_files > 0 {
        Status::Low
    } else {
        Status::Fine
    })
}

fn from_work_tree(args: &CheckArgs) -> Result<(Config, String, Vec<Candidate>)> {
    let root = repository_root(&args.directory)?;
    let config = configuration(args, Some(&root));
    let base = args.base.as_deref().unwrap_or(&config.base);
    let options = ChangeOptions {
        base: Base::parse(base),
        staged: args.staged,
        max_file_bytes: config.max_file_bytes,
        paths: args
            .paths
            .iter()
            .map(|path| std::path::absolute(args.directory.join(path)))
            .collect::<std::io::Result<_>>()?,
        ..ChangeOptions::default()
    };
    let set = ChangeSet::of(&args.directory, &options)?;
    let base = set.base_description();
    let candidates = set.files.into_iter().map(|file| Candidate {
        path: file.path,
        outcome: match file.outcome {
            Outcome::Changed {
                change,
                new_text_lines,
                ..
            } => CandidateOutcome::Changed {
                change,
                new_lines: Some(new_text_lines),
            },
            Outcome::Unchanged { why } => CandidateOutcome::Unchanged(why.to_string()),
            Outcome::Skipped(reason) => CandidateOutcome::Skipped(reason.to_string()),
        },
    });
    Ok((config, base, candidates.collect()))
}

fn from_diff(path: &Path, args: &CheckArgs) -> Result<(Config, String, Vec<Candidate>)> {
    let bytes = read_text(path, MAX_DIFF_BYTES, "diff")?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok((configuration(args, None), "the diff's base".into(), vec![]));
    }
    let patch = Patch::from_unified(&bytes)
        .with_context(|| format!("cannot read the diff {}", path.display()))?;
    let candidates = patch.files.into_iter().map(|change| Candidate {
        path: change.path().to_owned(),
        outcome: match SkipReason::of_path(change.path()) {
            Some(reason) => CandidateOutcome::Skipped(reason.to_string()),
            None if change.hunks.is_empty() => {
                CandidateOutcome::Unchanged("no changed lines of text".into())
            }
            None => CandidateOutcome::Changed {
                change,
                new_lines: None,
            },
        },
    });
    let config = configuration(args, None);
    Ok((config, "the diff's base".into(), candidates.collect()))
}

/// Defaults, then the repository's file, then the flags. Warnings go to the log.
fn configuration(args: &CheckArgs, root: Option<&Path>) -> Config {
    let mut config = Config::default();
    if let Some(root) = root {
        let (overlaid, warnings) = config.overlaid_by_repository(root);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        config = overlaid;
    }
    if let Some(min_score) = args.min_score {
        config.min_score = min_score;
    }
    config.prior = args.prior.prior.or(config.prior);
    config
}

fn score(
    candidates: Vec<Candidate>,
    engine: &Engine,
    task: Option<&String>,
    min_score: Probability,
) -> Result<Vec<FileReport>, ScoreError> {
    let total = candidates.len();
    let mut files = Vec::with_capacity(total);
    let mut progress = Progress::new(total);
    for candidate in candidates {
        progress.advance();
        let outcome = match candidate.outcome {
            CandidateOutcome::Unchanged(reason) => FileOutcome::Unchanged { reason },
            CandidateOutcome::Skipped(reason) => FileOutcome::Skipped { reason },
            CandidateOutcome::Changed { change, new_lines } => {
                let request = ScoreRequest {
                    patch: Patch {
                        files: vec![change.clone()],
                    },
                    task: task.cloned(),
                };
                match engine.score(Slot(candidate.path.clone()), request) {
                    Ok(verdict) => {
                        let scored = ScoredFile::new(&change, &verdict, new_lines, min_score);
                        FileOutcome::Scored(scored)
                    }
                    // The other files would fail with the same words.
                    Err(error @ ScoreError::Unusable(_)) => return Err(error),
                    Err(error) => FileOutcome::Failed {
                        reason: error.to_string(),
                    },
                }
            }
        };
        files.push(FileReport {
            path: candidate.path,
            outcome,
        });
    }
    Ok(files)
}

/// "scoring 3 of 12" on a terminal, nothing elsewhere.
struct Progress {
    done: usize,
    total: usize,
    shown: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self {
            done: 0,
            total,
            shown: std::io::stderr().is_terminal() && total > 1,
        }
    }

    fn advance(&mut self) {
        self.done += 1;
        if self.shown {
            let line = format!("\rscoring {} of {}", self.done, self.total);
            // Progress that cannot be shown is no reason to stop.
            drop(write!(std::io::stderr(), "{line}"));
        }
    }
}

/// Leaves an empty line for what is printed next.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            drop(write!(std::io::stderr(), "\r\x1b[K"));
        }
    }
}

fn read_text(path: &Path, limit: u64, what: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let cannot_read = || format!("cannot read the {what} {}", path.display());
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(limit + 1)
            .read_to_end(&mut bytes)
    } else {
        File::open(path)
            .with_context(cannot_read)?
            .take(limit + 1)
            .read_to_end(&mut bytes)
    };
    read.with_context(cannot_read)?;
    if bytes.len() as u64 > limit {
        bail!(
            "the {what} {} is larger than {} MiB: pass a part of it",
            path.display(),
            limit >> 20
        );
    }
    Ok(bytes)
}
