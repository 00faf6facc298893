//! `package.json`: which lines are about tests.
//!
//! Invariant: lines are read in order and once; no text is too broken to be read. What encloses the
//! first line is not known, and is not guessed. This file must not know of diffs.

use super::words;

/// What is known where the next line begins.
#[derive(Default)]
pub(super) struct Json {
    /// What was opened by a line that was read and is not closed, from the outside in.
    open: Vec<Open>,
    /// The last string that may be a key, and whether a colon followed.
    string: Option<String>,
    key: Option<String>,
}

struct Open {
    /// None for the whole and for what is in a list.
    key: Option<String>,
    about_tests: bool,
}

/// What a key has.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    /// An object or a list.
    Block,
}

/// Runners of tests, which are keys of the whole, packages and commands by the same name.
const RUNNERS: [&str; 8] = [
    "ava",
    "cypress",
    "jasmine",
    "jest",
    "karma",
    "mocha",
    "playwright",
    "vitest",
];

impl Json {
    /// Reads the next line.
    pub(super) fn is_about_tests(&mut self, line: &str) -> bool {
        let marks = |it: char| it.is_whitespace() || "{}[],".contains(it);
        let says_something = !line.trim_matches(marks).is_empty();
        let mut about = self.is_in_tests();
        let mut rest = line;
        while let Some(mark) = rest.chars().next() {
            rest = &rest[mark.len_utf8()..];
            match mark {
                '"' => {
                    let (text, after) = string(rest);
                    rest = after;
                    about |= self.text(text);
                }
                ':' => self.key = self.string.take(),
                '{' | '[' => {
                    let key = self.key.take();
                    let about_tests = self.has_about_tests(key.as_deref(), Value::Block);
                    about |= about_tests;
                    self.open.push(Open { key, about_tests });
                }
                '}' | ']' => {
                    self.open.pop();
                }
                ',' => self.key = None,
                _ => {}
            }
        }
        about && says_something
    }

    fn is_in_tests(&self) -> bool {
        self.open.iter().any(|open| open.about_tests)
    }

    /// Takes a string, which is a value if a key came before it.
    fn text(&mut self, text: &str) -> bool {
        match self.key.take() {
            Some(key) => self.has_about_tests(Some(&key), Value::Text(text)),
            None => {
                self.string = Some(text.to_owned());
                false
            }
        }
    }

    fn has_about_tests(&self, key: Option<&str>, value: Value<'_>) -> bool {
        let Some(key) = key else {
            return false;
        };
        let runs_tests = match value {
            Value::Text(command) => runs_tests(command),
            Value::Block => false,
        };
        match self.open.last().map(|open| open.key.as_deref()) {
            Some(None) => RUNNERS.contains(&key),
            Some(Some("scripts" | "tasks" | "targets" | "wireit")) => is_test(key) || runs_tests,
            Some(Some(_)) => false,
            None => {
                let is_setting = RUNNERS.contains(&key) || is_test(key) || is_of_jest(key);
                match value {
                    Value::Block => is_setting,
                    Value::Text(text) => {
                        !is_version(text) && (is_setting || (runs_tests && !describes(key)))
                    }
                }
            }
        }
    }
}

/// A string up to its closing quote, and what follows.
fn string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            '"' if !escaped => return (&text[..at], &text[at + 1..]),
            _ => escaped = char == '\\' && !escaped,
        }
    }
    (text, "")
}

/// Whether a script or a setting is named for tests.
fn is_test(key: &str) -> bool {
    const WORDS: [&str; 6] = ["test", "tests", "pretest", "posttest", "unittest", "e2e"];
    words(key).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// What Jest calls the settings that are not named for tests.
fn is_of_jest(key: &str) -> bool {
    const KEYS: [&str; 4] = [
        "setupFiles",
        "setupFilesAfterEnv",
        "globalSetup",
        "moduleNameMapper",
    ];
    KEYS.contains(&key)
}

fn runs_tests(command: &str) -> bool {
    const BEFORE: [&str; 8] = [
        "npm",
        "yarn",
        "pnpm",
        "run",
        "bun",
        "ng",
        "deno",
        "react-scripts",
    ];
    let mut before = "";
    command.split([' ', '&', '|', ';', '(', ')']).any(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        let is_test = BEFORE.contains(&before) && name.starts_with("test");
        before = name;
        is_test || name == "--test" || RUNNERS.contains(&name)
    })
}

/// Whether a text is what a dependency has.
fn is_version(text: &str) -> bool {
    const STARTS: [&str; 9] = [
        "workspace:",
        "npm:",
        "file:",
        "link:",
        "git",
        "http",
        "catalog:",
        "latest",
        "next",
    ];
    text.starts_with(|it: char| it.is_ascii_digit() || "^~<>=*".contains(it))
        || STARTS.iter().any(|start| text.starts_with(start))
}

/// Keys of the whole whose text is for people.
fn describes(key: &str) -> bool {
    [
        "name",
        "description",
        "homepage",
        "title",
        "url",
        "author",
        "license",
    ]
    .contains(&key)
}
