//! Unified diff text: the parser for diffs that come from elsewhere, and the writer.
//!
//! Invariant: a hunk is taken as it stands or refused with its line number; half a hunk is never
//! scored. Work and memory are linear in the input; a limit on the input is the caller's.
//! This module must not know about repositories.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::patch::{CONTEXT_LINES, FileChange, FileStatus, Hunk, Line, LineKind, LineRange, Patch};

/// Why a text is not a diff that can be judged. Line numbers are 1-based.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not one file header in the whole text.
    #[error("no diff found: expected a unified diff, as `git diff` prints it")]
    NoDiff,
    /// A diff with several parents.
    #[error(
        "line {line}: this is the combined diff of a merge; make a diff against one parent, \
         for example with `git diff HEAD^1`"
    )]
    Combined {
        /// Where it starts.
        line: usize,
    },
    /// A line that starts as a hunk header and is none.
    #[error("line {line}: this is not a hunk header; expected `@@ -1,2 +1,3 @@`")]
    HunkHeader {
        /// Where it is.
        line: usize,
    },
    /// A hunk before the first file header.
    #[error("line {line}: this hunk has no file; expected `--- a/path` and `+++ b/path` before it")]
    HunkWithoutFile {
        /// Where it is.
        line: usize,
    },
    /// The body of a hunk does not have the lines that its header announces.
    #[error(
        "line {line}: hunk says {expected} {side} lines but {found} follow; the diff is cut or edited"
    )]
    HunkBody {
        /// The line of the hunk's header.
        line: usize,
        /// `old` or `new`.
        side: &'static str,
        /// Lines announced for that side.
        expected: u32,
        /// Lines found for that side (one more than announced if there are too many).
        found: u32,
    },
    /// A file header that names no file.
    #[error("line {line}: this file header names no file")]
    NoPath {
        /// Where it is.
        line: usize,
    },
}

impl Patch {
    /// Reads a unified diff as git or `diff -u` writes it. Text around the diffs (a mail, a commit
    /// message) is passed over. Invalid UTF-8 becomes U+FFFD, a trailing CR of a line is dropped,
    /// and longer contexts are cut to [`CONTEXT_LINES`]. Binary files and pure renames are files
    /// without hunks; hunks without a changed line are dropped.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn from_unified(text: &[u8]) -> Result<Patch, ParseError> {
        Parser::new(text, Counts::FromHeader).run()
    }

    /// As [`Patch::from_unified`], for a diff that a language model typed: where the counts of a
    /// hunk's header are wrong its body counts, as with `git apply --recount`. A diff that was cut
    /// off in transfer cannot be told from one with wrong counts then.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn from_typed_unified(text: &[u8]) -> Result<Patch, ParseError> {
        match Self::from_unified(text) {
            Err(ParseError::HunkBody { .. }) => Parser::new(text, Counts::FromBody).run(),
            parsed => parsed,
        }
    }

    /// Writes the patch as a unified diff with git's file headers. Reading it back gives the same
    /// patch, except for hunks with more context than [`CONTEXT_LINES`].
    #[must_use]
    pub fn to_unified(&self) -> String {
        let mut out = String::new();
        for file in &self.files {
            write_file(&mut out, file);
        }
        out
    }
}

/// What is known of a file while its header is read.
#[derive(Default)]
struct Draft {
    line: usize,
    git: Option<(String, String)>,
    old: Option<String>,
    new: Option<String>,
    added: bool,
    deleted: bool,
    renamed: bool,
    rename_from: Option<String>,
    rename_to: Option<String>,
    hunks: Vec<Hunk>,
}

/// What says how many lines a hunk has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    FromHeader,
    FromBody,
}

struct Parser<'a> {
    counts: Counts,
    /// The next line without its terminator; none at the end.
    next: Option<&'a [u8]>,
    /// 1-based number of the next line.
    number: usize,
    /// What follows the next line.
    rest: &'a [u8],
    files: Vec<FileChange>,
    draft: Option<Draft>,
}

const DEV_NULL: &str = "/dev/null";

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], counts: Counts) -> Self {
        let mut parser = Parser {
            counts,
            next: None,
            number: 0,
            rest: text,
            files: Vec::new(),
            draft: None,
        };
        parser.advance();
        parser
    }

    fn advance(&mut self) {
        self.number += 1;
        if self.rest.is_empty() {
            self.next = None;
            return;
        }
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &self.rest[self.rest.len()..]),
        };
        self.next = Some(line.strip_suffix(b"\r").unwrap_or(line));
        self.rest = rest;
    }

    fn run(mut self) -> Result<Patch, ParseError> {
        while let Some(line) = self.next {
            let number = self.number;
            self.advance();
            if let Some(rest) = line.strip_prefix(b"diff --git ") {
                self.start(number)?.git = git_paths(rest);
            } else if line.starts_with(b"diff --cc ")
                || line.starts_with(b"diff --combined ")
                || line.starts_with(b"@@@ -")
            {
                return Err(ParseError::Combined { line: number });
            } else if line.starts_with(b"--- ") && self.next_starts_with(b"+++ ") {
                self.file_names(number, line)?;
            } else if line.starts_with(b"@@ -") {
                self.hunk(number, line)?;
            } else if let Some(draft) = &mut self.draft {
                draft.extended_header(line);
            }
        }
        self.finish()?;
        if self.files.is_empty() {
            return Err(ParseError::NoDiff);
        }
        Ok(Patch { files: self.files })
    }

    fn next_starts_with(&self, prefix: &[u8]) -> bool {
        self.next.is_some_and(|line| line.starts_with(prefix))
    }

    fn start(&mut self, line: usize) -> Result<&mut Draft, ParseError> {
        self.finish()?;
        Ok(self.draft.insert(Draft {
            line,
            ..Draft::default()
        }))
    }

    fn finish(&mut self) -> Result<(), ParseError> {
        if let Some(draft) = self.draft.take() {
            self.files.push(draft.into_file()?);
        }
        Ok(())
    }

    fn file_names(&mut self, number: usize, line: &[u8]) -> Result<(), ParseError> {
        let new = self.next.unwrap_or_default();
        self.advance();
        let old = header_path(line.get(4..).unwrap_or_default(), "a/");
        let new = header_path(new.get(4..).unwrap_or_default(), "b/");
        let belongs_to_git_header = self.draft.as_ref().is_some_and(|draft| {
            draft.old.is_none() && draft.hunks.is_empty() && draft.is_of(&old, &new)
        });
        if !belongs_to_git_header {
            self.start(number)?;
        }
        if let Some(draft) = &mut self.draft {
            draft.old = Some(old);
            draft.new = Some(new);
        }
        Ok(())
    }

    fn hunk(&mut self, number: usize, header: &[u8]) -> Result<(), ParseError> {
        let (mut old, mut new) =
            hunk_ranges(header).ok_or(ParseError::HunkHeader { line: number })?;
        if self.draft.is_none() {
            return Err(ParseError::HunkWithoutFile { line: number });
        }
        let mut lines = Vec::new();
        let (mut old_found, mut new_found) = (0, 0);
        let from_body = self.counts == Counts::FromBody;
        while from_body || old_found < old.lines || new_found < new.lines {
            let Some(line) = self.next else {
                break;
            };
            if from_body && self.body_has_ended(line) {
                break;
            }
            let (kind, text) = match line.split_first() {
                None => (LineKind::Context, line),
                Some((b' ', text)) => (LineKind::Context, text),
                Some((b'+', text)) => (LineKind::Added, text),
                Some((b'-', text)) => (LineKind::Removed, text),
                Some((b'\\', _)) => {
                    self.advance();
                    continue;
                }
                Some(_) => break,
            };
            old_found += u32::from(kind != LineKind::Added);
            new_found += u32::from(kind != LineKind::Removed);
            if !from_body && (old_found > old.lines || new_found > new.lines) {
                break;
            }
            lines.push(Line {
                kind,
                text: String::from_utf8_lossy(text).into_owned(),
            });
            self.advance();
        }
        if from_body {
            (old.lines, new.lines) = (old_found, new_found);
        }
        let body = |side, expected, found| {
            if expected == found {
                Ok(())
            } else {
                Err(ParseError::HunkBody {
                    line: number,
                    side,
                    expected,
                    found,
                })
            }
        };
        body("new", new.lines, new_found)?;
        body("old", old.lines, old_found)?;
        match self
            .next
            .filter(|_| !from_body)
            .and_then(<[u8]>::split_first)
        {
            Some((b'+', rest)) if !rest.starts_with(b"++ ") => {
                body("new", new.lines, new_found.saturating_add(1))?;
            }
            Some((b' ', _)) => body("new", new.lines, new_found.saturating_add(1))?,
            // `-- ` starts the signature below a mailed patch, `--- ` the next file.
            Some((b'-', rest))
                if rest != b"-" && !rest.starts_with(b"- ") && !rest.starts_with(b"-- ") =>
            {
                body("old", old.lines, old_found.saturating_add(1))?;
            }
            _ => {}
        }
        if let (Some(hunk), Some(draft)) = (trimmed(old, new, lines), &mut self.draft) {
            draft.hunks.push(hunk);
        }
        Ok(())
    }

    /// Whether `line`, the next one, is no part of a hunk whose counts are not to be trusted: the
    /// header of the next file, or the signature below a mailed patch.
    fn body_has_ended(&self, line: &[u8]) -> bool {
        let next_file = line.starts_with(b"--- ") && self.rest.starts_with(b"+++ ");
        next_file || line == b"-- " || line == b"--"
    }
}

impl Draft {
    /// Whether `---` and `+++` lines with these paths can belong to what git's header named. If not,
    /// that header was all there is of its file, and another one begins.
    fn is_of(&self, old: &str, new: &str) -> bool {
        let Some((git_old, git_new)) = &self.git else {
            return true;
        };
        [
            Some(git_old),
            Some(git_new),
            self.rename_from.as_ref(),
            self.rename_to.as_ref(),
        ]
        .into_iter()
        .flatten()
        .any(|path| path == old || path == new)
    }

    fn extended_header(&mut self, line: &[u8]) {
        if !self.hunks.is_empty() {
            return;
        }
        if line.starts_with(b"new file mode") {
            self.added = true;
        } else if line.starts_with(b"deleted file mode") {
            self.deleted = true;
        } else if let Some(path) = line.strip_prefix(b"rename from ") {
            self.renamed = true;
            self.rename_from = Some(unquoted(path));
        } else if let Some(path) = line.strip_prefix(b"rename to ") {
            self.rename_to = Some(unquoted(path));
        }
    }

    fn into_file(self) -> Result<FileChange, ParseError> {
        let added = self.added || self.old.as_deref() == Some(DEV_NULL);
        let deleted = self.deleted || self.new.as_deref() == Some(DEV_NULL);
        let (git_old, git_new) = self.git.unzip();
        let real = |path: &String| !path.is_empty() && path != DEV_NULL;
        let old = self.rename_from.or(self.old).or(git_old).filter(real);
        let new = self.rename_to.or(self.new).or(git_new).filter(real);
        let (old_path, new_path, status) = if added {
            (None, new.or(old), FileStatus::Added)
        } else if deleted {
            (old.or(new), None, FileStatus::Deleted)
        } else {
            let (old, new) = (old.clone().or(new.clone()), new.or(old));
            let status = if self.renamed || old != new {
                FileStatus::Renamed
            } else {
                FileStatus::Modified
            };
            (old, new, status)
        };
        if old_path.is_none() && new_path.is_none() {
            return Err(ParseError::NoPath { line: self.line });
        }
        Ok(FileChange {
            old_path,
            new_path,
            status,
            hunks: self.hunks,
        })
    }
}

/// Cuts leading and trailing context; `None` if no line changed.
fn trimmed(old: LineRange, new: LineRange, mut lines: Vec<Line>) -> Option<Hunk> {
    let is_change = |line: &Line| line.kind != LineKind::Context;
    let lead = lines
        .iter()
        .position(is_change)?
        .saturating_sub(CONTEXT_LINES);
    let trail = lines
        .iter()
        .rev()
        .position(is_change)?
        .saturating_sub(CONTEXT_LINES);
    lines.truncate(lines.len() - trail);
    lines.drain(..lead);
    let (lead, trail) = (u32::try_from(lead).ok()?, u32::try_from(trail).ok()?);
    let cut = |range: LineRange| LineRange {
        start: range.start.saturating_add(lead),
        lines: range.lines - lead - trail,
    };
    Some(Hunk {
        old: cut(old),
        new: cut(new),
        lines,
    })
}

/// `@@ -1,2 +3,4 @@ heading` to the two ranges; a missing count is 1.
fn hunk_ranges(header: &[u8]) -> Option<(LineRange, LineRange)> {
    let header = std::str::from_utf8(
        header
            .strip_prefix(b"@@ -")?
            .split(|&byte| byte == b'@')
            .next()?,
    )
    .ok()?;
    let (old, new) = header.strip_suffix(' ')?.split_once(" +")?;
    Some((line_range(old)?, line_range(new)?))
}

fn line_range(text: &str) -> Option<LineRange> {
    let (start, lines) = text.split_once(',').unwrap_or((text, "1"));
    Some(LineRange {
        start: number(start)?,
        lines: number(lines)?,
    })
}

/// At most half of what the type holds, so that no sum over the lines of a hunk can overflow.
fn number(text: &str) -> Option<u32> {
    let number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())??;
    (number <= u32::MAX / 2).then_some(number)
}

/// The path of a `---` or `+++` line: without the prefix and without a timestamp.
fn header_path(raw: &[u8], prefix: &str) -> String {
    let path = if raw.starts_with(b"\"") {
        unquoted(raw)
    } else {
        lossy(raw.split(|&byte| byte == b'\t').next().unwrap_or_default())
    };
    without_prefix(path, prefix)
}

/// The two paths of a `diff --git` line, which matter only for a file without `---` and `+++`.
fn git_paths(rest: &[u8]) -> Option<(String, String)> {
    let (old, new) = if rest.starts_with(b"\"") {
        let end = closing_quote(rest)? + 1;
        let (old, new) = rest.split_at(end);
        (
            unquoted(old),
            unquoted(new.strip_prefix(b" ").unwrap_or(new)),
        )
    } else if let Some((old, new)) = equal_halves(rest) {
        (lossy(old), lossy(new))
    } else {
        let split = rest
            .windows(3)
            .position(|part| part == b" b/" || part == b" \"b")?;
        (lossy(&rest[..split]), unquoted(&rest[split + 1..]))
    };
    Some((without_prefix(old, "a/"), without_prefix(new, "b/")))
}

/// `a/X b/X`, whatever spaces are in `X`.
fn equal_halves(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let middle = rest.len() / 2;
    let (old, new) = (rest.get(..middle)?, rest.get(middle + 1..)?);
    let same = rest.get(middle) == Some(&b' ')
        && old.strip_prefix(b"a/").unwrap_or(old) == new.strip_prefix(b"b/").unwrap_or(new);
    same.then_some((old, new))
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
    None
}

fn without_prefix(path: String, prefix: &str) -> String {
    path.strip_prefix(prefix).map(str::to_owned).unwrap_or(path)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Undoes C quoting if the path is quoted.
fn unquoted(raw: &[u8]) -> String {
    let Some(end) = raw.strip_prefix(b"\"").and_then(|_| closing_quote(raw)) else {
        return lossy(raw);
    };
    let mut bytes = Vec::new();
    let mut rest = raw[1..end].iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some(escaped) = rest.next() else { break };
        bytes.push(match escaped {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'0'..=b'7' => {
                let mut code = u32::from(escaped - b'0');
                for _ in 0..2 {
                    if let Some(digit) = rest.next_if(|byte| (b'0'..=b'7').contains(byte)) {
                        code = code * 8 + u32::from(digit - b'0');
                    }
                }
                code as u8
            }
            other => other,
        });
    }
    lossy(&bytes)
}

/// Quotes a path if git would not print it as it is.
fn quoted(path: &str) -> Cow<'_, str> {
    if !path
        .bytes()
        .any(|byte| byte < 0x20 || byte == 0x7f || byte == b'"' || byte == b'\\')
    {
        return Cow::Borrowed(path);
    }
    let mut out = String::from("\"");
    for char in path.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\t' => out += "\\t",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            char if char.is_ascii_control() => {
                let _ = write!(out, "\\{:03o}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    Cow::Owned(out)
}

fn write_file(out: &mut String, file: &FileChange) {
    let old = file.old_path.as_deref().unwrap_or(file.path());
    let new = file.path();
    let names = (
        quoted(&format!("a/{old}")).into_owned(),
        quoted(&format!("b/{new}")).into_owned(),
    );
    // Writing to a string cannot fail.
    let _ = writeln!(out, "diff --git {} {}", names.0, names.1);
    let _ = match file.status {
        FileStatus::Added => writeln!(out, "new file mode 100644"),
        FileStatus::Deleted => writeln!(out, "deleted file mode 100644"),
        FileStatus::Renamed => {
            writeln!(
                out,
                "rename from {}\nrename to {}",
                quoted(old),
                quoted(new)
            )
        }
        FileStatus::Modified => Ok(()),
    };
    if file.hunks.is_empty() {
        return;
    }
    // A tab ends a name with spaces, as git and GNU diff write it.
    let name = |path: Option<&str>, name: String| match path {
        None => DEV_NULL.to_owned(),
        Some(path) if path.contains(' ') && !name.starts_with('"') => name + "\t",
        Some(_) => name,
    };
    let _ = writeln!(out, "--- {}", name(file.old_path.as_deref(), names.0));
    let _ = writeln!(out, "+++ {}", name(file.new_path.as_deref(), names.1));
    for hunk in &file.hunks {
        let (old, new) = (hunk.old, hunk.new);
        let _ = writeln!(
            out,
            "@@ -{},{} +{},{} @@",
            old.start, old.lines, new.start, new.lines
        );
        for line in &hunk.lines {
            out.push(line.kind.marker());
            out.push_str(&line.text);
            // A single CR before the LF would be read as half of the terminator.
            let ends_in_cr = line.text.ends_with('\r');
            out.push_str(if ends_in_cr { "\r\n" } else { "\n" });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Patch {
        Patch::from_unified(text.as_bytes()).expect("a diff")
    }

    #[track_caller]
    fn check_typed(text: &str, expect: &[(u32, u32)]) {
        assert!(matches!(
            Patch::from_unified(text.as_bytes()),
            Err(ParseError::HunkBody { .. })
        ));
        let patch = Patch::from_typed_unified(text.as_bytes()).unwrap();
        let counts = patch
            .hunks()
            .map(|(_, hunk)| (hunk.old.lines, hunk.new.lines));
        assert_eq!(counts.collect::<Vec<_>>(), expect);
    }

    #[test]
    fn wrong_counts_of_a_typed_diff_are_counted_again() {
        let files = "--- a/x\n+++ b/x\n@@ -1,9 +1,1 @@\n a\n-b\n+c\n+d\n@@ -9 +9 @@\n-x\n+y\n\
                     --- a/z\n+++ b/z\n@@ -1 +1 @@\n-p\n+q\n";
        check_typed(files, &[(2, 3), (1, 1), (1, 1)]);
        check_typed(
            "--- a/x\n+++ b/x\n@@ -1 +1,9 @@\n-b\n+c\n-- \n2.39\n",
            &[(1, 1)],
        );
        let error = Patch::from_typed_unified(b"no diff\n").unwrap_err();
        assert_eq!(error, ParseError::NoDiff);
    }

    #[track_caller]
    fn check_file(text: &str, status: FileStatus, old: Option<&str>, new: Option<&str>) {
        let patch = parse(text);
        let file = &patch.files[0];
        let paths = (file.old_path.as_deref(), file.new_path.as_deref());
        assert_eq!((file.status, paths), (status, (old, new)));
    }

    #[track_caller]
    fn check_error(text: &str, expect: &str) {
        let message = Patch::from_unified(text.as_bytes())
            .expect_err("an error")
            .to_string();
        assert!(message.contains(expect), "{message}");
        assert_eq!(message.lines().count(), 1);
    }

    #[test]
    fn file_headers() {
        use FileStatus::{Added, Deleted, Modified, Renamed};
        let hunk = "@@ -1 +1 @@\n-a\n+b\n";
        check_file(
            &format!("--- a/x y\t2024-01-01\n+++ b/x y\t2024-01-02\n{hunk}"),
            Modified,
            Some("x y"),
            Some("x y"),
        );
        check_file(
            &format!("diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n{hunk}"),
            Modified,
            Some("x"),
            Some("x"),
        );
        check_file(
            &format!("--- x\n+++ x\n{hunk}"),
            Modified,
            Some("x"),
            Some("x"),
        );
        check_file(
            &format!("--- a/x\r\n+++ b/x\r\n{}", hunk.replace('\n', "\r\n")),
            Modified,
            Some("x"),
            Some("x"),
        );
        check_file(
            "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n",
            Added,
            None,
            Some("x"),
        );
        check_file(
            "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n",
            Deleted,
            Some("x"),
            None,
        );
        check_file(
            "diff --git a/x b/x\nnew file mode 100644\nindex 0..e\n",
            Added,
            None,
            Some("x"),
        );
        check_file(
            "diff --git a/x b/x\ndeleted file mode 100644\n",
            Deleted,
            Some("x"),
            None,
        );
        check_file(
            "diff --git a/a b b/c d\nsimilarity index 100%\nrename from a b\nrename to c d\n",
            Renamed,
            Some("a b"),
            Some("c d"),
        );
        check_file(
            "diff --git a/p q b/p q\nold mode 100644\nnew mode 100755\n",
            Modified,
            Some("p q"),
            Some("p q"),
        );
        check_file(
            "diff --git \"a/\\303\\251\\\".txt\" \"b/\\303\\251\\\".txt\"\nnew file mode 100644\n",
            Added,
            None,
            Some("é\".txt"),
        );
        check_file(
            "diff --git a/i.png b/i.png\nindex 1..2\nBinary files a/i.png and b/i.png differ\n",
            Modified,
            Some("i.png"),
            Some("i.png"),
        );
    }

    #[test]
    fn a_header_without_hunks_does_not_take_the_next_file_in() {
        let code = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
        let check = |header: &str, expect: &[&str]| {
            let patch = parse(&format!("diff --git {header}\n{code}"));
            let paths = patch.files.iter().map(FileChange::path);
            assert_eq!(paths.collect::<Vec<_>>(), expect, "{header}");
        };
        check("a/x b/x\nindex 1..2", &["x"]);
        check("x x\nold mode 100644\nnew mode 100755", &["x"]);
        check("a/w b/x\nrename from w\nrename to x", &["x"]);
        check("a/t b/t\ndeleted file mode 100644", &["t", "x"]);
        check("a/t b/t\nold mode 100644\nnew mode 100755", &["t", "x"]);
        check("a/t b/u\nrename from t\nrename to u", &["u", "x"]);
        // What cannot be read says nothing.
        check("x y z\nindex 1..2", &["x"]);
    }

    #[test]
    fn long_context_is_cut_and_ranges_follow() {
        let patch =
            parse("--- a/x\n+++ b/x\n@@ -10,9 +20,8 @@ fn f\n 1\n 2\n 3\n 4\n-x\n\n 6\n 7\n 8\n");
        let hunk = &patch.files[0].hunks[0];
        assert_eq!((hunk.old.start, hunk.old.lines), (11, 7));
        assert_eq!((hunk.new.start, hunk.new.lines), (21, 6));
        assert_eq!(hunk.lines[4].text, "");
        assert_eq!(hunk.lines.len(), 7);
    }

    #[test]
    fn text_around_diffs_is_passed_over() {
        let patch = parse(
            "From: me\nSubject: x\n---\n x | 2 +-\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n-- \n2.47\n\ncommit 1\n\n    text\n\n--- a/y\n+++ b/y\n@@ -1,0 +2 @@\n+++ b\n",
        );
        assert_eq!(patch.files.len(), 2);
        assert_eq!(patch.files[1].hunks[0].lines[0].text, "++ b");
    }

    #[test]
    fn errors_say_where() {
        let file = "--- a/x\n+++ b/x\n";
        check_error("", "no diff found");
        check_error("hello\n", "no diff found");
        check_error("@@ -1 +1 @@\n-a\n+b\n", "line 1: this hunk has no file");
        check_error(
            &format!("{file}@@ -1,x +1 @@\n"),
            "line 3: this is not a hunk header",
        );
        check_error(
            &format!("{file}@@ -1,99999999999 +1 @@\n"),
            "line 3: this is not a hunk header",
        );
        check_error(
            &format!("{file}@@ -1 +1,5 @@\n-a\n+b\n+c\n"),
            "line 3: hunk says 5 new lines but 2 follow",
        );
        check_error(
            &format!("{file}@@ -1,2147483647 +1 @@\n-a\n+b\n"),
            "line 3: hunk says 2147483647 old lines",
        );
        // No file has so many lines, and numbers below it could not be counted.
        check_error(
            &format!("{file}@@ -4294967295 +4294967295 @@\n-a\n+b\n"),
            "line 3: this is not a hunk header",
        );
        check_error(
            &format!("{file}@@ -1 +1 @@\n-a\n+b\n+c\n"),
            "line 3: hunk says 1 new lines but 2 follow",
        );
        check_error("diff --cc x\n", "line 1: this is the combined diff");
        check_error(
            "--- /dev/null\n+++ /dev/null\n",
            "line 1: this file header names no file",
        );
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let patch =
            Patch::from_unified(b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-\xff\n+b\n").expect("a diff");
        assert_eq!(patch.files[0].hunks[0].lines[0].text, "\u{fffd}");
    }

    fn path() -> impl Strategy<Value = String> {
        "[a-z é\"\\\\\t]{1,6}(/[a-z ]{1,4}x)?x"
    }

    fn hunk() -> impl Strategy<Value = Hunk> {
        let context = || proptest::collection::vec("[ -~é]{0,8}", 0..=3);
        let change = proptest::collection::vec((any::<bool>(), "[+@ -~é\r]{0,8}"), 1..6);
        (context(), change, context(), 1..1000_u32).prop_map(|(lead, change, trail, start)| {
            let context = |text| Line {
                kind: LineKind::Context,
                text,
            };
            let lines: Vec<Line> = lead
                .into_iter()
                .map(context)
                .chain(change.into_iter().map(|(added, text)| Line {
                    kind: if added {
                        LineKind::Added
                    } else {
                        LineKind::Removed
                    },
                    text,
                }))
                .chain(trail.into_iter().map(context))
                .collect();
            let range = |kind| LineRange {
                start,
                lines: lines.iter().filter(|line| line.kind != kind).count() as u32,
            };
            Hunk {
                old: range(LineKind::Added),
                new: range(LineKind::Removed),
                lines,
            }
        })
    }

    fn file() -> impl Strategy<Value = FileChange> {
        (
            0..4,
            path(),
            path(),
            proptest::collection::vec(hunk(), 0..3),
        )
            .prop_map(|(status, old, new, hunks)| {
                let (old_path, new_path, status) = match status {
                    0 => (None, Some(new), FileStatus::Added),
                    1 => (Some(old), None, FileStatus::Deleted),
                    2 if old != new => (Some(old), Some(new), FileStatus::Renamed),
                    _ => (Some(new.clone()), Some(new), FileStatus::Modified),
                };
                FileChange {
                    old_path,
                    new_path,
                    status,
                    hunks,
                }
            })
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(files in proptest::collection::vec(file(), 1..4)) {
            let patch = Patch { files };
            prop_assert_eq!(Patch::from_unified(patch.to_unified().as_bytes()), Ok(patch));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Patch::from_typed_unified(&bytes);
        }

        #[test]
        fn never_panics_on_near_diffs(lines in proptest::collection::vec(
            "diff --git (\"?[ab]/[x\\\\\" ]{0,4}\"? ?){0,3}|--- .{0,6}|\\+\\+\\+ .{0,6}|@@ -[0-9]{0,3},?[0-9]{0,2} \\+[0-9]{0,2}(,[0-9]{0,11})? @@|[ +-].{0,3}|rename (from|to) .{0,4}|new file mode|\\\\ No", 0..20)) {
            let _ = Patch::from_typed_unified(lines.join("\n").as_bytes());
        }
    }
}
