//! The words of a task description, split once for all hunks of a patch.

use super::render::is_space;
use super::token::{is_identifier, subwords, tokens};
use super::vocabulary::FAULTS;
use std::collections::HashSet;

/// What the change metrics need of a task description. A blank one counts as none.
#[derive(Debug, Default)]
pub(super) struct Problem<'a> {
    /// Without the white space around it.
    pub(super) text: &'a str,
    /// Tokens.
    pub(super) count: usize,
    pub(super) words: HashSet<&'a str>,
    /// Parts of its identifiers.
    pub(super) subwords: HashSet<String>,
    /// Identifiers that look like names in code: with an inner underscore or capital.
    pub(super) code: HashSet<&'a str>,
    /// Identifiers of at least eight letters.
    pub(super) long: HashSet<&'a str>,
    pub(super) faults: usize,
    pub(super) lines: usize,
    pub(super) fences: usize,
}

impl<'a> Problem<'a> {
    /// Splits the description.
    #[must_use]
    pub(super) fn new(description: Option<&'a str>) -> Self {
        let text = description.unwrap_or_default().trim_matches(is_space);
        let words: HashSet<&str> = tokens(text).collect();
        let names = || words.iter().copied().filter(|word| is_identifier(word));
        Self {
            text,
            count: tokens(text).count(),
            subwords: names().flat_map(subwords).collect(),
            code: names().filter(|word| is_code(word)).collect(),
            long: names().filter(|word| word.len() > 7).collect(),
            faults: tokens(text).filter(|word| FAULTS.contains(word)).count(),
            lines: text.matches('\n').count(),
            fences: text.matches("```").count(),
            words,
        }
    }
}

fn is_code(word: &str) -> bool {
    let bytes = word.as_bytes();
    let inner = bytes.get(1..).unwrap_or_default();
    let humps = bytes.iter().zip(inner);
    bytes.len() > 2
        && (inner.contains(&b'_')
            || humps
                .into_iter()
                .any(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_code_are_told_from_words() {
        let check = |word: &str, expect: bool| assert_eq!(is_code(word), expect, "{word}");
        check("max_size", true);
        check("maxSize", true);
        check("_private", false);
        check("Word", false);
        check("HTTP", false);
        check("aB", false);
    }

    #[test]
    fn a_blank_description_counts_as_none() {
        let problem = Problem::new(Some(" \n\t"));
        assert!(problem.text.is_empty() && problem.words.is_empty());
        let problem = Problem::new(Some("\nparseInput fails:\n```\npanic\n```\n"));
        assert_eq!((problem.lines, problem.fences, problem.faults), (3, 2, 2));
        assert!(problem.subwords.contains("parse") && problem.subwords.contains("input"));
        assert!(problem.long.contains("parseInput") && !problem.long.contains("fails"));
    }
}
