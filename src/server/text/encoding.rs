//! The unit in which a client counts the characters of a line.

use tower_lsp::lsp_types::{ClientCapabilities, PositionEncodingKind};

/// How `Position::character` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// 16-bit units: characters outside the basic plane count twice.
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// What is best for us among what the client offers: UTF-8 needs no counting. A client that
    /// offers nothing means UTF-16.
    pub(in crate::server) fn negotiated(capabilities: &ClientCapabilities) -> Self {
        let offered = capabilities
            .general
            .as_ref()
            .and_then(|general| general.position_encodings.as_deref())
            .unwrap_or_default();
        [Self::Utf8, Self::Utf16, Self::Utf32]
            .into_iter()
            .find(|encoding| offered.contains(&encoding.kind()))
            .unwrap_or(Self::Utf16)
    }

    /// The protocol's name.
    pub(in crate::server) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf8 => PositionEncodingKind::UTF8,
            Self::Utf16 => PositionEncodingKind::UTF16,
            Self::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    /// Units of one character.
    pub(super) fn units(self, character: char) -> usize {
        match self {
            Self::Utf8 => character.len_utf8(),
            Self::Utf16 => character.len_utf16(),
            Self::Utf32 => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_lsp::lsp_types::GeneralClientCapabilities;

    #[track_caller]
    fn check(offered: Option<&[PositionEncodingKind]>, expected: Encoding) {
        let capabilities = ClientCapabilities {
            general: Some(GeneralClientCapabilities {
                position_encodings: offered.map(<[_]>::to_vec),
                ..GeneralClientCapabilities::default()
            }),
            ..ClientCapabilities::default()
        };
        assert_eq!(Encoding::negotiated(&capabilities), expected);
    }

    #[test]
    fn utf8_if_offered_and_utf16_if_in_doubt() {
        use PositionEncodingKind as Kind;
        check(None, Encoding::Utf16);
        check(Some(&[]), Encoding::Utf16);
        check(Some(&[Kind::UTF16, Kind::UTF8]), Encoding::Utf8);
        check(Some(&[Kind::UTF32, Kind::UTF16]), Encoding::Utf16);
        check(Some(&[Kind::UTF32]), Encoding::Utf32);
        check(Some(&[Kind::new("utf-7")]), Encoding::Utf16);
    }
}
