//! `diffidence model add-remote`: a model that an engine serves.
//!
//! Invariant: what is sent here is a sample, and no code of the user's; a key is named, and never an
//! argument, which other users of the machine could see.

use super::doctor::sample;
use super::models::{folder_for, template};
use crate::model::remote::{Api, Key, Limits, Remote, add};
use crate::model::verifier::Markup;
use anyhow::{Context, Result};
use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct RemoteArgs {
    /// Address of the engine, up to and without `/completions` or `/classify`, such as
    /// http://127.0.0.1:8000/v1
    url: String,
    /// Name of the model at the engine
    #[arg(long, value_name = "MODEL")]
    served: String,
    /// Name of the model here
    #[arg(long)]
    name: String,
    /// What to ask the engine for
    #[arg(long, value_enum, default_value = "completions")]
    api: ApiArg,
    /// How the chats of the model are marked up
    #[arg(long, value_enum, default_value = "chatml")]
    markup: MarkupArg,
    /// `swe-judge`, `patch-judge`, or a file
    #[arg(long, default_value = "patch-judge")]
    template: String,
    /// The answer for a correct patch [default: YES]
    #[arg(long, requires = "no")]
    yes: Option<String>,
    /// The answer for a wrong patch [default: NO]
    #[arg(long, requires = "yes")]
    no: Option<String>,
    /// Environment variable that holds the engine's key, read each time
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    key_env: Option<String>,
    /// File that holds the engine's key, read each time
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Questions at once
    #[arg(long, value_name = "N", default_value_t = Limits::default().concurrency, value_parser = within(Limits::CONCURRENCY))]
    concurrency: usize,
    /// Seconds for one question
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().timeout_seconds, value_parser = within(Limits::TIMEOUT_SECONDS))]
    timeout: usize,
    /// Tries for one question, each after a longer wait
    #[arg(long, value_name = "N", default_value_t = Limits::default().attempts, value_parser = within(Limits::ATTEMPTS))]
    attempts: usize,
    /// Longest prompt, in bytes
    #[arg(long, value_name = "N", default_value_t = Limits::default().prompt_bytes, value_parser = within(Limits::PROMPT_BYTES))]
    prompt_bytes: usize,
    /// Folder for the bundle [default: in the folder for data of this user]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ApiArg {
    /// One token, with the probabilities of YES and NO
    Completions,
    /// The raw value of a classification head, as vLLM and SGLang serve it
    Classify,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MarkupArg {
    /// As Qwen and many others
    Chatml,
    /// The same, with an empty thought for models that think first
    ChatmlThought,
    /// As Llama 3
    Llama3,
    /// For models that know no chats
    Plain,
}

fn within(range: RangeInclusive<usize>) -> RangedU64ValueParser<usize> {
    let [least, most] = [*range.start(), *range.end()].map(|it| it as u64);
    RangedU64ValueParser::new().range(least..=most)
}

pub(super) fn add_remote(args: &RemoteArgs, out: &mut dyn Write) -> Result<()> {
    let folder = folder_for(&args.name, args.out.as_deref())?;
    let key_file = match &args.key_file {
        // Commands may run in any folder.
        Some(path) => {
            let cannot = || format!("cannot read the key in {}", path.display());
            Some(Key::File(path.canonicalize().with_context(cannot)?))
        }
        None => None,
    };
    let wanted = Remote {
        url: args.url.clone(),
        api: match args.api {
            ApiArg::Completions => Api::Completions,
            ApiArg::Classify => Api::Classify,
        },
        model: args.served.clone(),
        key: args.key_env.clone().map(Key::Env).or(key_file),
        limits: Limits {
            concurrency: args.concurrency,
            timeout_seconds: args.timeout,
            attempts: args.attempts,
            prompt_bytes: args.prompt_bytes,
        },
        template: template(&args.template),
        markup: match args.markup {
            MarkupArg::Chatml => Markup::ChatMl { thinks: false },
            MarkupArg::ChatmlThought => Markup::ChatMl { thinks: true },
            MarkupArg::Llama3 => Markup::Llama3,
            MarkupArg::Plain => Markup::Plain,
        },
        answers: args.yes.clone().zip(args.no.clone()).map(<[_; 2]>::from),
        name: args.name.clone(),
        out: &folder,
    };
    let added = add(wanted, &sample())?;
    let folder = added.bundle.dir().display();
    let logit = added.sample.patch.get();
    writeln!(out, "{} in {folder}", added.bundle.identity)?;
    writeln!(out, "  sample    logit {logit:.3} for a small patch")?;
    writeln!(
        out,
        "Wherever it is used, {}: the changed lines with three around them, their paths, and the task.",
        added.destination
    )?;
    writeln!(
        out,
        "It is uncalibrated: `diffidence calibrate --model {folder} --data FILE` fits it to labelled patches."
    )?;
    writeln!(
        out,
        "`diffidence model use {folder}` makes it the one that is used."
    )?;
    Ok(())
}
