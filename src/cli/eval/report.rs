//! The content of a report, as `--format json` writes it.

use super::{EvalArgs, EvalError, Judged, Judgement, Prior};
use crate::calibration::metrics::{
    Evaluation, EvaluationSettings, Observation, RiskCoverage, evaluate, risk_coverage,
};
use crate::calibration::{Probability, shift_prior};
use crate::cli::records::{LineError, RecordId};
use crate::ranking::{Contender, RmCurve, rm_curve};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// Smaller groups are counted but not measured: their numbers would be noise.
const SMALLEST_GROUP: usize = 20;
/// Failures told one by one.
const FAILURES_SHOWN: usize = 20;

/// What `eval` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of this layout.
    pub schema: u32,
    /// Name and version of the model, if known.
    pub model: Option<String>,
    /// The file of labelled records.
    pub data: PathBuf,
    /// What became of the records.
    pub records: Records,
    /// The columns of `calibration` in each group: the same scores at different priors.
    pub views: Vec<View>,
    /// Which of `views` groups, predictions and plot show.
    pub primary_view: usize,
    /// Resamples behind each interval.
    pub resamples: usize,
    /// Seed of the resampling.
    pub seed: u64,
    /// What picking among candidates is worth, if `--rm-curve` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rm_curve: Option<RmCurve>,
    /// How the error falls when the least certain scores are left out, at the primary view.
    pub risk_coverage: RiskCoverage,
    /// Why the model could not judge records, most frequent first.
    pub abstentions: Vec<AbstentionCount>,
    /// All records.
    pub overall: Group,
    /// By programming language, most records first.
    pub by_language: Vec<Group>,
    /// By data set.
    pub by_source: Vec<Group>,
    /// By author of the patch.
    pub by_policy: Vec<Group>,
    /// The first failures.
    pub failures: Vec<Failure>,
}

/// How many records there were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Records {
    /// With a label and a score.
    pub judged: usize,
    /// With a label, but such that the model says it cannot judge them; left out of all measures.
    pub abstained: usize,
    /// Share of the labelled records that could be scored which the model judged.
    pub coverage: f64,
    /// Without a label; left out.
    pub unlabelled: usize,
    /// That could not be read or scored; left out.
    pub failed: usize,
}

/// A reason to abstain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AbstentionCount {
    /// For programs, such as `prose`.
    pub code: String,
    /// Records with it.
    pub n: usize,
}

/// The probabilities at one prior.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// `shipped`, `data` or `stated`.
    pub name: &'static str,
    /// The share of correct changes that is assumed; `None` if unknown.
    pub prior: Option<Probability>,
}

/// Records that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// What they have in common; `None` where the records do not say.
    pub name: Option<String>,
    /// Number of records.
    pub n: usize,
    /// Number of correct ones.
    pub positives: usize,
    /// `None` below 20 records.
    pub measures: Option<Evaluation>,
}

/// A line that could not be judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// 1-based.
    pub line: u64,
    /// The record's name, if the line states one.
    pub id: Option<RecordId>,
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<LineError> for Failure {
    fn from(error: LineError) -> Self {
        Self {
            line: error.line,
            id: error.id,
            code: "bad-line".to_owned(),
            message: error.problem,
        }
    }
}

/// The probabilities of all judged records, once for each [`View`].
#[derive(Debug, Clone, PartialEq)]
pub struct Views {
    views: Vec<View>,
    columns: Vec<Vec<Probability>>,
    primary: usize,
}

impl Views {
    fn new(judgement: &Judgement, prior: Prior) -> Result<Self, EvalError> {
        let shipped: Vec<_> = judgement.judged().map(|j| j.scored.probability).collect();
        let positives = judgement.judged().filter(|j| j.correct).count();
        let rate = Probability::new(positives as f64 / shipped.len().max(1) as f64)
            .ok()
            .filter(|rate| rate.get() > 0.0 && rate.get() < 1.0);
        let mut all = Self {
            views: vec![View {
                name: "shipped",
                prior: judgement.prior,
            }],
            columns: vec![shipped],
            primary: 0,
        };
        let data = judgement
            .prior
            .zip(rate)
            .map(|(from, to)| all.add("data", from, to));
        match prior {
            Prior::Reference => {}
            Prior::Data => {
                judgement.prior.ok_or(EvalError::UnknownPrior)?;
                all.primary = data.ok_or(EvalError::OneLabel)?;
            }
            Prior::Is(to) => {
                let from = judgement.prior.ok_or(EvalError::UnknownPrior)?;
                all.primary = all.add("stated", from, to);
            }
        }
        Ok(all)
    }

    fn add(&mut self, name: &'static str, from: Probability, to: Probability) -> usize {
        let shifted = self.columns[0].iter().map(|&p| shift_prior(p, from, to));
        let shifted = shifted.collect();
        self.columns.push(shifted);
        self.views.push(View {
            name,
            prior: Some(to),
        });
        self.views.len() - 1
    }

    pub(super) fn primary_index(&self) -> usize {
        self.primary
    }

    pub(super) fn primary(&self) -> &[Probability] {
        &self.columns[self.primary]
    }

    pub(super) fn primary_label(&self) -> String {
        self.views[self.primary].label()
    }
}

impl View {
    /// In words, for headings.
    pub(super) fn label(&self) -> String {
        let name = match self.name {
            "data" => "at the data's base rate",
            "stated" => "as asked",
            _ => "as shipped",
        };
        match self.prior {
            Some(prior) => format!("{name} (prior {:.3})", prior.get()),
            None => format!("{name} (prior unknown)"),
        }
    }
}

pub(super) fn build(args: &EvalArgs, judgement: &Judgement) -> Result<(Report, Views), EvalError> {
    let judged: Vec<&Judged> = judgement.judged().collect();
    if judged.is_empty() {
        let failed = judgement.failures().next();
        let failed = failed.map(|f| format!(": line {}: {}", f.line, f.message));
        let abstained = || {
            let first = judgement.abstained().next()?;
            Some(format!(": {}: cannot judge: {}", first.id, first.reason))
        };
        return Err(EvalError::NothingToJudge {
            path: args.data.clone(),
            first: failed.or_else(abstained).unwrap_or_default(),
        });
    }
    let views = Views::new(judgement, args.prior)?;
    let observations = observations(&judged);
    let settings = EvaluationSettings {
        resamples: args.resamples,
        seed: args.seed,
    };
    let group = |name: Option<String>, members: &[usize]| {
        let chosen: Vec<Observation> = members.iter().map(|&i| observations[i]).collect();
        let column = |all: &Vec<Probability>| members.iter().map(|&i| all[i]).collect();
        let columns: Vec<Vec<Probability>> = views.columns.iter().map(column).collect();
        let large = chosen.len() >= SMALLEST_GROUP;
        Group {
            name,
            n: chosen.len(),
            positives: chosen.iter().filter(|o| o.correct).count(),
            measures: large.then(|| evaluate(&chosen, &columns, settings)),
        }
    };
    let everyone: Vec<usize> = (0..judged.len()).collect();
    let overall = group(None, &everyone);
    let by = |field: fn(&Judged) -> &Option<String>| {
        let mut members: BTreeMap<&Option<String>, Vec<usize>> = BTreeMap::new();
        for (index, judged) in judged.iter().enumerate() {
            members.entry(field(judged)).or_default().push(index);
        }
        let groups = members.into_iter();
        let mut groups: Vec<Group> = groups
            .map(|(name, members)| {
                let name = name.clone();
                // Resampling is what takes time: a group of all records is not measured again.
                if members.len() == everyone.len() {
                    Group {
                        name,
                        ..overall.clone()
                    }
                } else {
                    group(name, &members)
                }
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.n));
        groups
    };
    let (by_language, by_source, by_policy) = (
        by(|judged| &judged.language),
        by(|judged| &judged.source),
        by(|judged| &judged.policy),
    );
    let abstained = judgement.abstained().count();
    let report = Report {
        schema: 1,
        model: judgement.model.clone(),
        data: args.data.clone(),
        records: Records {
            judged: judged.len(),
            abstained,
            coverage: judged.len() as f64 / (judged.len() + abstained) as f64,
            unlabelled: judgement.unlabelled,
            failed: judgement.failures().count(),
        },
        views: views.views.clone(),
        primary_view: views.primary,
        resamples: args.resamples,
        seed: args.seed,
        rm_curve: args.rm_curve.is_some().then(|| {
            let tasks = contenders(&judged);
            rm_curve(&tasks, args.resamples, args.seed)
        }),
        risk_coverage: risk_coverage(&observations, views.primary(), settings),
        abstentions: abstentions(judgement),
        overall,
        by_language,
        by_source,
        by_policy,
        failures: judgement.failures().take(FAILURES_SHOWN).cloned().collect(),
    };
    Ok((report, views))
}

/// Why records were not judged, most frequent first.
fn abstentions(judgement: &Judgement) -> Vec<AbstentionCount> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for abstained in judgement.abstained() {
        *counts.entry(&abstained.code).or_default() += 1;
    }
    let counts = counts.into_iter();
    let mut counts: Vec<AbstentionCount> = counts
        .map(|(code, n)| AbstentionCount {
            code: code.to_owned(),
            n,
        })
        .collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.n));
    counts
}

/// The candidates of each task, in the order of the tasks' names.
fn contenders(judged: &[&Judged]) -> Vec<Vec<Contender>> {
    let mut tasks: BTreeMap<&str, Vec<Contender>> = BTreeMap::new();
    for judged in judged {
        if let Some(task) = &judged.task {
            tasks.entry(task).or_default().push(Contender {
                probability: judged.scored.probability,
                words: judged.words.clone(),
                correct: judged.correct,
            });
        }
    }
    tasks.into_values().collect()
}

/// Ranks by logit if every record has one, else by probability: the two must not be mixed.
fn observations(judged: &[&Judged]) -> Vec<Observation> {
    let by_logit = judged.iter().all(|j| j.scored.logit.is_some());
    let mut tasks: HashMap<&str, u32> = HashMap::new();
    judged
        .iter()
        .map(|judged| Observation {
            score: match judged.scored.logit {
                Some(logit) if by_logit => logit.get(),
                _ => judged.scored.probability.get(),
            },
            correct: judged.correct,
            task: judged.task.as_deref().map(|task| {
                let next = tasks.len() as u32;
                *tasks.entry(task).or_insert(next)
            }),
        })
        .collect()
}
