//! The renderer `patch@1`: the text a model reads for a patch, piece by piece.
//!
//! Invariant: the trainer renders the same bytes (golden files test it), so any change here needs
//! a new version in [`RENDERER`] and new models. This file must not know about tokens or windows.

use crate::change::{FileChange, FileStatus, Line};

/// Name and version of this renderer, as bundles state it.
pub const RENDERER: &str = "patch@1";

/// The text before the lines of each hunk.
pub const HUNK_MARKER: &str = "@@\n";

/// Longest task description that is rendered, in Unicode scalar values.
const TASK_CHARS: usize = 1_000;

/// Longest line that is rendered, in Unicode scalar values.
pub const LINE_CHARS: usize = 400;

/// Whether `c` counts as white space in task descriptions and code: the ASCII ones only, so that
/// Rust and Python agree.
#[must_use]
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c' | '\x0b')
}

/// The task description as the model reads it; `None` if it is blank.
#[must_use]
pub fn task(description: &str) -> Option<String> {
    let mut text = String::from("Task: ");
    let mut chars = 0;
    for word in description.split(is_space).filter(|word| !word.is_empty()) {
        if chars > 0 {
            text.push(' ');
            chars += 1;
        }
        for c in word.chars().take(TASK_CHARS.saturating_sub(chars)) {
            text.push(c);
            chars += 1;
        }
        if chars >= TASK_CHARS {
            break;
        }
    }
    text.push_str("\n\n");
    (chars > 0).then_some(text)
}

/// The line that names a file and what happened to it.
#[must_use]
pub fn file_header(file: &FileChange) -> String {
    let path = file.path();
    match file.status {
        FileStatus::Added => format!("New file: {path}\n"),
        FileStatus::Modified => format!("File: {path}\n"),
        FileStatus::Deleted => format!("Deleted file: {path}\n"),
        FileStatus::Renamed => {
            let old = file.old_path.as_deref().unwrap_or(path);
            format!("Renamed file: {old} -> {path}\n")
        }
    }
}

/// One line of a hunk with its marker, without carriage return, cut to the longest length.
#[must_use]
pub fn line(line: &Line) -> String {
    let text = cut(&line.text, LINE_CHARS);
    format!("{}{text}\n", line.kind.marker())
}

/// All that the model could read of a patch if its window had no end. Only for people and tests:
/// scoring renders piece by piece and stops when the windows are full.
#[must_use]
pub fn whole(patch: &crate::change::Patch, description: Option<&str>) -> String {
    let mut text = description.and_then(task).unwrap_or_default();
    for file in patch.files.iter().filter(|file| !file.hunks.is_empty()) {
        text.push_str(&file_header(file));
        for hunk in &file.hunks {
            text.push_str(HUNK_MARKER);
            for one in &hunk.lines {
                text.push_str(&line(one));
            }
        }
    }
    text
}

fn cut(text: &str, chars: usize) -> &str {
    match text.char_indices().nth(chars) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::LineKind;

    #[test]
    fn task_collapses_ascii_space_only_and_is_cut_by_characters() {
        let check = |input: &str, expect: Option<&str>| {
            assert_eq!(task(input).as_deref(), expect, "{input:?}");
        };
        check("", None);
        check(" \t\r\n\x0b\x0c", None);
        check("  fix\r\n the\t\tbug ", Some("Task: fix the bug\n\n"));
        check("a\u{a0}b", Some("Task: a\u{a0}b\n\n"));
        let long = task(&"😀".repeat(1_200)).unwrap();
        assert_eq!(long.chars().count(), "Task: ".len() + 1_000 + 2);
        // The cut may fall right after a space: the text is cut last, after trimming.
        let text = format!("{} b", "a".repeat(999));
        assert_eq!(
            task(&text).unwrap(),
            format!("Task: {} \n\n", "a".repeat(999))
        );
    }

    #[test]
    fn header_tells_the_status() {
        let check = |status, old: Option<&str>, new: Option<&str>, expect: &str| {
            let file = FileChange {
                old_path: old.map(Into::into),
                new_path: new.map(Into::into),
                status,
                hunks: vec![],
            };
            assert_eq!(file_header(&file), expect);
        };
        check(FileStatus::Added, None, Some("a"), "New file: a\n");
        check(FileStatus::Modified, Some("a"), Some("a"), "File: a\n");
        check(FileStatus::Deleted, Some("a"), None, "Deleted file: a\n");
        check(
            FileStatus::Renamed,
            Some("a"),
            Some("b"),
            "Renamed file: a -> b\n",
        );
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = "é".repeat(500);
        let got = line(&Line {
            kind: LineKind::Added,
            text,
        });
        assert_eq!(got, format!("+{}\n", "é".repeat(400)));
    }
}
