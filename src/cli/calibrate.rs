//! `diffidence calibrate`: fits the map from logits to probabilities to labels of one's own.
//!
//! Invariant: a calibration is written only if it is better on records that it was not fitted on,
//! and never in place of the bundle's own: it lies in the user's data folder and can be undone.
//!
//! Exit status 0 means that it was written, 1 that it would not help and was not, 2 that it could
//! not be fitted.

use super::Status;
use super::ahead::Ahead;
use super::model::{ModelArgs, calibrations, engine};
use super::models::folder;
use super::records;
use crate::calibration::fit::{FEWEST_LABELS, Fit, Kind, Sample, base_rate, fit};
use crate::calibration::metrics::bootstrap::Estimate;
use crate::calibration::{Calibration, Logit, Map, Probability, lack};
use crate::config::Config;
use crate::model::Bundle;
use crate::review::{Label, Reviews, Scope};
use crate::scoring::{Engine, Judge, Opinion, Score};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    from: From,
    /// Find the share of correct changes from scores alone, and leave the shape of the map
    #[arg(long, requires = "data")]
    unlabelled: bool,
    /// Only say what would be written
    #[arg(long)]
    dry_run: bool,
    /// Seed of folds and intervals: the same seed and records give the same result
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct From {
    /// Labelled patches as JSON lines, plain or compressed with zstd; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// What was marked as correct or wrong in an editor
    #[arg(long)]
    marks: bool,
    /// Go back to the calibration that came with the model
    #[arg(long)]
    undo: bool,
}

/// Labelled scores of one kind, with the probabilities that they are given now.
#[derive(Default)]
struct Labelled {
    samples: Vec<Sample>,
    before: Vec<Probability>,
    clusters: HashMap<String, u32>,
}

impl Labelled {
    fn add(&mut self, cluster: String, label: bool, logit: Logit, p: Probability) {
        let next = u32::try_from(self.clusters.len()).unwrap_or(u32::MAX);
        let cluster = *self.clusters.entry(cluster).or_insert(next);
        self.samples.push(Sample {
            logit,
            label,
            cluster,
        });
        self.before.push(p);
    }

    fn share_right(&self) -> f64 {
        let right = self.samples.iter().filter(|sample| sample.label).count();
        right as f64 / self.samples.len().max(1) as f64
    }
}

pub(super) fn run(args: &CalibrateArgs, out: &mut dyn Write) -> Result<Status> {
    let bundle = Bundle::open(&folder(args.model.model.as_deref())?)?;
    let hash = &bundle.identity.bundle_hash;
    let store =
        calibrations().context("no folder for data is known: set DIFFIDENCE_DATA_DIR to one")?;
    if args.from.undo {
        let said = if store.remove(hash)? {
            "back to the calibration that came with the model"
        } else {
            "there is no calibration of your own for this model"
        };
        writeln!(out, "{said}: {}", bundle.calibration.id)?;
        return Ok(Status::Fine);
    }
    // One that is damaged is about to be replaced.
    let current = store
        .load(hash)
        .ok()
        .flatten()
        .unwrap_or_else(|| bundle.calibration.clone());
    let mut fitted = [current.fits_patches(), current.fits_hunks()];
    let mut new = Calibration {
        notes: json!({"from": bundle.calibration.id}),
        ..current.clone()
    };
    let is_better = if args.unlabelled {
        if !current.fits_patches() {
            bail!("what is uncalibrated says nothing about a base rate: give labels first");
        }
        let path = args.from.data.as_deref().unwrap_or(Path::new("-"));
        shift(path, args, &mut new, out)?
    } else {
        let judge = Judge::new(bundle.identity.clone(), current, None);
        let (patches, hunks) = match &args.from.data {
            Some(path) => {
                let engine = engine(&args.model, &Config::default())?;
                labelled(path, &engine, !bundle.calibration.fits_hunks())?
            }
            None => marked(&judge)?,
        };
        let start = &bundle.calibration;
        fit_maps(
            [&patches, &hunks],
            start,
            (&mut new, &mut fitted),
            args,
            out,
        )?
    };
    if !is_better {
        writeln!(out, "nothing is written: it would not help")?;
        return Ok(Status::Low);
    }
    if args.dry_run {
        writeln!(out, "nothing is written: this was a dry run")?;
        return Ok(Status::Fine);
    }
    let [patches, hunks] = fitted;
    let new = new.named(&format!("local-{}", today()), patches, hunks);
    let path = store.save(hash, &new)?;
    writeln!(out, "written to {}", path.display())?;
    if let Some(lack) = lack(&new.id) {
        writeln!(out, "still {lack}: no labels of that kind helped")?;
    }
    writeln!(
        out,
        "in force from now on, and in an editor once its language server is restarted; \
         `diffidence calibrate --undo` takes it back"
    )?;
    Ok(Status::Fine)
}

/// Fits the maps of patches and of hunks where that helps, which `fitted` tells then, and sets the
/// prior to the share of right ones among what was used. Whether any was.
fn fit_maps(
    labelled: [&Labelled; 2],
    start: &Calibration,
    (new, fitted): (&mut Calibration, &mut [bool; 2]),
    args: &CalibrateArgs,
    out: &mut dyn Write,
) -> Result<bool> {
    let kinds = [
        ("patches", &start.patch, &mut new.patch),
        ("hunks", &start.hunk, &mut new.hunk),
    ];
    let (mut right, mut all) = (0.0, 0);
    let mut could_be_fitted = false;
    for (((name, start, map), labelled), fitted) in kinds.into_iter().zip(labelled).zip(fitted) {
        let Some(fit) = fit_one(name, labelled, start, args, out)? else {
            continue;
        };
        could_be_fitted = true;
        if fit.gain.value.is_some_and(|gain| gain > 0.0) {
            *map = fit.map;
            *fitted = true;
            right += labelled.share_right() * labelled.samples.len() as f64;
            all += labelled.samples.len();
        }
    }
    if !could_be_fitted {
        bail!("nothing is written: nothing could be fitted");
    }
    if all > 0 {
        new.default_prior = Probability::new(right / f64::from(u32::try_from(all)?))?;
    }
    Ok(all > 0)
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// Scores labelled records: the patches, and with `takes_hunks` the hunks of those that have only
/// one, whose label it is, too. What cannot be scored is passed over and counted on standard error.
fn labelled(path: &Path, engine: &Engine, takes_hunks: bool) -> Result<(Labelled, Labelled)> {
    let (mut patches, mut hunks) = (Labelled::default(), Labelled::default());
    each_scored(path, engine, |record, score, opinions| {
        let Some(label) = record.label else {
            return;
        };
        let cluster = record.task.clone().unwrap_or_else(|| record.id.to_string());
        if let ([Opinion::Score(only)], true) = (opinions, takes_hunks) {
            hunks.add(cluster.clone(), label, only.logit, only.probability);
        }
        patches.add(cluster, label, score.logit, score.probability);
    })?;
    if patches.samples.is_empty() {
        bail!(
            "{} has no scored patch with a label: give each record a `label`, 1 for correct and 0 \
             for wrong",
            path.display()
        );
    }
    Ok((patches, hunks))
}

fn each_scored(
    path: &Path,
    engine: &Engine,
    mut take: impl FnMut(&records::Record, Score, &[Opinion]),
) -> Result<()> {
    let (mut failed, mut first) = (0u64, None);
    for taken in Ahead::of(path, engine)? {
        let problem = match taken {
            Ok((record, judged)) => match judged {
                Ok(judged) => match judged.verdict.patch {
                    Opinion::Score(score) => {
                        take(&record, score, &judged.verdict.hunks);
                        continue;
                    }
                    Opinion::Abstention(why) => format!("{}: cannot judge: {why}", record.id),
                },
                Err(failure) => format!("{}: {}", record.id, failure.message),
            },
            Err(error) => error.to_string(),
        };
        failed += 1;
        first.get_or_insert(problem);
    }
    if let Some(first) = first {
        tracing::warn!("{failed} records were passed over; the first: {first}");
    }
    Ok(())
}

/// Marks of files and of hunks, as far as they are of this model.
fn marked(judge: &Judge) -> Result<(Labelled, Labelled)> {
    let (mut patches, mut hunks) = (Labelled::default(), Labelled::default());
    let model = judge.identity().to_string();
    let calibration = judge.calibration();
    for entry in Reviews::in_folder(Reviews::default_folder()).marks()? {
        let mark = entry.statement;
        if mark.model != model {
            continue;
        }
        let (labelled, map) = match mark.scope {
            Scope::File => (&mut patches, &calibration.patch),
            Scope::Hunk => (&mut hunks, &calibration.hunk),
        };
        let probability = map.apply(mark.logit, judge.prior());
        // What was marked in one file on one day is hardly independent.
        let day = mark.time.get(..10).unwrap_or_default();
        let cluster = format!("{}\0{}\0{day}", mark.place.root, mark.place.path);
        labelled.add(
            cluster,
            mark.label == Label::Correct,
            mark.logit,
            probability,
        );
    }
    if patches.samples.is_empty() && hunks.samples.is_empty() {
        bail!("nothing was marked with {model} yet: use the code actions of an editor, or --data");
    }
    Ok((patches, hunks))
}

/// Fits one map and says what came of it. `None` if it cannot be fitted.
fn fit_one(
    name: &str,
    labelled: &Labelled,
    start: &Map,
    args: &CalibrateArgs,
    out: &mut dyn Write,
) -> Result<Option<Fit>> {
    let n = labelled.samples.len();
    if n == 0 {
        return Ok(None);
    }
    let share = labelled.share_right() * 100.0;
    writeln!(out, "{name}: {n} labels, {share:.0}% correct")?;
    if n < FEWEST_LABELS {
        let kinds = Kind::ALL.map(|kind| format!("{} for {kind}", kind.labels_needed()));
        writeln!(out, "  too few: it takes {}", kinds.join(", "))?;
        return Ok(None);
    }
    let Some(fit) = fit(start, &labelled.samples, &labelled.before, args.seed) else {
        writeln!(
            out,
            "  nothing can be fitted: it takes both correct and wrong changes"
        )?;
        return Ok(None);
    };
    let (before, after) = (fit.before, fit.after);
    writeln!(
        out,
        "  {:<10} {:>8} {:>8}  on records that it was not fitted on",
        "",
        "now",
        fit.kind.to_string()
    )?;
    for (measure, before, after) in [
        ("log-loss", before.log_loss, after.log_loss),
        ("Brier", before.brier, after.brier),
        ("ECE (10)", before.ece_10, after.ece_10),
    ] {
        writeln!(out, "  {measure:<10} {before:>8.4} {after:>8.4}")?;
    }
    writeln!(out, "  log-loss falls by {}", shown(&fit.gain))?;
    Ok(Some(fit))
}

fn shown(estimate: &Estimate) -> String {
    let value = estimate.value.unwrap_or_default();
    match estimate.interval {
        Some((low, high)) => format!("{value:.4} [{low:.4}, {high:.4}]"),
        None => format!("{value:.4} (too few tasks for an interval)"),
    }
}

/// Sets the prior to what scores alone say.
fn shift(
    path: &Path,
    args: &CalibrateArgs,
    new: &mut Calibration,
    out: &mut dyn Write,
) -> Result<bool> {
    let engine = engine(&args.model, &Config::default())?;
    let prior = engine.judge().prior();
    let mut probabilities = Vec::new();
    each_scored(path, &engine, |_, score, _| {
        probabilities.push(score.probability)
    })?;
    let n = probabilities.len();
    if n < FEWEST_LABELS {
        bail!("{n} scored patches are too few to find a base rate: it takes {FEWEST_LABELS}");
    }
    let found = base_rate(&probabilities, prior).context("no patch was scored")?;
    writeln!(
        out,
        "{n} patches without labels: the prior goes from {prior} to {found}"
    )?;
    writeln!(
        out,
        "  This holds if correct and wrong changes look like those of the training data; a few \
         labels tell more."
    )?;
    new.default_prior = found;
    Ok(found != prior)
}
