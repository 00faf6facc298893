//! Positions of the protocol to byte offsets and back.

use super::encoding::Encoding;
use memchr::memchr2;
use tower_lsp::lsp_types::Position;

/// The byte offset of `position`. A line after the last one means the end of the text, a character
/// after the end of a line that end (before its terminator), and the inside of a character its
/// start.
pub(in crate::server) fn offset_of(text: &str, position: Position, encoding: Encoding) -> usize {
    let mut start = 0;
    for _ in 0..position.line {
        match next_line(text, start) {
            Some(next) => start = next,
            None => return text.len(),
        }
    }
    let line = &text[start..line_end(text, start)];
    let wanted = position.character as usize;
    if encoding == Encoding::Utf8 {
        let mut length = wanted.min(line.len());
        while !line.is_char_boundary(length) {
            length -= 1;
        }
        return start + length;
    }
    let mut units = 0;
    for (offset, character) in line.char_indices() {
        units += encoding.units(character);
        if units > wanted {
            return start + offset;
        }
    }
    start + line.len()
}

/// The position of the byte `offset`, which must be at a character boundary.
pub(in crate::server) fn position_of(text: &str, offset: usize, encoding: Encoding) -> Position {
    let mut line = 0;
    let mut start = 0;
    while let Some(next) = next_line(text, start).filter(|&next| next <= offset) {
        start = next;
        line += 1;
    }
    // The offset between the CR and the LF of one terminator is the end of the line.
    let before = &text[start..offset.min(line_end(text, start))];
    let character = match encoding {
        Encoding::Utf8 => before.len(),
        _ => before.chars().map(|c| encoding.units(c)).sum(),
    };
    Position {
        line,
        character: u32::try_from(character).unwrap_or(u32::MAX),
    }
}

/// The offset at which the line that begins at `start` ends, before its terminator.
fn line_end(text: &str, start: usize) -> usize {
    memchr2(b'\n', b'\r', &text.as_bytes()[start..]).map_or(text.len(), |length| start + length)
}

/// The offset at which the line after the one that begins at `start` begins.
fn next_line(text: &str, start: usize) -> Option<usize> {
    let end = line_end(text, start);
    match &text.as_bytes()[end..] {
        [] => None,
        [b'\r', b'\n', ..] => Some(end + 2),
        _ => Some(end + 1),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every character with its position, one by one as the specification tells it; the last entry
    /// is the end of the text. The LF of a CRLF is at the end of its line, as its CR is.
    pub(in crate::server) fn naive(text: &str, encoding: Encoding) -> Vec<(usize, Position)> {
        let characters: Vec<(usize, char)> = text.char_indices().collect();
        let (mut line, mut character) = (0, 0);
        let mut places = Vec::new();
        for (index, &(offset, c)) in characters.iter().enumerate() {
            let next = characters.get(index + 1).map(|&(_, c)| c);
            places.push((offset, Position { line, character }));
            match c {
                '\r' if next == Some('\n') => {}
                '\r' | '\n' => {
                    line += 1;
                    character = 0;
                }
                c => {
                    character += match encoding {
                        Encoding::Utf8 => c.to_string().len(),
                        Encoding::Utf16 => c.to_string().encode_utf16().count(),
                        Encoding::Utf32 => 1,
                    } as u32;
                }
            }
        }
        places.push((text.len(), Position { line, character }));
        places
    }

    pub(in crate::server) fn any_encoding() -> impl Strategy<Value = Encoding> {
        prop_oneof![
            Just(Encoding::Utf8),
            Just(Encoding::Utf16),
            Just(Encoding::Utf32)
        ]
    }

    pub(in crate::server) fn any_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("a"),
            Just("xyz"),
            Just("é"),
            Just("漢"),
            Just("😀"),
            Just("𝕏"),
            Just("\n"),
            Just("\r\n"),
            Just("\r"),
            Just("\u{2028}"),
            Just("\u{b}"),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_character_maps_there_and_back(text in any_text(), encoding in any_encoding()) {
            for (offset, position) in naive(&text, encoding) {
                prop_assert_eq!(position_of(&text, offset, encoding), position);
                let inside_crlf = text[..offset].ends_with('\r') && text[offset..].starts_with('\n');
                prop_assert_eq!(offset_of(&text, position, encoding), offset - usize::from(inside_crlf));
            }
        }

        #[test]
        fn wild_positions_are_clamped(
            text in any_text(),
            encoding in any_encoding(),
            line in prop_oneof![0..12u32, Just(u32::MAX)],
            character in prop_oneof![0..12u32, Just(u32::MAX)],
        ) {
            let wild = Position { line, character };
            let places = naive(&text, encoding);
            // The last place on that line that is not after the wanted one, else the end.
            let expected = places
                .iter()
                .filter(|(offset, place)| {
                    let inside_crlf = text[..*offset].ends_with('\r') && text[*offset..].starts_with('\n');
                    place.line == line && place.character <= character && !inside_crlf
                })
                .map(|(offset, _)| *offset)
                .next_back()
                .unwrap_or(text.len());
            prop_assert_eq!(offset_of(&text, wild, encoding), expected);
        }
    }
}
