//! The user's settings in layers: start-up flags, initialization options, what the client says now.
//!
//! Invariant: a layer is replaced as a whole and the layers are laid over each other in the same
//! order each time, so a setting that is taken back falls back to the layer below.

use super::outbox::SECTION;
use crate::config::Config;
use serde_json::Value;

/// All layers but that of the repository, which differs by document.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    start: Config,
    initial: Value,
    current: Value,
}

impl Settings {
    pub(super) fn new(start: Config) -> Self {
        Self {
            start,
            initial: Value::Null,
            current: Value::Null,
        }
    }

    /// Takes `initializationOptions`.
    pub(super) fn set_initial(&mut self, options: Value) {
        self.initial = own_section(options);
    }

    /// Takes the settings of `workspace/didChangeConfiguration` or `workspace/configuration`.
    pub(super) fn set_current(&mut self, settings: Value) {
        self.current = own_section(settings);
    }

    /// The settings in force and what was passed over in them.
    pub(super) fn resolve(&self) -> (Config, Vec<String>) {
        let start = self.start.clone();
        let (config, mut warnings) = start.overlaid(&self.initial, "initializationOptions");
        let (config, more) = config.overlaid(&self.current, "settings");
        warnings.extend(more);
        let mut sentences: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let is_late = self.start.model != config.model || self.start.threads != config.threads;
        if is_late {
            sentences.push(
                "`model` and `threads` are read at the start: pass `--model` or `--threads` \
                 to `diffidence lsp`"
                    .into(),
            );
        }
        (config, sentences)
    }
}

/// Clients send either the section's content or an object that holds the section.
fn own_section(value: Value) -> Value {
    match value {
        Value::Object(mut entries) if entries.contains_key(SECTION) => {
            entries.remove(SECTION).unwrap_or(Value::Null)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn later_layers_win_and_can_be_taken_back() {
        let mut settings = Settings::new(Config {
            debounce_ms: 5,
            ..Config::default()
        });
        settings.set_initial(json!({"minScore": 0.1, "codeLens": false}));
        settings.set_current(json!({"diffidence": {"minScore": 0.2}}));
        let (config, warnings) = settings.resolve();
        assert_eq!(config.min_score.get(), 0.2);
        assert!(!config.code_lens);
        assert_eq!(config.debounce_ms, 5);
        assert_eq!(warnings, Vec::<String>::new());
        settings.set_current(json!({"minScor": 0.3}));
        let (config, warnings) = settings.resolve();
        assert_eq!(config.min_score.get(), 0.1);
        assert_eq!(
            warnings,
            ["settings: unknown key `minScor`; did you mean `minScore`?"]
        );
    }
}
