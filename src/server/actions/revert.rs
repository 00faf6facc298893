//! The edit that takes a hunk back to its base.
//!
//! Invariant: with the edits of all its hunks the document has the lines of the base, the missing
//! terminator at its end included. Lines that did not change are not touched, and those that come
//! back end as the document's lines do.

use super::super::text::{Encoding, GitLines, position_of};
use crate::change::{Hunk, LineKind, terminator};
use tower_lsp::lsp_types::{Range, TextEdit};

/// One edit for each run of changed lines. `base_ends_open` says whether the last line of the base
/// has no terminator.
pub(in crate::server) fn edits(
    text: &str,
    hunk: &Hunk,
    base_ends_open: bool,
    encoding: Encoding,
) -> Vec<TextEdit> {
    let terminator = terminator(text);
    let mut edits = Vec::new();
    let mut run = Run::at(hunk.new.start + u32::from(hunk.new.lines == 0));
    let mut finish = |run: &Run<'_>| {
        if run.added == 0 && run.removed.is_empty() {
            return;
        }
        let bytes = GitLines(text).whole(run.start, run.added);
        let mut lines: String = run
            .removed
            .iter()
            .flat_map(|line| [line, terminator])
            .collect();
        // A run at the end of the document is at the end of the base, because a line of context
        // would follow otherwise.
        if bytes.end == text.len() && base_ends_open && !run.removed.is_empty() {
            lines.truncate(lines.len() - terminator.len());
        }
        edits.push(TextEdit {
            range: Range {
                start: position_of(text, bytes.start, encoding),
                end: position_of(text, bytes.end, encoding),
            },
            new_text: lines,
        });
    };
    for line in &hunk.lines {
        match line.kind {
            LineKind::Added => run.added += 1,
            LineKind::Removed => run.removed.push(&line.text),
            LineKind::Context => {
                finish(&run);
                run = Run::at(run.start + run.added + 1);
            }
        }
    }
    finish(&run);
    edits
}

/// Changed lines without context between them.
struct Run<'a> {
    /// First line of the document, 1-based.
    start: u32,
    added: u32,
    removed: Vec<&'a str>,
}

impl Run<'_> {
    fn at(start: u32) -> Self {
        Self {
            start,
            added: 0,
            removed: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::text::apply;
    use super::*;
    use crate::change::diff::diff_texts;
    use proptest::prelude::*;
    use std::time::Duration;
    use tower_lsp::lsp_types::TextDocumentContentChangeEvent;

    fn reverted(base: &str, text: &str, encoding: Encoding) -> String {
        let open = !base.is_empty() && !base.ends_with('\n');
        let diff = diff_texts(base, text, Duration::from_secs(9));
        let all = diff
            .hunks
            .iter()
            .flat_map(|hunk| edits(text, hunk, open, encoding));
        let mut result = text.to_owned();
        // From the end, so that no edit moves another.
        for edit in all.collect::<Vec<_>>().into_iter().rev() {
            let change = TextDocumentContentChangeEvent {
                range: Some(edit.range),
                range_length: None,
                text: edit.new_text,
            };
            apply(&mut result, &change, encoding);
        }
        result
    }

    #[track_caller]
    fn check(base: &str, text: &str, expected: &str) {
        assert_eq!(reverted(base, text, Encoding::Utf16), expected);
    }

    #[test]
    fn lines_come_back_as_the_document_ends_them() {
        check("a\nb\nc\n", "a\r\nx\r\nc\r\n", "a\r\nb\r\nc\r\n");
        check("a\nb\nc\n", "a\r\nc\r\n", "a\r\nb\r\nc\r\n");
        check("a\r\nb\r\n", "a\nb\nnew\n", "a\nb\n");
        check("a\nb\n", "", "a\nb\n");
        check("a\n😀b\n", "a\n😀😀\n", "a\n😀b\n");
    }

    #[test]
    fn the_last_line_comes_back_with_or_without_its_terminator() {
        check("a\nb", "a\nb\n", "a\nb");
        check("a\nb\n", "a\nb", "a\nb\n");
        check("a\nb", "a\n", "a\nb");
        check("a\n", "a\nb", "a\n");
        check("a", "a\nb", "a");
        check("a\nb", "a\nx\ny\n", "a\nb");
        check("a\r\nb", "a\r\nx\r\n", "a\r\nb");
        check("a\nb\nc", "x\nb\nc", "a\nb\nc");
    }

    fn any_lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![Just("a"), Just("b"), Just("é😀"), Just(""), Just("x\ry")];
        (prop::collection::vec(line, 0..14), any::<bool>()).prop_map(|(lines, open)| {
            let mut text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            if open {
                text.pop();
            }
            text
        })
    }

    proptest! {
        #[test]
        fn all_hunks_reverted_give_the_base(base in any_lines(), text in any_lines()) {
            for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
                prop_assert_eq!(reverted(&base, &text, encoding), base.as_str());
            }
            let crlf = text.replace('\n', "\r\n");
            let got = reverted(&base, &crlf, Encoding::Utf16);
            prop_assert_eq!(got.replace("\r\n", "\n"), base.as_str());
            // A document without line breaks does not tell how its lines end.
            if crlf.contains('\n') {
                prop_assert_eq!(got.matches('\n').count(), got.matches("\r\n").count());
            }
        }
    }
}
