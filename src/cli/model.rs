//! From flags to a running engine: which bundle, which calibration, which prior, which cache.

use super::Status;
use super::eval::{self, EvalArgs, ExitStatus, Later, Scored, Scorer};
use super::models::folder;
use super::records::Record;
use super::score;
use crate::calibration::{Calibration, LocalCalibrations, Probability};
use crate::config::Config;
use crate::model::{Bundle, Hardware, ModelError, Threads};
use crate::review::Reviews;
use crate::scoring::{Cache, Engine, EngineOptions, Judge, Loader, Opinion, Scope};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// Flags that every command with a model has.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ModelArgs {
    /// Name of an imported model, or folder of a bundle [default: the one that was chosen with
    /// `diffidence model use`, else the bundled one]
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<PathBuf>,
    /// Threads that the model may use [default: all cores, half of them in an editor]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Where a verifier computes; the bundled model always computes on the processor
    #[arg(long, value_enum, default_value_t)]
    pub(super) device: DeviceArg,
    /// Score what the model cannot judge, too; the number then means little
    #[arg(long)]
    pub(super) no_abstain: bool,
    /// Neither read nor write remembered scores
    #[arg(long)]
    pub(super) no_cache: bool,
}

/// Where a verifier computes.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum DeviceArg {
    /// The first graphics processor that this build can use, else the processor
    #[default]
    Auto,
    /// The processor
    Cpu,
    /// The first graphics processor, or an error
    Gpu,
}

/// The flag of commands that print probabilities.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PriorArg {
    /// Share of correct changes to assume before looking at one [default: the model's]
    #[arg(long, value_name = "P", value_parser = eval::parse_share)]
    pub(super) prior: Option<Probability>,
}

/// `diffidence eval`, with the model that makes the scores.
#[derive(Debug, clap::Args)]
pub(super) struct EvalCommand {
    #[command(flatten)]
    eval: EvalArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// A probability from the command line.
pub(super) fn probability(text: &str) -> Result<Probability, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number such as 0.35")?;
    Probability::new(value).map_err(|error| error.to_string())
}

/// Where a model computes, by the flags.
pub(super) fn hardware(
    device: DeviceArg,
    threads: Option<NonZeroUsize>,
) -> Result<Hardware, ModelError> {
    let accelerator = match device {
        DeviceArg::Gpu => Some(Hardware::first_accelerator()?),
        DeviceArg::Auto if Hardware::may_have_accelerator() => Hardware::first_accelerator()
            .inspect_err(|problem| tracing::warn!("the processor computes: {problem}"))
            .ok(),
        DeviceArg::Auto | DeviceArg::Cpu => None,
    };
    Ok(Hardware {
        threads: Threads::new(threads)?,
        accelerator,
    })
}

/// The bundle that the flags or the configuration name, read but not loaded.
struct Opened {
    judge: Judge,
    loader: Loader,
    cache: Arc<Cache>,
    /// What the user must know of where changed code goes.
    notice: Option<String>,
}

fn open(args: &ModelArgs, config: &Config, default_threads: usize) -> Result<Opened> {
    let folder = folder(args.model.as_deref().or(config.model.as_deref()))?;
    let bundle = Bundle::open(&folder)?;
    let calibration = calibration(&bundle).unwrap_or_else(|| bundle.calibration.clone());
    let scope = if args.no_abstain {
        Scope::everything()
    } else {
        Scope::new(bundle.languages.clone(), bundle.min_read)
    };
    let judge = Judge::new(bundle.identity.clone(), calibration, config.prior).within(scope);
    let threads = args
        .threads
        .or(config.threads.and_then(NonZeroUsize::new))
        .or(NonZeroUsize::new(default_threads));
    let notice = bundle.destination().map(|it| it.to_string());
    if let Some(notice) = &notice {
        // If standard error is gone, so is whoever would read it.
        drop(writeln!(std::io::stderr(), "note: {notice}"));
    }
    let device = args.device;
    let loader: Loader = Box::new(move || bundle.model(hardware(device, threads)?));
    let cache = match Cache::default_folder().filter(|_| !args.no_cache) {
        Some(folder) => Cache::in_folder(folder),
        None => Cache::in_memory(),
    };
    Ok(Opened {
        judge,
        loader,
        cache: Arc::new(cache),
        notice,
    })
}

/// Where the user's own calibrations are, if the platform has a place for them.
pub(super) fn calibrations() -> Option<LocalCalibrations> {
    Reviews::default_folder().map(|folder| LocalCalibrations::in_folder(&folder))
}

/// The user's own calibration for a model. One that cannot be used is said, and the bundle's
/// counts.
pub(super) fn calibration(bundle: &Bundle) -> Option<Calibration> {
    let loaded = calibrations()?.load(&bundle.identity.bundle_hash);
    loaded.unwrap_or_else(|error| {
        tracing::warn!("the calibration that came with the model is used: {error}");
        None
    })
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// An engine for commands without an editor: all cores, and several patches at once.
pub(super) fn engine(args: &ModelArgs, config: &Config) -> Result<Engine> {
    let opened = open(args, config, cores())?;
    let options = EngineOptions {
        side_by_side: true,
        ..EngineOptions::default()
    };
    Engine::start(opened.judge, opened.cache, opened.loader, options)
        .context("cannot start the inference thread")
}

/// What the language server starts from: half of the cores, so that typing stays smooth.
pub(super) fn server_options(args: &ModelArgs, prior: &PriorArg) -> Result<ServerOptions> {
    let config = Config {
        prior: prior.prior,
        ..Config::default()
    };
    let opened = open(args, &config, (cores() / 2).max(1))?;
    Ok(ServerOptions {
        judge: opened.judge,
        cache: opened.cache,
        loader: opened.loader,
        reviews: Reviews::in_folder(Reviews::default_folder()),
        config,
        notice: opened.notice,
    })
}

/// Runs `diffidence eval`; the model is only looked for if scores are not given.
pub(super) fn run_eval(args: &EvalCommand, out: &mut dyn Write) -> Result<Status> {
    let terminal = std::io::stderr().is_terminal();
    let mut progress = |done: u64| {
        if terminal {
            // Progress that cannot be shown is no reason to stop.
            drop(write!(std::io::stderr(), "\r{done} records"));
        }
    };
    let status = if args.eval.scores.is_some() {
        eval::run(&args.eval, None, &mut progress, out)?
    } else {
        let mut scorer = EngineScorer(engine(&args.model, &Config::default())?);
        eval::run(&args.eval, Some(&mut scorer), &mut progress, out)?
    };
    Ok(match status {
        ExitStatus::Complete => Status::Fine,
        ExitStatus::Incomplete => Status::Failed,
    })
}

struct EngineScorer(Engine);

impl Scorer for EngineScorer {
    fn model(&self) -> String {
        self.0.judge().identity().to_string()
    }

    fn prior(&self) -> Probability {
        self.0.judge().prior()
    }

    fn score(&mut self, line: u64, record: &Record) -> Later {
        let coming = score::Coming::ask(record, line, &self.0);
        Box::new(|| match coming.and_then(score::Coming::wait) {
            Ok(judged) => match judged.verdict.patch {
                Opinion::Score(score) => Ok(Scored {
                    probability: score.probability,
                    logit: Some(score.logit),
                }),
                Opinion::Abstention(why) => Err(eval::ScoreError::Abstained {
                    code: why.code().into(),
                    reason: why.to_string(),
                }),
            },
            Err(failure) => Err(eval::ScoreError::Failed {
                code: failure.code.into(),
                message: failure.message,
            }),
        })
    }
}

#[cfg(all(test, not(any(feature = "cuda", feature = "metal"))))]
mod tests {
    use super::*;

    #[test]
    fn without_graphics_processors_only_who_insists_is_refused() {
        let accelerator = |device| Ok::<_, ModelError>(hardware(device, None)?.accelerator);
        for device in [DeviceArg::Auto, DeviceArg::Cpu] {
            assert!(accelerator(device).unwrap().is_none());
        }
        let error = accelerator(DeviceArg::Gpu).unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
