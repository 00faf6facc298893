//! `diffidence doctor`: what a bug report needs, and whether `check` could run here.
//!
//! Invariant: nothing is left out because something else failed. What keeps `check` from running
//! is a problem, with the words that `check` would use; the rest is told all the same.

use super::model::{ModelArgs, calibration, cores, hardware};
use super::models::{chosen, folder};
use super::{Status, text};
use crate::calibration::Logit;
use crate::change::{
    Base, ChangeError, ChangeOptions, ChangeSet, FileChange, FileStatus, Hunk, Line, LineKind,
    LineRange, Outcome, Patch, repository_root,
};
use crate::config::{Config, FILE_NAME, repository_keys};
use crate::model::locate::VARIABLE;
use crate::model::{Bundle, ModelError, Run};
use crate::scoring::Cache;
use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Version of the JSON layout.
const VERSION: u32 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Look as if started in DIR
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// How to print the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! detected {
    ($detect:ident: $($name:tt)*) => { [$(($name, std::arch::$detect!($name))),*] };
}

/// What is wrong, as sentences.
#[derive(Default)]
struct Findings {
    /// Passed over.
    warnings: Vec<String>,
    /// `check` could not run.
    problems: Vec<String>,
}

pub(super) fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<Status> {
    let mut findings = Findings::default();
    let root = repository_root(&args.directory);
    let mut config = Config::default();
    if let Ok(root) = &root {
        let (overlaid, warnings) = config.overlaid_by_repository(root);
        config = overlaid;
        findings
            .warnings
            .extend(warnings.iter().map(ToString::to_string));
    }
    let threads = args.model.threads.map(NonZeroUsize::get).or(config.threads);
    let for_check = threads.unwrap_or_else(cores);
    let mut report = json!({
        "version": VERSION,
        "program": program(),
        "model": model(args, for_check, &mut findings),
        "cpu": cpu(),
        "threads": {
            "cores": cores(),
            "check": for_check,
            "editor": threads.unwrap_or((cores() / 2).max(1)),
        },
        "cache": cache(args.model.no_cache),
        "repository": repository(root.as_deref(), &args.directory, &config, &mut findings),
        "configuration": configuration(root.as_deref().ok(), &config),
    });
    report["warnings"] = findings.warnings.into();
    let failed = !findings.problems.is_empty();
    report["problems"] = findings.problems.into();
    match args.format {
        Format::Text => write_text(&report, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(if failed { Status::Failed } else { Status::Fine })
}

fn program() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "platform": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "path": std::env::current_exe().ok(),
    })
}

fn model(args: &DoctorArgs, threads: usize, findings: &mut Findings) -> Value {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let why = if args.model.model.is_some() {
        "named by --model"
    } else if variable.is_some() {
        "named by DIFFIDENCE_MODEL"
    } else if chosen().is_some() {
        "chosen with `diffidence model use`"
    } else {
        "the first of the usual places that has one"
    };
    let mut section = Map::new();
    let mut look = || -> Result<(), ModelError> {
        let folder = folder(args.model.model.as_deref())?;
        section.insert("folder".into(), json!(folder));
        section.insert("why".into(), json!(why));
        let bundle = Bundle::open(&folder)?.verified_anew();
        section.insert("name".into(), json!(bundle.identity.name));
        section.insert("version".into(), json!(bundle.identity.version));
        section.insert("hash".into(), json!(bundle.identity.bundle_hash));
        section.insert("renderer".into(), json!(bundle.identity.renderer));
        if let Some(destination) = bundle.destination() {
            section.insert("privacy".into(), json!(destination.to_string()));
        }
        let calibration = calibration(&bundle).unwrap_or_else(|| bundle.calibration.clone());
        section.insert("calibration".into(), json!(calibration.id));
        section.insert("prior".into(), json!(calibration.default_prior));
        let start = Instant::now();
        let hardware = hardware(args.model.device, NonZeroUsize::new(threads))?;
        section.insert("device".into(), json!(hardware.to_string()));
        let model = bundle.model(hardware)?;
        section.insert("load_ms".into(), milliseconds(start));
        let start = Instant::now();
        let logits = model.score(&sample(), None, &Run::default())?;
        section.insert("score_ms".into(), milliseconds(start));
        // The first patch with a description has the bundled model load what only such patches need.
        let start = Instant::now();
        model.score(&sample(), Some(SAMPLE_TASK), &Run::default())?;
        section.insert("described_ms".into(), milliseconds(start));
        let verified = "every file has the SHA-256 that bundle.json states";
        section.insert("verified".into(), json!(verified));
        section.insert("sample_logit".into(), json!(Logit::get(logits.patch)));
        Ok(())
    };
    if let Err(error) = look() {
        findings.problems.push(error.to_string());
    }
    section.into()
}

fn milliseconds(since: Instant) -> Value {
    json!(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// What [`sample`] is for.
pub(super) const SAMPLE_TASK: &str = "The total must be a sum.";

/// The same change on every machine, so that its logit can be compared.
pub(super) fn sample() -> Patch {
    let line = |kind, text: &str| Line {
        kind,
        text: text.into(),
    };
    let range = LineRange { start: 1, lines: 1 };
    let path = Some("sample.py".to_owned());
    Patch {
        files: vec![FileChange {
            old_path: path.clone(),
            new_path: path,
            status: FileStatus::Modified,
            hunks: vec![Hunk {
                old: range,
                new: range,
                lines: vec![
                    line(LineKind::Removed, "total = a - b"),
                    line(LineKind::Added, "total = a + b"),
                ],
            }],
        }],
    }
}

/// Features that kernels for matrix products ask for, and the kernel that is taken.
fn cpu() -> Value {
    #[cfg(target_arch = "x86_64")]
    let features = detected!(is_x86_feature_detected:
        "sse4.2" "avx" "f16c" "fma" "avx2" "avxvnni" "avx512f" "avx512bw" "avx512vnni" "avx512bf16");
    #[cfg(target_arch = "aarch64")]
    let features = detected!(is_aarch64_feature_detected: "neon" "fp16" "dotprod" "i8mm" "bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let features: [(&str, bool); 0] = [];
    let (has, lacks): (Vec<_>, Vec<_>) = features.into_iter().partition(|(_, present)| *present);
    let names = |of: Vec<(&'static str, bool)>| of.into_iter().map(|(name, _)| name);
    let has: Vec<&str> = names(has).collect();
    // As the crate gemm decides, through which candle computes.
    let kernel = ["avx512f", "fma", "neon"]
        .into_iter()
        .find(|name| has.contains(name));
    json!({
        "kernel": format!("f32 matrix products of gemm, {}", kernel.unwrap_or("scalar")),
        "has": has,
        "lacks": names(lacks).collect::<Vec<_>>(),
    })
}

fn cache(off: bool) -> Value {
    if off {
        return json!({"folder": null, "why": "turned off by --no-cache"});
    }
    let Some(folder) = Cache::default_folder() else {
        return json!({"folder": null, "why": "the platform names no cache folder"});
    };
    let mut entries = 0_u64;
    let mut bytes = 0_u64;
    let mut folders = vec![folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => {
                    entries += 1;
                    bytes += meta.len();
                }
                Err(_) => {}
            }
        }
    }
    json!({"folder": folder, "entries": entries, "bytes": bytes})
}

fn repository(
    root: Result<&Path, &ChangeError>,
    directory: &Path,
    config: &Config,
    findings: &mut Findings,
) -> Value {
    let root = match root {
        Ok(root) => root,
        Err(error) => {
            findings.problems.push(error.to_string());
            return json!({"root": null});
        }
    };
    let task = config.task(root).unwrap_or_else(|warning| {
        findings.warnings.push(warning.to_string());
        None
    });
    let mut section = json!({"root": root, "task": task.is_some()});
    let options = ChangeOptions {
        base: Base::parse(&config.base),
        max_file_bytes: config.max_file_bytes,
        ..ChangeOptions::default()
    };
    match ChangeSet::of(directory, &options) {
        Ok(set) => {
            let count = |wanted: fn(&Outcome) -> bool| {
                let files = set.files.iter();
                files.filter(|file| wanted(&file.outcome)).count()
            };
            section["base"] = json!(set.base_description());
            section["base_commit"] = json!(set.base_commit);
            section["changed"] = json!(count(|it| matches!(it, Outcome::Changed { .. })));
            section["skipped"] = json!(count(|it| matches!(it, Outcome::Skipped(_))));
            section["unchanged"] = json!(count(|it| matches!(it, Outcome::Unchanged { .. })));
        }
        Err(error) => findings.problems.push(error.to_string()),
    }
    section
}

/// Each key with its value and where that comes from; an editor's settings are not known here.
fn configuration(root: Option<&Path>, config: &Config) -> Value {
    let set = root.map(repository_keys).unwrap_or_default();
    let Ok(Value::Object(keys)) = serde_json::to_value(config) else {
        return Value::Null;
    };
    let entry = |(key, value): (String, Value)| {
        let source = if set.contains(&key) {
            FILE_NAME
        } else {
            "default"
        };
        (key, json!({"value": value, "source": source}))
    };
    keys.into_iter().map(entry).collect::<Map<_, _>>().into()
}

/// A heading for each section, and below it a line for each key.
fn write_text(report: &Value, out: &mut dyn Write) -> io::Result<()> {
    for (name, section) in report.as_object().into_iter().flatten() {
        match section {
            Value::Object(keys) => {
                writeln!(out, "{name}")?;
                let width = keys.keys().map(String::len).max().unwrap_or(0);
                for (key, value) in keys {
                    let key = key.replace('_', " ");
                    writeln!(out, "  {key:width$}  {}", shown(value))?;
                }
            }
            Value::Array(sentences) if sentences.is_empty() => writeln!(out, "{name}: none")?,
            Value::Array(sentences) => {
                writeln!(out, "{name}")?;
                for sentence in sentences {
                    writeln!(out, "  - {}", shown(sentence))?;
                }
            }
            // The version of the layout, which text has none of.
            _ => {}
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::String(text) => text::printable(text),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(" "),
        Value::Object(entry) => {
            let part = |name: &str| entry.get(name).map_or_else(String::new, shown);
            format!("{} ({})", part("value"), part("source"))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
