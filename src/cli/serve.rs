//! `diffidence serve`: from flags to a running service.
//!
//! Invariant: the token is read from a file or the environment, never from an argument, which other
//! users of the machine could see; and nothing is listened to before the model has scored something.

use super::Status;
use super::doctor::sample;
use super::model::{ModelArgs, PriorArg, engine};
use crate::config::Config;
use crate::scoring::{Rank, ScoreRequest, Slot};
use crate::serve::{ServeOptions, Token, run as serve};
use anyhow::{Context, Result, anyhow};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Environment variable that holds the token.
const VARIABLE: &str = "DIFFIDENCE_TOKEN";

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Address to listen on; any but a loopback one needs a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8127)]
    port: u16,
    /// File that holds the token which clients must send [default: what DIFFIDENCE_TOKEN holds]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Patches that may wait at once; further requests are told to come again
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    queue: u16,
    /// Largest body of a request, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_body: u16,
    /// Seconds within which a request is read and answered
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..))]
    timeout: u16,
    /// Changed lines above which a patch is flagged and not rewarded
    #[arg(long, value_name = "N", default_value_t = 2000)]
    max_changed_lines: usize,
    #[command(flatten)]
    prior: PriorArg,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(args: &ServeArgs, out: &mut dyn Write) -> Result<Status> {
    let options = ServeOptions {
        address: SocketAddr::new(args.host, args.port),
        token: token(args.token_file.as_deref())?,
        queue: args.queue.into(),
        max_body: usize::from(args.max_body) << 20,
        timeout: Duration::from_secs(args.timeout.into()),
        max_changed_lines: args.max_changed_lines,
    };
    options.check()?;
    let config = Config {
        prior: args.prior.prior,
        ..Config::default()
    };
    let engine = engine(&args.model, &config)?;
    try_out(&engine)?;
    let model = engine.judge().identity().to_string();
    serve(engine, options, |address| {
        writeln!(out, "{model} listens on http://{address}")?;
        // Whoever started this waits for the line.
        out.flush()
    })?;
    Ok(Status::Fine)
}

/// Loads the model by scoring something, remembered or not.
fn try_out(engine: &crate::scoring::Engine) -> Result<()> {
    let (send, receive) = crossbeam_channel::bounded(1);
    let request = ScoreRequest {
        patch: sample(),
        task: None,
    };
    engine.submit_afresh(Slot("sample".into()), Rank::default(), request, move |it| {
        drop(send.send(it));
    });
    let verdict = receive.recv().map_err(|_| anyhow!("the model stopped"))?;
    verdict.map(drop).map_err(Into::into)
}

fn token(file: Option<&Path>) -> Result<Option<Token>> {
    let (text, source) = match file {
        Some(file) => {
            let source = file.display().to_string();
            let text = std::fs::read_to_string(file);
            (
                text.with_context(|| format!("cannot read {source}"))?,
                source,
            )
        }
        None => match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => (text, VARIABLE.into()),
            Ok(_) | Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(error) => return Err(error).context(VARIABLE),
        },
    };
    Token::new(&text).map(Some).context(source)
}
