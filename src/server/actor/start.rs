//! Starting up, settings, and warnings.

use super::*;

impl Actor {
    pub(super) fn initialize(&mut self, params: InitializeParams) -> InitializeResult {
        self.abilities = Abilities::of(&params.capabilities);
        if let Some(id) = params.process_id {
            self.signal.watch_process(id);
        }
        self.settings
            .set_initial(params.initialization_options.unwrap_or_default());
        // Warnings come with `initialized`: before it nothing reaches the client.
        self.config = self.settings.resolve().0;
        self.start_engine();
        self.abilities.offer()
    }

    pub(super) fn initialized(&mut self) {
        let (_, warnings) = self.settings.resolve();
        self.warn_all(warnings);
        if let Some(notice) = self.notice.take() {
            let text = format!("Diffidence: {notice}.");
            self.outbox.show(MessageType::INFO, text);
        }
        self.outbox.status(self.status.clone());
        self.tell_status();
        let Abilities {
            register_settings,
            register_files,
            pull_settings,
            ..
        } = self.abilities;
        self.outbox.register(register_settings, register_files);
        if pull_settings {
            self.settings_awaited = true;
            self.outbox.pull_settings();
        }
    }

    pub(super) fn start_engine(&mut self) {
        let not_started = EngineSlot::Broken("the scoring thread was not started".into());
        let (cache, loader) = match std::mem::replace(&mut self.engine, not_started) {
            EngineSlot::Waiting(parts) => *parts,
            started => {
                self.engine = started;
                return;
            }
        };
        let events = self.events.clone();
        let idle = self.config.idle_unload_seconds;
        let options = EngineOptions {
            side_by_side: false,
            gives_way: true,
            idle_unload: (idle > 0).then(|| Duration::from_secs(idle)),
            on_state: Some(Box::new(move |state| {
                drop(events.send(Event::Engine(state)));
            })),
        };
        match Engine::start(self.judge.clone(), cache, loader, options) {
            Ok(engine) => self.engine = EngineSlot::Running(Arc::new(engine)),
            Err(error) => {
                let reason = format!("cannot start the scoring thread: {error}");
                self.engine = EngineSlot::Broken(reason.clone());
                self.engine_state(EngineState::Degraded(reason));
            }
        }
    }

    pub(super) fn settings_changed(&mut self, value: Value) {
        // Some clients announce a change without saying it and want to be asked.
        if value.is_null() && self.abilities.pull_settings {
            self.outbox.pull_settings();
        } else {
            self.settings_known(value);
        }
    }

    pub(super) fn settings_pulled(&mut self, value: Option<Value>) {
        self.settings_awaited = false;
        if let Some(value) = value {
            self.settings_known(value);
        }
    }

    pub(super) fn settings_known(&mut self, value: Value) {
        self.settings.set_current(value);
        let (config, warnings) = self.settings.resolve();
        self.warn_all(warnings);
        self.config = config;
        self.tell_status();
        // The looks bring the settings to the documents, under those of their repositories.
        self.look_at_all();
    }

    pub(super) fn warn_all(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            self.warn(warning);
        }
    }

    /// Each warning is logged once; the first of a session is also shown.
    pub(super) fn warn(&mut self, warning: String) {
        if !self.warned.insert(warning.clone()) {
            return;
        }
        if self.warned.len() == 1 {
            let text = format!("Diffidence: {warning}");
            self.outbox.show(MessageType::WARNING, text);
        }
        self.outbox.log(MessageType::WARNING, warning);
    }
}
