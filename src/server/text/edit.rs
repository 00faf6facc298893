//! Content changes of `textDocument/didChange`.

use super::encoding::Encoding;
use super::position::offset_of;
use tower_lsp::lsp_types::TextDocumentContentChangeEvent;

/// Applies one change. Positions outside the text are clamped and swapped ends put in order, as
/// editors' own libraries do.
pub fn apply(text: &mut String, change: &TextDocumentContentChangeEvent, encoding: Encoding) {
    let Some(range) = change.range else {
        text.clone_from(&change.text);
        return;
    };
    let start = offset_of(text, range.start, encoding);
    let end = offset_of(text, range.end, encoding);
    text.replace_range(start.min(end)..start.max(end), &change.text);
}

#[cfg(test)]
mod tests {
    use super::super::position::tests::{any_encoding, any_text, naive};
    use super::*;
    use proptest::prelude::*;
    use tower_lsp::lsp_types::{Position, Range};

    #[track_caller]
    fn check(before: &str, from: (u32, u32), to: (u32, u32), with: &str, after: &str) {
        let mut text = before.to_owned();
        let change = TextDocumentContentChangeEvent {
            range: Some(Range {
                start: Position::new(from.0, from.1),
                end: Position::new(to.0, to.1),
            }),
            range_length: None,
            text: with.into(),
        };
        apply(&mut text, &change, Encoding::Utf16);
        assert_eq!(text, after);
    }

    #[test]
    fn edits_count_in_units_and_know_three_terminators() {
        check("a😀b", (0, 1), (0, 3), "x", "axb");
        check("a\rb\r\nc\nd", (1, 0), (2, 1), "_", "a\r_\nd");
        check("a\r\nb", (0, 9), (1, 0), " ", "a b");
        check("ab", (0, 2), (0, 1), "x", "ax");
        check("ab", (7, 0), (9, 9), "!", "ab!");
        check("", (0, 0), (0, 0), "x", "x");
    }

    proptest! {
        #[test]
        fn a_range_between_two_characters_is_replaced(
            text in any_text(),
            with in any_text(),
            encoding in any_encoding(),
            a in any::<prop::sample::Index>(),
            b in any::<prop::sample::Index>(),
        ) {
            // A client cannot name the place inside a CRLF.
            let mut places = naive(&text, encoding);
            places.retain(|(offset, _)| {
                !(text[..*offset].ends_with('\r') && text[*offset..].starts_with('\n'))
            });
            let (from, start) = places[a.index(places.len())];
            let (to, end) = places[b.index(places.len())];
            let mut edited = text.clone();
            let change = TextDocumentContentChangeEvent {
                range: Some(Range { start, end }),
                range_length: None,
                text: with.clone(),
            };
            apply(&mut edited, &change, encoding);
            let (from, to) = (from.min(to), from.max(to));
            prop_assert_eq!(edited, format!("{}{}{}", &text[..from], with, &text[to..]));
        }
    }
}
