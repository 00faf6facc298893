//! Text edits of the protocol against a naive oracle that works on a list of characters.

use diffidence::server::text::{Encoding, apply};
use tower_lsp::lsp_types::{Position, Range, TextDocumentContentChangeEvent};

/// Texts are made of these, because what matters is how long a character is and what ends a line.
const PIECES: [&str; 12] = [
    "a", "bc", "é", "漢", "😀", "𝕏", "\n", "\r\n", "\r", "\u{2028}", "\u{feff}", "\t",
];

/// The bytes say an encoding, a text and changes of it; any bytes do.
pub fn edits(bytes: &[u8]) {
    let mut case = Case { bytes };
    let encoding = match case.next() % 3 {
        0 => Encoding::Utf8,
        1 => Encoding::Utf16,
        _ => Encoding::Utf32,
    };
    let mut text = case.text();
    while !case.bytes.is_empty() {
        let range = (!case.next().is_multiple_of(8)).then(|| Range {
            start: case.position(),
            end: case.position(),
        });
        let change = TextDocumentContentChangeEvent {
            range,
            range_length: None,
            text: case.text(),
        };
        let expected = naive(&text, &change, encoding);
        apply(&mut text, &change, encoding);
        assert_eq!(text, expected, "{change:?} {encoding:?}");
    }
}

struct Case<'a> {
    bytes: &'a [u8],
}

impl Case<'_> {
    /// The next byte, or zeros when there are no more.
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        first
    }

    fn text(&mut self) -> String {
        let count = self.next() % 24;
        (0..count)
            .map(|_| PIECES[usize::from(self.next()) % PIECES.len()])
            .collect()
    }

    fn position(&mut self) -> Position {
        let mut number = || match self.next() {
            255 => u32::MAX,
            byte => u32::from(byte % 16),
        };
        Position {
            line: number(),
            character: number(),
        }
    }
}

fn naive(text: &str, change: &TextDocumentContentChangeEvent, encoding: Encoding) -> String {
    let Some(range) = change.range else {
        return change.text.clone();
    };
    let characters: Vec<char> = text.chars().collect();
    let start = index(&characters, range.start, encoding);
    let end = index(&characters, range.end, encoding);
    let before = &characters[..start.min(end)];
    let after = &characters[start.max(end)..];
    let with: Vec<char> = change.text.chars().collect();
    [before, &with, after].concat().into_iter().collect()
}

/// Walks from the top, line by line and then character by character.
fn index(characters: &[char], position: Position, encoding: Encoding) -> usize {
    let mut at = 0;
    for _ in 0..position.line {
        while !matches!(characters.get(at), None | Some('\n' | '\r')) {
            at += 1;
        }
        match characters[at..] {
            [] => return at,
            ['\r', '\n', ..] => at += 2,
            _ => at += 1,
        }
    }
    let mut left = u64::from(position.character);
    while let Some(&character) = characters.get(at) {
        let units = match encoding {
            Encoding::Utf8 => character.to_string().len(),
            Encoding::Utf16 => character.to_string().encode_utf16().count(),
            Encoding::Utf32 => 1,
        } as u64;
        if matches!(character, '\n' | '\r') || units > left {
            break;
        }
        left -= units;
        at += 1;
    }
    at
}
