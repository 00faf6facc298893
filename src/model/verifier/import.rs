//! Makes a bundle from a language model on disk.
//!
//! Invariant: a bundle appears in its place only after it was loaded and has scored a patch; a
//! failed import leaves nothing behind. Files of weights are linked, so they take no more room on
//! the disk; only if asked to they are copied.

use super::super::bundle::{Bundle, MANIFEST, digest, one_line, tokenizer_from};
use super::super::hardware::Hardware;
use super::super::manifest::FileEntry;
use super::super::reward::{ModelError, PatchLogits, Run};
use super::super::staging::Staging;
use super::super::stamp::Stamp;
use super::catalogue::Catalogue;
use super::config::Shape;
use super::judge::{gigabytes, needed};
use super::manifest::{Answer, Answers, MIN_CONTEXT, Manifest, Parts};
use super::prompt::{Markup, Prompt, Template};
use super::{add_tensors, is_gguf};
use super::{gguf, words};
use crate::calibration::Calibration;
use crate::change::Patch;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// Longest prompt unless asked otherwise, in tokens.
const DEFAULT_CONTEXT: usize = 32_768;
/// Largest file that is read whole.
const MAX_TEXT: u64 = 64 << 20;

/// What to import, and how.
#[derive(Debug)]
pub struct Import<'a> {
    /// A Hugging Face folder, or a GGUF file.
    pub source: &'a Path,
    /// A `tokenizer.json` in place of the one that comes with the model.
    pub tokenizer: Option<&'a Path>,
    /// Folder of the bundle, which must not exist yet.
    pub out: &'a Path,
    /// Name of the bundle.
    pub name: String,
    /// What to ask.
    pub template: TemplateChoice,
    /// The words that are compared, if not those of the template.
    pub answers: Option<[String; 2]>,
    /// Longest prompt, in tokens.
    pub context: Option<usize>,
    /// Copy weights that cannot be linked.
    pub copy: bool,
}

/// Which template.
#[derive(Debug, Clone)]
pub enum TemplateChoice {
    /// One of ours.
    BuiltIn(Template),
    /// A file.
    File(PathBuf),
}

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// The bundle in its place.
    pub bundle: Bundle,
    /// The family of models.
    pub architecture: &'static str,
    /// How many numbers it has.
    pub parameters: u64,
    /// Bytes of the files of weights.
    pub weights: u64,
    /// Whether they are linked and not copied.
    pub linked: bool,
    /// Longest prompt, in tokens.
    pub context: usize,
    /// The longest prompt that the model was made for.
    pub made_for: usize,
    /// Tokens of the template.
    pub overhead: usize,
    /// Whether the template tells what a change is for.
    pub tells_task: bool,
    /// The tokens that are compared; none if the model tells classes.
    pub answers: Option<[Answer; 2]>,
    /// Memory once loaded, and with the longest prompt: for people.
    pub memory: [String; 2],
    /// The scores of the sample.
    pub sample: PatchLogits,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The bundle was made and does not work.
    #[error("the model does not work: {0}")]
    Model(ModelError),
}

/// Not as a source, which whoever prints the whole chain would tell a second time.
impl From<ModelError> for ImportError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

/// What was found in the source.
struct Found {
    /// The content of `config.json`, and the file that tells it.
    config: (Vec<u8>, PathBuf),
    /// The same for `tokenizer.json`.
    tokenizer: (Vec<u8>, PathBuf),
    chat_template: String,
    weights: Vec<PathBuf>,
}

/// Makes a bundle and scores `sample` with it.
///
/// # Errors
/// [`ImportError`], naming the file and the field at fault.
pub fn import(
    wanted: &Import<'_>,
    sample: &Patch,
    hardware: impl Into<Hardware>,
) -> Result<Imported, ImportError> {
    if wanted.out.exists() {
        return Err(refused(
            wanted.out,
            "is already there; choose another `--name` or `--out`, or remove it first",
        ));
    }
    let found = match is_gguf(wanted.source) {
        true => single(wanted.source, wanted.tokenizer)?,
        false => folder(wanted.source, wanted.tokenizer)?,
    };
    let (config, path) = &found.config;
    let shape = Shape::from_json(config).map_err(|problem| refused(path, problem))?;
    let mut catalogue = Catalogue::default();
    for path in &found.weights {
        let file = File::open(path).map_err(|error| io(path, error))?;
        add_tensors(path, file, &mut catalogue).map_err(|problem| refused(path, problem))?;
    }
    let (tokenizer, path) = &found.tokenizer;
    let tokenizer = tokenizer_from(tokenizer).map_err(|problem| refused(path, problem))?;
    let markup = Markup::of(&tokenizer, &found.chat_template);
    let (text, template, usual) = template(&wanted.template, markup)?;
    let source = match &wanted.template {
        TemplateChoice::BuiltIn(_) => wanted.source,
        TemplateChoice::File(path) => path,
    };
    let prompt = Prompt::parse(&text, &tokenizer).map_err(|problem| refused(source, problem))?;
    let answers = match (shape.classes, &wanted.answers) {
        (None, stated) => {
            let words = stated.clone().unwrap_or(usual);
            Some(answers(&words, &tokenizer).map_err(|problem| refused(path, problem))?)
        }
        (Some(_), None) => None,
        (Some(_), Some(_)) => {
            let problem =
                "the model tells classes and no words, so there is no `--yes` and no `--no`";
            return Err(refused(wanted.source, problem));
        }
    };
    let context = context(wanted.context, &shape, prompt.overhead())
        .map_err(|problem| refused(&found.config.1, problem))?;

    let staging = Staging::beside(wanted.out).map_err(|error| io(wanted.out, error))?;
    let dir = staging.folder();
    let mut linked = true;
    let mut weights = Vec::new();
    let mut bytes = 0;
    for (number, path) in found.weights.iter().enumerate() {
        let (entry, size, is_linked) = place(path, number, dir, wanted.copy)?;
        weights.push(entry);
        bytes += size;
        linked &= is_linked;
    }
    let calibration = serde_json::to_vec_pretty(&Calibration::uncalibrated())
        .map_err(|error| refused(dir, error.to_string()))?;
    let manifest = Manifest::new(Parts {
        name: wanted.name.clone(),
        architecture: shape.architecture.name(),
        weights,
        config: write(dir, "config.json", &found.config.0)?,
        tokenizer: write(dir, "tokenizer.json", &found.tokenizer.0)?,
        prompt: write(dir, "prompt.txt", text.as_bytes())?,
        template,
        answers: answers.clone(),
        context,
        calibration: write(dir, "calibration.json", &calibration)?,
    });
    let manifest =
        serde_json::to_vec_pretty(&manifest).map_err(|error| refused(dir, error.to_string()))?;
    write(dir, MANIFEST, &manifest)?;
    let model = Bundle::open(dir)?.model(hardware)?;
    let sample = model.score(sample, None, &Run::default())?;
    let finished = staging.finish(wanted.out);
    finished.map_err(|error| io(wanted.out, error))?;
    let loaded = catalogue.bytes_in_memory();
    Ok(Imported {
        bundle: Bundle::open(wanted.out)?,
        architecture: shape.architecture.name(),
        parameters: catalogue.parameters(),
        weights: bytes,
        linked,
        context,
        made_for: shape.context,
        overhead: prompt.overhead(),
        tells_task: prompt.tells_task(),
        answers: answers.map(|answers| [answers.yes, answers.no]),
        memory: [
            needed(loaded, 0, 0),
            needed(loaded, shape.bytes_per_token(), context),
        ]
        .map(gigabytes),
        sample,
    })
}

/// A GGUF file, which holds everything.
fn single(source: &Path, tokenizer: Option<&Path>) -> Result<Found, ImportError> {
    let file = File::open(source).map_err(|error| io(source, error))?;
    let at = |problem| refused(source, problem);
    let header = gguf::header(&file).map_err(at)?;
    let metadata = gguf::Source(&header.metadata);
    Ok(Found {
        config: (gguf::config(&header).map_err(at)?, source.into()),
        tokenizer: match tokenizer {
            Some(path) => (read(path)?, path.into()),
            None => (words::tokenizer(metadata).map_err(at)?, source.into()),
        },
        chat_template: metadata
            .text("tokenizer.chat_template")
            .unwrap_or_default()
            .into(),
        weights: vec![source.into()],
    })
}

/// The files of a Hugging Face folder.
fn folder(source: &Path, tokenizer: Option<&Path>) -> Result<Found, ImportError> {
    let config = source.join("config.json");
    if source.is_file() {
        return Err(refused(
            source,
            "is no GGUF file: those begin with the letters GGUF; give one, or the folder of a Hugging Face model, with config.json, tokenizer.json and safetensors",
        ));
    }
    if !config.is_file() {
        return Err(refused(
            source,
            "is no folder with a config.json: give the folder of a Hugging Face model, with config.json, tokenizer.json and safetensors, or a GGUF file",
        ));
    }
    let index = source.join("model.safetensors.index.json");
    let single = source.join("model.safetensors");
    let weights = if single.is_file() {
        vec![single]
    } else if index.is_file() {
        shards(&index)?
    } else {
        return Err(refused(
            source,
            "holds neither model.safetensors nor model.safetensors.index.json; weights in other formats are not read",
        ));
    };
    let tokenizer = tokenizer.map_or_else(|| source.join("tokenizer.json"), Path::to_path_buf);
    Ok(Found {
        config: (read(&config)?, config),
        tokenizer: (read(&tokenizer)?, tokenizer),
        chat_template: chat_template(source),
        weights,
    })
}

fn shards(index: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let json: Value =
        serde_json::from_slice(&read(index)?).map_err(|error| refused(index, error.to_string()))?;
    let map = json["weight_map"]
        .as_object()
        .ok_or_else(|| refused(index, "field `weight_map` is missing"))?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let is_plain = |name: &str| Path::new(name).file_name().is_some_and(|it| it == name);
    if let Some(name) = names.iter().find(|name| !is_plain(name)) {
        return Err(refused(
            index,
            format!("field `weight_map` names {name:?}, which is no file in this folder"),
        ));
    }
    Ok(names
        .iter()
        .map(|name| index.with_file_name(name))
        .collect())
}

/// What tells how chats are marked up; empty if nothing does.
fn chat_template(source: &Path) -> String {
    if let Ok(bytes) = read(&source.join("chat_template.jinja")) {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let config = read(&source.join("tokenizer_config.json")).unwrap_or_default();
    let json: Value = serde_json::from_slice(&config).unwrap_or_default();
    json["chat_template"].as_str().unwrap_or_default().into()
}

/// The text of a template, its name, and the words that answer it.
pub(in crate::model) fn template(
    choice: &TemplateChoice,
    markup: Markup,
) -> Result<(String, &'static str, [String; 2]), ImportError> {
    Ok(match choice {
        TemplateChoice::BuiltIn(template) => (
            template.text(markup),
            template.name(),
            template.answers(markup).map(String::from),
        ),
        TemplateChoice::File(path) => (
            String::from_utf8_lossy(&read(path)?).into_owned(),
            "custom",
            ["YES", "NO"].map(String::from),
        ),
    })
}

/// The first token of each word. They must differ, or there is nothing to compare.
fn answers(words: &[String; 2], tokenizer: &Tokenizer) -> Result<Answers, String> {
    let answer = |word: &String| -> Result<Answer, String> {
        let fault = |error: tokenizers::Error| error.to_string();
        let encoding = tokenizer.encode_fast(word.as_str(), false).map_err(fault)?;
        Ok(match *encoding.get_ids() {
            [] => return Err(format!("the answer {word:?} is no token")),
            [id] => Answer {
                text: word.clone(),
                id,
                begins: None,
            },
            [id, ..] => Answer {
                text: tokenizer.decode(&[id], false).map_err(fault)?,
                id,
                begins: Some(word.clone()),
            },
        })
    };
    let (yes, no) = (answer(&words[0])?, answer(&words[1])?);
    if yes.id == no.id {
        return Err(format!(
            "the answers {:?} and {:?} begin with the same token, {:?}: choose others with `--yes` and `--no`",
            words[0], words[1], yes.text
        ));
    }
    Ok(Answers { yes, no })
}

fn context(wanted: Option<usize>, shape: &Shape, overhead: usize) -> Result<usize, String> {
    let context = wanted.unwrap_or(DEFAULT_CONTEXT.min(shape.context));
    if context > shape.context {
        return Err(format!(
            "field `max_position_embeddings` is {}, so `--context {context}` is too long",
            shape.context
        ));
    }
    if context < overhead + MIN_CONTEXT {
        return Err(format!(
            "a context of {context} tokens leaves no room for a patch: the template takes {overhead}"
        ));
    }
    Ok(context)
}

/// Links or copies a file of weights into the bundle.
fn place(
    path: &Path,
    number: usize,
    dir: &Path,
    copy: bool,
) -> Result<(FileEntry, u64, bool), ImportError> {
    // A cache of downloads holds links to files with other names.
    let original = path.canonicalize().map_err(|error| io(path, error))?;
    let size = fs::metadata(&original)
        .map_err(|error| io(path, error))?
        .len();
    let format = if is_gguf(path) { "gguf" } else { "safetensors" };
    let file = format!("weights-{number:05}.{format}");
    let target = dir.join(&file);
    let linked = fs::hard_link(&original, &target).is_ok();
    if !linked {
        if !copy {
            return Err(refused(
                path,
                format!(
                    "cannot be linked into {}, which may be on another file system; `--copy` copies {}",
                    dir.parent().unwrap_or(dir).display(),
                    gigabytes(size)
                ),
            ));
        }
        fs::copy(&original, &target).map_err(|error| io(path, error))?;
    }
    let mut opened = File::open(&target).map_err(|error| io(&target, error))?;
    let metadata = opened.metadata().map_err(|error| io(&target, error))?;
    let sha256 = digest(&mut opened).map_err(|error| io(&target, error))?;
    if let Some(stamp) = Stamp::new(&file, &sha256, &metadata) {
        stamp.keep(dir);
    }
    Ok((FileEntry { file, sha256 }, size, linked))
}

pub(in crate::model) fn write(
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<FileEntry, ImportError> {
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(|error| io(&path, error))?;
    let sha256 = digest(&mut &*bytes).map_err(|error| io(&path, error))?;
    let file = name.into();
    Ok(FileEntry { file, sha256 })
}

fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    let size = fs::metadata(path).map_err(|error| io(path, error))?.len();
    if size > MAX_TEXT {
        return Err(refused(
            path,
            format!("is larger than the limit of {MAX_TEXT} bytes"),
        ));
    }
    fs::read(path).map_err(|error| io(path, error))
}

pub(in crate::model) fn io(path: &Path, error: std::io::Error) -> ImportError {
    let path = path.to_path_buf();
    ImportError::Io { path, error }
}

pub(in crate::model) fn refused(path: &Path, problem: impl Into<String>) -> ImportError {
    ImportError::Refused {
        path: path.to_path_buf(),
        problem: one_line(&problem.into()),
    }
}
