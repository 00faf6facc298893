//! The content of `bundle.json` for a generative verifier, checked field by field.
//!
//! Invariant: as for the other kind, a [`Manifest`] names only plain files within its folder.

use super::super::manifest::{FileEntry, Refusal, check_hash, check_name, parse, require, within};
use crate::calibration::Probability;
use serde::{Deserialize, Serialize};

/// The kind, as `bundle.json` states it.
pub(super) const KIND: &str = "generative-verifier";

/// Version of how a prompt is laid out and a patch is rendered in it.
const LAYOUT: &str = "@1";
/// Shortest prompt that makes sense.
pub(super) const MIN_CONTEXT: usize = 64;
/// Longest prompt that is accepted, in tokens.
const MAX_CONTEXT: usize = 1 << 20;
/// Most files of weights.
const MAX_SHARDS: usize = 1_024;

/// A description of a verifier.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::model) struct Manifest {
    schema: u32,
    kind: String,
    pub(in crate::model) name: String,
    pub(in crate::model) version: String,
    /// For the reader; `config` counts.
    architecture: String,
    pub(super) weights: Vec<FileEntry>,
    pub(super) config: FileEntry,
    pub(super) tokenizer: FileEntry,
    pub(super) prompt: FileEntry,
    pub(in crate::model) renderer: String,
    /// None for a model that tells classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answers: Option<Answers>,
    pub(super) context: usize,
    pub(in crate::model) calibration: String,
    pub(in crate::model) calibration_sha256: String,
    #[serde(default)]
    pub(in crate::model) languages: Vec<String>,
    /// Share of the patch that must have been read for a score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::model) min_read: Option<Probability>,
}

/// The tokens that are compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answers {
    pub(super) yes: Answer,
    pub(super) no: Answer,
}

/// A token, with the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The text of the token.
    pub text: String,
    /// Its number.
    pub id: u32,
    /// The answer that it is the first token of, if that is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<String>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ({})", self.text, self.id)?;
        match &self.begins {
            None => Ok(()),
            Some(answer) => write!(f, ", the first token of {answer:?}"),
        }
    }
}

/// What an importer knows of a verifier.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) architecture: &'static str,
    pub(super) weights: Vec<FileEntry>,
    pub(super) config: FileEntry,
    pub(super) tokenizer: FileEntry,
    pub(super) prompt: FileEntry,
    pub(super) template: &'static str,
    pub(super) answers: Option<Answers>,
    pub(super) context: usize,
    pub(super) calibration: FileEntry,
}

impl Manifest {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            schema: 1,
            kind: KIND.into(),
            name: parts.name,
            version: "1".into(),
            architecture: parts.architecture.into(),
            weights: parts.weights,
            config: parts.config,
            tokenizer: parts.tokenizer,
            prompt: parts.prompt,
            renderer: format!("{}{LAYOUT}", parts.template),
            answers: parts.answers,
            context: parts.context,
            calibration: parts.calibration.file,
            calibration_sha256: parts.calibration.sha256,
            languages: Vec::new(),
            min_read: None,
        }
    }

    /// Reads and checks `bundle.json`.
    pub(in crate::model) fn from_json(bytes: &[u8]) -> Result<Self, Refusal> {
        let manifest: Self = parse(bytes)?;
        if !manifest.renderer.ends_with(LAYOUT) {
            return Err(Refusal::Unsupported(format!(
                "field `renderer` is {:?}, but this version lays out prompts as {LAYOUT}",
                manifest.renderer
            )));
        }
        let weights = manifest.weights.iter().map(|entry| ("weights", entry));
        let others = [
            ("config", &manifest.config),
            ("tokenizer", &manifest.tokenizer),
            ("prompt", &manifest.prompt),
        ];
        for (field, entry) in weights.chain(others) {
            check_name(field, &entry.file)?;
            check_hash(field, &entry.sha256)?;
        }
        check_name("calibration", &manifest.calibration)?;
        check_hash("calibration_sha256", &manifest.calibration_sha256)?;
        within("weights", manifest.weights.len(), 1, MAX_SHARDS)?;
        within("context", manifest.context, MIN_CONTEXT, MAX_CONTEXT)?;
        require(
            manifest
                .answers
                .as_ref()
                .is_none_or(|answers| answers.yes.id != answers.no.id),
            "field `answers` names the same token twice",
        )?;
        Ok(manifest)
    }
}
