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
