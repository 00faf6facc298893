//! What a verifier is asked, as token numbers.
//!
//! Invariant: text that comes from outside, the task and the patch, goes through [`Plain`], so no
//! token that marks up chats stands in a prompt but for those of its template. The questions about the hunks of a patch share all
//! tokens before them. Line numbers are left out, since scores are remembered without them.
//!
//! The first built-in question is that of the verifier of SWE-Gym (Pan et al. 2024), which SWE-RM
//! follows, with the task and the patch in place of the log of an agent.

use super::super::render::HUNK_MARKER;
use super::super::reward::ModelError;
use super::plain::Plain;
use super::template::{Part, SECTION, Sections, Slot};
use crate::calibration::Probability;
use crate::change::{FileChange, FileStatus, Hunk, LineKind, Patch};
use tokenizers::Tokenizer;

/// In place of a task description where there is none.
pub(in crate::model) const NO_TASK: &str = "(no description)";

/// A built-in template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// The judge of SWE-Gym, which SWE-RM follows: for weights that were trained on it.
    SweJudge,
    /// Asks for correctness of a patch: for a model that was not trained as a verifier.
    PatchJudge,
}

impl Template {
    /// As the command line and bundles write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SweJudge => "swe-judge",
            Self::PatchJudge => "patch-judge",
        }
    }

    /// The words that answer it. They follow a space only where the prompt ends within a line.
    pub(super) fn answers(self, markup: Markup) -> [&'static str; 2] {
        match (self, markup) {
            (Self::PatchJudge, Markup::Plain) => [" YES", " NO"],
            _ => ["YES", "NO"],
        }
    }

    /// The template for a model whose chats are marked up like this.
    pub(super) fn text(self, markup: Markup) -> String {
        let Wording {
            system,
            shared,
            patch,
            hunk,
            answer,
        } = match self {
            Self::SweJudge => SWE_JUDGE,
            Self::PatchJudge => PATCH_JUDGE,
        };
        let (begin, turn) = markup.around(system);
        let end = format!("{turn}{answer}");
        format!(
            "{SECTION}shared\n{begin}{shared}\n{SECTION}patch\n{patch}{end}\n{SECTION}hunk\n{hunk}{end}\n"
        )
    }
}

struct Wording {
    system: &'static str,
    shared: &'static str,
    patch: &'static str,
    hunk: &'static str,
    /// What the answer begins with.
    answer: &'static str,
}

const SWE_JUDGE: Wording = Wording {
    system: "You are an expert judge evaluating AI assistant interactions. Your task is to \
determine if the assistant successfully resolved the user's request.\n\n\
Key evaluation criteria:\n\
1. Did the assistant complete the main task requested by the user?\n\
2. Did the assistant handle all edge cases and requirements specified?\n\
3. Were there any errors or issues in the final solution?\n\
4. Did the assistant verify the solution works as intended?\n\n\
Respond only with \"<judgement>YES</judgement>\" or \"<judgement>NO</judgement>\".",
    shared: "Please evaluate the following interaction between an AI assistant and a user:\n\n\
=== INTERACTION LOG ===\n\n\
USER: {task}\n\n\
ASSISTANT: {patch}\n\n\
=== END INTERACTION ===\n",
    patch: "\nBased on the above interaction, did the assistant successfully resolve the user's \
initial request? Respond with YES or NO.",
    hunk: "\nLook only at this part of the solution:\n{hunk}\n\
Based on the above interaction, is this part free of errors? Respond with YES or NO.",
    answer: "<judgement>",
};

const PATCH_JUDGE: Wording = Wording {
    system: "You are an expert code reviewer. You are shown a task and a patch for it. Decide \
whether the patch is correct: whether it does what the task asks for, breaks nothing and has no \
bugs. Answer with one word, YES or NO.",
    shared: "Task:\n{task}\n\nPatch:\n```diff\n{patch}```\n",
    patch: "\nIs the patch correct? Answer YES or NO.",
    hunk: "\nLook only at this part of the patch:\n```diff\n{hunk}```\nIs this part correct? \
Answer YES or NO.",
    answer: "",
};

/// How a model marks up the turns of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// As Qwen does. Some models think first, unless an empty thought is already there.
    ChatMl {
        /// Whether it is one of those.
        thinks: bool,
    },
    /// As Llama 3 does.
    Llama3,
    /// A model that knows no chats.
    Plain,
}

impl Markup {
    /// What the tokenizer has markers for. `chat_template` is the one that came with the model.
    pub(super) fn of(tokenizer: &Tokenizer, chat_template: &str) -> Self {
        let has = |marker| tokenizer.token_to_id(marker).is_some();
        if has("<|im_start|>") && has("<|im_end|>") {
            let thinks = chat_template.contains("enable_thinking");
            Self::ChatMl { thinks }
        } else if has("<|start_header_id|>") && has("<|eot_id|>") {
            Self::Llama3
        } else {
            Self::Plain
        }
    }

    /// What is before the words of the user, and what is after them before the answer.
    fn around(self, system: &str) -> (String, &'static str) {
        match self {
            Self::ChatMl { thinks } => (
                format!("<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n"),
                if thinks {
                    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
                } else {
                    "<|im_end|>\n<|im_start|>assistant\n"
                },
            ),
            Self::Llama3 => (
                format!(
                    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
                ),
                "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
            ),
            Self::Plain => (format!("{system}\n\n"), "\n\nAnswer:"),
        }
    }
}

/// A part of a section.
#[derive(Debug, Clone)]
enum Piece {
    Fixed(Vec<u32>),
    Slot(Slot),
}

/// A template whose fixed text is tokens already.
#[derive(Debug, Clone)]
pub(super) struct Prompt {
    shared: Vec<Piece>,
    patch: Vec<Piece>,
    hunk: Vec<Piece>,
    tells_task: bool,
}

/// A prompt with all its questions.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) shared: Vec<u32>,
    /// The question about the patch, then one about each hunk.
    pub(super) questions: Vec<Vec<u32>>,
    /// Whether something had to be left out.
    pub(super) truncated: bool,
    /// Share of the patch's tokens that the questions share.
    pub(super) read: Probability,
}

impl Laid {
    /// How many tokens are read in all.
    pub(super) fn tokens(&self) -> usize {
        self.shared.len() + self.questions.iter().map(Vec::len).sum::<usize>()
    }
}

impl Prompt {
    /// Reads a template. Fails with a sentence for its author.
    pub(super) fn parse(text: &str, tokenizer: &Tokenizer) -> Result<Self, String> {
        let sections = Sections::parse(text)?;
        let pieces = |parts: &[Part]| -> Result<Vec<Piece>, String> {
            parts.iter().map(|part| piece(part, tokenizer)).collect()
        };
        Ok(Self {
            tells_task: sections.tells_task(),
            shared: pieces(&sections.shared)?,
            patch: pieces(&sections.patch)?,
            hunk: pieces(&sections.hunk)?,
        })
    }

    /// Fills the template for a patch within `context` tokens. The task may take a quarter of what
    /// is free, a hunk that is repeated in its question another quarter, and the patch the rest.
    pub(super) fn lay_out(
        &self,
        patch: &Patch,
        task: Option<&str>,
        context: usize,
        plain: &Plain,
    ) -> Result<Laid, ModelError> {
        let encode = |text: &str| plain.encode(text).map_err(ModelError::Tokenizer);
        let question = fixed(&self.patch).max(fixed(&self.hunk));
        let free = context.saturating_sub(fixed(&self.shared) + question);
        let mut truncated = false;
        let task = match task.map(str::trim) {
            None | Some("") => NO_TASK,
            Some(task) => task,
        };
        let mut task = encode(task)?;
        if let Some(over) = task.len().checked_sub(free / 4 + 1) {
            // A description begins with what matters, a conversation also ends with it.
            task.drain(free / 8..=free / 8 + over);
            truncated = true;
        }
        let mut cut = |mut ids: Vec<u32>, limit: usize| {
            truncated |= ids.len() > limit;
            ids.truncate(limit);
            ids
        };
        let mut texts = String::new();
        let mut hunks = Vec::new();
        for file in &patch.files {
            let header = header(file);
            texts.push_str(&header);
            for hunk in &file.hunks {
                let text = rendered(hunk);
                texts.push_str(&text);
                hunks.push(cut(encode(&format!("{header}{text}"))?, free / 4));
            }
        }
        let longest = hunks.iter().map(Vec::len).max().unwrap_or(0);
        let left = free.saturating_sub(task.len() + longest);
        let whole = encode(&texts)?;
        let length = whole.len();
        let patch = cut(whole, left);
        let shared = fill(&self.shared, &task, &patch, &[]);
        let mut questions = vec![fill(&self.patch, &[], &[], &[])];
        questions.extend(hunks.iter().map(|hunk| fill(&self.hunk, &[], &[], hunk)));
        Ok(Laid {
            shared,
            questions,
            truncated,
            read: share(patch.len(), length),
        })
    }

    /// Whether the model is told what the change is for.
    pub(super) fn tells_task(&self) -> bool {
        self.tells_task
    }

    /// Tokens of the template itself.
    pub(super) fn overhead(&self) -> usize {
        fixed(&self.shared) + fixed(&self.patch).max(fixed(&self.hunk))
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn share(part: usize, whole: usize) -> Probability {
    Probability::new(part as f64 / whole.max(1) as f64).unwrap_or(Probability::HALF)
}

fn piece(part: &Part, tokenizer: &Tokenizer) -> Result<Piece, String> {
    match part {
        Part::Text(text) => tokenizer
            .encode_fast(text.as_str(), false)
            .map(|encoding| Piece::Fixed(encoding.get_ids().to_vec()))
            .map_err(|error| error.to_string()),
        Part::Slot(slot) => Ok(Piece::Slot(*slot)),
    }
}

fn fill(pieces: &[Piece], task: &[u32], patch: &[u32], hunk: &[u32]) -> Vec<u32> {
    let ids = pieces.iter().map(|piece| match piece {
        Piece::Fixed(ids) => ids,
        Piece::Slot(Slot::Task) => task,
        Piece::Slot(Slot::Patch) => patch,
        Piece::Slot(Slot::Hunk) => hunk,
    });
    ids.flatten().copied().collect()
}

fn fixed(pieces: &[Piece]) -> usize {
    let lengths = pieces.iter().map(|piece| match piece {
        Piece::Fixed(ids) => ids.len(),
        Piece::Slot(_) => 0,
    });
    lengths.sum()
}

pub(in crate::model) fn header(file: &FileChange) -> String {
    let old = file.old_path.as_deref().unwrap_or(file.path());
    let (old, new) = match file.status {
        FileStatus::Added => ("/dev/null".into(), format!("b/{}", file.path())),
        FileStatus::Deleted => (format!("a/{old}"), "/dev/null".into()),
        FileStatus::Modified | FileStatus::Renamed => {
            (format!("a/{old}"), format!("b/{}", file.path()))
        }
    };
    format!("--- {old}\n+++ {new}\n")
}

pub(in crate::model) fn rendered(hunk: &Hunk) -> String {
    let mut text = String::from(HUNK_MARKER);
    for line in &hunk.lines {
        text.push(LineKind::marker(line.kind));
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_templates_are_sound() {
        let markups = [
            Markup::ChatMl { thinks: true },
            Markup::ChatMl { thinks: false },
            Markup::Llama3,
            Markup::Plain,
        ];
        for template in [Template::SweJudge, Template::PatchJudge] {
            for markup in markups {
                let sections = Sections::parse(&template.text(markup));
                assert!(sections.unwrap().tells_task(), "{template:?}, {markup:?}");
            }
        }
    }
}
