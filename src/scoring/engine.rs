//! The engine: owns the model on one thread and answers requests one at a time, or several side by
//! side where that is asked for and the model gains from it.
//!
//! Invariants: of the requests for one [`Slot`] only the newest is computed, an older one that
//! runs is cancelled; each request is answered exactly once, and of equal ones only one is computed;
//! a panic in the model costs the model, not the process, and after [`MAX_PANICS`] the engine says
//! it is degraded instead of trying on.

use super::cache::Cache;
use super::key::CacheKey;
use super::verdict::{Judge, ScoreRequest, Verdict};
use crate::model::{ModelError, RewardModel, Run, TokensRead};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
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
    /// Whether to compute as many requests side by side as the model can, so that more are answered
    /// in the same time but each later.
    pub side_by_side: bool,
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

/// What is computed.
struct Running {
    slot: Slot,
    key: CacheKey,
    run: Run,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: Vec<Running>,
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

    /// What runs, the oldest first, and how many of its tokens the model has read, if it tells.
    #[must_use]
    pub fn running(&self) -> Vec<(Slot, TokensRead)> {
        let queue = self.shared.lock();
        let running = queue.running.iter();
        running
            .filter_map(|it| Some((it.slot.clone(), it.run.tokens()?)))
            .collect()
    }

    /// Scores one request and waits for it.
    ///
    /// # Errors
    /// As [`ScoreError`] tells.
    pub fn score(&self, slot: Slot, request: ScoreRequest) -> Result<Verdict, ScoreError> {
        let answer = self.ask(slot.clone(), request);
        self.wait(&slot, &answer, |_| {})
    }

    /// Queues a request whose answer comes through a channel.
    #[must_use]
    pub fn ask(&self, slot: Slot, request: ScoreRequest) -> Receiver<Result<Verdict, ScoreError>> {
        let (send, receive) = crossbeam_channel::bounded(1);
        let reply = move |result| drop(send.send(result));
        self.submit(slot, Rank::default(), request, reply);
        receive
    }

    /// Waits for what was asked, and tells each second how far the model is, if it knows.
    ///
    /// # Errors
    /// As [`ScoreError`] tells.
    pub fn wait(
        &self,
        slot: &Slot,
        answer: &Receiver<Result<Verdict, ScoreError>>,
        tell: impl Fn(TokensRead),
    ) -> Result<Verdict, ScoreError> {
        const PAUSE: Duration = Duration::from_secs(1);
        loop {
            match answer.recv_timeout(PAUSE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => return Err(ScoreError::Stopped),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some((_, tokens)) = self.running().iter().find(|(it, _)| it == slot) {
                        tell(*tokens);
                    }
                }
            }
        }
    }

    /// Refuses further requests and cancels the running one, without waiting for it.
    pub fn stop(&self) {
        let mut queue = self.shared.lock();
        queue.stopped = true;
        for running in &queue.running {
            running.run.cancel();
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

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let woken = self.wake.wait(queue);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a job without the model.
    fn known(&self, job: &Job) -> Option<Verdict> {
        let request = &job.request;
        let remembered = || {
            let logits = self.cache.get(&job.key).filter(|_| !job.afresh)?;
            Some(self.judge.judge(&request.patch, &logits, true))
        };
        self.judge.abstain(request).or_else(remembered)
    }

    fn finish(&self, job: Job, result: Result<Verdict, ScoreError>) {
        let mut queue = self.lock();
        queue
            .running
            .retain(|it| it.slot != job.slot || it.key != job.key);
        drop(queue);
        // Those that have no more to do, and those that may now take what was like it.
        self.wake.notify_all();
        (job.reply)(result);
    }
}

impl Queue {
    /// The next job, which counts as running from now on. What is computed at this moment is not
    /// computed again: its like waits for the result.
    fn pop(&mut self) -> Option<Job> {
        let jobs = self.waiting.iter().enumerate().rev();
        let free = jobs.filter(|(_, job)| !self.running.iter().any(|it| it.key == job.key));
        let (index, _) = free.max_by_key(|(_, job)| job.rank)?;
        let job = self.waiting.remove(index)?;
        self.running.push(Running {
            slot: job.slot.clone(),
            key: job.key,
            run: job.run.clone(),
        });
        Some(job)
    }

    /// Removes the waiting job of `slot` and asks a running one to stop.
    fn take(&mut self, slot: &Slot) -> Option<Job> {
        for running in self.running.iter().filter(|it| it.slot == *slot) {
            running.run.cancel();
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
            self.work(job);
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
                return Some(job);
            }
            queue = match self.options.idle_unload.filter(|_| self.model.is_some()) {
                None => shared.wait(queue),
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

    /// Answers a job and, side by side, those that wait.
    fn work(&mut self, job: Job) {
        let shared = Arc::clone(&self.shared);
        if let Some(verdict) = shared.known(&job) {
            return shared.finish(job, Ok(verdict));
        }
        let model = match self.model() {
            Ok(model) => model,
            Err(error) => return shared.finish(job, Err(error)),
        };
        let waiting = shared.lock().waiting.len();
        self.tell(EngineState::Scoring { waiting });
        let shift = Shift {
            shared: &shared,
            model: &*model,
            crash: OnceLock::new(),
        };
        if self.options.side_by_side {
            std::thread::scope(|scope| {
                for _ in 1..model.at_once().get() {
                    let thread = std::thread::Builder::new().name("inference".into());
                    // If there is no thread to be had, those that there are do its work.
                    drop(thread.spawn_scoped(scope, || shift.work_off()));
                }
                shift.compute(job);
                shift.work_off();
            });
        } else {
            shift.compute(job);
        }
        match shift.crash.into_inner() {
            None => self.model = Some(model),
            Some(reason) => self.count(&reason),
        }
    }

    /// Counts a panic.
    fn count(&mut self, reason: &str) {
        self.panics += 1;
        if self.panics >= MAX_PANICS {
            self.degraded = Some(format!("{reason} ({MAX_PANICS} times; restart to retry)"));
        }
    }

    /// Takes the model, which is loaded first if it must be.
    fn model(&mut self) -> Result<Box<dyn RewardModel>, ScoreError> {
        if let Some(reason) = &self.degraded {
            return Err(ScoreError::Unusable(reason.clone()));
        }
        if let Some(model) = self.model.take() {
            return Ok(model);
        }
        self.tell(EngineState::Loading);
        let loaded = std::panic::catch_unwind(AssertUnwindSafe(|| (self.loader)()));
        match loaded {
            Ok(Ok(model)) => Ok(model),
            Ok(Err(error)) => {
                let reason = error.to_string();
                self.degraded = Some(reason.clone());
                Err(ScoreError::Unusable(reason))
            }
            Err(panic) => {
                let reason = crashed(&*panic);
                self.count(&reason);
                Err(ScoreError::Model(reason))
            }
        }
    }

    fn tell(&self, state: EngineState) {
        if let Some(tell) = &self.options.on_state {
            tell(state);
        }
    }
}

/// Some threads at work with one model.
struct Shift<'a> {
    shared: &'a Shared,
    model: &'a dyn RewardModel,
    /// Why the model cannot be used any more.
    crash: OnceLock<String>,
}

impl Shift<'_> {
    /// Answers jobs until none waits and none runs.
    fn work_off(&self) {
        while let Some(job) = self.next() {
            self.answer(job);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.shared.lock();
        loop {
            if queue.stopped || self.crash.get().is_some() {
                return None;
            }
            if let Some(job) = queue.pop() {
                return Some(job);
            }
            if queue.running.is_empty() {
                return None;
            }
            queue = self.shared.wait(queue);
        }
    }

    fn answer(&self, job: Job) {
        match self.shared.known(&job) {
            Some(verdict) => self.shared.finish(job, Ok(verdict)),
            None => self.compute(job),
        }
    }

    /// Answers a job of which nothing is known.
    fn compute(&self, job: Job) {
        let result = self.score(&job);
        self.shared.finish(job, result);
    }

    fn score(&self, job: &Job) -> Result<Verdict, ScoreError> {
        let Job { request, run, .. } = job;
        let score = || {
            self.model
                .score(&request.patch, request.task.as_deref(), run)
        };
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(score));
        let result = match outcome {
            Ok(Ok(logits)) => {
                self.shared.cache.put(job.key, &logits);
                Ok(self.shared.judge.judge(&request.patch, &logits, false))
            }
            Ok(Err(ModelError::Cancelled)) => Err(ScoreError::Cancelled),
            Ok(Err(error)) => Err(ScoreError::Model(error.to_string())),
            Err(panic) => {
                let reason = self.crash.get_or_init(|| crashed(&*panic));
                Err(ScoreError::Model(reason.clone()))
            }
        };
        if run.is_cancelled() {
            return Err(ScoreError::Cancelled);
        }
        result
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

/// What a panic of the model is told as.
fn crashed(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("the model crashed: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Patch;
    use crate::model::{ModelIdentity, PatchLogits};
    use crate::scoring::sample::{judge, logits, request};
    use crate::scoring::scope::Scope;
    use crossbeam_channel::{Sender, unbounded};
    use std::num::NonZeroUsize;

    /// Can score two at once. Says when it starts, then does what it is told: a number is its logit, "panic" panics, and
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
            &self,
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

        fn at_once(&self) -> NonZeroUsize {
            NonZeroUsize::new(2).unwrap()
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
        let answer = bench.engine.ask(slot("long"), request("wait"));
        let result = bench.engine.wait(&slot("long"), &answer, tell);
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
    fn as_many_run_side_by_side_as_the_model_can() {
        let bench = bench_with(EngineOptions {
            side_by_side: true,
            ..EngineOptions::default()
        });
        let (send, answers) = unbounded();
        let submit = |name: &'static str, script: &str| {
            let send = send.clone();
            let reply = move |result: Result<Verdict, _>| {
                send.send((name, result.map(|it| it.cached))).unwrap();
            };
            bench
                .engine
                .submit(slot(name), Rank(0), request(script), reply);
        };
        submit("a", "wait");
        assert_eq!(bench.started.recv().unwrap(), "wait");
        // The other place is free; what is like the one that runs leaves it to others.
        submit("like a", "wait");
        submit("b", "1.0");
        assert_eq!(answers.recv().unwrap(), ("b", Ok(false)));
        submit("c", "panic");
        assert!(answers.recv().unwrap().1.is_err());
        assert_eq!(bench.engine.running().len(), 1);
        bench.engine.cancel(&slot("like a"));
        let expected = ("like a", Err(ScoreError::Cancelled));
        assert_eq!(answers.recv().unwrap(), expected);
        bench.engine.cancel(&slot("a"));
        assert_eq!(answers.recv().unwrap(), ("a", Err(ScoreError::Cancelled)));
        // A crash costs the model once all that ran with it have ended.
        submit("b", "2.0");
        assert_eq!(answers.recv().unwrap(), ("b", Ok(false)));
        assert_eq!(bench.loads.len(), 2);
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
