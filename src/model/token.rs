//! The words and signs of a line of code, for the lexical branch and the change metrics.
//!
//! Invariant: the same pieces as the trainer's regular expression
//! `[A-Za-z_][A-Za-z_0-9]*|[0-9]+|[^ \t\r\n\f\vA-Za-z_0-9]` finds. Written by hand because it runs
//! over every line of every patch, and has no state to keep.

use super::render::is_space;

/// The tokens of `line` from left to right.
pub fn tokens(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_space);
        let first = rest.chars().next()?;
        let length = if is_word_start(first) {
            run(rest, |c| is_word_start(c) || c.is_ascii_digit())
        } else if first.is_ascii_digit() {
            run(rest, |c| c.is_ascii_digit())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

/// Whether a token is a name or keyword rather than a number or sign.
#[must_use]
pub(super) fn is_identifier(token: &str) -> bool {
    token.chars().next().is_some_and(is_word_start)
}

/// Lower-cased parts of an identifier of at least three letters: `_` separates, and a capital after
/// a small letter or digit starts one.
pub(super) fn subwords(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = '_';
    for c in word.chars() {
        let hump =
            c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        if c == '_' || hump {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| c != '_') {
            part.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    parts.retain(|part| part.len() > 2);
    parts
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn run(text: &str, inside: impl Fn(char) -> bool) -> usize {
    text.find(|c| !inside(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_parts() {
        let check = |word: &str, expect: &[&str]| assert_eq!(subwords(word), expect, "{word}");
        check("parse_input", &["parse", "input"]);
        check("parseInputOf2Things", &["parse", "input", "of2", "things"]);
        check("HTTPServer", &["httpserver"]);
        check("__a_b1", &[]);
    }

    #[test]
    fn splits_like_the_regular_expression() {
        let check = |line: &str, expect: &[&str]| {
            assert_eq!(tokens(line).collect::<Vec<_>>(), expect, "{line:?}");
        };
        check("", &[]);
        check(" \t\x0b\x0c", &[]);
        check("if x1 == 42:", &["if", "x1", "=", "=", "42", ":"]);
        check("1abc", &["1", "abc"]);
        check("é😀_a", &["é", "😀", "_a"]);
        check("a\u{a0}b", &["a", "\u{a0}", "b"]);
        check(
            "x->y(\"s\")",
            &["x", "-", ">", "y", "(", "\"", "s", "\"", ")"],
        );
    }
}
