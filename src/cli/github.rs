//! A report as workflow commands, which GitHub shows as annotations on the changed lines.
//!
//! Invariant: no path, text or message can start or end a command of its own.

use super::report::{FileOutcome, Level, Report};
use super::text;
use crate::syntax::Severity;
use std::io::{self, Write};

pub(super) fn write(report: &Report, quiet: bool, out: &mut dyn Write) -> io::Result<()> {
    for finding in report.findings() {
        let command = match finding.level {
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let place = finding.lines().map_or_else(String::new, |(first, last)| {
            format!(",line={first},endLine={last}")
        });
        let file = property(finding.path);
        let message = data(&finding.message());
        writeln!(
            out,
            "::{command} file={file}{place},title=diffidence low-score::{message}"
        )?;
    }
    for file in &report.files {
        for flaw in &file.checks {
            let command = match flaw.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Hint => "notice",
            };
            let (path, line, code) = (property(&file.path), flaw.line, flaw.code);
            let message = data(&flaw.message);
            writeln!(
                out,
                "::{command} file={path},line={line},endLine={line},title=diffidence {code}::{message}"
            )?;
        }
        match &file.outcome {
            FileOutcome::Failed { reason } => {
                let path = property(&file.path);
                let reason = data(reason);
                writeln!(
                    out,
                    "::error file={path},title=diffidence::cannot score: {reason}"
                )?;
            }
            FileOutcome::Abstained(abstained) if !quiet => {
                let path = text::printable(&file.path);
                writeln!(out, "cannot judge {path}: {}", abstained.why)?;
            }
            FileOutcome::Skipped { reason } if !quiet => {
                writeln!(out, "skipped {}: {reason}", text::printable(&file.path))?;
            }
            _ => {}
        }
    }
    text::summary(report, out)
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::report::sample;
    use super::*;
    use expect_test::expect;

    #[test]
    fn commands_are_escaped_and_point_at_the_changed_lines() {
        let mut out = anstream::StripStream::new(Vec::new());
        write(&sample::report(), false, &mut out).unwrap();
        expect![[r#"
            ::warning file=dir with%2C comma/50%25%3A ä.rs,line=40,endLine=41,title=diffidence low-score::10%25 likely correct: this hunk is worth a second look
            ::notice file=dir with%2C comma/50%25%3A ä.rs,line=80,endLine=81,title=diffidence low-score::30%25 likely correct: this hunk is worth a second look
            ::notice file=whole.rs,title=diffidence low-score::20%25 likely correct: this file is worth a second look
            ::warning file=gone.rs,title=diffidence low-score::5%25 likely correct: this hunk is worth a second look
            ::error file=whole.rs,line=7,endLine=7,title=diffidence syntax::100%25 syntax
            ::notice file=whole.rs,line=9,endLine=9,title=diffidence debug-statement::100%25 debug-statement
            skipped Cargo.lock: lock file
            cannot judge notes.md: prose, not code
            ::error file=bad.rs,title=diffidence::cannot score: the model crashed%0Aat 50%25
            4 files, 6 hunks scored: 3 hunks to check (below 35%) · 2 found by static checks · 1 could not be scored · 1 that the model cannot judge · 1 skipped · 1 without changed lines
            against HEAD (1234567) · m@1 · prior 50%
        "#]].assert_eq(&String::from_utf8(out.into_inner()).unwrap());
    }

    #[test]
    fn nothing_ends_a_command_early() {
        assert_eq!(property("a%2C,b:c\r\nd"), "a%252C%2Cb%3Ac%0D%0Ad");
        assert_eq!(
            data("50% of a: b, c\n::error::x"),
            "50%25 of a: b, c%0A::error::x"
        );
    }
}
