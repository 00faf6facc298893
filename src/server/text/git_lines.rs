//! Lines as a diff numbers them: 1-based, broken at LF only.

use std::ops::Range;

/// The lines of one text.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct GitLines<'a>(pub(in crate::server) &'a str);

impl GitLines<'_> {
    /// Number of lines; text after the last LF is one.
    pub(in crate::server) fn count(self) -> u32 {
        let breaks = memchr::memchr_iter(b'\n', self.0.as_bytes()).count();
        let open = usize::from(!self.0.is_empty() && !self.0.ends_with('\n'));
        u32::try_from(breaks + open).unwrap_or(u32::MAX)
    }

    /// The line that holds the byte `offset`.
    pub(in crate::server) fn at(self, offset: usize) -> u32 {
        let breaks = memchr::memchr_iter(b'\n', &self.0.as_bytes()[..offset]).count();
        u32::try_from(breaks + 1).unwrap_or(u32::MAX)
    }

    /// The bytes from the start of line `first` to the end of line `last`, before its terminator.
    pub(in crate::server) fn bytes(self, first: u32, last: u32) -> Range<usize> {
        let start = self.start(first);
        let end = memchr::memchr(b'\n', &self.0.as_bytes()[self.start(last)..])
            .map_or(self.0.len(), |length| self.start(last) + length);
        let line = &self.0[start..end.max(start)];
        start..start + line.strip_suffix('\r').unwrap_or(line).len()
    }

    /// The bytes of `count` lines from line `first` on, with their terminators.
    pub(in crate::server) fn whole(self, first: u32, count: u32) -> Range<usize> {
        self.start(first)..self.start(first + count)
    }

    fn start(self, line: u32) -> usize {
        let before = (line as usize).saturating_sub(1);
        if before == 0 {
            return 0;
        }
        memchr::memchr_iter(b'\n', self.0.as_bytes())
            .nth(before - 1)
            .map_or(self.0.len(), |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, first: u32, last: u32, expected: &str) {
        assert_eq!(&text[GitLines(text).bytes(first, last)], expected);
    }

    #[test]
    fn only_lf_counts() {
        assert_eq!(GitLines("").count(), 0);
        assert_eq!(GitLines("a").count(), 1);
        assert_eq!(GitLines("a\rb\r\nc\n").count(), 2);
        check("a\rb\r\nc\n", 1, 1, "a\rb");
        check("a\rb\r\nc\n", 1, 2, "a\rb\r\nc");
        check("a\nb", 2, 2, "b");
        check("a\nb", 3, 9, "");
        check("", 1, 1, "");
        let whole = |text: &'static str, first, count| &text[GitLines(text).whole(first, count)];
        assert_eq!(whole("a\r\nb\nc", 1, 2), "a\r\nb\n");
        assert_eq!(whole("a\r\nb\nc", 3, 1), "c");
        assert_eq!(whole("a\r\nb\nc", 3, 0), "");
        assert_eq!(whole("", 1, 0), "");
        assert_eq!(GitLines("a\nb").at(1), 1);
        assert_eq!(GitLines("a\nb").at(2), 2);
    }
}
