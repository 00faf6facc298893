//! Settings in sections of keys, as TOML and INI have them: which lines are about tests.
//!
//! Invariant: lines are read in order and once. What stands above the first of them is not known,
//! and is not guessed: a section or a key counts once it was read. This file must not know of diffs.

use super::words;

/// What is known at the line that comes next.
pub(super) struct Sections {
    /// Whether a colon parts a key from its value, too.
    colons: bool,
    section: Option<Vec<String>>,
    key: Option<Vec<String>>,
}

/// What pytest calls its settings, where nothing else does.
const OF_PYTEST: [&str; 12] = [
    "addopts",
    "asyncio_mode",
    "django_settings_module",
    "filterwarnings",
    "norecursedirs",
    "python_classes",
    "python_files",
    "python_functions",
    "pythonpath",
    "testpaths",
    "usefixtures",
    "xfail_strict",
];

/// Arguments of pytest that keep tests from running.
const ARGUMENTS: [&str; 5] = [
    "--ignore=",
    "--ignore-glob",
    "--deselect",
    "--collect-only",
    "--noconftest",
];

impl Sections {
    pub(super) fn of_toml() -> Self {
        Self::new(false)
    }

    pub(super) fn of_ini() -> Self {
        Self::new(true)
    }

    fn new(colons: bool) -> Self {
        Self {
            colons,
            section: None,
            key: None,
        }
    }

    /// Reads the next line.
    pub(super) fn is_about_tests(&mut self, line: &str) -> bool {
        let low = line.to_ascii_lowercase();
        let text = low.trim();
        // An empty line, a comment, the end of a list.
        if text.starts_with(['#', ';']) || text.trim_matches(['[', ']', '{', '}', ',']).is_empty() {
            return false;
        }
        if let Some(header) = header(text) {
            self.section = Some(parts(header));
            self.key = None;
            return self.is_in_tests("");
        }
        match self.key_and_value(&low) {
            Some((key, value)) => {
                self.key = Some(parts(key));
                self.is_in_tests(value)
            }
            None => self.is_in_tests(text),
        }
    }

    fn is_in_tests(&self, value: &str) -> bool {
        let section = self.section.as_deref();
        let key = self.key.as_deref().unwrap_or_default();
        let last = key.last().map(String::as_str).unwrap_or_default();
        let named = section.unwrap_or_default();
        if named.iter().chain(key).any(|part| lists_dependencies(part)) {
            return false;
        }
        // `pytest = "^8"` is a dependency, but for the section `tool`.
        let above = key.len().saturating_sub(usize::from(named != ["tool"]));
        if named
            .iter()
            .chain(&key[..above])
            .any(|part| is_runner(part))
        {
            return true;
        }
        if ["test_command", "test_suite"].contains(&last.replace('-', "_").as_str()) {
            return true;
        }
        match section {
            Some(named) => holds_commands(named) && (is_test(key) || runs_tests(value)),
            None if key.is_empty() => ARGUMENTS.iter().any(|it| value.contains(it)),
            None => OF_PYTEST.contains(&last) || (is_test(key) && is_command(value)),
        }
    }

    /// A key may be quoted, but an item of a list, which may hold `=` as well, is none.
    fn key_and_value<'a>(&self, line: &'a str) -> Option<(&'a str, &'a str)> {
        // An indented line goes on with the value above it.
        let marks: &[char] = match self.colons && !line.starts_with([' ', '\t']) {
            true => &['=', ':'],
            false => &['='],
        };
        let text = line.trim();
        if let Some(quote) = text.chars().next().filter(|it| ['"', '\''].contains(it)) {
            let (key, rest) = text[1..].split_once(quote)?;
            return Some((key, rest.trim_start().strip_prefix('=')?.trim()));
        }
        let (key, value) = text.split_once(marks)?;
        let key = key.trim();
        let is_key = |it: char| it.is_alphanumeric() || "_-. \"'".contains(it);
        let is_named = key.starts_with(|it: char| it.is_alphanumeric() || it == '_');
        (is_named && key.chars().all(is_key)).then(|| (key, value.trim()))
    }
}

/// What stands between the brackets of the head of a section.
fn header(text: &str) -> Option<&str> {
    let text = text.split(['#', ';']).next()?.trim();
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let inner = inner
        .strip_prefix('[')
        .map_or(Some(inner), |it| it.strip_suffix(']'))?;
    let is_list = inner.contains(',') || inner.trim().starts_with(['"', '\'', '[']);
    (!is_list).then_some(inner)
}

fn parts(name: &str) -> Vec<String> {
    let parts = name.split(['.', ':']);
    let bare = parts.map(|part| part.trim_matches([' ', '"', '\'']).to_owned());
    bare.collect()
}

fn lists_dependencies(part: &str) -> bool {
    part.contains("dependenc")
        || part.ends_with("requires")
        || part.ends_with("_require")
        || ["deps", "extras", "group"].contains(&part)
}

/// Whether a section of that name is about how tests run.
fn is_runner(part: &str) -> bool {
    const NAMES: [&str; 9] = [
        "test",
        "tests",
        "hatch-test",
        "tox",
        "nox",
        "testenv",
        "nosetests",
        "unittest",
        "nose2",
    ];
    part.starts_with("pytest") || NAMES.contains(&part)
}

fn holds_commands(section: &[String]) -> bool {
    let last = section.last().map(String::as_str).unwrap_or_default();
    ["scripts", "tasks", "aliases", "commands"].contains(&last)
}

fn is_test(key: &[String]) -> bool {
    let words = key.last().map(|last| words(last)).unwrap_or_default();
    let is_test = |word: &String| ["test", "tests", "e2e"].contains(&word.as_str());
    words.iter().any(is_test)
}

fn runs_tests(value: &str) -> bool {
    let is_runner = |word: &String| ["pytest", "unittest", "tox", "nox"].contains(&word.as_str());
    words(value).iter().any(is_runner)
}

/// Neither the version of a dependency nor a list of them.
fn is_command(value: &str) -> bool {
    let bare = value.trim_matches(['"', '\'', ' ']);
    let is_version = |it: char| it.is_ascii_digit() || "^~<>=*!".contains(it);
    !bare.is_empty() && !value.starts_with('[') && !bare.starts_with(is_version)
}
