//! `diffidence check`: scores the changes of a work tree, or of a diff, and says which to look at.

use super::model::{ModelArgs, PriorArg, engine, probability};
use super::report::{FileOutcome, FileReport, Frame, Report};
use super::{Status, github, sarif, text};
use crate::calibration::Probability;
use crate::change::{
    Base, ChangeOptions, ChangeSet, FileChange, Outcome, Patch, SkipReason, repository_root,
};
use crate::config::{Config, MAX_TASK_BYTES};
use crate::model::TokensRead;
use crate::review::Reviews;
use crate::scoring::{Engine, ScoreError, ScoreRequest, Slot};
use crate::syntax::{Checker, Flaw};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A diff larger than this is not a change that anybody reads.
const MAX_DIFF_BYTES: u64 = 64 << 20;

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
    /// What ends with exit code 1; what could not be judged ends with 2 either way
    #[arg(long, value_enum, default_value = "low")]
    fail_on: FailOn,
    /// Only print what is low, what could not be scored, and the summary (text and github)
    #[arg(short, long)]
    quiet: bool,
    /// Show ignored hunks as any other
    #[arg(long)]
    no_ignore: bool,
    #[command(flatten)]
    prior: PriorArg,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// Everything, for programs
    Json,
    /// Static Analysis Results Interchange Format 2.1.0, for code scanning
    Sarif,
    /// Workflow commands that GitHub shows as annotations
    Github,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Something is below the threshold
    Low,
    /// Nothing: the scores are only shown
    Never,
}

/// What there is to score, and the settings that hold for it.
struct Found {
    /// Top of the work tree; none for a diff.
    root: Option<PathBuf>,
    config: Config,
    /// What the changes were compared with, for a reader.
    base: String,
    candidates: Vec<Candidate>,
}

/// A file of the change, with what is needed to report it.
struct Candidate {
    path: String,
    outcome: CandidateOutcome,
    /// What its text shows by itself.
    checks: Vec<Flaw>,
}

enum CandidateOutcome {
    Changed {
        change: FileChange,
        new_lines: Option<u32>,
        /// For each hunk whether the user ignores it; empty if that is not asked for.
        ignored: Vec<bool>,
    },
    Unchanged(String),
    Skipped(String),
}

pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<Status> {
    let mut task = args.task.as_deref().map(read_task).transpose()?;
    let Found {
        root,
        config,
        base,
        candidates,
    } = match &args.diff {
        Some(path) => from_diff(path, args)?,
        None => from_work_tree(args)?,
    };
    if let (None, Some(root)) = (&task, root) {
        task = config.task(&root).unwrap_or_else(|warning| {
            tracing::warn!("{warning}");
            None
        });
    }
    let min_score = config.min_score;
    let engine = engine(&args.model, &config)?;
    let files = score(candidates, &engine, task.as_ref(), min_score, args.quiet)?;
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
        Format::Text => text::write(&report, args.quiet, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        Format::Sarif => sarif::write(&report, out)?,
        Format::Github => github::write(&report, args.quiet, out)?,
    }
    let counts = report.counts();
    // Whoever names a file asks for its score; a work tree may well hold nothing but prose.
    let names_a_file = || {
        let mut paths = args.paths.iter();
        paths.any(|path| args.directory.join(path).is_file())
    };
    let nothing_judged = counts.scored == 0 && counts.abstained > 0;
    Ok(if counts.failed > 0 || (nothing_judged && names_a_file()) {
        Status::Failed
    } else if counts.low_hunks + counts.low_files > 0 && args.fail_on == FailOn::Low {
        Status::Low
    } else {
        Status::Fine
    })
}

fn from_work_tree(args: &CheckArgs) -> Result<Found> {
    let root = repository_root(&args.directory)?;
    let config = configuration(args, Some(&root));
    let base = args.base.as_deref().unwrap_or(&config.base);
    let options = ChangeOptions {
        base: Base::parse(base),
        staged: args.staged,
        index_file: index_of_hook().filter(|_| args.staged),
        max_file_bytes: config.max_file_bytes,
        keep_texts: config.static_checks,
        paths: args
            .paths
            .iter()
            .map(|path| std::path::absolute(args.directory.join(path)))
            .collect::<std::io::Result<_>>()?,
        ..ChangeOptions::default()
    };
    let set = ChangeSet::of(&args.directory, &options)?;
    let base = set.base_description();
    let reviews = Reviews::in_folder(Reviews::default_folder().filter(|_| !args.no_ignore));
    let checker = Checker::default();
    let candidates = set.files.into_iter().map(|file| Candidate {
        path: file.path,
        checks: match &file.outcome {
            Outcome::Changed { change, texts, .. } => checker.check_texts(change, texts.as_ref()),
            Outcome::Unchanged { .. } | Outcome::Skipped(_) => Vec::new(),
        },
        outcome: match file.outcome {
            Outcome::Changed {
                change,
                new_text_lines,
                ..
            } => CandidateOutcome::Changed {
                ignored: reviews.ignored_of(&root, &change),
                change,
                new_lines: Some(new_text_lines),
            },
            Outcome::Unchanged { why } => CandidateOutcome::Unchanged(why.to_string()),
            Outcome::Skipped(reason) => CandidateOutcome::Skipped(reason.to_string()),
        },
    });
    let candidates = candidates.collect();
    Ok(Found {
        root: Some(root),
        config,
        base,
        candidates,
    })
}

fn from_diff(path: &Path, args: &CheckArgs) -> Result<Found> {
    let bytes = read_text(path, MAX_DIFF_BYTES, "diff")?;
    let found = |candidates| Found {
        root: None,
        config: configuration(args, None),
        base: "the diff's base".into(),
        candidates,
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(found(Vec::new()));
    }
    let patch = Patch::from_unified(&bytes)
        .with_context(|| format!("cannot read the diff {}", path.display()))?;
    let candidates = patch.files.into_iter().map(|change| Candidate {
        path: change.path().to_owned(),
        checks: Vec::new(),
        outcome: match SkipReason::of_path(change.path()) {
            Some(reason) => CandidateOutcome::Skipped(reason.to_string()),
            None if change.hunks.is_empty() => {
                CandidateOutcome::Unchanged("no changed lines of text".into())
            }
            None => CandidateOutcome::Changed {
                change,
                new_lines: None,
                ignored: Vec::new(),
            },
        },
    });
    Ok(found(candidates.collect()))
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
    quiet: bool,
) -> Result<Vec<FileReport>, ScoreError> {
    let progress = progress(candidates.len(), quiet);
    let slot = |path: &str| Slot(path.to_owned());
    // All at once, so that the engine can do some side by side.
    let asked: Vec<_> = candidates
        .into_iter()
        .map(|candidate| {
            let answer = match &candidate.outcome {
                CandidateOutcome::Changed { change, .. } => {
                    let request = ScoreRequest {
                        patch: Patch {
                            files: vec![change.clone()],
                        },
                        task: task.cloned(),
                    };
                    Some(engine.ask(slot(&candidate.path), request))
                }
                _ => None,
            };
            (candidate, answer)
        })
        .collect();
    let mut files = Vec::with_capacity(asked.len());
    for (candidate, answer) in asked {
        progress.set_message(text::printable(&candidate.path));
        let outcome = match (candidate.outcome, answer) {
            (CandidateOutcome::Unchanged(reason), _) => FileOutcome::Unchanged { reason },
            (CandidateOutcome::Skipped(reason), _) => FileOutcome::Skipped { reason },
            (
                CandidateOutcome::Changed {
                    change,
                    new_lines,
                    ignored,
                },
                answer,
            ) => {
                let tell = |tokens: TokensRead| {
                    if !quiet && progress.is_hidden() {
                        progress.set_draw_target(ProgressDrawTarget::stderr());
                    }
                    let path = text::printable(&candidate.path);
                    let TokensRead { done, all } = tokens;
                    progress.set_message(format!("{path}: {done} of {all} tokens"));
                };
                let wait = |answer| engine.wait(&slot(&candidate.path), &answer, tell);
                match answer.map_or(Err(ScoreError::Stopped), wait) {
                    Ok(verdict) => {
                        let mut outcome = FileOutcome::of(&change, &verdict, new_lines, min_score);
                        if let FileOutcome::Scored(scored) = &mut outcome {
                            scored.ignore(&ignored);
                        }
                        outcome
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
            checks: candidate.checks,
        });
        progress.inc(1);
    }
    Ok(files)
}

/// The index that git hands to the hooks of a commit, when that is not the repository's own.
fn index_of_hook() -> Option<PathBuf> {
    let path = std::env::var_os("GIT_INDEX_FILE").filter(|path| !path.is_empty())?;
    // Relative to the folder in which the hook was started.
    std::path::absolute(path).ok()
}

/// A bar on a terminal, nothing elsewhere; it leaves an empty line for what is printed next. For
/// one file it is shown only once that takes long.
fn progress(files: usize, quiet: bool) -> ProgressBar {
    let target = if quiet || files < 2 {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let style = ProgressStyle::with_template("scoring {bar:20} {pos} of {len}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(files as u64), target)
        .with_style(style)
        .with_finish(ProgressFinish::AndClear)
}

/// The description of what a change is for; `-` is standard input.
pub(super) fn read_task(path: &Path) -> Result<String> {
    let bytes = read_text(path, MAX_TASK_BYTES, "task description")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
