//! Configuration: one typed struct for `diffidence.toml`, the editor's settings and the flags.
//!
//! Invariant: whatever is given, a usable configuration comes out. An unknown key or a value of
//! the wrong type is named in a warning, and the rest counts.

use crate::calibration::Probability;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The file that a repository may carry at its root.
pub const FILE_NAME: &str = "diffidence.toml";

/// Keys that decide which files outside the repository are read. A repository that was merely
/// opened must not set them.
const USER_ONLY: [&str; 1] = ["model"];

/// All settings. The names are those of the keys, in every source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Folder of the model bundle; the bundled model if none.
    pub model: Option<PathBuf>,
    /// Share of correct changes to assume before looking at one; the calibration's default if none.
    pub prior: Option<Probability>,
    /// Hunks that score below this are shown as low.
    pub min_score: Probability,
    /// What changes are compared with: `head`, `index`, any revision that git understands, or
    /// `merge-base:` and a revision.
    pub base: String,
    /// Files larger than this many bytes are skipped.
    pub max_file_bytes: u64,
    /// Whether files show a code lens on their first line.
    pub code_lens: bool,
    /// Whether low-scoring hunks are shown as diagnostics.
    pub diagnostics: bool,
    /// Whether to score while typing, or only when a file is opened or saved.
    pub score_on_change: bool,
    /// Whether the language server scores at all.
    pub enable: bool,
    /// Whether the language server also scores all changes of a repository as one, for status
    /// bars. It costs as much again as the files do.
    pub workspace_score: bool,
    /// Milliseconds without typing after which a changed file is scored.
    pub debounce_ms: u64,
    /// Threads that the model may use; half of the cores if none.
    pub threads: Option<usize>,
    /// Seconds without work after which the model is unloaded; 0 keeps it.
    pub idle_unload_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            prior: None,
            // 0.35 rather than 0.5: at the default prior of one half, half of all scores lie
            // below 0.5, and a warning on every second hunk is soon ignored.
            min_score: Probability::new(0.35).unwrap_or(Probability::HALF),
            base: "head".into(),
            max_file_bytes: 1 << 20,
            code_lens: true,
            diagnostics: true,
            score_on_change: true,
            enable: true,
            workspace_score: false,
            debounce_ms: 700,
            threads: None,
            idle_unload_seconds: 600,
        }
    }
}

/// Something in a configuration that was passed over, as a sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Config {
    /// Lays the keys of `value` over this configuration. `source` names where they come from.
    #[must_use]
    pub fn overlaid(self, value: &Value, source: &str) -> (Self, Vec<Warning>) {
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Null => return (self, Vec::new()),
            other => {
                let warning = format!("{source}: expected settings by key, got {other}");
                return (self, vec![Warning(warning)]);
            }
        };
        let mut warnings = Vec::new();
        let mut config = self;
        for (key, value) in entries {
            match config.with(key, value) {
                Ok(next) => config = next,
                Err(problem) => warnings.push(Warning(format!("{source}: {problem}"))),
            }
        }
        (config, warnings)
    }

    /// Lays `diffidence.toml` at the root of a repository over this configuration, if there is one.
    #[must_use]
    pub fn overlaid_by_repository(self, root: &Path) -> (Self, Vec<Warning>) {
        let path = root.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return (self, Vec::new());
            }
            Err(error) => {
                let warning = format!("{FILE_NAME}: cannot read it: {error}");
                return (self, vec![Warning(warning)]);
            }
        };
        let mut table = match toml::from_str::<Map<String, Value>>(&text) {
            Ok(table) => table,
            Err(error) => {
                let place = error.span().map_or(0, |span| {
                    text.get(..span.start)
                        .unwrap_or_default()
                        .lines()
                        .count()
                        .max(1)
                });
                let message = error.message();
                let warning = format!("{FILE_NAME}: line {place}: {message}; the file is ignored");
                return (self, vec![Warning(warning)]);
            }
        };
        let mut refused = Vec::new();
        for key in USER_ONLY {
            if table.remove(key).is_some() {
                refused.push(Warning(format!(
                    "{FILE_NAME}: `{key}` is only read from the editor's settings or a flag"
                )));
            }
        }
        let (config, warnings) = self.overlaid(&Value::Object(table), FILE_NAME);
        refused.extend(warnings);
        (config, refused)
    }

    fn with(&self, key: &str, value: &Value) -> Result<Self, String> {
        let Ok(Value::Object(mut entries)) = serde_json::to_value(self) else {
            return Err("cannot be combined".into());
        };
        let Some(entry) = entries.get_mut(key) else {
            let nearest = entries.keys().max_by(|a, b| {
                strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key))
            });
            let hint = nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            return Err(format!("unknown key `{key}`{hint}"));
        };
        *entry = value.clone();
        serde_json::from_value(Value::Object(entries))
            .map_err(|error| format!("`{key}` cannot be {value}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn check(value: &Value, expect: Expect) -> Config {
        let (config, warnings) = Config::default().overlaid(value, "settings");
        let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        expect.assert_eq(&shown.join("\n"));
        config
    }

    #[test]
    fn known_keys_count_beside_unknown_ones() {
        let config = check(
            &json!({"minScore": 0.2, "minscor": 1, "prior": 2, "debounceMs": "soon", "codeLens": false}),
            expect![[r#"
                settings: unknown key `minscor`; did you mean `minScore`?
                settings: `prior` cannot be 2: 2 is not a probability between 0 and 1
                settings: `debounceMs` cannot be "soon": invalid type: string "soon", expected u64"#]],
        );
        assert_eq!(config.min_score, Probability::new(0.2).unwrap());
        assert!(!config.code_lens);
        assert_eq!(config.prior, None);
    }

    #[test]
    fn nothing_and_nonsense_leave_the_defaults() {
        assert_eq!(check(&Value::Null, expect![[""]]), Config::default());
        let nonsense = check(
            &json!([1]),
            expect!["settings: expected settings by key, got [1]"],
        );
        assert_eq!(nonsense, Config::default());
    }

    #[test]
    fn a_repository_cannot_choose_the_model() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), "model = '/x'\nprior = 0.7\n").unwrap();
        let (config, warnings) = Config::default().overlaid_by_repository(folder.path());
        assert_eq!(config.model, None);
        assert_eq!(config.prior, Some(Probability::new(0.7).unwrap()));
        expect!["diffidence.toml: `model` is only read from the editor's settings or a flag"]
            .assert_eq(&warnings[0].to_string());
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_broken_file_is_ignored_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), "prior = 0.7\nbase = \n").unwrap();
        let (config, warnings) = Config::default().overlaid_by_repository(folder.path());
        assert_eq!(config, Config::default());
        assert!(
            warnings[0].0.starts_with("diffidence.toml: line 2:"),
            "{}",
            warnings[0]
        );
    }
}
