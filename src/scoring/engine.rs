//! The engine: owns the model on one thread and answers requests one at a time.
//!
//! Invariants: of the requests for one [`Slot`] only the newest is computed, an older one that
//! runs is cancelled; each request is answered exactly once; a panic in the model costs the model,
//! not the process, and after [`MAX_PANICS`] the engine says it is degraded instead of trying on.

use super::cache::Cache;
use super::key::CacheKey;
use super::verdict::{Judge, ScoreRequest, Verdict};
use crate::model::{ModelError, RewardModel, Run, TokensRead};
use crossbeam_channel::RecvTimeoutError;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Panics of the model after which it is not loaded again.
pub const MAX_PANICS: u32 = 3;

/// What a request is for, such as a file: a newer request for the same slot replaces an older one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot(pub String);

/// Of the requests that wait the one with the highest rank is next; of equals the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rank(pub u64);

/// Loads the model when it is first needed, and again after it was unloaded.
pub type Loader = Box<dyn FnMut() -> Result<Box<dyn RewardModel>, ModelError> + Send>;

/// How the engine behaves.
#[derive(Default)]
pub struct EngineOptions {
    /// Unload the model when nothing was asked for so long; `None` keeps it.
    pub idle_unload: Option<Duration>,
    /// Whether the engine's thread, and those that the model starts from it, give way to other
    /// programs where the system can do that for single threads, as Linux can.
    pub gives_way: bool,
    /// Called from the engine's thread on every change of state; must not block.
    pub on_state: Option<Box<dyn Fn(EngineState) + Send>>,
}

/// What the engine is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// Nothing is waiting.
    Idle,
    /// The model is being read from disk.
    Loading,
    /// A request is being computed and `waiting` more are queued.
    Scoring {
        /// Requests queued behind the one that runs.
        waiting: usize,
    },
    /// The model cannot be used, and why.
    Degraded(String),
}

/// Why a request has no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// A newer request for the same slot came, or the request was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The engine is shutting down.
    #[error("the scoring engine has stopped")]
    Stopped,
    /// The model cannot be loaded, or crashed too often: no request will be answered.
    #[error("{0}")]
    Unusable(String),
    /// The model failed on this request.
    #[error("{0}")]
    Model(String),
}

type Reply = Box<dyn FnOnce(Result<Verdict, ScoreError>) + Send>;

struct Job {
    slot: Slot,
    rank: Rank,
    key: CacheKey,
    request: ScoreRequest,
    /// Whether a remembered result does not count.
    afresh: bool,
    run: Run,
    reply: Reply,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: Option<(Slot, Run)>,
    stopped: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    judge: Judge,
    cache: Arc<Cache>,
}

/// A handle to the inference thread. Dropping it stops the thread.
pub struct Engine {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the thread; the model is loaded on the first request that the cache cannot answer.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        judge: Judge,
        cache: Arc<Cache>,
        loader: Loader,
        options: EngineOptions,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            judge,
            cache,
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            loader,
            options,
            model: None,
            panics: 0,
            degraded: None,
        };
        let thread = std::thread::Builder::new()
            .name("inference".into())
            .spawn(move || worker.run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Turns logits into probabilities for this engine.
    #[must_use]
    pub fn judge(&self) -> &Judge {
        &self.shared.judge
    }

    /// The verdict of `request` if it is remembered, or known without the model. Never loads it.
    #[must_use]
    pub fn remembered(&self, request: &ScoreRequest) -> Option<Verdict> {
        let judge = &self.shared.judge;
        judge.abstain(request).or_else(|| {
            let key = CacheKey::of(judge.identity(), request);
            let logits = self.shared.cache.get(&key)?;
            Some(judge.judge(&request.patch, &logits, true))
        })
    }

    /// Queues `request`; `reply` is called exactly once, from the engine's thread or, when the
    /// request is replaced or the engine has stopped, from the caller's. It must not block.
    pub fn submit(
        &self,
        slot: Slot,
        rank: Rank,
        request: ScoreRequest,
        reply: impl FnOnce(Result<Verdict, ScoreError>) + Send + 'static,
    ) {
        self.queue(slot, rank, request, false, Box::new(reply));
    }

    /// As [`Engine::submit`], but computed even if a result is remembered, which it replaces.
    pub fn submit_afresh(
        &self,
        slot: Slot,
        rank: Rank,
        request: ScoreRequest,
        reply: impl FnOnce(Result<Verdict, ScoreError>) + Send + 'static,
    ) {
        self.queue(slot, rank, request, true, Box::new(reply));
    }

    fn queue(&self, slot: Slot, rank: Rank, request: ScoreRequest, afresh: bool, reply: Reply) {
        let job = Job {
            key: CacheKey::of(self.shared.judge.identity(), &request),
            slot,
            rank,
            request,
            afresh,
            run: Run::default(),
            reply,
        };
        let mut queue = self.shared.lock();
        if queue.stopped {
            drop(queue);
            (job.reply)(Err(ScoreError::Stopped));
            return;
        }
        let replaced = queue.take(&job.slot);
        queue.waiting.push_back(job);
        drop(queue);
        self.shared.wake.notify_one();
        if let Some(old) = replaced {
            (old.reply)(Err(ScoreError::Cancelled));
        }
    }

    /// Cancels what waits or runs for `slot`.
    pub fn cancel(&self, slot: &Slot) {
        let waiting = self.shared.lock().take(slot);
        if let Some(job) = waiting {
            (job.reply)(Err(ScoreError::Cancelled));
        }
    }

    /// What runs, and how many of its tokens the model has read, if it tells.
    #[must_use]
    pub fn running(&self) -> Option<(Slot, TokensRead)> {
        let queue = self.shared.lock();
        let (slot, run) = queue.running.as_ref()?;
        Some((slot.clone(), run.tokens()?))
    }

    /// Scores one request and waits for it.
    ///
    /// # Errors
    /// As [`ScoreError`] tells.
    pub fn score(&self, slot: Slot, request: ScoreRequest) -> Result<Verdict, ScoreError> {
        self.score_telling(slot, request, |_| {})
    }

    /// The same, and tells each second how far the model is, if it knows.
    ///
    /// # Errors
    /// As [`ScoreError`] tells.
    pub fn score_telling(
        &self,
        slot: Slot,
        request: ScoreRequest,
        tell: impl Fn(TokensRead),
    ) -> Result<Verdict, ScoreError> {
        const PAUSE: Duration = Duration::from_secs(1);
        let (send, receive) = crossbeam_channel::bounded(1);
        let reply = move |result| drop(send.send(result));
        self.submit(slot.clone(), Rank::default(), request, reply);
        loop {
            match receive.recv_timeout(PAUSE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => return Err(ScoreError::Stopped),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some((_, tokens)) = self.running().filter(|(it, _)| *it == slot) {
                        tell(tokens);
                    }
                }
            }
        }
    }

    /// Refuses further requests and cancels the running one, without waiting for it.
    pub fn stop(&self) {
        let mut queue = self.shared.lock();
        queue.stopped = true;
        if let Some((_, run)) = &queue.running {
            run.cancel();
        }
        let left: Vec<Job> = queue.waiting.drain(..).collect();
        drop(queue);
        self.shared.wake.notify_all();
        for job in left {
            (job.reply)(Err(ScoreError::Stopped));
        }
    }
}

impl Engine {
    /// Stops, and lets go of the thread: dropping the engine then does not wait for a model that
    /// is slow to notice. For a program that is about to end.
    pub fn abandon(&self) {
        self.stop();
        drop(self.take_thread());
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.take_thread()
            && thread.thread().id() != std::thread::current().id()
        {
            drop(thread.join());
        }
    }
}

impl Shared {
    /// The queue is consistent at every point where a holder can panic, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Job> {
        let jobs = self.waiting.iter().enumerate().rev();
        let (index, _) = jobs.max_by_key(|(_, job)| job.rank)?;
        self.waiting.remove(index)
    }

    /// Removes the waiting job of `slot` and asks a running one to stop.
    fn take(&mut self, slot: &Slot) -> Option<Job> {
        if let Some((running, run)) = &self.running
            && running == slot
        {
            run.cancel();
        }
        let index = self.waiting.iter().position(|job| job.slot == *slot)?;
        self.waiting.remove(index)
    }
}

struct Worker {
    shared: Arc<Shared>,
    loader: Loader,
    options: EngineOptions,
    model: Option<Box<dyn RewardModel>>,
    panics: u32,
    degraded: Option<String>,
}

impl Worker {
    fn run(mut self) {
        if self.options.gives_way {
            give_way();
        }
        while let Some(job) = self.next() {
            let result = self.answer(&job);
            self.shared.lock().running = None;
            (job.reply)(result);
        }
    }

    /// Waits for the next job; `None` when the engine stops.
    fn next(&mut self) -> Option<Job> {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.lock();
        if queue.waiting.is_empty() {
            drop(queue);
            self.tell(match &self.degraded {
                None => EngineState::Idle,
                Some(reason) => EngineState::Degraded(reason.clone()),
            });
            queue = shared.lock();
        }
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(job) = queue.pop() {
                queue.running = Some((job.slot.clone(), job.run.clone()));
                return Some(job);
            }
            queue = match self.options.idle_unload.filter(|_| self.model.is_some()) {
                None => shared
                    .wake
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    let (queue, waited) = shared
                        .wake
                        .wait_timeout(queue, limit)
                        .unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && queue.waiting.is_empty() {
                        tracing::info!("unloaded the idle model");
                        self.model = None;
                    }
                    queue
                }
            };
        }
    }

    fn answer(&mut self, job: &Job) -> Result<Verdict, ScoreError> {
        let shared = Arc::clone(&self.shared);
        if let Some(verdict) = shared.judge.abstain(&job.request) {
            return Ok(verdict);
        }
        if !job.afresh
            && let Some(logits) = shared.cache.get(&job.key)
        {
            return Ok(shared.judge.judge(&job.request.patch, &logits, true));
        }
        if let Some(reason) = &self.degraded {
            return Err(ScoreError::Unusable(reason.clone()));
        }
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| self.compute(job)));
        let result = match outcome {
            Ok(result) => result,
            Err(panic) => {
                self.model = None;
                self.panics += 1;
                let reason = format!("the model crashed: {}", panic_message(&*panic));
                if self.panics >= MAX_PANICS {
                    self.degraded =
                        Some(format!("{reason} ({MAX_PANICS} times; restart to retry)"));
                }
                Err(ScoreError::Model(reason))
            }
        };
        if job.run.is_cancelled() {
            return Err(ScoreError::Cancelled);
        }
        result
    }

    fn compute(&mut self, job: &Job) -> Result<Verdict, ScoreError> {
        if self.model.is_none() {
            self.tell(EngineState::Loading);
            match (self.loader)() {
                Ok(model) => self.model = Some(model),
                Err(error) => {
                    let reason = error.to_string();
                    self.degraded = Some(reason.clone());
                    return Err(ScoreError::Unusable(reason));
                }
            }
        }
        let waiting = self.shared.lock().waiting.len();
        self.tell(EngineState::Scoring { waiting });
        let Some(model) = &mut self.model else {
            return Err(ScoreError::Stopped);
        };
        let request = &job.request;
        match model.score(&request.patch, request.task.as_deref(), &job.run) {
            Ok(logits) => {
                self.shared.cache.put(job.key, &logits);
                Ok(self.shared.judge.judge(&request.patch, &logits, false))
            }
            Err(ModelError::Cancelled) => Err(ScoreError::Cancelled),
            Err(error) => Err(ScoreError::Model(error.to_string())),
        }
    }

    fn tell(&self, state: EngineState) {
        if let Some(tell) = &self.options.on_state {
            tell(state);
        }
    }
}

/// Lowers the priority of this thread; threads that it starts inherit it.
#[cfg(target_os = "linux")]
fn give_way() {
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// Elsewhere it would be the priority of the whole process.
#[cfg(not(target_os = "linux"))]
fn give_way() {}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Patch;
    use crate::model::{ModelIdentity, PatchLogits};
    use crate::scoring::sample::{judge, logits, request};
    use crate::scoring::scope::Scope;
    use crossbeam_channel::{Receiver, Sender, unbounded};

    /// Says when it starts, then does what it is told: a number is its logit, "panic" panics, and
    /// "wait" computes until it is cancelled, after 5 of 10 tokens.
    struct Scripted {
        identity: ModelIdentity,
        started: Sender<String>,
    }

    impl RewardModel for Scripted {
        fn identity(&self) -> &ModelIdentity {
            &self.identity
        }

        fn score(
            &mut self,
            patch: &Patch,
            _task: Option<&str>,
            run: &Run,
        ) -> Result<PatchLogits, ModelError> {
            let script = patch.files[0].hunks[0].lines[0].text.clone();
            self.started.send(script.clone()).unwrap();
            match script.as_str() {
                "panic" => panic!("scripted"),
                "nice" => Ok(logits(f64::from(niceness()), &[])),
                "wait" => {
                    run.expect(10);
                    run.advance(5);
                    while !run.is_cancelled() {
                        std::thread::yield_now();
                    }
                    Err(ModelError::Cancelled)
                }
                number => Ok(logits(number.parse().unwrap(), &[])),
            }
        }
    }

    struct Bench {
        engine: Engine,
        started: Receiver<String>,
        loads: Receiver<()>,
    }

    /// Of a thread that this one starts, as the model does.
    fn niceness() -> i32 {
        let own = || rustix::process::getpriority_process(None).unwrap();
        std::thread::spawn(own).join().unwrap()
    }

    fn bench() -> Bench {
        bench_with(EngineOptions::default())
    }

    fn bench_with(options: EngineOptions) -> Bench {
        bench_of(judge(None), options)
    }

    fn bench_within(scope: Scope) -> Bench {
        bench_of(judge(None).within(scope), EngineOptions::default())
    }

    fn bench_of(judge: Judge, options: EngineOptions) -> Bench {
        let identity = judge.identity().clone();
        let (started, starts) = unbounded();
        let (load, loads) = unbounded();
        let loader: Loader = Box::new(move || {
            load.send(()).unwrap();
            Ok(Box::new(Scripted {
                identity: identity.clone(),
                started: started.clone(),
            }))
        });
        let cache = Arc::new(Cache::in_memory());
        Bench {
            engine: Engine::start(judge, cache, loader, options).unwrap(),
            started: starts,
            loads,
        }
    }

    fn slot(name: &str) -> Slot {
        Slot(name.into())
    }

    fn logit_of(verdict: &Verdict) -> f64 {
        verdict.patch.score().unwrap().logit.get()
    }

    #[test]
    fn what_the_model_cannot_judge_is_answered_without_it() {
        let bench = bench_within(Scope::new(vec!["python".into()], None));
        let asked = request("1.0");
        let early = bench.engine.remembered(&asked).unwrap();
        assert_eq!(early.patch.abstention().unwrap().code(), "language");
        assert_eq!(bench.engine.score(slot("a"), asked).unwrap(), early);
        assert!(bench.loads.is_empty());
    }

    #[test]
    fn a_result_is_computed_once_and_remembered() {
        let bench = bench();
        assert_eq!(bench.engine.remembered(&request("1.0")), None);
        assert!(bench.loads.is_empty());
        let first = bench.engine.score(slot("a"), request("1.0")).unwrap();
        assert!(!first.cached);
        let again = bench.engine.score(slot("b"), request("1.0")).unwrap();
        assert!(again.cached);
        assert_eq!(again.patch, first.patch);
        assert_eq!(bench.started.len(), 1);
        assert_eq!(bench.loads.len(), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_model_gives_way_only_where_it_is_asked_to() {
        let before = niceness();
        for (gives_way, expected) in [(false, before), (true, 10.max(before))] {
            let bench = bench_with(EngineOptions {
                gives_way,
                ..EngineOptions::default()
            });
            let verdict = bench.engine.score(slot("a"), request("nice")).unwrap();
            assert!((logit_of(&verdict) - f64::from(expected)).abs() < 0.5);
        }
        assert_eq!(niceness(), before);
    }

    #[test]
    fn a_request_afresh_is_computed_again() {
        let bench = bench();
        let (send, answers) = unbounded();
        for _ in 0..2 {
            let send = send.clone();
            let reply = move |result| drop(send.send(result));
            let engine = &bench.engine;
            engine.submit_afresh(slot("a"), Rank(0), request("1.5"), reply);
            let verdict: Verdict = answers.recv().unwrap().unwrap();
            assert!(!verdict.cached);
        }
        assert_eq!(bench.started.len(), 2);
    }

    #[test]
    fn a_newer_request_cancels_the_running_one_and_replaces_the_waiting_one() {
        let bench = bench();
        let (send, answers) = unbounded();
        let submit = |name: &'static str, script: &str| {
            let send = send.clone();
            bench
                .engine
                .submit(slot("a"), Rank(0), request(script), move |result| {
                    send.send((name, result.map(|verdict| logit_of(&verdict))))
                        .unwrap();
                });
        };
        submit("first", "wait");
        assert_eq!(bench.started.recv().unwrap(), "wait");
        submit("second", "2.0");
        submit("third", "3.0");
        let mut got: Vec<_> = (0..3).map(|_| answers.recv().unwrap()).collect();
        got.sort_by_key(|(name, _)| *name);
        // The second may run if the first gives way before the third comes: then it is answered.
        assert_eq!(got[0], ("first", Err(ScoreError::Cancelled)));
        assert!(got[1].1 == Err(ScoreError::Cancelled) || got[1].1 == Ok(2.0));
        assert_eq!(got[2], ("third", Ok(3.0)));
    }

    #[test]
    fn who_waits_long_is_told_how_far_the_model_is() {
        let bench = bench();
        let (told, said) = unbounded();
        let tell = |tokens| {
            told.send(tokens).unwrap();
            bench.engine.cancel(&slot("long"));
        };
        let result = bench
            .engine
            .score_telling(slot("long"), request("wait"), tell);
        assert_eq!(result, Err(ScoreError::Cancelled));
        assert_eq!(said.recv(), Ok(TokensRead { done: 5, all: 10 }));
    }

    #[test]
    fn what_waits_goes_by_rank_and_equals_by_age() {
        let bench = bench();
        let submit = |name: &str, rank, script: &str| {
            let ignore = |_| ();
            bench
                .engine
                .submit(slot(name), Rank(rank), request(script), ignore);
        };
        submit("running", 0, "wait");
        assert_eq!(bench.started.recv().unwrap(), "wait");
        for (name, rank, script) in [("a", 1, "1"), ("b", 2, "2"), ("c", 2, "3"), ("d", 0, "4")] {
            submit(name, rank, script);
        }
        bench.engine.cancel(&slot("running"));
        let order: Vec<_> = (0..4).map(|_| bench.started.recv().unwrap()).collect();
        assert_eq!(order, ["2", "3", "1", "4"]);
    }

    #[test]
    fn a_panic_costs_the_model_and_three_degrade_the_engine() {
        let bench = bench();
        for n in 1..=MAX_PANICS {
            let error = bench.engine.score(slot("a"), request("panic")).unwrap_err();
            assert_eq!(
                error,
                ScoreError::Model("the model crashed: scripted".into())
            );
            if n < MAX_PANICS {
                let fine = bench.engine.score(slot("a"), request(&format!("{n}.5")));
                assert!(fine.is_ok());
            }
        }
        let error = bench.engine.score(slot("a"), request("7.0")).unwrap_err();
        assert!(error.to_string().contains("3 times"), "{error}");
        assert_eq!(bench.loads.len(), MAX_PANICS as usize);
    }

    #[test]
    fn stopping_cancels_what_runs_and_answers_what_waits() {
        let bench = bench();
        let (send, answers) = unbounded();
        for (name, script) in [("a", "wait"), ("b", "1.0")] {
            let send = send.clone();
            bench
                .engine
                .submit(slot(name), Rank(0), request(script), move |result| {
                    send.send((name, result.unwrap_err())).unwrap();
                });
        }
        bench.started.recv().unwrap();
        drop(bench.engine);
        // Two threads answer, in either order.
        let mut both = [answers.recv().unwrap(), answers.recv().unwrap()];
        both.sort_by_key(|(name, _)| *name);
        let expected = [("a", ScoreError::Cancelled), ("b", ScoreError::Stopped)];
        assert_eq!(both, expected);
    }
}
