//! `diffidence model`: bring a model of your own, check it, and choose which one is used.
//!
//! Invariant: what is chosen here counts for one user on one machine; a stated folder and the
//! environment win over it, and a repository has no say.

use super::Status;
use super::doctor::{SAMPLE_TASK, sample};
use super::model::{DeviceArg, cores, hardware};
use super::remote::{RemoteArgs, add_remote};
use crate::model::locate::VARIABLE;
use crate::model::verifier::{Import, Imported, Template, TemplateChoice, import};
use crate::model::{Bundle, Hardware, ModelError, Run, locate};
use crate::review::Reviews;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// What goes back to the model that came with the program.
const BUNDLED: &str = "bundled";

#[derive(Debug, clap::Args)]
pub(super) struct ModelCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a bundle from a language model on disk, which then judges changes
    Import(ImportArgs),
    /// Use a model that an engine serves, such as vLLM: changed code is sent there
    AddRemote(RemoteArgs),
    /// Show the models that were imported, and which one is used
    List,
    /// Check all files of a bundle and score a small patch with it
    Verify {
        /// Name of an imported model, or folder of a bundle
        model: String,
    },
    /// Use a model wherever none is stated
    Use {
        /// Name of an imported model, folder of a bundle, or `bundled` for the one that came along
        model: String,
    },
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// A GGUF file, or the folder of a Hugging Face model: config.json, tokenizer.json, safetensors
    path: PathBuf,
    /// Name of the model [default: that of its file or folder]
    #[arg(long)]
    name: Option<String>,
    /// A tokenizer.json in place of the one that comes with the model
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// `swe-judge`, `patch-judge`, or a file
    #[arg(long, default_value = "patch-judge")]
    template: String,
    /// The answer for a correct patch [default: YES]
    #[arg(long, requires = "no")]
    yes: Option<String>,
    /// The answer for a wrong patch [default: NO]
    #[arg(long, requires = "yes")]
    no: Option<String>,
    /// Longest prompt, in tokens [default: that of the model, at most 32768]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Folder for the bundle [default: in the folder for data of this user]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Copy the weights if they cannot be linked
    #[arg(long)]
    copy: bool,
}

pub(super) fn run(args: &ModelCommand, out: &mut dyn Write) -> Result<Status> {
    match &args.action {
        Action::Import(args) => run_import(args, out)?,
        Action::AddRemote(args) => add_remote(args, out)?,
        Action::List => list(out)?,
        Action::Verify { model } => {
            let bundle = Bundle::open(&named(model)?)?.verified_anew();
            let model = bundle.model(whole_machine()?)?;
            let logits = model.score(&sample(), Some(SAMPLE_TASK), &Run::default())?;
            writeln!(
                out,
                "{}: every file is as bundle.json states; a sample patch has logit {:.3}",
                bundle.identity,
                logits.patch.get()
            )?;
        }
        Action::Use { model } => choose(model, out)?,
    }
    Ok(Status::Fine)
}

/// The folder of the model to use: a stated one or that of an imported model of that name, else what
/// the environment names, else what the user chose, else the one that came along.
pub(super) fn folder(stated: Option<&Path>) -> Result<PathBuf, ModelError> {
    // A folder of that name comes first, as wherever a path is stated.
    let imported = stated.filter(|path| !path.exists()).and_then(imported);
    locate(imported.as_deref().or(stated), chosen().as_deref())
}

/// What the user chose, if anything.
pub(super) fn chosen() -> Option<PathBuf> {
    let text = std::fs::read_to_string(choice()?).ok()?;
    let folder = text.trim_end_matches('\n');
    (!folder.is_empty()).then(|| PathBuf::from(folder))
}

fn choice() -> Option<PathBuf> {
    Some(Reviews::default_folder()?.join("model"))
}

fn models() -> Result<PathBuf> {
    let data = Reviews::default_folder();
    let data = data.context("no folder for data is known: set DIFFIDENCE_DATA_DIR to one")?;
    Ok(data.join("models"))
}

fn whole_machine() -> Result<Hardware, ModelError> {
    hardware(DeviceArg::Auto, NonZeroUsize::new(cores()))
}

/// The folder of the imported model of that name.
fn imported(name: &Path) -> Option<PathBuf> {
    Some(models().ok()?.join(name)).filter(|folder| folder.is_dir())
}

/// The folder of a model that is called by its name or by its folder.
fn named(model: &str) -> Result<PathBuf> {
    if model == BUNDLED {
        return Ok(locate::bundled()?);
    }
    let folder = imported(Path::new(model)).unwrap_or_else(|| PathBuf::from(model));
    folder
        .canonicalize()
        .with_context(|| format!("no model is called {model:?}, and it is no folder"))
}

fn run_import(args: &ImportArgs, out: &mut dyn Write) -> Result<()> {
    let cannot = || format!("cannot use {}", args.path.display());
    let real = args.path.canonicalize().with_context(cannot)?;
    // A cache of downloads holds links to files with other names.
    let source = match real.is_file() {
        true => std::path::absolute(&args.path).with_context(cannot)?,
        false => real,
    };
    let name = args.name.clone().unwrap_or_else(|| usual_name(&source));
    let folder = folder_for(&name, args.out.as_deref())?;
    let template = template(&args.template);
    let wanted = Import {
        source: &source,
        tokenizer: args.tokenizer.as_deref(),
        out: &folder,
        name,
        template,
        answers: args.yes.clone().zip(args.no.clone()).map(<[_; 2]>::from),
        context: args.context,
        copy: args.copy,
    };
    summary(&import(&wanted, &sample(), whole_machine()?)?, out)
}

/// That of the file or folder, without an ending that only tells the format: names of models are full
/// of points.
fn usual_name(source: &Path) -> String {
    let is_gguf = |it: &std::ffi::OsStr| it.eq_ignore_ascii_case("gguf");
    let name = match source.extension().is_some_and(is_gguf) && source.is_file() {
        true => source.file_stem(),
        false => source.file_name(),
    };
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The folder of a new model: a stated one, or one of its name in the user's data folder.
pub(super) fn folder_for(name: &str, stated: Option<&Path>) -> Result<PathBuf> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) || name == BUNDLED {
        bail!(
            "{name:?} cannot be a name: state one of letters, digits, `-`, `_` and `.` with `--name`"
        );
    }
    Ok(match stated {
        Some(folder) => folder.to_path_buf(),
        None => models()?.join(name),
    })
}

/// The template that a flag names: a built-in one, or a file.
pub(super) fn template(stated: &str) -> TemplateChoice {
    match stated {
        "swe-judge" => TemplateChoice::BuiltIn(Template::SweJudge),
        "patch-judge" => TemplateChoice::BuiltIn(Template::PatchJudge),
        file => TemplateChoice::File(file.into()),
    }
}

fn summary(imported: &Imported, out: &mut dyn Write) -> Result<()> {
    let identity = &imported.bundle.identity;
    let folder = imported.bundle.dir().display();
    let [loaded, full] = &imported.memory;
    writeln!(out, "{identity} in {folder}")?;
    writeln!(
        out,
        "  model     {}, {} M parameters, made for {} tokens",
        imported.architecture,
        imported.parameters / 1_000_000,
        imported.made_for
    )?;
    writeln!(
        out,
        "  weights   {} MB, {}",
        imported.weights / 1_000_000,
        if imported.linked {
            "linked: they take no more room on the disk"
        } else {
            "copied"
        }
    )?;
    writeln!(
        out,
        "  prompt    {}, {} tokens of its own, up to {} in all",
        identity.renderer, imported.overhead, imported.context
    )?;
    if !imported.tells_task {
        writeln!(
            out,
            "  task      not told: the template has no {{task}}, so descriptions of tasks count for nothing"
        )?;
    }
    match &imported.answers {
        Some([yes, no]) => writeln!(out, "  answers   {yes} and {no}")?,
        None => writeln!(out, "  answers   the score or the two classes of its head")?,
    }
    writeln!(
        out,
        "  memory    about {loaded} once loaded, {full} with the longest prompt"
    )?;
    writeln!(
        out,
        "  sample    logit {:.3} for a small patch",
        imported.sample.patch.get()
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

fn list(out: &mut dyn Write) -> Result<()> {
    let used = folder(None);
    let is_visible = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        // What is being made is none yet.
        !name.to_string_lossy().starts_with('.') && path.join("bundle.json").is_file()
    };
    let imported = std::fs::read_dir(models()?).into_iter().flatten().flatten();
    let imported = imported.map(|entry| entry.path()).filter(is_visible);
    let others = [locate::bundled().ok(), used.as_ref().ok().cloned()];
    let mut folders = Vec::new();
    for folder in others.into_iter().flatten().chain(imported) {
        folders.push(folder.canonicalize()?);
    }
    folders.sort();
    folders.dedup();
    let at_use = used
        .as_ref()
        .ok()
        .map(|used| used.canonicalize())
        .transpose()?;
    for folder in folders {
        let mark = if at_use.as_ref() == Some(&folder) {
            "*"
        } else {
            " "
        };
        let said = match Bundle::open(&folder) {
            Ok(bundle) => bundle.identity.to_string(),
            Err(error) => format!("cannot be used: {error}"),
        };
        writeln!(out, "{mark} {said}  {}", folder.display())?;
    }
    // The rest is no use without it.
    used?;
    Ok(())
}

fn choose(model: &str, out: &mut dyn Write) -> Result<()> {
    let choice = choice().context("no folder for data is known: set DIFFIDENCE_DATA_DIR to one")?;
    if model == BUNDLED {
        if choice.exists() {
            std::fs::remove_file(&choice)?;
        }
        writeln!(out, "the bundled model is used from now on")?;
        return Ok(());
    }
    let folder = named(model)?;
    let bundle = Bundle::open(&folder)?;
    let cannot = || format!("cannot write {}", choice.display());
    let parent = choice.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(cannot)?;
    let mut file = tempfile::NamedTempFile::new_in(parent).with_context(cannot)?;
    writeln!(file, "{}", folder.display()).with_context(cannot)?;
    file.persist(&choice).with_context(cannot)?;
    writeln!(
        out,
        "{} is used from now on, unless `--model` or {VARIABLE} names another",
        bundle.identity
    )?;
    Ok(())
}
