//! A loaded verifier: asks its model about a patch and about each hunk.
//!
//! Invariant: the tokens that all questions share are computed once. A logit is that of yes minus
//! that of no, so its sigmoid is the softmax over the two, as SWE-RM reads its score; a model that
//! classifies in place of speaking answers with its classes.

use super::super::bundle::{BundleFiles, one_line, tokenizer_from};
use super::super::hardware::Hardware;
use super::super::reward::{ModelError, ModelIdentity, PatchLogits, RewardModel, Run};
use super::super::threads::Threads;
use super::accelerator::Accelerator;
use super::add_tensors;
use super::catalogue::Catalogue;
use super::config::Shape;
use super::decoder::{Decoder, LanguageModel};
use super::kernels::Kernels;
use super::manifest::Manifest;
use super::memory::Memory;
use super::plain::Plain;
use super::processor::Processor;
use super::prompt::{Laid, Prompt};
use crate::calibration::Logit;
use crate::change::Patch;
use std::num::NonZeroUsize;

/// Memory for one chunk of a prompt on its way through the model, in bytes.
const WORKING: u64 = 256 << 20;

/// Tokens whose logits are computed at once.
const OUTPUTS: usize = 8_192;

/// A loaded model of kind `generative-verifier`.
pub struct GenerativeVerifier {
    identity: ModelIdentity,
    decoder: Box<dyn LanguageModel>,
    plain: Plain,
    prompt: Prompt,
    /// Yes and no, as tokens or classes; or the only class, whose logit is the score.
    answers: Vec<u32>,
    context: usize,
    threads: Threads,
}

impl GenerativeVerifier {
    /// Reads and verifies all files of a bundle.
    pub(in crate::model) fn load(
        identity: ModelIdentity,
        manifest: &Manifest,
        files: &BundleFiles<'_>,
        hardware: Hardware,
    ) -> Result<Self, ModelError> {
        let (path, bytes) = files.small(&manifest.config)?;
        let shape = Shape::from_json(&bytes).map_err(|problem| files.invalid(&path, problem))?;
        let answers = match (shape.classes, &manifest.answers) {
            (Some(classes), None) => (0..classes as u32).rev().collect(),
            (None, Some(answers)) => vec![answers.yes.id, answers.no.id],
            (_, stated) => {
                let problem = match stated {
                    Some(_) => "tells of classes, but bundle.json of `answers`",
                    None => "tells of no classes, and bundle.json of no `answers`",
                };
                return Err(files.invalid(&path, problem.into()));
            }
        };
        let (path, bytes) = files.tokenizer(&manifest.tokenizer)?;
        let tokenizer = tokenizer_from(&bytes).map_err(|problem| files.invalid(&path, problem))?;
        let (prompt_path, text) = files.small(&manifest.prompt)?;
        let prompt = Prompt::parse(&String::from_utf8_lossy(&text), &tokenizer)
            .map_err(|problem| files.invalid(&prompt_path, problem))?;
        let plain = Plain::new(tokenizer).map_err(|problem| files.invalid(&path, problem))?;

        let mut catalogue = Catalogue::default();
        for entry in &manifest.weights {
            let (path, file) = files.weights(entry)?;
            add_tensors(&path, file, &mut catalogue)
                .map_err(|problem| files.invalid(&path, problem))?;
        }
        check_memory(
            catalogue.bytes_in_memory(),
            shape.bytes_per_token(),
            manifest.context,
            hardware.free_memory(),
        )?;
        let (threads, decoder) = decoder(&catalogue, shape, hardware)?;
        Ok(Self {
            identity,
            decoder,
            plain,
            prompt,
            answers,
            context: manifest.context,
            threads,
        })
    }

    /// The logits of yes and of no after a prompt, as token numbers; of a model with one class, that
    /// of the class.
    ///
    /// # Errors
    /// As for [`RewardModel::score`].
    pub fn answer(&self, ids: &[u32], run: &Run) -> Result<Vec<f32>, ModelError> {
        self.threads.run(|| {
            let mut memory = self.decoder.memory(ids.len())?;
            self.ask(ids, &mut memory, run)
        })
    }

    /// The logits of all tokens after a prompt, for comparison with other programs; of a model with
    /// classes, those of the classes.
    ///
    /// # Errors
    /// As for [`RewardModel::score`].
    pub fn next(&self, ids: &[u32], run: &Run) -> Result<Vec<f32>, ModelError> {
        self.threads.run(|| {
            let mut memory = self.decoder.memory(ids.len())?;
            let state = self.decoder.read(ids, &mut memory, run)?;
            let mut logits = Vec::new();
            let mut tokens = (0..self.decoder.outputs()).collect::<Vec<u32>>();
            while !tokens.is_empty() {
                let rest = tokens.split_off(tokens.len().min(OUTPUTS));
                logits.extend(self.decoder.logits(&state, &tokens)?);
                tokens = rest;
            }
            Ok(logits)
        })
    }

    fn ask(
        &self,
        question: &[u32],
        memory: &mut Memory,
        run: &Run,
    ) -> Result<Vec<f32>, ModelError> {
        let shared = memory.length();
        let state = self.decoder.read(question, memory, run)?;
        memory.truncate(shared);
        self.decoder.logits(&state, &self.answers)
    }

    fn judge(&self, laid: &Laid, run: &Run) -> Result<Vec<Logit>, ModelError> {
        let longest = laid.questions.iter().map(Vec::len).max().unwrap_or(0);
        let mut memory = self.decoder.memory(laid.shared.len() + longest)?;
        run.expect(laid.tokens());
        self.decoder.read(&laid.shared, &mut memory, run)?;
        let answers = laid.questions.iter().map(|question| {
            let answer = self.ask(question, &mut memory, run)?;
            let logit = match answer.as_slice() {
                [yes, no] => f64::from(*yes) - f64::from(*no),
                [score] => f64::from(*score),
                _ => f64::NAN,
            };
            Logit::new(logit).map_err(|_| ModelError::NotFinite)
        });
        answers.collect()
    }
}

impl RewardModel for GenerativeVerifier {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn score(
        &self,
        patch: &Patch,
        task: Option<&str>,
        run: &Run,
    ) -> Result<PatchLogits, ModelError> {
        if !patch.changes_lines() {
            return Err(ModelError::NothingToScore);
        }
        let laid = self
            .prompt
            .lay_out(patch, task, self.context, &self.plain)?;
        let mut logits = self.threads.run(|| self.judge(&laid, run))?.into_iter();
        Ok(PatchLogits {
            patch: logits.next().ok_or(ModelError::NothingToScore)?,
            hunks: logits.collect(),
            suspects: Vec::new(),
            tokens: laid.tokens(),
            truncated: laid.truncated,
            read: laid.read,
        })
    }
}

impl std::fmt::Debug for GenerativeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GenerativeVerifier")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Bytes that a model takes: its weights, and the longest prompt with all that goes with it.
pub(super) fn needed(weights: u64, per_token: u64, context: usize) -> u64 {
    weights + per_token * context as u64 + WORKING
}

/// Reads the weights to where the model computes, and the threads that its pass needs.
fn decoder(
    catalogue: &Catalogue,
    shape: Shape,
    hardware: Hardware,
) -> Result<(Threads, Box<dyn LanguageModel>), ModelError> {
    fn boxed<K: Kernels + 'static>(decoder: Decoder<K>) -> Box<dyn LanguageModel> {
        Box::new(decoder)
    }
    // One thread is enough to feed a graphics processor, and asks for things in order.
    let threads = match &hardware.accelerator {
        None => hardware.threads,
        Some(_) => Threads::new(NonZeroUsize::new(1))?,
    };
    let decoder = threads.run(|| match hardware.accelerator {
        None => Decoder::load(Processor, catalogue, shape).map(boxed),
        Some(device) => Decoder::load(Accelerator(device), catalogue, shape).map(boxed),
    });
    let decoder = decoder.map_err(|problem| ModelError::Weights(one_line(&problem)))?;
    Ok((threads, decoder))
}

fn check_memory(
    weights: u64,
    per_token: u64,
    context: usize,
    free: Option<u64>,
) -> Result<(), ModelError> {
    let Some(free) = free else {
        return Ok(());
    };
    fits(weights, per_token, context, free).map_err(ModelError::TooLarge)
}

/// Says what would fit if the model does not.
fn fits(weights: u64, per_token: u64, context: usize, free: u64) -> Result<(), String> {
    let needed = needed(weights, per_token, context);
    if needed <= free {
        return Ok(());
    }
    let room = free.saturating_sub(weights + WORKING) / per_token.max(1);
    let advice = if room >= super::manifest::MIN_CONTEXT as u64 {
        format!("prompts of up to {room} tokens would fit: import it with `--context {room}`")
    } else {
        "use a smaller model, or one in fewer bits".into()
    };
    Err(format!(
        "the model needs about {} for prompts of up to {context} tokens, and {} are free; {advice}",
        gigabytes(needed),
        gigabytes(free)
    ))
}

/// For people.
pub(super) fn gigabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let value = bytes as f64 / 1e9;
    format!("{value:.1} GB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_fit_is_told_with_what_would() {
        let gb = 1_000_000_000;
        assert_eq!(fits(gb, 1_000, 1_000, 2 * gb), Ok(()));
        let error = fits(gb, 1_000_000, 32_768, 3 * gb).unwrap_err();
        assert!(error.contains("about 34.0 GB"), "{error}");
        assert!(error.contains("3.0 GB are free"), "{error}");
        assert!(error.contains("`--context 1731`"), "{error}");
        let error = fits(gb, 1_000, 1_000, gb).unwrap_err();
        assert!(error.contains("smaller model"), "{error}");
    }
}
