//! A report as workflow commands, which GitHub shows as annotations on the changed lines.
//!
//! Invariant: no path, text or message can start or end a command of its own.

use super::report::{FileOutcome, Level, Report};
use super::text;
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
        match &file.outcome {
            FileOutcome::Failed { reason } => {
                let path = property(&file.path);
                let reason = data(reason);
                writeln!(
                    out,
                    "::error file={path},title=diffidence::cannot score: {reason}"
                )?;
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
            skipped Cargo.lock: lock file
            ::error file=bad.rs,title=diffidence::cannot score: the model crashed%0Aat 50%25
            4 files, 6 hunks scored: 3 hunks to check (below 35%) · 1 could not be scored · 1 skipped · 1 without changed lines
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
