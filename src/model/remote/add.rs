//! Makes a bundle for a model that an engine serves.
//!
//! Invariant: a bundle appears in its place only after the engine has judged a patch.

use super::super::bundle::{Bundle, MANIFEST};
use super::super::reward::{PatchLogits, Run};
use super::super::staging::Staging;
use super::super::threads::Threads;
use super::super::verifier::{ImportError, Markup, TemplateChoice, io, refused, template, write};
use super::manifest::{Answers, Api, Destination, Endpoint, Key, Limits, Manifest};
use super::prompt::Prompt;
use crate::calibration::Calibration;
use crate::change::Patch;
use std::path::Path;

/// Which model, and how to ask it.
#[derive(Debug)]
pub struct Remote<'a> {
    /// The address of the engine, up to and without `/completions` or `/classify`.
    pub url: String,
    /// What to ask the engine for.
    pub api: Api,
    /// The model's name at the engine.
    pub model: String,
    /// Where the engine's key is, if it wants one.
    pub key: Option<Key>,
    /// How much is sent, and how long it may take.
    pub limits: Limits,
    /// What to ask.
    pub template: TemplateChoice,
    /// How the model's chats are marked up.
    pub markup: Markup,
    /// The words that are compared, if not those of the template.
    pub answers: Option<[String; 2]>,
    /// Name of the bundle.
    pub name: String,
    /// Folder of the bundle, which must not exist yet.
    pub out: &'a Path,
}

/// What came of it.
#[derive(Debug)]
pub struct Added {
    /// The bundle in its place.
    pub bundle: Bundle,
    /// Where code is sent to from now on.
    pub destination: Destination,
    /// The scores of the sample.
    pub sample: PatchLogits,
}

/// Makes a bundle and scores `sample` with it.
///
/// # Errors
/// [`ImportError`], naming what is wrong.
pub fn add(wanted: Remote<'_>, sample: &Patch) -> Result<Added, ImportError> {
    let out = wanted.out;
    if out.exists() {
        return Err(refused(
            out,
            "is already there; choose another `--name` or `--out`, or remove it first",
        ));
    }
    let destination = Destination::of(&wanted.url).map_err(|problem| refused(out, problem))?;
    let (text, template, usual) = template(&wanted.template, wanted.markup)?;
    Prompt::parse(&text).map_err(|problem| refused(out, problem))?;
    let [yes, no] = wanted.answers.unwrap_or(usual);
    let staging = Staging::beside(out).map_err(|error| io(out, error))?;
    let dir = staging.folder();
    let calibration = serde_json::to_vec_pretty(&Calibration::uncalibrated())
        .map_err(|error| refused(dir, error.to_string()))?;
    let manifest = Manifest::new(
        wanted.name,
        Endpoint {
            url: destination.url().to_owned(),
            api: wanted.api,
            model: wanted.model,
            key: wanted.key,
            limits: wanted.limits,
        },
        write(dir, "prompt.txt", text.as_bytes())?,
        template,
        Answers { yes, no },
        write(dir, "calibration.json", &calibration)?,
    );
    let manifest =
        serde_json::to_vec_pretty(&manifest).map_err(|error| refused(dir, error.to_string()))?;
    write(dir, MANIFEST, &manifest)?;
    let model = Bundle::open(dir)?.model(Threads::new(std::num::NonZeroUsize::new(1))?)?;
    let sample = model.score(sample, None, &Run::default())?;
    staging.finish(out).map_err(|error| io(out, error))?;
    Ok(Added {
        bundle: Bundle::open(out)?,
        destination,
        sample,
    })
}
