//! `diffidence eval`: how good scores are on labelled records.
//!
//! Records are scored one by one and their patches forgotten, so memory does not grow with the size
//! of patches; only for `--rm-curve` the words that they change are kept. This file must not know
//! how a score is made: it is given a [`Scorer`] or a file of scores.
//!
//! Exit status 0 means that every labelled record was judged, or that the model said it cannot; 2
//! that some could not be read or scored.

mod outputs;
mod report;
mod scores;
mod table;

pub use report::{Failure, Group, Records, Report, View, Views};

use super::ahead::AHEAD;
use super::records::{self, LineError, Record, RecordId};
use crate::calibration::{Logit, Probability};
use crate::change::Patch;
use crate::ranking::Words;
use clap::{Args, ValueEnum};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Arguments of `diffidence eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// Labelled records as JSON lines, plain or compressed with zstd; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,

    /// Evaluate scores made elsewhere: JSON lines with `id`, `probability` and, for ranking, `logit`
    #[arg(long, value_name = "FILE")]
    pub scores: Option<PathBuf>,

    /// The share of correct changes that the probabilities in `--scores` were made for
    #[arg(long, value_name = "P", requires = "scores", value_parser = parse_share)]
    pub scores_prior: Option<Probability>,

    /// Share of correct changes to assume in groups, predictions and plot: `reference` is the
    /// model's own, `data` that of the labelled records, or a number between 0 and 1
    #[arg(long, value_name = "reference|data|P", default_value = "reference")]
    pub prior: Prior,

    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Write the probability of each record to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,

    /// Draw the reliability diagram to this SVG file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,

    /// Draw to this SVG file how often the best of k candidates of a task is correct: picked at
    /// random, by score, by agreement among the candidates, by both as `diffidence rank` does, or
    /// perfectly
    #[arg(long, value_name = "FILE")]
    pub rm_curve: Option<PathBuf>,

    /// Draw to this SVG file how often the scores are on the wrong side of one half, by the share
    /// of records that are judged when the least certain are left out
    #[arg(long, value_name = "FILE")]
    pub risk_coverage: Option<PathBuf>,

    /// Bootstrap resamples behind each 95% interval, and simulations behind each floor
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub resamples: usize,

    /// Seed of the resampling: the same seed and records give the same report
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Text,
    /// One JSON object for programs.
    Json,
}

/// Which share of correct changes to assume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prior {
    /// The one that the probabilities were made for.
    Reference,
    /// The share among the labelled records.
    Data,
    /// A given one.
    Is(Probability),
}

impl FromStr for Prior {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reference" => Ok(Self::Reference),
            "data" => Ok(Self::Data),
            _ => open_share(text).map(Self::Is).ok_or_else(|| {
                "expected `reference`, `data` or a number between 0 and 1, exclusive".to_owned()
            }),
        }
    }
}

pub(super) fn parse_share(text: &str) -> Result<Probability, &'static str> {
    open_share(text).ok_or("expected a number between 0 and 1, exclusive")
}

fn open_share(text: &str) -> Option<Probability> {
    let p = Probability::new(text.parse().ok()?).ok()?;
    (p.get() > 0.0 && p.get() < 1.0).then_some(p)
}

/// Makes scores; what stands behind it is for the caller to know.
pub trait Scorer {
    /// Name and version of the model.
    fn model(&self) -> String;

    /// The share of correct changes that the probabilities are for; between 0 and 1, exclusive.
    fn prior(&self) -> Probability;

    /// Begins to score the record on a line. Some more are begun before its score is asked for.
    fn score(&mut self, line: u64, record: &Record) -> Later;
}

/// Waits for a score, or for why this record has none; others may still have one.
pub type Later = Box<dyn FnOnce() -> Result<Scored, ScoreError>>;

/// A score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Calibrated, at the scorer's prior.
    pub probability: Probability,
    /// What records are ranked by; a probability can be too close to 0 or 1 to tell them apart.
    pub logit: Option<Logit>,
}

/// Why a record has no score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The model says that it cannot judge such a record.
    #[error("cannot judge: {reason}")]
    Abstained {
        /// For programs, such as `prose`.
        code: String,
        /// For people, one line.
        reason: String,
    },
    /// It was not scored.
    #[error("{message}")]
    Failed {
        /// For programs, such as `bad-patch`.
        code: String,
        /// For people, one line.
        message: String,
    },
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Every labelled record was judged, or the model said that it cannot.
    Complete,
    /// Some could not be; the report leaves them out and counts them.
    Incomplete,
}

impl ExitStatus {
    /// For the operating system.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Incomplete => 2,
        }
    }
}

/// Why there is no report at all.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// An input cannot be opened.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An output cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file, or `output`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not one record with a label and a score.
    #[error("no labelled record in {path} could be judged{first}")]
    NothingToJudge {
        /// The file of records.
        path: PathBuf,
        /// The first thing that went wrong, if any.
        first: String,
    },
    /// Probabilities cannot be moved to another prior when theirs is unknown.
    #[error("`--prior` needs to know the prior of the scores: state it with `--scores-prior`")]
    UnknownPrior,
    /// All labels are equal.
    #[error("`--prior data` needs correct and incorrect records, all labels in the data are equal")]
    OneLabel,
    /// Neither a file of scores nor a model.
    #[error("nothing makes scores: give a model or `--scores`")]
    NoScores,
}

/// One labelled record after scoring.
#[derive(Debug, Clone, PartialEq)]
struct Judged {
    id: RecordId,
    correct: bool,
    scored: Scored,
    /// What the patch changes, if that was asked for and can be read.
    words: Option<Words>,
    task: Option<String>,
    language: Option<String>,
    source: Option<String>,
    policy: Option<String>,
}

/// A labelled record that the model cannot judge.
#[derive(Debug, Clone, PartialEq)]
struct Abstained {
    id: RecordId,
    correct: bool,
    code: String,
    reason: String,
}

/// Why a line has no score.
enum Unjudged {
    Abstained(Abstained),
    Failed(Failure),
}

/// What became of the lines of `--data`, in their order.
struct Judgement {
    results: Vec<Result<Judged, Unjudged>>,
    unlabelled: usize,
    model: Option<String>,
    prior: Option<Probability>,
    keeps_words: bool,
}

/// Scores the labelled records and writes the report to `out`. `scorer` is asked only if there is
/// no `--scores`. `progress` is told the number of lines done.
///
/// # Errors
/// If a file cannot be read or written, no record can be judged, or the priors asked for are not
/// known. What goes wrong with single records is part of the report.
pub fn run(
    args: &EvalArgs,
    scorer: Option<&mut dyn Scorer>,
    progress: &mut dyn FnMut(u64),
    out: &mut dyn Write,
) -> Result<ExitStatus, EvalError> {
    // Opened first: an output that cannot be written should not cost an hour of scoring.
    let mut predictions = args
        .predictions
        .as_deref()
        .map(outputs::create)
        .transpose()?;
    let mut plot = args.plot.as_deref().map(outputs::create).transpose()?;
    let mut curve = args.rm_curve.as_deref().map(outputs::create).transpose()?;
    let risk = args.risk_coverage.as_deref();
    let mut risk = risk.map(outputs::create).transpose()?;
    let judgement = judge(args, scorer, progress)?;
    let (report, views) = report::build(args, &judgement)?;

    if let Some(file) = &mut predictions {
        file.write(|w| outputs::predictions(w, &judgement, &views))?;
    }
    if let Some(file) = &mut plot {
        file.write(|w| outputs::plot(w, &report, &judgement, &views))?;
    }
    if let Some(file) = &mut curve {
        file.write(|w| outputs::rm_curve(w, &report))?;
    }
    if let Some(file) = &mut risk {
        file.write(|w| outputs::risk_coverage(w, &report, &views))?;
    }
    let written = match args.format {
        Format::Text => table::write(out, &report),
        Format::Json => serde_json::to_writer_pretty(&mut *out, &report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    written.map_err(|source| EvalError::Write {
        path: PathBuf::from("output"),
        source,
    })?;
    Ok(if report.records.failed == 0 {
        ExitStatus::Complete
    } else {
        ExitStatus::Incomplete
    })
}

fn judge(
    args: &EvalArgs,
    scorer: Option<&mut dyn Scorer>,
    progress: &mut dyn FnMut(u64),
) -> Result<Judgement, EvalError> {
    let cannot_read = |path: &Path| {
        let path = path.to_owned();
        move |source| EvalError::Read { path, source }
    };
    match (&args.scores, scorer) {
        (Some(path), _) => {
            let lines = records::open(path).map_err(cannot_read(path))?;
            let mut scores = scores::FileScores::read(lines);
            let model = scores.model.clone();
            let score = |_, record: &Record| -> Later {
                let scored = scores.score(record);
                Box::new(|| scored)
            };
            let mut judgement = Judgement::new(model, args.scores_prior, args);
            let lines = records::open(&args.data).map_err(cannot_read(&args.data))?;
            judgement.fill(records::records(lines), score, progress);
            judgement
                .results
                .extend(scores.failures.into_iter().map(Unjudged::Failed).map(Err));
            Ok(judgement)
        }
        (None, Some(scorer)) => {
            let mut judgement = Judgement::new(Some(scorer.model()), Some(scorer.prior()), args);
            let lines = records::open(&args.data).map_err(cannot_read(&args.data))?;
            let score = |line, record: &Record| scorer.score(line, record);
            judgement.fill(records::records(lines), score, progress);
            Ok(judgement)
        }
        (None, None) => Err(EvalError::NoScores),
    }
}

/// A line, its record and label, and the score that is to come.
type Begun = Result<(u64, Record, bool, Later), LineError>;

impl Judgement {
    fn new(model: Option<String>, prior: Option<Probability>, args: &EvalArgs) -> Self {
        Self {
            results: Vec::new(),
            unlabelled: 0,
            model,
            prior,
            keeps_words: args.rm_curve.is_some(),
        }
    }

    fn fill(
        &mut self,
        lines: impl Iterator<Item = Result<(u64, Record), LineError>>,
        mut score: impl FnMut(u64, &Record) -> Later,
        progress: &mut dyn FnMut(u64),
    ) {
        let mut begun = VecDeque::new();
        for line in lines {
            begun.push_back(match line {
                Err(error) => Err(error),
                Ok((line, record)) => {
                    let Some(correct) = record.label else {
                        progress(line);
                        self.unlabelled += 1;
                        continue;
                    };
                    let later = score(line, &record);
                    Ok((line, record, correct, later))
                }
            });
            if begun.len() == AHEAD {
                self.take(begun.pop_front(), progress);
            }
        }
        while !begun.is_empty() {
            self.take(begun.pop_front(), progress);
        }
    }

    /// Waits for the score of a record that was begun.
    fn take(&mut self, begun: Option<Begun>, progress: &mut dyn FnMut(u64)) {
        let (line, record, correct, later) = match begun {
            None => return,
            Some(Ok(begun)) => begun,
            Some(Err(error)) => {
                progress(error.line);
                self.results.push(Err(Unjudged::Failed(error.into())));
                return;
            }
        };
        progress(line);
        self.results.push(match later() {
            Ok(scored) => Ok(Judged {
                words: self.keeps_words.then(|| words(&record)).flatten(),
                id: record.id,
                correct,
                scored,
                task: record.task,
                language: record.language,
                source: record.source,
                policy: record.policy,
            }),
            Err(ScoreError::Abstained { code, reason }) => Err(Unjudged::Abstained(Abstained {
                id: record.id,
                correct,
                code,
                reason,
            })),
            Err(ScoreError::Failed { code, message }) => Err(Unjudged::Failed(Failure {
                line,
                id: Some(record.id),
                code,
                message,
            })),
        });
    }

    fn judged(&self) -> impl Iterator<Item = &Judged> {
        self.results
            .iter()
            .filter_map(|result| result.as_ref().ok())
    }

    fn unjudged(&self) -> impl Iterator<Item = &Unjudged> {
        self.results
            .iter()
            .filter_map(|result| result.as_ref().err())
    }

    fn abstained(&self) -> impl Iterator<Item = &Abstained> {
        self.unjudged().filter_map(|unjudged| match unjudged {
            Unjudged::Abstained(abstained) => Some(abstained),
            Unjudged::Failed(_) => None,
        })
    }

    fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.unjudged().filter_map(|unjudged| match unjudged {
            Unjudged::Abstained(_) => None,
            Unjudged::Failed(failure) => Some(failure),
        })
    }
}

fn words(record: &Record) -> Option<Words> {
    let patch = Patch::from_typed_unified(record.patch.as_bytes()).ok()?;
    Some(Words::of(&patch))
}
