//! A remote verifier: asks about a patch and about each hunk, several questions at once.
//!
//! Invariant: cancelling gives up at once; what is on its way then is not waited for, and nothing
//! more is sent.

use super::super::bundle::BundleFiles;
use super::super::reward::{ModelError, ModelIdentity, PatchLogits, RewardModel, Run};
use super::answer::{Reading, question, reading};
use super::manifest::Manifest;
use super::prompt::Prompt;
use super::sender::Sender;
use crate::calibration::Logit;
use crate::change::Patch;
use crossbeam_channel::RecvTimeoutError;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often it is looked whether the answers are still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// A model of kind `remote`.
pub struct RemoteVerifier {
    identity: ModelIdentity,
    asker: Arc<Asker>,
    prompt: Prompt,
}

/// What the threads that ask share.
struct Asker {
    sender: Sender,
    manifest: Manifest,
}

impl RemoteVerifier {
    /// Reads and verifies the files of a bundle. Nothing is sent yet.
    pub(in crate::model) fn load(
        identity: ModelIdentity,
        manifest: &Manifest,
        files: &BundleFiles<'_>,
    ) -> Result<Self, ModelError> {
        let (path, bytes) = files.small(&manifest.prompt)?;
        let prompt = Prompt::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|problem| files.invalid(&path, problem))?;
        let sender = Sender::new(&manifest.endpoint, manifest.destination().is_here())?;
        let manifest = manifest.clone();
        Ok(Self {
            identity,
            asker: Arc::new(Asker { sender, manifest }),
            prompt,
        })
    }

    /// The readings of all prompts, in their order.
    fn readings(&self, prompts: Vec<String>, run: &Run) -> Result<Vec<Reading>, ModelError> {
        let prompts = Arc::new(prompts);
        let next = Arc::new(AtomicUsize::new(0));
        // Of its own, so that one failure stops the other questions.
        let stop = Run::default();
        let (send, receive) = crossbeam_channel::unbounded();
        let threads = self.asker.manifest.endpoint.limits.concurrency;
        for _ in 0..threads.min(prompts.len()) {
            let (asker, prompts) = (Arc::clone(&self.asker), Arc::clone(&prompts));
            let (next, stop, send) = (Arc::clone(&next), stop.clone(), send.clone());
            let work = move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(prompt) = prompts.get(index) else {
                        return;
                    };
                    let reading = asker.ask(prompt, &stop);
                    let failed = reading.is_err();
                    // Nobody listens after a cancellation.
                    let unheard = send.send((index, reading)).is_err();
                    if failed || unheard {
                        // After it was sent, so that it is heard before what it stops.
                        stop.cancel();
                        return;
                    }
                }
            };
            std::thread::Builder::new()
                .name("remote".into())
                .spawn(work)
                .map_err(|error| ModelError::Threads(error.to_string()))?;
        }
        drop(send);
        let collect = || {
            let mut readings = vec![None; prompts.len()];
            for _ in 0..prompts.len() {
                let (index, reading) = loop {
                    if run.is_cancelled() {
                        return Err(ModelError::Cancelled);
                    }
                    match receive.recv_timeout(LOOK) {
                        Ok(one) => break one,
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => {
                            return Err(ModelError::Remote("its questions were given up".into()));
                        }
                    }
                };
                readings[index] = Some(reading?);
            }
            readings
                .into_iter()
                .collect::<Option<_>>()
                .ok_or(ModelError::NotFinite)
        };
        let result = collect();
        stop.cancel();
        result
    }
}

impl Asker {
    fn ask(&self, prompt: &str, run: &Run) -> Result<Reading, ModelError> {
        let endpoint = &self.manifest.endpoint;
        let question = question(endpoint.api, &endpoint.model, prompt);
        let answer = self.sender.ask(&question, run)?;
        reading(endpoint.api, &answer, &self.manifest.answers)
            .map_err(|problem| self.sender.error(problem))
    }
}

impl RewardModel for RemoteVerifier {
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
        let limit = self.asker.manifest.endpoint.limits.prompt_bytes;
        let laid = self.prompt.lay_out(patch, task, limit);
        let readings = self.readings(laid.prompts, run)?;
        let logits = readings.iter().map(|it| Logit::new(it.logit));
        let logits: Result<Vec<Logit>, _> = logits.collect();
        let mut logits = logits.map_err(|_| ModelError::NotFinite)?.into_iter();
        Ok(PatchLogits {
            patch: logits.next().ok_or(ModelError::NothingToScore)?,
            hunks: logits.collect(),
            suspects: Vec::new(),
            tokens: readings.iter().map(|it| it.tokens).sum(),
            truncated: laid.truncated,
            read: laid.read,
        })
    }

    fn at_once(&self) -> NonZeroUsize {
        let most = self.asker.manifest.endpoint.limits.concurrency;
        NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN)
    }
}

impl std::fmt::Debug for RemoteVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteVerifier")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
