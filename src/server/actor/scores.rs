//! Scores as they come, what the engine does, and the progress of what is waited for.

use super::*;

impl Actor {
    pub(super) fn scored(
        &mut self,
        path: &Path,
        job: Generation,
        result: Result<Verdict, ScoreError>,
    ) {
        let Some(document) = self.documents.get_mut(path) else {
            return;
        };
        let Standing::Changed(changed) = &mut document.standing else {
            return;
        };
        if !matches!(changed.score, Scoring::Waiting(newest) if newest == job) {
            return;
        }
        changed.score = match result {
            Ok(verdict) => Scoring::Done(Box::new(verdict)),
            Err(ScoreError::Stopped) => return,
            Err(error) => Scoring::Failed(error.to_string()),
        };
        self.show(path);
        self.touch_surveyed(path);
    }

    pub(super) fn engine_state(&mut self, state: EngineState) {
        self.engine_status = self.status_of(state);
        self.tell_status();
    }

    pub(super) fn tell_status(&mut self) {
        let status = if self.config.enable {
            self.engine_status.clone()
        } else {
            Status {
                state: StatusKind::Off,
                message: "turned off in the settings".into(),
            }
        };
        if status != self.status {
            self.status = status.clone();
            self.outbox.status(status);
        }
    }

    pub(super) fn status_of(&mut self, state: EngineState) -> Status {
        let (state, message) = match state {
            EngineState::Idle => (StatusKind::Idle, String::new()),
            EngineState::Loading => (StatusKind::Loading, "loading the model".into()),
            EngineState::Scoring { waiting: 0 } => (StatusKind::Scoring, String::new()),
            EngineState::Scoring { waiting } => (StatusKind::Scoring, format!("{waiting} waiting")),
            EngineState::Degraded(reason) => {
                if self.warned.insert(reason.clone()) {
                    let text = format!("Diffidence cannot score: {reason}");
                    self.outbox.show(MessageType::ERROR, text);
                }
                (StatusKind::Degraded, reason)
            }
        };
        Status { state, message }
    }
}

impl Actor {
    /// The files that wait for a score.
    pub(super) fn pending(&self) -> BTreeSet<&Path> {
        let pending = self.documents.iter().filter(|(_, doc)| doc.is_waiting());
        pending.map(|(path, _)| path.as_path()).collect()
    }

    pub(super) fn show_progress(&mut self) {
        if !self.abilities.progress {
            return;
        }
        let mut progress = std::mem::take(&mut self.progress);
        let pending = self.pending();
        let tokens = || {
            let EngineSlot::Running(engine) = &self.engine else {
                return None;
            };
            let mut running = engine.running().into_iter();
            let is_pending = |running: &Slot| pending.iter().any(|path| slot(path) == *running);
            running.find_map(|(slot, tokens)| is_pending(&slot).then_some(tokens))
        };
        let step = progress.update(&pending, tokens, Instant::now());
        self.progress = progress;
        self.take_step(step);
    }

    pub(super) fn take_step(&self, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Create(token)) => self.outbox.create_progress(token),
            Some(Step::Say(params)) => self.outbox.progress(params),
        }
    }

    /// Gives up on everything that waits for a score. What the model is busy with may take a
    /// moment to stop; its result no longer counts.
    pub(super) fn cancel_scores(&mut self) {
        let pending: Vec<PathBuf> = self.pending().into_iter().map(Into::into).collect();
        for path in pending {
            if let EngineSlot::Running(engine) = &self.engine {
                engine.cancel(&slot(&path));
            }
            if let Some(document) = self.documents.get_mut(&path)
                && let Standing::Changed(changed) = &mut document.standing
            {
                changed.score = Scoring::Cancelled { saved: false };
            }
            self.show(&path);
        }
    }
}
