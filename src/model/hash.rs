//! Feature hashing as in Weinberger et al. (2009), "Feature hashing for large scale multitask
//! learning": FNV-1a 64 as published by Fowler, Noll and Vo, folded by exclusive or.

/// A hash in the making.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fnv(u64);

impl Fnv {
    /// Of nothing.
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Goes on over a text.
    pub(super) fn text(self, text: &str) -> Self {
        Self(text.bytes().fold(self.0, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// Goes on over a character.
    pub(super) fn char(self, c: char) -> Self {
        self.text(c.encode_utf8(&mut [0; 4]))
    }

    /// The place of what was hashed in a table of `buckets`.
    pub(super) fn bucket(self, buckets: u32) -> u32 {
        let folded = (self.0 >> 32) ^ (self.0 & 0xffff_ffff);
        #[expect(clippy::cast_possible_truncation, reason = "less than `buckets`")]
        {
            (folded % u64::from(buckets.max(1))) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_published() {
        // Test vectors of the FNV authors.
        assert_eq!(Fnv::new().text("").0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::new().text("a").0, 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::new().text("foobar").0, 0x8594_4171_f739_67e8);
    }
}
