//! Which lines pulled a hunk down, in words.
//!
//! Only what stands out is told: in a hunk of two lines that share the blame alike, nothing is.

use super::super::text::shortened;
use crate::change::{Hunk, LineKind};
use crate::model::SuspectLine;

/// A line stands out with so many times the share that it would have if all lines shared alike.
const STANDS_OUT: f64 = 1.5;

/// A removed line is quoted up to so many characters.
const QUOTE_CHARS: usize = 40;

/// A sentence on the lines of `hunk` that stand out among its `suspects`, if any do.
pub(super) fn suspects(hunk: &Hunk, suspects: &[SuspectLine], markdown: bool) -> Option<String> {
    let changed = hunk.lines.len() - hunk.count(LineKind::Context);
    #[expect(clippy::cast_precision_loss, reason = "a hunk has far fewer lines")]
    let stands_out = |suspect: &&SuspectLine| suspect.share.get() * changed as f64 >= STANDS_OUT;
    let told: Vec<String> = suspects
        .iter()
        .filter(stands_out)
        .filter_map(|suspect| {
            let text = &hunk.lines.get(suspect.line)?.text;
            let line = match hunk.new_line(suspect.line) {
                Some(number) => format!("line {number}"),
                None => format!("the removed {}", quote(text, markdown)),
            };
            Some(format!("{line} ({})", suspect.share))
        })
        .collect();
    (!told.is_empty()).then(|| format!("Pulled down most by {}.", told.join(", ")))
}

/// The line without its indentation, short, and with no character that Markdown would act on.
fn quote(text: &str, markdown: bool) -> String {
    let short = shortened(text.trim(), QUOTE_CHARS);
    match (short.is_empty(), markdown) {
        (true, _) => "empty line".into(),
        (false, false) => format!("“{short}”"),
        // A fence that is longer than any run of backticks inside, and apart from them.
        (false, true) => {
            let longest = short.split(|c| c != '`').map(str::len).max().unwrap_or(0);
            let fence = "`".repeat(longest + 1);
            let apart = if longest > 0 { " " } else { "" };
            format!("{fence}{apart}{short}{apart}{fence}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Probability;
    use crate::change::sample;
    use expect_test::{Expect, expect};

    /// `diff`: one line each, with its marker.
    fn check(diff: &[&str], shares: &[(usize, f64)], markdown: bool, expect: Expect) {
        let hunk = sample::hunk(20, sample::lines(diff));
        let given: Vec<SuspectLine> = shares
            .iter()
            .map(|&(line, share)| SuspectLine {
                line,
                share: Probability::new(share).unwrap(),
            })
            .collect();
        expect.assert_eq(&suspects(&hunk, &given, markdown).unwrap_or_default());
    }

    #[test]
    fn lines_that_stand_out_are_told_with_the_numbers_of_the_new_text() {
        check(
            &[" a", "-  return x", "+  b", "+  c", " d"],
            &[(3, 0.55), (1, 0.51), (2, 0.1)],
            true,
            expect!["Pulled down most by line 22 (55%), the removed `return x` (51%)."],
        );
        check(
            &["-old `code` here", "+b", "+c"],
            &[(0, 0.7)],
            true,
            expect!["Pulled down most by the removed `` old `code` here `` (70%)."],
        );
        let long = format!("-{}", "é".repeat(50));
        check(
            &[&long, "+b"],
            &[(0, 0.8)],
            false,
            expect![
                "Pulled down most by the removed “éééééééééééééééééééééééééééééééééééééééé…” (80%)."
            ],
        );
        check(
            &["-", "+b"],
            &[(0, 0.8)],
            false,
            expect!["Pulled down most by the removed empty line (80%)."],
        );
    }

    #[test]
    fn lines_that_share_alike_are_not() {
        check(&["+a", "+b"], &[(0, 0.6), (1, 0.4)], true, expect![""]);
        check(&["+a"], &[(0, 0.9)], true, expect![""]);
        check(&["+a", "+b", "+c"], &[], true, expect![""]);
        check(&["+a", "+b"], &[(7, 0.9)], true, expect![""]);
    }
}
