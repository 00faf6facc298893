//! The secret that clients must know.
//!
//! Invariant: it is never shown, and comparing takes as long whatever is wrong with a guess: digests
//! of equal length are compared, without stopping at the first difference.

use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// The digest of a bearer token.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// A token that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token must be at least {} visible characters long, without spaces",
    Token::SHORTEST
)]
pub struct BadToken;

impl Token {
    /// A shorter token could be guessed.
    pub const SHORTEST: usize = 16;

    /// Takes a token without the white space around it.
    ///
    /// # Errors
    /// If it is too short, or could not be sent in a header.
    pub fn new(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && text.len() >= Self::SHORTEST {
            Ok(Self(Sha256::digest(text).into()))
        } else {
            Err(BadToken)
        }
    }

    /// Whether the header `Authorization` carries this token.
    pub(super) fn is_in(&self, authorization: Option<&[u8]>) -> bool {
        let (scheme, rest) = authorization
            .unwrap_or_default()
            .split_at_checked(7)
            .unwrap_or_default();
        let given: [u8; 32] = Sha256::digest(rest.trim_ascii()).into();
        let same = self.0.ct_eq(&given);
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(same)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_counts() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        for (header, expected) in [
            ("Bearer 0123456789abcdef", true),
            ("bearer  0123456789abcdef", true),
            ("Bearer 0123456789abcde", false),
            ("Bearer 0123456789abcdef0", false),
            ("Basic 0123456789abcdef", false),
            ("0123456789abcdef", false),
            ("Bearer ", false),
            ("", false),
        ] {
            assert_eq!(token.is_in(Some(header.as_bytes())), expected, "{header}");
        }
        assert!(!token.is_in(None));
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn what_is_no_token() {
        for text in ["", "short", "0123456789 abcdef", "0123456789abcdé"] {
            assert!(Token::new(text).is_err(), "{text}");
        }
    }
}
