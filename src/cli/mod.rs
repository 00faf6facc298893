//! The command line: one file for each command and each output format, exit codes.
//!
//! Invariant: a command ends with 0 (nothing under the threshold, or done), 1 (something is under
//! the threshold) or 2 (could not be judged), and after 2 there is one line on standard error that
//! says why and what to do. This room must not know the language server protocol.

mod ahead;
mod calibrate;
mod check;
mod doctor;
pub mod eval;
mod github;
mod model;
mod models;
mod rank;
pub mod records;
mod remote;
mod report;
mod review;
mod sarif;
mod score;
mod serve;
mod text;

use clap::{Parser, Subcommand};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// How likely is the change in front of you correct? Judged by a local model, before anything runs.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Score the changes of a git work tree against its base
    Check(check::CheckArgs),
    /// Score patches from JSON lines to JSON lines
    Score(score::ScoreArgs),
    /// Order candidate patches for one task, best first
    Rank(rank::RankArgs),
    /// Measure a model, or scores made elsewhere, on labelled patches
    Eval(model::EvalCommand),
    /// Fit the probabilities to labelled patches, or to marks made in an editor
    Calibrate(calibrate::CalibrateArgs),
    /// Say what a bug report needs, and whether a check could run here
    Doctor(doctor::DoctorArgs),
    /// Import a model of your own, check it, and choose which one is used
    Model(models::ModelCommand),
    /// List, undo or export what was said about hunks in an editor
    Review(review::ReviewArgs),
    /// Serve trainers and agents over HTTP
    Serve(serve::ServeArgs),
    /// Serve an editor over standard input and output
    Lsp(LspArgs),
}

#[derive(Debug, clap::Args)]
struct LspArgs {
    #[command(flatten)]
    prior: model::PriorArg,
    #[command(flatten)]
    model: model::ModelArgs,
    /// Accepted because editors add it; standard input and output are always used
    #[arg(long, hide = true)]
    stdio: bool,
}

/// How a command that could judge everything ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing is under the threshold.
    Fine,
    /// Something is under the threshold.
    Low,
    /// Something could not be judged; it was said where.
    Failed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Fine => 0,
            Status::Low => 1,
            Status::Failed => 2,
        })
    }
}

/// What is logged unless `DIFFIDENCE_LOG` says otherwise. What is wrong with a certificate is told
/// where a connection fails.
const QUIET: &str = "warn,rustls_platform_verifier=off";

/// Runs the program with the arguments of the process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("DIFFIDENCE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(QUIET));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    let result = match cli.command {
        Command::Check(args) => check::run(&args, &mut out),
        Command::Score(args) => score::run(&args, &mut out),
        Command::Rank(args) => rank::run(&args, &mut out),
        Command::Eval(args) => model::run_eval(&args, &mut out),
        Command::Calibrate(args) => calibrate::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
        Command::Model(args) => models::run(&args, &mut out),
        Command::Review(args) => review::run(&args, &mut out),
        Command::Serve(args) => serve::run(&args, &mut out),
        Command::Lsp(args) => {
            drop(out);
            return lsp(&args);
        }
    };
    let result = result.and_then(|status| Ok(out.flush().map(|()| status)?));
    finish(result)
}

fn lsp(args: &LspArgs) -> ExitCode {
    match model::server_options(&args.model, &args.prior).map(crate::server::run) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => finish(Err(error.into())),
        Err(error) => finish(Err(error)),
    }
}

fn finish(result: anyhow::Result<Status>) -> ExitCode {
    match result {
        Ok(status) => status.into(),
        // The reader has seen enough, as with `diffidence check | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell if standard error is gone too.
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            Status::Failed.into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
