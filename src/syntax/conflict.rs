//! The markers that a merge leaves in a file.
//!
//! Only all three in their order count: a line of equals signs alone is a heading somewhere, and
//! what describes a conflict in a string or a comment is none.

/// Lines, 1-based, on which a conflict begins. `is_literal` tells whether a byte is inside of a
/// string or a comment.
pub(super) fn lines(text: &str, is_literal: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open: Option<(u32, bool)> = None;
    let (mut number, mut byte) = (0u32, 0);
    for line in text.split_inclusive('\n') {
        number = number.saturating_add(1);
        let content = line.trim_end();
        if is_marker(content, "<<<<<<<") {
            open = (!is_literal(byte)).then_some((number, false));
        } else if content == "=======" {
            if let Some((_, divided)) = &mut open {
                *divided = true;
            }
        } else if is_marker(content, ">>>>>>>")
            && let Some((begun, true)) = open.take()
        {
            found.push(begun);
        }
        byte += line.len();
    }
    found
}

/// The sign alone, or with a name after a space.
fn is_marker(line: &str, sign: &str) -> bool {
    line.strip_prefix(sign)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[u32]) {
        assert_eq!(lines(text, |_| false), expected, "{text}");
    }

    #[test]
    fn all_three_markers_in_their_order_count() {
        check("a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\n", &[2]);
        check("<<<<<<<\r\n=======\r\n>>>>>>>\r\n", &[1]);
        check("<<<<<<< a\n||||||| b\n=======\n>>>>>>> c", &[1]);
        check(
            "<<<<<<< a\n=======\n>>>>>>> c\n\n<<<<<<< a\n=======\n>>>>>>> c",
            &[1, 5],
        );
        check("Title\n=======\n>>>>>>> x\n", &[]);
        check("<<<<<<< a\n>>>>>>> b\n", &[]);
        check("    <<<<<<< a\n    =======\n    >>>>>>> b\n", &[]);
        check("<<<<<<<< a\n=======\n>>>>>>> b\n", &[]);
        check("1 <<<<<<< 2\n", &[]);
        check("", &[]);
        assert_eq!(lines("<<<<<<< a\n=======\n>>>>>>> c", |_| true), [0; 0]);
    }
}
