//! Putting the hunks of a file onto a text that may have changed since.
//!
//! Invariant: all hunks are put on or none, and none by guessing: every line of context and every
//! line to remove must stand there, at the hunk's own place or at the one nearest to it, as
//! `git apply` has it. Lines that stay keep their terminators; new ones end as most lines do, and a
//! text whose last line has no terminator goes on without one. This module must not know files.

use super::patch::{Hunk, Line, LineKind};

const BOM: char = '\u{feff}';

/// Why a hunk cannot be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hunk {number} does not fit: the lines around line {line} of its base are not there")]
pub struct Misfit {
    /// Which hunk of the file, from 1.
    pub number: usize,
    /// First line that it covers in the base, 1-based.
    pub line: u32,
}

/// The text with all hunks of a file put on.
///
/// # Errors
/// The first hunk that does not fit.
pub fn apply(hunks: &[Hunk], text: &str) -> Result<String, Misfit> {
    let lines: Vec<Piece<'_>> = text.split_inclusive('\n').map(Piece::of).collect();
    let mut out: Vec<Piece<'_>> = Vec::new();
    let mut done = 0;
    for (index, hunk) in hunks.iter().enumerate() {
        let place = place_of(hunk, &lines, done).ok_or(Misfit {
            number: index + 1,
            line: hunk.old.start.max(1),
        })?;
        out.extend(&lines[done..place]);
        done = place;
        for line in &hunk.lines {
            match line.kind {
                LineKind::Added => out.push(Piece::new(&line.text)),
                LineKind::Removed => done += 1,
                LineKind::Context => {
                    out.push(lines[done]);
                    done += 1;
                }
            }
        }
    }
    out.extend(&lines[done..]);
    let mut result = joined(&out, text);
    if text.starts_with(BOM) && !result.starts_with(BOM) {
        result.insert(0, BOM);
    }
    Ok(result)
}

/// How most lines of a text end.
#[must_use]
pub fn terminator(text: &str) -> &'static str {
    let all = text.matches('\n').count();
    if text.matches("\r\n").count() * 2 > all {
        "\r\n"
    } else {
        "\n"
    }
}

/// A line and how it ends; a new one is to end as the others do.
#[derive(Clone, Copy)]
struct Piece<'a> {
    line: &'a str,
    terminator: &'a str,
}

impl<'a> Piece<'a> {
    fn new(line: &'a str) -> Self {
        Self {
            line,
            terminator: "",
        }
    }

    fn of(whole: &'a str) -> Self {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let line = line
            .strip_suffix('\r')
            .filter(|_| whole.ends_with('\n'))
            .unwrap_or(line);
        Self {
            line,
            terminator: &whole[line.len()..],
        }
    }

    /// Editors take a byte order mark out of the text.
    fn is(&self, line: &Line) -> bool {
        self.line.trim_start_matches(BOM) == line.text.trim_start_matches(BOM)
    }
}

fn joined(pieces: &[Piece<'_>], before: &str) -> String {
    let usual = terminator(before);
    let mut text = String::new();
    for piece in pieces {
        text.push_str(piece.line);
        text.push_str(if piece.terminator.is_empty() {
            usual
        } else {
            piece.terminator
        });
    }
    let ends_open = !before.is_empty() && !before.ends_with('\n');
    if ends_open && text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// Where the old lines of the hunk stand: the index of the first of them, not before `from`.
fn place_of(hunk: &Hunk, lines: &[Piece<'_>], from: usize) -> Option<usize> {
    let old: Vec<&Line> = hunk
        .lines
        .iter()
        .filter(|line| line.kind != LineKind::Added)
        .collect();
    let fits = |place: usize| {
        lines
            .get(place..place + old.len())
            .is_some_and(|found| found.iter().zip(&old).all(|(piece, line)| piece.is(line)))
    };
    let last = lines
        .len()
        .checked_sub(old.len())
        .filter(|last| *last >= from)?;
    // With less context than there could be, the hunk is at an end of the text.
    let at_top = hunk.old.start <= 1 && (hunk.old.lines > 0 || hunk.old.start == 0);
    let at_bottom = hunk
        .lines
        .last()
        .is_none_or(|line| line.kind != LineKind::Context);
    let first = if at_bottom { last } else { from };
    let last = if at_top { 0 } else { last };
    let named = hunk.old.start as usize - usize::from(hunk.old.lines > 0 && hunk.old.start > 0);
    (first..=last)
        .filter(|place| fits(*place))
        // Of two that are equally near the one below.
        .min_by_key(|place| (place.abs_diff(named), *place < named))
}

#[cfg(test)]
mod tests {
    use super::super::diff::diff_texts;
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn hunks(old: &str, new: &str) -> Vec<Hunk> {
        diff_texts(old, new, Duration::from_secs(9)).hunks
    }

    #[track_caller]
    fn check(old: &str, new: &str, text: &str, expected: Result<&str, (usize, u32)>) {
        let expected = expected
            .map(str::to_owned)
            .map_err(|(number, line)| Misfit { number, line });
        assert_eq!(apply(&hunks(old, new), text), expected);
    }

    fn numbered(count: u32) -> String {
        (1..=count).map(|n| format!("line {n}\n")).collect()
    }

    #[test]
    fn a_hunk_is_put_where_its_lines_are() {
        let old = numbered(20);
        let new = old.replace("line 10\n", "changed\n");
        check(&old, &new, &old, Ok(&new));
        // Further down, and beside other changes.
        let moved = format!("top\ntop\n{}", old.replace("line 1\n", "else\n"));
        let expected = moved.replace("line 10\n", "changed\n");
        check(&old, &new, &moved, Ok(&expected));
        // Of two places the nearer one, and of two that are equally near the lower.
        let twice = old.repeat(2);
        let at = twice.rfind("line 10\n").unwrap();
        let expected = format!(
            "{}changed\n{}",
            &twice[..at],
            &twice[at + "line 10\n".len()..]
        );
        check(&twice, &expected, &twice, Ok(&expected));
    }

    #[test]
    fn what_does_not_fit_is_refused_as_a_whole() {
        let old = numbered(40);
        let new = old
            .replace("line 5\n", "five\n")
            .replace("line 30\n", "thirty\n");
        let edited = old.replace("line 31\n", "else\n");
        check(&old, &new, &edited, Err((2, 27)));
        check(&old, &new, &new, Err((1, 2)));
        check(&old, &new, "", Err((1, 2)));
        check("", "new\n", "there\n", Err((1, 1)));
        // At the ends of the text only.
        check("a\nb\n", "x\na\nb\n", "0\na\nb\n", Err((1, 1)));
        check("a\nb\n", "a\nb\nx\n", "a\nb\n0\n", Err((1, 1)));
    }

    #[test]
    fn lines_end_as_those_of_the_text() {
        check(
            "a\nb\nc\n",
            "a\nB\nc\n",
            "a\r\nb\r\nc\r\n",
            Ok("a\r\nB\r\nc\r\n"),
        );
        check("a\nb\n", "a\nB\n", "a\nb", Ok("a\nB"));
        check("a\nb\n", "a\nb\nc\n", "a\nb", Ok("a\nb\nc"));
        check(
            "a\r\nb\r\n",
            "A\r\nb\r\n",
            "\u{feff}a\nb\n",
            Ok("\u{feff}A\nb\n"),
        );
        check("", "new\n", "", Ok("new\n"));
        check("gone\n", "", "gone\n", Ok(""));
        check("a\n", "😀\n", "a\n", Ok("😀\n"));
    }

    fn any_text() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("a\n"),
            Just("b\n"),
            Just("\n"),
            Just("é\n"),
            Just("x\ry\n")
        ];
        prop::collection::vec(line, 0..20).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn the_hunks_between_two_texts_lead_from_one_to_the_other(old in any_text(), new in any_text()) {
            prop_assert_eq!(apply(&hunks(&old, &new), &old), Ok(new));
        }

        #[test]
        fn no_text_makes_it_panic(old in any_text(), new in any_text(), text in ".{0,40}") {
            let _ = apply(&hunks(&old, &new), &text);
        }
    }
}
