//! Configuration: one typed struct for `diffidence.toml`, the editor's settings and the flags.
//!
//! Invariant: whatever is given, a usable configuration comes out. An unknown key or a value of
//! the wrong type is named in a warning, and the rest counts.

use crate::calibration::Probability;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The file that a repository may carry at its root.
pub const FILE_NAME: &str = "diffidence.toml";

/// Keys that decide which files outside the repository are read. A repository that was merely
/// opened must not set them.
const USER_ONLY: [&str; 1] = ["model"];

/// A task description is cut by the renderer long before this, in bytes.
pub const MAX_TASK_BYTES: u64 = 1 << 20;

/// All settings. The names are those of the keys, in every source.
///
/// `editors/config.schema.json` is made from this by a test below; what is said here is what an
/// editor shows for a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "Settings of Diffidence", description = ""))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the model bundle; the bundled model if none. Not read from `diffidence.toml`.
    pub model: Option<PathBuf>,
    /// Share of correct changes to assume before looking at one; the calibration's default if none.
    #[cfg_attr(test, schemars(with = "Option<f64>", range(min = 0, max = 1)))]
    pub prior: Option<Probability>,
    /// Hunks that score below this are shown as low.
    #[cfg_attr(test, schemars(with = "f64", range(min = 0, max = 1)))]
    pub min_score: Probability,
    /// What changes are compared with: `head`, `index`, any revision that git understands, or
    /// `merge-base:` and a revision.
    pub base: String,
    /// File that says what the change is for, relative to the top of the repository and inside of
    /// it. Used if it exists. Only the editor's settings may name another place, by an absolute
    /// path.
    pub task_file: Option<PathBuf>,
    /// Files larger than this many bytes are skipped.
    pub max_file_bytes: u64,
    /// Whether files show a code lens on their first line.
    pub code_lens: bool,
    /// Whether low-scoring hunks are shown as diagnostics.
    pub diagnostics: bool,
    /// Whether to tell what the text of a changed file shows by itself: that it no longer parses,
    /// markers of a merge, names defined twice, statements for a debugger.
    pub static_checks: bool,
    /// Whether to score while typing, or only when a file is opened or saved.
    pub score_on_change: bool,
    /// Whether the language server scores at all.
    pub enable: bool,
    /// Whether the language server also scores all changes of a repository as one, for status
    /// bars. It costs as much again as the files do.
    pub workspace_score: bool,
    /// Seconds that the language server may spend, after each change, on scoring changed files
    /// that are not open, when a client lists them; 0 scores only open ones.
    pub background_seconds: u64,
    /// Whether each scored hunk shows its score as an inlay hint.
    pub inlay_hints: bool,
    /// Milliseconds without typing after which a changed file is scored.
    pub debounce_ms: u64,
    /// Threads that the model may use; half of the cores if none.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub threads: Option<usize>,
    /// Seconds without work after which the model is unloaded; 0 keeps it.
    pub idle_unload_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            prior: None,
            // At the default prior of one half, half of all scores lie below 0.5, and a warning on
            // every second hunk is soon ignored. Below 0.35 lies about one hunk in nine of the
            // agents' patches that the bundled model was tuned on.
            min_score: Probability::new(0.35).unwrap_or(Probability::HALF),
            base: "head".into(),
            task_file: None,
            max_file_bytes: 1 << 20,
            code_lens: true,
            diagnostics: true,
            static_checks: true,
            score_on_change: true,
            enable: true,
            workspace_score: false,
            background_seconds: 60,
            inlay_hints: false,
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
        let (table, mut warnings) = repository_table(root);
        let (config, others) = self.overlaid(&Value::Object(table), FILE_NAME);
        warnings.extend(others);
        (config, warnings)
    }

    /// The description of what the change is for, if [`Config::task_file`] names a file that
    /// exists and is not blank.
    ///
    /// # Errors
    /// If there is a file that cannot be used, or that lies outside of the repository although it
    /// is named by a relative path.
    pub fn task(&self, root: &Path) -> Result<Option<String>, Warning> {
        let Some(named) = &self.task_file else {
            return Ok(None);
        };
        let problem =
            |what: &str| Warning(format!("`taskFile`: {} {what}; not used", named.display()));
        let path = match root.join(named).canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(&format!("cannot be read: {error}"))),
        };
        // A link in a repository that was merely opened must not lead to other files.
        let inside = root.canonicalize().is_ok_and(|root| path.starts_with(root));
        if named.is_relative() && !inside {
            return Err(problem("leads out of the repository"));
        }
        let read = || {
            let mut bytes = Vec::new();
            if std::fs::metadata(&path)?.is_file() {
                let file = std::fs::File::open(&path)?;
                file.take(MAX_TASK_BYTES + 1).read_to_end(&mut bytes)?;
                Ok(bytes)
            } else {
                Err(std::io::Error::other("not a file"))
            }
        };
        let bytes = read().map_err(|error| problem(&format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_TASK_BYTES {
            return Err(problem("is larger than 1 MiB"));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
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

/// The keys that `diffidence.toml` sets in a repository, without those that are passed over.
#[must_use]
pub fn repository_keys(root: &Path) -> Vec<String> {
    let (table, _) = repository_table(root);
    let defaults = Config::default();
    let keys = table.into_iter();
    keys.filter(|(key, value)| defaults.with(key, value).is_ok())
        .map(|(key, _)| key)
        .collect()
}

/// `diffidence.toml` without what a repository must not decide.
fn repository_table(root: &Path) -> (Map<String, Value>, Vec<Warning>) {
    let ignored = |warning| (Map::new(), vec![Warning(format!("{FILE_NAME}: {warning}"))]);
    let text = match std::fs::read_to_string(root.join(FILE_NAME)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Default::default(),
        Err(error) => return ignored(format!("cannot read it: {error}")),
    };
    let mut table = match toml::from_str::<Map<String, Value>>(&text) {
        Ok(table) => table,
        Err(error) => {
            let place = error.span().map_or(0, |span| {
                let before = text.get(..span.start).unwrap_or_default();
                before.lines().count().max(1)
            });
            let message = error.message();
            return ignored(format!("line {place}: {message}; the file is ignored"));
        }
    };
    let mut warnings = Vec::new();
    for key in USER_ONLY {
        if table.remove(key).is_some() {
            warnings.push(Warning(format!(
                "{FILE_NAME}: `{key}` is only read from the editor's settings or a flag"
            )));
        }
    }
    let task_file = table.get("taskFile").and_then(Value::as_str);
    if task_file.is_some_and(|path| !Path::new(path).is_relative()) {
        table.remove("taskFile");
        warnings.push(Warning(format!(
            "{FILE_NAME}: `taskFile` must be relative to the top of the repository"
        )));
    }
    (table, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect, expect_file};
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

    #[test]
    fn a_task_file_is_read_only_inside_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repo");
        std::fs::create_dir_all(root.join("folder")).unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("task.md"), "Subtract.\n").unwrap();
        std::fs::write(root.join("blank.md"), " \n").unwrap();
        std::fs::write(root.join("big.md"), vec![b'x'; MAX_TASK_BYTES as usize + 1]).unwrap();
        let task = |toml: &str| {
            std::fs::write(root.join(FILE_NAME), format!("taskFile = '{toml}'")).unwrap();
            let (config, warnings) = Config::default().overlaid_by_repository(&root);
            match warnings.first() {
                Some(warning) => warning.to_string(),
                None => match config.task(&root) {
                    Ok(task) => format!("{task:?}"),
                    Err(warning) => warning.to_string(),
                },
            }
        };
        assert_eq!(task("task.md"), r#"Some("Subtract.\n")"#);
        assert_eq!(task("absent.md"), "None");
        assert_eq!(task("blank.md"), "None");
        let outside = folder.path().join("secret");
        let absolute = task(outside.to_str().unwrap());
        assert!(
            absolute.contains("`taskFile` must be relative"),
            "{absolute}"
        );
        for (path, problem) in [
            ("../secret", "leads out of the repository"),
            ("folder", "cannot be read: not a file"),
            ("big.md", "is larger than 1 MiB"),
        ] {
            let expected = format!("`taskFile`: {path} {problem}; not used");
            assert_eq!(task(path), expected);
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
            assert!(task("link").contains("leads out of the repository"));
        }
        let settings = Config {
            task_file: Some(outside),
            ..Config::default()
        };
        assert_eq!(settings.task(&root), Ok(Some("secret".into())));
    }

    #[test]
    fn the_schema_is_that_of_the_settings() {
        let mut schema = schemars::schema_for!(Config).to_value();
        let keys = schema["properties"].as_object_mut().unwrap();
        for (_, key) in keys.iter_mut() {
            // Lines are broken for readers of the source.
            key["description"] = json!(key["description"].as_str().unwrap().replace('\n', " "));
        }
        // If this fails, run the test again with UPDATE_EXPECT=1 and commit the file.
        expect_file!["../editors/config.schema.json"].assert_eq(&format!("{schema:#}\n"));

        let mut compiler = boon::Compiler::new();
        compiler
            .add_resource("config.json", schema.clone())
            .unwrap();
        let mut schemas = boon::Schemas::new();
        let index = compiler.compile("config.json", &mut schemas).unwrap();
        let is_valid = |value: &Value| schemas.validate(value, index).is_ok();
        assert!(is_valid(&serde_json::to_value(Config::default()).unwrap()));
        assert!(is_valid(&json!({"minScore": 0.2, "taskFile": "a"})));
        for wrong in [
            json!({"minscore": 0.2}),
            json!({"minScore": 1.1}),
            json!({"prior": -0.1}),
            json!({"threads": 0}),
            json!({"base": 1}),
        ] {
            assert!(!is_valid(&wrong), "{wrong}");
        }
    }

    #[test]
    fn the_readme_names_every_key() {
        let readme = include_str!("../README.md");
        let Value::Object(keys) = serde_json::to_value(Config::default()).unwrap() else {
            panic!("settings are an object");
        };
        for key in keys.keys() {
            assert!(readme.contains(&format!("`{key}`")), "{key}");
        }
    }
}
