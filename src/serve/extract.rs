//! Where the task and the patch are in a text that a trainer sends.
//!
//! The one rule, for every endpoint that takes free text:
//!
//! 1. Where the text has the turns of a chat (ChatML or Llama 3), the task is the first turn of the
//!    user, and the patch is looked for after the first turn of the assistant began. So a diff that
//!    the prompt shows as an example is never taken for the answer.
//! 2. The patch is the last unified diff, fenced or not. Files that follow one another with nothing
//!    but diff lines between them are one diff; prose between them makes them two.
//! 3. Without turns, everything before the patch is the task.
//!
//! Where the prompt comes beside the text, the patch is only looked for after it, wherever it stands:
//! trainers decode what a model read, with padding and special tokens in front and white space of
//! their own. If it is not there, the turns have to tell; if there are none, nothing is taken for an
//! answer.
//!
//! Invariant: what is found is a slice of the text, never put together. Work is linear in the text.

use std::ops::Range;

/// What a text holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extract<'a> {
    /// What the change is for; none if nothing is said.
    pub(super) task: Option<&'a str>,
    /// The text of the patch; empty if there is none.
    pub(super) patch: &'a str,
}

/// How a chat marks up its turns.
struct Markup {
    user: &'static str,
    assistant: &'static str,
    end: &'static str,
}

const MARKUPS: [Markup; 2] = [
    Markup {
        user: "<|im_start|>user",
        assistant: "<|im_start|>assistant",
        end: "<|im_end|>",
    },
    Markup {
        user: "<|start_header_id|>user<|end_header_id|>",
        assistant: "<|start_header_id|>assistant<|end_header_id|>",
        end: "<|eot_id|>",
    },
];

/// What may close a turn right after the last line of a patch.
const TURN_ENDS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>"];

/// The task and the patch of a prompt with its completion.
pub(super) fn extract(text: &str) -> Extract<'_> {
    for markup in &MARKUPS {
        if let Some((prompt, answer)) = text.split_once(markup.assistant) {
            return Extract {
                task: said(user_turn(prompt, markup)),
                patch: patch_in(answer),
            };
        }
    }
    let range = last_diff(text);
    Extract {
        task: said(without_open_fence(&text[..range.start])),
        patch: &text[range],
    }
}

/// The same where the prompt is known: the patch is only looked for after it. None if it cannot be
/// told where the prompt ends.
pub(super) fn extract_after<'a>(prompt: &'a str, text: &'a str) -> Option<Extract<'a>> {
    let answer = match after(prompt, text) {
        // The prompt may be a turn, or part of one that goes on with a diff.
        Some(rest) if turns_of_assistant(prompt) == 0 => after_turn(rest, 1).unwrap_or(rest),
        Some(rest) => rest,
        // Those that the prompt shows are no answers, but for the one that it opens.
        None => after_turn(text, turns_of_assistant(prompt).max(1))?,
    };
    Some(Extract {
        task: task_of(prompt),
        patch: patch_in(answer),
    })
}

/// What follows the first time that `prompt` is in `text`, whatever the white space in both.
fn after<'a>(prompt: &str, text: &'a str) -> Option<&'a str> {
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    let prompt = dense(prompt);
    let mut left = dense(text).find(&prompt)? + prompt.len();
    let end = text.char_indices().find(|(_, char)| {
        if !char.is_whitespace() {
            left = left.saturating_sub(char.len_utf8());
        }
        left == 0
    });
    match end {
        Some((at, char)) if !prompt.is_empty() => text.get(at + char.len_utf8()..),
        _ => Some(text),
    }
}

fn turns_of_assistant(text: &str) -> usize {
    let counts = MARKUPS.iter().map(|it| text.matches(it.assistant).count());
    counts.max().unwrap_or_default()
}

/// What follows the mark that begins the turn of the assistant with that number, from 1.
fn after_turn(text: &str, number: usize) -> Option<&str> {
    MARKUPS.iter().find_map(|markup| {
        let mut parts = text.splitn(number + 1, markup.assistant);
        parts.nth(number)
    })
}

/// The patch of a completion alone.
pub(super) fn patch_in(text: &str) -> &str {
    &text[last_diff(text)]
}

/// What a prompt asks for: the first turn of the user, or all of it.
pub(super) fn task_of(prompt: &str) -> Option<&str> {
    let turn = MARKUPS
        .iter()
        .find(|markup| prompt.contains(markup.user))
        .map(|markup| {
            let before = prompt.split(markup.assistant).next();
            user_turn(before.unwrap_or(prompt), markup)
        });
    said(turn.unwrap_or(prompt))
}

fn user_turn<'a>(prompt: &'a str, markup: &Markup) -> &'a str {
    let Some((_, turn)) = prompt.split_once(markup.user) else {
        return prompt;
    };
    turn.split(markup.end).next().unwrap_or(turn)
}

fn said(task: &str) -> Option<&str> {
    Some(task.trim()).filter(|task| !task.is_empty())
}

/// Without a last line that opens a fence: the patch begins after it.
fn without_open_fence(text: &str) -> &str {
    let trimmed = text.trim_end();
    let start = trimmed.rfind('\n').map_or(0, |at| at + 1);
    if trimmed[start..].trim_start().starts_with("```") {
        &trimmed[..start]
    } else {
        trimmed
    }
}

/// The range of the last diff; empty, at the end, if there is none.
fn last_diff(text: &str) -> Range<usize> {
    let mut last = text.len()..text.len();
    let mut open: Option<usize> = None;
    let mut in_bytes = false;
    let mut lines = Lines::of(text);
    while let Some(line) = lines.next() {
        let next = lines.peek();
        match open {
            None if begins_file(line.text, next) => open = Some(line.start),
            Some(start) if !belongs_to_diff(line.text, in_bytes) => {
                last = start..line.start;
                open = None;
            }
            _ => {}
        }
        let goes_on = in_bytes && !line.text.starts_with("diff -");
        in_bytes = open.is_some() && (goes_on || line.text.starts_with(BYTES));
        if let Some(start) = open {
            let closes = next.is_none_or(|next| next.starts_with("<|"));
            if let Some(length) = TURN_ENDS
                .iter()
                .filter(|_| closes)
                .find_map(|end| Some(line.text.trim_end().strip_suffix(end)?.len()))
            {
                last = start..line.start + length;
                open = None;
            }
        }
    }
    match open {
        Some(start) => start..text.len(),
        None => last,
    }
}

fn begins_file(line: &str, next: Option<&str>) -> bool {
    line.starts_with("diff --git ")
        || (line.starts_with("--- ") && next.is_some_and(|next| next.starts_with("+++ ")))
}

/// What git writes before the bytes of a file that is no text.
const BYTES: &str = "GIT binary patch";

/// Whether a line holds bytes as git writes them: their number as a letter, and 5 characters for each
/// 4 of them; or says how many bytes there are.
fn is_bytes(line: &str) -> bool {
    let counts = ["literal ", "delta "].iter().any(|it| line.starts_with(it));
    let letter = line.starts_with(|first: char| first.is_ascii_alphabetic());
    counts || (letter && line.len() % 5 == 1 && line.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Whether a line can stand between the first and the last line of a diff. `in_bytes` is whether it
/// follows [`BYTES`] in the same file.
fn belongs_to_diff(line: &str, in_bytes: bool) -> bool {
    const HEADERS: [&str; 15] = [
        "@@",
        "diff -",
        "index ",
        "Index: ",
        "====",
        "new file mode ",
        "deleted file mode ",
        "old mode ",
        "new mode ",
        "similarity index ",
        "dissimilarity index ",
        "rename ",
        "copy ",
        "Binary files ",
        BYTES,
    ];
    let line = line.trim_end_matches('\r');
    line.is_empty()
        || (in_bytes && is_bytes(line))
        || line.starts_with([' ', '+', '-', '\\'])
        || HEADERS.iter().any(|header| line.starts_with(header))
}

/// Lines with where they start; the line after the present one can be seen.
struct Lines<'a> {
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
    start: usize,
}

struct Line<'a> {
    start: usize,
    text: &'a str,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            rest: text.split('\n').peekable(),
            start: 0,
        }
    }

    fn next(&mut self) -> Option<Line<'a>> {
        let text = self.rest.next()?;
        let start = self.start;
        self.start += text.len() + 1;
        Some(Line { start, text })
    }

    /// An empty last line is none.
    fn peek(&mut self) -> Option<&'a str> {
        self.rest.peek().copied().filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y\n";
    const GIT: &str =
        "diff --git a/g b/g\nindex 1..2 100644\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-1\n+2\n";

    const BINARY: &str = "diff --git a/b b/b\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKc<ZQz\n\nliteral 0\nHcmV?d00001\n\n";

    #[test]
    fn the_last_diff_is_the_patch_and_what_is_before_it_the_task() {
        for (text, task, patch) in [
            ("", None, String::new()),
            ("Only words.\n", Some("Only words."), String::new()),
            (DIFF, None, DIFF.into()),
            (&format!("Fix it.\n\n{DIFF}"), Some("Fix it."), DIFF.into()),
            (
                &format!("Fix it.\n```diff\n{DIFF}```\nDone.\n"),
                Some("Fix it."),
                DIFF.into(),
            ),
            // Prose and fences part two diffs.
            (
                &format!("Fix.\n{DIFF}That was wrong, so:\n{GIT}"),
                Some(&*format!("Fix.\n{DIFF}That was wrong, so:")),
                GIT.into(),
            ),
            // Files that follow one another do not.
            (
                &format!("Fix.\n{DIFF}\n{GIT}{DIFF}"),
                Some("Fix."),
                format!("{DIFF}\n{GIT}{DIFF}"),
            ),
            // Nor do the bytes of a file that is no text, up to where they end.
            (
                &format!("Fix.\n{BINARY}{DIFF}"),
                Some("Fix."),
                format!("{BINARY}{DIFF}"),
            ),
            (
                &format!("Fix.\n{BINARY}Done.\n{DIFF}"),
                Some(&*format!("Fix.\n{BINARY}Done.")),
                DIFF.into(),
            ),
            // What only looks like a header.
            ("a\n--- b\nc\n", Some("a\n--- b\nc"), String::new()),
            (
                &format!("Fix.\r\n{}", DIFF.replace('\n', "\r\n")),
                Some("Fix."),
                DIFF.replace('\n', "\r\n"),
            ),
            (
                &format!("Fix.\n{}</s>", DIFF.trim_end()),
                Some("Fix."),
                DIFF.trim_end().into(),
            ),
            // Not the end of a turn, but code.
            (
                "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-x\n+<s>y</s>\n+z\n",
                None,
                "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-x\n+<s>y</s>\n+z\n".into(),
            ),
        ] {
            let patch = patch.as_str();
            assert_eq!(extract(text), Extract { task, patch }, "{text:?}");
        }
    }

    #[test]
    fn turns_of_a_chat_part_the_task_from_the_answer() {
        let chat_ml = |user: &str, answer: &str| {
            format!(
                "<|im_start|>system\nBe good.<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
            )
        };
        let llama = |user: &str, answer: &str| {
            format!(
                "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{user}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{answer}<|eot_id|>"
            )
        };
        let example = format!("Fix it. A diff looks so:\n{DIFF}");
        let fix = Some("Fix it.");
        let end = DIFF.trim_end();
        let again = "<|im_end|>\n<|im_start|>user\nTests fail.<|im_end|>\n<|im_start|>assistant\n";
        for (text, task, patch) in [
            (chat_ml("Fix it.", DIFF), fix, DIFF),
            (chat_ml("Fix it.", end), fix, end),
            (llama("Fix it.", end), fix, end),
            (chat_ml(&example, "I cannot."), Some(example.trim()), ""),
            (chat_ml("Fix it.", &format!("{DIFF}{again}{GIT}")), fix, GIT),
            (chat_ml("Fix it.", &format!("{end}{again}Done.")), fix, end),
        ] {
            assert_eq!(extract(&text), Extract { task, patch }, "{text:?}");
        }
    }

    #[test]
    fn no_diff_of_a_known_prompt_is_taken_for_the_answer() {
        let check = |prompt: &str, text: &str, expect: Option<&str>| {
            let found = extract_after(prompt, text);
            assert_eq!(
                found.as_ref().map(|it| it.patch),
                expect,
                "{prompt:?} {text:?}"
            );
            if let Some(found) = found {
                assert_eq!(found.task, task_of(prompt));
            }
        };
        let plain = format!("Fix it, as in:\n{DIFF}");
        let user = format!("<|im_start|>user\n{plain}<|im_end|>\n");
        let chat = format!("{user}<|im_start|>assistant\n");
        let llama = format!(
            "<|start_header_id|>user<|end_header_id|>\n\n{plain}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        );
        for prompt in [&plain, &chat, &llama] {
            for front in [
                "",
                "<s>",
                "<s> ",
                "<|begin_of_text|>",
                "<|endoftext|><|endoftext|>",
                "\n",
            ] {
                check(prompt, &format!("{front}{prompt}\nI cannot."), Some(""));
                check(prompt, &format!("{front}{prompt}\n{GIT}"), Some(GIT));
            }
            // White space that a tokenizer ate or made.
            for told in [
                format!("{prompt} "),
                format!("  {prompt}"),
                prompt.replace('\n', " \r\n"),
            ] {
                check(&told, &format!("{prompt}\nI cannot."), Some(""));
                check(&told, &format!("{prompt}\n{GIT}"), Some(GIT));
            }
            check(prompt, "I cannot.", None);
            check(prompt, DIFF, None);
            // Whatever repeats the prompt after it is the answer.
            check(
                prompt,
                &format!("{prompt}\n{prompt}\nSo:\n{GIT}"),
                Some(GIT),
            );
        }
        // The prompt is one turn, a part of one, or differs from what was sent.
        for told in [&*plain, "Fix it, as in:", "Mend it.", &user] {
            check(told, &format!("{chat}I cannot."), Some(""));
            check(told, &format!("{chat}{GIT}"), Some(GIT));
        }
        // Later turns of the assistant are part of the answer, those of the prompt are not.
        let again = format!(
            "<|im_end|>\n<|im_start|>user\nTests fail.<|im_end|>\n{}",
            "<|im_start|>assistant\n"
        );
        check(&chat, &format!("{chat}{GIT}{again}Done."), Some(GIT));
        let shots = format!("{chat}{DIFF}{again}");
        let other = shots.replace("Fix", "Mend");
        for told in [&shots, &other] {
            check(told, &format!("{shots}I cannot."), Some(""));
            check(told, &format!("{shots}{GIT}"), Some(GIT));
        }
        check(&shots, &format!("{chat}I cannot."), None);
        check("", DIFF, Some(DIFF));
        check("é", "<s>é\u{a0}ü", Some(""));
    }
}
