//! Whether a change of a file touches the tests that a patch will be judged by: tests that were there
//! before, and whatever decides how tests run.
//!
//! This is the one place that knows. It goes by the names and defaults of the usual runners, and
//! where a file holds settings of many tools by what the hunks show of it.
//!
//! Invariant: the answer follows from the change alone. A new test is welcome. This room must not
//! know what follows from its answer.

mod json;
mod names;
mod sections;
mod settings;

use crate::change::FileChange;
use names::{decides_how_tests_run, is_test};

/// Whether an old test is edited, moved, deleted or given another mode or other bytes, or whether
/// tests run otherwise afterwards, as far as can be told.
pub(super) fn is_touched_by(file: &FileChange) -> bool {
    let was_of_it = |path: &str| is_test(path) || decides_how_tests_run(path);
    file.old_path.as_deref().is_some_and(was_of_it)
        || decides_how_tests_run(file.path())
        || settings::are_changed_by(file)
}

/// The words of a name in small letters: `FooIT`, `foo-it` and `foo_it` have two.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &char) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        // Of capitals in a row the last begins a word if small letters follow: `UITests`.
        let begins = char.is_uppercase()
            && before
                .is_some_and(|it| !it.is_uppercase() || after.is_some_and(|it| it.is_lowercase()));
        if begins || !char.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| char.is_alphanumeric()) {
            word.extend(char.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_part_into_words() {
        let check = |name: &str, expect: &[&str]| assert_eq!(words(name), expect, "{name}");
        check("", &[]);
        check("integration_tests", &["integration", "tests"]);
        check("test:unit-a", &["test", "unit", "a"]);
        check("MyAppUITests", &["my", "app", "ui", "tests"]);
        check("FooIT", &["foo", "it"]);
        check("ITFoo", &["it", "foo"]);
        check("FooITCase", &["foo", "it", "case"]);
        check("EDIT", &["edit"]);
        check("ITunes", &["i", "tunes"]);
        check("Testament", &["testament"]);
        check("e2e", &["e2e"]);
        check("testMatch", &["test", "match"]);
    }
}
