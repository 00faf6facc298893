//! Takes questions about patches to the engine and brings back the answers.
//!
//! Invariants: at most so many patches wait as the desk has places, and whoever finds none is told
//! when to come again; an answer is a verdict or a refusal, so a model that failed is never taken
//! for a bad patch; when nobody waits for an answer any more, it is no longer computed. Patches that
//! are the same are computed once, because the engine remembers.

use super::extract::Extract;
use super::guard::{Flag, Guard};
use super::metrics::{Metrics, Now, Outcome};
use crate::scoring::{Engine, Prepared, ScoreError, Slot, Unscorable, Verdict};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

/// Logit of a patch that is not to be rewarded: a probability of 0.005%. Finite, so that a trainer
/// can take means, and lower than what models say of patches.
const FLAGGED_LOGIT: f64 = -10.0;

/// A patch as text, with what it is for.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) patch: String,
    pub(super) task: Option<String>,
}

impl Question {
    pub(super) fn of(extract: &Extract<'_>) -> Self {
        Self {
            patch: extract.patch.to_owned(),
            task: extract.task.map(str::to_owned),
        }
    }
}

/// What is known of a patch.
pub(super) enum Answer {
    /// The model judged it.
    Judged {
        prepared: Prepared,
        verdict: Verdict,
        /// Why it should not be rewarded all the same.
        flags: Vec<Flag>,
    },
    /// There was nothing to judge.
    Refused(Unscorable),
}

/// How a score is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Calibrated, from 0 to 1.
    Probability,
    /// As the model gave it.
    Logit,
}

/// Which flags take a score away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Every one: what is read trains a policy.
    Reward,
    /// Only that there is nothing to judge: a person or an agent reads it.
    Reading,
}

impl Answer {
    pub(super) fn flags(&self) -> Vec<Flag> {
        match self {
            Self::Judged { flags, .. } => flags.clone(),
            Self::Refused(Unscorable::Diff(_)) => vec![Flag::BadPatch],
            Self::Refused(Unscorable::NoLines) => vec![Flag::NothingToScore],
        }
    }

    /// The score as one number.
    pub(super) fn value(&self, scale: Scale, purpose: Purpose) -> f64 {
        let score = match self {
            Self::Judged { verdict, flags, .. }
                if flags.is_empty() || purpose == Purpose::Reading =>
            {
                verdict.patch.score()
            }
            _ => None,
        };
        match (score, scale) {
            (Some(score), Scale::Probability) => score.probability.get(),
            (Some(score), Scale::Logit) => score.logit.get(),
            (None, Scale::Probability) => 0.0,
            (None, Scale::Logit) => FLAGGED_LOGIT,
        }
    }

    /// Tokens that the model read.
    pub(super) fn tokens(&self) -> usize {
        match self {
            Self::Judged { verdict, .. } => verdict.tokens,
            Self::Refused(_) => 0,
        }
    }
}

/// Why a request has no answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{waiting} patches are waiting; try again in {} s", .after.as_secs())]
    Busy { waiting: usize, after: Duration },
    #[error(
        "{asked} patches in one request are more than the {most} that may wait; send fewer at once"
    )]
    TooMany { asked: usize, most: usize },
    #[error("the model cannot be used: {0}")]
    Unusable(String),
    #[error("the model failed: {0}")]
    Model(String),
    #[error("the service is stopping")]
    Stopping,
}

/// The way to the one model.
pub(super) struct Desk {
    engine: Engine,
    places: Arc<Semaphore>,
    capacity: usize,
    guard: Guard,
    metrics: Arc<Metrics>,
    asked: AtomicU64,
    /// Why no model will answer any more.
    broken: OnceLock<String>,
}

impl Desk {
    pub(super) fn new(engine: Engine, capacity: usize, guard: Guard) -> Self {
        Self {
            engine,
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
            guard,
            metrics: Arc::default(),
            asked: AtomicU64::new(0),
            broken: OnceLock::new(),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Patches that wait or are computed.
    pub(super) fn waiting(&self) -> usize {
        self.capacity - self.places.available_permits().min(self.capacity)
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Why no model will answer any more, if that is so.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    /// For Prometheus.
    pub(super) fn text(&self) -> String {
        let judge = self.engine.judge();
        self.metrics.text(&Now {
            waiting: self.waiting(),
            capacity: self.capacity,
            model: &judge.identity().name,
            version: &judge.identity().version,
            calibration: &judge.calibration().id,
        })
    }

    /// One answer for each question, in their order.
    ///
    /// # Errors
    /// [`Trouble`], for all questions at once.
    pub(super) async fn answer(
        self: &Arc<Self>,
        questions: Vec<Question>,
    ) -> Result<Vec<Answer>, Trouble> {
        let mut waiting = Waiting {
            engine: &self.engine,
            slots: Vec::new(),
        };
        // Reading a large patch must not keep others, nor the clock, from being heard.
        let desk = Arc::clone(self);
        let prepare = move || questions.into_iter().map(|it| desk.prepare(it)).collect();
        let asked: Vec<Asked> = spawn_blocking(prepare).await.map_err(|error| {
            tracing::error!(%error, "reading patches panicked");
            Trouble::Model("internal error: see the service's log".into())
        })?;
        let mut places = self.places_for(&asked)?.into_iter();
        let mut coming = Vec::new();
        for asked in asked {
            let slot = Slot(self.asked.fetch_add(1, Ordering::Relaxed).to_string());
            coming.push(match asked {
                Asked::Known(answer) => Coming::Here(answer),
                Asked::New { prepared, task } => {
                    waiting.slots.push(slot.clone());
                    self.submit(slot, prepared, task, places.next())
                }
            });
        }
        let mut answers = Vec::new();
        for one in coming {
            answers.push(match one {
                Coming::Here(answer) => *answer,
                Coming::Later { prepared, verdict } => {
                    let verdict = verdict.await.unwrap_or(Err(ScoreError::Stopped));
                    self.judged(*prepared, verdict.map_err(|error| self.trouble(error))?)
                }
            });
        }
        Ok(answers)
    }

    fn prepare(&self, question: Question) -> Asked {
        let prepared = match Prepared::of(&question.patch) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                self.metrics.patch(Outcome::Refused, Duration::ZERO);
                return Asked::Known(Box::new(Answer::Refused(refusal)));
            }
        };
        let request = prepared.request(question.task);
        match self.engine.remembered(&request) {
            Some(verdict) => {
                self.metrics.patch(Outcome::Remembered, Duration::ZERO);
                Asked::Known(Box::new(self.judged(prepared, verdict)))
            }
            None => Asked::New {
                prepared: Box::new(prepared),
                task: request.task,
            },
        }
    }

    /// A place for each patch that has to be computed, or none at all.
    fn places_for(&self, asked: &[Asked]) -> Result<Vec<OwnedSemaphorePermit>, Trouble> {
        let new = asked.iter().filter(|it| matches!(it, Asked::New { .. }));
        let wanted = new.count();
        if wanted > self.capacity {
            return Err(Trouble::TooMany {
                asked: wanted,
                most: self.capacity,
            });
        }
        let take = || Arc::clone(&self.places).try_acquire_owned().ok();
        let places: Option<Vec<_>> = (0..wanted).map(|_| take()).collect();
        places.ok_or_else(|| Trouble::Busy {
            waiting: self.waiting(),
            after: self.metrics.time_for(wanted),
        })
    }

    fn submit(
        &self,
        slot: Slot,
        prepared: Box<Prepared>,
        task: Option<String>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Coming {
        let (send, verdict) = oneshot::channel();
        let metrics = Arc::clone(&self.metrics);
        let begun = Instant::now();
        let reply = move |result: Result<Verdict, ScoreError>| {
            // Before the answer is sent, so that whoever has it finds the place free.
            drop(place);
            match &result {
                Ok(verdict) if verdict.cached => {
                    metrics.patch(Outcome::Remembered, begun.elapsed())
                }
                Ok(_) => metrics.patch(Outcome::Computed, begun.elapsed()),
                Err(ScoreError::Cancelled | ScoreError::Stopped) => {}
                Err(_) => metrics.patch(Outcome::Failed, begun.elapsed()),
            }
            // Whoever asked may have gone.
            drop(send.send(result));
        };
        let request = prepared.request(task);
        self.engine.submit(slot, Default::default(), request, reply);
        Coming::Later { prepared, verdict }
    }

    fn trouble(&self, error: ScoreError) -> Trouble {
        match error {
            ScoreError::Unusable(reason) => {
                Trouble::Unusable(self.broken.get_or_init(|| reason).clone())
            }
            ScoreError::Model(reason) => Trouble::Model(reason),
            ScoreError::Cancelled | ScoreError::Stopped => Trouble::Stopping,
        }
    }

    fn judged(&self, prepared: Prepared, verdict: Verdict) -> Answer {
        let mut flags = self.guard.flags(prepared.files());
        if verdict.patch.abstention().is_some() {
            flags.push(Flag::CannotJudge);
        }
        Answer::Judged {
            flags,
            prepared,
            verdict,
        }
    }
}

enum Asked {
    Known(Box<Answer>),
    New {
        prepared: Box<Prepared>,
        task: Option<String>,
    },
}

enum Coming {
    Here(Box<Answer>),
    Later {
        prepared: Box<Prepared>,
        verdict: oneshot::Receiver<Result<Verdict, ScoreError>>,
    },
}

/// What was asked of the engine for one request. A client that goes drops it.
struct Waiting<'a> {
    engine: &'a Engine,
    slots: Vec<Slot>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Costs nothing for those that were answered.
        for slot in &self.slots {
            self.engine.cancel(slot);
        }
    }
}
