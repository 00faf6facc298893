//! What a remote verifier is asked, as text.
//!
//! Invariant: text that comes from outside, the task and the patch, cannot end a turn of the chat:
//! what engines read as control tokens is broken up in it. A prompt is never longer than its limit,
//! but for the template itself.

use super::super::verifier::{NO_TASK, Part, Sections, Slot, header, rendered};
use crate::calibration::Probability;
use crate::change::Patch;
use std::borrow::Cow;

/// A template.
#[derive(Debug, Clone)]
pub(super) struct Prompt(Sections);

/// A prompt for the patch, then one for each hunk.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) prompts: Vec<String>,
    /// Whether something had to be left out.
    pub(super) truncated: bool,
    /// Share of the patch's text that is in the prompts.
    pub(super) read: Probability,
}

impl Prompt {
    /// Reads a template. Fails with a sentence for its author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Sections::parse(text).map(Self)
    }

    /// Fills the template within `limit` bytes. The task may take a quarter of what is free, a hunk
    /// that is repeated in its question another quarter, and the patch the rest.
    pub(super) fn lay_out(&self, patch: &Patch, task: Option<&str>, limit: usize) -> Laid {
        let Sections {
            shared: before,
            patch: about_patch,
            hunk: about_hunk,
        } = &self.0;
        let fixed = fixed(before) + fixed(about_patch).max(fixed(about_hunk));
        let free = limit.saturating_sub(fixed);
        let mut truncated = false;
        let mut cut = |text: &str, limit: usize| -> String {
            let mut end = limit.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            truncated |= end < text.len();
            text[..end].to_owned()
        };
        let task = match task.map(str::trim) {
            None | Some("") => NO_TASK,
            Some(task) => task,
        };
        let task = cut(&plain(task), free / 4);
        let mut whole = String::new();
        let mut hunks = Vec::new();
        for file in &patch.files {
            let header = header(file);
            whole.push_str(&header);
            for hunk in &file.hunks {
                let text = rendered(hunk);
                whole.push_str(&text);
                hunks.push(cut(&plain(&format!("{header}{text}")), free / 4));
            }
        }
        let longest = hunks.iter().map(String::len).max().unwrap_or(0);
        let left = free.saturating_sub(task.len() + longest);
        let all = plain(&whole);
        let whole = cut(&all, left);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let read = whole.len() as f64 / all.len().max(1) as f64;
        let filled = |question: &[Part], hunk: &str| -> String {
            let parts = before.iter().chain(question).map(|part| match part {
                Part::Text(text) => text,
                Part::Slot(Slot::Task) => &*task,
                Part::Slot(Slot::Patch) => &*whole,
                Part::Slot(Slot::Hunk) => hunk,
            });
            parts.collect()
        };
        let mut prompts = vec![filled(about_patch, "")];
        prompts.extend(hunks.iter().map(|hunk| filled(about_hunk, hunk)));
        Laid {
            prompts,
            truncated,
            read: Probability::new(read).unwrap_or(Probability::ONE),
        }
    }
}

/// Bytes of the template's own text.
fn fixed(parts: &[Part]) -> usize {
    let lengths = parts.iter().map(|part| match part {
        Part::Text(text) => text.len(),
        Part::Slot(_) => 0,
    });
    lengths.sum()
}

/// The text without anything that an engine could read as a control token.
fn plain(text: &str) -> Cow<'_, str> {
    const MARKERS: [(&str, &str); 5] = [
        ("<|", "< |"),
        ("<s>", "< s>"),
        ("</s>", "< /s>"),
        ("<start_of_turn>", "< start_of_turn>"),
        ("<end_of_turn>", "< end_of_turn>"),
    ];
    let mut plain = Cow::Borrowed(text);
    for (marker, broken) in MARKERS {
        if plain.contains(marker) {
            plain = plain.replace(marker, broken).into();
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str =
        "%% shared\n<|user|>Task: {task}\n{patch}%% patch\nGood?\n%% hunk\n{hunk}Good?\n";

    fn patch(added: &str) -> Patch {
        let diff = format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+{added}\n");
        Patch::from_unified(diff.as_bytes()).unwrap()
    }

    fn template() -> String {
        // Sections begin lines.
        TEMPLATE.replace("{patch}%%", "{patch}\n%%")
    }

    #[test]
    fn patch_and_hunks_are_asked_about() {
        let prompt = Prompt::parse(&template()).unwrap();
        let laid = prompt.lay_out(&patch("y"), Some(" Fix {patch}. "), 10_000);
        assert!(!laid.truncated);
        let shown = "--- a/f\n+++ b/f\n@@\n-x\n+y\n";
        let shared = format!("<|user|>Task: Fix {{patch}}.\n{shown}");
        assert_eq!(
            laid.prompts,
            [format!("{shared}Good?"), format!("{shared}{shown}Good?")]
        );
        let none = prompt.lay_out(&patch("y"), Some(" "), 10_000);
        assert!(none.prompts[0].contains(NO_TASK));
    }

    #[test]
    fn what_comes_from_outside_cannot_end_a_turn() {
        let prompt = Prompt::parse(&template()).unwrap();
        let laid = prompt.lay_out(&patch("<|im_end|></s>"), Some("<|im_start|>"), 10_000);
        for prompt in laid.prompts {
            assert_eq!(prompt.matches("<|").count(), 1, "{prompt}");
            assert!(prompt.contains("+< |im_end|>< /s>"), "{prompt}");
        }
    }

    #[test]
    fn a_prompt_keeps_within_its_limit() {
        let prompt = Prompt::parse(&template()).unwrap();
        let long = "é".repeat(5_000);
        let laid = prompt.lay_out(&patch(&long), Some(&long), 1_000);
        assert!(laid.truncated);
        assert!(laid.prompts.iter().all(|it| it.len() <= 1_000));
    }

    #[test]
    fn a_template_must_have_its_slots() {
        let error = |text: &str| Prompt::parse(text).unwrap_err();
        assert!(error(&template().replace("{patch}", "")).contains("`shared`"));
        assert!(error(&template().replace("{hunk}", "{hunk}{hunk}")).contains("`hunk`"));
        assert!(error("{patch}").contains("%% shared"));
    }
}
