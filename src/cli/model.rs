//! From flags to a running engine: which bundle, which calibration, which prior, which cache.

use super::Status;
use super::eval::{EvalArgs, Scored};
use super::records::Record;
use crate::calibration::Probability;
use crate::change::Patch;
use crate::config::Config;
use crate::model::{Bundle, RewardModel, locate, set_threads};
use crate::scoring::{Cache, Engine, EngineOptions, Judge, Loader, ScoreRequest, Slot};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Flags that every command with a model has.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ModelArgs {
    /// Folder of the model bundle [default: the bundled model]
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Share of correct changes to assume before looking at one, between 0 and 1
    #[arg(long, value_name = "P", value_parser = open_probability)]
    pub(crate) prior: Option<Probability>,
    /// Threads that the model may use [default: all cores, half of them in an editor]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Neither read nor write remembered scores
    #[arg(long)]
    pub(crate) no_cache: bool,
}

/// A probability from the command line.
pub(crate) fn probability(text: &str) -> Result<Probability, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number such as 0.35")?;
    Probability::new(value).map_err(|error| error.to_string())
}

/// As [`probability`], without the two ends, which have no log-odds.
fn open_probability(text: &str) -> Result<Probability, String> {
    let value = probability(text)?;
    if value.get() > 0.0 && value.get() < 1.0 {
        Ok(value)
    } else {
        Err("a prior of 0 or 1 leaves nothing to judge: give a number in between".into())
    }
}

/// The bundle that the flags or the configuration name, read but not loaded.
struct Opened {
    judge: Judge,
    loader: Loader,
    cache: Arc<Cache>,
}

fn open(args: &ModelArgs, config: &Config, threads: usize) -> Result<Opened> {
    let folder = locate(args.model.as_deref().or(config.model.as_deref()))?;
    let bundle = Bundle::open(&folder)?;
    let judge = Judge::new(
        bundle.identity().clone(),
        bundle.calibration().clone(),
        args.prior.or(config.prior),
    );
    let threads = args.threads.or(config.threads).unwrap_or(threads).max(1);
    set_threads(threads);
    let loader: Loader = Box::new(move || Ok(Box::new(bundle.load()?) as Box<dyn RewardModel>));
    let cache = match Cache::default_folder().filter(|_| !args.no_cache) {
        Some(folder) => Cache::in_folder(folder),
        None => Cache::in_memory(),
    };
    Ok(Opened {
        judge,
        loader,
        cache: Arc::new(cache),
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// An engine for commands that end by themselves: all cores.
pub(super) fn engine(args: &ModelArgs, config: &Config) -> Result<Engine> {
    let opened = open(args, config, cores())?;
    Engine::start(
        opened.judge,
        opened.cache,
        opened.loader,
        EngineOptions::default(),
    )
    .context("cannot start the inference thread")
}

/// What the language server starts from: half of the cores, so that typing stays smooth.
pub(super) fn server_options(args: &ModelArgs) -> Result<ServerOptions> {
    let config = Config {
        model: args.model.clone(),
        prior: args.prior,
        threads: args.threads,
        ..Config::default()
    };
    let opened = open(args, &config, (cores() / 2).max(1))?;
    Ok(ServerOptions {
        judge: opened.judge,
        cache: opened.cache,
        loader: opened.loader,
        config,
    })
}

/// Runs `diffidence eval` with a model behind it; the model is only loaded if it is asked.
pub(super) fn run_eval(args: &EvalArgs, out: &mut dyn Write) -> Result<Status> {
    let engine = engine(&args.model, &Config::default())?;
    let prior = engine.judge().prior();
    let mut score = |record: &Record| -> Result<Scored, String> {
        let patch = Patch::from_unified(record.patch.as_bytes()).map_err(|e| e.to_string())?;
        let request = ScoreRequest {
            patch,
            task: record.problem.clone(),
        };
        let verdict = engine
            .score(Slot(record.id.to_string()), request)
            .map_err(|error| error.to_string())?;
        Ok(Scored {
            logit: verdict.patch.logit,
            probability: verdict.patch.probability,
        })
    };
    super::eval::run(args, prior, &mut score, out)
}
